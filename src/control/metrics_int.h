#ifndef CONTROL_METRICS_INT_H
#define CONTROL_METRICS_INT_H
/*
 * The file of control/metrics.h, for metrics.c (which counts) and metrics_text.c (which tells).
 *
 * A table's entry is found by the keyed hash of its key: the key's bytes are an entry's names, each
 * with its NUL, after one or two numbers. The first that needs an entry claims a place by swapping
 * its hash for zero; whoever comes to an entry that is not ready yet, its claimer or not, writes
 * the same bytes and then says ready. So nobody waits for a claimer, and one that is killed in the
 * middle leaves a place that the next who needs it completes.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "control/metrics.h"
#include "control/slots.h"

#define METRICS_MAGIC 0x316d746d73736873ull /* "shssmtm1" */
#define METRICS_NAMED 256                   /* refusals, and providers that were fallen back from */
#define METRICS_CURRENCIES 8
#define METRICS_OTHER "other"

/* Status classes: nothing sent, 1xx, ..., 5xx. */
#define METRICS_CLASSES 6

/* Histograms of a series. */
enum metrics_hist {
    METRICS_DURATION,
    METRICS_INPUT,
    METRICS_OUTPUT,
    METRICS_FIRST, /* time to the first token */
    METRICS_EACH,  /* time per output token */
    METRICS_HISTS
};
#define METRICS_BOUNDS 16 /* of one histogram, at most */
#define METRICS_CELLS 81  /* of all histograms of a series */
struct metrics_bounds {
    uint8_t at;                     /* its first cell */
    uint8_t count;                  /* bounds; then come the cell above them all, and the sum */
    uint64_t bound[METRICS_BOUNDS]; /* the rest UINT64_MAX, which nothing is above */
};
extern const struct metrics_bounds metrics_bounds[METRICS_HISTS];

/* Tokens that are in no histogram. */
enum metrics_tokens { METRICS_CACHED, METRICS_CACHE_WRITE, METRICS_REASONING, METRICS_TOKENS };

#define METRICS_SERIES_WORDS 41 /* operation, error, provider, model, answered model */
#define METRICS_NAMED_WORDS 9   /* enum metrics_kind, name */
enum metrics_kind { METRICS_REFUSAL = 1, METRICS_FALLBACK };

struct metrics_series {
    _Alignas(64) _Atomic uint32_t ready;
    _Atomic uint64_t key[METRICS_SERIES_WORDS];
    _Atomic uint64_t cells[METRICS_CELLS];
};
struct metrics_named {
    _Alignas(64) _Atomic uint32_t ready;
    _Atomic uint64_t key[METRICS_NAMED_WORDS];
    _Atomic uint64_t counts[METRICS_CLASSES]; /* a refusal's by class; a fallback's in the first */
};
struct metrics_money {
    _Atomic uint64_t currency; /* its characters; 0 = free; the first place is every other one's */
    _Atomic uint64_t nano;
};

struct metrics_file {
    uint64_t magic, bytes;
    uint64_t hash_key[3];
    struct slots slots;
    _Atomic uint32_t in_flight[LIMIT_WORKER_SLOTS]; /* one writer each: the owner */
    _Atomic uint64_t served[METRICS_CLASSES];       /* requests without a refusal of our own */
    _Atomic uint64_t tokens[METRICS_TOKENS];
    _Atomic uint64_t reports, reports_us; /* from outside; the supervisor writes them */
    _Atomic uint64_t alarms;              /* of canaries; the supervisor too */
    struct metrics_money money[METRICS_CURRENCIES];
    /* 0 = free. Apart from the entries, so that looking for one touches few cache lines. */
    _Atomic uint64_t series_hash[METRICS_SERIES];
    _Atomic uint64_t named_hash[METRICS_NAMED];
    struct metrics_series series[METRICS_SERIES];
    struct metrics_named named[METRICS_NAMED];
};

#define METRICS_MEMOS 64
struct metrics_memo { /* of a lookup in the snapshot, in the worker's own memory */
    uint64_t hash, version;
    struct metrics_series *series;
};

struct metrics {
    struct metrics_file *file;
    int fd;
    uint32_t slot;
    bool creator;
    const struct snapshot *names;   /* NULL in the supervisor */
    struct metrics_series *rest[2]; /* where what has no room is counted: without error, with */
    struct metrics_memo memos[METRICS_MEMOS];
};

#endif
