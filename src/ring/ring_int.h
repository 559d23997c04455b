#ifndef RING_RING_INT_H
#define RING_RING_INT_H
/*
 * The ring's file as C types, and a process's view of it: for src/ring only. doc/ring.md is the
 * specification of the layout.
 *
 * Nothing that lies in the file is trusted by either side. The geometry is computed from the file's
 * size and the number of regions, once, at ring_map; a worker allocates by its own books
 * (struct ring_region); the reader checks every block number and bounds every walk.
 */
#include "ring/ring.h"

#define RING_REGIONS_MAX 256u
#define RING_HEAD_BYTES 4096u
#define RING_SLOT_EVERY 8192u        /* bytes of a region for each slot */
#define RING_REGION_MIN (64u << 10)  /* bytes */
#define RING_ANSWER_ROOM (16u << 10) /* of answer, promised at admission */

struct shared_head {
    uint64_t magic;
    uint64_t bytes; /* of the file */
    uint32_t regions;
    uint8_t zero_[44];
    _Atomic uint32_t sleeping; /* 1: the sealer waits for its eventfd */
    uint8_t end_[4028];
};

struct shared_region {
    _Atomic uint64_t admitted, refused, cut;
    uint8_t zero_[40];
    _Atomic uint32_t state[]; /* of each slot: enum ring_state */
};

struct shared_slot {
    _Atomic uint32_t first[RING_CHAINS];  /* block number, RING_NONE = no block */
    _Atomic uint32_t tries;               /* of sealers, to judge the content */
    _Atomic uint64_t length[RING_CHAINS]; /* bytes written */
    uint8_t zero_[24];
    struct ring_meta meta;
    uint8_t end_[48];
};

_Static_assert(sizeof(struct shared_head) == RING_HEAD_BYTES, "layout");
_Static_assert(sizeof(struct shared_region) == 64, "layout");
_Static_assert(sizeof(struct ring_meta) == 720, "layout");
_Static_assert(sizeof(struct shared_slot) == 832, "layout");

/* Of every region the same; offsets from the region's first byte. */
struct ring_geometry {
    size_t region_bytes;
    uint32_t slots, blocks;
    size_t slots_at, next_at, blocks_at;
};

/* A process's handle of a slot. */
struct ring_slot {
    struct ring *ring;
    uint32_t region, index;
};

/* A slot that ring_collect found, with copies of what decides its place. */
struct ring_found {
    uint64_t end_ns, epoch, sequence;
    struct ring_slot *slot;
};

struct ring {
    int fd, wake_fd;
    uint8_t *map;
    size_t bytes;
    uint32_t regions;
    struct ring_geometry geo;
    struct ring_slot *handles; /* regions * geo.slots */
    struct ring_found *found;  /* scratch of ring_collect */
    size_t found_max;
    bool owned[RING_REGIONS_MAX]; /* by this process: its own lock would not stop it */
};

/* ---- a worker's books ---- */

struct own_slot {
    bool open;
    uint32_t first[RING_CHAINS], last[RING_CHAINS]; /* blocks; RING_NONE */
    uint32_t promised[RING_CHAINS];                 /* blocks not yet taken */
    uint64_t length[RING_CHAINS];
};

struct ring_region {
    struct ring *ring;
    uint32_t number;
    uint64_t epoch, sequence;
    uint64_t wall_ns, wall_us; /* the two clocks when both were last read */
    uint32_t *next;       /* of each block: the next of its chain, or of the free list */
    uint32_t free_block;  /* head of the free list */
    uint32_t free_blocks; /* its length, */
    uint32_t promised;    /* of which so many are promised to open slots */
    uint32_t *free_slots; /* a stack */
    uint32_t free_slot_count;
    uint32_t *closed; /* slots that the sealer has, oldest first, a circle */
    uint32_t closed_at, closed_count;
    uint32_t touched; /* blocks before this one have their pages in this process */
    uint32_t waited;  /* admissions since the oldest was not done */
    uint32_t starved; /* times that there was no room */
    struct own_slot *slots;
};

/* ---- where things lie ---- */

static inline struct shared_head *ring_head(const struct ring *r) {
    return (struct shared_head *)(void *)r->map;
}
static inline uint8_t *ring_region_at(const struct ring *r, uint32_t region) {
    return r->map + RING_HEAD_BYTES + region * r->geo.region_bytes;
}
static inline struct shared_region *ring_region_head(const struct ring *r, uint32_t region) {
    return (struct shared_region *)(void *)ring_region_at(r, region);
}
static inline struct shared_slot *ring_shared(const struct ring *r, uint32_t region,
                                              uint32_t index) {
    return (struct shared_slot *)(void *)(ring_region_at(r, region) + r->geo.slots_at) + index;
}
/* next[b] is the block after block b of a chain. */
static inline _Atomic uint32_t *ring_next(const struct ring *r, uint32_t region) {
    return (_Atomic uint32_t *)(void *)(ring_region_at(r, region) + r->geo.next_at);
}
static inline uint8_t *ring_block(const struct ring *r, uint32_t region, uint32_t block) {
    return ring_region_at(r, region) + r->geo.blocks_at + (size_t)block * RING_BLOCK_BYTES;
}
static inline struct ring_slot *ring_handle(struct ring *r, uint32_t region, uint32_t index) {
    struct ring_slot *s = &r->handles[(size_t)region * r->geo.slots + index];
    *s = (struct ring_slot){r, region, index};
    return s;
}
static inline uint64_t ring_blocks_of(uint64_t bytes) {
    return bytes / RING_BLOCK_BYTES + (bytes % RING_BLOCK_BYTES != 0);
}
static inline uint64_t ring_chain_limit(enum ring_chain c) {
    static const uint32_t limits[RING_CHAINS] = {LIMIT_REQUEST_BODY, LIMIT_ANSWER_BODY,
                                                 LIMIT_LABELS};
    return limits[c];
}

/* ERR_USAGE when a region would be too small. */
int ring_geometry(struct ring_geometry *ret, size_t bytes, uint32_t regions);

#endif
