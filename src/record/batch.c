/* Leaves, tree and commitment of a batch (batch.h), after RFC 6962 section 2.1. */
#include "record/batch.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"

static const char label[] = "safehouse batch 1";

void batch_leaf(uint8_t out[BATCH_HASH_BYTES], uint8_t table, const uint8_t *row, size_t len) {
    crypto_hash_sha256_state s;
    const uint8_t prefix[2] = {0x00, table};
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, prefix, sizeof prefix);
    crypto_hash_sha256_update(&s, row, len);
    crypto_hash_sha256_final(&s, out);
}

void batch_commitment(uint8_t out[BATCH_HASH_BYTES], const struct batch_head *h) {
    crypto_hash_sha256_state s;
    uint8_t number[8];
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, (const uint8_t *)label, sizeof label - 1);
    put_u64(number, h->sealer);
    crypto_hash_sha256_update(&s, number, 8);
    put_u64(number, h->number);
    crypto_hash_sha256_update(&s, number, 8);
    crypto_hash_sha256_update(&s, h->previous, BATCH_HASH_BYTES);
    put_u32(number, h->rows);
    crypto_hash_sha256_update(&s, number, 4);
    crypto_hash_sha256_update(&s, h->root, BATCH_HASH_BYTES);
    crypto_hash_sha256_final(&s, out);
}

void batch_tree_init(struct batch_tree *t) {
    merkle_init(&t->merkle);
    t->count = 0;
}

void batch_tree_add(struct batch_tree *t, const uint8_t leaf[BATCH_HASH_BYTES]) {
    merkle_add(&t->merkle, leaf);
    t->count++;
}

void batch_tree_root(const struct batch_tree *t, uint8_t out[BATCH_HASH_BYTES]) {
    merkle_root(&t->merkle, out);
}
