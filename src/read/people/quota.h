#ifndef PEOPLE_QUOTA_H
#define PEOPLE_QUOTA_H
/*
 * How many cells somebody opened within the last hour, in slices of five minutes: never more than the
 * quota in any hour, and what was used comes back five minutes late at most. Times are µs since 1970;
 * a clock that is set back counts as standing still.
 */
#include <stdint.h>

#define QUOTA_SLICE_US 300000000ull
#define QUOTA_SLICES 13 /* an hour that begins anywhere in a slice touches so many */

struct quota {
    uint64_t newest; /* number of the newest slice */
    uint32_t used[QUOTA_SLICES]; /* of slice s: used[s % QUOTA_SLICES] */
};

/* Used within the hour before now; forgets what is older. */
uint64_t quota_used(struct quota *q, uint64_t now_us);
void quota_add(struct quota *q, uint64_t now_us, uint32_t cells);

#endif
