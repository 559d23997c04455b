/* Throttling, quotas, sessions and approvals, each with a clock of the test's own. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/err.h"
#include "read/people/approval.h"
#include "read/people/quota.h"
#include "read/people/session.h"
#include "read/people/throttle.h"

#define S 1000000000ull
#define MINUTE_US 60000000ull

static unsigned wrong(struct throttle *t, unsigned place, uint64_t now) {
    unsigned wait;
    assert_int_equal(throttle_begin(t, place, now, &wait), 0);
    return throttle_end(t, place, now, false);
}

static void one_name(void **state) {
    struct throttle *t;
    unsigned wait;
    uint64_t now = 1000 * S;
    (void)state;
    assert_int_equal(throttle_new(&t), 0);
    const unsigned a = throttle_place(t, "alice", 5);
    assert_int_equal(throttle_place(t, "alice", 5), a);
    for (int i = 0; i < THROTTLE_FREE - 1; i++)
        assert_int_equal(wrong(t, a, now += 5 * S), 0);
    assert_int_equal(wrong(t, a, now += 5 * S), THROTTLE_FIRST_S);
    assert_int_equal(throttle_begin(t, a, now + 1, &wait), ERR_AGAIN);
    assert_int_equal(wait, THROTTLE_FIRST_S);
    /* Twice as long each time, up to the maximum. */
    for (unsigned s = THROTTLE_FIRST_S;;) {
        now += s * S;
        assert_int_equal(throttle_begin(t, a, now - 1, &wait), ERR_AGAIN);
        const unsigned next = 2 * s < THROTTLE_MAX_S ? 2 * s : THROTTLE_MAX_S;
        assert_int_equal(wrong(t, a, now), next);
        if (s == next)
            break;
        s = next;
    }
    /* Another name goes on, and a right one forgets. */
    const unsigned b = throttle_place(t, "bob", 3);
    if (a != b) {
        assert_int_equal(wrong(t, b, now), 0);
        assert_int_equal(throttle_begin(t, b, now, &wait), 0);
        assert_int_equal(throttle_begin(t, b, now, &wait), ERR_AGAIN); /* one at a time */
        assert_int_equal(wait, 0);
        assert_int_equal(throttle_end(t, b, now, true), 0);
    }
    now += THROTTLE_MAX_S * S;
    assert_int_equal(throttle_begin(t, a, now, &wait), 0);
    throttle_cancel(t, a); /* not looked at: neither forgotten nor counted */
    assert_int_equal(throttle_begin(t, a, now, &wait), 0);
    assert_int_equal(throttle_end(t, a, now, false), THROTTLE_MAX_S);
    now += THROTTLE_MAX_S * S;
    assert_int_equal(throttle_begin(t, a, now, &wait), 0);
    assert_int_equal(throttle_end(t, a, now, true), 0);
    for (int i = 0; i < THROTTLE_FREE - 1; i++)
        assert_int_equal(wrong(t, a, now += 5 * S), 0);
    now += (THROTTLE_FORGET_S + 1) * S; /* so does time */
    assert_int_equal(wrong(t, a, now), 0);
    throttle_free(t);
}

static void all_names(void **state) {
    struct throttle *t;
    unsigned wait, done = 0;
    const uint64_t now = 1000 * S;
    (void)state;
    assert_int_equal(throttle_new(&t), 0);
    for (unsigned i = 0; i < 1000; i++)
        if (throttle_begin(t, i, now, &wait) == 0) {
            throttle_end(t, i, now, false);
            done++;
        }
    assert_int_equal(done, THROTTLE_BURST);
    assert_int_equal(throttle_begin(t, 2000, now, &wait), ERR_AGAIN);
    assert_true(wait >= 1);
    for (unsigned i = 0, n = 0; i < 10 * THROTTLE_PER_S; i++, n++) /* then at its rate */
        assert_int_equal(throttle_begin(t, 2000 + i, now + (n + 1) * S / THROTTLE_PER_S, &wait), 0);
    throttle_free(t);
    assert_int_equal(throttle_new(&t), 0);
    for (unsigned i = 0; i < 1000; i++) { /* right ones are not held up */
        assert_int_equal(throttle_begin(t, i, now, &wait), 0);
        throttle_end(t, i, now, true);
    }
    throttle_free(t);
}

static void quotas(void **state) {
    struct quota q = {0};
    uint64_t now = 1767225600000000ull + 17;
    (void)state;
    assert_int_equal(quota_used(&q, now), 0);
    quota_add(&q, now, 100);
    quota_add(&q, now + 30 * MINUTE_US, 10);
    assert_int_equal(quota_used(&q, now + 30 * MINUTE_US), 110);
    assert_int_equal(quota_used(&q, now + 60 * MINUTE_US - 1), 110); /* a whole hour */
    assert_int_equal(quota_used(&q, now + 66 * MINUTE_US), 10);
    assert_int_equal(quota_used(&q, now), 10); /* set back: stands still */
    quota_add(&q, now, 5);
    assert_int_equal(quota_used(&q, now + 66 * MINUTE_US), 15);
    assert_int_equal(quota_used(&q, now + 1000 * MINUTE_US), 0);
    quota_add(&q, now + 1000 * MINUTE_US, UINT32_MAX);
    quota_add(&q, now + 1000 * MINUTE_US, 2);
    assert_int_equal(quota_used(&q, now + 1000 * MINUTE_US), UINT32_MAX);
    for (uint64_t t = 0; t < 600; t++) { /* at no time more than was added within the hour */
        struct quota r = {0};
        quota_add(&r, now, 7);
        quota_add(&r, now + t * MINUTE_US, 1);
        assert_true(quota_used(&r, now + t * MINUTE_US) >= (t <= 60 ? 8 : 1));
        assert_true(quota_used(&r, now + t * MINUTE_US) <= (t <= 65 ? 8 : 1));
    }
}

static void sessions(void **state) {
    struct sessions *s;
    const struct session *x;
    uint8_t token[32], other[32], first[32];
    uint64_t now = 1000 * S;
    (void)state;
    assert_int_equal(sessions_new(&s), 0);
    assert_int_equal(session_begin(s, 7, 1, now, token, &x), 0);
    assert_ptr_equal(session_find(s, token, now), x);
    memcpy(other, token, 32);
    other[31] ^= 1;
    assert_null(session_find(s, other, now));
    memset(other, 0, 32);
    assert_null(session_find(s, other, now));
    now += SESSION_IDLE_NS; /* used just in time, again and again, until it is too old */
    unsigned n = 0;
    while (session_find(s, token, now) && n < 1000) {
        now += SESSION_IDLE_NS - 1;
        n++;
    }
    assert_int_equal(n, SESSION_AGE_NS / SESSION_IDLE_NS);
    assert_int_equal(session_begin(s, 7, 1, now, token, &x), 0);
    assert_null(session_find(s, token, now + SESSION_IDLE_NS + 1));
    assert_int_equal(session_begin(s, 7, 1, now, first, &x), 0);
    for (int i = 0; i < SESSIONS_PER_PERSON; i++) /* the share of one person */
        assert_int_equal(session_begin(s, 7, 1, ++now, token, &x), 0);
    assert_null(session_find(s, first, now));
    assert_non_null(session_find(s, token, now));
    assert_int_equal(sessions_count(s, now), SESSIONS_PER_PERSON);
    assert_int_equal(session_begin(s, 8, 1, now, other, &x), 0);
    assert_int_equal(sessions_end_person(s, 7), SESSIONS_PER_PERSON);
    assert_null(session_find(s, token, now));
    assert_non_null(session_find(s, other, now));
    for (uint32_t p = 100; p < 100 + SESSIONS_MAX; p++) /* nobody pushes out anybody else */
        if (session_begin(s, p, 1, now, token, &x))
            break;
    assert_int_equal(session_begin(s, 5000, 1, now, token, &x), ERR_FULL);
    assert_non_null(session_find(s, other, now));
    sessions_free(s);
}

static void approvals(void **state) {
    struct approvals *a;
    uint8_t hashes[3][32], digest[32], again[32];
    uint64_t now = 1000 * S;
    size_t at = 0;
    (void)state;
    randombytes_buf(hashes, sizeof hashes);
    approval_digest(digest, 5, "why", 3, "q", 1, hashes, 3);
    uint8_t swap[32];
    memcpy(swap, hashes[0], 32);
    memcpy(hashes[0], hashes[2], 32);
    memcpy(hashes[2], swap, 32);
    approval_digest(again, 5, "why", 3, "q", 1, hashes, 3); /* a set has no order */
    assert_memory_equal(digest, again, 32);
    approval_digest(again, 6, "why", 3, "q", 1, hashes, 3);
    assert_memory_not_equal(digest, again, 32);
    approval_digest(again, 5, "wh", 2, "yq", 2, hashes, 3);
    assert_memory_not_equal(digest, again, 32);
    approval_digest(again, 5, "why", 3, "q", 1, hashes, 2);
    assert_memory_not_equal(digest, again, 32);

    assert_int_equal(approvals_new(&a), 0);
    struct approval r = {.person = 5, .cells = 3};
    memcpy(r.digest, digest, 32);
    assert_int_equal(approval_take(a, digest, 5, now), ERR_APPROVAL);
    approval_ask(a, &r, now);
    approval_ask(a, &r, now);
    assert_non_null(approval_next(a, &at, now));
    assert_null(approval_next(a, &at, now));
    assert_int_equal(approval_take(a, digest, 5, now), ERR_APPROVAL);
    assert_int_equal(approval_give(a, again, 6, now), ERR_NOTFOUND);
    assert_int_equal(approval_give(a, digest, 5, now), ERR_DENIED); /* one's own */
    assert_int_equal(approval_give(a, digest, 6, now), 0);
    assert_int_equal(approval_give(a, digest, 7, now), ERR_EXISTS);
    assert_int_equal(approval_take(a, digest, 6, now), ERR_APPROVAL); /* somebody else's */
    assert_int_equal(approval_take(a, digest, 5, now + APPROVAL_NS), 0);
    assert_int_equal(approval_take(a, digest, 5, now), ERR_APPROVAL); /* once */
    approval_ask(a, &r, now);
    assert_int_equal(approval_give(a, digest, 6, now), 0);
    assert_int_equal(approval_take(a, digest, 5, now + APPROVAL_NS + 1), ERR_APPROVAL); /* too late */
    approval_ask(a, &r, now); /* whoever approved is removed */
    assert_int_equal(approval_give(a, digest, 6, now), 0);
    approvals_end_person(a, 6);
    assert_int_equal(approval_take(a, digest, 5, now), ERR_APPROVAL);
    approval_ask(a, &r, now); /* one person's many requests push out no one else's */
    for (uint32_t i = 0; i < 200; i++) {
        struct approval x = {.person = 9};
        randombytes_buf(x.digest, 32);
        approval_ask(a, &x, now + i);
    }
    assert_non_null(approval_find(a, digest, now));
    approvals_free(a);
}

/* A process that begins anew knows who was locked out, and how much of the common rate was used. */
static void across_a_restart(void **state) {
    static uint8_t record[THROTTLE_RECORD_MAX], again[THROTTLE_RECORD_MAX];
    struct throttle *t, *u;
    unsigned wait;
    uint64_t now = 100 * S, us = 1764000000000000;
    (void)state;
    assert_int_equal(throttle_new(&t), 0);
    assert_int_equal(throttle_new(&u), 0);
    assert_true(throttle_saved(t));
    const unsigned a = throttle_place(t, "alice", 5);
    for (int i = 0; i < THROTTLE_FREE; i++)
        wrong(t, a, now);
    assert_false(throttle_saved(t));
    size_t n = throttle_save(t, now, us, record);
    assert_true(throttle_saved(t));
    /* 10 s later by the wall; its monotonic clock began anew. */
    now = 5 * S;
    us += 10000000;
    assert_int_equal(throttle_load(u, now, us, record, n), 0);
    assert_int_equal(throttle_place(u, "alice", 5), a);
    assert_int_equal(throttle_begin(u, a, now, &wait), ERR_AGAIN);
    assert_int_equal(wait, THROTTLE_FIRST_S - 10);
    now += (THROTTLE_FIRST_S - 10) * S;
    assert_int_equal(wrong(u, a, now), 2 * THROTTLE_FIRST_S); /* the count goes on */
    /* The same record again undoes nothing. */
    assert_int_equal(throttle_load(u, now, us + 20000000, record, n), 0);
    assert_int_equal(throttle_begin(u, a, now, &wait), ERR_AGAIN);
    assert_int_equal(wait, 2 * THROTTLE_FIRST_S);
    /* A wall clock that was set back keeps nobody out longer than the longest. */
    throttle_free(u);
    assert_int_equal(throttle_new(&u), 0);
    assert_int_equal(throttle_load(u, now, us - 86400000000, record, n), 0);
    assert_int_equal(throttle_begin(u, a, now, &wait), ERR_AGAIN);
    assert_int_equal(wait, THROTTLE_MAX_S);
    /* Nor is the common rate given back. */
    throttle_free(u);
    assert_int_equal(throttle_new(&u), 0);
    now = 1000 * S;
    for (unsigned i = 0; i < THROTTLE_BURST; i++)
        assert_int_equal(throttle_begin(u, i, now, &wait), 0);
    assert_int_equal(throttle_end(u, 0, now, false), 0);
    n = throttle_save(u, now, us, record);
    throttle_free(u);
    assert_int_equal(throttle_new(&u), 0);
    assert_int_equal(throttle_load(u, now, us, record, n), 0);
    assert_int_equal(throttle_begin(u, 100, now, &wait), ERR_AGAIN);
    assert_int_equal(throttle_begin(u, 100, now + S, &wait), 0);
    throttle_free(u);
    /* Of many those who are locked out longest, and no more than fit. */
    now = 10000 * S;
    for (unsigned i = 0; i < 3 * THROTTLE_KEPT; i++, now += S)
        for (unsigned k = 0; k < (i % 3 == 0 ? THROTTLE_FREE : 1); k++)
            throttle_end(t, i, now, false);
    n = throttle_save(t, now, us, record);
    assert_int_equal(n, sizeof record);
    assert_int_equal(throttle_new(&u), 0);
    assert_int_equal(throttle_load(u, now, us, record, n), 0);
    for (unsigned i = 3 * THROTTLE_KEPT - 27; i < 3 * THROTTLE_KEPT; i += 3) /* not over yet */
        assert_int_equal(throttle_begin(u, i, now, &wait), ERR_AGAIN);
    /* What nobody wrote. */
    for (size_t less = 0; less < n; less++)
        if ((less - 25) % 20)
            assert_int_equal(throttle_load(u, now, us, record, less), ERR_CORRUPT);
    memcpy(again, record, n);
    again[0]++;
    assert_int_equal(throttle_load(u, now, us, again, n), ERR_CORRUPT);
    again[0]--;
    again[26] = 0x10; /* place 4096 and more */
    assert_int_equal(throttle_load(u, now, us, again, n), ERR_CORRUPT);
    throttle_free(u);
    throttle_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_name), cmocka_unit_test(all_names),
                                       cmocka_unit_test(quotas), cmocka_unit_test(sessions),
                                       cmocka_unit_test(approvals), cmocka_unit_test(across_a_restart)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
