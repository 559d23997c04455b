/*
 * The sealer's side of the ring (ring.h): collecting closed slots in order, reading, releasing,
 * sleeping. A worker may have written anything: whatever is read from the file is copied before it
 * is judged, block numbers are checked, and a walk has as many steps as the length allows.
 *
 * A sealer may die in the middle of ring_release. The slot's epoch and sequence number go last, so
 * the next sealer knows such a slot either by them (the spool has it) or, when they are zero, as
 * one that only DONE is missing of.
 */
#include "ring/ring_int.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "ring/stream.h"

static uint64_t load_u64(const uint64_t *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* ---- collecting ---- */

static bool before(const struct ring_found *a, const struct ring_found *b) {
    if (a->end_ns != b->end_ns)
        return a->end_ns < b->end_ns;
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch;
    return a->sequence < b->sequence;
}

/* The heap's root is the latest of the slots kept: the one that gives way to an earlier one. */
static void sift_down(struct ring_found *h, size_t n, size_t i) {
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&h[child], &h[child + 1]))
            child++;
        if (!before(&h[i], &h[child]))
            return;
        struct ring_found t = h[i];
        h[i] = h[child];
        h[child] = t;
    }
}

static void sift_up(struct ring_found *h, size_t i) {
    for (size_t up; i > 0 && before(&h[up = (i - 1) / 2], &h[i]); i = up) {
        struct ring_found t = h[i];
        h[i] = h[up];
        h[up] = t;
    }
}

static size_t keep_earliest(struct ring_found *h, size_t n, size_t max,
                            const struct ring_found *f) {
    if (n < max) {
        h[n] = *f;
        sift_up(h, n);
        return n + 1;
    }
    if (before(f, &h[0])) {
        h[0] = *f;
        sift_down(h, n, 0);
    }
    return n;
}

/* Is the READY slot one of those that closed before `began_ns`? A close in the future is no clock's
 * doing; such a slot is taken too, or it would stay for ever. */
static bool is_due(struct ring_slot *s, uint64_t began_ns, struct ring_found *ret) {
    const struct ring_meta *m = ring_meta_of(s);
    struct ring_found f = {load_u64(&m->end_ns), load_u64(&m->epoch), load_u64(&m->sequence), s};
    if (f.sequence == 0) {
        ring_release(s);
        return false;
    }
    if (f.end_ns >= began_ns) {
        if (f.end_ns <= clock_mono_ns())
            return false;
        f.end_ns = began_ns;
    }
    *ret = f;
    return true;
}

static bool have_scratch(struct ring *r, size_t max) {
    if (max <= r->found_max)
        return true;
    struct ring_found *p = realloc(r->found, max * sizeof *p);
    if (!p)
        return false;
    r->found = p;
    r->found_max = max;
    return true;
}

size_t ring_collect(struct ring *r, struct ring_slot **out, size_t max) {
    uint64_t began_ns = clock_mono_ns();
    size_t n = 0;
    if (max == 0 || !have_scratch(r, max))
        return 0;
    for (uint32_t g = 0; g < r->regions; g++) {
        const struct shared_region *h = ring_region_head(r, g);
        for (uint32_t i = 0; i < r->geo.slots; i++) {
            struct ring_found f;
            if (atomic_load_explicit(&h->state[i], memory_order_acquire) == RING_READY &&
                is_due(ring_handle(r, g, i), began_ns, &f))
                n = keep_earliest(r->found, n, max, &f);
        }
    }
    for (size_t left = n; left > 0; left--) {
        out[left - 1] = r->found[0].slot;
        r->found[0] = r->found[left - 1];
        sift_down(r->found, left - 1, 0);
    }
    return n;
}

void ring_each(struct ring *r, ring_each_fn *fn, void *arg) {
    for (uint32_t g = 0; g < r->regions; g++) {
        const struct shared_region *h = ring_region_head(r, g);
        for (uint32_t i = 0; i < r->geo.slots; i++) {
            const uint32_t state = atomic_load_explicit(&h->state[i], memory_order_acquire);
            if (state != RING_OPEN && state != RING_READY)
                continue;
            const struct ring_meta *m = ring_meta_of(ring_handle(r, g, i));
            fn(arg, load_u64(&m->epoch), load_u64(&m->sequence));
        }
    }
}

/* ---- a slot ---- */

const struct ring_meta *ring_meta_of(const struct ring_slot *s) {
    return &ring_shared(s->ring, s->region, s->index)->meta;
}

/* At most what the chain may hold at all, and the region has room for. */
uint64_t ring_length(const struct ring_slot *s, enum ring_chain c) {
    uint64_t len = atomic_load_explicit(&ring_shared(s->ring, s->region, s->index)->length[c],
                                        memory_order_acquire);
    uint64_t most = (uint64_t)s->ring->geo.blocks * RING_BLOCK_BYTES;
    if (most > ring_chain_limit(c))
        most = ring_chain_limit(c);
    return len < most ? len : most;
}

static uint32_t first_block(const struct ring_slot *s, enum ring_chain c) {
    return atomic_load_explicit(&ring_shared(s->ring, s->region, s->index)->first[c],
                                memory_order_acquire);
}

static uint32_t next_block(const struct ring_slot *s, uint32_t b) {
    return atomic_load_explicit(&ring_next(s->ring, s->region)[b], memory_order_acquire);
}

int ring_read(const struct ring_slot *s, enum ring_chain c, struct buf *out) {
    uint64_t left = ring_length(s, c);
    int rc = buf_reserve(out, left);
    for (uint32_t b = first_block(s, c); !rc && left > 0; b = next_block(s, b)) {
        if (b >= s->ring->geo.blocks)
            return 0;
        size_t n = left < RING_BLOCK_BYTES ? (size_t)left : RING_BLOCK_BYTES;
        rc = buf_append(out, ring_block(s->ring, s->region, b), n);
        left -= n;
    }
    return rc;
}

/* ---- tries ---- */

static _Atomic uint32_t *tries_of(const struct ring_slot *s) {
    return &ring_shared(s->ring, s->region, s->index)->tries;
}

unsigned ring_tries(const struct ring_slot *s) {
    return atomic_load_explicit(tries_of(s), memory_order_relaxed);
}

/* Release order: what comes after may end the process. */
void ring_try(struct ring_slot *s) {
    uint32_t n = ring_tries(s);
    atomic_store_explicit(tries_of(s), n < UINT32_MAX ? n + 1 : n, memory_order_release);
}

void ring_tried(struct ring_slot *s) {
    atomic_store_explicit(tries_of(s), 0, memory_order_release);
}

/* ---- releasing ---- */

/* Zeroes the chain's blocks, and the one that a killed worker may have linked and begun to fill
 * without having said so. */
static void zero_chain(const struct ring_slot *s, enum ring_chain c) {
    uint64_t blocks = ring_blocks_of(ring_length(s, c)) + 1;
    uint32_t b = first_block(s, c);
    for (; blocks > 0 && b < s->ring->geo.blocks; blocks--, b = next_block(s, b))
        stream_zero(ring_block(s->ring, s->region, b), RING_BLOCK_BYTES);
}

void ring_release(struct ring_slot *s) {
    struct shared_slot *shared = ring_shared(s->ring, s->region, s->index);
    struct ring_meta *m = &shared->meta;
    const size_t after = offsetof(struct ring_meta, sequence) + sizeof m->sequence;
    for (int c = 0; c < RING_CHAINS; c++)
        zero_chain(s, (enum ring_chain)c);
    for (int c = 0; c < RING_CHAINS; c++) {
        atomic_store_explicit(&shared->length[c], 0, memory_order_release);
        atomic_store_explicit(&shared->first[c], RING_NONE, memory_order_release);
    }
    ring_tried(s);
    explicit_bzero(m->id, sizeof m->id);
    explicit_bzero((uint8_t *)m + after, sizeof *m - after);
    __atomic_store_n(&m->sequence, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&m->epoch, 0, __ATOMIC_RELEASE);
    atomic_store_explicit(&ring_region_head(s->ring, s->region)->state[s->index], RING_DONE,
                          memory_order_release);
}

/* ---- sleeping ---- */

static bool any_ready(const struct ring *r) {
    for (uint32_t g = 0; g < r->regions; g++) {
        const struct shared_region *h = ring_region_head(r, g);
        for (uint32_t i = 0; i < r->geo.slots; i++)
            if (atomic_load_explicit(&h->state[i], memory_order_acquire) == RING_READY)
                return true;
    }
    return false;
}

bool ring_may_sleep(struct ring *r) {
    _Atomic uint32_t *sleeping = &ring_head(r)->sleeping;
    atomic_store_explicit(sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* either a worker sees this, or we its READY */
    if (!any_ready(r))
        return true;
    atomic_store_explicit(sleeping, 0, memory_order_relaxed);
    return false;
}
