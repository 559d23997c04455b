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

static void node(uint8_t out[BATCH_HASH_BYTES], const uint8_t left[BATCH_HASH_BYTES],
                 const uint8_t right[BATCH_HASH_BYTES]) {
    crypto_hash_sha256_state s;
    const uint8_t prefix = 0x01;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, &prefix, 1);
    crypto_hash_sha256_update(&s, left, BATCH_HASH_BYTES);
    crypto_hash_sha256_update(&s, right, BATCH_HASH_BYTES);
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
    memset(t, 0, sizeof *t);
}

/* stack[i] is the root of a full subtree of 2^i leaves for every bit i of count. */
void batch_tree_add(struct batch_tree *t, const uint8_t leaf[BATCH_HASH_BYTES]) {
    uint8_t carry[BATCH_HASH_BYTES];
    unsigned level = 0;
    memcpy(carry, leaf, sizeof carry);
    for (; t->count >> level & 1; level++)
        node(carry, t->stack[level], carry);
    memcpy(t->stack[level], carry, sizeof carry);
    t->count++;
}

void batch_tree_root(const struct batch_tree *t, uint8_t out[BATCH_HASH_BYTES]) {
    int have = 0;
    if (t->count == 0) {
        crypto_hash_sha256(out, NULL, 0);
        return;
    }
    for (unsigned level = 0; level < 32; level++) {
        if (!(t->count >> level & 1))
            continue;
        if (have)
            node(out, t->stack[level], out);
        else
            memcpy(out, t->stack[level], BATCH_HASH_BYTES);
        have = 1;
    }
}
