/* Provider health: who gets the next attempt, in one process and in several. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/err.h"
#include "control/health.h"

#define NOW 1795608000000000ull
#define SECOND 1000000ull

struct shared {
    _Atomic uint64_t now, most, taken, probes, refused, ready;
};
static struct shared *shared;

static int setup(void **state) {
    (void)state;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : 0;
}

/* A table, and a worker's view of it. */
static struct health *made(struct health **ret_worker) {
    struct health *h = NULL;
    memset(shared, 0, sizeof *shared);
    assert_int_equal(health_create(&h), 0);
    health_begin(h);
    if (ret_worker) {
        assert_int_equal(health_map(health_fd(h), ret_worker), 0);
        assert_int_equal(health_claim(*ret_worker), 0);
    }
    return h;
}

static struct health_candidate candidate(struct health *h, const char *name, uint16_t weight) {
    struct health_candidate c = {.weight = weight, .eject_after = 3, .eject_for_ms = 30000};
    assert_int_equal(health_provider(h, name, &c.provider), 0);
    return c;
}

static void give_key(struct health *h, struct health_candidate *c, const char *credential) {
    assert_int_equal(health_key(h, c->provider, credential, &c->keys[c->key_count]), 0);
    c->key_count++;
}

/* One attempt that ends with this status; which candidate it went to, or the error. */
static int attempt(struct health *w, const struct health_candidate *list, size_t n, uint32_t tried,
                   uint64_t now, int status, uint64_t retry_after_ms) {
    struct health_ticket t;
    uint64_t retry;
    int rc = health_choose(w, list, n, tried, now, &t, &retry);
    if (rc)
        return rc;
    int which = (int)t.candidate;
    health_done(w, &t, status, retry_after_ms, now);
    health_done(w, &t, 500, 0, now); /* a second end does nothing */
    return which;
}

static void chooses_by_weight(void **state) {
    (void)state;
    struct health *w, *h = made(&w);
    struct health_candidate list[4] = {candidate(h, "a", 70), candidate(h, "b", 20),
                                       candidate(h, "c", 10), candidate(h, "spare", 0)};
    int counts[4] = {0};
    for (int i = 0; i < 10000; i++)
        counts[attempt(w, list, 4, 0, NOW, 200, 0)]++;
    assert_in_range(counts[0], 6950, 7050);
    assert_in_range(counts[1], 1950, 2050);
    assert_in_range(counts[2], 950, 1050);
    assert_int_equal(counts[3], 0);
    /* What was tried is not chosen again; then the fallback; then nothing is left. */
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 3000; i++)
        counts[attempt(w, list, 4, 1, NOW, 200, 0)]++;
    assert_in_range(counts[1], 1950, 2050);
    assert_in_range(counts[2], 950, 1050);
    assert_int_equal(attempt(w, list, 4, 7, NOW, 200, 0), 3);
    assert_int_equal(attempt(w, list, 4, 15, NOW, 200, 0), ERR_NOTFOUND);
    assert_true(health_worth_fallback(429) && health_worth_fallback(HEALTH_NO_ANSWER));
    assert_false(health_worth_fallback(400) || health_worth_fallback(422));
    health_close(w);
    health_close(h);
}

static void ejects_and_probes(void **state) {
    (void)state;
    struct health *w, *h = made(&w);
    struct health_candidate list[2] = {candidate(h, "a", 1), candidate(h, "b", 0)};
    struct health_ticket probe, t;
    struct health_view v;
    uint64_t retry;
    /* A success in between: not in a row. */
    static const int statuses[] = {500, 503, 200, 500, HEALTH_NO_ANSWER, 400, 502, 500};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_int_equal(attempt(w, list, 2, 0, NOW, statuses[i], 0), 0);
    assert_int_equal(attempt(w, list, 2, 0, NOW, HEALTH_NO_ANSWER, 0), 0);
    assert_int_equal(attempt(w, list, 2, 0, NOW, 200, 0), 1);
    assert_true(health_view(h, list[0].provider, NOW, &v));
    assert_int_equal(v.failures, 3);
    assert_int_equal(v.ejected_for_ms, 30000);
    assert_true(v.current);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 29 * SECOND, 200, 0), 1);

    /* Half open: one probe, the others go elsewhere; it fails, and the time begins anew. */
    assert_int_equal(health_choose(w, list, 2, 0, NOW + 30 * SECOND, &probe, &retry), 0);
    assert_int_equal(probe.candidate, 0);
    assert_true(probe.probe);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 30 * SECOND, 200, 0), 1);
    health_done(w, &probe, 500, 0, NOW + 31 * SECOND);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 60 * SECOND, 200, 0), 1);
    /* The next probe's client leaves: the one after it probes. That one is lost with its worker:
     * its time ends. Then it succeeds. */
    assert_int_equal(attempt(w, list, 2, 0, NOW + 62 * SECOND, HEALTH_CANCELLED, 0), 0);
    assert_int_equal(health_choose(w, list, 2, 0, NOW + 62 * SECOND, &probe, &retry), 0);
    assert_true(probe.probe);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 91 * SECOND, 200, 0), 1);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 93 * SECOND, 200, 0), 0);
    assert_true(health_view(h, list[0].provider, NOW + 93 * SECOND, &v));
    assert_int_equal(v.failures, 0);
    assert_int_equal(v.ejected_for_ms, 0);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 93 * SECOND, 200, 0), 0);

    /* Nobody else is left: tried all the same, but not as a fallback's fallback. */
    struct health_candidate lone = candidate(h, "lone", 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(attempt(w, &lone, 1, 0, NOW, 500, 0), 0);
    assert_int_equal(health_choose(w, &lone, 1, 0, NOW, &t, &retry), 0);
    assert_false(t.probe);
    health_done(w, &t, 200, 0, NOW);
    struct health_candidate pair[2] = {list[0], lone};
    assert_int_equal(health_choose(w, pair, 2, 1, NOW, &t, &retry), ERR_PEER);
    assert_int_equal(retry, 30000);
    health_close(w);
    health_close(h);
}

static void takes_keys_out(void **state) {
    (void)state;
    struct health *w, *h = made(&w);
    struct health_candidate list[2] = {candidate(h, "a", 1), candidate(h, "b", 0)};
    struct health_ticket t;
    struct health_view v;
    uint64_t retry;
    give_key(h, &list[0], "one");
    give_key(h, &list[0], "two");
    give_key(h, &list[0], "three");
    give_key(h, &list[1], "one");
    int turns[HEALTH_KEYS] = {0};
    for (int i = 0; i < 300; i++) {
        assert_int_equal(health_choose(w, list, 2, 0, NOW, &t, &retry), 0);
        turns[t.key]++;
        health_done(w, &t, 200, 0, NOW);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(turns[list[0].keys[i]], 100);
    /* 401 and 402 take the key out and do not count against the provider. */
    assert_int_equal(attempt(w, list, 2, 0, NOW, 401, 0), 0);
    assert_int_equal(attempt(w, list, 2, 0, NOW, 402, 0), 0);
    assert_true(health_view(h, list[0].provider, NOW, &v));
    assert_int_equal(v.failures, 0);
    int out = 0;
    for (int k = 0; k < HEALTH_KEYS; k++)
        if (v.keys[k].state == HEALTH_KEY_OUT)
            out += v.keys[k].status;
    assert_int_equal(out, 401 + 402);
    /* 429 with Retry-After parks the third; without, it does not. */
    assert_int_equal(attempt(w, list, 2, 0, NOW, 429, 0), 0);
    assert_int_equal(attempt(w, list, 2, 0, NOW, 429, 5000), 0);
    assert_int_equal(attempt(w, list, 2, 0, NOW, 200, 0), 1);
    assert_int_equal(health_choose(w, list, 1, 0, NOW, &t, &retry), ERR_FULL);
    assert_int_equal(retry, 5000);
    assert_int_equal(attempt(w, list, 2, 0, NOW + 5 * SECOND, 401, 0), 0);
    assert_int_equal(health_choose(w, list, 1, 0, NOW + 5 * SECOND, &t, &retry), ERR_DENIED);
    /* A new credential is a new key; a reload tries the old ones again. */
    uint8_t old = list[0].keys[0];
    list[0].key_count = 0;
    give_key(h, &list[0], "four");
    assert_int_equal(attempt(w, list, 1, 0, NOW + 5 * SECOND, 200, 0), 0);
    give_key(h, &list[0], "one");
    assert_int_equal(list[0].keys[1], old);
    health_restore_keys(h);
    list[0].keys[0] = old;
    list[0].key_count = 1;
    assert_int_equal(attempt(w, list, 1, 0, NOW + 5 * SECOND, 200, 0), 0);
    health_close(w);
    health_close(h);
}

static void numbers_last(void **state) {
    (void)state;
    struct health *h = made(NULL);
    uint16_t first, n, again;
    uint8_t key;
    char name[16] = "p", credential[16];
    assert_int_equal(health_provider(h, "kept", &first), 0);
    for (int i = 1; i < HEALTH_PROVIDERS; i++) {
        name[1] = (char)('0' + i / 100);
        name[2] = (char)('0' + i / 10 % 10);
        name[3] = (char)('0' + i % 10);
        assert_int_equal(health_provider(h, name, &n), 0);
    }
    assert_int_equal(health_provider(h, "more", &n), ERR_FULL);
    health_begin(h);
    assert_int_equal(health_provider(h, "kept", &again), 0);
    assert_int_equal(again, first);
    assert_int_equal(health_provider(h, "more", &n), ERR_FULL); /* workers may still use the old */
    health_begin(h);
    assert_int_equal(health_provider(h, "kept", &again), 0);
    assert_int_equal(health_provider(h, "more", &n), 0);
    assert_int_not_equal(n, first);
    for (int i = 0; i < 3 * HEALTH_KEYS; i++) { /* rotated at every publication */
        health_begin(h);
        credential[0] = (char)('a' + i % 26);
        credential[1] = (char)('a' + i / 26);
        credential[2] = 0;
        assert_int_equal(health_key(h, first, credential, &key), 0);
    }
    health_close(h);
}

static int probe_or_not(struct health *w, const struct health_candidate *list) {
    while (!atomic_load(&shared->ready))
        ;
    struct health_ticket t;
    uint64_t retry;
    if (health_choose(w, list, 2, 0, NOW + 40 * SECOND, &t, &retry))
        return 1;
    atomic_fetch_add(t.candidate == 0 ? &shared->probes : &shared->taken, 1);
    return 0;
}

static int crowd(struct health *w, const struct health_candidate *list) {
    for (int i = 0; i < 2000; i++) {
        struct health_ticket t;
        uint64_t retry;
        int rc = health_choose(w, list, 1, 0, NOW, &t, &retry);
        if (rc == ERR_FULL) {
            atomic_fetch_add(&shared->refused, 1);
            usleep(1);
            continue;
        }
        if (rc)
            return 1;
        uint64_t now = atomic_fetch_add(&shared->now, 1) + 1, most = atomic_load(&shared->most);
        while (now > most && !atomic_compare_exchange_weak(&shared->most, &most, now))
            ;
        atomic_fetch_add(&shared->taken, 1);
        usleep(randombytes_uniform(20));
        atomic_fetch_sub(&shared->now, 1);
        health_done(w, &t, i % 7 ? 200 : 500, 0, NOW);
    }
    return 0;
}

typedef int worker_fn(struct health *w, const struct health_candidate *list);

static void in_workers(struct health *h, worker_fn *fn, const struct health_candidate *list) {
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct health *w;
            _exit(health_map(health_fd(h), &w) || health_claim(w) ? 9 : fn(w, list));
        }
    }
    atomic_store(&shared->ready, 1);
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static void several_workers_agree(void **state) {
    (void)state;
    for (int round = 0; round < 25; round++) {
        struct health *w, *h = made(&w);
        struct health_candidate list[2] = {candidate(h, "a", 1), candidate(h, "b", 0)};
        for (int i = 0; i < 3; i++)
            assert_int_equal(attempt(w, list, 2, 0, NOW, 500, 0), 0);
        in_workers(h, probe_or_not, list);
        assert_int_equal(shared->probes, 1); /* of four at once, one probes */
        assert_int_equal(shared->taken, 3);
        health_close(w);
        health_close(h);
    }
    struct health *h = made(NULL);
    struct health_candidate one = candidate(h, "narrow", 1);
    struct health_view v;
    one.max_concurrency = 2;
    one.eject_after = 0;
    in_workers(h, crowd, &one);
    assert_true(shared->most <= 2);
    assert_true(shared->taken > 100 && shared->refused > 0);
    assert_true(health_view(h, one.provider, NOW, &v));
    assert_int_equal(v.in_flight, 0);
    health_close(h);
}

static _Noreturn void until_killed(struct health *w, const struct health_candidate *list) {
    atomic_store(&shared->ready, 1);
    for (unsigned i = 0;; i++) {
        struct health_ticket t;
        uint64_t retry;
        if (health_choose(w, list, 2, 0, NOW, &t, &retry) == 0)
            health_done(w, &t, i % 5 ? 200 : 500, 0, NOW);
    }
}

static void survives_kill_9(void **state) {
    (void)state;
    struct health *h = made(NULL);
    struct health_candidate list[2] = {candidate(h, "a", 3), candidate(h, "b", 1)};
    struct health_view v;
    list[0].max_concurrency = list[1].max_concurrency = 4;
    give_key(h, &list[0], "one");
    for (int round = 0; round < 200; round++) {
        int status;
        shared->ready = 0;
        pid_t pid = fork();
        if (pid == 0) {
            struct health *w;
            if (health_map(health_fd(h), &w) || health_claim(w))
                _exit(9);
            until_killed(w, list);
        }
        while (!atomic_load(&shared->ready))
            usleep(50);
        usleep(randombytes_uniform(1000));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_int_equal(WTERMSIG(status), SIGKILL);
        health_reap(h);
        for (int i = 0; i < 2; i++) {
            assert_true(health_view(h, list[i].provider, NOW, &v));
            assert_int_equal(v.in_flight, 0);
            assert_true(v.failures <= 3);
        }
    }
    health_close(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_by_weight),     cmocka_unit_test(ejects_and_probes),
        cmocka_unit_test(takes_keys_out),        cmocka_unit_test(numbers_last),
        cmocka_unit_test(several_workers_agree), cmocka_unit_test(survives_kill_9),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, setup, NULL);
}
