/* The vault as a program, and people: the sealer is served while passwords are hashed, nothing happens
 * that the ledger does not have, and what is no request ends the connection. */
#include "rig.h"

#include "base/clock.h"
#include "read/people/frames.h"

static size_t put8(uint8_t *p, const char *s) {
    p[0] = (uint8_t)strlen(s);
    memcpy(p + 1, s, strlen(s));
    return 1 + strlen(s);
}

static size_t put16(uint8_t *p, const char *s) {
    put_u16(p, (uint16_t)strlen(s));
    memcpy(p + 2, s, strlen(s));
    return 2 + strlen(s);
}

static int add(struct peer *p, const char *name, const char *password) {
    uint8_t m[512] = {PEOPLE_VERB_ADD};
    size_t n = 1 + put8(m + 1, name);
    n += put16(m + n, password);
    assert_int_equal(peer_send(p, MSG_PERSON, m, n, -1), 0);
    return client_end(p);
}

static int grant(struct peer *p, const char *name, uint8_t role, uint32_t cells) {
    uint8_t m[512] = {PEOPLE_VERB_GRANT};
    size_t n = 1 + put8(m + 1, name);
    m[n++] = role;
    put_u32(m + n, cells);
    put_u64(m + n + 4, 0);
    n += 12;
    n += put16(m + n, "chat");
    assert_int_equal(peer_send(p, MSG_PERSON, m, n, -1), 0);
    return client_end(p);
}

static void ask_in(struct peer *p, const char *name, const char *password) {
    uint8_t m[512] = {1};
    size_t n = 1 + put8(m + 1, name);
    n += put16(m + n, password);
    n += put8(m + n, "");
    assert_int_equal(peer_send(p, MSG_SIGN_IN, m, n, -1), 0);
    assert_int_equal(peer_flush_wait(p, WAIT_MS), 0);
}

/* 0 and the session's token, or END's code. */
static int sign_in(struct peer *p, const char *name, const char *password, uint8_t token[32]) {
    struct frame f;
    ask_in(p, name, password);
    client_frame(p, &f);
    if (f.msg == MSG_END)
        return (int32_t)get_u32(f.p);
    assert_int_equal(f.msg, MSG_SIGNED_IN);
    memcpy(token, f.p, 32);
    return client_end(p);
}

/* Hashes take a tenth of a second each: five of them wait, and the sealer is answered before. */
static void served_meanwhile(void **state) {
    enum { ATTEMPTS = 5 };
    struct peer *p[ATTEMPTS];
    struct who who;
    struct frame f;
    char name[16];
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    for (int i = 0; i < ATTEMPTS; i++) {
        p[i] = client_connect(&rig);
        snprintf(name, sizeof name, "name-%d", i);
        ask_in(p[i], name, "some password");
    }
    uint64_t worst = 0;
    for (int i = 0; i < 50; i++) {
        const uint64_t before = clock_mono_ns();
        snprintf(name, sizeof name, "subject-%d", i);
        subject_of(&rig, name, &who);
        const uint64_t took = clock_mono_ns() - before;
        worst = took > worst ? took : worst;
        if (i == 0) /* all of the hashes were asked for before, and none is there yet */
            assert_int_equal(peer_recv_wait(p[ATTEMPTS - 1], &f, 0), ERR_AGAIN);
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        assert_int_equal(client_end(p[i]), ERR_UNAUTHENTICATED);
        peer_free(p[i]);
    }
    printf("slowest answer to the sealer during %d sign-ins: %.1f ms\n", ATTEMPTS, (double)worst / 1e6);
}

static void sessions(void **state) {
    uint8_t token[32], other[32];
    struct frame f;
    (void)state;
    struct peer *p = client_connect(&rig);
    assert_int_equal(add(p, "ann", "a good password"), ERR_LOCKED); /* locked: nobody is known */
    assert_int_equal(sign_in(p, "ann", "a good password", token), ERR_LOCKED);
    assert_int_equal(unlock(&rig), 0);
    assert_int_equal(add(p, "ann", "short"), ERR_USAGE);
    assert_int_equal(add(p, "ann", "a good password"), 0);
    assert_int_equal(add(p, "ann", "a good password"), ERR_EXISTS);
    assert_int_equal(add(p, "owner", "a good password"), ERR_EXISTS);
    assert_int_equal(grant(p, "ann", PEOPLE_READER, 10), 0);
    assert_int_equal(sign_in(p, "ann", "a bad password", token), ERR_UNAUTHENTICATED);
    assert_int_equal(sign_in(p, "bob", "a good password", token), ERR_UNAUTHENTICATED);
    assert_int_equal(sign_in(p, "owner", "a good password", token), ERR_UNAUTHENTICATED);
    assert_int_equal(sign_in(p, "ann", "a good password", token), 0);
    assert_true(status_has(&rig, "\"one_person_mode\":false"));
    /* AS is for one request. */
    assert_int_equal(peer_send(p, MSG_AS, token, 32, -1), 0);
    assert_int_equal(add(p, "cid", "a good password"), ERR_DENIED);
    assert_int_equal(add(p, "cid", "a good password"), 0);
    memcpy(other, token, 32);
    other[0] ^= 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peer_send(p, MSG_AS, other, 32, -1), 0);
        assert_int_equal(peer_send(p, MSG_WHO, NULL, 0, -1), 0);
        assert_int_equal(client_end(p), ERR_UNAUTHENTICATED);
    }
    assert_int_equal(peer_recv_wait(p, &f, WAIT_MS), ERR_PEER); /* three guesses, and it hangs up */
    peer_free(p);
    p = client_connect(&rig); /* a restart: people are there, sessions are not */
    rig_kill(&rig);
    peer_free(p);
    rig_start(&rig);
    assert_int_equal(unlock(&rig), 0);
    p = client_connect(&rig);
    assert_int_equal(peer_send(p, MSG_AS, token, 32, -1), 0);
    assert_int_equal(peer_send(p, MSG_WHO, NULL, 0, -1), 0);
    assert_int_equal(client_end(p), ERR_UNAUTHENTICATED);
    assert_int_equal(sign_in(p, "ann", "a good password", token), 0);
    peer_free(p);
}

/* No ledger: nobody signs in, nothing changes, and the sealer goes on. */
static void no_ledger(void **state) {
    uint8_t token[32];
    char path[256];
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    struct peer *p = client_connect(&rig);
    assert_int_equal(add(p, "ann", "a good password"), 0);
    peer_free(p);
    rig_stop(&rig);
    path_of(&rig, path, "vault/ledger.log");
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, 40, SEEK_SET), 0);
    fputc(0x7f, f);
    fclose(f);
    rig_start(&rig);
    assert_int_equal(unlock(&rig), 0);
    assert_true(status_has(&rig, "\"ledger\":\"damaged\""));
    p = client_connect(&rig);
    assert_int_equal(sign_in(p, "ann", "a good password", token), ERR_IO);
    assert_int_equal(add(p, "bob", "a good password"), ERR_IO);
    assert_int_equal(grant(p, "bob", PEOPLE_ANALYST, 1), ERR_NOTFOUND); /* he was not added */
    assert_int_equal(grant(p, "ann", PEOPLE_READER, 1), ERR_IO);
    assert_true(status_has(&rig, "\"one_person_mode\":true"));
    peer_free(p);
    struct who who;
    sealer_connect(&rig);
    subject_of(&rig, "somebody", &who);
}

static void no_requests(void **state) {
    static const struct {
        enum ipc_msg msg;
        size_t len;
        uint8_t p[40];
    } bad[] = {{MSG_AS, 31, {0}},         {MSG_SIGN_IN, 0, {0}},        {MSG_SIGN_IN, 3, {1, 200, 0}},
               {MSG_SIGN_IN, 32, {2}},    {MSG_PERSON, 1, {99}},        {MSG_PERSON, 2, {2, 5}},
               {MSG_APPROVE, 32, {1}},    {MSG_APPROVE, 33, {2}},       {MSG_OPEN_PLAN, 1, {0}},
               {MSG_OPEN_PLAN, 33, {0}}};
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct frame f;
        struct peer *p = client_connect(&rig);
        assert_int_equal(peer_send(p, bad[i].msg, bad[i].p, bad[i].len, -1), 0);
        assert_int_equal(peer_flush_wait(p, WAIT_MS), 0);
        assert_int_equal(peer_recv_wait(p, &f, WAIT_MS), ERR_PEER);
        peer_free(p);
    }
    assert_true(status_has(&rig, "\"locked\":false"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(served_meanwhile), TEST(sessions), TEST(no_ledger),
                                       TEST(no_requests)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
