/* The tree of merkle.h. No memory of its own, no input or output. */
#include "tlog/merkle.h"

#include <sodium.h>
#include <string.h>

#include "base/err.h"

void merkle_leaf(merkle_hash out, const void *leaf, size_t len) {
    crypto_hash_sha256_state s;
    const uint8_t prefix = 0x00;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, &prefix, 1);
    crypto_hash_sha256_update(&s, leaf, len);
    crypto_hash_sha256_final(&s, out);
}

void merkle_node(merkle_hash out, const merkle_hash left, const merkle_hash right) {
    crypto_hash_sha256_state s;
    const uint8_t prefix = 0x01;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, &prefix, 1);
    crypto_hash_sha256_update(&s, left, MERKLE_HASH_BYTES);
    crypto_hash_sha256_update(&s, right, MERKLE_HASH_BYTES);
    crypto_hash_sha256_final(&s, out);
}

void merkle_init(struct merkle *m) {
    memset(m, 0, sizeof *m);
}

void merkle_add(struct merkle *m, const merkle_hash leaf) {
    merkle_hash carry;
    unsigned level = 0;
    memcpy(carry, leaf, sizeof carry);
    for (; m->size >> level & 1; level++)
        merkle_node(carry, m->edge[level], carry);
    memcpy(m->edge[level], carry, sizeof carry);
    m->size++;
}

void merkle_root(const struct merkle *m, merkle_hash out) {
    bool have = false;
    if (m->size == 0) {
        crypto_hash_sha256(out, NULL, 0);
        return;
    }
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        if (!(m->size >> level & 1))
            continue;
        if (have)
            merkle_node(out, m->edge[level], out);
        else
            memcpy(out, m->edge[level], MERKLE_HASH_BYTES);
        have = true;
    }
}

/* ---- making proofs ---- */

/* The largest power of two below n, of n > 1. */
static uint64_t split(uint64_t n) {
    return 1ull << (63 - __builtin_clzll(n - 1));
}

/* Ranges are found from the root down, and a proof goes up. */
static void reverse(struct merkle_proof *p) {
    for (size_t i = 0, j = p->count; i + 1 < j; i++) {
        j--;
        const uint64_t from = p->ranges[i].from, to = p->ranges[i].to;
        p->ranges[i] = p->ranges[j];
        p->ranges[j].from = from;
        p->ranges[j].to = to;
    }
}

static void add_range(struct merkle_proof *p, uint64_t from, uint64_t to) {
    CHECK(p->count < MERKLE_PROOF_MAX);
    p->ranges[p->count].from = from;
    p->ranges[p->count].to = to;
    p->count++;
}

/* The range that holds the leaf, or count. */
static size_t range_of(const struct merkle_proof *p, uint64_t leaf) {
    size_t i = 0;
    while (i < p->count && (leaf < p->ranges[i].from || leaf >= p->ranges[i].to))
        i++;
    return i;
}

static int begin(struct merkle_proof *p, uint64_t size) {
    memset(p, 0, sizeof *p);
    p->size = size;
    return size > INT64_MAX ? ERR_USAGE : 0;
}

static void ready(struct merkle_proof *p) {
    reverse(p);
    p->at = range_of(p, 0);
}

int merkle_prove_inclusion(struct merkle_proof *p, uint64_t index, uint64_t size) {
    uint64_t from = 0, to = size;
    int rc = begin(p, size);
    if (rc || index >= size)
        return ERR_USAGE;
    while (to - from > 1) {
        const uint64_t middle = from + split(to - from);
        if (index < middle) {
            add_range(p, middle, to);
            to = middle;
        } else {
            add_range(p, from, middle);
            from = middle;
        }
    }
    ready(p);
    return 0;
}

int merkle_prove_consistency(struct merkle_proof *p, uint64_t old, uint64_t size) {
    uint64_t from = 0, to = size;
    bool whole = true; /* the subtree begins at leaf 0, so the verifier has its root already */
    int rc = begin(p, size);
    if (rc || old > size)
        return ERR_USAGE;
    if (old == 0 || old == size)
        return 0;
    while (old < to) {
        const uint64_t middle = from + split(to - from);
        if (old <= middle) {
            add_range(p, middle, to);
            to = middle;
        } else {
            add_range(p, from, middle);
            from = middle;
            whole = false;
        }
    }
    if (!whole)
        add_range(p, from, to);
    ready(p);
    return 0;
}

void merkle_proof_add(struct merkle_proof *p, const merkle_hash leaf) {
    if (p->taken == p->size)
        return;
    p->taken++;
    if (p->at < p->count) {
        merkle_add(&p->part, leaf);
        if (p->taken < p->ranges[p->at].to)
            return;
        merkle_root(&p->part, p->hashes[p->at]);
        merkle_init(&p->part);
    }
    p->at = range_of(p, p->taken);
}

/* ---- checking proofs ---- */

bool merkle_check_inclusion(uint64_t index, uint64_t size, const merkle_hash leaf,
                            const merkle_hash *hashes, size_t count, const merkle_hash root) {
    uint64_t at = index, last = size - 1;
    merkle_hash r;
    if (index >= size)
        return false;
    memcpy(r, leaf, sizeof r);
    for (size_t i = 0; i < count; i++) {
        if (last == 0)
            return false;
        if (at & 1 || at == last) {
            merkle_node(r, hashes[i], r);
            for (; !(at & 1) && at; at >>= 1)
                last >>= 1;
        } else {
            merkle_node(r, r, hashes[i]);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(r, root, sizeof r) == 0;
}

bool merkle_check_consistency(uint64_t old, uint64_t size, const merkle_hash old_root,
                              const merkle_hash root, const merkle_hash *hashes, size_t count) {
    uint64_t at = old - 1, last = size - 1;
    merkle_hash a, b;
    size_t i = 0;
    if (old > size)
        return false;
    if (old == size)
        return count == 0 && memcmp(old_root, root, sizeof a) == 0;
    if (old == 0) { /* of an empty tree every tree is a continuation */
        crypto_hash_sha256(a, NULL, 0);
        return count == 0 && memcmp(old_root, a, sizeof a) == 0;
    }
    for (; at & 1; at >>= 1)
        last >>= 1;
    if (at == 0) {
        memcpy(a, old_root, sizeof a); /* a full subtree: the proof begins with it, unsaid */
    } else {
        if (count == 0)
            return false;
        memcpy(a, hashes[i++], sizeof a);
    }
    memcpy(b, a, sizeof b);
    for (; i < count; i++) {
        if (last == 0)
            return false;
        if (at & 1 || at == last) {
            merkle_node(a, hashes[i], a);
            merkle_node(b, hashes[i], b);
            for (; !(at & 1) && at; at >>= 1)
                last >>= 1;
        } else {
            merkle_node(b, b, hashes[i]);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(a, old_root, sizeof a) == 0 && memcmp(b, root, sizeof b) == 0;
}
