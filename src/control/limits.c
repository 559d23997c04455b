/*
 * The gateway worker's side of limits.h: admitting, settling and releasing. Linked into the module;
 * memory operations only.
 *
 * Two kinds of words. Heads are shared: each is period and value in one word and changes by a
 * single compare-and-swap. Cells have one writer, the owner of the slot: a request first adds
 * itself to its own cell and then sums up everybody's, with a full fence between, so of two that
 * race for the last place at least one sees the other, and a place is never given twice.
 *
 * The order at the end of a request is: count what was spent, then give the reservation back. A
 * worker that dies in between has counted, and its cells are cleared with its slot.
 */
#include "control/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stdlib.h>

#include "base/err.h"
#include "control/limits_int.h"

#define SECOND_US 1000000ull
#define MINUTE_US (60 * SECOND_US)
#define DAY_US (86400 * SECOND_US)
#define CONCURRENCY_RETRY_MS 1000 /* a place comes free when some request ends: a guess */
#define CONCURRENCY_TRIES 4

const struct limits_field limits_fields[LIMITS_FIELDS] = {
#define FIELD(member, money, max)                                                                  \
    { #member, offsetof(struct limits_set, member), money, max }
    FIELD(requests_per_minute, false, LIMITS_MINUTE_MAX),
    FIELD(tokens_per_minute, false, LIMITS_MINUTE_MAX),
    FIELD(concurrency, false, CELL_REQUESTS_MAX),
    FIELD(budget_day, true, LIMITS_SPENT_MAX),
    FIELD(budget_month, true, LIMITS_SPENT_MAX),
    FIELD(tokens_day, false, LIMITS_SPENT_MAX),
    FIELD(tokens_month, false, LIMITS_SPENT_MAX),
#undef FIELD
};

void limits_inherit(struct limits_set *own, const struct limits_set *from) {
    struct limits_set defaults = *from;
    for (size_t i = 0; i < LIMITS_FIELDS; i++)
        if (*limits_field_of(own, i) == LIMITS_INHERIT)
            *limits_field_of(own, i) = *limits_field_of(&defaults, i);
}

const char *limits_refusal_name(enum limits_refusal r) {
    static const char *const names[] = {"admitted",     "requests_per_minute", "tokens_per_minute",
                                        "request_size", "concurrency",         "budget_day",
                                        "budget_month", "tokens_day",          "tokens_month"};
    return (size_t)r < sizeof names / sizeof names[0] ? names[r] : "unknown";
}

/* ---- time ---- */

/* Months since January 1970. Days to civil date: "chrono-Compatible Low-Level Date Algorithms". */
static uint32_t compute_month(uint64_t day) {
    uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t mp = (5 * (doe - (365 * yoe + yoe / 4 - yoe / 100)) + 2) / 153; /* 0 = March */
    uint64_t year = yoe + era * 400 + (mp >= 10);
    uint64_t month = mp < 10 ? mp + 2 : mp - 10; /* 0 = January */
    return (uint32_t)((year - 1970) * 12 + month);
}

/* Asked several times a request, and the answer changes once a day. */
static uint32_t month_of_day(uint64_t day) {
    static uint64_t last_day = UINT64_MAX;
    static uint32_t last_month;
    if (day != last_day) {
        last_month = compute_month(day);
        last_day = day;
    }
    return last_month;
}

uint32_t limits_period(enum limits_spent which, uint64_t now_us) {
    uint64_t day = now_us / DAY_US;
    return which == SPENT_COST_DAY || which == SPENT_TOKENS_DAY ? (uint32_t)day : month_of_day(day);
}

static uint64_t period_left_ms(enum limits_spent which, uint64_t now_us) {
    uint64_t day = now_us / DAY_US, end = day + 1;
    if (which == SPENT_COST_MONTH || which == SPENT_TOKENS_MONTH)
        while (month_of_day(end) == month_of_day(day))
            end++;
    return (end * DAY_US - now_us) / 1000 + 1;
}

/* ---- mapping ---- */

static int map(int fd, uint64_t bytes, void **ret) {
    struct stat st;
    if (fstat(fd, &st))
        return err_from_errno(errno);
    if (st.st_size != (off_t)bytes)
        return ERR_VERSION;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_from_errno(errno);
    *ret = p;
    return 0;
}

int limits_map(int usage_fd, int live_fd, struct limits **ret) {
    struct limits *t = calloc(1, sizeof *t);
    void *usage = NULL, *live = NULL;
    if (!t)
        return ERR_NOMEM;
    int rc = map(usage_fd, sizeof *t->usage, &usage);
    if (!rc)
        rc = map(live_fd, sizeof *t->live, &live);
    t->usage = usage;
    t->live = live;
    t->usage_fd = usage_fd;
    t->live_fd = live_fd;
    t->slot = LIMIT_WORKER_SLOTS;
    if (!rc &&
        (t->usage->header.magic != LIMITS_MAGIC || t->usage->header.entries != LIMITS_ENTRIES ||
         t->live->magic != LIMITS_MAGIC || t->live->bytes != sizeof *t->live))
        rc = ERR_CORRUPT;
    if (rc) {
        if (usage)
            munmap(usage, sizeof *t->usage);
        if (live)
            munmap(live, sizeof *t->live);
        free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

static struct limits_cell *cell_of(const struct limits *t, uint32_t entry, uint32_t slot) {
    return &t->live->cells[slot / LIMITS_GROUP][entry][slot % LIMITS_GROUP];
}

void limits_clear_slot(void *table, uint32_t slot) {
    struct limits *t = table;
    uint32_t used = atomic_load(&t->live->used);
    for (uint32_t e = 1; e <= used && e <= LIMITS_ENTRIES; e++) {
        struct limits_cell *c = cell_of(t, e, slot);
        if (atomic_load_explicit(&c->load, memory_order_relaxed))
            atomic_store(&c->load, 0);
        if (atomic_load_explicit(&c->cost, memory_order_relaxed))
            atomic_store(&c->cost, 0);
    }
}

int limits_claim(struct limits *t) {
    CHECK(t->slot == LIMIT_WORKER_SLOTS);
    return slots_claim(t->live_fd, &t->live->slots, limits_clear_slot, t, &t->slot);
}

/* ---- in flight ---- */

struct in_flight {
    uint64_t requests, tokens, cost;
};

static struct in_flight sum_cells(const struct limits *t, uint32_t entry) {
    struct in_flight all = {0};
    uint32_t high = atomic_load(&t->live->slots.high);
    for (uint32_t s = 0; s < high && s < LIMIT_WORKER_SLOTS; s++) {
        struct limits_cell *c = cell_of(t, entry, s);
        uint64_t load = atomic_load(&c->load);
        all.requests += load / CELL_REQUEST;
        all.tokens += load & CELL_TOKENS;
        all.cost += atomic_load(&c->cost);
    }
    return all;
}

/* Of the own slot's cell: nobody else writes it, so no step of it needs the bus. */
static void add_own(_Atomic uint64_t *word, uint64_t n) {
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
                          memory_order_release);
}

static void reserve(struct limits *t, uint32_t entry, uint64_t tokens, uint64_t cost) {
    struct limits_cell *c = cell_of(t, entry, t->slot);
    add_own(&c->cost, cost);
    add_own(&c->load, CELL_REQUEST + tokens);
    atomic_thread_fence(memory_order_seq_cst); /* before the others' cells are summed up */
}

static void give_back(struct limits *t, uint32_t entry, uint64_t load, uint64_t cost) {
    struct limits_cell *c = cell_of(t, entry, t->slot);
    add_own(&c->cost, -cost);
    add_own(&c->load, -load);
}

/* ---- windows of a minute ---- */

/* Adds n if the limit allows it. *ret_minute and *ret_count: the window's, after it was added. */
static bool window_take(_Atomic uint64_t *w, uint64_t minute, uint64_t n, uint64_t limit,
                        uint64_t *ret_minute, uint64_t *ret_count) {
    uint64_t old = atomic_load_explicit(w, memory_order_relaxed);
    for (;;) {
        uint64_t m = old >> WINDOW_SHIFT, count = old & WINDOW_COUNT;
        if (m != minute &&
            m != minute + 1) { /* the next minute: another worker read the clock later */
            m = minute;
            count = 0;
        }
        *ret_minute = m;
        *ret_count = count;
        if (n > limit || count > limit - n)
            return false;
        if (atomic_compare_exchange_weak(w, &old, m << WINDOW_SHIFT | (count + n))) {
            *ret_count = count + n;
            return true;
        }
    }
}

static void window_give_back(_Atomic uint64_t *w, uint64_t minute, uint64_t n) {
    uint64_t old = atomic_load_explicit(w, memory_order_relaxed), less;
    do {
        uint64_t count = old & WINDOW_COUNT;
        if (old >> WINDOW_SHIFT != minute)
            return;
        less = minute << WINDOW_SHIFT | (count > n ? count - n : 0);
    } while (!atomic_compare_exchange_weak(w, &old, less));
}

/* Adds without a limit: what was used is used. */
static void window_add(_Atomic uint64_t *w, uint64_t minute, uint64_t n) {
    uint64_t old = atomic_load_explicit(w, memory_order_relaxed), more;
    do {
        uint64_t m = old >> WINDOW_SHIFT, count = old & WINDOW_COUNT;
        if (m != minute && m != minute + 1) {
            m = minute;
            count = 0;
        }
        more = m << WINDOW_SHIFT | (n > WINDOW_COUNT - count ? WINDOW_COUNT : count + n);
    } while (!atomic_compare_exchange_weak(w, &old, more));
}

/* ---- days and months ---- */

static uint64_t spent_value(const struct limits_head *h, enum limits_spent which, uint64_t now_us) {
    uint64_t v = atomic_load(&h->spent[which]);
    return limits_tag_current((uint8_t)(v >> SPENT_SHIFT), limits_tag(which, now_us))
               ? v & LIMITS_SPENT_MAX
               : 0;
}

static void spent_add(struct limits_head *h, enum limits_spent which, uint64_t n, uint64_t now_us) {
    uint8_t own = limits_tag(which, now_us);
    uint64_t old = atomic_load_explicit(&h->spent[which], memory_order_relaxed), more;
    do {
        uint8_t tag = (uint8_t)(old >> SPENT_SHIFT);
        uint64_t value = old & LIMITS_SPENT_MAX;
        if (!limits_tag_current(tag, own)) {
            tag = own;
            value = 0;
        }
        value = n > LIMITS_SPENT_MAX - value ? LIMITS_SPENT_MAX : value + n;
        more = (uint64_t)tag << SPENT_SHIFT | value;
    } while (!atomic_compare_exchange_weak(&h->spent[which], &old, more));
}

/* ---- admission ---- */

struct asking {
    struct limits *t;
    uint64_t now_us, tokens, cost;
    uint32_t entry[2];
    const struct limits_set *limits[2];
    uint64_t requests_minute[2]; /* in which the request was counted */
    struct limits_ticket *ticket;
    struct limits_state *state;
};

static enum limits_refusal refuse(struct asking *a, int i, enum limits_refusal r,
                                  uint64_t retry_after_ms) {
    a->state->of_project = i == 1;
    a->state->retry_after_ms = retry_after_ms;
    return r;
}

static enum limits_refusal check_budgets(struct asking *a, int i, const struct in_flight *all) {
    const struct limits_head *h = &a->t->usage->heads[a->entry[i]];
    const struct limits_set *l = a->limits[i];
    const struct {
        enum limits_spent which;
        enum limits_refusal refusal;
        uint64_t limit, reserved;
    } rows[] = {
        {SPENT_COST_DAY, LIMITS_BUDGET_DAY, l->budget_day, all->cost - a->cost},
        {SPENT_COST_MONTH, LIMITS_BUDGET_MONTH, l->budget_month, all->cost - a->cost},
        {SPENT_TOKENS_DAY, LIMITS_TOKENS_DAY, l->tokens_day, all->tokens - a->tokens},
        {SPENT_TOKENS_MONTH, LIMITS_TOKENS_MONTH, l->tokens_month, all->tokens - a->tokens},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        if (!rows[k].limit)
            continue;
        uint64_t spent = spent_value(h, rows[k].which, a->now_us);
        if (spent >= rows[k].limit)
            return refuse(a, i, rows[k].refusal, period_left_ms(rows[k].which, a->now_us));
        if (rows[k].reserved >= rows[k].limit - spent) /* what is in flight may cost less */
            return refuse(a, i, rows[k].refusal, CONCURRENCY_RETRY_MS);
    }
    return LIMITS_ADMITTED;
}

/* Takes a place in flight, or leaves everything as it was. */
static enum limits_refusal take_place(struct asking *a, int i) {
    const struct limits_set *l = a->limits[i];
    bool budget = l->budget_day || l->budget_month || l->tokens_day || l->tokens_month;
    for (int tries = 0;; tries++) {
        struct limits_cell *own = cell_of(a->t, a->entry[i], a->t->slot);
        if (atomic_load_explicit(&own->load, memory_order_relaxed) / CELL_REQUEST ==
            CELL_REQUESTS_MAX)
            return refuse(a, i, LIMITS_CONCURRENCY, CONCURRENCY_RETRY_MS);
        reserve(a->t, a->entry[i], a->tokens, a->cost);
        if (!l->concurrency && !budget)
            return LIMITS_ADMITTED;
        struct in_flight all = sum_cells(a->t, a->entry[i]);
        bool crowded = l->concurrency && all.requests > l->concurrency;
        enum limits_refusal r = crowded ? LIMITS_CONCURRENCY : check_budgets(a, i, &all);
        if (r == LIMITS_ADMITTED)
            return r;
        give_back(a->t, a->entry[i], CELL_REQUEST + a->tokens, a->cost);
        if (!crowded)
            return r;
        /* The one too many may itself be about to give up: look again before saying no. */
        if (tries + 1 == CONCURRENCY_TRIES)
            return refuse(a, i, LIMITS_CONCURRENCY, CONCURRENCY_RETRY_MS);
    }
}

static void note_left(struct limits_left *left, uint64_t limit, uint64_t count, uint64_t reset_ms) {
    uint64_t remaining = count < limit ? limit - count : 0;
    if (!left->limit || remaining < left->remaining)
        *left = (struct limits_left){limit, remaining, reset_ms};
}

/* The request was not let in after all; its tokens go back with the ticket. */
static void undo_request(struct asking *a, int i) {
    if (a->limits[i]->requests_per_minute)
        window_give_back(&a->t->usage->heads[a->entry[i]].requests, a->requests_minute[i], 1);
}

/* Takes the request and its tokens from the minute's windows, or leaves both as they were. */
static enum limits_refusal take_minute(struct asking *a, int i) {
    struct limits_head *h = &a->t->usage->heads[a->entry[i]];
    const struct limits_set *l = a->limits[i];
    uint64_t now_minute = a->now_us / MINUTE_US, minute = 0, count = 0;
    if (l->requests_per_minute) {
        bool ok = window_take(&h->requests, now_minute, 1, l->requests_per_minute,
                              &a->requests_minute[i], &count);
        uint64_t reset_ms = ((a->requests_minute[i] + 1) * MINUTE_US - a->now_us) / 1000 + 1;
        note_left(&a->state->requests, l->requests_per_minute, count, reset_ms);
        if (!ok)
            return refuse(a, i, LIMITS_REQUESTS, reset_ms);
    }
    if (l->tokens_per_minute) {
        bool ok =
            window_take(&h->tokens, now_minute, a->tokens, l->tokens_per_minute, &minute, &count);
        uint64_t reset_ms = ((minute + 1) * MINUTE_US - a->now_us) / 1000 + 1;
        note_left(&a->state->tokens, l->tokens_per_minute, count, reset_ms);
        if (!ok) {
            undo_request(a, i);
            return a->tokens > l->tokens_per_minute ? refuse(a, i, LIMITS_TOKENS_EVER, 0)
                                                    : refuse(a, i, LIMITS_TOKENS, reset_ms);
        }
        a->ticket->minute[i] = (uint32_t)minute;
    }
    return LIMITS_ADMITTED;
}

enum limits_refusal limits_admit(struct limits *t, const struct limits_ask *ask,
                                 struct limits_ticket *ret_ticket, struct limits_state *ret_state) {
    struct asking a = {.t = t,
                       .now_us = ask->now_us,
                       .tokens =
                           ask->tokens < RESERVE_TOKENS_MAX ? ask->tokens : RESERVE_TOKENS_MAX,
                       .cost = ask->cost < RESERVE_COST_MAX ? ask->cost : RESERVE_COST_MAX,
                       .entry = {ask->key, ask->project},
                       .limits = {ask->key_limits, ask->project_limits},
                       .ticket = ret_ticket,
                       .state = ret_state};
    enum limits_refusal r = LIMITS_ADMITTED;
    CHECK(t->slot < LIMIT_WORKER_SLOTS);
    memset(ret_ticket, 0, sizeof *ret_ticket);
    memset(ret_state, 0, sizeof *ret_state);
    ret_ticket->tokens = a.tokens;
    ret_ticket->cost = a.cost;
    ret_ticket->held = true;
    for (int i = 0; i < 2 && r == LIMITS_ADMITTED; i++) {
        if (a.entry[i] == LIMITS_NONE || a.entry[i] > LIMITS_ENTRIES)
            continue;
        r = take_place(&a, i);
        if (r == LIMITS_ADMITTED)
            ret_ticket->entry[i] = a.entry[i];
    }
    for (int i = 0; i < 2 && r == LIMITS_ADMITTED; i++) {
        if (ret_ticket->entry[i] != LIMITS_NONE)
            r = take_minute(&a, i);
        if (r != LIMITS_ADMITTED && i == 1 && ret_ticket->entry[0] != LIMITS_NONE)
            undo_request(&a, 0);
    }
    if (r != LIMITS_ADMITTED)
        limits_release(t, ret_ticket);
    return r;
}

/* ---- the end of a request ---- */

/* Takes the reservation out of the cell; the request's place stays. */
static void drop_reservation(struct limits *t, struct limits_ticket *ticket) {
    for (int i = 0; i < 2; i++)
        if (ticket->entry[i] != LIMITS_NONE)
            give_back(t, ticket->entry[i], ticket->tokens, ticket->cost);
    ticket->tokens = ticket->cost = 0;
}

void limits_settle(struct limits *t, struct limits_ticket *ticket, uint64_t tokens, uint64_t cost,
                   uint64_t now_us) {
    if (!ticket->held)
        return;
    for (int i = 0; i < 2; i++) {
        if (ticket->entry[i] == LIMITS_NONE)
            continue;
        struct limits_head *h = &t->usage->heads[ticket->entry[i]];
        spent_add(h, SPENT_COST_DAY, cost, now_us);
        spent_add(h, SPENT_COST_MONTH, cost, now_us);
        spent_add(h, SPENT_TOKENS_DAY, tokens, now_us);
        spent_add(h, SPENT_TOKENS_MONTH, tokens, now_us);
        if (!ticket->minute[i])
            continue;
        if (tokens > ticket->tokens) /* more than was thought: they count now */
            window_add(&h->tokens, now_us / MINUTE_US, tokens - ticket->tokens);
        else
            window_give_back(&h->tokens, ticket->minute[i], ticket->tokens - tokens);
        ticket->minute[i] = 0;
    }
    drop_reservation(t, ticket);
}

void limits_release(struct limits *t, struct limits_ticket *ticket) {
    if (!ticket->held)
        return;
    for (int i = 0; i < 2; i++)
        if (ticket->minute[i])
            window_give_back(&t->usage->heads[ticket->entry[i]].tokens, ticket->minute[i],
                             ticket->tokens);
    for (int i = 0; i < 2; i++)
        if (ticket->entry[i] != LIMITS_NONE)
            give_back(t, ticket->entry[i], CELL_REQUEST + ticket->tokens, ticket->cost);
    memset(ticket, 0, sizeof *ticket);
}

void limits_usage(const struct limits *t, uint32_t entry, uint64_t now_us,
                  struct limits_usage *ret) {
    memset(ret, 0, sizeof *ret);
    if (entry == LIMITS_NONE || entry > LIMITS_ENTRIES)
        return;
    const struct limits_head *h = &t->usage->heads[entry];
    uint64_t minute = now_us / MINUTE_US, w = atomic_load(&h->requests);
    if (w >> WINDOW_SHIFT == minute)
        ret->requests_minute = w & WINDOW_COUNT;
    w = atomic_load(&h->tokens);
    if (w >> WINDOW_SHIFT == minute)
        ret->tokens_minute = w & WINDOW_COUNT;
    struct in_flight all = sum_cells(t, entry);
    ret->concurrency = all.requests;
    ret->cost_reserved = all.cost;
    ret->cost_day = spent_value(h, SPENT_COST_DAY, now_us);
    ret->cost_month = spent_value(h, SPENT_COST_MONTH, now_us);
    ret->tokens_day = spent_value(h, SPENT_TOKENS_DAY, now_us);
    ret->tokens_month = spent_value(h, SPENT_TOKENS_MONTH, now_us);
}
