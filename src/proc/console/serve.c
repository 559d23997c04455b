/*
 * libmicrohttpd's part (console.h): a request comes in, in pieces, is taken to its parts, and goes to
 * whoever answers it. A thread a connection; nginx keeps none of them open.
 *
 *   uri() makes the exchange -> handle() once for the head, for each piece of the body, once at the end
 *   -> completed() wipes it
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"
#include "base/uuid.h"
#include "proc/console/api.h"
#include "proc/console/console.h"

#define HEAD_BYTES (320u << 10) /* of a request's line and headers: nginx lets 256 KiB through */
#define RAW_BODY_MAX (1u << 20) /* as nginx has it */
#define IDLE_S 75               /* a client that takes nothing; nginx gives up before */
#define STACK_BYTES (2u << 20) /* traces_wipe overwrites 512 KiB below its caller */

struct exchange {
    char *uri;
    bool begun, get, post, del;
    int rc;
    struct http_why why;
    struct http_request request;
    struct buf raw; /* the body as it comes */
};

static struct MHD_Daemon *server;

static void *uri(void *arg, const char *text, struct MHD_Connection *connection) {
    (void)arg, (void)connection;
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    http_request_init(&x->request);
    buf_init(&x->raw, RAW_BODY_MAX);
    x->uri = strdup(text);
    return x;
}

static void completed(void *arg, struct MHD_Connection *connection, void **mine,
                      enum MHD_RequestTerminationCode how) {
    struct exchange *x = *mine;
    (void)arg, (void)connection, (void)how;
    if (!x)
        return;
    http_request_done(&x->request);
    buf_wipe(&x->raw);
    if (x->uri)
        sodium_memzero(x->uri, strlen(x->uri));
    free(x->uri);
    sodium_memzero(x, sizeof *x);
    free(x);
    *mine = NULL;
}

/* ---- the head ---- */

static enum MHD_Result header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct exchange *x = arg;
    (void)kind;
    if (!x->rc)
        x->rc = http_request_header(&x->request, name, value ? value : "", &x->why);
    return MHD_YES;
}

static void begin(struct exchange *x, struct MHD_Connection *connection, const char *method) {
    const char *query = strchr(x->uri, '?');
    x->begun = true;
    x->get = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
    x->post = !strcmp(method, MHD_HTTP_METHOD_POST);
    x->del = !strcmp(method, MHD_HTTP_METHOD_DELETE);
    if (query && !strncmp(x->uri, "/api/", 5))
        x->rc = http_say(&x->why, ERR_SYNTAX, HTTP_BAD_ARGUMENTS,
                         "the JSON interface takes nothing behind a '?': put it into the body");
    else if (query)
        x->rc = http_request_url(&x->request, query + 1, strlen(query + 1), &x->why);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, header, x);
    if (!x->request.query_id[0]) {
        uint8_t id[UUID_BYTES];
        randombytes_buf(id, sizeof id);
        uuid_format(x->request.query_id, id);
    }
}

static void take_body(struct exchange *x, const char *p, size_t len) {
    if (!x->rc && buf_append(&x->raw, p, len))
        x->rc = http_say(&x->why, ERR_LIMIT, HTTP_QUERY_TOO_LARGE, "a request's body may have %u bytes",
                         RAW_BODY_MAX);
}

static void decode_body(struct exchange *x) {
    if (x->rc || !x->raw.len)
        return;
    struct buf framed; /* by decompress=1, within the Content-Encoding */
    const bool two = x->request.framed_body;
    buf_init(&framed, 2 * RAW_BODY_MAX);
    x->rc = http_decode(x->request.body_coding, x->raw.p, x->raw.len, two ? &framed : &x->request.body);
    if (!x->rc && two)
        x->rc = http_decode(HTTP_FRAMED, framed.p, framed.len, &x->request.body);
    buf_wipe(&framed);
    if (x->rc)
        http_say(&x->why, x->rc, x->rc == ERR_LIMIT ? HTTP_QUERY_TOO_LARGE : HTTP_CANNOT_DECOMPRESS,
                 x->rc == ERR_LIMIT ? "the request's body is too large when it is decoded"
                                    : "the request's body is not in its Content-Encoding, or (decompress=1) not in "
                                      "ClickHouse's framing");
}

/* ---- routes ---- */

static enum MHD_Result refuse(struct exchange *x, struct MHD_Connection *connection) {
    return reply_why(connection, &x->request, &x->why);
}

static enum MHD_Result statement(struct exchange *x, struct console *c, struct MHD_Connection *connection) {
    struct caller caller = {0};
    struct http_request *r = &x->request;
    if (!x->rc && http_request_foreign(r))
        x->rc = http_say(&x->why, ERR_DENIED, HTTP_ACCESS_DENIED, "not for pages of other sites");
    if (!x->rc)
        x->rc = http_request_finish(r, &x->why);
    if (!x->rc)
        x->rc = caller_find(c, &r->who, &caller, &x->why);
    if (!x->rc && !caller.reads)
        x->rc = http_say(&x->why, ERR_DENIED, HTTP_ACCESS_DENIED,
                         "%s: a grant as analyst or reader is needed; an admin gives it with: safehouse "
                         "person grant",
                         caller.name);
    if (!x->rc && !caller_enter(&caller)) {
        x->rc = http_say(&x->why, ERR_FULL, HTTP_TOO_MANY_QUERIES,
                         "%s runs %d statements already, which is as many as one may", caller.name,
                         CONSOLE_REQUESTS_PERSON);
        x->why.status = 429;
    }
    sodium_memzero(&r->who, sizeof r->who);
    if (x->rc) {
        caller_done(&caller);
        return refuse(x, connection);
    }
    return select_answer(c, connection, r, &caller);
}

static enum MHD_Result root(struct exchange *x, struct console *c, struct MHD_Connection *connection) {
    static const char ok[] = "Ok.\n";
    if (x->get && !strchr(x->uri, '?'))
        return reply_text(connection, 200, "text/html; charset=UTF-8", ok, sizeof ok - 1);
    if (x->get || x->post)
        return statement(x, c, connection);
    return reply_text(connection, 405, "text/plain; charset=UTF-8", "GET or POST\n", 12);
}

static enum MHD_Result route(struct exchange *x, struct console *c, struct MHD_Connection *connection,
                             const char *path) {
    static const char ok[] = "Ok.\n";
    char text[256];
    if (!strcmp(path, "/"))
        return root(x, c, connection);
    if (x->get && (!strcmp(path, "/ping") || !strcmp(path, "/replicas_status")))
        return reply_text(connection, 200, "text/html; charset=UTF-8", ok, sizeof ok - 1);
    if (!strncmp(path, "/api/", 5)) {
        const struct api_request q = {.path = path,
                                      .method = x->get ? "GET" : x->post ? "POST" : "DELETE",
                                      .request = &x->request,
                                      .rc = x->rc,
                                      .why = &x->why};
        return api_answer(c, connection, &q);
    }
    int n = snprintf(text, sizeof text,
                     "There is nothing here. Statements go to /, as with ClickHouse; /ping tells that the "
                     "console is there; /api/v1 is the JSON interface.\n");
    return reply_text(connection, 404, "text/plain; charset=UTF-8", text, (size_t)n);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **mine) {
    struct exchange *x = *mine;
    (void)version;
    if (!x || !x->uri)
        return MHD_NO;
    if (!x->begun) {
        begin(x, connection, method);
        return MHD_YES;
    }
    if (*upload_len) {
        take_body(x, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    decode_body(x);
    return route(x, arg, connection, path);
}

/* ---- life ---- */

static void panic(void *arg, const char *file, unsigned line, const char *reason) {
    (void)arg, (void)file, (void)reason;
    log_event("http-library-panic", LOG_U64("line", line), LOG_END);
    abort();
}

int serve_start(struct console *c) {
    MHD_set_panic_func(panic, NULL);
    server = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL,
                              0, NULL, NULL, handle, c,
                              MHD_OPTION_LISTEN_SOCKET, (MHD_socket)c->child.listen_fd,
                              MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONSOLE_REQUESTS,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                              MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
                              MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
                              MHD_OPTION_STRICT_FOR_CLIENT, 1,
                              MHD_OPTION_URI_LOG_CALLBACK, uri, NULL,
                              MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                              MHD_OPTION_END);
    return server ? 0 : ERR_IO;
}
