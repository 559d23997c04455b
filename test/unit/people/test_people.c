/* People and grants over a store in memory: who may what, and that a reload says the same. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/err.h"
#include "read/people/people.h"
#include "read/people/totp.h"

#define US 1000000ull
#define NS 1000000000ull
#define ROWS 256

/* ---- a store ---- */

static struct {
    bool used;
    uint8_t p[PEOPLE_RECORD_MAX];
    size_t len;
} rows[ROWS];
static uint32_t row_count;
static bool broken;

static int put(void *arg, uint32_t *n, const uint8_t *p, size_t len) {
    (void)arg;
    if (broken)
        return ERR_FULL;
    if (!*n)
        *n = ++row_count;
    assert_true(*n < ROWS && len <= PEOPLE_RECORD_MAX);
    rows[*n].used = p != NULL;
    if (p)
        memcpy(rows[*n].p, p, len);
    rows[*n].len = len;
    return 0;
}

static struct people *load(void) {
    const struct people_store store = {NULL, put};
    struct people *p;
    assert_int_equal(people_new(&p, &store), 0);
    for (uint32_t n = 1; n <= row_count; n++)
        if (rows[n].used)
            assert_int_equal(people_take(p, n, rows[n].p, rows[n].len), 0);
    assert_int_equal(people_loaded(p), 0);
    return p;
}

static struct people *p;
static struct people_actor owner;
static uint64_t now_us, now_ns;

static int setup(void **state) {
    (void)state;
    memset(rows, 0, sizeof rows);
    row_count = 0;
    broken = false;
    now_us = 1767225600 * US;
    now_ns = 5000 * NS;
    p = load();
    people_owner(&owner);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    people_free(p);
    return 0;
}

static void reload(void) {
    people_free(p);
    p = load();
}

/* ---- people ---- */

/* The hash stands for what Argon2id makes of a password. */
static void hash_of(const char *password, uint8_t out[32]) {
    crypto_generichash(out, 32, (const uint8_t *)password, strlen(password), NULL, 0);
}

static struct password password(const char *text) {
    struct password w;
    people_new_password(&w);
    hash_of(text, w.hash);
    return w;
}

static uint32_t id_of(const char *name) {
    uint32_t id;
    assert_int_equal(people_find(p, name, &id), 0);
    return id;
}

static uint32_t add(const char *name) {
    const struct password w = password(name);
    assert_int_equal(people_add(p, &owner, name, &w, now_us), 0);
    return id_of(name);
}

static struct people_actor sign_in(const char *name) {
    uint8_t hash[32], token[32];
    struct people_actor a;
    uint32_t id;
    bool totp;
    hash_of(name, hash);
    assert_int_equal(people_check(p, name, hash, "", 0, now_us, &id, &totp), 0);
    assert_int_equal(people_sign_in(p, id, now_ns, token, &a), 0);
    return a;
}

static int grant_as(const struct people_actor *by, const char *name, uint8_t role,
                    const char *projects, uint32_t cells, uint64_t expires_us, bool *waits,
                    uint8_t digest[32]) {
    const struct people_grant g = {role, cells, expires_us, projects};
    return people_grant(p, by, id_of(name), &g, now_us, waits, digest);
}

static void grant_now(const char *name, uint8_t role, const char *projects) {
    uint8_t digest[32];
    bool waits;
    assert_int_equal(grant_as(&owner, name, role, projects, 100, 0, &waits, digest), 0);
    assert_false(waits);
}

static bool has(const char *name, enum people_role role) {
    return people_roles(p, id_of(name), now_us) & PEOPLE_BIT(role);
}

static bool is_over(const struct people_actor *a) {
    return people_still(p, a, now_ns) == ERR_UNAUTHENTICATED;
}

static void names(void **state) {
    static const char *const good[] = {"a", "bob", "a.b-c_d@example.org", "9"};
    static const char *const bad[] = {"", "Bob", "-a", ".a", "@a", "a b", "a\"b", "a,b", "*"};
    static const char *const projects[] = {"*", "a", "a,b", "A.b-c,d_e"};
    static const char *const none[] = {"", ",", "a,", ",a", "a,,b", "a b", "*,a", "a\"", "a@b"};
    char longest[LIMIT_NAME + 1] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(people_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(people_name_valid(bad[i]));
    for (size_t i = 0; i < sizeof projects / sizeof projects[0]; i++)
        assert_true(people_projects_valid(projects[i]));
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(people_projects_valid(none[i]));
    memset(longest, 'a', LIMIT_NAME);
    assert_false(people_name_valid(longest));
    longest[LIMIT_NAME - 1] = 0;
    assert_true(people_name_valid(longest));
}

static void one_person(void **state) {
    struct people_opener o;
    uint8_t digest[32];
    bool waits;
    (void)state;
    assert_true(people_one_person(p));
    assert_int_equal(people_opener(p, &owner, now_us, &o), 0);
    assert_true(opener_may(&o, "anything"));
    assert_int_equal(people_charge(p, &o, 1000000, false, now_us), 0);
    opener_done(&o);
    add("ann");
    grant_now("ann", PEOPLE_ANALYST, "*"); /* neither reader nor admin */
    assert_true(people_one_person(p));
    grant_now("ann", PEOPLE_READER, "chat");
    assert_false(people_one_person(p));
    assert_int_equal(people_opener(p, &owner, now_us, &o), ERR_DENIED);
    reload();
    assert_false(people_one_person(p));
    assert_int_equal(people_remove(p, &owner, id_of("ann"), now_us), 0);
    reload();
    assert_false(people_one_person(p)); /* it does not come back of itself */
    assert_int_equal(people_opener(p, &owner, now_us, &o), ERR_DENIED);
    assert_true(people_roles(p, PEOPLE_OWNER, now_us) == PEOPLE_BIT(PEOPLE_ADMIN));
    /* The owner reads again when a second admin says so. */
    assert_int_equal(grant_as(&owner, "owner", PEOPLE_READER, "chat", 50, 0, &waits, digest), 0);
    assert_true(waits);
    assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), ERR_DENIED);
    add("bea");
    grant_now("bea", PEOPLE_ADMIN, "*"); /* the only admin makes a second one alone */
    struct people_actor bea = sign_in("bea");
    assert_int_equal(people_confirm(p, &bea, digest, true, now_us, NULL), 0);
    reload();
    assert_int_equal(people_opener(p, &owner, now_us, &o), 0);
    assert_true(opener_may(&o, "chat") && !opener_may(&o, "sales") && !o.unlimited);
    assert_int_equal(o.cells, 50);
    opener_done(&o);
    assert_int_equal(people_remove(p, &owner, PEOPLE_OWNER, now_us), ERR_DENIED);
}

static void two_admins(void **state) {
    uint8_t digest[32], wrong[32] = {0};
    bool waits;
    (void)state;
    add("ann");
    add("bea");
    add("cid");
    grant_now("ann", PEOPLE_ADMIN, "*");
    struct people_actor ann = sign_in("ann");
    for (uint8_t role = PEOPLE_ANALYST; role <= PEOPLE_ROLE_LAST; role++) {
        assert_int_equal(grant_as(&ann, "bea", role, "chat", 10, 0, &waits, digest), 0);
        const bool two = role == PEOPLE_READER || role == PEOPLE_ADMIN || role == PEOPLE_ERASER;
        assert_int_equal(waits, two);
        assert_int_equal(has("bea", role), !two);
        if (!two)
            continue;
        assert_int_equal(people_confirm(p, &ann, digest, true, now_us, NULL), ERR_DENIED);
        assert_int_equal(people_confirm(p, &owner, wrong, true, now_us, NULL), ERR_NOTFOUND);
        reload(); /* waits on disk */
        ann = sign_in("ann");
        assert_false(has("bea", role));
        assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), 0);
        assert_true(has("bea", role));
        assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), ERR_NOTFOUND);
    }
    assert_int_equal(grant_as(&ann, "cid", PEOPLE_READER, "chat", 10, 0, &waits, digest), 0);
    assert_int_equal(people_confirm(p, &owner, digest, false, now_us, NULL), 0); /* refused */
    assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), ERR_NOTFOUND);
    assert_int_equal(grant_as(&ann, "cid", PEOPLE_READER, "chat", 10, 0, &waits, digest), 0);
    now_us += 8ull * 86400 * US; /* a week is enough */
    assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), ERR_NOTFOUND);
    assert_false(has("cid", PEOPLE_READER));
}

static void not_an_admin(void **state) {
    const struct password w = password("x");
    uint8_t digest[32], token[32];
    bool waits;
    (void)state;
    add("ann");
    add("bea");
    for (uint8_t role = PEOPLE_ANALYST; role <= PEOPLE_ROLE_LAST; role++)
        if (role != PEOPLE_ADMIN)
            grant_now("ann", role == PEOPLE_READER ? PEOPLE_ANALYST : role, "*");
    struct people_actor ann = sign_in("ann");
    const uint32_t bea = id_of("bea");
    assert_int_equal(people_add(p, &ann, "cid", &w, now_us), ERR_DENIED);
    assert_int_equal(people_remove(p, &ann, bea, now_us), ERR_DENIED);
    assert_int_equal(grant_as(&ann, "ann", PEOPLE_ADMIN, "*", 0, 0, &waits, digest), ERR_DENIED);
    assert_int_equal(people_ungrant(p, &ann, bea, PEOPLE_ADMIN, 0, now_us), ERR_DENIED);
    assert_int_equal(people_set_password(p, &ann, bea, true, &w, now_us), ERR_DENIED);
    assert_int_equal(people_set_password(p, &ann, PEOPLE_OWNER, true, &w, now_us), ERR_DENIED);
    assert_int_equal(people_token_make(p, &ann, bea, "t", 0, now_us, token), ERR_DENIED);
    assert_int_equal(people_totp_remove(p, &ann, bea, now_us), ERR_DENIED);
    assert_int_equal(people_set_password(p, &ann, ann.id, false, &w, now_us), ERR_UNAUTHENTICATED);
    assert_int_equal(people_set_password(p, &ann, ann.id, true, &w, now_us), 0);
    struct people_actor nobody = {.id = PEOPLE_NOBODY};
    assert_int_equal(people_add(p, &nobody, "cid", &w, now_us), ERR_DENIED);
}

static void at_once(void **state) {
    const struct password w = password("other");
    uint8_t digest[32];
    bool waits;
    struct people_opener o;
    (void)state;
    add("ann");
    grant_now("ann", PEOPLE_READER, "a");
    struct people_actor a = sign_in("ann");
    assert_false(is_over(&a));
    grant_now("ann", PEOPLE_ANALYST, "*"); /* more roles: bound to those at sign-in */
    assert_true(is_over(&a));
    a = sign_in("ann");
    assert_int_equal(people_ungrant(p, &owner, a.id, PEOPLE_READER, 0, now_us), 0);
    assert_true(is_over(&a));
    assert_int_equal(people_ungrant(p, &owner, a.id, PEOPLE_READER, 0, now_us), ERR_NOTFOUND);
    add("bea");
    grant_now("bea", PEOPLE_ADMIN, "*");
    struct people_actor bea = sign_in("bea");
    assert_int_equal(grant_as(&bea, "ann", PEOPLE_READER, "a", 9, now_us + 60 * US, &waits, digest), 0);
    assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), 0);
    a = sign_in("ann");
    assert_int_equal(people_opener(p, &a, now_us, &o), 0);
    opener_done(&o);
    now_us += 60 * US; /* it expires */
    assert_int_equal(people_opener(p, &a, now_us, &o), ERR_DENIED);
    now_us -= 60 * US;
    /* An admin who sets a reader's password cannot read with it. */
    assert_int_equal(people_set_password(p, &bea, a.id, false, &w, now_us), 0);
    assert_true(is_over(&a));
    assert_false(has("ann", PEOPLE_READER));
    assert_true(has("ann", PEOPLE_ANALYST));
    size_t at = 0;
    const struct grant *g;
    assert_true(people_next_waiting(p, &at, now_us, &g));
    assert_int_equal(people_remove(p, &bea, a.id, now_us), 0);
    uint32_t id;
    assert_int_equal(people_find(p, "ann", &id), ERR_NOTFOUND);
    assert_int_equal(people_sign_in(p, bea.id, now_ns, digest, &a), 0);
    people_sign_out(p, &a);
    assert_true(is_over(&a));
}

static void signing_in(void **state) {
    uint8_t hash[32], secret[20], token[32];
    char code[9];
    uint32_t id = 0;
    bool totp;
    struct password w;
    (void)state;
    add("ann");
    hash_of("ann", hash);
    assert_int_equal(people_check(p, "bob", hash, "", 0, now_us, &id, &totp), ERR_UNAUTHENTICATED);
    assert_int_equal(people_check(p, "owner", hash, "", 0, now_us, &id, &totp), ERR_UNAUTHENTICATED);
    people_hashing(p, "ann", &w);
    assert_true(sodium_is_zero(w.hash, sizeof w.hash)); /* no hash leaves */
    struct password of_nobody, again;
    people_hashing(p, "bob", &of_nobody);
    people_hashing(p, "bob", &again);
    assert_memory_equal(&of_nobody, &again, sizeof again); /* costs the same, each time */
    assert_true(of_nobody.ops == w.ops && of_nobody.mem == w.mem);
    struct people_actor a = sign_in("ann");
    assert_int_equal(people_totp_make(p, &a, a.id, now_us, secret), 0);
    sign_in("ann"); /* not in force before a code was seen */
    assert_int_equal(people_totp_confirm(p, &a, a.id, "000000", 6, now_us), ERR_UNAUTHENTICATED);
    struct people_actor before = sign_in("ann");
    totp_code(secret, 20, now_us / US / 30, 6, code);
    assert_int_equal(people_totp_confirm(p, &a, a.id, code, 6, now_us), 0);
    assert_true(is_over(&before)); /* it rested on the password alone */
    assert_false(is_over(&a));
    assert_int_equal(people_check(p, "ann", hash, "", 0, now_us, &id, &totp), ERR_UNAUTHENTICATED);
    assert_int_equal(people_check(p, "ann", hash, code, 6, now_us, &id, &totp), ERR_UNAUTHENTICATED);
    now_us += 30 * US;
    reload(); /* the last step is on disk */
    assert_int_equal(people_check(p, "ann", hash, code, 6, now_us, &id, &totp), ERR_UNAUTHENTICATED);
    totp_code(secret, 20, now_us / US / 30, 6, code);
    hash[0] ^= 1;
    assert_int_equal(people_check(p, "ann", hash, code, 6, now_us, &id, &totp), ERR_UNAUTHENTICATED);
    hash[0] ^= 1;
    broken = true; /* what cannot be written down cannot be used up, so it does not count */
    assert_int_equal(people_check(p, "ann", hash, code, 6, now_us, &id, &totp), ERR_FULL);
    broken = false;
    assert_int_equal(people_check(p, "ann", hash, code, 6, now_us, &id, &totp), 0);
    assert_true(totp);
    assert_int_equal(people_token_make(p, &owner, id, "ci", now_us + US, now_us, token), 0);
    assert_int_equal(people_token_make(p, &owner, id, "ci", 0, now_us, hash), ERR_EXISTS);
    reload();
    assert_int_equal(people_check_token(p, token, now_us, &id), 0);
    assert_int_equal(id, id_of("ann"));
    assert_int_equal(people_check_token(p, token, now_us + US, &id), ERR_UNAUTHENTICATED);
    assert_int_equal(people_token_revoke(p, &owner, id, "ci", now_us), 0);
    assert_int_equal(people_check_token(p, token, now_us, &id), ERR_UNAUTHENTICATED);
    memset(token, 0, sizeof token);
    assert_int_equal(people_check_token(p, token, now_us, &id), ERR_UNAUTHENTICATED);
}

static void projects_and_quotas(void **state) {
    struct people_opener o;
    uint8_t digest[32];
    bool waits;
    (void)state;
    add("ann");
    grant_now("ann", PEOPLE_READER, "chat,support");
    struct people_actor a = sign_in("ann");
    assert_int_equal(people_opener(p, &a, now_us, &o), 0);
    assert_true(opener_may(&o, "chat") && opener_may(&o, "support"));
    assert_true(!opener_may(&o, "cha") && !opener_may(&o, "chats") && !opener_may(&o, "") &&
                !opener_may(&o, "chat,support") && !opener_may(&o, "*"));
    assert_int_equal(people_charge(p, &o, 101, false, now_us), ERR_QUOTA);
    assert_int_equal(people_charge(p, &o, 60, false, now_us), 0);
    assert_int_equal(people_charge(p, &o, 30, true, now_us), 0);
    assert_int_equal(people_charge(p, &o, 11, false, now_us), ERR_QUOTA);
    assert_int_equal(people_left(p, &o, now_us), 10);
    assert_int_equal(people_alone(p, a.id, now_us), 60);
    reload(); /* no new hour, and what was written down ahead is gone */
    assert_true(people_left(p, &o, now_us) <= 10);
    assert_int_equal(people_alone(p, a.id, now_us), 60);
    now_us += 66 * 60 * US;
    assert_int_equal(people_left(p, &o, now_us), 100);
    broken = true;
    assert_int_equal(people_charge(p, &o, 20, false, now_us), ERR_FULL);
    broken = false;
    assert_int_equal(people_left(p, &o, now_us), 100);
    opener_done(&o);
    add("bea");
    grant_now("bea", PEOPLE_ADMIN, "*");
    struct people_actor bea = sign_in("bea");
    assert_int_equal(grant_as(&bea, "ann", PEOPLE_READER, "sales", 500, 0, &waits, digest), 0);
    assert_int_equal(people_confirm(p, &owner, digest, true, now_us, NULL), 0);
    a = sign_in("ann");
    assert_int_equal(people_opener(p, &a, now_us, &o), 0);
    assert_true(opener_may(&o, "chat") && opener_may(&o, "sales"));
    assert_int_equal(o.cells, 500);
    opener_done(&o);
}

/* Records that this module did not write are refused, whatever they are. */
static void damage(void **state) {
    const struct people_store store = {NULL, put};
    uint8_t r[PEOPLE_RECORD_MAX];
    (void)state;
    add("ann");
    grant_now("ann", PEOPLE_READER, "chat");
    for (uint32_t n = 1; n <= row_count; n++) {
        for (size_t len = 0; len < rows[n].len; len++) {
            struct people *q;
            assert_int_equal(people_new(&q, &store), 0);
            assert_int_not_equal(people_take(q, n, rows[n].p, len), 0);
            people_free(q);
        }
        memcpy(r, rows[n].p, rows[n].len);
        struct people *q;
        assert_int_equal(people_new(&q, &store), 0);
        assert_int_not_equal(people_take(q, n, r, rows[n].len + 1), 0);
        people_free(q);
    }
    struct people *q; /* a grant of nobody */
    assert_int_equal(people_new(&q, &store), 0);
    for (uint32_t n = 1; n <= row_count; n++)
        if (rows[n].used && rows[n].p[0] == 3)
            assert_int_equal(people_take(q, n, rows[n].p, rows[n].len), 0);
    assert_int_equal(people_loaded(q), ERR_CORRUPT);
    people_free(q);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(names),      TEST(one_person), TEST(two_admins),
                                       TEST(not_an_admin), TEST(at_once),    TEST(signing_in),
                                       TEST(projects_and_quotas), TEST(damage)};
    return sodium_init() < 0 || totp_start() ? 1
                                             : cmocka_run_group_tests_name("people", tests, NULL, NULL);
}
