/*
 * What verify reads of others, of any bytes: notes, keys, proofs, rows, a ledger. Nothing crashes; a note
 * that is taken prints as what it was; a row is never longer than its bytes. The last byte chooses; of a
 * ledger the frames' checks are put right, or no input would get far.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(void *arg, const struct verify_finding *f) {
    (void)arg;
    if (!f->text[0] || strlen(f->text) >= VERIFY_TEXT)
        abort();
}

static int on_row(void *arg, const struct shape_row *r) {
    size_t *sum = arg;
    *sum += r->len;
    return 0;
}

static void rows(int table, const uint8_t *p, size_t len) {
    struct shape_stream s;
    size_t sum = 0, first = len / 3;
    shape_stream_init(&s, table, on_row, &sum);
    if (shape_stream_feed(&s, p, first) == 0)
        (void)shape_stream_feed(&s, p + first, len - first);
    (void)shape_stream_end(&s);
    if (sum > len)
        abort();
}

static void note(const uint8_t *p, size_t len) {
    static struct verify_note n, again;
    struct verify_note_key k;
    struct buf out;
    (void)verify_note_key_parse(&k, (const char *)p, len);
    if (verify_note_parse(&n, p, len))
        return;
    buf_init(&out, 2 * VERIFY_NOTE_MAX);
    if (verify_note_print(&n, &out))
        abort();
    bool known = true; /* signatures of other kinds are not kept */
    for (size_t i = 0; i < n.count; i++)
        known = known && n.signatures[i].ed25519;
    if (known && (out.len != len || memcmp(out.p, p, len) || verify_note_parse(&again, out.p, out.len)))
        abort();
    buf_wipe(&out);
}

static void proof(const uint8_t *p, size_t len) {
    struct verify_totals totals = {0};
    struct verify_event e;
    const struct verify_spec spec = {.report = report};
    if (verify_proof(&spec, "proof", p, len, &totals, &e) || totals.found + totals.part == 0)
        abort(); /* nobody said whose it is */
}

static int on_leaf(void *arg, const struct journal_leaf *l) {
    (void)arg;
    return l->len > UINT16_MAX ? ERR_INTERNAL : 0;
}
static void on_confirmed(void *arg) {
    (void)arg;
}
static void on_fault(void *arg, enum journal_fault f, uint64_t at, uint64_t index) {
    (void)arg, (void)f, (void)at, (void)index;
}
static void on_size(void *arg, const struct tree *t) {
    (void)arg, (void)t;
}

static void ledger(const uint8_t *p, size_t len) {
    static const char label[] = "safehouse ledger frame 2";
    const struct journal_reader r = {.leaf = on_leaf, .confirmed = on_confirmed, .fault = on_fault,
                                     .size = on_size};
    struct journal_end end;
    uint8_t *copy = malloc(len + 64), at[8], hash[SHA_BYTES];
    int fd = memfd_create("ledger", 0);
    memset(copy, 0, 64);
    memcpy(copy, "shledgr2", 8);
    memcpy(copy + 64, p, len);
    for (size_t i = 64; i + 16 <= len + 64; i += 16 + get_u32(copy + i)) {
        uint8_t frame[8 + 104];
        const bool whole = copy[i + 4] == 2 && i + 16 + 104 <= len + 64;
        memcpy(frame, copy + i, 8);
        if (whole)
            memcpy(frame + 8, copy + i + 16, 104);
        put_u64(at, i);
        sha_three(hash, label, sizeof label - 1, at, 8, frame, whole ? 112 : 8);
        memcpy(copy + i + 8, hash, 8);
        if (get_u32(copy + i) > len)
            break;
    }
    if (write(fd, copy, len + 64) != (ssize_t)(len + 64) || journal_read(fd, &r, &end) == ERR_INTERNAL)
        abort();
    close(fd);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (sodium_init() < 0 || size == 0)
        return 0;
    const uint8_t what = data[--size];
    if (what % 8 == 0)
        note(data, size);
    else if (what % 8 == 1)
        proof(data, size);
    else if (what % 8 == 2)
        ledger(data, size);
    else
        rows(what % 4 + 1, data, size);
    return 0;
}
