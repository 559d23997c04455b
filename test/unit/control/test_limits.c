/* The limits table: exact over processes, whole after kill -9, kept over restarts; and costs. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/cost.h"
#include "control/limits_int.h"
#include "control/money.h"

#define MINUTE 60000000ull
#define DAY (1440 * MINUTE)
#define NOON (1795564800ull * 1000000 + 12 * 60 * MINUTE) /* 2026-11-25T12:00:00Z */
#define WORKERS 4

static char folder[64], path[128];
static const struct limits_set unlimited;

struct shared { /* between the test and its workers */
    _Atomic uint64_t admitted, now, most, begun, ended;
};
static struct shared *shared;

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/control-limits-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/usage.bin", folder);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    static const char *const names[] = {"usage.bin", "usage.bin.damaged", "usage.bin.new"};
    char name[160];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static struct limits *opened(uint64_t now_us) {
    struct limits *t = NULL;
    assert_int_equal(limits_open(path, now_us, &t, NULL), 0);
    memset(shared, 0, sizeof *shared);
    return t;
}

static uint32_t entry_of(struct limits *t, enum limits_kind kind, const char *name) {
    uint32_t e = 0;
    assert_int_equal(limits_entry(t, kind, "default", name, NOON, &e), 0);
    assert_int_not_equal(e, LIMITS_NONE);
    return e;
}

/* In a forked worker: the supervisor's mapping is not used, as in a program of its own. */
static struct limits *worker_of(const struct limits *t) {
    struct limits *w;
    int usage, live;
    limits_fds(t, &usage, &live);
    if (limits_map(usage, live, &w) || limits_claim(w))
        _exit(9);
    return w;
}

typedef int worker_fn(struct limits *w, unsigned number, const struct limits_ask *ask);

static void run_workers(struct limits *t, worker_fn *fn, const struct limits_ask *ask) {
    pid_t pids[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(fn(worker_of(t), i, ask));
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

/* One step in a thousand lets another worker go on, on two processors as well. */
static void stumble(void) {
    if (randombytes_uniform(1000) == 0)
        usleep(randombytes_uniform(50));
}

static int ask_many(struct limits *w, unsigned number, const struct limits_ask *ask) {
    for (unsigned i = 0; i < 10000 / WORKERS; i++) {
        struct limits_ticket ticket;
        struct limits_state state;
        if (limits_admit(w, ask, &ticket, &state) == LIMITS_ADMITTED)
            atomic_fetch_add(&shared->admitted, 1);
        stumble();
        if (i % 3 == number % 3)
            limits_settle(w, &ticket, 7, 3, ask->now_us);
        limits_release(w, &ticket);
    }
    return 0;
}

static void lets_exactly_n_pass(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits_set key = {.requests_per_minute = 777}, project = {.requests_per_minute = 5000};
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "exact"),
                             .project = entry_of(t, LIMITS_PROJECT, "exact"),
                             .key_limits = &key,
                             .project_limits = &project,
                             .now_us = NOON};
    struct limits_usage usage;
    run_workers(t, ask_many, &ask);
    assert_int_equal(shared->admitted, 777);
    limits_usage(t, ask.key, NOON, &usage);
    assert_int_equal(usage.requests_minute, 777);
    assert_int_equal(usage.concurrency, 0);
    limits_usage(t, ask.project, NOON, &usage);
    assert_int_equal(usage.requests_minute, 777);

    /* The project's limit is the tighter one in the next minute; two minutes do not mix. */
    shared->admitted = 0;
    ask.now_us += MINUTE;
    project.requests_per_minute = 400;
    run_workers(t, ask_many, &ask);
    assert_int_equal(shared->admitted, 400);
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.requests_minute, 400);

    /* Tokens the same way, reserved by estimate: 7 of the 100 that each asks for are really used in
     * a third of the requests, so in the end the exact sum stands there. */
    shared->admitted = 0;
    ask.now_us += MINUTE;
    ask.tokens = 100;
    key = (struct limits_set){.tokens_per_minute = 1000000};
    project = unlimited;
    run_workers(t, ask_many, &ask);
    assert_int_equal(shared->admitted, 10000);
    uint64_t settled = 0;
    for (unsigned w = 0; w < WORKERS; w++)
        for (unsigned i = 0; i < 10000 / WORKERS; i++)
            settled += i % 3 == w % 3;
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.tokens_minute, 7 * settled);
    limits_close(t);
}

static void tells_what_is_left(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits *w = worker_of(t);
    struct limits_set key = {.requests_per_minute = 3, .tokens_per_minute = 1000},
                      project = {.requests_per_minute = 100};
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "left"),
                             .project = entry_of(t, LIMITS_PROJECT, "left"),
                             .key_limits = &key,
                             .project_limits = &project,
                             .tokens = 400,
                             .now_us = NOON + 45 * 1000000};
    struct limits_ticket a, b, c;
    struct limits_state s;
    struct limits_usage usage;
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_ADMITTED);
    assert_int_equal(s.requests.limit, 3);
    assert_int_equal(s.requests.remaining, 2);
    assert_int_equal(s.tokens.remaining, 600);
    assert_int_equal(s.requests.reset_ms, 15001);
    assert_int_equal(limits_admit(w, &ask, &b, &s), LIMITS_ADMITTED);
    assert_int_equal(limits_admit(w, &ask, &c, &s), LIMITS_TOKENS);
    assert_int_equal(s.retry_after_ms, 15001);
    assert_false(s.of_project);
    assert_string_equal(limits_refusal_name(LIMITS_TOKENS), "tokens_per_minute");
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.requests_minute, 2); /* the refused one was not counted */
    limits_usage(t, ask.project, ask.now_us, &usage);
    assert_int_equal(usage.requests_minute, 2);

    /* 400 were thought, 50 were used; then 400 and 550. */
    limits_settle(w, &a, 50, 0, ask.now_us);
    limits_settle(w, &b, 550, 0, ask.now_us);
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.tokens_minute, 600);
    assert_int_equal(usage.tokens_day, 600);
    assert_int_equal(usage.concurrency, 2);
    limits_release(w, &a);
    limits_release(w, &a);
    limits_release(w, &b);
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.concurrency, 0);
    assert_int_equal(usage.tokens_minute, 600);

    /* An estimate is given back when nothing was used, and not into a later minute. */
    ask.tokens = 300;
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_ADMITTED);
    limits_release(w, &a);
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.tokens_minute, 600);
    ask.tokens = 1001;
    ask.now_us += MINUTE;
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_TOKENS_EVER);
    assert_int_equal(s.retry_after_ms, 0);
    ask.tokens = 1000;
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_ADMITTED);
    ask.now_us += MINUTE;
    ask.tokens = 10;
    assert_int_equal(limits_admit(w, &ask, &b, &s), LIMITS_ADMITTED);
    limits_settle(w, &a, 0, 0, ask.now_us);
    limits_usage(t, ask.key, ask.now_us, &usage);
    assert_int_equal(usage.tokens_minute, 10);
    limits_release(w, &a);
    limits_release(w, &b);

    /* Nothing to limit or count is fine. */
    ask = (struct limits_ask){.key_limits = &key, .project_limits = &project, .now_us = NOON};
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_ADMITTED);
    assert_int_equal(s.requests.limit, 0);
    limits_release(w, &a);
    limits_close(w);
    limits_close(t);
}

static int hold_and_go(struct limits *w, unsigned number, const struct limits_ask *ask) {
    (void)number;
    for (unsigned i = 0; i < 3000; i++) {
        struct limits_ticket ticket;
        struct limits_state state;
        if (limits_admit(w, ask, &ticket, &state) != LIMITS_ADMITTED) {
            usleep(1);
            continue;
        }
        uint64_t now = atomic_fetch_add(&shared->now, 1) + 1;
        uint64_t most = atomic_load(&shared->most);
        while (now > most && !atomic_compare_exchange_weak(&shared->most, &most, now))
            ;
        atomic_fetch_add(&shared->admitted, 1);
        usleep(randombytes_uniform(20));
        atomic_fetch_sub(&shared->now, 1);
        limits_release(w, &ticket);
    }
    return 0;
}

static void keeps_concurrency(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits_set key = {.concurrency = 3};
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "together"),
                             .key_limits = &key,
                             .project_limits = &unlimited,
                             .now_us = NOON};
    struct limits_usage usage;
    run_workers(t, hold_and_go, &ask);
    assert_true(shared->most <= 3);
    assert_true(shared->most >= 2); /* it was put to the test */
    assert_true(shared->admitted > 3000);
    limits_usage(t, ask.key, NOON, &usage);
    assert_int_equal(usage.concurrency, 0);
    limits_close(t);
}

static int hold_and_wait(struct limits *w, unsigned number, const struct limits_ask *ask) {
    struct limits_ticket tickets[5];
    struct limits_state s;
    (void)number;
    for (int i = 0; i < 5; i++)
        if (limits_admit(w, ask, &tickets[i], &s) != LIMITS_ADMITTED)
            return 1;
    atomic_store(&shared->begun, 1);
    for (;;)
        pause();
}

static pid_t start_holder(struct limits *t, const struct limits_ask *ask) {
    shared->begun = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(hold_and_wait(worker_of(t), 0, ask));
    while (!atomic_load(&shared->begun))
        usleep(100);
    return pid;
}

static void a_killed_worker_leaks_nothing(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits_set key = {.concurrency = 5, .budget_day = 1000};
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "killed"),
                             .key_limits = &key,
                             .project_limits = &unlimited,
                             .tokens = 10,
                             .cost = 100,
                             .now_us = NOON};
    struct limits_usage usage;
    int status;

    /* The supervisor's tick clears it, and not while the worker lives. */
    pid_t pid = start_holder(t, &ask);
    assert_int_equal(limits_tick(t, NOON), 0);
    limits_usage(t, ask.key, NOON, &usage);
    assert_int_equal(usage.concurrency, 5);
    assert_int_equal(usage.cost_reserved, 500);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_int_equal(limits_tick(t, NOON), 0);
    limits_usage(t, ask.key, NOON, &usage);
    assert_int_equal(usage.concurrency, 0);
    assert_int_equal(usage.cost_reserved, 0);

    /* So does the next worker that claims the slot. */
    pid = start_holder(t, &ask);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    pid = start_holder(t, &ask); /* would be refused if the dead one's five still counted */
    limits_usage(t, ask.key, NOON, &usage);
    assert_int_equal(usage.concurrency, 5);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    limits_close(t);
}

static int spend(struct limits *w, unsigned number, const struct limits_ask *ask) {
    (void)number;
    for (unsigned i = 0; i < 2500; i++) {
        struct limits_ticket ticket;
        struct limits_state state;
        if (limits_admit(w, ask, &ticket, &state) != LIMITS_ADMITTED) {
            stumble();
            continue;
        }
        atomic_fetch_add(&shared->admitted, 1);
        stumble();
        limits_settle(w, &ticket, 20, ask->cost + ask->cost / 2, ask->now_us);
        limits_release(w, &ticket);
    }
    return 0;
}

static void keeps_budgets(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits_set key = {.budget_day = 100 * MONEY_NANO}, project = unlimited;
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "budget"),
                             .project = entry_of(t, LIMITS_PROJECT, "budget"),
                             .key_limits = &key,
                             .project_limits = &project,
                             .tokens = 10,
                             .cost = MONEY_NANO / 10,
                             .now_us = NOON};
    struct limits_usage usage;
    /* Each costs half as much again as was thought, with at most one in flight a worker. */
    run_workers(t, spend, &ask);
    limits_usage(t, ask.key, NOON, &usage);
    uint64_t one = MONEY_NANO / 10 + MONEY_NANO / 20;
    assert_true(usage.cost_day >= 100 * MONEY_NANO);
    assert_true(usage.cost_day < 100 * MONEY_NANO + WORKERS * one);
    assert_int_equal(usage.cost_day, shared->admitted * one);
    assert_int_equal(usage.cost_reserved, 0);
    assert_int_equal(usage.tokens_day, shared->admitted * 20);
    limits_usage(t, ask.project, NOON, &usage);
    assert_int_equal(usage.cost_month, shared->admitted * one);

    struct limits *w = worker_of(t);
    struct limits_ticket a, b;
    struct limits_state s;
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_BUDGET_DAY);
    assert_int_equal(s.retry_after_ms, 12 * 60 * 60 * 1000 + 1);
    key = unlimited;
    project.tokens_month = shared->admitted * 20 + 5;
    assert_int_equal(limits_admit(w, &ask, &a, &s), LIMITS_ADMITTED);
    assert_int_equal(limits_admit(w, &ask, &b, &s), LIMITS_TOKENS_MONTH); /* a may use it up */
    assert_true(s.of_project);
    limits_release(w, &a);
    assert_int_equal(limits_admit(w, &ask, &b, &s), LIMITS_ADMITTED);
    limits_settle(w, &b, 5, 0, NOON);
    limits_release(w, &b);
    assert_int_equal(limits_admit(w, &ask, &b, &s), LIMITS_TOKENS_MONTH);
    assert_int_equal(s.retry_after_ms, (5 * 24 + 12) * 60 * 60 * 1000 + 1); /* to December */
    limits_close(w);
    limits_close(t);
}

static void begins_new_days_and_months(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits *w = worker_of(t);
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "days"),
                             .key_limits = &unlimited,
                             .project_limits = &unlimited};
    struct limits_ticket ticket;
    struct limits_state s;
    struct limits_usage usage;
    /* A cost of 1 each at 0:00 of every day of three years: what a day and a month have seen. */
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t day = 20454; /* 2026-01-01 */
    for (int year = 2026; year <= 2028; year++) {
        for (int month = 0; month < 12; month++) {
            int length = lengths[month] + (month == 1 && year == 2028);
            for (int d = 1; d <= length; d++, day++) {
                ask.now_us = day * DAY;
                assert_int_equal(limits_admit(w, &ask, &ticket, &s), LIMITS_ADMITTED);
                limits_settle(w, &ticket, 1, 1, ask.now_us);
                limits_release(w, &ticket);
                limits_usage(t, ask.key, ask.now_us + DAY - 1, &usage);
                assert_int_equal(usage.cost_day, 1);
                assert_int_equal(usage.cost_month, d);
                assert_int_equal(usage.tokens_month, d);
            }
        }
    }
    /* A worker whose clock lags by some microseconds counts into the day that began. */
    limits_usage(t, ask.key, (day - 1) * DAY - 1, &usage);
    assert_int_equal(usage.cost_day, 1);
    /* The tag of a day comes again after 256 days: the tick of the days between has cleared it. */
    assert_int_equal(limits_tick(t, (day - 1) * DAY), 0);
    assert_int_equal(limits_tick(t, (day + 1) * DAY), 0);
    limits_usage(t, ask.key, (day - 1 + 256) * DAY, &usage);
    assert_int_equal(usage.cost_day, 0);
    limits_close(w);
    limits_close(t);
}

static void is_kept_over_restarts(void **state) {
    (void)state;
    struct limits *t = opened(NOON), *w, *other;
    struct limits_opened how;
    struct limits_usage usage;
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "kept"),
                             .key_limits = &unlimited,
                             .project_limits = &unlimited,
                             .now_us = NOON};
    struct limits_ticket ticket;
    struct limits_state s;
    uint32_t again = entry_of(t, LIMITS_PROJECT, "kept");
    assert_int_not_equal(again, ask.key);
    w = worker_of(t);
    assert_int_equal(limits_admit(w, &ask, &ticket, &s), LIMITS_ADMITTED);
    limits_settle(w, &ticket, 12, 34, NOON);
    assert_int_equal(limits_admit(w, &ask, &ticket, &s), LIMITS_ADMITTED); /* never released */

    /* A second supervisor is refused. */
    pid_t pid = fork();
    if (pid == 0)
        _exit(limits_open(path, NOON, &other, NULL) == ERR_EXISTS ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    limits_close(w);
    limits_close(t);

    assert_int_equal(limits_open(path, NOON + MINUTE, &t, &how), 0);
    assert_false(how.created);
    assert_int_equal(how.dropped, 0);
    assert_int_equal(entry_of(t, LIMITS_KEY, "kept"), ask.key);
    limits_usage(t, ask.key, NOON, &usage);
    assert_int_equal(usage.cost_day, 34);
    assert_int_equal(usage.tokens_month, 12);
    assert_int_equal(usage.concurrency, 0);
    limits_close(t);
    /* Stopped for 256 days. */
    assert_int_equal(limits_open(path, NOON + 256 * DAY, &t, NULL), 0);
    limits_usage(t, ask.key, NOON + 256 * DAY, &usage);
    assert_int_equal(usage.cost_day, 0);
    limits_close(t);
}

static void write_at(off_t at, const char *bytes) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
    close(fd);
}

static void sets_damaged_files_aside(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits_opened how;
    uint32_t e = entry_of(t, LIMITS_KEY, "damaged"), kept = entry_of(t, LIMITS_KEY, "kept");
    limits_close(t);
    write_at((off_t)(offsetof(struct limits_usage_file, heads) + e * sizeof(struct limits_head)),
             "xyz");
    assert_int_equal(limits_open(path, NOON, &t, &how), 0);
    assert_int_equal(how.dropped, 1);
    assert_false(how.created);
    assert_int_equal(entry_of(t, LIMITS_KEY, "kept"), kept);
    limits_close(t);
    for (unsigned i = 1; i <= 2; i++) {
        write_at(offsetof(struct limits_usage_header, entries), "xyz");
        assert_int_equal(limits_open(path, NOON, &t, &how), 0);
        assert_true(how.created);
        assert_true(how.set_aside);
        assert_int_equal(how.set_aside_ever, i);
        limits_close(t);
    }
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(limits_open(path, NOON, &t, &how), 0);
    assert_int_equal(how.set_aside_ever, 3);
    limits_close(t);
    assert_int_equal(limits_open(path, NOON, &t, &how), 0);
    assert_false(how.created);
    assert_int_equal(how.set_aside_ever, 3);
    limits_close(t);
}

static void gives_entries_away_late(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    uint32_t e, first;
    char name[32];
    limits_begin(t);
    first = entry_of(t, LIMITS_KEY, "stays");
    for (uint32_t i = atomic_load(&t->live->used); i < LIMITS_ENTRIES; i++) {
        snprintf(name, sizeof name, "k%u", i);
        assert_int_equal(limits_entry(t, LIMITS_KEY, "default", name, NOON, &e), 0);
    }
    assert_int_equal(limits_entry(t, LIMITS_KEY, "default", "one more", NOON, &e), ERR_FULL);
    limits_end(t, NOON);
    /* A publication without all of them; only after two days is there room. */
    limits_begin(t);
    assert_int_equal(entry_of(t, LIMITS_KEY, "stays"), first);
    limits_end(t, NOON);
    assert_int_equal(limits_entry(t, LIMITS_KEY, "default", "one more", NOON + DAY, &e), ERR_FULL);
    assert_int_equal(limits_entry(t, LIMITS_KEY, "default", "one more", NOON + 3 * DAY, &e), 0);
    assert_int_equal(entry_of(t, LIMITS_KEY, "stays"), first);
    limits_close(t);
    unlink(path);
}

/* Counts begun and ended around each step, until it is killed. */
static int work_until_killed(struct limits *w, const struct limits_ask *ask) {
    for (;;) {
        struct limits_ticket ticket;
        struct limits_state state;
        atomic_fetch_add(&shared->begun, 1);
        if (limits_admit(w, ask, &ticket, &state) != LIMITS_ADMITTED)
            return 1;
        limits_settle(w, &ticket, 1, 1, ask->now_us);
        limits_release(w, &ticket);
        atomic_fetch_add(&shared->ended, 1);
    }
}

static void survives_kill_9(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits_set key = {.requests_per_minute = LIMITS_MINUTE_MAX,
                             .tokens_per_minute = LIMITS_MINUTE_MAX,
                             .concurrency = WORKERS,
                             .budget_day = LIMITS_SPENT_MAX};
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "kill"),
                             .project = entry_of(t, LIMITS_PROJECT, "kill"),
                             .key_limits = &key,
                             .project_limits = &key,
                             .tokens = 3,
                             .cost = 5,
                             .now_us = NOON};
    struct limits_usage usage;
    uint64_t killed = 0;
    for (int round = 0; round < 100; round++) {
        pid_t pids[2];
        for (int i = 0; i < 2; i++) {
            pids[i] = fork();
            if (pids[i] == 0)
                _exit(work_until_killed(worker_of(t), &ask));
        }
        usleep(randombytes_uniform(3000));
        for (int i = 0; i < 2; i++) {
            int status;
            kill(pids[i], SIGKILL);
            waitpid(pids[i], &status, 0);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            killed++;
        }
        assert_int_equal(limits_tick(t, NOON), 0);
        for (int i = 0; i < 2; i++) {
            limits_usage(t, i ? ask.project : ask.key, NOON, &usage);
            assert_int_equal(usage.concurrency, 0);
            assert_int_equal(usage.cost_reserved, 0);
            /* Each of the killed was in the middle of at most one. */
            assert_true(usage.cost_day >= shared->ended && usage.cost_day <= shared->begun);
            assert_true(usage.tokens_month >= shared->ended && usage.tokens_month <= shared->begun);
            assert_true(usage.requests_minute >= shared->ended &&
                        usage.requests_minute <= shared->begun);
            /* A reservation of 3 for a use of 1 may have stayed until the minute's end. */
            assert_true(usage.tokens_minute >= shared->ended &&
                        usage.tokens_minute <= shared->ended + 3 * killed);
        }
        assert_true(shared->begun - shared->ended <= killed);
    }
    assert_true(shared->ended > 1000);
    limits_close(t);
    struct limits_opened how;
    assert_int_equal(limits_open(path, NOON, &t, &how), 0);
    assert_false(how.created);
    assert_int_equal(how.dropped, 0);
    limits_close(t);
}

static void is_quick(void **state) {
    (void)state;
    struct limits *t = opened(NOON);
    struct limits *w = worker_of(t);
    struct limits_set key = {.requests_per_minute = LIMITS_MINUTE_MAX,
                             .tokens_per_minute = LIMITS_MINUTE_MAX,
                             .concurrency = 1000,
                             .budget_day = LIMITS_SPENT_MAX};
    struct limits_ask ask = {.key = entry_of(t, LIMITS_KEY, "quick"),
                             .project = entry_of(t, LIMITS_PROJECT, "quick"),
                             .key_limits = &key,
                             .project_limits = &key,
                             .tokens = 3,
                             .now_us = NOON};
    uint64_t begin = clock_mono_ns();
    for (int i = 0; i < 100000; i++) {
        struct limits_ticket ticket;
        struct limits_state s;
        assert_int_equal(limits_admit(w, &ask, &ticket, &s), LIMITS_ADMITTED);
        limits_settle(w, &ticket, 1, 1, NOON);
        limits_release(w, &ticket);
    }
    uint64_t each = (clock_mono_ns() - begin) / 100000;
    print_message("admit, settle and release: %llu ns\n", (unsigned long long)each);
    assert_true(each < 20000);
    limits_close(w);
    limits_close(t);
}

static void money_and_cost(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t nano;
    } good[] = {{"0", 0},
                {"12", 12 * MONEY_NANO},
                {"12.5", 12500000000},
                {"0.000000001", 1},
                {"18446744073.709551615", UINT64_MAX}};
    static const char *const bad[] = {"",
                                      ".5",
                                      "5.",
                                      "-1",
                                      "1e3",
                                      "1,5",
                                      "0.0000000001",
                                      "18446744073.709551616",
                                      "1 ",
                                      " 1",
                                      "99999999999999999999999"};
    char text[MONEY_TEXT];
    uint64_t v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(money_parse(good[i].text, &v));
        assert_true(v == good[i].nano);
        money_format(text, v);
        assert_string_equal(text, good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(money_parse(bad[i], &v));

    struct cost_price p = {2500000000, 1250000000, 3125000000, 10000000000};
    struct cost_tokens u = {.input = 1000, .cached = 300, .output = 500};
    assert_int_equal(cost_of(&p, &u), 700 * 2500 + 300 * 1250 + 500 * 10000);
    u = (struct cost_tokens){
        .input = 10, .cached = 4, .cache_write = 3, .output = 1, .reasoning = 2};
    assert_int_equal(cost_of(&p, &u), 3 * 2500 + 4 * 1250 + 3 * 3125 + 3 * 10000);
    /* Parts that exceed the whole are billed once. */
    u = (struct cost_tokens){.input = 10, .cached = 40, .cache_write = 30};
    assert_int_equal(cost_of(&p, &u), 10 * 1250);
    /* Rounded once, half up: 3 tokens at half a nano each, then one at just less. */
    p = (struct cost_price){.input = 500000};
    assert_int_equal(cost_of(&p, &(struct cost_tokens){.input = 3}), 2);
    p.input = 499999;
    assert_int_equal(cost_of(&p, &(struct cost_tokens){.input = 1}), 0);
    p = (struct cost_price){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    u = (struct cost_tokens){UINT64_MAX, 7, 7, UINT64_MAX, UINT64_MAX};
    assert_true(cost_of(&p, &u) == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_exactly_n_pass),     cmocka_unit_test(tells_what_is_left),
        cmocka_unit_test(keeps_concurrency),       cmocka_unit_test(a_killed_worker_leaks_nothing),
        cmocka_unit_test(keeps_budgets),           cmocka_unit_test(begins_new_days_and_months),
        cmocka_unit_test(is_kept_over_restarts),   cmocka_unit_test(sets_damaged_files_aside),
        cmocka_unit_test(survives_kill_9),         cmocka_unit_test(is_quick),
        cmocka_unit_test(gives_entries_away_late), cmocka_unit_test(money_and_cost),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, setup, teardown);
}
