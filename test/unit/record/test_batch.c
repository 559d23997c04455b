/* Batches: golden leaves, roots and commitments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "record/batch.h"
#include "../vectors.h"

static void leaf_of(uint8_t out[BATCH_HASH_BYTES], unsigned i) {
    uint8_t row[16];
    for (unsigned k = 0; k < i; k++)
        row[k] = (uint8_t)(i + 7 * k);
    batch_leaf(out, (uint8_t)(1 + i % 3), row, i);
}

static void leaves(void **state) {
    (void)state;
    uint8_t leaf[BATCH_HASH_BYTES];
    vectors_load("batch");
    batch_leaf(leaf, 1, NULL, 0);
    vector_equals("", "leaf.1.empty", leaf, sizeof leaf);
    batch_leaf(leaf, 3, vector("leaf.3.row")->p, vector("leaf.3.row")->len);
    vector_equals("", "leaf.3", leaf, sizeof leaf);
}

static void roots(void **state) {
    (void)state;
    uint8_t leaf[BATCH_HASH_BYTES], root[BATCH_HASH_BYTES];
    struct batch_tree t;
    unsigned checked = 0;
    vectors_load("batch");
    batch_tree_init(&t);
    for (unsigned n = 0; n <= 13; n++) {
        char name[16];
        snprintf(name, sizeof name, "root.%u", n);
        batch_tree_root(&t, root);
        for (size_t i = 0; i < vectors_count; i++)
            if (strcmp(vectors[i].name, name) == 0) {
                vector_equals("", name, root, sizeof root);
                checked++;
            }
        leaf_of(leaf, n);
        batch_tree_add(&t, leaf);
    }
    assert_int_equal(checked, 8);
}

static void commitments(void **state) {
    (void)state;
    uint8_t out[BATCH_HASH_BYTES];
    vectors_load("batch");
    struct batch_head h = {.sealer = vector_number("", "sealer"), .number = 1, .rows = 13};
    vector_copy(h.root, sizeof h.root, "", "root.13");
    batch_commitment(out, &h);
    vector_equals("", "commitment.1", out, sizeof out);
    h.number = 2;
    h.rows = 3;
    memcpy(h.previous, out, sizeof out);
    vector_copy(h.root, sizeof h.root, "", "root.3");
    batch_commitment(out, &h);
    vector_equals("", "commitment.2", out, sizeof out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves),
        cmocka_unit_test(roots),
        cmocka_unit_test(commitments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
