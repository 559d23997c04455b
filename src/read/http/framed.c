/* framed.h over liblz4 and libzstd. */
#include "read/http/framed.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/http/cityhash.h"

#define NONE 0x02
#define LZ4 0x82
#define ZSTD 0x90
#define HEAD 9 /* method and sizes */

int framed_put(struct buf *out, const uint8_t *p, size_t len) {
    const int room = LZ4_compressBound(FRAMED_BLOCK);
    CHECK(len <= FRAMED_BLOCK);
    if (!len)
        return 0;
    int rc = buf_reserve(out, CITYHASH_BYTES + HEAD + (size_t)room);
    if (rc)
        return rc;
    uint8_t *head = out->p + out->len + CITYHASH_BYTES;
    const int n = LZ4_compress_default((const char *)p, (char *)head + HEAD, (int)len, room);
    CHECK(n > 0); /* there is room for the worst */
    head[0] = LZ4;
    put_u32(head + 1, HEAD + (uint32_t)n);
    put_u32(head + 5, (uint32_t)len);
    cityhash_128(head, HEAD + (size_t)n, head - CITYHASH_BYTES);
    out->len += CITYHASH_BYTES + HEAD + (size_t)n;
    return 0;
}

static int unpack(uint8_t method, const uint8_t *p, size_t len, size_t raw, struct buf *out) {
    int rc = buf_reserve(out, raw);
    uint8_t *to = out->p + out->len;
    if (rc)
        return rc;
    if (method == NONE && len == raw)
        memcpy(to, p, raw);
    else if (method == LZ4)
        rc = LZ4_decompress_safe((const char *)p, (char *)to, (int)len, (int)raw) == (int)raw ? 0 : ERR_SYNTAX;
    else if (method == ZSTD)
        rc = ZSTD_decompress(to, raw, p, len) == raw ? 0 : ERR_SYNTAX;
    else
        rc = ERR_SYNTAX;
    if (!rc)
        out->len += raw;
    return rc;
}

int framed_decode(const uint8_t *p, size_t len, struct buf *out) {
    int rc = 0;
    while (!rc && len) {
        uint8_t sum[CITYHASH_BYTES];
        const uint8_t *head = p + CITYHASH_BYTES;
        if (len < CITYHASH_BYTES + HEAD)
            return ERR_SYNTAX;
        const size_t packed = get_u32(head + 1), raw = get_u32(head + 5);
        if (packed < HEAD || packed > len - CITYHASH_BYTES || packed > INT32_MAX)
            return ERR_SYNTAX;
        if (raw > out->max - out->len)
            return ERR_LIMIT;
        cityhash_128(head, packed, sum);
        rc = memcmp(sum, p, sizeof sum) ? ERR_SYNTAX
             : raw                      ? unpack(head[0], head + HEAD, packed - HEAD, raw, out)
                                        : 0;
        p += CITYHASH_BYTES + packed;
        len -= CITYHASH_BYTES + packed;
    }
    return rc;
}
