/*
 * The ring's file (ring.h): making it, mapping it, counting what is in it. The worker's side is
 * worker.c, the sealer's is reader.c. Used by the supervisor (ring_create alone, which never maps),
 * by gateway workers, and by the sealer.
 *
 * The file is a memfd of a fixed size, sealed against shrinking, so a mapping cannot be made to
 * fault by another holder. Pages exist once they are written: room that is promised costs nothing.
 */
#include "ring/ring_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/memfile.h"

static size_t round_up(size_t v, size_t to) {
    return (v + to - 1) / to * to;
}

int ring_geometry(struct ring_geometry *ret, size_t bytes, uint32_t regions) {
    if (regions == 0 || regions > RING_REGIONS_MAX || bytes <= RING_HEAD_BYTES)
        return ERR_USAGE;
    struct ring_geometry g = {0};
    g.region_bytes = (bytes - RING_HEAD_BYTES) / regions / RING_BLOCK_BYTES * RING_BLOCK_BYTES;
    if (g.region_bytes < RING_REGION_MIN || g.region_bytes / RING_BLOCK_BYTES >= RING_NONE)
        return ERR_USAGE;
    g.slots = (uint32_t)(g.region_bytes / RING_SLOT_EVERY);
    g.slots_at = round_up(sizeof(struct shared_region) + g.slots * sizeof(uint32_t), 64);
    g.next_at = g.slots_at + g.slots * sizeof(struct shared_slot);
    /* One block less than would fit exactly: the blocks begin at a page. */
    g.blocks = (uint32_t)((g.region_bytes - g.next_at) / (RING_BLOCK_BYTES + sizeof(uint32_t)) - 1);
    g.blocks_at = g.region_bytes - (size_t)g.blocks * RING_BLOCK_BYTES;
    *ret = g;
    return 0;
}

int ring_create(size_t bytes, unsigned regions, int *ret_fd) {
    struct ring_geometry g;
    const struct shared_head head = {.magic = RING_MAGIC, .bytes = bytes, .regions = regions};
    int rc = ring_geometry(&g, bytes, regions);
    if (rc)
        return rc;
    return memfile_new("safehouse-ring", bytes, &head, sizeof head, ret_fd);
}

/* Plaintext stays out of cores, of children that did not ask for it, and, where the limit allows,
 * of swap. Locking on fault: a lock must not make all of the pages exist. */
static void guard_pages(const struct ring *r) {
    madvise(r->map, r->bytes, MADV_DONTDUMP);
    madvise(r->map, r->bytes, MADV_DONTFORK);
    mlock2(r->map, r->bytes, MLOCK_ONFAULT);
}

static int map_file(struct ring *r) {
    struct stat st;
    if (fstat(r->fd, &st))
        return err_from_errno(errno);
    int seals = fcntl(r->fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || st.st_size < (off_t)RING_HEAD_BYTES)
        return ERR_CORRUPT;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (p == MAP_FAILED)
        return err_from_errno(errno);
    r->map = p;
    r->bytes = (size_t)st.st_size;
    guard_pages(r);
    const struct shared_head *h = ring_head(r);
    r->regions = h->regions;
    if (h->magic != RING_MAGIC || h->bytes != r->bytes ||
        ring_geometry(&r->geo, r->bytes, r->regions))
        return ERR_CORRUPT;
    r->handles = calloc((size_t)r->regions * r->geo.slots, sizeof *r->handles);
    return r->handles ? 0 : ERR_NOMEM;
}

int ring_map(int fd, struct ring **ret) {
    struct ring *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->fd = fd;
    r->wake_fd = -1;
    int rc = map_file(r);
    if (rc)
        ring_unmap(r);
    else
        *ret = r;
    return rc;
}

void ring_unmap(struct ring *r) {
    if (!r)
        return;
    if (r->map)
        munmap(r->map, r->bytes);
    free(r->handles);
    free(r->found);
    free(r);
}

void ring_set_wake_fd(struct ring *r, int fd) {
    r->wake_fd = fd;
}

static void count_slot(const struct ring *r, uint32_t region, uint32_t index, uint32_t state,
                       struct ring_usage *u) {
    const struct shared_slot *s = ring_shared(r, region, index);
    u->slots_used++;
    for (int c = 0; c < RING_CHAINS; c++) {
        uint64_t blocks = ring_blocks_of(atomic_load_explicit(&s->length[c], memory_order_relaxed));
        u->bytes_used += (blocks < r->geo.blocks ? blocks : r->geo.blocks) * RING_BLOCK_BYTES;
    }
    if (state == RING_READY) {
        uint64_t end_ns = __atomic_load_n(&s->meta.end_ns, __ATOMIC_RELAXED);
        if (u->oldest_ready_ns == 0 || end_ns < u->oldest_ready_ns)
            u->oldest_ready_ns = end_ns;
    }
}

void ring_usage(const struct ring *r, struct ring_usage *ret) {
    struct ring_usage u = {
        .slots = (uint64_t)r->regions * r->geo.slots,
        .bytes = (uint64_t)r->regions * r->geo.blocks * RING_BLOCK_BYTES,
    };
    for (uint32_t g = 0; g < r->regions; g++) {
        struct shared_region *h = ring_region_head(r, g);
        u.admitted += atomic_load_explicit(&h->admitted, memory_order_relaxed);
        u.refused += atomic_load_explicit(&h->refused, memory_order_relaxed);
        u.cut += atomic_load_explicit(&h->cut, memory_order_relaxed);
        for (uint32_t i = 0; i < r->geo.slots; i++) {
            uint32_t state = atomic_load_explicit(&h->state[i], memory_order_acquire);
            if (state == RING_OPEN || state == RING_READY)
                count_slot(r, g, i, state, &u);
        }
    }
    *ret = u;
}
