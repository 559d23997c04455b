#ifndef CONTROL_HEALTH_H
#define CONTROL_HEALTH_H
/*
 * Which provider, and which of its keys, gets the next attempt: a memory file (memfd) of atomics
 * that all gateway workers share, so that what one learns the others know at once. No locks; see
 * control/limits.h for why a killed worker leaves nothing behind.
 *
 *   provider   consecutive failures -> ejected for a while -> one request probes -> back, or
 * ejected again. A probe that is lost with its worker ends by time. its key    401, 402: out, until
 * the supervisor restores it (a reload, or another credential); 429 with Retry-After: parked until
 * then.
 *
 *   supervisor: health_create; at each publication health_begin, health_provider and health_key for
 *     all that the configuration has; health_restore_keys when somebody asked for a reload;
 *     health_reap once a second; hands the descriptor to the gateway (SH_HEALTH_FD).
 *   worker, in init_process before its sandbox: health_map, health_claim.
 *   worker, an attempt: health_choose over the candidates of the route (control/snapshot.h) and
 * those tried before; then exactly one health_done with how it went. For a fallback: health_choose
 * again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

/* Twice what can be configured: old ones stay while requests end. */
#define HEALTH_PROVIDERS (2 * LIMIT_PROVIDERS)
#define HEALTH_KEYS (2 * LIMIT_PROVIDER_KEYS)
#define HEALTH_RETRY_MAX_MS (3600u * 1000) /* the longest that a Retry-After parks a key */

struct health; /* the mapped table */

/* One of a route's providers. Primaries (weight > 0) are chosen among by weight; then fallbacks
 * (weight 0) in their order. */
struct health_candidate {
    uint16_t provider; /* of health_provider */
    uint16_t weight;
    uint32_t max_concurrency; /* 0 = no limit */
    uint32_t eject_after;     /* failures in a row; 0 = never */
    uint32_t eject_for_ms;
    uint8_t key_count;                 /* 0: the provider needs no key */
    uint8_t keys[LIMIT_PROVIDER_KEYS]; /* of health_key */
};

/* ---- gateway worker ---- */
int health_map(int fd, struct health **ret);
/* Takes a worker slot. ERR_FULL: LIMIT_WORKER_SLOTS workers live. */
int health_claim(struct health *h);

#define HEALTH_NO_KEY UINT8_MAX

/* An attempt under way. All zero is nothing. */
struct health_ticket {
    uint32_t candidate; /* which of the list */
    uint8_t key;        /* of health_key, or HEALTH_NO_KEY */
    uint16_t provider;
    uint32_t eject_after, eject_for_ms;
    bool probe, held;
};

/*
 * Chooses among `list` those whose bit in `tried` is not set (bit i = list[i]) and takes a place.
 * A provider that is ejected is passed over as long as another candidate is left. If none is, and
 * nothing was tried yet, it is tried all the same: its own answer says more than ours.
 * ERR_NOTFOUND: all were tried. ERR_FULL: what is left is busy or parked; *ret_retry_ms says when
 * to come again. ERR_DENIED: what is left has no key that works. ERR_PEER: what is left is ejected.
 */
int health_choose(struct health *h, const struct health_candidate *list, size_t count,
                  uint32_t tried, uint64_t now_us, struct health_ticket *ret,
                  uint64_t *ret_retry_ms);

#define HEALTH_CANCELLED (-1) /* the client left: says nothing about the provider */
#define HEALTH_NO_ANSWER 0    /* no connection, time-out, cut off in the middle */

/* Ends the attempt: its place is given back, and the others learn. `status` is the provider's HTTP
 * status or one of the above; retry_after_ms 0 = it said none. A second call does nothing. */
void health_done(struct health *h, struct health_ticket *t, int status, uint64_t retry_after_ms,
                 uint64_t now_us);
/* May another candidate do better? For the fallback, before the first byte reached the client:
 * no answer, 401, 402, 403, 404, 408, 429 and 5xx. */
bool health_worth_fallback(int status);

/* ---- supervisor ---- */
int health_create(struct health **ret);
void health_close(struct health *h);   /* NULL-safe; also of a worker's mapping */
int health_fd(const struct health *h); /* borrowed, CLOEXEC */

void health_begin(struct health *h);
/* The number of this provider, made if there is none. ERR_FULL. */
int health_provider(struct health *h, const char *name, uint16_t *ret_number);
/* The number of this credential within its provider; another credential is another key, with a
 * clean record. Only a keyed hash of it is kept, and only in memory. ERR_FULL. */
int health_key(struct health *h, uint16_t provider, const char *credential, uint8_t *ret_number);
/* All keys that were taken out or parked are tried again. */
void health_restore_keys(struct health *h);
/* Clears what dead workers held; returns how many. Once a second. */
unsigned health_reap(struct health *h);

enum health_key_state { HEALTH_KEY_UNUSED, HEALTH_KEY_OK, HEALTH_KEY_PARKED, HEALTH_KEY_OUT };
struct health_view {
    char name[LIMIT_NAME];
    bool current; /* the newest publication has it */
    uint32_t in_flight, failures;
    uint64_t ejected_for_ms; /* 0 = not ejected */
    struct {
        enum health_key_state state;
        int status;      /* 401, 402 or 429: why */
        uint64_t for_ms; /* parked */
    } keys[HEALTH_KEYS];
};
/* For status and metrics. False when there is no provider of this number. */
bool health_view(const struct health *h, uint16_t number, uint64_t now_us, struct health_view *ret);

#endif
