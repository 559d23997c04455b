/*
 * Notes, proofs and trees: what is right is taken, and of many mutated proofs none. The ledger
 * that they are of is made here, by the document alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/tree.h"
#include "read/verify/verify.h"

#define ENTRIES 13
#define MUTATIONS 200000 /* `make soak` asks for 10^6 in the environment */
#define ORIGIN "safehouse.invalid/000102030405060708090a0b0c0d0e0f"

static uint8_t public[32], secret[64];
static uint8_t leaves[ENTRIES][22];
static uint8_t hashes[ENTRIES][SHA_BYTES];
static unsigned reports;

static void report(void *arg, const struct verify_finding *f) {
    (void)arg;
    assert_true(f->text[0] != 0);
    reports++;
}

static int make(void **state) {
    static const uint8_t prefix = 0;
    (void)state;
    if (sodium_init() < 0)
        return -1;
    crypto_sign_keypair(public, secret);
    for (unsigned i = 0; i < ENTRIES; i++) {
        leaves[i][0] = 2;
        leaves[i][1] = 13;
        put_u64(leaves[i] + 4, i);
        put_u64(leaves[i] + 12, 1000 + i);
        sha_two(hashes[i], &prefix, 1, leaves[i], sizeof leaves[i]);
    }
    return 0;
}

/* RFC 6962 section 2.1.1, as it is written there. */
static size_t make_path(size_t m, size_t from, size_t n, uint8_t (*path)[SHA_BYTES]) {
    size_t k = 1, len;
    if (n == 1)
        return 0;
    while (2 * k < n)
        k *= 2;
    const bool left = m < k;
    len = left ? make_path(m, from, k, path) : make_path(m - k, from + k, n - k, path);
    tree_root_of((const uint8_t (*)[SHA_BYTES])hashes + (left ? from + k : from), left ? n - k : k,
                 path[len]);
    return len + 1;
}

static void base64(struct buf *out, const void *p, size_t len) {
    char text[512];
    sodium_bin2base64(text, sizeof text, p, len, sodium_base64_VARIANT_ORIGINAL);
    assert_int_equal(buf_append_str(out, text), 0);
}

static void make_note(struct verify_note *n, size_t size) {
    uint8_t root[SHA_BYTES];
    struct verify_note_key k;
    tree_root_of((const uint8_t (*)[SHA_BYTES])hashes, size, root);
    verify_note_make(n, ORIGIN, size, root);
    verify_note_key_make(&k, ORIGIN, public);
    strcpy(n->signatures[0].name, k.name);
    memcpy(n->signatures[0].id, k.id, 4);
    n->signatures[0].ed25519 = true;
    crypto_sign_detached(n->signatures[0].bytes, NULL, (const uint8_t *)n->text, n->text_len, secret);
    n->count = 1;
}

static void make_proof(struct buf *out, size_t index, size_t size) {
    static struct verify_note n;
    uint8_t path[8][SHA_BYTES], extra[2 + sizeof leaves[0]];
    const size_t len = make_path(index, 0, size, path);
    buf_init(out, 65536);
    put_u16(extra, sizeof leaves[0]);
    memcpy(extra + 2, leaves[index], sizeof leaves[0]);
    assert_int_equal(buf_append_str(out, "c2sp.org/tlog-proof@v1\nextra "), 0);
    base64(out, extra, sizeof extra);
    assert_int_equal(buf_printf(out, "\nindex %zu\n", index), 0);
    for (size_t i = 0; i < len; i++) {
        base64(out, path[i], SHA_BYTES);
        assert_int_equal(buf_append_u8(out, '\n'), 0);
    }
    make_note(&n, size);
    assert_int_equal(buf_append_u8(out, '\n'), 0);
    assert_int_equal(verify_note_print(&n, out), 0);
}

static bool accepted(const struct buf *proof, const struct verify_note *checkpoint, const struct verify_note_key *k) {
    static const char *const name = "elsewhere";
    struct verify_totals totals = {0};
    struct verify_event e;
    const struct verify_spec spec = {.checkpoints = checkpoint,
                                     .names = &name,
                                     .checkpoint_count = checkpoint != NULL,
                                     .key = k,
                                     .report = report};
    const bool ok = verify_proof(&spec, "proof", proof->p, proof->len, &totals, &e);
    assert_true(ok == (totals.found + totals.part == 0));
    return ok;
}

static void proofs_of_all_sizes_hold(void **state) {
    struct buf proof;
    struct verify_note_key k;
    static struct verify_note n;
    (void)state;
    verify_note_key_make(&k, ORIGIN, public);
    for (size_t size = 1; size <= ENTRIES; size++)
        for (size_t i = 0; i < size; i++) {
            make_proof(&proof, i, size);
            assert_true(accepted(&proof, NULL, &k));
            make_note(&n, size);
            assert_true(accepted(&proof, &n, NULL));
            assert_false(accepted(&proof, NULL, NULL)); /* whose is it? */
            make_note(&n, size % ENTRIES + 1);
            assert_false(accepted(&proof, &n, NULL));
            buf_wipe(&proof);
        }
}

/* ---- mutations ---- */

#define LINES 24
struct text {
    const uint8_t *p[LINES];
    size_t len[LINES], count; /* with their newlines */
};

static void split(struct text *t, const struct buf *b) {
    size_t from = 0;
    for (t->count = 0; from < b->len; t->count++) {
        const uint8_t *end = memchr(b->p + from, '\n', b->len - from);
        assert_true(end && t->count < LINES);
        t->p[t->count] = b->p + from;
        t->len[t->count] = (size_t)(end - b->p) + 1 - from;
        from += t->len[t->count];
    }
}

static void join(struct buf *b, const struct text *t) {
    b->len = 0;
    for (size_t i = 0; i < t->count; i++)
        assert_int_equal(buf_append(b, t->p[i], t->len[i]), 0);
}

static void put_line(struct text *t, size_t at, const uint8_t *p, size_t len) {
    t->p[at] = p;
    t->len[at] = len;
}

/* Whole lines: places changed, left out, doubled, another proof's, another number. */
static void mutate_lines(struct buf *b, const struct buf *from, const struct buf *other) {
    static char number[32];
    struct text t, o;
    split(&t, from);
    split(&o, other);
    const size_t i = randombytes_uniform((uint32_t)t.count), k = randombytes_uniform((uint32_t)t.count);
    const size_t j = randombytes_uniform((uint32_t)o.count);
    switch (randombytes_uniform(6)) {
    case 0: {
        const struct text was = t;
        put_line(&t, i, was.p[k], was.len[k]);
        put_line(&t, k, was.p[i], was.len[i]);
        break;
    }
    case 1:
        for (size_t n = i; n + 1 < t.count; n++)
            put_line(&t, n, t.p[n + 1], t.len[n + 1]);
        t.count--;
        break;
    case 2:
        put_line(&t, i, o.p[j], o.len[j]);
        break;
    case 3: /* from there on it is the other */
        t.count = i;
        for (size_t n = j; n < o.count && t.count < LINES; n++, t.count++)
            put_line(&t, t.count, o.p[n], o.len[n]);
        break;
    case 4:
        if (t.count < LINES) {
            memmove(&t.p[i + 1], &t.p[i], (t.count - i) * sizeof t.p[0]);
            memmove(&t.len[i + 1], &t.len[i], (t.count - i) * sizeof t.len[0]);
            t.count++;
        }
        break;
    default: /* the index or the size */
        snprintf(number, sizeof number, "%s%u\n", i % 2 ? "index " : "", randombytes_uniform(ENTRIES + 2));
        for (size_t n = 2; n < t.count; n++)
            if (i % 2 ? n == 2 : t.len[n] <= 4 && t.len[n] > 1)
                put_line(&t, n, (const uint8_t *)number, strlen(number));
    }
    join(b, &t);
}

static void mutate_bytes(struct buf *b, const struct buf *from) {
    b->len = 0;
    assert_int_equal(buf_append(b, from->p, from->len), 0);
    const uint32_t at = randombytes_uniform((uint32_t)from->len);
    switch (randombytes_uniform(6)) {
    case 0:
        b->p[at] ^= (uint8_t)(1u << randombytes_uniform(8));
        break;
    case 1:
        b->p[at] = (uint8_t)randombytes_uniform(256);
        break;
    case 2:
        b->len = at;
        break;
    case 3:
        memmove(b->p + at, b->p + at + 1, b->len - at - 1);
        b->len--;
        break;
    case 4: /* more behind it */
        assert_int_equal(buf_append(b, from->p, 1 + at), 0);
        break;
    default: { /* two pieces change places */
        const uint32_t n = randombytes_uniform(48) + 1;
        uint8_t piece[48];
        const uint32_t to = randombytes_uniform((uint32_t)from->len);
        if (at + n > from->len || to + n > from->len)
            break;
        memcpy(piece, b->p + at, n);
        memmove(b->p + at, b->p + to, n);
        memcpy(b->p + to, piece, n);
    }
    }
}

/* One of them, or one with its signature's line twice, which says the same. */
static bool is_one(const struct buf *b, const struct buf *all, size_t count) {
    bool yes = false;
    for (size_t i = 0; i < count; i++) {
        const struct buf *one = &all[i];
        const uint8_t *line = memrchr(one->p, '\n', one->len - 1) + 1;
        const size_t n = (size_t)(one->p + one->len - line);
        yes = yes || (b->len >= one->len && memcmp(b->p, one->p, one->len) == 0 &&
                      (b->len == one->len ||
                       (b->len == one->len + n && memcmp(b->p + one->len, line, n) == 0)));
    }
    return yes;
}

/* A mutation may leave the same words, or make another true proof: only other bytes count. */
static void no_mutated_proof_is_accepted(void **state) {
    struct buf all[ENTRIES * (ENTRIES + 1) / 2], other;
    struct verify_note_key k;
    static struct verify_note n;
    const char *wanted = getenv("MUTATIONS");
    const unsigned wished = wanted ? (unsigned)atoi(wanted) : MUTATIONS;
    size_t count = 0;
    unsigned tried = 0, taken = 0;
    (void)state;
    assert_true(wished > 0);
    verify_note_key_make(&k, ORIGIN, public);
    for (size_t size = 1; size <= ENTRIES; size++)
        for (size_t i = 0; i < size; i++)
            make_proof(&all[count++], i, size);
    make_note(&n, ENTRIES);
    buf_init(&other, 65536);
    while (tried < wished) {
        const struct buf *from = &all[randombytes_uniform((uint32_t)count)];
        if (tried % 2)
            mutate_lines(&other, from, &all[randombytes_uniform((uint32_t)count)]);
        else
            mutate_bytes(&other, from);
        if (is_one(&other, all, count))
            continue;
        tried++;
        if (accepted(&other, tried % 4 < 2 ? &n : NULL, tried % 4 ? &k : NULL)) {
            print_message("accepted:\n%.*s", (int)other.len, (const char *)other.p);
            taken++;
        }
    }
    print_message("%u mutated proofs, %u accepted\n", tried, taken);
    assert_int_equal(taken, 0);
    assert_true(reports >= wished);
    for (size_t i = 0; i < count; i++)
        buf_wipe(&all[i]);
    buf_wipe(&other);
}

static void keys_and_notes_are_strict(void **state) {
    char line[256], text[64];
    uint8_t bytes[33] = {1};
    struct verify_note_key k, again;
    static struct verify_note n, parsed;
    struct buf out;
    (void)state;
    verify_note_key_make(&k, ORIGIN, public);
    memcpy(bytes + 1, public, 32);
    sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
    int len = snprintf(line, sizeof line, "%s+%02x%02x%02x%02x+%s\n", ORIGIN, k.id[0], k.id[1], k.id[2],
                       k.id[3], text);
    assert_int_equal(verify_note_key_parse(&again, line, (size_t)len), 0);
    assert_memory_equal(&k, &again, sizeof k);
    line[strlen(ORIGIN) + 1] ^= 1;
    assert_int_not_equal(verify_note_key_parse(&again, line, (size_t)len), 0);

    make_note(&n, 3);
    buf_init(&out, 4096);
    assert_int_equal(verify_note_print(&n, &out), 0);
    assert_int_equal(verify_note_parse(&parsed, out.p, out.len), 0);
    assert_int_equal(verify_note_verify(&parsed, &k), 0);
    for (size_t cut = 0; cut < out.len; cut++)
        assert_int_not_equal(verify_note_parse(&parsed, out.p, cut), 0);
    k.public[0] ^= 1; /* the name and id are known, the signature is not by it */
    assert_int_equal(verify_note_parse(&parsed, out.p, out.len), 0);
    assert_int_equal(verify_note_verify(&parsed, &k), ERR_CORRUPT);
    k.id[0] ^= 1;
    assert_int_equal(verify_note_verify(&parsed, &k), ERR_NOTFOUND);
    buf_wipe(&out);
}

/* ---- what others may write into a note ---- */

static bool parses(const char *origin, const char *size, const char *name, size_t signature) {
    static struct verify_note n;
    static uint8_t bytes[16384];
    static char text[32768], all[65536];
    sodium_bin2base64(text, sizeof text, bytes, signature, sodium_base64_VARIANT_ORIGINAL);
    const int len = snprintf(all, sizeof all, "%s\n%s\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\xe2\x80\x94 %s %s\n",
                             origin, size, name, text);
    return verify_note_parse(&n, (const uint8_t *)all, (size_t)len) == 0;
}

static void notes_of_others(void **state) {
    char name[300];
    (void)state;
    assert_true(parses("a", "1", "b", 68));
    assert_true(parses("a", "9223372036854775807", "b", 5));
    assert_true(parses("a", "0", "witness/\xc3\xbc", 8192)); /* post-quantum signatures are long */
    assert_false(parses("a", "9223372036854775808", "b", 68));
    assert_false(parses("a", "18446744073709551616", "b", 68));
    assert_false(parses("a", "01", "b", 68));
    assert_false(parses("a", "-1", "b", 68));
    assert_false(parses("a", " 1", "b", 68));
    assert_false(parses("a", "1", "b", 4));
    assert_false(parses("a", "1", "b", 8193));
    /* An origin is printed: nothing that looks like another, or moves the cursor. */
    static const char *const origins[] = {"", "a b", "a+b", "a\xc2\xa0", "\xd0\xb0", "a\x1b[2J", "a\xc2\x9b" "2J", "a\x7f", "\xff"};
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++)
        assert_false(parses(origins[i], "1", "b", 68));
    static const char *const names[] = {"", "a+b", "a\xc2\x85", "\xe2\x80\x83", "\xe3\x80\x80", "\xe2\x81\x9f", "\xe1\x9a\x80",
                                        "\xff", "\xed\xa0\x80", "\xc0\xaf", "a\x7f", "a\tb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_false(parses("a", "1", names[i], 68));
    memset(name, 'n', sizeof name);
    name[255] = 0;
    assert_true(parses("a", "1", name, 68));
    name[255] = 'n', name[256] = 0;
    assert_false(parses("a", "1", name, 68));
}

/* A proof that its key signs, beside a checkpoint of the same size that is another, or one that nothing
 * compares it with, is not just believed. */
static void proofs_beside_other_checkpoints(void **state) {
    struct buf proof;
    struct verify_note_key k;
    static struct verify_note n;
    struct verify_event e;
    static const char *const name = "kept";
    (void)state;
    verify_note_key_make(&k, ORIGIN, public);
    make_proof(&proof, 3, 9);
    const struct verify_spec spec = {.checkpoints = &n, .names = &name, .checkpoint_count = 1, .key = &k,
                                     .report = report};
    for (int i = 0; i < 3; i++) {
        struct verify_totals t = {0};
        make_note(&n, i == 2 ? 11 : 9);
        if (i == 1) { /* a fork, signed with the same key */
            verify_note_make(&n, ORIGIN, 9, (uint8_t[SHA_BYTES]){7});
            strcpy(n.signatures[0].name, k.name);
            memcpy(n.signatures[0].id, k.id, 4);
            n.signatures[0].ed25519 = true;
            crypto_sign_detached(n.signatures[0].bytes, NULL, (const uint8_t *)n.text, n.text_len, secret);
            n.count = 1;
        }
        assert_int_equal(verify_proof(&spec, "proof", proof.p, proof.len, &t, &e), i == 0);
        assert_int_equal(t.found, i == 1);
        assert_int_equal(t.part, i == 2);
    }
    buf_wipe(&proof);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_of_others),
        cmocka_unit_test(proofs_beside_other_checkpoints),
        cmocka_unit_test(proofs_of_all_sizes_hold),
        cmocka_unit_test(no_mutated_proof_is_accepted),
        cmocka_unit_test(keys_and_notes_are_strict),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
