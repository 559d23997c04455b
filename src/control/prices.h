#ifndef CONTROL_PRICES_H
#define CONTROL_PRICES_H
/*
 * The public prices of well-known models, compiled in, so that costs and budgets work without a
 * price table of one's own. `prices` in the configuration replaces single models, or all
 * (`defaults: false`).
 */
#include <stddef.h>

#include "control/cost.h"

#define PRICES_CURRENCY "USD"

struct price_default {
    const char *model; /* control/pattern.h; dated names are found by snapshot_price */
    struct cost_price price;
};

extern const struct price_default prices_default[];
extern const size_t prices_default_count;
extern const char prices_default_as_of[]; /* the newest of the dates in the table */

#endif
