/*
 * Opens data keys and records (unseal.h). Runs in the vault alone.
 *
 * Life of a data key here: unwrapped by unseal_begin, checked against the id that commits to it,
 * stepped forward by unseal_record, wiped by the next begin, by end or by free. What is kept beside
 * the ratchet's state is the record key of the last index, so that a cell that was asked for twice
 * opens twice.
 */
#include "read/unseal/unseal.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

struct unseal {
    uint8_t k[DATA_KEY_BYTES];      /* of index `next` */
    uint8_t record[DATA_KEY_BYTES]; /* of index `next - 1`, when next > 0 */
    uint8_t id[DATA_KEY_ID_BYTES];
    uint32_t next;
    bool have;
};

int unseal_new(struct unseal **ret) {
    struct unseal *u = sodium_malloc(sizeof *u);
    if (!u)
        return ERR_NOMEM;
    unseal_end(u);
    *ret = u;
    return 0;
}

void unseal_free(struct unseal *u) {
    sodium_free(u);
}

void unseal_end(struct unseal *u) {
    sodium_memzero(u, sizeof *u);
}

int unseal_check_row(const struct data_key_row *row, const uint8_t mac_key[UNSEAL_MAC_KEY_BYTES]) {
    uint8_t maced[DATA_KEY_MACED_MAX], mac[DATA_KEY_MAC_BYTES];
    size_t n = data_key_maced(maced, row);
    crypto_generichash(mac, sizeof mac, maced, n, mac_key, UNSEAL_MAC_KEY_BYTES);
    int differs = sodium_memcmp(mac, row->mac, sizeof mac);
    sodium_memzero(mac, sizeof mac);
    return differs ? ERR_CORRUPT : 0;
}

int unseal_begin(struct unseal *u, const struct data_key_row *row, const uint8_t public_key[32],
                 const uint8_t secret[32]) {
    unseal_end(u);
    if (crypto_box_seal_open(u->k, row->wrapped, sizeof row->wrapped, public_key, secret))
        return ERR_CORRUPT;
    data_key_id(u->id, u->k);
    if (sodium_memcmp(u->id, row->id, sizeof u->id)) {
        unseal_end(u);
        return ERR_CORRUPT;
    }
    u->have = true;
    return 0;
}

/* Steps until `record` is the key of that index. */
static int go_to(struct unseal *u, uint32_t index) {
    if (!u->have || index + 1 < u->next)
        return ERR_USAGE;
    if (index >= LIMIT_DATA_KEY_RECORDS)
        return ERR_CORRUPT;
    while (u->next <= index) {
        data_key_step(u->k, u->record);
        u->next++;
    }
    return 0;
}

int unseal_record(struct unseal *u, const uint8_t *cell, size_t context_len, size_t len,
                  struct buf *plain, uint8_t *ret_dictionary) {
    static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    uint8_t ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX];
    struct envelope_header h;
    if (context_len > CONTEXT_MAX || context_len > len)
        return ERR_SYNTAX;
    const uint8_t *envelope = cell + context_len;
    const size_t sealed = len - context_len;
    int rc = envelope_decode_header(&h, envelope, sealed);
    if (!rc && (memcmp(h.data_key, u->id, sizeof h.data_key) || sealed == ENVELOPE_OVERHEAD))
        rc = ERR_CORRUPT; /* padding is never empty */
    if (!rc)
        rc = go_to(u, h.index);
    if (!rc)
        rc = buf_reserve(plain, sealed - ENVELOPE_OVERHEAD);
    if (rc)
        return rc;
    memcpy(ad, envelope, ENVELOPE_HEADER_BYTES);
    memcpy(ad + ENVELOPE_HEADER_BYTES, cell, context_len);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(
            plain->p + plain->len, NULL, NULL, envelope + ENVELOPE_HEADER_BYTES,
            sealed - ENVELOPE_HEADER_BYTES, ad, ENVELOPE_HEADER_BYTES + context_len, nonce,
            u->record))
        return ERR_CORRUPT;
    plain->len += sealed - ENVELOPE_OVERHEAD;
    *ret_dictionary = h.dictionary;
    return 0;
}
