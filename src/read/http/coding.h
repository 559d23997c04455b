#ifndef HTTP_CODING_H
#define HTTP_CODING_H
/*
 * Content codings: gzip and deflate (zlib's, as HTTP means it) and zstd; a request's body is decoded as a
 * whole under its buffer's ceiling, an answer is encoded as it comes.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum http_coding {
    HTTP_IDENTITY,
    HTTP_GZIP,
    HTTP_DEFLATE,
    HTTP_ZSTD,
    HTTP_FRAMED, /* ClickHouse's own (framed.h), which no header tells of */
};

/* Appends to out. ERR_LIMIT: out's ceiling; ERR_SYNTAX: not in that coding, or cut short. */
int http_decode(enum http_coding coding, const void *p, size_t len, struct buf *out);

struct http_encoder;
/* HTTP_GZIP, HTTP_ZSTD or HTTP_FRAMED; ERR_UNSUPPORTED. */
int http_encoder_new(enum http_coding coding, struct http_encoder **ret);
void http_encoder_free(struct http_encoder *e); /* NULL-safe */
/* Appends what can be said already. `flush`: all of it, so that a client has it now. */
int http_encode(struct http_encoder *e, const void *p, size_t len, bool flush, struct buf *out);
int http_encode_end(struct http_encoder *e, struct buf *out);
/* "gzip", "zstd"; NULL: it is not said. */
const char *http_coding_name(enum http_coding coding);

#endif
