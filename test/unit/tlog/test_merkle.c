/* The tree against published vectors, every proof of small trees, and proofs that prove nothing. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/err.h"
#include "tlog/merkle.h"
#include "../vectors.h"

#define LEAVES 70

static merkle_hash leaves[LEAVES], roots[LEAVES + 1];

static void golden_leaf(merkle_hash out, unsigned i) {
    char name[16];
    snprintf(name, sizeof name, "%u", i);
    const struct vector *v = vector2("leaf.", name);
    merkle_leaf(out, v->p, v->len);
}

static void make_tree(void) {
    struct merkle m;
    merkle_init(&m);
    merkle_root(&m, roots[0]);
    for (unsigned i = 0; i < LEAVES; i++) {
        merkle_leaf(leaves[i], &i, sizeof i);
        merkle_add(&m, leaves[i]);
        merkle_root(&m, roots[i + 1]);
    }
}

static void published_roots(void **state) {
    struct merkle m;
    merkle_hash h;
    char name[16];
    (void)state;
    vectors_load("merkle");
    merkle_init(&m);
    for (unsigned n = 0; n <= 8; n++) {
        merkle_root(&m, h);
        snprintf(name, sizeof name, "%u", n);
        vector_equals("root.", name, h, sizeof h);
        if (n < 8) {
            golden_leaf(h, n);
            merkle_add(&m, h);
        }
    }
}

static void published_proof(const char *name, struct merkle_proof *p) {
    merkle_hash h;
    for (unsigned i = 0; i < 8; i++) {
        golden_leaf(h, i);
        merkle_proof_add(p, h);
    }
    vector_equals("", name, (const uint8_t *)p->hashes, p->count * MERKLE_HASH_BYTES);
}

static void published_proofs(void **state) {
    struct merkle_proof p;
    (void)state;
    vectors_load("merkle");
    assert_int_equal(merkle_prove_inclusion(&p, 0, 8), 0);
    published_proof("inclusion.0.8", &p);
    assert_int_equal(merkle_prove_inclusion(&p, 5, 8), 0);
    published_proof("inclusion.5.8", &p);
    assert_int_equal(merkle_prove_consistency(&p, 1, 8), 0);
    published_proof("consistency.1.8", &p);
    assert_int_equal(merkle_prove_consistency(&p, 6, 8), 0);
    published_proof("consistency.6.8", &p);
}

static void collect(struct merkle_proof *p) {
    for (unsigned i = 0; i < LEAVES; i++) /* what is beyond the tree is passed over */
        merkle_proof_add(p, leaves[i]);
}

static void every_inclusion(void **state) {
    struct merkle_proof p;
    (void)state;
    make_tree();
    for (uint64_t size = 1; size <= LEAVES; size++)
        for (uint64_t i = 0; i < size; i++) {
            assert_int_equal(merkle_prove_inclusion(&p, i, size), 0);
            collect(&p);
            assert_true(merkle_check_inclusion(i, size, leaves[i], p.hashes, p.count, roots[size]));
            assert_false(merkle_check_inclusion((i + 1) % size, size, leaves[i], p.hashes, p.count,
                                                roots[size]) &&
                         size > 1);
            assert_false(
                merkle_check_inclusion(i, size, leaves[i], p.hashes, p.count, roots[size - 1]));
            assert_false(merkle_check_inclusion(i, size, leaves[(i + 1) % LEAVES], p.hashes,
                                                p.count, roots[size]));
            assert_false(
                merkle_check_inclusion(i, size, leaves[i], p.hashes, p.count + 1, roots[size]));
            if (p.count)
                assert_false(
                    merkle_check_inclusion(i, size, leaves[i], p.hashes, p.count - 1, roots[size]));
        }
    assert_int_equal(merkle_prove_inclusion(&p, 3, 3), ERR_USAGE);
    assert_int_equal(merkle_prove_inclusion(&p, 0, 0), ERR_USAGE);
    assert_false(merkle_check_inclusion(0, 0, leaves[0], NULL, 0, roots[0]));
}

static void every_consistency(void **state) {
    struct merkle_proof p;
    merkle_hash other;
    (void)state;
    make_tree();
    memset(other, 7, sizeof other);
    for (uint64_t size = 0; size <= LEAVES; size++)
        for (uint64_t old = 0; old <= size; old++) {
            assert_int_equal(merkle_prove_consistency(&p, old, size), 0);
            collect(&p);
            assert_true(
                merkle_check_consistency(old, size, roots[old], roots[size], p.hashes, p.count));
            assert_false(
                merkle_check_consistency(old, size, other, roots[size], p.hashes, p.count));
            if (old) /* everything continues nothing */
                assert_false(
                    merkle_check_consistency(old, size, roots[old], other, p.hashes, p.count));
            assert_false(merkle_check_consistency(old, size, roots[old], roots[size], p.hashes,
                                                  p.count + 1));
            if (p.count) {
                assert_false(merkle_check_consistency(old, size, roots[old], roots[size], p.hashes,
                                                      p.count - 1));
                p.hashes[p.count / 2][9] ^= 1;
                assert_false(merkle_check_consistency(old, size, roots[old], roots[size], p.hashes,
                                                      p.count));
            }
        }
    assert_int_equal(merkle_prove_consistency(&p, 4, 3), ERR_USAGE);
    assert_false(merkle_check_consistency(4, 3, roots[4], roots[3], NULL, 0));
}

/* The largest tree there may be: plans of its proofs fit, and its sizes do not overflow. */
static void large(void **state) {
    struct merkle_proof p;
    (void)state;
    make_tree();
    assert_int_equal(merkle_prove_inclusion(&p, INT64_MAX - 1, INT64_MAX), 0);
    assert_int_equal(p.count, 62);
    assert_int_equal(merkle_prove_inclusion(&p, 0, INT64_MAX), 0);
    assert_int_equal(p.count, 63);
    assert_int_equal(merkle_prove_consistency(&p, INT64_MAX - 1, INT64_MAX), 0);
    assert_true(p.count <= MERKLE_PROOF_MAX);
    assert_int_equal(merkle_prove_consistency(&p, (1ll << 62) + 1, INT64_MAX), 0);
    assert_true(p.count <= MERKLE_PROOF_MAX);
    assert_int_equal(merkle_prove_inclusion(&p, 0, 1ull << 63), ERR_USAGE);
    assert_false(merkle_check_inclusion(UINT64_MAX, UINT64_MAX, leaves[0], leaves, 64, roots[1]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_roots), cmocka_unit_test(published_proofs),
        cmocka_unit_test(every_inclusion), cmocka_unit_test(every_consistency),
        cmocka_unit_test(large),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
