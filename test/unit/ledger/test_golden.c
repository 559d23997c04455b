/*
 * The golden ledger (test/vectors/ledger.txt) by the side that writes: it is read as its own, gives the
 * same checkpoints and proofs, and is continued in the same form.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"
#include "../vectors.h"

#define ENTRIES 300

static char dir[64];
static merkle_hash hashes[ENTRIES];
static uint8_t audit_public[32];

static void put_file(const char *name, const void *a, size_t a_len, const void *b, size_t b_len) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, a, a_len) == (ssize_t)a_len && write(fd, b, b_len) == (ssize_t)b_len);
    close(fd);
}

static int make(void **state) {
    uint8_t audit_secret[32];
    (void)state;
    snprintf(dir, sizeof dir, "%s/ledger-XXXXXX", P_tmpdir);
    crypto_box_keypair(audit_public, audit_secret);
    if (!mkdtemp(dir))
        return -1;
    vectors_load("ledger");
    put_file("ledger.log", vector("log")->p, vector("log")->len, "", 0);
    put_file("ledger.key", "shledsk1", 8, vector("seed")->p, 32);
    return 0;
}

static int clean(void **state) {
    static const char *const names[] = {"ledger.log", "ledger.key"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static int on_entry(void *arg, const struct ledger_entry *e) {
    char name[24];
    unsigned *seen = arg;
    assert_true(e->index < ENTRIES);
    memcpy(hashes[e->index], e->leaf_hash, sizeof hashes[0]);
    snprintf(name, sizeof name, "leaf.%u", (unsigned)e->index);
    for (size_t i = 0; i < vectors_count; i++)
        if (strcmp(vectors[i].name, name) == 0) {
            vector_equals("", name, e->leaf, e->leaf_len);
            ++*seen;
        }
    return 0;
}

static int on_checkpoint(void *arg, const struct checkpoint *c, const uint8_t signature[64]) {
    char name[24];
    struct note_key k;
    struct buf note;
    unsigned *seen = arg;
    snprintf(name, sizeof name, "%u", (unsigned)c->size);
    vector_equals("root.", name, c->root, sizeof c->root);
    ++*seen;
    if (c->size != 0 && c->size != 1 && c->size != 256 && c->size != ENTRIES)
        return 0;
    buf_init(&note, NOTE_MAX);
    assert_int_equal(ledger_make_key(&k, vector("id")->p, vector("public")->p), 0);
    assert_int_equal(ledger_note(&note, &k, c, signature), 0);
    vector_equals("note.", name, note.p, note.len);
    buf_wipe(&note);
    return 0;
}

static void the_log_is_read(void **state) {
    struct ledger *l;
    struct ledger_end end;
    unsigned seen = 0;
    const struct ledger_walk walk = {.entry = on_entry, .checkpoint = on_checkpoint, .arg = &seen};
    struct buf out;
    (void)state;
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), 0);
    int fd = ledger_reader(l);
    assert_true(fd >= 0);
    assert_int_equal(ledger_walk(fd, &walk, &end), 0);
    assert_int_equal(end.tree.size, ENTRIES);
    assert_int_equal(seen, 11 + 13); /* leaves, checkpoints */
    close(fd);
    buf_init(&out, NOTE_MAX);
    assert_int_equal(note_key_format(&out, ledger_key(l)), 0);
    vector_equals("", "key", out.p, out.len);
    buf_clear(&out);
    assert_int_equal(ledger_checkpoint(l, &out), 0);
    vector_equals("", "note.300", out.p, out.len);
    buf_wipe(&out);
    ledger_close(l);
}

static void take_all(struct merkle_proof *p) {
    for (unsigned i = 0; i < ENTRIES; i++)
        merkle_proof_add(p, hashes[i]);
}

static void its_proofs_are_made(void **state) {
    struct merkle_proof p;
    unsigned a, b, made = 0;
    (void)state;
    for (size_t i = 0; i < vectors_count; i++) {
        const struct vector *v = &vectors[i];
        const bool inclusion = sscanf(v->name, "inclusion.%u.%u", &a, &b) == 2;
        if (!inclusion && sscanf(v->name, "consistency.%u.%u", &a, &b) != 2)
            continue;
        assert_int_equal(inclusion ? merkle_prove_inclusion(&p, a, b) : merkle_prove_consistency(&p, a, b), 0);
        take_all(&p);
        vector_equals("", v->name, p.hashes, p.count * MERKLE_HASH_BYTES);
        made++;
    }
    assert_int_equal(made, 10 + 12);
}

static void a_proof_is_written(void **state) {
    struct merkle_proof p;
    struct buf out;
    uint8_t extra[512];
    const struct vector *leaf = vector("leaf.3"), *note = vector("note.300");
    (void)state;
    put_u16(extra, (uint16_t)leaf->len);
    memcpy(extra + 2, leaf->p, leaf->len);
    assert_int_equal(merkle_prove_inclusion(&p, 3, ENTRIES), 0);
    take_all(&p);
    buf_init(&out, TLOG_PROOF_MAX);
    assert_int_equal(tlog_proof_format(&out, extra, 2 + leaf->len, 3, p.hashes, p.count,
                                       (const char *)note->p, note->len), 0);
    vector_equals("", "proof.3.300", out.p, out.len);
    buf_wipe(&out);
}

/* What is appended has the form of what is there: a frame, a leaf, a checkpoint, byte by byte. */
static void it_is_continued(void **state) {
    static const uint8_t digest[32] = {7};
    struct ledger *l;
    struct merkle m;
    merkle_hash h;
    uint8_t p[16 + 2 + 54 + 8 + 16 + 104], leaf[54] = {2, 13}, head[LEDGER_FRAME_BYTES], root[32];
    const struct ledger_draft d = {.kind = LEDGER_CONFIGURATION, .fields = digest, .fields_len = 32};
    const uint64_t at = vector("log")->len;
    (void)state;
    assert_int_equal(ledger_open(dir, audit_public, &l, NULL), 0);
    assert_int_equal(ledger_append(l, &d, NULL), 0);
    assert_int_equal(ledger_sync(l), 0);
    int fd = ledger_reader(l);
    assert_int_equal(pread(fd, p, sizeof p, (off_t)at), sizeof p);
    close(fd);
    ledger_frame_head(head, at, LEDGER_FRAME_ENTRY, p + 16, 2 + 54 + 8);
    assert_memory_equal(p, head, sizeof head);
    assert_int_equal(get_u16(p + 16), 54);
    put_u64(leaf + 4, ENTRIES);
    memcpy(leaf + 12, p + 18 + 12, 8); /* the time of now */
    assert_true(get_u64(leaf + 12) >= vector_number("", "time"));
    put_u16(leaf + 20, 32);
    memcpy(leaf + 22, digest, 32);
    assert_memory_equal(p + 18, leaf, sizeof leaf);
    assert_true(sodium_is_zero(p + 18 + 54, 8)); /* no sealed parts */
    merkle_init(&m);
    for (unsigned i = 0; i < ENTRIES; i++)
        merkle_add(&m, hashes[i]);
    merkle_leaf(h, leaf, sizeof leaf);
    merkle_add(&m, h);
    merkle_root(&m, root);
    assert_int_equal(get_u64(p + 80 + 16), ENTRIES + 1);
    assert_memory_equal(p + 80 + 16 + 8, root, sizeof root);
    ledger_close(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_is_read),
        cmocka_unit_test(its_proofs_are_made),
        cmocka_unit_test(a_proof_is_written),
        cmocka_unit_test(it_is_continued),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make, clean);
}
