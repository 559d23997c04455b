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

/* A mutation may leave the same words: only other bytes count. */
static void mutate(struct buf *b, const struct buf *from) {
    b->len = 0;
    assert_int_equal(buf_append(b, from->p, from->len), 0);
    const uint32_t at = randombytes_uniform((uint32_t)from->len);
    switch (randombytes_uniform(5)) {
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

static void no_mutated_proof_is_accepted(void **state) {
    struct buf proof, other;
    struct verify_note_key k;
    static struct verify_note n;
    const char *wanted = getenv("MUTATIONS");
    const unsigned all = wanted ? (unsigned)atoi(wanted) : MUTATIONS;
    unsigned tried = 0;
    (void)state;
    assert_true(all > 0);
    verify_note_key_make(&k, ORIGIN, public);
    make_proof(&proof, 5, ENTRIES);
    make_note(&n, ENTRIES);
    buf_init(&other, 65536);
    while (tried < all) {
        mutate(&other, &proof);
        if (other.len == proof.len && memcmp(other.p, proof.p, proof.len) == 0)
            continue;
        tried++;
        if (accepted(&other, &n, tried % 2 ? &k : NULL))
            fail_msg("accepted:\n%.*s", (int)other.len, (const char *)other.p);
    }
    assert_true(reports >= all);
    buf_wipe(&proof);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proofs_of_all_sizes_hold),
        cmocka_unit_test(no_mutated_proof_is_accepted),
        cmocka_unit_test(keys_and_notes_are_strict),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
