/* The ledger: what is synced is there after anything, nothing is there twice, damage is noticed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

static char dir[64], path[96];

static int make(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s/ledger-XXXXXX", P_tmpdir);
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/ledger.log", dir);
    return ledger_create(dir);
}

static int clean(void **state) {
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static struct ledger *open_it(void) {
    struct ledger *l;
    assert_int_equal(ledger_open(dir, &l, NULL), 0);
    return l;
}

static void batch(struct batch_head *h, uint8_t commitment[32], uint64_t sealer, uint64_t number,
                  const uint8_t *previous) {
    *h = (struct batch_head){.sealer = sealer, .number = number, .rows = 4};
    if (previous)
        memcpy(h->previous, previous, 32);
    h->root[0] = (uint8_t)number;
    batch_commitment(commitment, h);
}

static struct ledger_totals totals(const struct ledger *l) {
    struct ledger_totals t;
    ledger_totals(l, &t);
    return t;
}

static void created_once(void **state) {
    struct ledger *l;
    (void)state;
    assert_int_equal(ledger_create(dir), ERR_EXISTS);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ledger_open(dir, &l, NULL), ERR_NOTFOUND);
    assert_int_equal(ledger_create(dir), 0);
    l = open_it();
    assert_int_equal(totals(l).entries, 0);
    ledger_close(l);
}

static void chains(void **state) {
    struct batch_head h[4];
    uint8_t c[4][32], zero[32] = {0};
    struct ledger *l = open_it();
    (void)state;
    batch(&h[0], c[0], 1, 1, NULL);
    batch(&h[1], c[1], 1, 2, c[0]);
    batch(&h[2], c[2], 1, 3, c[1]);
    assert_int_equal(ledger_batch(l, &h[0], c[1]), ERR_CORRUPT);
    assert_int_equal(ledger_batch(l, &h[0], c[0]), 0);
    assert_int_equal(ledger_batch(l, &h[2], c[2]), 0);
    batch(&h[3], c[3], 1, 2, zero); /* not after 1 */
    assert_int_equal(ledger_batch(l, &h[3], c[3]), ERR_DENIED);
    batch(&h[3], c[3], 1, 2, c[0]); /* after 1, but 3 follows another one */
    h[3].rows++;
    batch_commitment(c[3], &h[3]);
    assert_int_equal(ledger_batch(l, &h[3], c[3]), ERR_DENIED);
    assert_int_equal(ledger_batch(l, &h[1], c[1]), 0);
    assert_int_equal(ledger_batch(l, &h[1], c[1]), ERR_EXISTS);
    batch(&h[3], c[3], 1, 1, c[0]); /* a first one has no predecessor */
    h[3].sealer = 2;
    batch_commitment(c[3], &h[3]);
    assert_int_equal(ledger_batch(l, &h[3], c[3]), ERR_DENIED);
    batch(&h[3], c[3], 1, 0, NULL);
    assert_int_equal(ledger_batch(l, &h[3], c[3]), ERR_DENIED);
    batch(&h[3], c[3], 2, UINT64_MAX, c[0]);
    assert_int_equal(ledger_batch(l, &h[3], c[3]), 0);
    assert_int_equal(totals(l).batches, 0); /* nothing is sure */
    assert_int_equal(ledger_sync(l), 0);
    assert_int_equal(totals(l).batches, 4);
    ledger_close(l);
    l = open_it();
    assert_int_equal(totals(l).batches, 4);
    assert_int_equal(ledger_batch(l, &h[1], c[1]), ERR_EXISTS);
    ledger_undo(l); /* nothing to take back */
    assert_int_equal(totals(l).entries, 4);
    ledger_close(l);
}

static void fill(unsigned n) {
    struct ledger *l = open_it();
    struct batch_head h;
    uint8_t c[32], before[32] = {0};
    for (unsigned i = 1; i <= n; i++) {
        batch(&h, c, 9, i, before);
        assert_int_equal(ledger_batch(l, &h, c), 0);
        memcpy(before, c, 32);
    }
    assert_int_equal(ledger_sync(l), 0);
    ledger_close(l);
}

static off_t size_of(void) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* Cut anywhere: whole entries stay, the rest goes. */
static void torn(void **state) {
    enum { ENTRY = LEDGER_FIXED_BYTES + LEDGER_BATCH_BYTES + LEDGER_HASH_BYTES };
    uint8_t file[LEDGER_HEAD_BYTES + 3 * ENTRY];
    struct ledger *l;
    uint64_t cut;
    (void)state;
    fill(3);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, file, sizeof file), sizeof file);
    for (off_t size = sizeof file - 1; size >= LEDGER_HEAD_BYTES; size -= 13) {
        assert_int_equal(pwrite(fd, file, sizeof file, 0), sizeof file);
        assert_int_equal(ftruncate(fd, size), 0);
        const uint64_t whole = (uint64_t)(size - LEDGER_HEAD_BYTES) / ENTRY;
        assert_int_equal(ledger_open(dir, &l, &cut), 0);
        assert_int_equal(totals(l).entries, whole);
        assert_int_equal(cut, (uint64_t)(size - LEDGER_HEAD_BYTES) % ENTRY);
        ledger_close(l);
        assert_int_equal(size_of(), LEDGER_HEAD_BYTES + whole * ENTRY);
    }
    /* The length is there and the bytes are not. */
    assert_int_equal(pwrite(fd, file, LEDGER_HEAD_BYTES + ENTRY, 0), LEDGER_HEAD_BYTES + ENTRY);
    assert_int_equal(ftruncate(fd, sizeof file), 0);
    assert_int_equal(ledger_open(dir, &l, &cut), 0);
    assert_int_equal(totals(l).entries, 1);
    assert_int_equal(cut, 2 * ENTRY);
    ledger_close(l);
    assert_int_equal(ftruncate(fd, LEDGER_HEAD_BYTES - 1), 0);
    assert_int_equal(ledger_open(dir, &l, &cut), ERR_CORRUPT);
    close(fd);
}

/* Any flipped bit is found, a length's too, and the file is left as it was. */
static void flipped(void **state) {
    struct ledger *l;
    (void)state;
    fill(2);
    const off_t size = size_of();
    int fd = open(path, O_RDWR);
    for (off_t at = 0; at < size; at++)
        for (unsigned bit = 0; bit < 8; bit += 3) {
            uint8_t byte, wrong;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            wrong = byte ^ (uint8_t)(1u << bit);
            assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
            int rc = ledger_open(dir, &l, NULL);
            assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION);
            assert_int_equal(size_of(), size);
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
    close(fd);
    l = open_it();
    assert_int_equal(totals(l).entries, 2);
    ledger_close(l);
}

static uint64_t last_time;
static int check_entry(void *arg, const struct ledger_entry *e) {
    unsigned *n = arg;
    assert_int_equal(e->number, ++*n);
    assert_true(e->time_us >= last_time);
    last_time = e->time_us;
    return 0;
}

/* An entry dropped, or two in another order, break the chain. */
static void reordered(void **state) {
    enum { ENTRY = LEDGER_FIXED_BYTES + LEDGER_BATCH_BYTES + LEDGER_HASH_BYTES };
    uint8_t file[LEDGER_HEAD_BYTES + 3 * ENTRY];
    struct ledger_end end;
    unsigned n = 0;
    (void)state;
    fill(3);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, file, sizeof file), sizeof file);
    assert_int_equal(ledger_walk(fd, check_entry, &n, &end), 0);
    assert_int_equal(n, 3);
    assert_int_equal(end.bytes, sizeof file);
    assert_int_equal(pwrite(fd, file + LEDGER_HEAD_BYTES + ENTRY, ENTRY, LEDGER_HEAD_BYTES), ENTRY);
    assert_int_equal(ledger_walk(fd, NULL, NULL, &end), ERR_CORRUPT);
    assert_int_equal(pwrite(fd, file, sizeof file, 0), sizeof file);
    assert_int_equal(
        pwrite(fd, file + LEDGER_HEAD_BYTES + 2 * ENTRY, ENTRY, LEDGER_HEAD_BYTES + ENTRY), ENTRY);
    assert_int_equal(ftruncate(fd, LEDGER_HEAD_BYTES + 2 * ENTRY), 0);
    assert_int_equal(ledger_walk(fd, NULL, NULL, &end), ERR_CORRUPT);
    close(fd);
}

static int first_opening(void *arg, const struct ledger_entry *e) {
    struct ledger_entry *ret = arg;
    static uint8_t copy[LEDGER_PAYLOAD_MAX];
    if (e->kind == LEDGER_OPENED) {
        memcpy(copy, e->payload, e->len);
        *ret = *e;
        ret->payload = copy;
    }
    return 0;
}

static void openings(void **state) {
    static struct ledger_cell cells[LIMIT_OPEN_CELLS];
    static uint8_t clear[LEDGER_PAYLOAD_MAX];
    uint8_t public_key[32], secret[32];
    struct ledger_entry e = {0};
    struct ledger_end end;
    struct ledger *l = open_it();
    (void)state;
    crypto_box_keypair(public_key, secret);
    randombytes_buf(cells, sizeof cells);
    char reason[LIMIT_REASON];
    memset(reason, 'r', sizeof reason);
    assert_int_equal(
        ledger_opened(l, public_key, 1000, reason, sizeof reason, cells, LIMIT_OPEN_CELLS + 1),
        ERR_LIMIT);
    assert_int_equal(
        ledger_opened(l, public_key, 1000, reason, sizeof reason, cells, LIMIT_OPEN_CELLS), 0);
    assert_int_equal(ledger_sync(l), 0);
    assert_int_equal(totals(l).openings, 1);
    ledger_close(l);
    int fd = open(path, O_RDONLY);
    assert_int_equal(ledger_walk(fd, first_opening, &e, &end), 0);
    close(fd);
    assert_int_equal(get_u32(e.payload), LIMIT_OPEN_CELLS);
    assert_int_equal(crypto_box_seal_open(clear, e.payload + 4, e.len - 4, public_key, secret), 0);
    assert_int_equal(get_u32(clear), 1000);
    assert_int_equal(get_u16(clear + 4), sizeof reason);
    assert_memory_equal(clear + 6, reason, sizeof reason);
    assert_memory_equal(clear + 6 + sizeof reason, cells, sizeof cells);
}

/* Whatever size the file may have: nothing, or everything, and then it goes on. */
static void no_room(void **state) {
    struct batch_head h[3];
    uint8_t c[3][32];
    struct rlimit before, limit;
    (void)state;
    fill(1);
    struct ledger *l = open_it();
    for (int i = 0; i < 3; i++)
        batch(&h[i], c[i], 4, (uint64_t)i + 1, i ? c[i - 1] : NULL);
    const off_t size = size_of();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t more = 0; more < 400; more += 90) {
        limit = (struct rlimit){(rlim_t)size + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int rc = 0;
        for (int i = 0; i < 3 && !rc; i++)
            rc = ledger_batch(l, &h[i], c[i]);
        assert_int_equal(rc, ERR_IO);
        assert_int_equal(size_of(), size);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(ledger_broken(l));
    for (int i = 0; i < 3; i++)
        assert_int_equal(ledger_batch(l, &h[i], c[i]), 0);
    assert_int_equal(ledger_sync(l), 0);
    ledger_close(l);
    l = open_it();
    assert_int_equal(totals(l).entries, 4);
    ledger_close(l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clean)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(created_once), TEST(chains),   TEST(torn),    TEST(flipped),
        TEST(reordered),    TEST(openings), TEST(no_room),
    };
    signal(SIGXFSZ, SIG_IGN);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
