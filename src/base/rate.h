#ifndef BASE_RATE_H
#define BASE_RATE_H
/*
 * At most so many in so long: a window begins with the first one that is let through, and when it is over all
 * of them may come again. For limits against guessing, where bursts at the edge of two windows do not matter.
 * Zeroed before its first use.
 */
#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t since_ns;
    unsigned count;
};

/* Takes one of `max` in `window_ns`; false when there is none left. `now_ns`: of a clock that only goes on. */
static inline bool rate_take(struct rate *r, unsigned max, uint64_t window_ns, uint64_t now_ns) {
    if (!r->count || now_ns - r->since_ns > window_ns)
        *r = (struct rate){.since_ns = now_ns};
    if (r->count >= max)
        return false;
    r->count++;
    return true;
}

#endif
