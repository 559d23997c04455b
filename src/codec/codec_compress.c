/*
 * Compressing a turn (codec.h). One zstd frame in the format without magic number, and with neither
 * content size, checksum nor dictionary id in it: the envelope names the dictionary and
 * authenticates the whole, so a short turn need not pay for them.
 *
 * Making a zstd context costs more than compressing a short turn, so contexts are kept, one for
 * each power of two of the text's size: a context's workspace grows with the largest text that it
 * saw, and all of it is zeroed after each text. (A zeroed workspace is as good as a new one: zstd
 * takes tables of zeros for empty, and sets up everything else at the beginning of a frame.) For
 * long texts a context is made and freed. The digested dictionary stays; it holds no text of
 * anybody.
 *
 * The sealer has one thread; these are its contexts.
 */
#include "codec/codec.h"
#include "codec/codec_int.h"

#include "base/err.h"

/* By `make bench-sealer`: against 3, rows are 3 to 7 % smaller for a tenth more of the sealer's
 * time; 9 takes 30 to 50 % more of it for another 2 to 6 %. */
#define LEVEL 5
#define KEPT_SMALLEST 1024u
#define KEPT 5 /* for texts of up to 1, 2, 4, 8, 16 KiB */

struct context {
    struct codec_memory memory;
    ZSTD_CCtx *cctx;
};

static const ZSTD_CDict *newest_dictionary(void) {
    static ZSTD_CDict *cdict;
    if (!cdict)
        cdict = ZSTD_createCDict(codec_dictionary_1,
                                 (size_t)(codec_dictionary_1_end - codec_dictionary_1), LEVEL);
    return cdict;
}

static int set(ZSTD_CCtx *cctx, ZSTD_cParameter p, int value) {
    return ZSTD_isError(ZSTD_CCtx_setParameter(cctx, p, value)) ? ERR_INTERNAL : 0;
}

static int begin(struct context *c) {
    const ZSTD_CDict *dictionary = newest_dictionary();
    if (c->cctx)
        return 0;
    c->cctx = ZSTD_createCCtx_advanced((ZSTD_customMem){codec_alloc, codec_free, &c->memory});
    if (!c->cctx || !dictionary || ZSTD_isError(ZSTD_CCtx_refCDict(c->cctx, dictionary)))
        return ERR_NOMEM;
    int rc = set(c->cctx, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    if (!rc)
        rc = set(c->cctx, ZSTD_c_contentSizeFlag, 0);
    if (!rc)
        rc = set(c->cctx, ZSTD_c_checksumFlag, 0);
    if (!rc)
        rc = set(c->cctx, ZSTD_c_dictIDFlag, 0);
    return rc;
}

static void end(struct context *c) {
    ZSTD_freeCCtx(c->cctx);
    c->cctx = NULL;
}

/* A frame that is no shorter than the text is as good as none. */
static int compress(ZSTD_CCtx *cctx, struct buf *out, const void *p, size_t len,
                    uint8_t *ret_dictionary) {
    int rc = buf_reserve(out, ZSTD_compressBound(len));
    if (rc)
        return rc;
    size_t n = ZSTD_compress2(cctx, out->p + out->len, out->cap - out->len, p, len);
    if (ZSTD_isError(n))
        return ERR_NOMEM; /* with room and parameters given, nothing else can be missing */
    *ret_dictionary = n < len ? CODEC_NEWEST : CODEC_STORED;
    if (n < len) {
        out->len += n;
        return 0;
    }
    explicit_bzero(out->p + out->len, n);
    return buf_append(out, p, len);
}

int codec_compress(struct buf *out, const void *p, size_t len, uint8_t *ret_dictionary) {
    static struct context kept[KEPT];
    struct context once = {0}, *c = kept;
    for (size_t most = KEPT_SMALLEST; c < kept + KEPT && len > most; most *= 2)
        c++;
    if (c == kept + KEPT)
        c = &once;
    int rc = begin(c);
    if (!rc)
        rc = compress(c->cctx, out, p, len, ret_dictionary);
    codec_wipe(&c->memory);
    if (rc || c == &once)
        end(c);
    return rc;
}
