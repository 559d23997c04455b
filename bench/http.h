#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H
/*
 * Reads one HTTP/1.1 message at a time from pieces of any size: the head into a fixed buffer, the
 * body handed out as slices of the caller's own bytes. For the benchmark's two ends only: it is
 * correct about framing (RFC 9112, section 6) and strict, and knows no more of HTTP than that.
 *
 *   for (;;) switch (http_feed(&h, &p, &len, &slice)) {
 *       HTTP_MORE: all bytes taken, return and wait for more
 *       HTTP_HEAD: h.head is whole and ends with a zero byte; h.status, h.close are known
 *       HTTP_BODY: `slice` holds bytes of the body
 *       HTTP_DONE: the message ended, http_begin for the next one; p, len are what follows it
 *       HTTP_BAD:  not HTTP, or more than the ceiling
 *   }
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 4096

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };
enum http_step { HTTP_MORE, HTTP_HEAD, HTTP_BODY, HTTP_DONE, HTTP_BAD };

struct http_slice {
    const char *p;
    size_t len;
};

struct http {
    enum http_kind kind;
    int state;
    int status;       /* of a response */
    bool close;       /* the connection ends with this message */
    bool until_close; /* a response whose end is the connection's end */
    unsigned line;    /* bytes on the current line of a chunk's head or the trailer */
    uint64_t left;    /* of the body or the chunk */
    size_t head_len;
    char head[HTTP_HEAD_MAX + 1];
};

/* Forgets the last message and waits for the first byte of the next. */
void http_begin(struct http *h, enum http_kind kind);
/* Takes from *p, *len what one step needs. The slice borrows the caller's bytes. */
enum http_step http_feed(struct http *h, const char **p, size_t *len, struct http_slice *ret_body);
/* The connection ended: true when that is a clean end of the message. */
bool http_end_ok(const struct http *h);
/* No byte of this message came yet. */
bool http_untouched(const struct http *h);

#endif
