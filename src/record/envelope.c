/* Envelope header, hash, padding and cells (envelope.h): no key and no cipher. */
#include "record/envelope.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

void envelope_encode_header(uint8_t out[ENVELOPE_HEADER_BYTES], const struct envelope_header *h) {
    out[0] = ENVELOPE_VERSION;
    out[1] = h->suite;
    out[2] = h->dictionary;
    out[3] = h->padding;
    memcpy(out + 4, h->data_key, DATA_KEY_ID_BYTES);
    put_u16(out + 4 + DATA_KEY_ID_BYTES, h->index);
}

int envelope_decode_header(struct envelope_header *ret, const uint8_t *p, size_t len) {
    if (len < ENVELOPE_OVERHEAD)
        return ERR_SYNTAX;
    if (p[0] != ENVELOPE_VERSION || p[1] != ENVELOPE_SUITE_CHACHA20POLY1305 ||
        p[3] != ENVELOPE_PADDING_PADME)
        return ERR_VERSION;
    ret->suite = p[1];
    ret->dictionary = p[2];
    ret->padding = p[3];
    memcpy(ret->data_key, p + 4, DATA_KEY_ID_BYTES);
    ret->index = get_u16(p + 4 + DATA_KEY_ID_BYTES);
    return 0;
}

void envelope_hash(uint8_t out[CONTEXT_HASH_BYTES], const uint8_t *envelope, size_t len) {
    crypto_generichash(out, CONTEXT_HASH_BYTES, envelope, len, NULL, 0);
}

static unsigned floor_log2(size_t v) {
    return 63u - (unsigned)__builtin_clzll(v);
}

size_t padme_length(size_t len) {
    if (len < 2)
        return len;
    unsigned e = floor_log2(len), s = floor_log2(e ? e : 1) + 1;
    if (s >= e)
        return len;
    size_t mask = ((size_t)1 << (e - s)) - 1;
    return (len + mask) & ~mask;
}

int padme_pad(struct buf *b) {
    size_t to = padme_length(b->len + 1);
    int rc = buf_reserve(b, to - b->len);
    if (rc)
        return rc;
    b->p[b->len] = 0x80;
    memset(b->p + b->len + 1, 0, to - b->len - 1);
    b->len = to;
    return 0;
}

long padme_unpad(const uint8_t *p, size_t len) {
    size_t n = len;
    while (n > 0 && p[n - 1] == 0)
        n--;
    if (n == 0 || p[n - 1] != 0x80 || padme_length(n) != len)
        return ERR_CORRUPT;
    return (long)(n - 1);
}

int cell_split(const uint8_t *p, size_t len, struct context *ret_ctx, const uint8_t **ret_envelope,
               size_t *ret_envelope_len) {
    size_t used;
    int rc = context_decode(ret_ctx, p, len, &used);
    if (rc)
        return rc;
    if (len - used < ENVELOPE_OVERHEAD)
        return ERR_SYNTAX;
    *ret_envelope = p + used;
    *ret_envelope_len = len - used;
    return 0;
}
