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

#define ENTRY (LEDGER_FRAME_BYTES + 2 + LEDGER_LEAF_FIXED + LEDGER_BATCH_BYTES + 8)
#define GROUP                                                                                      \
    (ENTRY + LEDGER_FRAME_BYTES + LEDGER_CHECKPOINT_BYTES) /* a batch and its checkpoint */
#define NOTHING (LEDGER_HEAD_BYTES + LEDGER_FRAME_BYTES + LEDGER_CHECKPOINT_BYTES)

static char dir[64], path[96], key_path[96];
static uint8_t audit_public[32], audit_secret[32];

static int make(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s/ledger-XXXXXX", P_tmpdir);
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/ledger.log", dir);
    snprintf(key_path, sizeof key_path, "%s/ledger.key", dir);
    crypto_box_keypair(audit_public, audit_secret);
    return ledger_create(dir);
}

static int clean(void **state) {
    (void)state;
    unlink(path);
    unlink(key_path);
    return rmdir(dir);
}

static struct ledger *open_it(void) {
    struct ledger *l;
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), 0);
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
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), ERR_NOTFOUND);
    assert_int_equal(ledger_create(dir), ERR_EXISTS); /* a key without a log is no new one's */
    assert_int_equal(unlink(key_path), 0);
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
        assert_int_equal(ledger_sync(l), 0);
        memcpy(before, c, 32);
    }
    ledger_close(l);
}

static off_t size_of(void) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* Cut anywhere: what has its checkpoint stays, the rest goes. */
static void torn(void **state) {
    uint8_t file[NOTHING + 3 * GROUP];
    struct ledger *l;
    uint64_t cut;
    (void)state;
    fill(3);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, file, sizeof file), sizeof file);
    for (off_t size = sizeof file - 1; size >= NOTHING; size -= 13) {
        assert_int_equal(pwrite(fd, file, sizeof file, 0), sizeof file);
        assert_int_equal(ftruncate(fd, size), 0);
        const uint64_t whole = (uint64_t)(size - NOTHING) / GROUP;
        assert_int_equal(ledger_open(dir, audit_public, &l, &cut), 0);
        assert_int_equal(totals(l).entries, whole);
        assert_int_equal(totals(l).batches, whole);
        assert_int_equal(cut, (uint64_t)(size - NOTHING) % GROUP);
        ledger_close(l);
        assert_int_equal(size_of(), NOTHING + whole * GROUP);
    }
    /* The length is there and the bytes are not. */
    assert_int_equal(pwrite(fd, file, NOTHING + GROUP, 0), NOTHING + GROUP);
    assert_int_equal(ftruncate(fd, sizeof file), 0);
    assert_int_equal(ledger_open(dir, audit_public, &l, &cut), 0);
    assert_int_equal(totals(l).entries, 1);
    assert_int_equal(cut, 2 * GROUP);
    ledger_close(l);
    for (off_t size = 0; size < NOTHING; size += 9) {
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(ledger_open(dir, audit_public, &l, &cut), ERR_CORRUPT);
        assert_int_equal(pwrite(fd, file, NOTHING, 0), NOTHING);
    }
    close(fd);
}

/* An unconfirmed entry that is cut off may come again, and others in its place. */
static void cut_comes_again(void **state) {
    struct batch_head h;
    uint8_t c[32];
    uint64_t cut;
    struct ledger *l = open_it();
    (void)state;
    batch(&h, c, 3, 1, NULL);
    assert_int_equal(ledger_batch(l, &h, c), 0);
    ledger_close(l); /* as if it had died */
    assert_int_equal(ledger_open(dir, audit_public, &l, &cut), 0);
    assert_int_equal(cut, ENTRY);
    h.rows = 77;
    batch_commitment(c, &h);
    assert_int_equal(ledger_batch(l, &h, c), 0);
    assert_int_equal(ledger_sync(l), 0);
    ledger_close(l);
    l = open_it();
    assert_int_equal(ledger_batch(l, &h, c), ERR_EXISTS);
    ledger_close(l);
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
            int rc = ledger_open(dir, audit_public, &l, NULL);
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
    assert_int_equal(e->index, (*n)++);
    assert_true(e->time_us >= last_time);
    last_time = e->time_us;
    return 0;
}

static int walk(ledger_fn *fn, void *arg, struct ledger_end *end) {
    const struct ledger_walk w = {.entry = fn, .arg = arg};
    int fd = open(path, O_RDONLY);
    int rc = ledger_walk(fd, &w, end);
    close(fd);
    return rc;
}

/* An entry dropped, or two in another order: neither is this log. */
static void reordered(void **state) {
    uint8_t file[NOTHING + 3 * GROUP];
    struct ledger_end end;
    unsigned n = 0;
    (void)state;
    fill(3);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, file, sizeof file), sizeof file);
    assert_int_equal(walk(check_entry, &n, &end), 0);
    assert_int_equal(n, 3);
    assert_int_equal(end.bytes, sizeof file);
    assert_int_equal(pwrite(fd, file + NOTHING + GROUP, GROUP, NOTHING), GROUP);
    assert_int_equal(walk(NULL, NULL, &end), ERR_CORRUPT);
    assert_int_equal(pwrite(fd, file, sizeof file, 0), sizeof file);
    assert_int_equal(pwrite(fd, file + NOTHING + 2 * GROUP, GROUP, NOTHING + GROUP), GROUP);
    assert_int_equal(ftruncate(fd, NOTHING + 2 * GROUP), 0);
    assert_int_equal(walk(NULL, NULL, &end), ERR_CORRUPT);
    close(fd);
}

/* The file of before, a key that is another one's, no key. */
static void not_ours(void **state) {
    uint8_t key[40];
    struct ledger *l;
    (void)state;
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "shledgr1", 8, 0), 8);
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), ERR_VERSION);
    assert_int_equal(pwrite(fd, "shledgr2", 8, 0), 8);
    close(fd);
    fd = open(key_path, O_RDWR);
    assert_int_equal(read(fd, key, sizeof key), sizeof key);
    key[20] ^= 1;
    assert_int_equal(pwrite(fd, key, sizeof key, 0), sizeof key);
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), ERR_CORRUPT);
    assert_int_equal(ftruncate(fd, 39), 0);
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), ERR_CORRUPT);
    close(fd);
    assert_int_equal(unlink(key_path), 0);
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), ERR_NOTFOUND);
}

/* ---- parts ---- */

struct seen {
    unsigned opened, mine;
    uint8_t public_key[32], secret[32], hint_key[32];
    struct buf who, about;
    uint8_t leaf[LEDGER_LEAF_MAX];
    size_t leaf_len;
};

static int see(void *arg, const struct ledger_entry *e) {
    struct seen *s = arg;
    uint8_t hint[8];
    if (e->kind != LEDGER_OPENED)
        return 0;
    s->opened++;
    ledger_hint(hint, s->hint_key, e->index);
    if (memcmp(hint, e->hint, sizeof hint))
        return 0;
    s->mine++;
    memcpy(s->leaf, e->leaf, e->leaf_len);
    s->leaf_len = e->leaf_len;
    assert_int_equal(ledger_part_open(&e->who, LEDGER_WHO, audit_public, audit_secret, &s->who), 0);
    assert_int_equal(ledger_part_open(&e->about, LEDGER_ABOUT, s->public_key, s->secret, &s->about),
                     0);
    assert_int_equal(
        ledger_part_open(&e->about, LEDGER_ABOUT, audit_public, audit_secret, &s->about),
        ERR_UNAUTHENTICATED);
    assert_int_equal(ledger_part_open(&e->about, LEDGER_WHO, s->public_key, s->secret, &s->about),
                     ERR_CORRUPT);
    return ledger_part_open(&e->about, LEDGER_ABOUT, s->public_key, s->secret, &s->about);
}

/* Who and why for the auditor, what for the subject; each part is found, opened and shown alone. */
static void parts(void **state) {
    static struct seen s;
    static uint8_t part[4096 * 48 + 20];
    static char reason[LIMIT_REASON];
    uint8_t shown[LEDGER_HASH_BYTES];
    struct ledger_receipt r;
    struct ledger_entry e;
    struct ledger_who_read read_who;
    struct ledger_end end;
    struct ledger *l = open_it();
    (void)state;
    crypto_box_keypair(s.public_key, s.secret);
    ledger_hint_key(s.hint_key, s.secret);
    randombytes_buf(part, sizeof part);
    memset(reason, 'r', sizeof reason);
    struct ledger_who who = {.uid = 1000,
                             .person = "anna",
                             .reason = reason,
                             .reason_len = sizeof reason + 1,
                             .rest = "rest",
                             .rest_len = 4};
    struct ledger_about about = {.part = part, .part_len = sizeof part};
    const struct ledger_draft d = {.kind = LEDGER_OPENED, .who = &who, .about = &about};
    assert_int_equal(ledger_append(l, &d, &r), ERR_LIMIT);
    who.reason_len--;
    assert_int_equal(ledger_append(l, &d, &r), 0); /* nobody's */
    assert_int_equal(r.index, 0);
    about.subject_public = s.public_key;
    about.hint_key = s.hint_key;
    assert_int_equal(ledger_append(l, &d, &r), 0);
    assert_int_equal(r.index, 1);
    assert_int_equal(ledger_sync(l), 0);
    assert_int_equal(totals(l).openings, 2);
    ledger_close(l);
    buf_init(&s.who, LEDGER_SEALED_MAX);
    buf_init(&s.about, LEDGER_SEALED_MAX);
    assert_int_equal(walk(see, &s, &end), 0);
    assert_int_equal(s.opened, 2);
    assert_int_equal(s.mine, 1);
    assert_int_equal(s.about.len, 32 + sizeof part);
    assert_memory_equal(s.about.p + 32, part, sizeof part);
    assert_int_equal(ledger_who_decode(&read_who, s.who.p + 32, s.who.len - 32), 0);
    assert_int_equal(read_who.uid, 1000);
    assert_string_equal(read_who.person, "anna");
    assert_int_equal(read_who.reason_len, sizeof reason);
    assert_memory_equal(read_who.reason, reason, sizeof reason);
    assert_int_equal(read_who.rest_len, 4);
    assert_memory_equal(read_who.rest, "rest", 4);
    /* With the receipt a part is shown to somebody without a key. */
    assert_int_equal(ledger_leaf_decode(&e, s.leaf, s.leaf_len), 0);
    ledger_commitment(shown, LEDGER_ABOUT, r.about_salt, part, sizeof part);
    assert_memory_equal(shown, e.about.commitment, sizeof shown);
    part[0] ^= 1;
    ledger_commitment(shown, LEDGER_ABOUT, r.about_salt, part, sizeof part);
    assert_memory_not_equal(shown, e.about.commitment, sizeof shown);
    buf_wipe(&s.who);
    buf_wipe(&s.about);
}

/* Sealed ahead, entries get index, time and hint where they come to stand; in between others may be appended. */
static void sealed_ahead(void **state) {
    static struct seen s;
    struct ledger_end end;
    struct ledger *l = open_it();
    struct buf sealed, text;
    size_t at = 0;
    (void)state;
    crypto_box_keypair(s.public_key, s.secret);
    ledger_hint_key(s.hint_key, s.secret);
    buf_init(&sealed, 1 << 20);
    buf_init(&text, TLOG_PROOF_MAX);
    const struct ledger_who who = {.uid = 1000, .reason = "why", .reason_len = 3};
    struct ledger_about about = {.part = "part", .part_len = 4};
    const struct ledger_draft d = {.kind = LEDGER_OPENED, .who = &who, .about = &about};
    const struct ledger_draft other = {.kind = LEDGER_ASKED, .who = &who};
    assert_int_equal(ledger_seal(l, &d, &sealed), 0); /* nobody's */
    about.subject_public = s.public_key;
    assert_int_equal(ledger_seal(l, &d, &sealed), 0);
    assert_int_equal(ledger_append(l, &other, NULL), 0);
    assert_int_equal(ledger_sync(l), 0);
    assert_int_equal(totals(l).entries, 1);
    assert_int_equal(ledger_append_sealed(l, &sealed, &at, NULL), 0);
    assert_int_equal(ledger_append_sealed(l, &sealed, &at, s.hint_key), 0);
    assert_int_equal(at, sealed.len);
    assert_int_equal(ledger_sync(l), 0);
    assert_int_equal(ledger_prove_newest(l, &text), 0);
    assert_int_equal(totals(l).openings, 2);
    assert_int_equal(ledger_seal(l, &d, &sealed), 0);
    assert_int_equal(ledger_prove_newest(l, &text), ERR_NOTFOUND); /* that one is nowhere */
    ledger_close(l);
    buf_init(&s.who, LEDGER_SEALED_MAX);
    buf_init(&s.about, LEDGER_SEALED_MAX);
    assert_int_equal(walk(see, &s, &end), 0);
    assert_int_equal(s.opened, 2);
    assert_int_equal(s.mine, 1);
    assert_memory_equal(s.about.p + 32, "part", 4);
    buf_wipe(&s.who);
    buf_wipe(&s.about);
    buf_wipe(&sealed);
    buf_wipe(&text);
}

/* ---- checkpoints ---- */

static void checkpoint_of(const struct ledger *l, struct buf *out) {
    buf_clear(out);
    assert_int_equal(ledger_checkpoint(l, out), 0);
}

/* Only what is durable is signed away; and a log knows the checkpoints that it had. */
static void checkpoints(void **state) {
    struct buf empty, one, two, now;
    struct checkpoint c;
    struct batch_head h;
    uint8_t commitment[32], before[32];
    struct note_key key;
    struct ledger *l = open_it();
    (void)state;
    buf_init(&empty, NOTE_MAX);
    buf_init(&one, NOTE_MAX);
    buf_init(&two, NOTE_MAX);
    buf_init(&now, NOTE_MAX);
    checkpoint_of(l, &empty);
    key = *ledger_key(l);
    assert_int_equal(checkpoint_open(&c, &key, (char *)empty.p, empty.len), 0);
    assert_int_equal(c.size, 0);
    batch(&h, commitment, 5, 1, NULL);
    assert_int_equal(ledger_batch(l, &h, commitment), 0);
    checkpoint_of(l, &one);
    assert_memory_equal(one.p, empty.p, empty.len); /* not yet */
    assert_int_equal(ledger_sync(l), 0);
    checkpoint_of(l, &one);
    memcpy(before, commitment, 32);
    batch(&h, commitment, 5, 2, before);
    assert_int_equal(ledger_batch(l, &h, commitment), 0);
    assert_int_equal(ledger_sync(l), 0);
    checkpoint_of(l, &two);
    assert_int_equal(checkpoint_open(&c, &key, (char *)two.p, two.len), 0);
    assert_int_equal(c.size, 2);
    assert_int_equal(ledger_covers(l, (char *)empty.p, empty.len), 0);
    assert_int_equal(ledger_covers(l, (char *)one.p, one.len), 0);
    assert_int_equal(ledger_covers(l, (char *)two.p, two.len), 0);
    const uint8_t of_signature = two.p[two.len - 10];
    two.p[two.len - 10] = of_signature == 'A' ? 'B' : 'A'; /* still base64 */
    assert_int_equal(ledger_covers(l, (char *)two.p, two.len), ERR_UNAUTHENTICATED);
    two.p[two.len - 10] = of_signature;
    ledger_close(l);
    l = open_it(); /* the same after a start */
    checkpoint_of(l, &now);
    assert_int_equal(now.len, two.len);
    assert_memory_equal(now.p, two.p, two.len);
    ledger_close(l);
    assert_int_equal(truncate(path, NOTHING + GROUP), 0); /* shortened, */
    l = open_it();
    assert_int_equal(ledger_covers(l, (char *)two.p, two.len), ERR_AGAIN);
    assert_int_equal(ledger_covers(l, (char *)one.p, one.len), 0);
    h.rows = 99; /* and forked, by who has the key */
    batch_commitment(commitment, &h);
    assert_int_equal(ledger_batch(l, &h, commitment), 0);
    assert_int_equal(ledger_sync(l), 0);
    assert_int_equal(ledger_covers(l, (char *)two.p, two.len), ERR_DENIED);
    ledger_close(l);
    buf_wipe(&empty);
    buf_wipe(&one);
    buf_wipe(&two);
    buf_wipe(&now);
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
    for (rlim_t more = 0; more < 3 * ENTRY + 120; more += 70) {
        limit = (struct rlimit){(rlim_t)size + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int rc = 0;
        for (int i = 0; i < 3 && !rc; i++)
            rc = ledger_batch(l, &h[i], c[i]);
        if (!rc)
            rc = ledger_sync(l);
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

/* The newest entry's proof from memory, at every shape of the tree; of none that is not the newest. */
static void newest(void **state) {
    struct ledger *l = open_it();
    const struct ledger_draft d = {.kind = LEDGER_CONFIGURATION, .fields = "0123", .fields_len = 4};
    struct buf text;
    (void)state;
    buf_init(&text, TLOG_PROOF_MAX);
    assert_int_equal(ledger_prove_newest(l, &text), ERR_NOTFOUND);
    for (uint64_t i = 0; i < 70; i++) {
        struct ledger_receipt r;
        struct tlog_proof proof;
        struct checkpoint c;
        merkle_hash hash;
        assert_int_equal(ledger_append(l, &d, &r), 0);
        assert_int_equal(ledger_prove_newest(l, &text), ERR_NOTFOUND); /* it is not durable yet */
        assert_int_equal(ledger_sync(l), 0);
        buf_clear(&text);
        assert_int_equal(ledger_prove_newest(l, &text), 0);
        assert_int_equal(tlog_proof_parse(&proof, (char *)text.p, text.len), 0);
        assert_int_equal(proof.index, i);
        merkle_leaf(hash, l->frame.p + LEDGER_FRAME_BYTES + 2, get_u16(l->frame.p + LEDGER_FRAME_BYTES));
        assert_int_equal(tlog_proof_check(&proof, ledger_key(l), hash, &c), 0);
        assert_int_equal(c.size, i + 1);
        hash[0] ^= 1;
        assert_int_equal(tlog_proof_check(&proof, ledger_key(l), hash, &c), ERR_UNAUTHENTICATED);
    }
    assert_int_equal(ledger_append(l, &d, NULL), 0);
    ledger_undo(l);
    assert_int_equal(ledger_prove_newest(l, &text), ERR_NOTFOUND); /* another entry's bytes */
    ledger_close(l);
    buf_wipe(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clean)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(created_once), TEST(chains),   TEST(torn),  TEST(cut_comes_again), TEST(flipped),
        TEST(reordered),    TEST(not_ours), TEST(parts), TEST(checkpoints),     TEST(no_room),
        TEST(newest),       TEST(sealed_ahead),
    };
    signal(SIGXFSZ, SIG_IGN);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
