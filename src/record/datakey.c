/* Data-key formats (datakey.h): the row, what its MAC covers, one step of the ratchet. */
#include "record/datakey.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "record/text.h"

static const char row_label[] = "safehouse data key row 1";
static const char id_label[] = "safehouse data key 1";
static const char ratchet_context[crypto_kdf_CONTEXTBYTES + 1] = "shratch1";

#define LABEL_BYTES (sizeof row_label - 1)

size_t data_key_maced(uint8_t out[DATA_KEY_MACED_MAX], const struct data_key_row *row) {
    uint8_t *p = out;
    memcpy(p, row_label, LABEL_BYTES);
    p = text_put(p + LABEL_BYTES, row->tenant);
    p = text_put(p, row->project);
    memcpy(p, row->subject, UUID_BYTES);
    p += UUID_BYTES;
    put_u64(p, row->created_us);
    memcpy(p + 8, row->id, DATA_KEY_ID_BYTES);
    p += 8 + DATA_KEY_ID_BYTES;
    put_u32(p, row->writer);
    memcpy(p + 4, row->wrapped, DATA_KEY_WRAPPED_BYTES);
    p += 4 + DATA_KEY_WRAPPED_BYTES;
    return (size_t)(p - out);
}

size_t data_key_row_encode(uint8_t out[DATA_KEY_ROW_MAX], const struct data_key_row *row) {
    uint8_t maced[DATA_KEY_MACED_MAX];
    size_t n = data_key_maced(maced, row) - LABEL_BYTES;
    memcpy(out, maced + LABEL_BYTES, n);
    memcpy(out + n, row->mac, DATA_KEY_MAC_BYTES);
    return n + DATA_KEY_MAC_BYTES;
}

int data_key_row_decode(struct data_key_row *ret, const uint8_t *p, size_t len) {
    const uint8_t *end = p + len;
    struct data_key_row r = {0};
    p = text_take(p, end, r.tenant);
    p = text_take(p, end, r.project);
    const ptrdiff_t rest =
        UUID_BYTES + 8 + DATA_KEY_ID_BYTES + 4 + DATA_KEY_WRAPPED_BYTES + DATA_KEY_MAC_BYTES;
    if (!p || end - p != rest)
        return ERR_SYNTAX;
    memcpy(r.subject, p, UUID_BYTES);
    r.created_us = get_u64(p + UUID_BYTES);
    p += UUID_BYTES + 8;
    memcpy(r.id, p, DATA_KEY_ID_BYTES);
    r.writer = get_u32(p + DATA_KEY_ID_BYTES);
    p += DATA_KEY_ID_BYTES + 4;
    memcpy(r.wrapped, p, DATA_KEY_WRAPPED_BYTES);
    memcpy(r.mac, p + DATA_KEY_WRAPPED_BYTES, DATA_KEY_MAC_BYTES);
    *ret = r;
    return 0;
}

void data_key_step(uint8_t k[DATA_KEY_BYTES], uint8_t ret_record_key[DATA_KEY_BYTES]) {
    uint8_t next[DATA_KEY_BYTES];
    crypto_kdf_derive_from_key(ret_record_key, DATA_KEY_BYTES, 1, ratchet_context, k);
    crypto_kdf_derive_from_key(next, DATA_KEY_BYTES, 2, ratchet_context, k);
    memcpy(k, next, DATA_KEY_BYTES);
    sodium_memzero(next, sizeof next);
}

void data_key_id(uint8_t out[DATA_KEY_ID_BYTES], const uint8_t k0[DATA_KEY_BYTES]) {
    crypto_generichash(out, DATA_KEY_ID_BYTES, (const uint8_t *)id_label, sizeof id_label - 1, k0,
                       DATA_KEY_BYTES);
}
