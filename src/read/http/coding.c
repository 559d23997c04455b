/* coding.h over zlib and libzstd. What passes may be opened content: the console has freed memory
 * overwritten (main.c), so these libraries' own buffers are. */
#include "read/http/coding.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/err.h"
#include "read/http/framed.h"

#define STEP 16384u
#define ZSTD_LEVEL 1
#define ZSTD_WINDOW_LOG_MAX 23 /* of a request: 8 MiB, beyond what its body may be */

/* ---- decoding ---- */

static int inflate_all(int window, const void *p, size_t len, struct buf *out) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)len};
    int state = inflateInit2(&z, window), rc = state == Z_OK ? 0 : ERR_NOMEM;
    if (rc)
        return rc;
    while (!rc && state != Z_STREAM_END) {
        rc = buf_reserve(out, STEP);
        if (rc)
            break;
        z.next_out = out->p + out->len;
        z.avail_out = STEP;
        state = inflate(&z, Z_NO_FLUSH);
        out->len += STEP - z.avail_out;
        if (state != Z_OK && state != Z_STREAM_END)
            rc = ERR_SYNTAX; /* Z_BUF_ERROR: the input ends too soon */
    }
    inflateEnd(&z);
    return rc;
}

static int zstd_all(const void *p, size_t len, struct buf *out) {
    ZSTD_DCtx *d = ZSTD_createDCtx();
    ZSTD_inBuffer in = {p, len, 0};
    size_t left = 1;
    int rc = d ? 0 : ERR_NOMEM;
    if (!rc && ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
        rc = ERR_INTERNAL;
    while (!rc && (left || in.pos < in.size)) {
        rc = buf_reserve(out, STEP);
        if (rc)
            break;
        ZSTD_outBuffer o = {out->p + out->len, STEP, 0};
        const size_t before = in.pos;
        left = ZSTD_decompressStream(d, &o, &in);
        out->len += o.pos;
        if (ZSTD_isError(left) || (left && in.pos == before && !o.pos))
            rc = ERR_SYNTAX;
    }
    ZSTD_freeDCtx(d);
    return rc;
}

int http_decode(enum http_coding coding, const void *p, size_t len, struct buf *out) {
    switch (coding) {
    case HTTP_IDENTITY:
        return buf_append(out, p, len);
    case HTTP_GZIP:
        return inflate_all(15 + 16, p, len, out);
    case HTTP_DEFLATE:
        return inflate_all(15, p, len, out);
    case HTTP_ZSTD:
        return zstd_all(p, len, out);
    case HTTP_FRAMED:
        return framed_decode(p, len, out);
    }
    return ERR_UNSUPPORTED;
}

/* ---- encoding ---- */

struct http_encoder {
    enum http_coding coding;
    z_stream z;
    ZSTD_CCtx *zstd;
    struct buf block; /* of HTTP_FRAMED: what it does not fill yet */
};

const char *http_coding_name(enum http_coding coding) {
    return coding == HTTP_GZIP ? "gzip" : coding == HTTP_ZSTD ? "zstd" : NULL;
}

int http_encoder_new(enum http_coding coding, struct http_encoder **ret) {
    struct http_encoder *e = calloc(1, sizeof *e);
    int rc = e ? 0 : ERR_NOMEM;
    if (!rc && coding == HTTP_GZIP)
        rc = deflateInit2(&e->z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : ERR_NOMEM;
    else if (!rc && coding == HTTP_ZSTD) {
        e->zstd = ZSTD_createCCtx();
        rc = e->zstd ? 0 : ERR_NOMEM;
        if (!rc)
            ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    } else if (!rc && coding == HTTP_FRAMED) {
        buf_init(&e->block, FRAMED_BLOCK);
        rc = buf_reserve(&e->block, FRAMED_BLOCK);
    } else if (!rc) {
        rc = ERR_UNSUPPORTED;
    }
    if (rc) {
        free(e);
        return rc;
    }
    e->coding = coding;
    *ret = e;
    return 0;
}

void http_encoder_free(struct http_encoder *e) {
    if (!e)
        return;
    if (e->coding == HTTP_GZIP)
        deflateEnd(&e->z);
    ZSTD_freeCCtx(e->zstd);
    buf_wipe(&e->block);
    free(e);
}

static int gzip_some(struct http_encoder *e, const void *p, size_t len, int flush, struct buf *out) {
    e->z.next_in = (Bytef *)(uintptr_t)p;
    e->z.avail_in = (uInt)len;
    for (;;) {
        int rc = buf_reserve(out, STEP);
        if (rc)
            return rc;
        e->z.next_out = out->p + out->len;
        e->z.avail_out = STEP;
        int state = deflate(&e->z, flush);
        out->len += STEP - e->z.avail_out;
        if (state == Z_STREAM_ERROR)
            return ERR_INTERNAL;
        if (e->z.avail_out && (flush != Z_FINISH || state == Z_STREAM_END))
            return 0;
    }
}

static int zstd_some(struct http_encoder *e, const void *p, size_t len, ZSTD_EndDirective end,
                     struct buf *out) {
    ZSTD_inBuffer in = {p, len, 0};
    for (;;) {
        int rc = buf_reserve(out, STEP);
        if (rc)
            return rc;
        ZSTD_outBuffer o = {out->p + out->len, STEP, 0};
        const size_t left = ZSTD_compressStream2(e->zstd, &o, &in, end);
        out->len += o.pos;
        if (ZSTD_isError(left))
            return ERR_INTERNAL;
        if (end == ZSTD_e_continue ? in.pos == in.size : !left)
            return 0;
    }
}

static int frame_some(struct http_encoder *e, const uint8_t *p, size_t len, bool flush, struct buf *out) {
    int rc = 0;
    while (!rc && (len || flush)) {
        const size_t room = FRAMED_BLOCK - e->block.len, n = len < room ? len : room;
        rc = buf_append(&e->block, p, n);
        p += n;
        len -= n;
        if (rc || (e->block.len < FRAMED_BLOCK && !flush))
            break;
        rc = framed_put(out, e->block.p, e->block.len);
        buf_clear(&e->block);
        if (!len)
            break;
    }
    return rc;
}

int http_encode(struct http_encoder *e, const void *p, size_t len, bool flush, struct buf *out) {
    if (e->coding == HTTP_FRAMED)
        return frame_some(e, p, len, flush, out);
    return e->coding == HTTP_GZIP ? gzip_some(e, p, len, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH, out)
                                  : zstd_some(e, p, len, flush ? ZSTD_e_flush : ZSTD_e_continue, out);
}

int http_encode_end(struct http_encoder *e, struct buf *out) {
    if (e->coding == HTTP_FRAMED)
        return frame_some(e, NULL, 0, true, out);
    return e->coding == HTTP_GZIP ? gzip_some(e, NULL, 0, Z_FINISH, out)
                                  : zstd_some(e, NULL, 0, ZSTD_e_end, out);
}
