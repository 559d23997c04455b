/*
 * opening.h: hold, have it judged, then open group by group. The data keys that the cells need come from
 * the store by a second channel, in the same session's projects; what the store says of them the vault
 * checks.
 */
#include "proc/console/opening.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/console/select.h"
#include "read/query/binary.h"
#include "read/query/plan.h"
#include "read/query/remote.h"

#define PIECE (64u << 10) /* fed at once */

static atomic_uint openings; /* that hold something */

struct opening {
    struct console *console;
    const struct caller *caller; /* as long as the answer */
    enum format_family family;
    struct remote *remote;
    char *sql;
    size_t sql_len;
    char reason[LIMIT_REASON + 1];
    cells_write *write;
    void *write_arg;
    struct buf held;
    size_t at;
    bool begun, counted;
    struct cells *cells; /* of a text format, */
    struct binary *binary; /* of another one */
    enum binary_format binary_format;
    uint32_t protocol; /* of Native */
    const char *ask; /* the format that the store is asked for */
    size_t planned;
};

/* ---- ways to store and vault ---- */

static int reach(void *arg, enum ipc_role role, struct peer **ret) {
    const struct opening *o = arg;
    return edges_channel(o->console->edges, role, ret);
}

static int query(void *arg, const char *format, const char *sql, size_t sql_len, remote_sink *sink,
                 void *sink_arg) {
    const struct opening *o = arg;
    struct peer *store = NULL;
    struct frame f;
    int rc = edges_channel(o->console->edges, IPC_STORE, &store);
    if (!rc)
        rc = select_send(store, o->caller, NULL, format, sql, sql_len);
    while (!rc && !(rc = peer_recv_wait(store, &f, CONSOLE_ANSWER_MS))) {
        if (f.msg == MSG_RESULT) {
            rc = f.len >= 4 ? (int)(int32_t)get_u32(f.p) : ERR_SYNTAX;
            break;
        }
        rc = f.msg == MSG_DATA ? sink(sink_arg, f.p, f.len) : ERR_DENIED;
    }
    peer_free(store);
    return rc;
}

/* ---- life ---- */

static int check(const struct http_request *r, struct http_why *why) {
    enum binary_format format;
    const char *format_ask;
    if (!r->reason[0])
        return http_say(why, ERR_USAGE, HTTP_BAD_ARGUMENTS,
                        "open=1 needs a reason, which goes into the ledger: reason=TEXT, or the header "
                        "X-Safehouse-Reason");
    if (r->family == FORMAT_BINARY && binary_find(r->format, &format, &format_ask))
        return http_say(why, ERR_UNSUPPORTED, HTTP_NOT_IMPLEMENTED, "opened text has no place in %s",
                        r->format);
    return 0;
}

int opening_new(struct console *c, const struct caller *caller, const struct http_request *r,
                cells_write *write, void *write_arg, struct opening **ret, struct http_why *why) {
    const struct remote_ways ways = {.reach = reach, .query = query};
    int rc = check(r, why);
    struct opening *o = rc ? NULL : calloc(1, sizeof *o);
    if (rc || !o)
        return rc ? rc : ERR_NOMEM;
    o->console = c;
    o->caller = caller;
    o->family = r->family;
    o->ask = r->format;
    if (r->family == FORMAT_BINARY)
        (void)binary_find(r->format, &o->binary_format, &o->ask);
    o->protocol = r->settings.protocol;
    o->write = write;
    o->write_arg = write_arg;
    memcpy(o->reason, r->reason, sizeof o->reason);
    buf_init(&o->held, OPENING_HELD);
    o->sql_len = r->sql.len < LIMIT_PLAN_QUERY ? r->sql.len : LIMIT_PLAN_QUERY;
    o->sql = malloc(o->sql_len + 1);
    if (o->sql)
        memcpy(o->sql, r->sql.p, o->sql_len);
    struct remote_ways w = ways;
    w.arg = o;
    o->counted = atomic_fetch_add(&openings, 1) < OPENING_REQUESTS;
    if (!o->counted) {
        atomic_fetch_sub(&openings, 1);
        rc = http_say(why, ERR_FULL, HTTP_TOO_MANY_QUERIES,
                      "%d statements are being opened already: try again", OPENING_REQUESTS);
        why->status = 429;
    }
    if (!rc)
        rc = o->sql ? remote_new_by(&o->remote, &w, o->reason) : ERR_NOMEM;
    if (rc) {
        opening_free(o);
        return rc;
    }
    remote_session(o->remote, caller->session);
    *ret = o;
    return 0;
}

void opening_free(struct opening *o) {
    if (!o)
        return;
    if (o->counted)
        atomic_fetch_sub(&openings, 1);
    cells_free(o->cells);
    binary_free(o->binary);
    remote_free(o->remote);
    buf_wipe(&o->held);
    free(o->sql);
    free(o);
}

const char *opening_format(const struct opening *o) {
    return o->ask;
}

int opening_hold(struct opening *o, const void *p, size_t len, struct http_why *why) {
    int rc = buf_append(&o->held, p, len);
    return rc == ERR_LIMIT ? http_say(why, rc, HTTP_TOO_LARGE,
                                      "a result that is to be opened may have %u MiB sealed: ask for fewer "
                                      "rows at a time",
                                      OPENING_HELD >> 20)
                           : rc;
}

/* ---- judging ---- */

static int refuse(struct opening *o, int rc, struct http_why *why) {
    const char *said = remote_why(o->remote);
    reply_vault(why, rc, said);
    return rc;
}

/* Steps over all values of a binary result. */
static int gather_binary(struct opening *o, struct buf *hashes, struct http_why *why) {
    struct binary *b;
    int rc = binary_new(&b, o->binary_format, 0, o->held.p, o->held.len, plan_gather, hashes, plan_discard,
                        NULL);
    if (rc == ERR_UNSUPPORTED)
        return http_say(why, rc, HTTP_NOT_IMPLEMENTED,
                        "the result has a column of a type that cannot be stepped over to open cells in %s; "
                        "use a text format, or cast it to String",
                        o->ask);
    while (!rc)
        rc = binary_step(b);
    if (rc == ERR_NOTFOUND) {
        rc = 0;
        binary_free(b);
    }
    return rc;
}

static int gather(struct opening *o, struct buf *hashes, struct http_why *why) {
    struct cells *cells;
    if (o->family == FORMAT_BINARY)
        return gather_binary(o, hashes, why);
    int rc = cells_new(&cells, o->family, plan_gather, hashes, plan_discard, NULL);
    if (rc)
        return rc;
    rc = cells_feed(cells, o->held.p, o->held.len);
    if (!rc)
        rc = cells_finish(cells);
    cells_free(cells);
    return rc;
}

int opening_begin(struct opening *o, struct http_why *why) {
    struct buf hashes;
    buf_init(&hashes, PLAN_BYTES);
    int rc = gather(o, &hashes, why);
    o->planned = hashes.len / 32;
    if (!rc && o->planned) {
        rc = remote_plan(o->remote, o->sql, o->sql_len, (const uint8_t(*)[32])hashes.p, o->planned);
        if (rc)
            refuse(o, rc, why);
    }
    if (!rc && o->family == FORMAT_BINARY)
        rc = binary_new(&o->binary, o->binary_format, o->protocol, o->held.p, o->held.len, remote_open,
                        o->remote, o->write, o->write_arg);
    else if (!rc)
        rc = cells_new(&o->cells, o->family, remote_open, o->remote, o->write, o->write_arg);
    buf_wipe(&hashes);
    o->begun = !rc;
    return rc;
}

bool opening_begun(const struct opening *o) {
    return o->begun;
}

/* ---- opening ---- */

/* Single cells stay as they are for reasons of their own (erased, another project's); these are of a whole
 * request, and after them nothing more opens. */
static int of_the_whole(const struct tally *t) {
    static const int codes[] = {ERR_LOCKED, ERR_PEER,     ERR_IO,     ERR_QUOTA,
                                ERR_DENIED, ERR_APPROVAL, ERR_NOMEM, ERR_UNAUTHENTICATED};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (tally_has(t, codes[i]))
            return codes[i];
    return 0;
}

static int next_binary(struct opening *o, struct http_why *why) {
    int rc = binary_step(o->binary);
    const int whole = of_the_whole(binary_tally(o->binary));
    return whole ? refuse(o, whole, why) : rc;
}

int opening_next(struct opening *o, struct http_why *why) {
    if (o->binary)
        return next_binary(o, why);
    const size_t left = o->held.len - o->at, n = left < PIECE ? left : PIECE;
    if (!n)
        return ERR_NOTFOUND;
    int rc = cells_feed(o->cells, o->held.p + o->at, n);
    o->at += n;
    if (!rc && (rc = of_the_whole(cells_tally(o->cells))) != 0)
        refuse(o, rc, why);
    return rc;
}

int opening_finish(struct opening *o, struct http_why *why) {
    if (o->binary)
        return 0; /* opening_next said that it was all */
    int rc = cells_finish(o->cells);
    if (!rc && (rc = of_the_whole(cells_tally(o->cells))) != 0)
        refuse(o, rc, why);
    return rc;
}

void opening_headers(const struct opening *o, struct MHD_Response *response) {
    char text[32];
    snprintf(text, sizeof text, "%zu", o->planned);
    MHD_add_response_header(response, "X-Safehouse-Cells", text);
}
