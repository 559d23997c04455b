/*
 * Decompressing a turn (codec.h): exactly one frame, whole, and no more text than `out` takes. The
 * bytes come out of an envelope that authenticated, yet they are parsed as if they did not.
 */
#include "codec/codec.h"
#include "codec/codec_int.h"

#include <zstd_errors.h>

#include "base/err.h"

#define STEP_BYTES (64u << 10) /* the least room to decompress into */

static const ZSTD_DDict *find_dictionary(uint8_t number) {
    static ZSTD_DDict *first;
    if (number != 1)
        return NULL;
    if (!first)
        first = ZSTD_createDDict(codec_dictionary_1,
                                 (size_t)(codec_dictionary_1_end - codec_dictionary_1));
    return first;
}

/* A buffer may have a little more memory than its ceiling. */
static size_t usable(const struct buf *out) {
    return out->cap < out->max ? out->cap : out->max;
}

/* Room for the next step: what is there, else as much again as there is text, up to the ceiling. */
static int make_room(struct buf *out) {
    size_t most = out->max - out->len;
    size_t want = out->len > STEP_BYTES ? out->len : STEP_BYTES;
    if (usable(out) > out->len)
        return 0;
    return most == 0 ? ERR_LIMIT : buf_reserve(out, want < most ? want : most);
}

static int decompress(ZSTD_DCtx *dctx, const void *p, size_t len, struct buf *out) {
    ZSTD_inBuffer in = {p, len, 0};
    for (;;) {
        int rc = make_room(out);
        if (rc)
            return rc;
        ZSTD_outBuffer to = {out->p, usable(out), out->len};
        size_t left = ZSTD_decompressStream(dctx, &to, &in);
        bool stuck = to.pos < to.size && in.pos == in.size; /* it wants more than there is */
        out->len = to.pos;
        if (ZSTD_isError(left))
            return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? ERR_NOMEM
                                                                           : ERR_CORRUPT;
        if (left == 0)
            return in.pos == in.size ? 0 : ERR_CORRUPT;
        if (stuck)
            return ERR_CORRUPT;
    }
}

int codec_decompress(uint8_t dictionary, const void *p, size_t len, struct buf *out) {
    if (dictionary == CODEC_STORED)
        return buf_append(out, p, len);
    const ZSTD_DDict *ddict = find_dictionary(dictionary);
    if (!ddict)
        return dictionary == CODEC_NEWEST ? ERR_NOMEM : ERR_VERSION;
    struct codec_memory memory = {0};
    ZSTD_DCtx *dctx = ZSTD_createDCtx_advanced((ZSTD_customMem){codec_alloc, codec_free, &memory});
    int rc = ERR_NOMEM;
    if (dctx && !ZSTD_isError(ZSTD_DCtx_refDDict(dctx, ddict)))
        rc = ZSTD_isError(ZSTD_DCtx_setParameter(dctx, ZSTD_d_format, ZSTD_f_zstd1_magicless))
                 ? ERR_INTERNAL
                 : decompress(dctx, p, len, out);
    ZSTD_freeDCtx(dctx); /* zeroes all of it */
    return rc;
}
