/*
 * A statement (console.h): sent to the store on a channel of its own, and its frames made to the bytes of
 * an answer, as libmicrohttpd asks for them. So the store is not faster than the client takes what comes,
 * and a client that leaves closes the channel, which cancels the statement.
 *
 * The first bytes wait: an answer that ends before PREFETCH bytes is sent as a whole, with its status and
 * what it cost; a longer one begins, and what fails later is said in its midst.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/traces.h"
#include "proc/console/console.h"
#include "proc/console/opening.h"
#include "proc/console/select.h"
#include "read/query/native.h"

#define PREFETCH (256u << 10)
#define WHOLE_MAX (64u << 20)    /* of an answer with wait_end_of_query */
#define OUT_MAX (512ull << 20)   /* a group of opened cells, escaped; otherwise a frame */
#define BLOCK (128u << 10)       /* that libmicrohttpd takes at once */

struct cost {
    uint64_t read_rows, read_bytes, rows, bytes, ns;
};

struct answer {
    struct console *console;
    struct caller caller;
    struct peer *store;
    int client_fd;
    struct opening *opening; /* NULL: cells stay sealed */
    struct native *native;   /* NULL: as the store gives it */
    struct http_encoder *encoder;
    struct buf out;
    size_t out_at;
    bool ended, broken; /* broken: said in the answer's midst */
    int rc;
    struct http_why why;
    struct cost cost;
    char tag[HTTP_TAG_CHARS + 1];
};

static void answer_free(void *arg) {
    struct answer *a = arg;
    peer_free(a->store);
    opening_free(a->opening);
    native_free(a->native);
    http_encoder_free(a->encoder);
    buf_wipe(&a->out);
    caller_leave(&a->caller);
    caller_done(&a->caller);
    sodium_memzero(a, sizeof *a);
    free(a);
    traces_wipe();
}

/* ---- the statement ---- */

static int put_s16(struct buf *b, const char *p, size_t len) {
    uint8_t head[2];
    put_u16(head, (uint16_t)len);
    int rc = len > UINT16_MAX ? ERR_LIMIT : buf_append(b, head, 2);
    return rc ? rc : buf_append(b, p, len);
}

static int put_s32(struct buf *b, const char *p, size_t len) {
    uint8_t head[4];
    put_u32(head, (uint32_t)len);
    int rc = buf_append(b, head, 4);
    return rc ? rc : buf_append(b, p, len);
}

static int put_projects(struct buf *b, const struct caller *c) {
    uint8_t head[2];
    put_u16(head, c->all ? 0xffff : (uint16_t)c->projects);
    int rc = buf_append(b, head, 2);
    for (unsigned i = 0; !rc && !c->all && i < c->projects; i++) {
        rc = buf_append_u8(b, (uint8_t)strlen(c->project[i]));
        if (!rc)
            rc = buf_append_str(b, c->project[i]);
    }
    return rc;
}

static int put_parameters(struct buf *b, const struct http_request *r) {
    const char *name, *value;
    size_t at = 0, name_len, value_len, where = b->len;
    unsigned n = 0;
    int rc = buf_append(b, "\0\0", 2);
    while (!rc && http_request_parameter(r, &at, &name, &name_len, &value, &value_len)) {
        rc = put_s16(b, name, name_len);
        if (!rc)
            rc = put_s32(b, value, value_len);
        n++;
    }
    if (!rc)
        put_u16(b->p + where, (uint16_t)n);
    return rc;
}

int select_send(struct peer *store, const struct caller *c, const struct http_request *r,
                const char *format, const char *sql, size_t sql_len) {
    struct buf b;
    uint8_t head[13] = {0};
    buf_init(&b, LIMIT_CONSOLE_QUERY);
    put_u32(head + 1, r ? r->settings.seconds_max : 0);
    put_u64(head + 5, r ? r->settings.rows_max : 0);
    int rc = buf_append(&b, head, sizeof head);
    if (!rc)
        rc = put_s16(&b, r ? r->database : "", r ? r->database_len : 0);
    if (!rc)
        rc = put_s16(&b, format, strlen(format));
    if (!rc)
        rc = put_projects(&b, c);
    if (!rc)
        rc = r ? put_parameters(&b, r) : buf_append(&b, "\0\0", 2);
    if (!rc)
        rc = put_s32(&b, sql, sql_len);
    if (!rc)
        rc = peer_send(store, MSG_CONSOLE_QUERY, b.p, b.len, -1);
    if (!rc)
        rc = peer_flush_wait(store, CONSOLE_ANSWER_MS);
    buf_wipe(&b);
    return rc;
}

/* ---- its frames ---- */

/* cells_write, and what everything that goes out goes through. */
static int write_out(void *arg, const void *p, size_t len) {
    struct answer *a = arg;
    return a->encoder ? http_encode(a->encoder, p, len, false, &a->out) : buf_append(&a->out, p, len);
}

/* i32 code | u32 ClickHouse's code | u64 rows read | u64 bytes | u64 rows | u64 bytes | u64 ns | s16 text */
static int take_result(struct answer *a, const struct frame *f) {
    if (f->len < 50 || f->len - 50 != get_u16(f->p + 48))
        return ERR_SYNTAX;
    const uint32_t code = get_u32(f->p + 4);
    int rc = (int)(int32_t)get_u32(f->p);
    a->cost = (struct cost){get_u64(f->p + 8), get_u64(f->p + 16), get_u64(f->p + 24), get_u64(f->p + 32),
                            get_u64(f->p + 40)};
    if (!rc)
        return 0;
    http_say(&a->why, rc, code ? code : http_code_of(rc), "%.*s", (int)get_u16(f->p + 48),
             (const char *)f->p + 50);
    if (rc == ERR_FULL || rc == ERR_QUOTA)
        a->why.status = (unsigned)err_http_status(rc);
    return rc;
}

static void fail(struct answer *a, int rc) {
    if (!a->why.code)
        http_say(&a->why, rc, http_code_of(rc), "%s",
                 rc == ERR_PEER ? "the store does not answer" : err_text(rc));
    a->rc = rc;
    a->ended = true;
}

/* What the opening still holds, and the coding's end. */
static int finish(struct answer *a) {
    int rc = a->opening ? opening_finish(a->opening, &a->why) : a->native ? native_finish(a->native) : 0;
    if (!rc && a->encoder)
        rc = http_encode_end(a->encoder, &a->out);
    a->ended = true;
    return rc;
}

static int take_data(struct answer *a, const struct frame *f) {
    if (a->opening)
        return opening_hold(a->opening, f->p, f->len, &a->why);
    int rc = a->native ? native_feed(a->native, f->p, f->len, f->len < LIMIT_DATA_PIECE) : write_out(a, f->p, f->len);
    return rc == ERR_UNSUPPORTED
               ? http_say(&a->why, rc, HTTP_NOT_IMPLEMENTED,
                          "the result has a column of a type that is not known in Native of this client_protocol_version; "
                          "cast it to String")
               : rc;
}

/* One frame further. */
static void step(struct answer *a) {
    struct frame f;
    bool left = false;
    int rc;
    if (a->opening && opening_begun(a->opening)) {
        rc = opening_next(a->opening, &a->why);
        if (rc == ERR_NOTFOUND)
            rc = finish(a);
        if (rc)
            fail(a, rc);
        return;
    }
    rc = ask_frame(a->store, a->client_fd, &f, &left);
    if (!rc && f.msg == MSG_DATA) {
        rc = take_data(a, &f);
    } else if (!rc && f.msg == MSG_RESULT) {
        rc = take_result(a, &f);
        if (!rc)
            rc = a->opening ? opening_begin(a->opening, &a->why) : finish(a);
    } else if (!rc) {
        rc = ERR_DENIED;
    }
    if (rc)
        fail(a, rc);
}

/* ---- to the client ---- */

/* What failed after the answer had begun. */
static void say_inside(struct answer *a) {
    struct buf text;
    buf_init(&text, 8192);
    int rc = http_put_exception_inside(&text, &a->why, a->tag);
    if (!rc)
        rc = a->encoder ? http_encode(a->encoder, text.p, text.len, true, &a->out)
                        : buf_append(&a->out, text.p, text.len);
    buf_wipe(&text);
    a->broken = true;
}

static ssize_t read_answer(void *arg, uint64_t pos, char *p, size_t max) {
    struct answer *a = arg;
    (void)pos;
    while (a->out_at == a->out.len && !a->ended) {
        buf_clear(&a->out);
        a->out_at = 0;
        step(a);
        if (a->ended && a->rc)
            say_inside(a);
    }
    const size_t left = a->out.len - a->out_at, n = left < max ? left : max;
    if (!n)
        return a->broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    memcpy(p, a->out.p + a->out_at, n);
    a->out_at += n;
    return (ssize_t)n;
}

static const char *content_type(const struct http_request *r) {
    const char *f = r->format;
    if (r->family == FORMAT_BINARY)
        return "application/octet-stream";
    if (r->family == FORMAT_CSV)
        return strcmp(f, "CSV") ? "text/csv; charset=UTF-8; header=present"
                                : "text/csv; charset=UTF-8; header=absent";
    if (r->family == FORMAT_TSV || !strcmp(f, "TabSeparatedRaw") || !strcmp(f, "TSVRaw"))
        return "text/tab-separated-values; charset=UTF-8";
    if (r->family == FORMAT_JSON)
        return strstr(f, "EachRow") || strstr(f, "Lines") || !strcmp(f, "NDJSON")
                   ? "application/x-ndjson; charset=UTF-8"
                   : "application/json; charset=UTF-8";
    return "text/plain; charset=UTF-8";
}

static void add_summary(struct MHD_Response *response, const struct cost *c) {
    char text[320];
    snprintf(text, sizeof text,
             "{\"read_rows\":\"%llu\",\"read_bytes\":\"%llu\",\"written_rows\":\"0\",\"written_bytes\":\"0\","
             "\"total_rows_to_read\":\"0\",\"result_rows\":\"%llu\",\"result_bytes\":\"%llu\","
             "\"elapsed_ns\":\"%llu\"}",
             (unsigned long long)c->read_rows, (unsigned long long)c->read_bytes,
             (unsigned long long)c->rows, (unsigned long long)c->bytes, (unsigned long long)c->ns);
    MHD_add_response_header(response, "X-ClickHouse-Summary", text);
}

static enum MHD_Result begin(struct answer *a, struct MHD_Connection *connection,
                             const struct http_request *r) {
    const uint64_t size = a->ended ? a->out.len : MHD_SIZE_UNKNOWN;
    struct MHD_Response *response =
        MHD_create_response_from_callback(size, BLOCK, read_answer, a, answer_free);
    if (!response) {
        answer_free(a);
        return MHD_NO;
    }
    reply_headers(response, r);
    add_summary(response, &a->cost);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type(r));
    if (a->encoder && http_coding_name(http_request_coding(r)))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING,
                                http_coding_name(http_request_coding(r)));
    if (!a->ended)
        MHD_add_response_header(response, "X-ClickHouse-Exception-Tag", a->tag);
    if (a->opening)
        opening_headers(a->opening, response);
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* Runs until the answer can begin. */
static int prepare(struct answer *a, const struct http_request *r) {
    const size_t until = r->settings.wait_end ? WHOLE_MAX : PREFETCH;
    int rc = edges_channel(a->console->edges, IPC_STORE, &a->store);
    if (!rc && http_request_coding(r) != HTTP_IDENTITY)
        rc = http_encoder_new(http_request_coding(r), &a->encoder);
    if (!rc && r->open)
        rc = opening_new(a->console, &a->caller, r, write_out, a, &a->opening, &a->why);
    if (!rc && !r->open && native_differs(r->format, r->settings.protocol))
        rc = native_new(&a->native, r->settings.protocol, write_out, a);
    if (!rc)
        rc = select_send(a->store, &a->caller, r, a->opening ? opening_format(a->opening) : r->format,
                         (const char *)r->sql.p, r->sql.len);
    if (rc)
        fail(a, rc);
    while (!a->ended && a->out.len < until)
        step(a);
    if (!a->ended && r->settings.wait_end)
        fail(a, http_say(&a->why, ERR_LIMIT, HTTP_TOO_LARGE,
                         "the result is larger than %u MiB, which wait_end_of_query can hold; leave it out",
                         WHOLE_MAX >> 20));
    return a->rc;
}

enum MHD_Result select_answer(struct console *c, struct MHD_Connection *connection,
                              struct http_request *r, struct caller *caller) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct answer *a = calloc(1, sizeof *a);
    uint8_t tag[HTTP_TAG_CHARS / 2];
    if (!a) {
        caller_leave(caller);
        caller_done(caller);
        return MHD_NO;
    }
    a->console = c;
    a->caller = *caller;
    sodium_memzero(caller, sizeof *caller);
    a->client_fd = info ? info->connect_fd : -1;
    buf_init(&a->out, OUT_MAX);
    randombytes_buf(tag, sizeof tag);
    hex_encode(a->tag, tag, sizeof tag);
    if (!prepare(a, r))
        return begin(a, connection, r);
    enum MHD_Result result = reply_why(connection, r, &a->why);
    answer_free(a);
    return result;
}
