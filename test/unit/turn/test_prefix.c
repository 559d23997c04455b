/* The prefix state: pending and committed entries, restarts, damage, eviction, scopes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "write/turn/prefix.h"

static struct prefix_entry entry(uint64_t n) {
    struct prefix_entry e = {.position = (uint32_t)n, .choice = 3, .flags = PREFIX_ANSWER};
    put_u64(e.key, n * 0x9e3779b97f4a7c15u);
    put_u64(e.key + 8, n);
    put_u64(e.turn, n);
    put_u64(e.tools, ~n);
    return e;
}

static bool has(struct prefix *p, uint64_t n) {
    struct prefix_entry want = entry(n), e;
    if (!prefix_find(p, want.key, &e))
        return false;
    assert_memory_equal(&e, &want, sizeof e);
    return true;
}

static void add(struct prefix *p, uint64_t n) {
    struct prefix_entry e = entry(n);
    prefix_add(p, &e);
}

static int file(size_t entries) {
    int fd = memfd_create("prefix", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)(4096 + entries * 128)), 0);
    return fd;
}

/* One subject's entries go, wherever they are, and nobody else's. */
static void forgotten(void **state) {
    const uint8_t a[16] = {1}, b[16] = {2};
    int fd = file(64);
    struct prefix *p;
    uint8_t text[4096 + 64 * 128], owner[PREFIX_OWNER];
    (void)state;
    assert_int_equal(prefix_open(fd, &p), 0);
    for (uint64_t n = 1; n <= 6; n++) {
        struct prefix_entry e = entry(n);
        prefix_owner(p, n % 2 ? a : b, e.owner);
        prefix_add(p, &e);
        if (n == 4)
            prefix_commit(p); /* 5 and 6 are pending */
    }
    prefix_owner(p, a, owner);
    prefix_forget(p, a);
    for (int commit = 0; commit < 2; commit++) {
        for (uint64_t n = 1; n <= 6; n++) {
            struct prefix_entry want = entry(n), e;
            assert_int_equal(prefix_find(p, want.key, &e), n % 2 == 0);
        }
        prefix_commit(p);
    }
    assert_int_equal(pread(fd, text, sizeof text, 0), sizeof text);
    assert_null(memmem(text, sizeof text, owner, sizeof owner));
    prefix_owner(p, b, owner);
    assert_non_null(memmem(text, sizeof text, owner, sizeof owner));
    prefix_close(p);
    close(fd);
}

static void pending(void **state) {
    (void)state;
    int fd = file(64);
    struct prefix *p, *q;
    assert_int_equal(prefix_open(fd, &p), 0);
    assert_int_equal(prefix_capacity(p), 64);
    add(p, 1);
    add(p, 2);
    assert_true(has(p, 1) && has(p, 2));
    assert_int_equal(prefix_open(fd, &q), 0);
    assert_false(has(q, 1)); /* a sealer that died before the commit left nothing */
    prefix_drop(p);
    assert_false(has(p, 1));
    add(p, 3);
    prefix_commit(p);
    assert_true(has(p, 3) && has(q, 3));
    struct prefix_entry other = entry(3);
    other.position = 99; /* what is there stays */
    prefix_add(p, &other);
    prefix_commit(p);
    assert_true(has(p, 3));
    prefix_close(q);
    prefix_close(p);
    close(fd);
}

static void restarts(void **state) {
    (void)state;
    int fd = file(64);
    struct prefix *p;
    uint8_t subject[UUID_BYTES] = {1}, before[PREFIX_DIGEST], after[PREFIX_DIGEST];
    assert_int_equal(prefix_open(fd, &p), 0);
    prefix_start(p, "t", "p", "k", subject, 1, before);
    for (uint64_t n = 1; n <= 8; n++)
        add(p, n);
    prefix_commit(p);
    prefix_close(p);
    assert_int_equal(prefix_open(fd, &p), 0);
    prefix_start(p, "t", "p", "k", subject, 1, after);
    assert_memory_equal(before, after, sizeof before);
    assert_true(has(p, 1) && has(p, 8));
    prefix_close(p);
    /* a flipped bit: that entry is gone; in the header: all are */
    uint8_t *map = mmap(NULL, 4096 + 64 * 128, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    for (int i = 0; i < 64; i++)
        if (get_u64(map + 4096 + i * 128 + 8) == 5)
            map[4096 + i * 128 + 40] ^= 1;
    assert_int_equal(prefix_open(fd, &p), 0);
    assert_true(has(p, 4) && !has(p, 5));
    prefix_close(p);
    map[20] ^= 1;
    assert_int_equal(prefix_open(fd, &p), 0);
    assert_false(has(p, 4));
    prefix_close(p);
    munmap(map, 4096 + 64 * 128);
    close(fd);
    fd = memfd_create("prefix", MFD_CLOEXEC);
    assert_int_equal(prefix_open(fd, &p), ERR_CORRUPT);
    close(fd);
}

/* What is used stays, what is not used makes room. */
static void evicts(void **state) {
    (void)state;
    int fd = file(1024);
    struct prefix *p;
    assert_int_equal(prefix_open(fd, &p), 0);
    for (uint64_t n = 1; n <= 20000; n++) {
        add(p, n);
        assert_true(has(p, n));
        add(p, 1);
        if (n % 10 == 0)
            prefix_commit(p);
    }
    prefix_commit(p);
    assert_true(has(p, 1));
    assert_false(has(p, 2));
    size_t newest = 0;
    for (uint64_t n = 20000 - 512; n <= 20000; n++)
        newest += has(p, n);
    assert_true(newest > 300);
    prefix_close(p);
    close(fd);
}

static void scopes(void **state) {
    (void)state;
    struct prefix *p, *q;
    uint8_t a[UUID_BYTES] = {1}, b[UUID_BYTES] = {2}, d[7][PREFIX_DIGEST];
    assert_int_equal(prefix_open(-1, &p), 0);
    assert_int_equal(prefix_open(-1, &q), 0);
    prefix_start(p, "t", "p", "k", a, 1, d[0]);
    prefix_start(p, "t", "p", "k", b, 1, d[1]);
    prefix_start(p, "t", "p", "k2", a, 1, d[2]);
    prefix_start(p, "t", "pk", "", a, 1, d[3]);
    prefix_start(p, "tp", "", "k", a, 1, d[4]);
    prefix_start(p, "t", "p", "k", a, 2, d[5]);
    prefix_start(q, "t", "p", "k", a, 1, d[6]); /* another key */
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(d[i], d[k], PREFIX_DIGEST);
    prefix_close(q);
    prefix_close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pending), cmocka_unit_test(forgotten), cmocka_unit_test(restarts), cmocka_unit_test(evicts), cmocka_unit_test(scopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
