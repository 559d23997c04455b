#ifndef VERIFY_TREE_H
#define VERIFY_TREE_H
/*
 * Merkle trees of RFC 6962 section 2.1 with SHA-256, as batches and the ledger have them. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "read/verify/sha.h"

#define TREE_LEVELS 64

/* Of the leaves so far: the roots of its full subtrees, a level for each bit of count. */
struct tree {
    uint64_t count;
    uint8_t full[TREE_LEVELS][SHA_BYTES];
};

void tree_init(struct tree *t);
void tree_add(struct tree *t, const uint8_t leaf[SHA_BYTES]);
void tree_root(const struct tree *t, uint8_t out[SHA_BYTES]);
/* Of n leaves in memory. */
void tree_root_of(const uint8_t (*leaves)[SHA_BYTES], size_t n, uint8_t out[SHA_BYTES]);

/* Does the inclusion proof (section 2.1.1: `n` hashes, from the leaf's sibling up) lead from this leaf
 * hash at `index` to this root of `size` leaves? */
bool tree_includes(const uint8_t leaf[SHA_BYTES], uint64_t index, uint64_t size,
                   const uint8_t (*path)[SHA_BYTES], size_t n, const uint8_t root[SHA_BYTES]);

#endif
