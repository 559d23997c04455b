/* Merkle trees (tree.h), after RFC 6962 section 2.1 and RFC 9162 section 2.1.3.2 (checking). */
#include "read/verify/tree.h"

#include <string.h>

static void node(uint8_t out[SHA_BYTES], const uint8_t left[SHA_BYTES],
                 const uint8_t right[SHA_BYTES]) {
    static const uint8_t prefix = 0x01;
    uint8_t both[2 * SHA_BYTES];
    memcpy(both, left, SHA_BYTES);
    memcpy(both + SHA_BYTES, right, SHA_BYTES);
    sha_two(out, &prefix, 1, both, sizeof both);
}

void tree_init(struct tree *t) {
    t->count = 0;
}

void tree_add(struct tree *t, const uint8_t leaf[SHA_BYTES]) {
    uint8_t carry[SHA_BYTES];
    unsigned level = 0;
    memcpy(carry, leaf, sizeof carry);
    for (; t->count >> level & 1; level++)
        node(carry, t->full[level], carry);
    memcpy(t->full[level], carry, sizeof carry);
    t->count++;
}

void tree_root(const struct tree *t, uint8_t out[SHA_BYTES]) {
    bool have = false;
    if (t->count == 0) {
        sha_two(out, "", 0, "", 0);
        return;
    }
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        if (!(t->count >> level & 1))
            continue;
        if (have)
            node(out, t->full[level], out);
        else
            memcpy(out, t->full[level], SHA_BYTES);
        have = true;
    }
}

void tree_root_of(const uint8_t (*leaves)[SHA_BYTES], size_t n, uint8_t out[SHA_BYTES]) {
    struct tree t;
    tree_init(&t);
    for (size_t i = 0; i < n; i++)
        tree_add(&t, leaves[i]);
    tree_root(&t, out);
}

bool tree_includes(const uint8_t leaf[SHA_BYTES], uint64_t index, uint64_t size,
                   const uint8_t (*path)[SHA_BYTES], size_t n, const uint8_t root[SHA_BYTES]) {
    uint8_t at[SHA_BYTES];
    if (index >= size)
        return false;
    memcpy(at, leaf, sizeof at);
    uint64_t last = size - 1;
    for (size_t i = 0; i < n; i++, index >>= 1, last >>= 1) {
        if (last == 0)
            return false; /* more hashes than there are levels */
        if (index & 1 || index == last) {
            node(at, path[i], at);
            while (!(index & 1) && index) { /* levels where it had no sibling */
                index >>= 1;
                last >>= 1;
            }
        } else {
            node(at, at, path[i]);
        }
    }
    return last == 0 && memcmp(at, root, sizeof at) == 0;
}
