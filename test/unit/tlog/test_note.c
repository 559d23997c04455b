/* Signed notes, checkpoints and proofs: those of others are read, ours are as theirs, and nothing
 * that was changed is believed. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tlog/checkpoint.h"
#include "../vectors.h"

static void key_of(struct note_key *k, const char *name) {
    const struct vector *v = vector(name);
    assert_int_equal(note_key_parse(k, (const char *)v->p, v->len), 0);
}

static int check(const char *note, const struct note_key *k) {
    const struct vector *v = vector(note);
    struct note n;
    int rc = note_parse(&n, (const char *)v->p, v->len);
    return rc ? rc : note_check(&n, k, NULL);
}

static void of_others(void **state) {
    struct note_key go, second, spec;
    struct buf text;
    (void)state;
    vectors_load("note");
    key_of(&go, "go.key");
    key_of(&second, "go.second");
    key_of(&spec, "spec.key");
    assert_int_equal(check("go.note", &go), 0);
    assert_int_equal(check("go.note", &second), ERR_NOTFOUND);
    assert_int_equal(check("go.both", &go), 0);
    assert_int_equal(check("go.both", &second), 0);
    assert_int_equal(check("spec.note", &spec), 0);
    assert_int_equal(check("spec.note", &go), ERR_NOTFOUND);
    buf_init(&text, 4096);
    assert_int_equal(note_key_format(&text, &go), 0);
    assert_int_equal(text.len, vector("go.key")->len);
    assert_memory_equal(text.p, vector("go.key")->p, text.len);
    buf_wipe(&text);
}

/* The same note that Go's package makes with this key, byte for byte. */
static void as_others_sign(void **state) {
    uint8_t public_key[32], secret[64], signature[64];
    struct note_key k;
    struct note n;
    struct buf out;
    (void)state;
    vectors_load("note");
    const struct vector *v = vector("go.note");
    assert_int_equal(note_parse(&n, (const char *)v->p, v->len), 0);
    crypto_sign_ed25519_seed_keypair(public_key, secret, vector("go.seed")->p);
    assert_int_equal(note_key_make(&k, "PeterNeumann", NOTE_ED25519, public_key), 0);
    crypto_sign_ed25519_detached(signature, NULL, (const uint8_t *)n.text, n.text_len, secret);
    buf_init(&out, 4096);
    assert_int_equal(buf_append(&out, n.text, n.text_len), 0);
    assert_int_equal(buf_append_u8(&out, '\n'), 0);
    assert_int_equal(note_put_signature(&out, &k, signature, sizeof signature), 0);
    assert_int_equal(out.len, v->len);
    assert_memory_equal(out.p, v->p, v->len);
    buf_wipe(&out);
}

static void wrong_keys(void **state) {
    struct note_key k;
    char text[256];
    (void)state;
    vectors_load("note");
    const struct vector *v = vector("go.key");
    for (size_t from = 0; from < v->len; from++)
        for (size_t to = from + 1; to <= v->len; to++)
            if (from || to < v->len)
                assert_int_not_equal(note_key_parse(&k, (const char *)v->p + from, to - from), 0);
    for (size_t i = 0; i < v->len; i++) {
        memcpy(text, v->p, v->len);
        text[i]++;
        assert_int_not_equal(note_key_parse(&k, text, v->len), 0);
    }
    const uint8_t zero[32] = {0};
    assert_int_equal(note_key_make(&k, "", NOTE_ED25519, zero), ERR_SYNTAX);
    assert_int_equal(note_key_make(&k, "a b", NOTE_ED25519, zero), ERR_SYNTAX);
    assert_int_equal(note_key_make(&k, "a+b", NOTE_ED25519, zero), ERR_SYNTAX);
    assert_int_equal(note_key_make(&k, "a\nb", NOTE_ED25519, zero), ERR_SYNTAX);
    assert_int_equal(note_key_make(&k, "a\xe2\x80\x83", NOTE_ED25519, zero), ERR_SYNTAX);
    assert_int_equal(note_key_make(&k, "\xff", NOTE_ED25519, zero), ERR_SYNTAX);
}

static int parse(const char *text) {
    struct note n;
    return note_parse(&n, text, strlen(text));
}

#define SIGNATURE "\xe2\x80\x94 a AAAAAAAA\n"

static void malformed(void **state) {
    (void)state;
    assert_int_equal(parse("text\n\n" SIGNATURE), 0);
    assert_int_equal(parse("text\n\nmore\n\n" SIGNATURE SIGNATURE), 0);
    assert_int_equal(parse("\n\n" SIGNATURE), 0);
    assert_int_equal(parse(""), ERR_SYNTAX);
    assert_int_equal(parse("text\n"), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n"), ERR_SYNTAX);
    assert_int_equal(parse("text\n" SIGNATURE), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n" SIGNATURE "\n"), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n" SIGNATURE "more\n"), ERR_SYNTAX);
    assert_int_equal(parse("te\rxt\n\n" SIGNATURE), ERR_SYNTAX);
    assert_int_equal(parse("te\xc3\n\n" SIGNATURE), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n- a AAAAAAAA\n"), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n\xe2\x80\x94 aAAAAAAAA\n"), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n\xe2\x80\x94 a AAAAAA\n"), ERR_SYNTAX);
    assert_int_equal(parse("text\n\n\xe2\x80\x94 a AAAA\n"), ERR_SYNTAX); /* an id and no more */
    assert_int_equal(parse("text\n\n\xe2\x80\x94 a AAAAAAB=\n"), ERR_SYNTAX); /* stray bits */
    assert_int_equal(parse("text\n\n\xe2\x80\x94  AAAAAAAA\n"), ERR_SYNTAX);
    static char many[8192] = "text\n\n";
    for (int i = 0; i < NOTE_SIGNATURES_MAX; i++)
        strcat(many, SIGNATURE);
    assert_int_equal(parse(many), 0);
    strcat(many, SIGNATURE);
    assert_int_equal(parse(many), ERR_LIMIT);
}

/* ---- a log of our own ---- */

#define LEAVES 41
#define INDEX 17

struct log {
    struct note_key key, witness;
    uint8_t secret[64], witness_secret[64];
    merkle_hash leaves[LEAVES];
    struct checkpoint c;
    struct buf note, proof;
};

static void put_cosignature(struct log *l, uint64_t time_s) {
    struct buf message;
    uint8_t p[8 + 64];
    struct note n;
    assert_int_equal(note_parse(&n, (char *)l->note.p, l->note.len), 0);
    buf_init(&message, NOTE_MAX);
    buf_printf(&message, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    buf_append(&message, n.text, n.text_len);
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(time_s >> (56 - 8 * i));
    crypto_sign_ed25519_detached(p + 8, NULL, message.p, message.len, l->witness_secret);
    assert_int_equal(note_put_signature(&l->note, &l->witness, p, sizeof p), 0);
    buf_wipe(&message);
}

static void make_log(struct log *l) {
    uint8_t public_key[32], signature[64];
    struct merkle m;
    struct merkle_proof p;
    *l = (struct log){.c = {.origin = "log.example/one", .size = LEAVES}};
    crypto_sign_ed25519_keypair(public_key, l->secret);
    assert_int_equal(note_key_make(&l->key, l->c.origin, NOTE_ED25519, public_key), 0);
    crypto_sign_ed25519_keypair(public_key, l->witness_secret);
    assert_int_equal(note_key_make(&l->witness, "witness.example", NOTE_COSIGNATURE, public_key),
                     0);
    merkle_init(&m);
    assert_int_equal(merkle_prove_inclusion(&p, INDEX, LEAVES), 0);
    for (unsigned i = 0; i < LEAVES; i++) {
        merkle_leaf(l->leaves[i], &i, sizeof i);
        merkle_add(&m, l->leaves[i]);
        merkle_proof_add(&p, l->leaves[i]);
    }
    merkle_root(&m, l->c.root);
    buf_init(&l->note, NOTE_MAX);
    buf_init(&l->proof, TLOG_PROOF_MAX);
    assert_int_equal(checkpoint_format(&l->note, &l->c), 0);
    crypto_sign_ed25519_detached(signature, NULL, l->note.p, l->note.len, l->secret);
    buf_append_u8(&l->note, '\n');
    assert_int_equal(note_put_signature(&l->note, &l->key, signature, sizeof signature), 0);
    assert_int_equal(tlog_proof_format(&l->proof, "extra", 5, INDEX, p.hashes, p.count,
                                       (char *)l->note.p, l->note.len),
                     0);
}

static void drop_log(struct log *l) {
    buf_wipe(&l->note);
    buf_wipe(&l->proof);
}

static void cosigned(void **state) {
    struct log l;
    struct note n;
    struct checkpoint c;
    uint64_t time_s;
    (void)state;
    make_log(&l);
    put_cosignature(&l, 1679315147);
    assert_int_equal(note_parse(&n, (char *)l.note.p, l.note.len), 0);
    assert_int_equal(n.count, 2);
    assert_int_equal(note_check(&n, &l.witness, &time_s), 0);
    assert_int_equal(time_s, 1679315147);
    assert_int_equal(note_check(&n, &l.key, &time_s), 0);
    assert_int_equal(checkpoint_open(&c, &l.key, (char *)l.note.p, l.note.len), 0);
    assert_int_equal(c.size, LEAVES);
    assert_memory_equal(c.root, l.c.root, sizeof c.root);
    assert_int_equal(checkpoint_open(&c, &l.witness, (char *)l.note.p, l.note.len), ERR_DENIED);
    n.signatures[1].p[3] ^= 1; /* another time */
    assert_int_equal(note_check(&n, &l.witness, &time_s), ERR_UNAUTHENTICATED);
    n.signatures[1].p[3] ^= 1;
    n.signatures[1].len--;
    assert_int_equal(note_check(&n, &l.witness, &time_s), ERR_UNAUTHENTICATED);
    drop_log(&l);
}

static int parse_checkpoint(const char *text) {
    struct checkpoint c;
    return checkpoint_parse(&c, text, strlen(text));
}

#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

static void checkpoints(void **state) {
    (void)state;
    assert_int_equal(parse_checkpoint("example.com/behind-the-sofa\n20852163\n" ROOT), 0);
    assert_int_equal(parse_checkpoint("a\n0\n" ROOT "more\n"), 0);
    assert_int_equal(parse_checkpoint("a\n9223372036854775807\n" ROOT), 0);
    assert_int_equal(parse_checkpoint("a\n9223372036854775808\n" ROOT), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("a\n01\n" ROOT), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("a\n+1\n" ROOT), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("a\n\n" ROOT), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("\n1\n" ROOT), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("a\n1\n" ROOT "\n"), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("a\n1\n"), ERR_SYNTAX);
    assert_int_equal(parse_checkpoint("a\n1\nCsUYapGGPo4=\n"), ERR_SYNTAX);
}

/* As an application would: parse, then believe only what is proven. */
static bool accepted(const struct log *l, const uint8_t *p, size_t len, const merkle_hash leaf) {
    struct tlog_proof t;
    uint8_t extra[64];
    return tlog_proof_parse(&t, (const char *)p, len) == 0 && t.extra &&
           t.extra_len == B64_LEN(5) && b64_decode(extra, t.extra, t.extra_len) == 5 &&
           !memcmp(extra, "extra", 5) && tlog_proof_check(&t, &l->key, leaf, NULL) == 0 &&
           t.index == INDEX;
}

static void proofs(void **state) {
    struct log l;
    (void)state;
    make_log(&l);
    assert_true(accepted(&l, l.proof.p, l.proof.len, l.leaves[INDEX]));
    for (unsigned i = 0; i < LEAVES; i++)
        assert_int_equal(accepted(&l, l.proof.p, l.proof.len, l.leaves[i]), i == INDEX);
    for (size_t len = 0; len < l.proof.len; len++)
        assert_false(accepted(&l, l.proof.p, len, l.leaves[INDEX]));
    drop_log(&l);
}

/* ---- mutations ---- */

/* One to four small changes: bytes, pieces left out, doubled or moved. */
static size_t mutate(uint8_t *p, size_t len, size_t room) {
    for (uint32_t n = 1 + randombytes_uniform(4); n; n--) {
        uint32_t a = randombytes_uniform((uint32_t)len), b = randombytes_uniform((uint32_t)len);
        uint32_t run = 1 + randombytes_uniform(60), to = a + run < len ? a + run : (uint32_t)len;
        switch (randombytes_uniform(6)) {
        case 0:
            p[a] ^= (uint8_t)(1u << randombytes_uniform(8));
            break;
        case 1:
            p[a] = (uint8_t)randombytes_uniform(256);
            break;
        case 2:
            p[a] = p[b];
            break;
        case 3: /* left out */
            memmove(p + a, p + to, len - to);
            len -= to - a;
            break;
        case 4: /* doubled */
            if (len + (to - a) <= room) {
                memmove(p + to, p + a, len - a);
                len += to - a;
            }
            break;
        default: /* copied over */
            memmove(p + a, p + b, (len - a < len - b ? len - a : len - b) % run);
        }
        if (!len)
            return 0;
    }
    return len;
}

static void mutated(void **state) {
    const char *wish = getenv("TLOG_MUTATIONS"); /* `make soak` wishes for more */
    const unsigned long wanted = wish ? strtoul(wish, NULL, 10) : 100000;
    struct log l;
    unsigned long tried = 0, taken = 0;
    (void)state;
    make_log(&l);
    const size_t room = 2 * l.proof.len;
    uint8_t *p = malloc(room);
    assert_non_null(p);
    while (tried < wanted) {
        memcpy(p, l.proof.p, l.proof.len);
        size_t len = mutate(p, l.proof.len, room);
        if (len == l.proof.len && !memcmp(p, l.proof.p, len))
            continue;
        tried++;
        taken += accepted(&l, p, len, l.leaves[INDEX]);
    }
    print_message("%lu mutated proofs, %lu accepted\n", tried, taken);
    assert_int_equal(taken, 0);
    free(p);
    drop_log(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_others),  cmocka_unit_test(as_others_sign),
        cmocka_unit_test(wrong_keys), cmocka_unit_test(malformed),
        cmocka_unit_test(cosigned),   cmocka_unit_test(checkpoints),
        cmocka_unit_test(proofs),     cmocka_unit_test(mutated),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
