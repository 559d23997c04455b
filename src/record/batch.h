#ifndef RECORD_BATCH_H
#define RECORD_BATCH_H
/*
 * Batches: the unit in which rows are shipped, proven and counted. doc/batch.md is the specification.
 *
 *   leaf       SHA-256(0x00 | u8 table | row in RowBinary)
 *   node       SHA-256(0x01 | left | right), the tree of RFC 6962 section 2.1
 *   commitment SHA-256("safehouse batch 1" | u64 sealer | u64 number | 32 previous commitment |
 *              u32 rows | 32 tree root); the first batch of a sealer has 32 zero bytes as previous
 */
#include <stddef.h>
#include <stdint.h>

#include "tlog/merkle.h"

#define BATCH_HASH_BYTES 32

struct batch_head {
    uint64_t sealer, number;
    uint32_t rows;
    uint8_t previous[BATCH_HASH_BYTES];
    uint8_t root[BATCH_HASH_BYTES];
};

void batch_leaf(uint8_t out[BATCH_HASH_BYTES], uint8_t table, const uint8_t *row, size_t len);
void batch_commitment(uint8_t out[BATCH_HASH_BYTES], const struct batch_head *h);

/* The tree's root, leaf by leaf, in O(log n) memory. */
struct batch_tree {
    struct merkle merkle;
    uint32_t count; /* of leaves */
};
void batch_tree_init(struct batch_tree *t);
void batch_tree_add(struct batch_tree *t, const uint8_t leaf[BATCH_HASH_BYTES]);
void batch_tree_root(const struct batch_tree *t, uint8_t out[BATCH_HASH_BYTES]);

#endif
