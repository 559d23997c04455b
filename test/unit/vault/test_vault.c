/* The vault as a program: what it says to sealer and command line, and what is left when it is
 * killed in between. */
#include "rig.h"

#include "read/subject/keys.h"
#include "record/fingerprint.h"

static void restart(void) {
    rig_kill(&rig);
    rig_start(&rig);
    sealer_connect(&rig);
}

static void init_refuses(void **state) {
    char path[256];
    (void)state;
    path_of(&rig, path, "vault");
    assert_int_equal(init_vault(path, PASSPHRASE), 2);
    path_of(&rig, path, "other");
    assert_int_equal(init_vault(path, ""), 2);
}

static void locked_serves(void **state) {
    struct who a, again, b, pair, got;
    struct question q;
    char text[4096];
    (void)state;
    assert_true(status_has(&rig, "\"locked\":true"));
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    subject_of(&rig, "alice", &again);
    assert_memory_equal(&a, &again, sizeof a);
    assert_int_equal(a.id[6] >> 4, 4); /* a random UUID */
    subject_of(&rig, "bob", &b);
    assert_memory_not_equal(a.id, b.id, 16);
    /* One person, several ids: the pair is hers as well, and is what is answered. */
    pool_pair(&rig, &pair);
    ask_of(&rig, "alice", &q);
    for (int i = 0; i < 2; i++) {
        send_assign(&rig, &pair, &q);
        subject_is(&rig, &q, &got);
        assert_memory_equal(&got, &pair, sizeof got);
    }
    assert_true(status_has(&rig, "\"subjects\":3"));
    struct data_key d;
    struct cell c;
    data_key_make(&rig, &a, &d);
    cell_make(&d, "text", 4, &c);
    assert_int_equal(open_one(&rig, &d, &c, text), ERR_LOCKED);
    assert_true(status_has(&rig, "\"openings\":0"));
}

static void batches(void **state) {
    struct batch one, two, three, other, apart;
    (void)state;
    sealer_connect(&rig);
    batch_make(&one, 7, 1, NULL);
    batch_make(&two, 7, 2, &one);
    batch_make(&three, 7, 3, &two);
    batch_make(&other, 7, 1, NULL);
    batch_make(&apart, 7, 4, &two); /* does not follow three */
    batch_send(&rig, &one);
    batch_noted(&rig, &one);
    batch_send(&rig, &three); /* may come before its neighbour */
    batch_noted(&rig, &three);
    batch_send(&rig, &one);
    batch_noted(&rig, &one);
    restart();
    batch_send(&rig, &other); /* refused, and the connection stays */
    batch_send(&rig, &apart);
    struct batch forged = two;
    forged.p[16]++;
    batch_send(&rig, &forged);
    sealer_silence(&rig, 300);
    batch_send(&rig, &two);
    batch_noted(&rig, &two);
    batch_send(&rig, &three);
    batch_noted(&rig, &three);
    assert_true(status_has(&rig, "\"batches\":3"));
}

/* Killed after each answer: what was said stays true. */
static void killed_between(void **state) {
    struct who a, pair, got;
    struct question q;
    (void)state;
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    pool_pair(&rig, &pair);
    ask_of(&rig, "carol", &q);
    restart();
    send_assign(&rig, &pair, &q);
    subject_is(&rig, &q, &got);
    restart();
    send_assign(&rig, &pair, &q); /* byte by byte the same */
    subject_is(&rig, &q, &got);
    assert_memory_equal(&got, &pair, sizeof got);
    /* Somebody else's: not answered, and the connection stays. */
    ask_of(&rig, "dave", &q);
    send_assign(&rig, &pair, &q);
    sealer_silence(&rig, 300);
    pool_pair(&rig, &got);
    assert_memory_not_equal(got.id, pair.id, 16);
}

/* Killed while it works: whatever was answered is there, with a secret that fits. */
static void killed_at_random(void **state) {
    enum { ROUNDS = 12, QUESTIONS = 60, MAX = ROUNDS * QUESTIONS };
    static struct who answered[MAX];
    uint8_t public_key[32], secret[32], right[32];
    struct batch before, batch;
    struct frame f;
    size_t n = 0;
    uint64_t noted = 0;
    (void)state;
    sealer_connect(&rig);
    batch_make(&batch, 7, 1, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < QUESTIONS; i++) {
            struct question q;
            char name[32];
            snprintf(name, sizeof name, "person %d of %d", i, round);
            ask_of(&rig, name, &q);
            assert_int_equal(peer_send(rig.sealer, MSG_SUBJECT, q.p, q.len, -1), 0);
            if (i % 10 == 0)
                batch_send(&rig, &batch);
        }
        usleep(1000 + randombytes_uniform(60000));
        kill(rig.pid, SIGKILL);
        bool next = false;
        while (peer_recv_wait(rig.sealer, &f, WAIT_MS) == 0) {
            if (f.msg == MSG_SUBJECT_IS)
                memcpy(&answered[n++], f.p + 32, sizeof answered[0]);
            next = next || f.msg == MSG_BATCH_NOTED;
        }
        if (next) {
            noted = batch.head.number;
            before = batch;
            batch_make(&batch, 7, noted + 1, &before);
        }
        restart();
    }
    if (noted) { /* the last one is known as it was */
        batch_send(&rig, &before);
        batch_noted(&rig, &before);
    }
    rig_kill(&rig);
    struct keys *k;
    char path[256];
    path_of(&rig, path, "vault");
    assert_int_equal(keys_open(path, &k), 0);
    assert_int_equal(keys_unlock(k, PASSPHRASE, strlen(PASSPHRASE)), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(keys_subject_secret(k, answered[i].id, public_key, secret), 0);
        assert_memory_equal(public_key, answered[i].public_key, 32);
        crypto_scalarmult_base(right, secret);
        assert_memory_equal(right, public_key, 32);
    }
    keys_close(k);
    print_message("%zu answers and %llu batches outlived %d kills\n", n, (unsigned long long)noted,
                  ROUNDS);
    assert_true(n > 0);
    rig_start(&rig);
}

static void unlock_joins(void **state) {
    struct who first, second, pooled, now, got;
    struct data_key d[3];
    struct cell c[3];
    struct question q;
    struct frame f;
    char text[4096];
    (void)state;
    sealer_connect(&rig);
    uint32_t temporary = rig.pepper_number, writer = rig.writer;
    subject_of(&rig, "alice", &first);
    data_key_make(&rig, &first, &d[0]);
    cell_make(&d[0], "one", 3, &c[0]);
    restart();
    assert_int_not_equal(rig.pepper_number, temporary);
    assert_int_not_equal(rig.writer, writer);
    subject_of(&rig, "alice", &second); /* another pepper: nobody can know yet */
    assert_memory_not_equal(first.id, second.id, 16);
    data_key_make(&rig, &second, &d[1]);
    cell_make(&d[1], "two", 3, &c[1]);
    pool_pair(&rig, &pooled);
    ask_of(&rig, "alice", &q);
    send_assign(&rig, &pooled, &q);
    subject_is(&rig, &q, &got);
    data_key_make(&rig, &pooled, &d[2]);
    cell_make(&d[2], "three", 5, &c[2]);
    temporary = rig.pepper_number;
    writer = rig.writer;

    assert_int_equal(unlock(&rig), 0);
    sealer_wait(&rig, MSG_WRITER, &f);
    take_writer(&rig, &f);
    assert_int_equal(rig.writer, writer);
    assert_int_not_equal(rig.pepper_number, temporary);
    assert_true(status_has(&rig, "\"pending\":0"));
    subject_of(&rig, "alice", &now);
    assert_memory_equal(&now, &first, sizeof now); /* the oldest of the joined */
    /* Every id of hers opens, under whichever writer it was sealed. */
    const char *const texts[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_one(&rig, &d[i], &c[i], text), 0);
        assert_string_equal(text, texts[i]);
    }
    /* A question that was on its way, under the temporary pepper. */
    send_assign(&rig, &pooled, &q);
    subject_is(&rig, &q, &got);
    assert_memory_equal(&got, &pooled, sizeof got);
    assert_int_equal(peer_send(rig.sealer, MSG_SUBJECT, q.p, q.len, -1), 0);
    subject_is(&rig, &q, &got);
    assert_memory_equal(&got, &first, sizeof got);
}

/* A tag that is not the name's is believed by nobody. */
static void wrong_tag(void **state) {
    struct question q;
    struct who who;
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    ask_of(&rig, "alice", &q);
    q.p[4] ^= 1;
    assert_int_equal(peer_send(rig.sealer, MSG_SUBJECT, q.p, q.len, -1), 0);
    sealer_silence(&rig, 300);
    subject_of(&rig, "alice", &who);
}

static void wrong_passphrase(void **state) {
    (void)state;
    assert_int_equal(client_ask(&rig, MSG_UNLOCK, "guess 1"), ERR_UNAUTHENTICATED);
    assert_int_equal(client_ask(&rig, MSG_UNLOCK, "guess 2"), ERR_UNAUTHENTICATED);
    assert_int_equal(client_ask(&rig, MSG_UNLOCK, "guess 3"), ERR_AGAIN);
    assert_int_equal(unlock(&rig), ERR_AGAIN); /* not even the right one, now */
    assert_true(status_has(&rig, "\"locked\":true"));
    sleep(1);
    assert_int_equal(unlock(&rig), 0);
    assert_true(status_has(&rig, "\"locked\":false"));
}

static void supervisor_unlocks(void **state) {
    (void)state;
    assert_int_equal(peer_send(rig.supervisor, MSG_PASSPHRASE, "wrong", 5, -1), 0);
    assert_int_equal(peer_send(rig.supervisor, MSG_PASSPHRASE, PASSPHRASE, strlen(PASSPHRASE), -1),
                     0);
    assert_true(status_becomes(&rig, "\"locked\":false"));
}

/* The answer to SECRET_TAG about "value": its END's code, the tags in `ret`. */
static int secret_tags(const uint8_t *p, size_t len, char *ret, size_t *ret_len) {
    struct peer *c = client_connect(&rig);
    struct frame f;
    int rc;
    *ret_len = 0;
    assert_int_equal(peer_send(c, MSG_SECRET_TAG, p, len, -1), 0);
    client_frame(c, &f);
    if (f.msg == MSG_SECRET_TAGS) {
        memcpy(ret, f.p, f.len);
        *ret_len = f.len;
        client_frame(c, &f);
    }
    assert_int_equal(f.msg, MSG_END);
    rc = (int)get_u32(f.p);
    peer_free(c);
    return rc;
}

static void secrets(void **state) {
    (void)state;
    static const uint8_t none[] = {0, 0};
    uint8_t ask[64] = {5, 0, 'v', 'a', 'l', 'u', 'e'};
    char right[FINGERPRINT_TEXT + 1], got[128];
    size_t len;
    sealer_connect(&rig);
    put_u32(ask + 7, rig.fingerprint_number); /* a temporary key */
    memcpy(ask + 11, "\x05" "class", 6);
    put_u32(ask + 17, 999);
    memcpy(ask + 21, "\x05" "class", 6);
    assert_int_equal(secret_tags(ask, 27, got, &len), ERR_LOCKED);
    assert_int_equal(len, 0);
    fingerprint(right, rig.fingerprint, "class", "value", 5);
    assert_int_equal(unlock(&rig), 0);
    assert_int_equal(secret_tags(none, sizeof none, got, &len), ERR_USAGE);
    assert_int_equal(secret_tags(ask, 27, got, &len), 0);
    assert_int_equal(len, 2 * FINGERPRINT_TEXT);
    assert_memory_equal(got, right, FINGERPRINT_TEXT);
    for (size_t i = FINGERPRINT_TEXT; i < len; i++)
        assert_int_equal(got[i], 0); /* never lent */
    assert_true(status_has(&rig, "\"entries\":4")); /* two about the temporary keys, one about the mode */
    for (int i = 1; i < 10; i++)
        assert_int_equal(secret_tags(ask, 27, got, &len), 0);
    assert_int_equal(secret_tags(ask, 27, got, &len), ERR_AGAIN);
    assert_int_equal(len, 0);
    assert_true(status_has(&rig, "\"entries\":13"));
}

static void wrong_token(void **state) {
    struct peer *p;
    struct frame f;
    uint8_t right[32];
    char path[256];
    (void)state;
    path_of(&rig, path, "run/token");
    FILE *file = fopen(path, "r+");
    assert_int_equal(fread(right, 1, 32, file), 32);
    rewind(file);
    right[31] ^= 1;
    assert_int_equal(fwrite(right, 1, 32, file), 32);
    fclose(file);
    p = client_connect(&rig);
    assert_int_equal(peer_recv_wait(p, &f, WAIT_MS), 0);
    assert_int_equal(f.msg, MSG_END);
    assert_int_equal((int32_t)get_u32(f.p), ERR_UNAUTHENTICATED);
    assert_int_equal(peer_recv_wait(p, &f, WAIT_MS), ERR_PEER);
    peer_free(p);
}

static void damaged_ledger(void **state) {
    struct who a;
    struct data_key d;
    struct cell c;
    struct batch one, two;
    char text[4096], path[256];
    uint8_t byte;
    (void)state;
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    data_key_make(&rig, &a, &d);
    cell_make(&d, "the text", 8, &c);
    batch_make(&one, 7, 1, NULL);
    batch_make(&two, 7, 2, &one);
    batch_send(&rig, &one);
    batch_noted(&rig, &one);
    batch_send(&rig, &two);
    batch_noted(&rig, &two);
    rig_kill(&rig);
    path_of(&rig, path, "vault/ledger.log");
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, 100), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
    rig_start(&rig);
    assert_true(status_has(&rig, "\"ledger\":\"damaged\""));
    assert_int_equal(unlock(&rig), 0);
    assert_int_equal(open_one(&rig, &d, &c, text), ERR_IO);
    sealer_connect(&rig);
    batch_send(&rig, &two);
    sealer_silence(&rig, 300);
    subject_of(&rig, "alice", &a); /* logging goes on */
    rig_kill(&rig);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, st.st_size - 1), 0); /* the last entry is not whole */
    close(fd);
    rig_start(&rig);
    assert_true(status_has(&rig, "\"batches\":1"));
    sealer_connect(&rig);
    batch_send(&rig, &two);
    batch_noted(&rig, &two);
}

static void replicas(void **state) {
    struct who a;
    struct data_key d;
    struct cell c;
    char text[4096], one[256], two[256], command[900];
    (void)state;
    rig_stop(&rig);
    path_of(&rig, one, "replica-one");
    path_of(&rig, two, "replica-two");
    assert_int_equal(mkdir(one, 0700), 0);
    snprintf(rig.replicas, sizeof rig.replicas, "%s:%s", one, two);
    rig_start(&rig);
    assert_true(status_becomes(&rig, "\"replicas\":[\"current\",\"missing\"]"));
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    data_key_make(&rig, &a, &d);
    cell_make(&d, "the text", 8, &c);
    assert_true(status_becomes(&rig, "\"replicas\":[\"current\""));
    rig_kill(&rig);
    /* The disk is lost; the replica has what opens. An old vault.db would be found out. */
    snprintf(command, sizeof command, "cd %s && cp vault/vault.db old.db && cp %s/vault.db vault/",
             rig.home, one);
    assert_int_equal(system(command), 0);
    rig_start(&rig);
    assert_int_equal(unlock(&rig), 0);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    assert_string_equal(text, "the text");
    rig_kill(&rig);
    path_of(&rig, two, "other");
    assert_int_equal(init_vault(two, "another passphrase"), 0);
    snprintf(command, sizeof command, "cp %s/vault.db %s/", two, one);
    assert_int_equal(system(command), 0);
    rig_start(&rig);
    assert_true(status_becomes(&rig, "\"replicas\":[\"foreign\""));
}

static void older_than_replica(void **state) {
    struct who a;
    char one[256], command[900];
    (void)state;
    rig_stop(&rig);
    path_of(&rig, one, "replica");
    assert_int_equal(mkdir(one, 0700), 0);
    snprintf(rig.replicas, sizeof rig.replicas, "%s", one);
    snprintf(command, sizeof command, "cp %s/vault/vault.db %s/old.db", rig.home, rig.home);
    assert_int_equal(system(command), 0);
    rig_start(&rig);
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    assert_true(status_becomes(&rig, "\"replicas\":[\"current\"]"));
    rig_kill(&rig);
    snprintf(command, sizeof command, "cp %s/old.db %s/vault/vault.db", rig.home, rig.home);
    assert_int_equal(system(command), 0);
    rig_start(&rig);
    assert_true(status_becomes(&rig, "\"replicas\":[\"newer\"]"));
}

static void malformed(void **state) {
    struct frame f;
    uint8_t bytes[64] = {0};
    (void)state;
    sealer_connect(&rig);
    assert_int_equal(peer_send(rig.sealer, MSG_SUBJECT, bytes, sizeof bytes, -1), 0);
    assert_int_equal(peer_recv_wait(rig.sealer, &f, WAIT_MS), ERR_PEER);
    sealer_connect(&rig);
    const uint8_t many[2] = {1, 1}; /* 257 pairs */
    assert_int_equal(peer_send(rig.sealer, MSG_POOL, many, 2, -1), 0);
    assert_int_equal(peer_recv_wait(rig.sealer, &f, WAIT_MS), ERR_PEER);
    struct peer *p = client_connect(&rig);
    put_u16(bytes + 4, 200); /* a row longer than the frame */
    assert_int_equal(peer_send(p, MSG_OPEN_CELL, bytes, sizeof bytes, -1), 0);
    assert_int_equal(peer_recv_wait(p, &f, WAIT_MS), ERR_PEER);
    peer_free(p);
    sealer_connect(&rig);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(init_refuses),       TEST(locked_serves), TEST(batches),        TEST(killed_between),
        TEST(killed_at_random),   TEST(unlock_joins),  TEST(wrong_tag),      TEST(wrong_passphrase),
        TEST(supervisor_unlocks), TEST(wrong_token),   TEST(damaged_ledger), TEST(replicas),
        TEST(older_than_replica), TEST(malformed),      TEST(secrets),
    };
    signal(SIGPIPE, SIG_IGN);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
