/* Finding, holding and erasing one person, and the generation after it. */
#include <dirent.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/subject/keys_int.h"

#define PASS "a passphrase for tests"

static char home[64], dir[96], replica[96];
static const uint8_t erasure[16] = {1, 2, 3};

static int make(void **state) {
    (void)state;
    snprintf(home, sizeof home, "%s/person-XXXXXX", P_tmpdir);
    if (!mkdtemp(home))
        return -1;
    snprintf(dir, sizeof dir, "%s/vault", home);
    snprintf(replica, sizeof replica, "%s/replica", home);
    return mkdir(replica, 0700) || mkdir(dir, 0700) ? -1 : keys_create(dir, PASS, strlen(PASS), LIMIT_PASSPHRASE_MIB_MIN);
}

static int clean(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static struct keys *open_it(const char *at, bool unlocked) {
    struct keys *k;
    assert_int_equal(keys_open(at, &k), 0);
    if (unlocked)
        assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    return k;
}

static size_t encode(uint8_t out[SUBJECT_NAME_MAX], const char *name) {
    return subject_encode_name(out, SUBJECT_NAME_MAX, "t", "p", SUBJECT_NAMED, name, strlen(name));
}

/* As a sealer's question is answered. */
static void subject(struct keys *k, const char *name, struct keys_subject *ret) {
    uint8_t encoded[SUBJECT_NAME_MAX], sealed[KEYS_NAME_SEALED_MAX], tag[32], opening[32];
    const size_t n = encode(encoded, name);
    struct keys_loan loan;
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_lend(k, 1, &loan), 0);
    keys_opening_public(k, opening);
    crypto_generichash(tag, 32, encoded, n, loan.pepper, 32);
    crypto_box_seal(sealed, encoded, n, opening);
    const struct keys_question q = {loan.pepper_number, tag, sealed, n + crypto_box_SEALBYTES};
    assert_int_equal(keys_subject(k, &q, ret), 0);
    assert_int_equal(keys_commit(k), 0);
}

static int person(struct keys *k, const char *name, struct keys_person *ret) {
    uint8_t encoded[SUBJECT_NAME_MAX];
    return keys_person(k, encoded, encode(encoded, name), ret);
}

static void join(struct keys *k) {
    bool left = true;
    while (left) {
        assert_int_equal(keys_begin(k), 0);
        assert_int_equal(keys_join(k, 64, &left), 0);
        assert_int_equal(keys_commit(k), 0);
    }
}

/* The whole of it, as the vault does it. */
static size_t erase(struct keys *k, const char *name, const uint8_t id[16]) {
    struct keys_person p;
    struct buf ids;
    buf_init(&ids, 65536);
    assert_int_equal(person(k, name, &p), 0);
    assert_int_equal(keys_erase_intend(k, id, &p), 0);
    buf_wipe(&p.ids);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_erase_finish(k, id, 7, &ids), 0);
    assert_int_equal(keys_commit(k), 0);
    assert_int_equal(keys_erase_forget(k), 0);
    const size_t n = ids.len / 16;
    buf_wipe(&ids);
    return n;
}

static int secret_of(struct keys *k, const struct keys_subject *s) {
    uint8_t public_key[32], secret[32], right[32];
    int rc = keys_subject_secret(k, s->id, public_key, secret);
    if (!rc) {
        assert_memory_equal(public_key, s->public_key, 32);
        crypto_scalarmult_base(right, secret);
        assert_memory_equal(right, public_key, 32);
    }
    return rc;
}

/* Ids that a locked vault made are the same person's after the unlock. */
static void found(void **state) {
    struct keys *k = open_it(dir, false);
    struct keys_subject first, second, other;
    struct keys_person p;
    (void)state;
    subject(k, "alice", &first);
    subject(k, "bob", &other);
    assert_int_equal(person(k, "alice", &p), ERR_LOCKED);
    keys_close(k);
    k = open_it(dir, false); /* another temporary pepper */
    subject(k, "alice", &second);
    assert_memory_not_equal(first.id, second.id, 16);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(person(k, "alice", &p), ERR_AGAIN);
    join(k);
    assert_int_equal(person(k, "alice", &p), 0);
    assert_int_equal(p.ids.len, 2 * KEYS_ID_ROW);
    assert_memory_equal(p.ids.p, first.id, 16);
    assert_memory_equal(p.ids.p + KEYS_ID_ROW, second.id, 16);
    assert_true(get_u64(p.ids.p + 16) > 1600000000000000u);
    assert_int_equal(p.held_since_us, 0);
    buf_wipe(&p.ids);
    assert_int_equal(person(k, "carol", &p), ERR_NOTFOUND);
    keys_close(k);
}

static void held(void **state) {
    struct keys *k = open_it(dir, true);
    struct keys_subject a, b;
    struct keys_person p;
    struct buf ids;
    (void)state;
    buf_init(&ids, 65536);
    subject(k, "alice", &a);
    subject(k, "bob", &b);
    assert_int_equal(keys_held(k, &ids), 0);
    assert_int_equal(ids.len, 0);
    assert_int_equal(person(k, "alice", &p), 0);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_release(k, &p), ERR_NOTFOUND);
    assert_int_equal(keys_hold(k, &p, "a lawsuit", 9, 77), 0);
    assert_int_equal(keys_commit(k), 0);
    buf_wipe(&p.ids);
    assert_int_equal(person(k, "alice", &p), 0);
    assert_string_equal(p.reason, "a lawsuit");
    assert_int_equal(p.held_since_us, 77);
    assert_int_equal(keys_hold(k, &p, "x", 1, 78), ERR_EXISTS);
    assert_int_equal(keys_erase_intend(k, erasure, &p), ERR_DENIED);
    assert_int_equal(keys_held(k, &ids), 0);
    assert_int_equal(ids.len, 16);
    assert_memory_equal(ids.p, a.id, 16);
    assert_int_equal(secret_of(k, &a), 0);
    keys_lock(k); /* retention asks a locked vault, too */
    buf_clear(&ids);
    assert_int_equal(keys_held(k, &ids), 0);
    assert_int_equal(ids.len, 16);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_release(k, &p), 0);
    assert_int_equal(keys_commit(k), 0);
    buf_wipe(&p.ids);
    buf_clear(&ids);
    assert_int_equal(keys_held(k, &ids), 0);
    assert_int_equal(ids.len, 0);
    assert_int_equal(erase(k, "alice", erasure), 1);
    buf_wipe(&ids);
    keys_close(k);
}

static void erased(void **state) {
    struct keys *k = open_it(dir, true);
    struct keys_subject a, b, again;
    struct keys_person p;
    struct keys_counts c;
    (void)state;
    subject(k, "alice", &a);
    subject(k, "bob", &b);
    assert_int_equal(keys_erasure(k, erasure), ERR_NOTFOUND);
    assert_int_equal(erase(k, "alice", erasure), 1);
    assert_int_equal(keys_erasure(k, erasure), 0);
    assert_int_equal(secret_of(k, &a), ERR_ERASED);
    assert_int_equal(secret_of(k, &b), 0);
    assert_int_equal(person(k, "alice", &p), ERR_NOTFOUND);
    keys_counts(k, &c);
    assert_int_equal(c.subjects, 1);
    assert_int_equal(c.erasures, 1);
    subject(k, "alice", &again); /* whoever comes back is somebody new */
    assert_memory_not_equal(a.id, again.id, 16);
    assert_int_equal(secret_of(k, &again), 0);
    keys_close(k);
    k = open_it(dir, true);
    keys_counts(k, &c);
    assert_int_equal(c.subjects, 2);
    assert_int_equal(secret_of(k, &a), ERR_ERASED);
    keys_close(k);
}

/* Between the intention and its end: a vault that died there. */
static void unfinished(void **state) {
    struct keys *k = open_it(dir, true);
    struct keys_subject a;
    struct keys_person p;
    struct buf ids;
    uint8_t got[16];
    (void)state;
    buf_init(&ids, 65536);
    subject(k, "alice", &a);
    assert_int_equal(keys_erase_unfinished(k, got), ERR_NOTFOUND);
    assert_int_equal(person(k, "alice", &p), 0);
    assert_int_equal(keys_erase_intend(k, erasure, &p), 0);
    buf_wipe(&p.ids);
    keys_close(k);
    k = open_it(dir, false);
    assert_int_equal(keys_erase_unfinished(k, got), 0);
    assert_memory_equal(got, erasure, 16);
    assert_int_equal(keys_erase_forget(k), 0);
    assert_int_equal(keys_erase_unfinished(k, got), ERR_NOTFOUND);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_erase_finish(k, erasure, 7, &ids), ERR_NOTFOUND);
    keys_rollback(k);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(secret_of(k, &a), 0);
    assert_int_equal(person(k, "alice", &p), 0);
    assert_int_equal(keys_erase_intend(k, erasure, &p), 0);
    assert_int_equal(keys_erase_intend(k, erasure, &p), ERR_EXISTS);
    buf_wipe(&p.ids);
    keys_close(k);
    k = open_it(dir, false); /* a locked vault can destroy, too */
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_erase_finish(k, erasure, 7, &ids), 0);
    assert_int_equal(keys_commit(k), 0);
    assert_int_equal(ids.len, 16);
    keys_close(k);
    k = open_it(dir, false); /* done, and the intention is still there */
    assert_int_equal(keys_erase_unfinished(k, got), 0);
    assert_int_equal(keys_erasure(k, got), 0);
    assert_int_equal(keys_erase_forget(k), 0);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(secret_of(k, &a), ERR_ERASED);
    buf_wipe(&ids);
    keys_close(k);
}

/* What was never durable is none; what is too short was never whole. */
static void torn(void **state) {
    struct keys *k = open_it(dir, true);
    struct keys_subject a;
    struct keys_person p;
    uint8_t got[16];
    char path[512];
    (void)state;
    subject(k, "alice", &a);
    assert_int_equal(person(k, "alice", &p), 0);
    assert_int_equal(keys_erase_intend(k, erasure, &p), 0);
    buf_wipe(&p.ids);
    keys_close(k);
    snprintf(path, sizeof path, "%s/erasing", dir);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 40, SEEK_SET), 0);
    assert_int_equal(fputc(0x5a, f), 0x5a);
    fclose(f);
    k = open_it(dir, false);
    assert_int_equal(keys_erase_unfinished(k, got), ERR_NOTFOUND);
    keys_close(k);
    assert_int_equal(truncate(path, 100), 0);
    k = open_it(dir, true);
    assert_int_equal(keys_erase_unfinished(k, got), ERR_NOTFOUND);
    assert_int_equal(erase(k, "alice", erasure), 1);
    keys_close(k);
}

/* ---- the new generation ---- */

/* Does any file of the folder have the bytes? */
static bool has_bytes(const char *folder, const void *what, size_t len) {
    char path[512];
    struct dirent *e;
    bool any = false;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while ((e = readdir(d))) {
        static uint8_t text[4u << 20];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *f = fopen(path, "rb");
        size_t n = f ? fread(text, 1, sizeof text, f) : 0;
        any = any || (n && memmem(text, n, what, len));
        if (f)
            fclose(f);
    }
    closedir(d);
    return any;
}

static void column(struct keys *k, const char *sql, uint8_t *out, size_t *len) {
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(k->sql, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    *len = (size_t)sqlite3_column_bytes(s, 0);
    assert_true(*len > 0 && *len <= 1024);
    memcpy(out, sqlite3_column_blob(s, 0), *len);
    sqlite3_finalize(s);
}

static int renew(struct keys *k) {
    int rc;
    while ((rc = keys_renew(k)) == ERR_AGAIN)
        ;
    return rc;
}

static void renewed(void **state) {
    struct keys *k = open_it(dir, true);
    static struct keys_subject many[200];
    struct keys_subject a, pair;
    struct keys_counts c;
    static const char *const of[] = {
        "SELECT secret FROM subjects WHERE n = 1", "SELECT tag FROM subjects WHERE n = 1",
        "SELECT name FROM subjects WHERE n = 1",   "SELECT public FROM subjects WHERE n = 1",
        "SELECT secret FROM generations",          "SELECT secret FROM subjects WHERE n = 2",
    };
    uint8_t gone[6][1024];
    size_t len[6];
    char name[16];
    uint64_t since = 0;
    (void)state;
    assert_int_equal(keys_replica_add(k, replica), 0);
    subject(k, "alice", &a);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "n%d", i);
        subject(k, name, &many[i]);
    }
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_pool(k, &pair), 0);
    assert_int_equal(keys_commit(k), 0);
    while (keys_replica_step(k, 1) == 0)
        ;
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_CURRENT);
    for (size_t i = 0; i < 6; i++) {
        column(k, of[i], gone[i], &len[i]);
        assert_true(has_bytes(dir, gone[i], len[i]));
        assert_true(has_bytes(replica, gone[i], len[i]));
    }
    assert_false(keys_renew_due(k, &since));
    assert_int_equal(erase(k, "alice", erasure), 1);
    keys_replica_look(k, 2);
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_CURRENT);
    for (size_t i = 0; i < 4; i++) { /* secure_delete, at once */
        assert_false(has_bytes(dir, gone[i], len[i]));
        assert_false(has_bytes(replica, gone[i], len[i]));
    }
    assert_true(keys_renew_due(k, &since));
    assert_int_equal(since, 7);
    assert_int_equal(keys_renew(k), ERR_AGAIN);
    assert_int_equal(erase(k, "n7", (const uint8_t *)"another erasure."), 1); /* meanwhile */
    assert_int_equal(renew(k), 0);
    keys_counts(k, &c);
    assert_int_equal(c.generation, 2);
    assert_true(keys_renew_due(k, &since)); /* the new file had n7's secret for a moment */
    assert_int_equal(renew(k), 0);
    assert_false(keys_renew_due(k, &since));
    while (keys_replica_step(k, 1000000000000) == 0)
        ;
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_CURRENT);
    for (size_t i = 0; i < 6; i++) {
        assert_false(has_bytes(dir, gone[i], len[i]));
        assert_false(has_bytes(replica, gone[i], len[i]));
    }
    for (int at = 0; at < 3; at++) {
        for (int i = 0; i < 200; i++)
            assert_int_equal(secret_of(k, &many[i]), i == 7 ? ERR_ERASED : 0);
        assert_int_equal(secret_of(k, &a), ERR_ERASED);
        assert_int_equal(secret_of(k, &pair), 0);
        assert_int_equal(keys_erasure(k, erasure), 0);
        keys_close(k);
        if (at < 2)
            k = open_it(at ? replica : dir, true);
    }
}

/* Files that a vault left that died in the middle. */
static void tidied(void **state) {
    struct keys *k = open_it(dir, true);
    struct keys_subject a;
    char a_path[160], b_path[160];
    (void)state;
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        subject(k, name, &a);
    }
    assert_int_equal(keys_renew(k), ERR_AGAIN);
    snprintf(a_path, sizeof a_path, "%s/" KEYS_FILE, dir);
    snprintf(b_path, sizeof b_path, "%s/" KEYS_FILE_OLD, dir);
    assert_int_equal(link(a_path, b_path), 0);
    sqlite3_close_v2(k->sql); /* no tidying up: as if killed */
    k = NULL;
    assert_int_equal(keys_tidy(dir), 0);
    assert_int_equal(access(b_path, F_OK), -1);
    snprintf(b_path, sizeof b_path, "%s/" KEYS_FILE_NEXT, dir);
    assert_int_equal(access(b_path, F_OK), -1);
    assert_int_equal(access(a_path, F_OK), 0);
}

/* A vault.db that was put back does not know what its replica does. */
static void put_back(void **state) {
    struct keys *k = open_it(dir, true);
    struct keys_subject a;
    char command[512];
    char note[KEYS_NOTE_MAX];
    size_t len;
    (void)state;
    assert_int_equal(keys_replica_add(k, replica), 0);
    subject(k, "alice", &a);
    keys_replica_look(k, 1);
    assert_int_equal(keys_checkpoint(k, 0, note, &len), ERR_AGAIN);
    assert_int_equal(keys_checkpoint(k, 1, note, &len), ERR_AGAIN);
    assert_int_equal(keys_checkpoint(k, 2, note, &len), ERR_NOTFOUND);
    keys_close(k);
    snprintf(command, sizeof command, "cp -a %s %s.before", dir, dir);
    assert_int_equal(system(command), 0);
    k = open_it(dir, true);
    assert_int_equal(keys_replica_add(k, replica), 0);
    assert_int_equal(erase(k, "alice", erasure), 1);
    assert_int_equal(renew(k), 0);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_checkpoint_set(k, "a note", 6), 0);
    assert_int_equal(keys_commit(k), 0);
    keys_replica_look(k, 1);
    keys_replica_look(k, 2);
    assert_int_equal(keys_checkpoint(k, 0, note, &len), 0);
    assert_int_equal(len, 6);
    keys_close(k);
    snprintf(command, sizeof command, "rm -rf %s && mv %s.before %s", dir, dir, dir);
    assert_int_equal(system(command), 0);
    k = open_it(dir, true);
    assert_int_equal(keys_replica_add(k, replica), 0);
    keys_replica_look(k, 1);
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_NEWER);
    assert_int_equal(keys_checkpoint(k, 1, note, &len), 0);
    assert_int_equal(len, 6);
    assert_memory_equal(note, "a note", 6);
    keys_close(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clean)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(found),   TEST(held),   TEST(erased), TEST(unfinished), TEST(torn),
                                       TEST(renewed), TEST(tidied), TEST(put_back)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
