/* The spool: what is synced is there after any death, once; batches chain; damage is put aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "write/spool/spool.h"

static char dir[64];

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s/spool-XXXXXX", P_tmpdir);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct spool *open_spool(uint64_t sealer) {
    struct spool *s;
    assert_int_equal(spool_open(dir, sealer, &s), 0);
    return s;
}

static void add(struct spool *s, uint64_t sequence) {
    uint8_t row[40], id[UUID_BYTES] = {(uint8_t)sequence};
    struct rows_place p;
    for (unsigned t = ROWS_TURNS; t <= ROWS_INTERACTIONS; t++) {
        spool_place(s, &p);
        memset(row, (int)sequence, sizeof row);
        put_u32(row, p.index);
        assert_int_equal(spool_add_row(s, t, row, sizeof row), 0);
    }
    assert_int_equal(spool_add_exchange(s, 5, sequence, id), 0);
}

static void file_of(char out[128], uint64_t sealer, uint64_t number) {
    snprintf(out, 128, "%s/%016llx-%016llx.spool", dir, (unsigned long long)sealer,
             (unsigned long long)number);
}

static size_t file_size(uint64_t sealer, uint64_t number) {
    char path[128];
    struct stat st;
    file_of(path, sealer, number);
    return stat(path, &st) ? 0 : (size_t)st.st_size;
}

/* Reads a finished file as the store does, by doc/spool.md alone; gives its rows. */
static uint32_t read_rows(struct spool *s, struct spool_batch *b) {
    static uint8_t p[1 << 16];
    int fd = spool_batch_fd(s, b);
    assert_true(fd >= 0);
    ssize_t len = read(fd, p, sizeof p);
    close(fd);
    assert_true(len > 64 && !memcmp(p, "shspool1", 8));
    assert_true(get_u64(p + 8) == b->head.sealer && get_u64(p + 16) == b->head.number);
    assert_memory_equal(p + 24, b->head.previous, 32);
    struct batch_tree tree;
    uint8_t leaf[32], root[32];
    uint32_t rows = 0;
    batch_tree_init(&tree);
    for (size_t at = 64; at < (size_t)len;) {
        uint32_t n = get_u32(p + at);
        if (p[at + 4] == 1) {
            assert_int_equal(get_u32(p + at + 8), rows++);
            batch_leaf(leaf, p[at + 5], p + at + 8, n);
            batch_tree_add(&tree, leaf);
        }
        if (p[at + 4] == 2) {
            assert_int_equal(at + 8 + n + 8, len);
            batch_tree_root(&tree, root);
            assert_int_equal(get_u32(p + at + 8), rows);
            assert_memory_equal(p + at + 12, root, 32);
            assert_memory_equal(p + at + 44, b->commitment, 32);
        }
        at += 8 + n + 8;
    }
    assert_int_equal(rows, b->head.rows);
    return rows;
}

static void batches(void **state) {
    (void)state;
    struct spool *s = open_spool(7);
    assert_int_equal(spool_end(s), 0); /* nothing: no batch */
    assert_null(spool_batches(s));
    add(s, 1);
    add(s, 2);
    assert_true(spool_waiting(s) > 0);
    assert_false(spool_due(s, clock_mono_ns()));
    assert_true(spool_due(s, clock_mono_ns() + 1001000000ull));
    assert_int_equal(spool_sync(s), 0);
    add(s, 3);
    assert_int_equal(spool_end(s), 0);
    add(s, 4);
    assert_int_equal(spool_end(s), 0);
    struct spool_batch *a = spool_batches(s), *b = a->next;
    assert_null(b->next);
    assert_int_equal(read_rows(s, a), 6);
    assert_int_equal(read_rows(s, b), 2);
    assert_int_equal(b->head.number, 2);
    assert_memory_equal(b->head.previous, a->commitment, 32);
    a->noted = true;
    spool_sweep(s);
    assert_true(file_size(7, 1) > 0);
    b->noted = b->inserted = true;
    spool_sweep(s);
    assert_int_equal(file_size(7, 2), 0);
    assert_ptr_equal(spool_batches(s), a);
    a->inserted = true;
    spool_sweep(s);
    assert_null(spool_batches(s));
    add(s, 5); /* the list's end is right again */
    assert_int_equal(spool_end(s), 0);
    assert_int_equal(spool_batches(s)->head.number, 3);
    spool_close(s);
}

static void cancels(void **state) {
    (void)state;
    struct spool *s = open_spool(7);
    add(s, 1);
    assert_int_equal(spool_add_row(s, ROWS_TURNS, (const uint8_t *)"gone", 4), 0);
    spool_cancel(s);
    add(s, 2);
    assert_int_equal(spool_end(s), 0);
    assert_int_equal(read_rows(s, spool_batches(s)), 4);
    spool_close(s);
}

/* Whatever length a dying sealer left of the file: whole exchanges are there, no part of one is. */
static void torn(void **state) {
    (void)state;
    struct spool *s = open_spool(7);
    add(s, 1);
    add(s, 2);
    assert_int_equal(spool_sync(s), 0);
    size_t two = file_size(7, 1);
    add(s, 3);
    assert_int_equal(spool_end(s), 0);
    size_t all = file_size(7, 1);
    struct batch_head whole = spool_batches(s)->head;
    spool_close(s);
    char path[128], copy[160], command[512];
    file_of(path, 7, 1);
    snprintf(copy, sizeof copy, "%s/copy", dir);
    snprintf(command, sizeof command, "mv %s %s", path, copy);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "cp %s %s", copy, path);
    for (size_t n = 0; n <= all; n++) {
        assert_int_equal(system(command), 0);
        assert_int_equal(truncate(path, (off_t)n), 0);
        s = open_spool(8);
        assert_int_equal(spool_damaged(s), 0);
        struct spool_batch *b = spool_batches(s);
        uint32_t rows = b ? read_rows(s, b) : 0;
        for (uint64_t i = 1; i <= 3; i++)
            assert_int_equal(spool_knows(s, 5, i), i * 2 <= rows);
        assert_false(spool_knows(s, 6, 1));
        if (n >= two)
            assert_true(rows >= 4);
        if (n == all) {
            assert_memory_equal(&b->head, &whole, sizeof whole);
            assert_true(b->again);
        }
        spool_close(s);
        s = open_spool(9); /* taking over twice is the same */
        assert_int_equal(spool_batches(s) ? spool_batches(s)->head.rows : 0, rows);
        spool_close(s);
        unlink(path);
        n += n % 64 < 60 ? 6 : 0; /* not at every length, that takes long */
    }
}

static void damaged(void **state) {
    (void)state;
    struct spool *s = open_spool(7);
    add(s, 1);
    assert_int_equal(spool_end(s), 0);
    add(s, 2);
    assert_int_equal(spool_end(s), 0);
    spool_close(s);
    char path[128];
    file_of(path, 7, 1);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, 100), 1);
    close(fd);
    s = open_spool(8);
    assert_int_equal(spool_damaged(s), 1);
    assert_false(spool_knows(s, 5, 1));
    assert_true(spool_knows(s, 5, 2));
    assert_int_equal(spool_batches(s)->head.number, 2);
    spool_close(s);
    strcat(path, ".damaged");
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

static void assignments(void **state) {
    (void)state;
    uint8_t one[100] = {1}, two[100] = {2};
    memset(one + SPOOL_TAG_AT, 0xa1, 32);
    memset(two + SPOOL_TAG_AT, 0xa2, 32);
    struct spool *s = open_spool(7);
    assert_int_equal(spool_add_assignment(s, one, sizeof one), 0);
    add(s, 1);
    assert_int_equal(spool_end(s), 0);
    assert_int_equal(spool_add_assignment(s, two, sizeof two), 0);
    assert_int_equal(spool_sync(s), 0);
    spool_close(s);
    s = open_spool(8);
    struct spool_assignment *a = spool_assignments(s);
    assert_non_null(a);
    assert_memory_equal(a->payload, two, sizeof two);
    assert_memory_equal(a->next->payload, one, sizeof one);
    struct spool_batch *b = spool_batches(s);
    assert_int_equal(b->head.rows, 2);
    assert_int_equal(b->next->head.rows, 0); /* only the assignment */
    b->noted = b->inserted = true;
    spool_sweep(s);
    assert_ptr_equal(spool_batches(s), b);
    spool_answered(s, two, one + SPOOL_TAG_AT); /* of an earlier question: another subject */
    assert_non_null(spool_assignments(s)->next);
    spool_answered(s, one, one + SPOOL_TAG_AT);
    spool_answered(s, two, two + SPOOL_TAG_AT);
    assert_null(spool_assignments(s));
    spool_sweep(s);
    assert_null(spool_batches(s));
    assert_int_equal(file_size(7, 1) + file_size(7, 2), 0);
    spool_close(s);
}

static void limits(void **state) {
    (void)state;
    struct spool *s = open_spool(7);
    uint64_t n = 0;
    do {
        add(s, ++n);
    } while (!spool_due(s, clock_mono_ns()));
    assert_int_equal(n * 2 + 3 + LIMIT_FINDING_ROWS > LIMIT_BATCH_ROWS, 1);
    assert_true(n * 2 <= LIMIT_BATCH_ROWS);
    assert_int_equal(spool_end(s), 0);
    assert_int_equal(spool_batches(s)->head.rows, n * 2);
    spool_batches(s)->noted = spool_batches(s)->inserted = true;
    spool_sweep(s);
    spool_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(cancels, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(torn, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(damaged, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(assignments, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(limits, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
