#ifndef GATEWAY_PLAN_H
#define GATEWAY_PLAN_H
/*
 * What the control snapshot says of a model, put together once for each of its versions: where a
 * request for it may go, what that costs, and whether its names may stand in clear columns. A
 * worker asks for the same few models all the time, and each of these is a search of its own.
 *
 * Only names that the configuration or the price table has are remembered. Any other is the
 * client's word (a route like "gpt-*" lets it through): its plan is for one request.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/snapshot.h"

struct plan_target { /* of route.to[i] */
    struct cost_price price; /* by the name that the provider is asked for, else by route.model */
    bool priced;
    bool known; /* that name may stand in clear columns */
};

struct plan {
    uint64_t version; /* of the snapshot; 0: empty */
    uint32_t dialects;
    bool known; /* the name that was asked for may stand in clear columns */
    size_t asked_len;
    char asked[LIMIT_MODEL];
    struct plan_target target[LIMIT_CANDIDATES];
    struct snapshot_route route;
};

/* Of this name in one of these dialects; without a name, of whoever speaks them, unpriced. As
 * snapshot_route and snapshot_speakers. Borrowed until the next call; plan_done ends its use. */
int plan_find(const struct snapshot *s, uint32_t dialects, const char *name, size_t len,
              const struct plan **ret);
/* Wipes the client's word. NULL-safe. */
void plan_done(const struct plan *p);

#endif
