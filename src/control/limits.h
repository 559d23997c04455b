#ifndef CONTROL_LIMITS_H
#define CONTROL_LIMITS_H
/*
 * The limits table: what every API key and project has used, counted together by all gateway
 * workers of a host without a lock and without a system call. doc/configuration.md tells what each
 * limit means.
 *
 * Two memory files of fixed size. D/control/usage.bin, on disk, has one head per entry: the
 * requests and tokens of this minute, and what was spent this day and month (UTC). The live file (a
 * memfd) has the worker slots (control/slots.h) and, per entry and slot, what that worker has in
 * flight. A head's counter is one 64-bit word that holds its period beside its value, so a new
 * minute, day or month begins with the same compare-and-swap that counts. So there is nothing that
 * a killed program can leave half done.
 *
 *   supervisor: limits_open, then at each publication limits_begin, limits_entry for each key and
 *     project, limits_end; limits_tick once a second; hands both descriptors to the gateway
 *     (SH_USAGE_FD, SH_LIVE_FD).
 *   worker, in init_process before its sandbox: limits_map, limits_claim.
 *   worker, a request: limits_admit after the key was found; limits_settle when the usage is known
 *     (at the terminal event, or estimated when the answer was cut); limits_release when the
 * request is over, however it ended. All three are memory operations only; the clock comes as an
 * argument.
 *
 * Exactness: a limit of N requests a minute lets exactly N pass per UTC minute, over all workers.
 * Tokens are reserved by estimate and corrected. Concurrency never exceeds its limit; two workers
 * that ask for the last place at the same instant may both be refused. A budget refuses as soon as
 * what was spent plus what is reserved in flight reaches it, so it is overshot by the requests in
 * flight at most, and only by what their estimates were too low.
 *
 * What a killed worker had in flight is cleared with its slot (at the next tick, or when the slot
 * is claimed anew); tokens that it had reserved stay in their minute until that ends.
 *
 * A power failure loses what was counted since the last limits_tick (one second) of minutes, days
 * and months; a crash of programs loses nothing, for the page cache has it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define LIMITS_PATH "control/usage.bin" /* under the installation's folder */
#define LIMITS_NONE 0u                  /* the entry number of nothing: never limited or counted */
#define LIMITS_INHERIT UINT64_MAX       /* in a limits_set that was not merged yet: not said here */

/* Ceilings of what can be counted; the configuration and the command line refuse larger limits. */
#define LIMITS_MINUTE_MAX ((1ull << 36) - 1) /* requests or tokens of a minute */
#define LIMITS_SPENT_MAX ((1ull << 56) - 1)  /* nano (72 057 594 units) or tokens of a month */

/* 0 = no limit. Money in nano (control/money.h). */
struct limits_set {
    uint64_t requests_per_minute, tokens_per_minute, concurrency;
    uint64_t budget_day, budget_month;
    uint64_t tokens_day, tokens_month;
};

#define LIMITS_SET_INHERIT                                                                         \
    ((struct limits_set){LIMITS_INHERIT, LIMITS_INHERIT, LIMITS_INHERIT, LIMITS_INHERIT,           \
                         LIMITS_INHERIT, LIMITS_INHERIT, LIMITS_INHERIT})

/* The fields by name, in the order of the struct: for those who read, write and show them. */
struct limits_field {
    const char *name; /* as in the configuration: "requests_per_minute", ... */
    size_t offset;    /* of a uint64_t in struct limits_set */
    bool money;
    uint64_t max;
};
#define LIMITS_FIELDS 7
extern const struct limits_field limits_fields[LIMITS_FIELDS];
static inline uint64_t *limits_field_of(struct limits_set *s, size_t i) {
    return (uint64_t *)(void *)((char *)s + limits_fields[i].offset);
}
/* Every field of `own` that says LIMITS_INHERIT gets the one of `from`. */
void limits_inherit(struct limits_set *own, const struct limits_set *from);

/* Which limit refused; limits_refusal_name gives the code for an error body. */
enum limits_refusal {
    LIMITS_ADMITTED,
    LIMITS_REQUESTS,    /* requests of this minute; 429 */
    LIMITS_TOKENS,      /* tokens of this minute; 429 */
    LIMITS_TOKENS_EVER, /* this one request is larger than a minute's tokens; 429, no retry */
    LIMITS_CONCURRENCY, /* 429 */
    /* The budgets: retry_after_ms to the end of the day or month, 429 with x-should-retry: false;
     * one second when only what is reserved in flight stands in the way. */
    LIMITS_BUDGET_DAY,
    LIMITS_BUDGET_MONTH,
    LIMITS_TOKENS_DAY,
    LIMITS_TOKENS_MONTH,
};
const char *limits_refusal_name(enum limits_refusal r);

struct limits; /* the mapped table */

/* ---- gateway worker ---- */
/* Maps both files; ERR_VERSION or ERR_CORRUPT when they are no limits table. Lives as long as the
 * worker, which keeps both descriptors open. */
int limits_map(int usage_fd, int live_fd, struct limits **ret);
/* Takes a worker slot. ERR_FULL: LIMIT_WORKER_SLOTS workers live. */
int limits_claim(struct limits *t);

struct limits_ask {
    uint32_t key, project; /* entry numbers from the snapshot; LIMITS_NONE is fine */
    const struct limits_set *key_limits, *project_limits; /* merged: no LIMITS_INHERIT in them */
    uint64_t tokens; /* estimate: the request's length / 4 and its max_tokens, or a default */
    uint64_t cost;   /* the estimate times the price, nano; 0 when there is no price */
    uint64_t now_us; /* wall clock, e.g. of nginx's cached time */
};

/* What a request holds. Kept by the worker from limits_admit to limits_release; all zero is
 * nothing. */
struct limits_ticket {
    uint32_t entry[2];     /* key, project */
    uint32_t minute[2];    /* in which the tokens were reserved; 0 = none were */
    uint64_t tokens, cost; /* still reserved */
    bool held;
};

/* For headers. The fields of x-ratelimit-*: limit 0 = not limited, send none. Of key and project
 * the one with less left. */
struct limits_left {
    uint64_t limit, remaining, reset_ms;
};
struct limits_state {
    struct limits_left requests, tokens;
    uint64_t retry_after_ms; /* of a refusal; 0 = trying again does not help */
    bool of_project;         /* whose limit refused */
};

enum limits_refusal limits_admit(struct limits *t, const struct limits_ask *ask,
                                 struct limits_ticket *ret_ticket, struct limits_state *ret_state);
/* Counts what it really used, and gives the reservation back. Once a ticket. A day's spending is
 * that of the requests that ended on it. */
void limits_settle(struct limits *t, struct limits_ticket *ticket, uint64_t tokens, uint64_t cost,
                   uint64_t now_us);
/* Ends the request. Not settled: it used nothing (the provider was not reached, or refused), and
 * the reservation is given back. A second call does nothing. */
void limits_release(struct limits *t, struct limits_ticket *ticket);

/* ---- supervisor ---- */
struct limits_opened {
    bool created;            /* there was no file, or it was set aside */
    bool set_aside;          /* the file was damaged or of another version: now usage.bin.damaged */
    uint32_t dropped;        /* single entries that were damaged */
    uint64_t set_aside_ever; /* how often that happened in this installation */
};
/* Makes or takes over the file at `path` and makes the live file. ERR_EXISTS: another supervisor
 * has it. *ret_how may be NULL. */
int limits_open(const char *path, uint64_t now_us, struct limits **ret,
                struct limits_opened *ret_how);
/* NULL-safe; also of a worker's mapping (its descriptors stay open). */
void limits_close(struct limits *t);
/* Borrowed, CLOEXEC. */
void limits_fds(const struct limits *t, int *ret_usage_fd, int *ret_live_fd);

enum limits_kind { LIMITS_KEY = 1, LIMITS_PROJECT };
/* A publication names every entry that is in force, between begin and end. An entry that no
 * publication named for two days may be given to another one when room is short. */
void limits_begin(struct limits *t);
/* Finds or makes the entry of this key (its public id) or project. ERR_FULL. */
int limits_entry(struct limits *t, enum limits_kind kind, const char *tenant, const char *name,
                 uint64_t now_us, uint32_t *ret_entry);
void limits_end(struct limits *t, uint64_t now_us);

/* Once a second: clears what dead workers held, begins new days and months, and syncs the file.
 * ERR_IO: the sync failed (the disk); counting goes on. */
int limits_tick(struct limits *t, uint64_t now_us);

struct limits_usage {
    uint64_t requests_minute, tokens_minute, concurrency;
    uint64_t cost_day, cost_month, tokens_day, tokens_month, cost_reserved;
};
/* For status and metrics. Zeros for LIMITS_NONE. */
void limits_usage(const struct limits *t, uint32_t entry, uint64_t now_us,
                  struct limits_usage *ret);

#endif
