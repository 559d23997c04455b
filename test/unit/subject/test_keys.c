/* The vault's keys: sealed on disk in both states, joined after an unlock, copied to replicas. */
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

static char home[64], dir[96];

static int make(void **state) {
    (void)state;
    snprintf(home, sizeof home, "%s/keys-XXXXXX", P_tmpdir);
    if (!mkdtemp(home))
        return -1;
    snprintf(dir, sizeof dir, "%s/vault", home);
    return mkdir(dir, 0700) ? -1 : keys_create(dir, PASS, strlen(PASS), LIMIT_PASSPHRASE_MIB_MIN);
}

static int clean(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static struct keys *open_it(bool unlocked) {
    struct keys *k;
    assert_int_equal(keys_open(dir, &k), 0);
    assert_true(keys_locked(k));
    if (unlocked)
        assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    return k;
}

struct asked {
    struct keys_question q;
    uint8_t tag[32], name[KEYS_NAME_SEALED_MAX];
};

static void ask(struct keys *k, const struct keys_loan *loan, const char *name, struct asked *a) {
    uint8_t encoded[SUBJECT_NAME_MAX], opening[32];
    size_t n =
        subject_encode_name(encoded, sizeof encoded, "t", "p", SUBJECT_NAMED, name, strlen(name));
    keys_opening_public(k, opening);
    crypto_generichash(a->tag, 32, encoded, n, loan->pepper, 32);
    crypto_box_seal(a->name, encoded, n, opening);
    a->q = (struct keys_question){loan->pepper_number, a->tag, a->name, n + crypto_box_SEALBYTES};
}

static void lend(struct keys *k, struct keys_loan *loan) {
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_lend(k, 1, loan), 0);
    assert_int_equal(keys_commit(k), 0);
}

static void subject(struct keys *k, const struct keys_loan *loan, const char *name,
                    struct keys_subject *ret) {
    struct asked a;
    ask(k, loan, name, &a);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_subject(k, &a.q, ret), 0);
    assert_int_equal(keys_commit(k), 0);
}

static void person(struct keys *k, const char *name, struct keys_person *ret, int rc) {
    uint8_t encoded[SUBJECT_NAME_MAX];
    size_t n =
        subject_encode_name(encoded, sizeof encoded, "t", "p", SUBJECT_NAMED, name, strlen(name));
    assert_int_equal(keys_person(k, encoded, n, ret), rc);
}

static void two_states(void **state) {
    struct keys *k = open_it(false), *other;
    struct keys_loan loan, again;
    uint8_t mac[32], secret[32], public_key[32];
    const uint8_t nobody[16] = {0};
    (void)state;
    assert_int_equal(keys_open(dir, &other), ERR_AGAIN); /* one vault a folder */
    assert_int_equal(keys_create(dir, PASS, strlen(PASS), LIMIT_PASSPHRASE_MIB_MIN), ERR_EXISTS);
    lend(k, &loan);
    assert_int_equal(keys_writer(k, loan.writer, mac), ERR_LOCKED);
    assert_int_equal(keys_lend_again(k, loan.writer, &again), ERR_LOCKED);
    assert_int_equal(keys_subject_secret(k, nobody, public_key, secret), ERR_LOCKED);
    assert_int_equal(keys_unlock(k, PASS "x", strlen(PASS) + 1), ERR_UNAUTHENTICATED);
    assert_int_equal(keys_unlock(k, "", 0), ERR_UNAUTHENTICATED);
    assert_true(keys_locked(k));
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(keys_writer(k, loan.writer, mac), 0);
    assert_memory_equal(mac, loan.mac, 32);
    assert_int_equal(keys_writer(k, loan.writer + 1, mac), ERR_NOTFOUND);
    assert_int_equal(keys_lend_again(k, loan.writer, &again), 0);
    assert_memory_equal(again.mac, loan.mac, 32);
    assert_memory_not_equal(again.pepper, loan.pepper, 32);
    assert_int_not_equal(again.pepper_number, loan.pepper_number);
    assert_int_equal(keys_subject_secret(k, nobody, public_key, secret), ERR_NOTFOUND);
    keys_lock(k);
    assert_int_equal(keys_writer(k, loan.writer, mac), ERR_LOCKED);
    lend(k, &again); /* after a lock: another temporary pepper */
    assert_memory_not_equal(again.pepper, loan.pepper, 32);
    assert_int_not_equal(again.pepper_number, loan.pepper_number);
    keys_close(k);
    keys_close(NULL);
}

/* One key for good, and one for each locked time, which is known after the unlock. */
static void fingerprint_keys(void **state) {
    struct keys *k = open_it(false);
    struct keys_loan locked, second, unlocked, later;
    uint8_t key[32];
    (void)state;
    lend(k, &locked);
    lend(k, &second);
    assert_int_equal(second.fingerprint_number, locked.fingerprint_number);
    assert_memory_equal(second.fingerprint, locked.fingerprint, 32);
    assert_int_equal(keys_fingerprint(k, locked.fingerprint_number, key), ERR_LOCKED);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(keys_fingerprint(k, locked.fingerprint_number, key), 0);
    assert_memory_equal(key, locked.fingerprint, 32);
    lend(k, &unlocked);
    assert_int_not_equal(unlocked.fingerprint_number, locked.fingerprint_number);
    assert_int_equal(keys_fingerprint(k, unlocked.fingerprint_number, key), 0);
    assert_memory_equal(key, unlocked.fingerprint, 32);
    assert_int_equal(keys_fingerprint(k, 1000, key), ERR_NOTFOUND);
    keys_lock(k);
    lend(k, &later);
    assert_int_not_equal(later.fingerprint_number, locked.fingerprint_number);
    assert_memory_not_equal(later.fingerprint, locked.fingerprint, 32);
    keys_close(k);
    k = open_it(true); /* a restart changes nothing */
    lend(k, &later);
    assert_int_equal(later.fingerprint_number, unlocked.fingerprint_number);
    assert_memory_equal(later.fingerprint, unlocked.fingerprint, 32);
    keys_close(k);
}

static void rolled_back(void **state) {
    struct keys *k = open_it(false);
    struct keys_loan loan, next;
    struct keys_subject a, b;
    struct keys_counts c;
    struct asked q;
    (void)state;
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_lend(k, 1, &loan), 0);
    keys_rollback(k);
    lend(k, &next); /* the number may come again, the pepper not */
    assert_memory_not_equal(loan.pepper, next.pepper, 32);
    ask(k, &next, "alice", &q);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_subject(k, &q.q, &a), 0);
    assert_int_equal(keys_pool(k, &b), 0);
    keys_rollback(k);
    keys_counts(k, &c);
    assert_int_equal(c.subjects + c.pool + c.pending, 0);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_assign(k, b.id, &q.q, &b), ERR_NOTFOUND);
    assert_int_equal(keys_subject(k, &q.q, &b), 0);
    assert_int_equal(keys_commit(k), 0);
    assert_memory_not_equal(a.id, b.id, 16);
    keys_counts(k, &c);
    assert_int_equal(c.subjects, 1);
    assert_int_equal(c.pending, 1);
    keys_close(k);
    k = open_it(false);
    keys_counts(k, &c);
    assert_int_equal(c.subjects, 1);
    assert_int_equal(c.pending, 1);
    keys_close(k);
}

static void joined(void **state) {
    struct keys *k = open_it(false);
    struct keys_loan loan;
    struct keys_subject a, b, got;
    struct keys_counts c;
    struct asked garbage;
    bool left;
    (void)state;
    lend(k, &loan);
    subject(k, &loan, "alice", &a);
    subject(k, &loan, "bob", &b);
    ask(k, &loan, "mallory", &garbage);
    garbage.name[40] ^= 1; /* a name that nobody can open */
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_subject(k, &garbage.q, &got), 0);
    assert_int_equal(keys_commit(k), 0);
    assert_int_equal(keys_join(k, 10, &left), ERR_LOCKED);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    unsigned rounds = 0;
    do { /* one at a time */
        assert_int_equal(keys_begin(k), 0);
        assert_int_equal(keys_join(k, 1, &left), 0);
        assert_int_equal(keys_commit(k), 0);
        rounds++;
    } while (left);
    assert_int_equal(rounds, 4);
    keys_counts(k, &c);
    assert_int_equal(c.pending, 0);
    assert_int_equal(c.unreadable, 1);
    assert_int_equal(c.subjects, 3);
    lend(k, &loan);
    subject(k, &loan, "alice", &got);
    assert_memory_equal(&got, &a, sizeof got);
    subject(k, &loan, "bob", &got);
    assert_memory_equal(&got, &b, sizeof got);
    ask(k, &loan, "mallory", &garbage);
    garbage.name[40] ^= 1;
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_subject(k, &garbage.q, &got), ERR_CORRUPT);
    ask(k, &loan, "mallory", &garbage);
    garbage.q.name_len = 20;
    assert_int_equal(keys_subject(k, &garbage.q, &got), ERR_CORRUPT);
    keys_rollback(k);
    keys_close(k);
}

static void assigned(void **state) {
    struct keys *k = open_it(true);
    struct keys_loan loan;
    struct keys_subject a, pair, got;
    struct asked q, sealed_anew, other;
    struct keys_counts c;
    uint8_t secret[32], public_key[32];
    (void)state;
    lend(k, &loan);
    subject(k, &loan, "alice", &a);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_pool(k, &pair), 0);
    ask(k, &loan, "alice", &q);
    assert_int_equal(keys_assign(k, pair.id, &q.q, &got), 0);
    assert_memory_equal(&got, &pair, sizeof got);
    ask(k, &loan, "alice", &sealed_anew);
    assert_int_equal(keys_assign(k, pair.id, &sealed_anew.q, &got), 0);
    ask(k, &loan, "bob", &other);
    assert_int_equal(keys_assign(k, pair.id, &other.q, &got), ERR_EXISTS);
    assert_int_equal(keys_assign(k, a.id, &other.q, &got), ERR_EXISTS);
    assert_int_equal(keys_commit(k), 0);
    keys_counts(k, &c);
    assert_int_equal(c.pool, 0);
    assert_int_equal(c.subjects, 2);
    subject(k, &loan, "alice", &got);
    assert_memory_equal(&got, &a, sizeof got); /* the oldest */
    assert_int_equal(keys_subject_secret(k, pair.id, public_key, secret), 0);
    assert_memory_equal(public_key, pair.public_key, 32);
    /* Erased: the row without secret, name and tag. */
    assert_int_equal(keys_exec(k, "UPDATE subjects SET secret = NULL, name = NULL, tag = NULL"), 0);
    assert_int_equal(keys_subject_secret(k, pair.id, public_key, secret), ERR_ERASED);
    assert_int_equal(keys_assign(k, pair.id, &q.q, &got), 0); /* the sealer may let go of it */
    assert_int_equal(keys_subject_secret(k, pair.id, public_key, secret), ERR_ERASED);
    keys_close(k);
}

static int after(const char *sql) {
    struct keys *k = open_it(false);
    assert_int_equal(keys_exec(k, sql), 0);
    keys_close(k);
    int rc = keys_open(dir, &k);
    if (rc)
        return rc;
    rc = keys_unlock(k, PASS, strlen(PASS));
    assert_int_equal(keys_locked(k), rc != 0);
    keys_close(k);
    return rc;
}

/* A vault.db of before there were fingerprints gets its key when it is opened. */
static void fingerprints_come_later(void **state) {
    struct keys *k;
    struct keys_loan loan;
    (void)state;
    assert_int_equal(after("DROP TABLE fingerprints"), 0);
    k = open_it(true);
    lend(k, &loan);
    assert_int_equal(loan.fingerprint_number, 1);
    keys_close(k);
}

/* Rows that were swapped, or made by somebody without the opening key. */
struct taken {
    unsigned count;
    uint32_t numbers[4];
    char text[4][32];
};

static int take_record(void *arg, uint32_t n, const uint8_t *p, size_t len) {
    struct taken *t = arg;
    assert_true(t->count < 4 && len < 32);
    t->numbers[t->count] = n;
    memcpy(t->text[t->count], p, len);
    t->text[t->count++][len] = 0;
    return 0;
}

/* What read/people keeps: only for an unlocked vault, and only as this vault wrote it. */
static void records(void **state) {
    static const struct taken none;
    struct taken t = none;
    uint32_t a = 0, b = 0, c = 0;
    (void)state;
    struct keys *k = open_it(false);
    assert_int_equal(keys_record_put(k, &a, (const uint8_t *)"x", 1), ERR_LOCKED);
    assert_int_equal(keys_record_each(k, take_record, &t), ERR_LOCKED);
    assert_int_equal(keys_unlock(k, PASS, strlen(PASS)), 0);
    assert_int_equal(keys_begin(k), 0);
    assert_int_equal(keys_record_put(k, &a, (const uint8_t *)"record-canary", 13), 0);
    assert_int_equal(keys_record_put(k, &b, (const uint8_t *)"two", 3), 0);
    assert_int_equal(keys_record_put(k, &b, NULL, 0), 0);
    assert_int_equal(keys_record_put(k, &c, (const uint8_t *)"three", 5), 0);
    assert_int_equal(keys_record_put(k, &a, (const uint8_t *)"one", 3), 0);
    assert_int_equal(keys_commit(k), 0);
    assert_true(a == 1 && b == 2 && c == 3);
    keys_close(k);
    k = open_it(true);
    assert_int_equal(keys_record_each(k, take_record, &t), 0);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.numbers[0], a);
    assert_string_equal(t.text[0], "one");
    assert_string_equal(t.text[1], "three");
    /* One record in another's place, or an earlier version under a later number, is no record. */
    assert_int_equal(keys_exec(k, "UPDATE people SET box = (SELECT box FROM people WHERE n = 3),"
                                  " version = (SELECT version FROM people WHERE n = 3) WHERE n = 1"),
                     0);
    t = none;
    assert_int_equal(keys_record_each(k, take_record, &t), ERR_CORRUPT);
    assert_int_equal(t.count, 0);
    keys_close(k);
}

static void tampered(void **state) {
    (void)state;
    assert_int_equal(after("UPDATE opening SET ops = 2"), ERR_UNAUTHENTICATED);
    assert_int_equal(after("UPDATE opening SET ops = 1000000"), ERR_CORRUPT);
    assert_int_equal(after("UPDATE opening SET ops = 3, mem = 1 << 40"), ERR_CORRUPT);
    assert_int_equal(after("UPDATE opening SET mem = 67108864"), 0);
    assert_int_equal(after("UPDATE generations SET public = (SELECT public FROM opening)"),
                     ERR_CORRUPT);
    assert_int_equal(after("UPDATE generations SET secret = (SELECT pepper FROM peppers)"),
                     ERR_CORRUPT);
    assert_int_equal(after("UPDATE opening SET public = CAST(salt || salt AS BLOB)"),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(after("UPDATE opening SET wrapped = x'00'"), ERR_CORRUPT);
}

static void of_the_future(void **state) {
    (void)state;
    assert_int_equal(after("PRAGMA user_version = 4"), ERR_VERSION);
}

/* A vault.db of before there were holds and erasures. */
static void of_the_past(void **state) {
    struct keys *k;
    struct keys_loan loan;
    struct keys_subject before;
    struct keys_person p;
    (void)state;
    k = open_it(true);
    lend(k, &loan);
    subject(k, &loan, "alice", &before);
    keys_close(k);
    assert_int_equal(after("ALTER TABLE subjects DROP COLUMN created; DROP TABLE holds;"
                           "DROP TABLE erasures; DROP TABLE checkpoints;"
                           "DROP INDEX subjects_erased; PRAGMA user_version = 1"),
                     0);
    k = open_it(true);
    person(k, "alice", &p, 0);
    assert_int_equal(p.ids.len, KEYS_ID_ROW);
    assert_memory_equal(p.ids.p, before.id, 16);
    assert_int_equal(get_u64(p.ids.p + 16), 0);
    buf_wipe(&p.ids);
    keys_close(k);
}

static void copied(void **state) {
    struct keys *k = open_it(false), *copy;
    struct keys_loan loan;
    struct keys_subject a[3], got;
    char replica[96], absent[96], command[256];
    uint8_t secret[32], public_key[32];
    (void)state;
    snprintf(replica, sizeof replica, "%s/replica", home);
    snprintf(absent, sizeof absent, "%s/absent", home);
    assert_int_equal(mkdir(replica, 0700), 0);
    assert_int_equal(keys_replica_add(k, replica), 0);
    assert_int_equal(keys_replica_add(k, absent), 0);
    lend(k, &loan);
    assert_true(keys_replica_step(k, 1) > 1000);
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_CURRENT);
    assert_int_equal(keys_replica_state(k, 1), KEYS_REPLICA_MISSING);
    for (int i = 0; i < 3; i++)
        subject(k, &loan, i ? i == 1 ? "b" : "c" : "a", &a[i]);
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_BEHIND);
    assert_int_equal(mkdir(absent, 0700), 0); /* and a second disk comes back */
    keys_replica_step(k, 6000000000);
    assert_int_equal(keys_replica_state(k, 0), KEYS_REPLICA_CURRENT);
    assert_int_equal(keys_replica_state(k, 1), KEYS_REPLICA_CURRENT);
    snprintf(command, sizeof command, "rm %s/vault.db", absent); /* and is emptied */
    assert_int_equal(system(command), 0);
    keys_replica_step(k, 12000000000);
    assert_int_equal(keys_replica_state(k, 1), KEYS_REPLICA_MISSING);
    keys_close(k);
    assert_int_equal(keys_open(replica, &copy), 0);
    assert_int_equal(keys_unlock(copy, PASS, strlen(PASS)), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(keys_subject_secret(copy, a[i].id, public_key, secret), 0);
        assert_memory_equal(public_key, a[i].public_key, 32);
    }
    assert_int_equal(keys_writer(copy, loan.writer, secret), 0);
    assert_memory_equal(secret, loan.mac, 32);
    lend(copy, &loan);
    subject(copy, &loan, "a", &got); /* pending there: a replica is not joined, it is a vault.db */
    keys_close(copy);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clean)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(two_states), TEST(rolled_back),   TEST(joined), TEST(assigned),
        TEST(fingerprint_keys), TEST(fingerprints_come_later),
        TEST(records),    TEST(tampered), TEST(of_the_future), TEST(copied), TEST(of_the_past),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
