#ifndef RING_RING_H
#define RING_RING_H
/*
 * The exchange ring: a memory file through which gateway workers hand exchanges to the sealer. It
 * outlives any program: the supervisor creates it and never maps it. doc/ring.md has the layout.
 *
 * The file is split into regions. A gateway worker claims one region for its life by a POSIX record
 * lock (fcntl F_SETLK) on the byte numbered like the region, so that the kernel gives the region up
 * when the worker dies, however it dies. Within a region only its worker allocates, and the free
 * list is in the worker's own memory, rebuilt from the slots when a region is claimed: there is no
 * shared list that a killed program could leave broken.
 *
 * The life of a slot, and who makes each step:
 *
 *   FREE --worker: ring_admit--> OPEN --worker: ring_close--> READY --sealer: ring_release--> DONE
 *     ^                            |                                                           |
 *     |                            +--next owner of the region: closed as RING_CUT --> READY   |
 *     +-----------------------------worker: takes the blocks back------------------------------+
 *
 * A slot's bytes lie in chains of 4 KiB blocks: the request's body, the answer's body, and labels
 * (ring/labels.h), which few exchanges have. The worker writes the bytes, then publishes the length with release order; whoever reads a closed slot
 * sees all of it. ring_release zeroes the blocks before it says DONE, so freed blocks are zero.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/uuid.h"

#define RING_MAGIC 0x32676e6972736873ull /* "shsring2" */
#define RING_BLOCK_BYTES 4096u
#define RING_NONE UINT32_MAX

enum ring_state { RING_FREE, RING_OPEN, RING_READY, RING_DONE };

/* How the exchange ended, as the client saw it. */
enum ring_outcome {
    RING_COMPLETE = 1, /* the terminal event or the last byte went out */
    RING_CANCELLED,    /* the client left first */
    RING_CUT,          /* the provider or the gateway died in the middle */
    RING_REFUSED,      /* the gateway answered by itself after admission (502, 504, ...) */
};

enum ring_chain { RING_REQUEST, RING_ANSWER, RING_LABELS, RING_CHAINS };

/* Where the token counts of the meta are from. */
enum ring_counted {
    RING_UNCOUNTED, /* no counts */
    RING_REPORTED,  /* the provider's own */
    RING_ESTIMATED, /* by length: the answer was cut, or said none */
};

enum ring_body { RING_BODY_NONE, RING_BODY_JSON, RING_BODY_SSE, RING_BODY_OTHER };

/* What the gateway knows of an exchange without reading content. Strings are NUL-terminated. */
struct ring_meta {
    uint8_t id[UUID_BYTES]; /* the interaction's UUIDv7 */
    uint64_t epoch;         /* of the worker: random, new for each claim */
    uint64_t sequence;      /* of the worker: 1, 2, 3, ... without gaps */
    uint64_t start_us;      /* wall clock at admission */
    uint64_t start_ns;      /* monotonic: admission, */
    uint64_t sent_ns;       /* request handed to the provider's connection, 0 = never */
    uint64_t first_ns;      /* first byte of the answer's body, 0 = none */
    uint64_t end_ns;        /* close */
    uint16_t status;        /* the HTTP status that the client was sent, 0 = none */
    uint8_t outcome;        /* enum ring_outcome, valid when closed */
    uint8_t answer_body;    /* enum ring_body */
    uint8_t attempts;       /* connections tried to providers */
    uint8_t content_coded;  /* the answer came with a Content-Encoding (kept as it came) */
    uint8_t pad_[2];
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    char key_id[LIMIT_NAME];   /* the API key's public id */
    char provider[LIMIT_NAME]; /* from the configuration */
    char dialect[LIMIT_NAME];  /* "openai.chat", ... a literal of the gateway */
    uint64_t cost_nano;        /* 0 = nothing, or not known */
    uint32_t tokens_input, tokens_output, tokens_cached, tokens_reasoning;
    uint8_t counted; /* enum ring_counted */
    uint8_t pad2_[7];
    char refusal[LIMIT_CODE]; /* why the gateway answered by itself: a literal; "" = it did not */
    /* Only names that the configuration or the price table has; "" = none such. */
    char model_asked[LIMIT_MODEL]; /* as the client named it */
    char model[LIMIT_MODEL];       /* as the provider was asked for it */
};

struct ring;        /* a mapped ring */
struct ring_region; /* a claimed region, of one worker */
struct ring_slot;   /* a slot; borrowed from its ring */

/* ---- supervisor ---- */
/* A new memory file of `bytes` in `regions` regions, sealed against resizing. The caller owns the fd
 * (not CLOEXEC-free: it is CLOEXEC; the supervisor clears that for the children meant to have it). */
int ring_create(size_t bytes, unsigned regions, int *ret_fd);

/* ---- both ---- */
/* Maps it, left out of core files (MADV_DONTDUMP). Checks magic and sizes. Borrows fd, which must
 * stay open (and never be closed and reopened: closing any fd of the file drops record locks). */
int ring_map(int fd, struct ring **ret);
void ring_unmap(struct ring *r);

struct ring_usage {
    uint64_t slots, slots_used, bytes, bytes_used;
    uint64_t admitted, refused, cut; /* since the ring was made */
    uint64_t oldest_ready_ns;        /* monotonic close time of the oldest READY slot, 0 = none */
};
void ring_usage(const struct ring *r, struct ring_usage *ret);

/* ---- gateway worker ---- */
/* Claims a free region, closes what a dead owner left open as RING_CUT, draws a new epoch.
 * ERR_FULL when every region is owned. */
int ring_claim(struct ring *r, struct ring_region **ret);
/* Gives the region up in order; open slots become RING_CUT. NULL-safe. */
void ring_unclaim(struct ring_region *g);

/* A slot, with room set aside for `request_bytes` of request and the first 16 KiB of answer.
 * ERR_FULL: no room (answer 503 with Retry-After). Fills id, epoch, sequence, start_us, start_ns.
 * `now_ns`: the monotonic clock, here and below: callers have just read it. */
int ring_admit(struct ring_region *g, uint64_t request_bytes, uint64_t now_ns,
               struct ring_slot **ret);
/* The slot's meta, writable until ring_close. */
struct ring_meta *ring_meta(struct ring_slot *s);
/* ERR_FULL when the region has no block left, ERR_LIMIT above LIMIT_REQUEST_BODY/LIMIT_ANSWER_BODY;
 * what was appended before stays. */
int ring_append(struct ring_region *g, struct ring_slot *s, enum ring_chain c, const void *src,
                size_t len);
/* OPEN -> READY, sets outcome and end_ns, wakes the sealer if it sleeps. The slot is no longer the
 * worker's. */
void ring_close(struct ring_region *g, struct ring_slot *s, enum ring_outcome outcome,
                uint64_t now_ns);

/* The eventfd that ring_close writes to when the sealer said that it sleeps. Borrowed. */
void ring_set_wake_fd(struct ring *r, int fd);

/* ---- sealer ---- */
/*
 * Up to `max` READY slots whose close came before this call began, in the order of their closing, so
 * that a conversation's earlier turn comes before a later one, whatever worker carried it. Returns
 * how many. The slots stay READY until they are released.
 */
size_t ring_collect(struct ring *r, struct ring_slot **out, size_t max);
/* Every slot that holds an exchange, closed or not; its worker may be writing to it meanwhile. */
typedef void ring_each_fn(void *arg, uint64_t epoch, uint64_t sequence);
void ring_each(struct ring *r, ring_each_fn *fn, void *arg);
/* Appends the chain's bytes to `out` (a copy; the caller wipes it). A chain that a taken-over worker
 * damaged is read as far as it goes. ERR_LIMIT, ERR_NOMEM. */
int ring_read(const struct ring_slot *s, enum ring_chain c, struct buf *out);
uint64_t ring_length(const struct ring_slot *s, enum ring_chain c);
const struct ring_meta *ring_meta_of(const struct ring_slot *s);
/*
 * How often a sealer began to judge the slot's content and did not come to the end of it: raised by
 * ring_try before, made 0 by ring_tried after. It is in the file, so it outlives a sealer that the
 * content kills.
 */
unsigned ring_tries(const struct ring_slot *s);
void ring_try(struct ring_slot *s);
void ring_tried(struct ring_slot *s);
/* READY -> DONE: zeroes the blocks and the meta, then tells the worker. */
void ring_release(struct ring_slot *s);
/* Before the sealer sleeps on the eventfd: true = nothing is READY and workers will wake it. */
bool ring_may_sleep(struct ring *r);

#endif
