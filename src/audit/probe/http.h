#ifndef AUDIT_PROBE_HTTP_H
#define AUDIT_PROBE_HTTP_H
/*
 * A small HTTP/1.1 client (RFC 9112) for hostile servers: one request a connection, no redirects,
 * no compression, ceilings on headers and body; what is beyond them is not read. Interim answers
 * (1xx) before the answer are passed over.
 */
#include <stdbool.h>
#include <stddef.h>

#include "audit/probe/conn.h"

#define HTTP_HEAD_MAX (16u << 10)
#define HTTP_BODY_MAX (64u << 10)

struct http_answer {
    int status;     /* 100..999; 0: what came is no HTTP */
    bool truncated; /* the body goes on */
    size_t head_len, body_len;
    char head[HTTP_HEAD_MAX + 1]; /* status line and headers, NUL-ended */
    char body[HTTP_BODY_MAX + 1]; /* chunks joined, NUL-ended */
};

struct http_request {
    const char *method, *path;
    const char *headers;     /* more of them, each with its CRLF; NULL: none */
    const char *body, *type; /* NULL: none */
};

/* Sends a request on an open connection and reads the answer; `wait_ms`: of each silence, much less
 * once it is clear that this is no HTTP. False: nothing came. What came that is no HTTP stands in
 * `head`, with status 0. */
bool http_ask(struct conn *c, const struct conn_pair *pair, const struct http_request *q,
              unsigned wait_ms, struct http_answer *ret);
#define HTTP_HOST_MAX 64
/* The pair as the Host header names it: "10.0.0.1:8123", "[::1]:8123". */
void http_host(const struct conn_pair *pair, char out[static HTTP_HOST_MAX]);
/* Copies a header's value; false (and "") when there is none. */
bool http_header(const struct http_answer *a, const char *name, char *out, size_t size);
/* Fills *a from raw bytes, as http_ask does from a connection: for tests and the fuzz target. */
void http_parse(struct http_answer *a, const char *raw, size_t len);

#endif
