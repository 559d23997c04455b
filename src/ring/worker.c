/*
 * A gateway worker's side of the ring (ring.h): claiming a region, admitting, appending, closing.
 *
 * The books are the worker's own memory: which blocks are free, which belong to which slot, how
 * many are promised. What the file says is read once, at the claim, with every number checked;
 * afterwards the worker only writes to it (and reads slot states). So no other process can make it
 * allocate wrongly, and its death leaves nothing half done: a block is linked into its chain before
 * it is written to, and a length is published after the bytes.
 *
 * Nothing here makes a system call between claim and unclaim, but for two: one wakes the sealer,
 * one calls up pages that were never used.
 */
#include "ring/ring_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "ring/stream.h"

#define CALL_UP_BLOCKS 64u /* 256 KiB */
#define TAKE_BACK_STEPS 8  /* closed slots taken back in one admission */
#define PATIENCE_STEPS 64u /* admissions that wait for the oldest before another is looked at */
#define WALL_EVERY_NS 100000000u /* between two looks at the wall clock */
#define SWEEP_STEPS 64u    /* admissions without room for each look at all closed slots */

static void store_state(struct ring_region *g, uint32_t index, uint32_t state) {
    atomic_store_explicit(&ring_region_head(g->ring, g->number)->state[index], state,
                          memory_order_release);
}

static uint32_t load_state(const struct ring *r, uint32_t region, uint32_t index) {
    return atomic_load_explicit(&ring_region_head(r, region)->state[index], memory_order_acquire);
}

/* Only the region's owner counts. */
static void count(_Atomic uint64_t *n) {
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* ---- blocks ---- */

static void free_block(struct ring_region *g, uint32_t b) {
    g->next[b] = g->free_block;
    g->free_block = b;
    g->free_blocks++;
}

/* The sealer is done with the slot: its blocks are zero and free. */
static void take_back(struct ring_region *g, uint32_t index) {
    struct own_slot *own = &g->slots[index];
    for (int c = 0; c < RING_CHAINS; c++) {
        for (uint32_t b = own->first[c], after; b != RING_NONE; b = after) {
            after = g->next[b];
            free_block(g, b);
        }
    }
    g->free_slots[g->free_slot_count++] = index;
    store_state(g, index, RING_FREE);
}

static void put_closed(struct ring_region *g, uint32_t index) {
    uint32_t slots = g->ring->geo.slots, at = g->closed_at + g->closed_count++;
    g->closed[at < slots ? at : at - slots] = index;
}

static uint32_t get_closed(struct ring_region *g) {
    uint32_t index = g->closed[g->closed_at];
    g->closed_at = g->closed_at + 1 < g->ring->geo.slots ? g->closed_at + 1 : 0;
    g->closed_count--;
    return index;
}

static bool is_done(const struct ring_region *g) {
    return load_state(g->ring, g->number, g->closed[g->closed_at]) == RING_DONE;
}

/*
 * The sealer gives slots back in the order of their closing, but for single ones that wait for
 * something, so the oldest tells of the others: while it is not done, one look is all that an
 * admission costs. (Each look at a slot that another processor works on is a cache miss.)
 */
static void take_back_some(struct ring_region *g, uint32_t most) {
    for (; most > 0 && g->closed_count > 0 && is_done(g); most--) {
        take_back(g, get_closed(g));
        g->waited = 0;
    }
    if (g->closed_count > 1 && ++g->waited > PATIENCE_STEPS) {
        put_closed(g, get_closed(g));
        g->waited = 0;
    }
}

/*
 * The pages of blocks that this worker never had in hand are called up together, before the first
 * of them is written to: one by one, the faults cost more than the copying. Fresh blocks are taken
 * in the order of their numbers. Without it (an older kernel, no memory) they come one by one.
 */
static void call_up(struct ring_region *g, uint32_t b) {
    uint32_t blocks = g->ring->geo.blocks;
    uint32_t to = blocks - b < CALL_UP_BLOCKS ? blocks : b + CALL_UP_BLOCKS;
    madvise(ring_block(g->ring, g->number, b), (size_t)(to - b) * RING_BLOCK_BYTES,
            MADV_POPULATE_WRITE);
    g->touched = to;
}

/* There is one. Rather one that was used before, if any can be had. */
static uint32_t take_block(struct ring_region *g) {
    if (g->free_block >= g->touched)
        take_back_some(g, TAKE_BACK_STEPS);
    uint32_t b = g->free_block;
    g->free_block = g->next[b];
    g->free_blocks--;
    if (b >= g->touched)
        call_up(g, b);
    return b;
}

/* The chain gets one block more. It ends, for a reader, before it begins to be reachable. */
static void add_block(struct ring_region *g, struct own_slot *own, struct shared_slot *shared,
                      enum ring_chain c) {
    _Atomic uint32_t *next = ring_next(g->ring, g->number);
    uint32_t b = take_block(g);
    if (own->promised[c]) {
        own->promised[c]--;
        g->promised--;
    }
    g->next[b] = RING_NONE;
    atomic_store_explicit(&next[b], RING_NONE, memory_order_relaxed);
    if (own->last[c] == RING_NONE) {
        own->first[c] = b;
        atomic_store_explicit(&shared->first[c], b, memory_order_release);
    } else {
        g->next[own->last[c]] = b;
        atomic_store_explicit(&next[own->last[c]], b, memory_order_release);
    }
    own->last[c] = b;
}

/* There is no room: takes back what is done in order, and once in a while whatever is done. */
static void take_back_all(struct ring_region *g) {
    take_back_some(g, g->closed_count);
    if (g->starved++ % SWEEP_STEPS)
        return;
    for (uint32_t n = g->closed_count; n > 0; n--) {
        bool done = is_done(g);
        uint32_t index = get_closed(g);
        if (done)
            take_back(g, index);
        else
            put_closed(g, index);
    }
}

/* ---- claim ---- */

static int lock_region(const struct ring *r, uint32_t region, short type) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = region, .l_len = 1};
    return fcntl(r->fd, F_SETLK, &l);
}

static bool has_open(const struct ring *r, uint32_t region) {
    for (uint32_t i = 0; i < r->geo.slots; i++)
        if (load_state(r, region, i) == RING_OPEN)
            return true;
    return false;
}

/* Regions that a dead worker left exchanges open in come first: they are waited for. */
static int lock_any(struct ring *r, uint32_t *ret) {
    for (int wanted = 1; wanted >= 0; wanted--) {
        for (uint32_t g = 0; g < r->regions; g++) {
            if (r->owned[g] || has_open(r, g) < wanted || lock_region(r, g, F_WRLCK))
                continue;
            r->owned[g] = true;
            *ret = g;
            return 0;
        }
    }
    return ERR_FULL;
}

/*
 * Takes a chain that another worker made into the books. `taken` marks the blocks that belong to a
 * chain. A chain that leads out of the region or into another one (only a taken-over worker makes
 * that) is cut off there in the file too: later content in that block is not its.
 */
static void adopt_chain(struct ring_region *g, uint32_t index, enum ring_chain c, bool *taken) {
    const struct ring *r = g->ring;
    struct shared_slot *shared = ring_shared(r, g->number, index);
    struct own_slot *own = &g->slots[index];
    _Atomic uint32_t *next = ring_next(r, g->number), *link = &shared->first[c];
    uint64_t blocks = 0;
    for (uint32_t b; (b = atomic_load_explicit(link, memory_order_relaxed)) != RING_NONE;) {
        if (b >= r->geo.blocks || taken[b]) {
            atomic_store_explicit(link, RING_NONE, memory_order_relaxed);
            break;
        }
        taken[b] = true;
        blocks++;
        if (own->last[c] == RING_NONE)
            own->first[c] = b;
        else
            g->next[own->last[c]] = b;
        g->next[b] = RING_NONE;
        own->last[c] = b;
        link = &next[b];
    }
    if (atomic_load_explicit(&shared->length[c], memory_order_relaxed) > blocks * RING_BLOCK_BYTES)
        atomic_store_explicit(&shared->length[c], blocks * RING_BLOCK_BYTES, memory_order_relaxed);
}

static void close_as(struct ring_region *g, uint32_t index, enum ring_outcome outcome,
                     uint64_t now_ns) {
    struct ring_meta *m = &ring_shared(g->ring, g->number, index)->meta;
    m->outcome = (uint8_t)outcome;
    m->end_ns = now_ns;
    if (outcome == RING_CUT)
        count(&ring_region_head(g->ring, g->number)->cut);
    store_state(g, index, RING_READY);
}

/* The books from what the file says. */
static void rebuild(struct ring_region *g, bool *taken) {
    const struct ring *r = g->ring;
    uint64_t now = clock_mono_ns();
    for (uint32_t i = r->geo.slots; i-- > 0;) {
        struct own_slot *own = &g->slots[i];
        uint32_t state = load_state(r, g->number, i);
        for (int c = 0; c < RING_CHAINS; c++)
            own->first[c] = own->last[c] = RING_NONE;
        if (state != RING_OPEN && state != RING_READY) {
            g->free_slots[g->free_slot_count++] = i;
            store_state(g, i, RING_FREE);
            continue;
        }
        for (int c = 0; c < RING_CHAINS; c++)
            adopt_chain(g, i, (enum ring_chain)c, taken);
        if (state == RING_OPEN)
            close_as(g, i, RING_CUT, now);
        put_closed(g, i);
    }
    g->free_block = RING_NONE;
    for (uint32_t b = r->geo.blocks; b-- > 0;)
        if (!taken[b])
            free_block(g, b);
}

/* A worker that was given no eventfd leaves the flag for one that was. */
static void wake_sealer(const struct ring *r) {
    _Atomic uint32_t *sleeping = &ring_head(r)->sleeping;
    const uint64_t one = 1;
    atomic_thread_fence(memory_order_seq_cst);
    if (r->wake_fd >= 0 && atomic_load_explicit(sleeping, memory_order_relaxed) &&
        atomic_exchange(sleeping, 0) && write(r->wake_fd, &one, sizeof one) < 0)
        return; /* EAGAIN: the counter is full, so it is awake */
}

static void free_region(struct ring_region *g) {
    free(g->next);
    free(g->free_slots);
    free(g->closed);
    free(g->slots);
    free(g);
}

int ring_claim(struct ring *r, struct ring_region **ret) {
    const uint32_t slots = r->geo.slots, blocks = r->geo.blocks;
    struct ring_region *g = calloc(1, sizeof *g);
    bool *taken = calloc(blocks, sizeof *taken);
    int rc = ERR_NOMEM;
    if (!g || !taken)
        goto out;
    g->ring = r;
    g->next = calloc(blocks, sizeof *g->next);
    g->free_slots = calloc(slots, sizeof *g->free_slots);
    g->closed = calloc(slots, sizeof *g->closed);
    g->slots = calloc(slots, sizeof *g->slots);
    if (!g->next || !g->free_slots || !g->closed || !g->slots)
        goto out;
    rc = ERR_IO;
    if (getrandom(&g->epoch, sizeof g->epoch, 0) != (ssize_t)sizeof g->epoch)
        goto out;
    rc = lock_any(r, &g->number);
    if (rc)
        goto out;
    rebuild(g, taken);
    wake_sealer(r);
    *ret = g;
out:
    free(taken);
    if (rc && g)
        free_region(g);
    return rc;
}

void ring_unclaim(struct ring_region *g) {
    if (!g)
        return;
    uint64_t now = clock_mono_ns();
    for (uint32_t i = 0; i < g->ring->geo.slots; i++)
        if (g->slots[i].open)
            close_as(g, i, RING_CUT, now);
    wake_sealer(g->ring);
    lock_region(g->ring, g->number, F_UNLCK);
    g->ring->owned[g->number] = false;
    free_region(g);
}

/* ---- an exchange ---- */

static bool has_room(const struct ring_region *g, uint64_t blocks) {
    return g->free_slot_count > 0 && g->free_blocks - g->promised >= blocks;
}

/* Wall time from the monotonic clock: both are read once in a while, so that a wall clock that is
 * set holds soon, and one read is spared in each admission. */
static uint64_t wall_us_at(struct ring_region *g, uint64_t now_ns) {
    if (now_ns - g->wall_ns > WALL_EVERY_NS) {
        g->wall_us = clock_wall_us();
        g->wall_ns = clock_mono_ns();
    }
    return g->wall_us + (uint64_t)((int64_t)(now_ns - g->wall_ns) / 1000);
}

static void begin_meta(struct ring_region *g, struct ring_meta *m, uint64_t now_ns) {
    *m = (struct ring_meta){
        .epoch = g->epoch,
        .sequence = ++g->sequence,
        .start_us = wall_us_at(g, now_ns),
        .start_ns = now_ns,
    };
    uuid_v7(m->id, m->start_us, m->epoch, m->sequence);
}

int ring_admit(struct ring_region *g, uint64_t request_bytes, uint64_t now_ns,
               struct ring_slot **ret) {
    struct shared_region *head = ring_region_head(g->ring, g->number);
    if (request_bytes > LIMIT_REQUEST_BODY)
        return ERR_LIMIT;
    const uint32_t want[RING_CHAINS] = {(uint32_t)ring_blocks_of(request_bytes),
                                        RING_ANSWER_ROOM / RING_BLOCK_BYTES, 0};
    const uint32_t blocks = want[RING_REQUEST] + want[RING_ANSWER];
    take_back_some(g, TAKE_BACK_STEPS);
    if (!has_room(g, blocks))
        take_back_all(g);
    if (!has_room(g, blocks)) {
        count(&head->refused);
        return ERR_FULL;
    }
    uint32_t index = g->free_slots[--g->free_slot_count];
    struct shared_slot *shared = ring_shared(g->ring, g->number, index);
    struct own_slot *own = &g->slots[index];
    *own = (struct own_slot){.open = true};
    for (int c = 0; c < RING_CHAINS; c++) {
        own->first[c] = own->last[c] = RING_NONE;
        own->promised[c] = want[c];
        atomic_store_explicit(&shared->first[c], RING_NONE, memory_order_relaxed);
        atomic_store_explicit(&shared->length[c], 0, memory_order_relaxed);
    }
    g->promised += blocks;
    begin_meta(g, &shared->meta, now_ns);
    count(&head->admitted);
    store_state(g, index, RING_OPEN);
    *ret = ring_handle(g->ring, g->number, index);
    return 0;
}

static struct own_slot *open_slot(struct ring_region *g, const struct ring_slot *s) {
    CHECK(s->ring == g->ring && s->region == g->number && g->slots[s->index].open);
    return &g->slots[s->index];
}

struct ring_meta *ring_meta(struct ring_slot *s) {
    return &ring_shared(s->ring, s->region, s->index)->meta;
}

int ring_append(struct ring_region *g, struct ring_slot *s, enum ring_chain c, const void *src,
                size_t len) {
    struct own_slot *own = open_slot(g, s);
    struct shared_slot *shared = ring_shared(g->ring, g->number, s->index);
    const uint8_t *from = src;
    if (len > ring_chain_limit(c) - own->length[c])
        return ERR_LIMIT;
    uint64_t want = ring_blocks_of(own->length[c] + len) - ring_blocks_of(own->length[c]);
    if (want > own->promised[c] && want - own->promised[c] > g->free_blocks - g->promised) {
        take_back_all(g);
        if (want - own->promised[c] > g->free_blocks - g->promised)
            return ERR_FULL;
    }
    while (len > 0) {
        size_t at = own->length[c] % RING_BLOCK_BYTES;
        size_t n = RING_BLOCK_BYTES - at < len ? RING_BLOCK_BYTES - at : len;
        if (at == 0)
            add_block(g, own, shared, c);
        stream_copy(ring_block(g->ring, g->number, own->last[c]) + at, from, n);
        own->length[c] += n;
        atomic_store_explicit(&shared->length[c], own->length[c], memory_order_release);
        from += n;
        len -= n;
    }
    return 0;
}

void ring_close(struct ring_region *g, struct ring_slot *s, enum ring_outcome outcome,
                uint64_t now_ns) {
    struct own_slot *own = open_slot(g, s);
    own->open = false;
    for (int c = 0; c < RING_CHAINS; c++) {
        g->promised -= own->promised[c];
        own->promised[c] = 0;
    }
    put_closed(g, s->index);
    close_as(g, s->index, outcome, now_ns);
    wake_sealer(g->ring);
}
