/*
 * `safehouse show`: one exchange, or all of its conversation, as it was sent and answered.
 *
 * The way: the id, or the beginning of one -> its row of `interactions` (clear columns) -> the
 * turns of its conversation, opened as far as they are needed (read/query/history.h) -> text. What
 * is said of the content comes from the sealed cells; the row adds what is in clear columns only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/read.h"
#include "proc/cli/session.h"
#include "read/query/history.h"

#define PREFIX_MIN 6 /* characters of an id's beginning */
#define ROW_BYTES (64u << 10)
#define TEXT_BYTES (4ull * LIMIT_TURN_PLAIN) /* of one exchange, shown */

struct show {
    const char *dir, *reason;
    bool json, all;
    struct cli_session session;
    struct remote *remote;
    struct out out;
};

/* ---- clear columns ---- */

#define ROW_COLUMNS                                                                                \
    "id, conversation, parent, time, project, model, status, outcome, stored, tokens_input,"       \
    " tokens_output, duration_us, streamed"
enum row_field {
    ROW_ID,
    ROW_CONVERSATION,
    ROW_PARENT,
    ROW_TIME,
    ROW_PROJECT,
    ROW_MODEL,
    ROW_STATUS,
    ROW_OUTCOME,
    ROW_STORED,
    ROW_INPUT,
    ROW_OUTPUT,
    ROW_DURATION,
    ROW_STREAMED,
    ROW_FIELDS,
};

struct row {
    struct buf text; /* the fields' memory: one line, tabs turned into zeros */
    const char *field[ROW_FIELDS];
    uint8_t id[UUID_BYTES], conversation[UUID_BYTES];
};

/* The newest of the rows that a condition finds, at most two are asked for. ERR_NOTFOUND,
 * ERR_EXISTS: there is another one. */
static int find_row(struct show *s, const char *where, bool only_one, struct row *ret) {
    char sql[512];
    buf_clear(&ret->text);
    snprintf(sql, sizeof sql,
             "SELECT " ROW_COLUMNS " FROM interactions WHERE %s"
             " ORDER BY time DESC, id DESC LIMIT %d",
             where, only_one ? 2 : 1);
    int rc = remote_query_whole(s->remote, "TabSeparated", sql, &ret->text);
    if (rc)
        return rc;
    char *p = (char *)ret->text.p, *eol = ret->text.len ? memchr(p, '\n', ret->text.len) : NULL;
    if (!eol)
        return ERR_NOTFOUND;
    if ((size_t)(eol + 1 - p) < ret->text.len)
        return ERR_EXISTS;
    *eol = 0;
    for (size_t i = 0; i < ROW_FIELDS; i++) {
        if (!p)
            return ERR_CORRUPT;
        ret->field[i] = strsep(&p, "\t");
    }
    if (!uuid_parse(ret->id, ret->field[ROW_ID], UUID_TEXT) ||
        !uuid_parse(ret->conversation, ret->field[ROW_CONVERSATION], UUID_TEXT))
        return ERR_CORRUPT;
    return 0;
}

static bool id_characters(const char *p) {
    return strspn(p, "0123456789abcdefABCDEF-") == strlen(p);
}

/* CLI_GO, or the exit code after it said what is wrong. */
static int find_id(struct show *s, const char *word, struct row *ret) {
    char where[160];
    uint8_t id[UUID_BYTES];
    size_t len = strlen(word);
    bool whole = len == UUID_TEXT && uuid_parse(id, word, UUID_TEXT);
    if (!whole && (len < PREFIX_MIN || len >= UUID_TEXT || !id_characters(word)))
        return cli_fail(CLI_USAGE,
                        "take it from the answer's header x-safehouse-id, or from safehouse tail",
                        "%.60s is no interaction's id", word);
    snprintf(where, sizeof where, whole ? "id = '%s'" : "startsWith(toString(id), lower('%s'))",
             word);
    int rc = find_row(s, where, true, ret);
    if (rc == ERR_NOTFOUND) {
        snprintf(where, sizeof where,
                 whole ? "conversation = '%s'" : "startsWith(toString(conversation), lower('%s'))",
                 word);
        rc = find_row(s, where, false, ret);
    }
    if (rc == ERR_NOTFOUND)
        return cli_fail(
            CLI_USAGE,
            "a new one is stored within seconds of its end, and safehouse tail lists them",
            "there is no interaction and no conversation %s", word);
    if (rc == ERR_EXISTS)
        return cli_fail(CLI_USAGE, "give more of it", "several interactions begin with %s", word);
    return rc ? read_fail(s->remote, s->dir, rc) : CLI_GO;
}

/* ---- for a person ---- */

static int put_header(struct buf *out, const struct row *r, const struct turn *t) {
    const char *const *f = r->field;
    int rc = buf_printf(out, "interaction %s\nconversation %s\n", f[ROW_ID], f[ROW_CONVERSATION]);
    if (!rc)
        rc = buf_printf(out, "%s UTC  %s  %s  ", f[ROW_TIME], f[ROW_PROJECT],
                        *f[ROW_MODEL] ? f[ROW_MODEL] : "-");
    if (!rc && t)
        rc = buf_printf(out, "%u %s%s", t->status, t->outcome, t->streamed ? " streamed" : "");
    else if (!rc)
        rc = buf_printf(out, "%s %s", f[ROW_STATUS], f[ROW_OUTCOME]);
    return rc ? rc
              : buf_printf(out, "  %s+%s tokens  %.3f s\n", f[ROW_INPUT], f[ROW_OUTPUT],
                           strtod(f[ROW_DURATION], NULL) / 1e6);
}

/* ---- for a program ---- */

static int put_text_member(struct buf *out, const char *name, const char *text) {
    int rc = buf_printf(out, "%s\"%s\":\"", out->len > 1 ? "," : "", name);
    if (!rc)
        rc = jv_escape(out, text, strlen(text));
    return rc ? rc : buf_append_u8(out, '"');
}

static int put_id_member(struct buf *out, const char *name, const uint8_t id[UUID_BYTES]) {
    char text[UUID_TEXT + 1];
    uuid_format(text, id);
    return uuid_is_zero(id) ? buf_printf(out, ",\"%s\":null", name)
                            : buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

/* What the sealed turn says of the exchange. */
static int put_sealed(struct buf *out, const struct history *h, size_t i,
                      const struct exchange *e) {
    const struct turn *t = e->last;
    int rc = put_id_member(out, "parent", history_parent(h, i));
    if (!rc)
        rc = buf_printf(out, ",\"kept\":%u,\"status\":%u,\"streamed\":%s", t->kept, t->status,
                        t->streamed ? "true" : "false");
    if (!rc)
        rc = put_text_member(out, "outcome", t->outcome);
    if (!rc)
        rc = buf_append_str(out, ",\"request\":");
    if (!rc)
        rc = exchange_request(e, out);
    if (!rc)
        rc = buf_append_str(out, ",\"response\":");
    if (!rc)
        rc = exchange_response(e, out);
    return rc ? rc : exchange_rest(e, out);
}

/* Nothing was sealed of it: what the clear columns say. */
static int put_unsealed(struct buf *out, const struct row *r) {
    int rc = buf_printf(out, ",\"parent\":null,\"kept\":0,\"status\":%lu,\"streamed\":%s",
                        strtoul(r->field[ROW_STATUS], NULL, 10), r->field[ROW_STREAMED]);
    if (!rc)
        rc = put_text_member(out, "outcome", r->field[ROW_OUTCOME]);
    return rc ? rc : buf_append_str(out, ",\"request\":null,\"response\":null");
}

static int put_clear(struct buf *out, const struct row *r) {
    static const struct {
        const char *name;
        enum row_field field;
    } texts[] = {{"id", ROW_ID},
                 {"conversation", ROW_CONVERSATION},
                 {"project", ROW_PROJECT},
                 {"model", ROW_MODEL},
                 {"stored", ROW_STORED}};
    char when[READ_TIME];
    read_time(when, r->field[ROW_TIME]);
    int rc = buf_append_u8(out, '{');
    if (!rc)
        rc = put_text_member(out, "time", when);
    for (size_t i = 0; !rc && i < sizeof texts / sizeof texts[0]; i++)
        rc = put_text_member(out, texts[i].name, r->field[texts[i].field]);
    return rc ? rc
              : buf_printf(out, ",\"tokens_input\":%lu,\"tokens_output\":%lu,\"duration_us\":%lu",
                           strtoul(r->field[ROW_INPUT], NULL, 10),
                           strtoul(r->field[ROW_OUTPUT], NULL, 10),
                           strtoul(r->field[ROW_DURATION], NULL, 10));
}

/* Between JSON's tokens only: inside strings there are no line ends. */
static void join_lines(struct buf *b) {
    for (size_t i = 0; i < b->len; i++)
        if (b->p[i] == '\n' || b->p[i] == '\r')
            b->p[i] = ' ';
}

/* ---- one exchange ---- */

/* `h` NULL: nothing of it was sealed. `from`: the first message that is shown to a person. */
static int print_exchange(struct show *s, const struct row *r, const struct history *h, size_t i,
                          const struct exchange *e, size_t from) {
    struct buf b;
    int rc;
    buf_init(&b, TEXT_BYTES);
    if (s->json) {
        rc = put_clear(&b, r);
        if (!rc)
            rc = h ? put_sealed(&b, h, i, e) : put_unsealed(&b, r);
        if (!rc)
            rc = buf_append_u8(&b, '}');
        join_lines(&b);
        if (!rc)
            rc = buf_append_u8(&b, '\n');
    } else {
        rc = put_header(&b, r, h ? e->last : NULL);
        if (!rc)
            rc = h ? exchange_render(e, from, &b)
                   : buf_printf(&b, "\n  [no content: %s]\n", r->field[ROW_STORED]);
    }
    if (!rc)
        rc = out_write(&s->out, b.p, b.len);
    buf_wipe(&b);
    return rc;
}

static int show_turn(struct show *s, struct history *h, size_t i, const struct row *r,
                     bool new_only) {
    struct exchange e;
    size_t kept;
    int rc = history_exchange(h, i, &e, &kept);
    if (rc)
        return rc;
    rc = print_exchange(s, r, h, i, &e, new_only ? kept : 0);
    exchange_done(&e);
    return rc;
}

/* Every exchange of the conversation, by time; of each, what earlier ones have not shown. */
static int show_conversation(struct show *s, struct history *h) {
    struct row r;
    char id[UUID_TEXT + 1], where[64];
    int rc = 0;
    buf_init(&r.text, ROW_BYTES);
    for (size_t i = 0; !rc && i < history_count(h); i++) {
        uuid_format(id, history_id(h, i));
        snprintf(where, sizeof where, "id = '%s'", id);
        rc = find_row(s, where, true, &r);
        if (!rc && i > 0 && !s->json)
            rc = out_write(&s->out, "\n----\n", 6);
        if (!rc)
            rc = show_turn(s, h, i, &r, true);
    }
    buf_wipe(&r.text);
    return rc;
}

static int show_row(struct show *s, const struct row *r) {
    struct history *h;
    if (strcmp(r->field[ROW_STORED], "turn") != 0)
        return print_exchange(s, r, NULL, 0, NULL, 0);
    int rc = history_load(&h, s->remote, r->conversation);
    if (rc)
        return rc;
    long i = history_find(h, r->id);
    if (i < 0)
        rc = (int)i;
    else
        rc = s->all ? show_conversation(s, h) : show_turn(s, h, (size_t)i, r, false);
    history_free(h);
    return rc;
}

static int run(struct show *s, const char *word) {
    struct row r;
    int rc = remote_new(&s->remote, s->dir, s->reason);
    if (rc)
        return cli_fail_err(rc, NULL, "starting");
    read_harden();
    if (s->session.there)
        remote_session(s->remote, s->session.token);
    out_init(&s->out);
    buf_init(&r.text, ROW_BYTES);
    int code = find_id(s, word, &r);
    if (code == CLI_GO) {
        rc = show_row(s, &r);
        int wrote = out_finish(&s->out);
        if (rc == ERR_NOTFOUND)
            code = cli_fail(CLI_INCOMPLETE, NULL,
                            "its turns, or the data keys that open them, are not in the store");
        else
            code = rc || wrote ? read_fail(s->remote, s->dir, rc ? rc : wrote) : CLI_DONE;
    }
    buf_wipe(&r.text);
    remote_free(s->remote);
    return code;
}

int cli_show(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse show INTERACTION --reason TEXT [--dir D] [--json] [--all] [--token-file F]",
        "Shows one interaction as it was sent and answered, with the whole history that was sent "
        "with\n"
        "it. INTERACTION is its id, the beginning of one, or a conversation's id, which shows the\n"
        "newest of it. The vault notes who read what and why before it opens anything."};
    struct show s = {.dir = CLI_DIR_DEFAULT};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &s.dir, .help = CLI_DIR_HELP},
        {"--reason", "TEXT", .text = &s.reason, .help = "why; it goes into the ledger"},
        {"--json", NULL, .flag = &s.json, .help = "one object: request, response and the facts"},
        CLI_SESSION_OPTION(s.session),
        {"--all", NULL, .flag = &s.all, .help = "every exchange of its conversation, branches too"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO)
        code = read_check_reason(s.reason);
    if (code == CLI_GO)
        code = cli_need_installation(s.dir);
    if (code == CLI_GO)
        code = session_load(s.dir, &s.session);
    if (code == CLI_GO)
        code = run(&s, argv[1]);
    session_wipe(&s.session);
    return code;
}
