/*
 * The golden ledger (test/vectors/ledger.txt) by the side that verifies: the log has no fault and each
 * root, notes and proofs are right, receipts hold; with one bit another, none does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/err.h"
#include "read/verify/verify_int.h"
#include "../vectors.h"

#define ENTRIES 300

static struct verify_note_key key;
static unsigned findings;

static void report(void *arg, const struct verify_finding *f) {
    (void)arg, (void)f;
    findings++;
}
static const struct verify_spec spec = {.key = &key, .report = report};

static int make(void **state) {
    (void)state;
    vectors_load("ledger");
    const struct vector *v = vector("key");
    return sodium_init() < 0 ? -1 : verify_note_key_parse(&key, (const char *)v->p, v->len);
}

/* ---- the log ---- */

static unsigned faults, leaves, confirmed;

static int on_leaf(void *arg, const struct journal_leaf *l) {
    (void)arg, (void)l;
    leaves++;
    return 0;
}
static void on_confirmed(void *arg) {
    (void)arg;
    confirmed++;
}
static void on_fault(void *arg, enum journal_fault f, uint64_t at, uint64_t index) {
    (void)arg, (void)f, (void)at, (void)index;
    faults++;
}
static void on_size(void *arg, const struct tree *t) {
    char name[24];
    uint8_t root[SHA_BYTES];
    bool *compare = arg;
    snprintf(name, sizeof name, "root.%u", (unsigned)t->count);
    for (size_t i = 0; *compare && i < vectors_count; i++)
        if (strcmp(vectors[i].name, name) == 0) {
            tree_root(t, root);
            vector_equals("", name, root, sizeof root);
        }
}

static int read_log(const uint8_t *p, size_t len, bool compare, struct journal_end *end) {
    const struct journal_reader r = {.leaf = on_leaf, .confirmed = on_confirmed, .fault = on_fault,
                                     .size = on_size, .arg = &compare};
    int fd = memfd_create("log", 0);
    assert_int_equal(write(fd, p, len), len);
    faults = leaves = confirmed = 0;
    int rc = journal_read(fd, &r, end);
    close(fd);
    return rc;
}

static void the_log_has_no_fault(void **state) {
    struct journal_end end;
    const struct vector *v = vector("log");
    (void)state;
    assert_int_equal(read_log(v->p, v->len, true, &end), 0);
    assert_int_equal(faults, 0);
    assert_int_equal(leaves, ENTRIES);
    assert_int_equal(confirmed, 13);
    assert_int_equal(end.entries, ENTRIES);
    assert_string_equal(end.origin, key.name);
    assert_memory_equal(end.public, key.public, 32);
}

/* Whatever bit: a fault, another key or origin, or an end before the last checkpoint. */
static void no_bit_of_the_log_may_be_another(void **state) {
    struct journal_end end;
    const struct vector *v = vector("log");
    uint8_t *copy = malloc(v->len);
    (void)state;
    assert_non_null(copy);
    for (size_t i = 0; i < v->len; i += 13) {
        memcpy(copy, v->p, v->len);
        copy[i] ^= (uint8_t)(1u << i % 8);
        int rc = read_log(copy, v->len, false, &end);
        assert_true(rc || faults || strcmp(end.origin, key.name) != 0 ||
                    memcmp(end.public, key.public, 32) != 0 || end.entries < ENTRIES);
    }
    free(copy);
}

/* ---- notes and proofs ---- */

static void notes_are_right(void **state) {
    static const char *const names[] = {"note.0", "note.1", "note.256", "note.300"};
    static struct verify_note n;
    struct buf out;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct vector *v = vector(names[i]);
        assert_int_equal(verify_note_parse(&n, v->p, v->len), 0);
        assert_int_equal(verify_note_verify(&n, &key), 0);
        buf_init(&out, VERIFY_NOTE_MAX);
        assert_int_equal(verify_note_print(&n, &out), 0);
        vector_equals("", names[i], out.p, out.len);
        buf_wipe(&out);
    }
}

static void inclusion_proofs_lead_to_their_roots(void **state) {
    unsigned index, size, seen = 0;
    uint8_t root[SHA_BYTES], hash[SHA_BYTES];
    static const uint8_t prefix = 0;
    char name[24];
    (void)state;
    for (size_t i = 0; i < vectors_count; i++) {
        const struct vector *v = &vectors[i];
        if (sscanf(v->name, "inclusion.%u.%u", &index, &size) != 2)
            continue;
        snprintf(name, sizeof name, "leaf.%u", index);
        for (size_t k = 0; k < vectors_count; k++) {
            if (strcmp(vectors[k].name, name) != 0)
                continue;
            snprintf(name, sizeof name, "%u", size);
            vector_copy(root, sizeof root, "root.", name);
            sha_two(hash, &prefix, 1, vectors[k].p, vectors[k].len);
            assert_true(tree_includes(hash, index, size, (const uint8_t (*)[SHA_BYTES])v->p,
                                      v->len / SHA_BYTES, root));
            assert_false(tree_includes(hash, index ^ 1, size, (const uint8_t (*)[SHA_BYTES])v->p,
                                       v->len / SHA_BYTES, root));
            seen++;
            break;
        }
    }
    assert_int_equal(seen, 7);
}

static void proofs_hold(void **state) {
    struct verify_event e;
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"proof.3.300", "proof.290.291", "shown.295.300"};
        struct verify_totals t = {0};
        const struct vector *v = vector(names[i]);
        assert_true(verify_proof(&spec, names[i], v->p, v->len, &t, &e));
        assert_int_equal(e.shown, i == 2);
        assert_int_equal(e.index, i == 0 ? 3 : i == 1 ? 290 : 295);
    }
}

/* ---- receipts ---- */

static bool holds(const uint8_t *p, size_t len, const uint8_t *file, struct verify_totals *t,
                  struct verify_paper *r) {
    *t = (struct verify_totals){0};
    return verify_receipt(&spec, "paper", p, len, file, t, r);
}

static void receipts_hold(void **state) {
    static const struct {
        const char *name, *file;
        enum verify_paper_kind kind;
        uint64_t index, size;
    } rows[] = {{"receipt.erasure", NULL, VERIFY_ERASURE, 290, 291},
                {"receipt.pending", NULL, VERIFY_ERASURE, 290, 291},
                {"receipt.export", "export.file", VERIFY_EXPORT, 295, 296},
                {"receipt.report", "report.file", VERIFY_REPORT, 0, 300}};
    struct verify_totals t;
    struct verify_paper r;
    uint8_t hash[SHA_BYTES];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct vector *v = vector(rows[i].name), *file = rows[i].file ? vector(rows[i].file) : NULL;
        if (file)
            sha_two(hash, file->p, file->len, "", 0);
        assert_true(holds(v->p, v->len, file ? hash : NULL, &t, &r));
        assert_int_equal(r.kind, rows[i].kind);
        assert_int_equal(r.index, rows[i].index);
        assert_int_equal(r.size, rows[i].size);
        assert_int_equal(r.time_us, vector_number("", "time"));
        assert_int_equal(r.named, r.kind == VERIFY_ERASURE);
        assert_int_equal(t.pending, i == 1);
        assert_int_equal(t.found + t.part, 0);
    }
}

static void no_bit_of_a_receipt_may_be_another(void **state) {
    static const char *const names[] = {"receipt.erasure", "receipt.export", "receipt.report"};
    struct verify_totals t;
    struct verify_paper r;
    uint8_t hash[SHA_BYTES];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct vector *v = vector(names[i]);
        if (i)
            sha_two(hash, vector(i == 1 ? "export.file" : "report.file")->p,
                    vector(i == 1 ? "export.file" : "report.file")->len, "", 0);
        for (size_t at = 0; at + 1 < v->len; at++) {
            v->p[at] ^= (uint8_t)(1u << at % 8);
            findings = 0;
            assert_false(holds(v->p, v->len, i ? hash : NULL, &t, &r));
            assert_true(findings > 0);
            v->p[at] ^= (uint8_t)(1u << at % 8);
        }
        for (size_t len = 0; len + 1 < v->len; len++)
            assert_false(holds(v->p, len, i ? hash : NULL, &t, &r));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_has_no_fault),
        cmocka_unit_test(no_bit_of_the_log_may_be_another),
        cmocka_unit_test(notes_are_right),
        cmocka_unit_test(inclusion_proofs_lead_to_their_roots),
        cmocka_unit_test(proofs_hold),
        cmocka_unit_test(receipts_hold),
        cmocka_unit_test(no_bit_of_a_receipt_may_be_another),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
