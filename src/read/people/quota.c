/* Cells opened within an hour (quota.h). */
#include "read/people/quota.h"

#include <string.h>

static void advance(struct quota *q, uint64_t now_us) {
    const uint64_t slice = now_us / QUOTA_SLICE_US;
    if (slice >= q->newest + QUOTA_SLICES)
        memset(q->used, 0, sizeof q->used);
    else
        for (uint64_t s = q->newest + 1; s <= slice; s++)
            q->used[s % QUOTA_SLICES] = 0;
    if (slice > q->newest)
        q->newest = slice;
}

uint64_t quota_used(struct quota *q, uint64_t now_us) {
    uint64_t sum = 0;
    advance(q, now_us);
    for (int i = 0; i < QUOTA_SLICES; i++)
        sum += q->used[i];
    return sum;
}

void quota_add(struct quota *q, uint64_t now_us, uint32_t cells) {
    advance(q, now_us);
    uint32_t *used = &q->used[q->newest % QUOTA_SLICES];
    *used = *used > UINT32_MAX - cells ? UINT32_MAX : *used + cells;
}
