#ifndef CONTROL_LIMITS_INT_H
#define CONTROL_LIMITS_INT_H
/* The two files of limits.h, for limits.c (workers) and limits_file.c (the supervisor). */
#include <stdatomic.h>

#include "control/limits.h"
#include "control/slots.h"

#define LIMITS_MAGIC 0x3167737573736873ull /* "shsusag1" */
/* A quarter more than can be in force: what was revoked lately stays a while. */
#define LIMITS_ENTRIES (LIMIT_KEYS + LIMIT_PROJECTS + LIMIT_KEYS / 4)
#define LIMITS_ID_BYTES 16
#define LIMITS_GROUP 8 /* worker slots whose cells of one entry lie together */

/* What is counted for a day or a month; in the order of limits_head.spent. */
enum limits_spent {
    SPENT_COST_DAY,
    SPENT_COST_MONTH,
    SPENT_TOKENS_DAY,
    SPENT_TOKENS_MONTH,
    SPENTS
};

struct limits_head { /* 128 bytes; the first half is the supervisor's, the second the workers' */
    uint8_t id[LIMITS_ID_BYTES]; /* hash of kind, tenant and name; zero = free */
    uint64_t check;              /* over the id and the place: finds damage */
    uint8_t pad_[40];
    _Atomic uint64_t requests, tokens; /* minute since 1970 << 36 | count */
    _Atomic uint64_t spent[SPENTS];    /* low 8 bits of the day or month << 56 | value */
    uint64_t pad2_[2];
};
_Static_assert(sizeof(struct limits_head) == 128, "heads do not share cache lines");

struct limits_usage_header {
    uint64_t magic, bytes, entries;
    uint64_t set_aside_ever;
    uint64_t check;             /* over the four before it */
    _Atomic uint64_t ticked_us; /* wall clock of the last limits_tick */
};

struct limits_usage_file {
    struct limits_usage_header header;
    _Alignas(4096) struct limits_head heads[LIMITS_ENTRIES + 1]; /* 0 is LIMITS_NONE */
};

/* What one worker has in flight for one entry. Only the slot's owner writes it. */
struct limits_cell {
    _Atomic uint64_t load; /* requests << 48 | reserved tokens */
    _Atomic uint64_t cost; /* reserved nano */
};
#define CELL_REQUEST (1ull << 48)
#define CELL_TOKENS (CELL_REQUEST - 1)
#define CELL_REQUESTS_MAX UINT16_MAX
/* The most that one request reserves, so that the sums of a cell's requests fit. */
#define RESERVE_TOKENS_MAX UINT32_MAX
#define RESERVE_COST_MAX (1ull << 47)

struct limits_live_file {
    uint64_t magic, bytes;
    _Atomic uint32_t used; /* entries 1..used may have cells */
    struct slots slots;
    _Alignas(4096) struct limits_cell
        cells[LIMIT_WORKER_SLOTS / LIMITS_GROUP][LIMITS_ENTRIES + 1][LIMITS_GROUP];
};

struct limits_index; /* the supervisor's own memory: which entry is whose */

struct limits {
    struct limits_usage_file *usage;
    struct limits_live_file *live;
    int usage_fd, live_fd;
    uint32_t slot;              /* a worker's; LIMIT_WORKER_SLOTS = none yet */
    struct limits_index *index; /* NULL in a worker */
};

#define WINDOW_SHIFT 36
#define WINDOW_COUNT ((1ull << WINDOW_SHIFT) - 1)
#define SPENT_SHIFT 56

/* limits.c */
void limits_clear_slot(void *table, uint32_t slot);
/* The day's or month's number, by enum limits_spent. */
uint32_t limits_period(enum limits_spent which, uint64_t now_us);

static inline uint8_t limits_tag(enum limits_spent which, uint64_t now_us) {
    return (uint8_t)limits_period(which, now_us);
}
/* Is a value of this tag one of now's? The period after this one is as well: another worker read
 * the clock later, or the clock was set back a little. */
static inline bool limits_tag_current(uint8_t tag, uint8_t now_tag) {
    return (uint8_t)(tag - now_tag) <= 1;
}

#endif
