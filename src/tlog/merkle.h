#ifndef TLOG_MERKLE_H
#define TLOG_MERKLE_H
/*
 * The Merkle tree of RFC 6962 section 2.1 with SHA-256: its root leaf by leaf in O(log n) memory,
 * its proofs collected while the leaves go by, and the check of proofs of others.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH_BYTES 32
#define MERKLE_LEVELS 64
#define MERKLE_PROOF_MAX 64 /* hashes; tlog-witness allows 63 */

typedef uint8_t merkle_hash[MERKLE_HASH_BYTES];

/* SHA-256(0x00 | leaf) */
void merkle_leaf(merkle_hash out, const void *leaf, size_t len);
/* SHA-256(0x01 | left | right); out may be one of them. */
void merkle_node(merkle_hash out, const merkle_hash left, const merkle_hash right);

/* The right edge: edge[i] is the root of a full subtree of 2^i leaves for every bit i of size. */
struct merkle {
    uint64_t size;
    merkle_hash edge[MERKLE_LEVELS];
};
void merkle_init(struct merkle *m);
void merkle_add(struct merkle *m, const merkle_hash leaf);
/* Of none: SHA-256 of nothing. */
void merkle_root(const struct merkle *m, merkle_hash out);

/*
 * A proof's hashes are roots of ranges of leaves. First the kind of proof, then every leaf of the
 * tree in order; `hashes` is whole after the last one, in the proof's order.
 */
struct merkle_proof {
    uint64_t size;  /* of the tree */
    uint64_t taken; /* leaves that went by */
    size_t count;
    struct {
        uint64_t from, to;
    } ranges[MERKLE_PROOF_MAX];
    merkle_hash hashes[MERKLE_PROOF_MAX];
    size_t at; /* the range that the next leaf is in, or count */
    struct merkle part;
};
/* ERR_USAGE: index >= size; old > size. */
int merkle_prove_inclusion(struct merkle_proof *p, uint64_t index, uint64_t size);
/* Of old == 0 and old == size the proof is empty. */
int merkle_prove_consistency(struct merkle_proof *p, uint64_t old, uint64_t size);
/* Leaves beyond `size` are passed over. */
void merkle_proof_add(struct merkle_proof *p, const merkle_hash leaf);

/* After RFC 9162 sections 2.1.3.2 and 2.1.4.2 (the trees are RFC 6962's). */
bool merkle_check_inclusion(uint64_t index, uint64_t size, const merkle_hash leaf,
                            const merkle_hash *hashes, size_t count, const merkle_hash root);
bool merkle_check_consistency(uint64_t old, uint64_t size, const merkle_hash old_root,
                              const merkle_hash root, const merkle_hash *hashes, size_t count);

#endif
