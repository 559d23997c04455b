/* The ring: a slot's life, order, fullness, dead owners, what is left behind, hostile bytes, load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "ring/labels.h"
#include "ring/ring.h"
#include "ring/ring_int.h"
#include "../vectors.h"

static int fd = -1;
static struct ring *ring; /* as the reader's */

static void make(size_t bytes, unsigned regions) {
    assert_int_equal(ring_create(bytes, regions, &fd), 0);
    assert_int_equal(ring_map(fd, &ring), 0);
}

static int unmake(void **state) {
    (void)state;
    ring_unmap(ring);
    ring = NULL;
    if (fd >= 0)
        close(fd);
    fd = -1;
    return 0;
}

static struct ring_slot *admit(struct ring_region *g, uint64_t bytes) {
    struct ring_slot *s = NULL;
    assert_int_equal(ring_admit(g, bytes, clock_mono_ns(), &s), 0);
    return s;
}

static void append(struct ring_region *g, struct ring_slot *s, enum ring_chain c, const char *t) {
    assert_int_equal(ring_append(g, s, c, t, strlen(t)), 0);
}

static void expect(const struct ring_slot *s, enum ring_chain c, const void *p, size_t len) {
    struct buf b;
    buf_init(&b, LIMIT_ANSWER_BODY);
    assert_int_equal(ring_length(s, c), len);
    assert_int_equal(ring_read(s, c, &b), 0);
    assert_int_equal(b.len, len);
    if (len)
        assert_memory_equal(b.p, p, len);
    buf_wipe(&b);
}

/* Is the needle anywhere in the file? */
static bool in_file(const char *needle) {
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    bool found = memmem(p, (size_t)st.st_size, needle, strlen(needle)) != NULL;
    munmap(p, (size_t)st.st_size);
    return found;
}

static void life(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[4];
    uint8_t big[3 * RING_BLOCK_BYTES + 17];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 7 + i / 256);
    make(1 << 20, 2);
    assert_int_equal(ring_claim(ring, &g), 0);
    for (int round = 0; round < 300; round++) {
        struct ring_slot *s = admit(g, 11);
        struct ring_meta *m = ring_meta(s);
        assert_int_equal(m->sequence, round + 1);
        assert_int_equal(uuid_v7_ms(m->id), m->start_us / 1000);
        strcpy(m->tenant, "tenant");
        m->status = 200;
        append(g, s, RING_REQUEST, "hello ");
        append(g, s, RING_REQUEST, "world");
        assert_int_equal(ring_append(g, s, RING_ANSWER, big, 5), 0);
        assert_int_equal(ring_append(g, s, RING_ANSWER, big + 5, sizeof big - 5), 0);
        assert_int_equal(ring_collect(ring, out, 4), 0); /* OPEN is not collected */
        ring_close(g, s, RING_COMPLETE, clock_mono_ns());
        assert_int_equal(ring_collect(ring, out, 4), 1);
        assert_int_equal(ring_collect(ring, out, 4), 1); /* READY until released */
        const struct ring_meta *got = ring_meta_of(out[0]);
        assert_string_equal(got->tenant, "tenant");
        assert_int_equal(got->status, 200);
        assert_int_equal(got->outcome, RING_COMPLETE);
        assert_true(got->end_ns >= got->start_ns && got->end_ns <= clock_mono_ns());
        expect(out[0], RING_REQUEST, "hello world", 11);
        expect(out[0], RING_ANSWER, big, sizeof big);
        ring_release(out[0]);
        assert_int_equal(ring_collect(ring, out, 4), 0);
    }
    struct ring_usage u;
    ring_usage(ring, &u);
    assert_int_equal(u.admitted, 300);
    assert_int_equal(u.slots_used + u.bytes_used + u.refused + u.cut + u.oldest_ready_ns, 0);
    ring_unclaim(g);
}

/* Tries are in the file, not in the process, and do not pass to the slot's next exchange. */
static void tries(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[1];
    struct ring *other;
    make(1 << 20, 1);
    assert_int_equal(ring_claim(ring, &g), 0);
    for (int round = 0; round < 300; round++) { /* every slot comes again */
        struct ring_slot *s = admit(g, 5);
        append(g, s, RING_REQUEST, "hello");
        ring_close(g, s, RING_COMPLETE, clock_mono_ns());
        assert_int_equal(ring_collect(ring, out, 1), 1);
        assert_int_equal(ring_tries(out[0]), 0);
        ring_try(out[0]);
        ring_try(out[0]);
        assert_int_equal(ring_tries(out[0]), 2);
        assert_int_equal(ring_map(fd, &other), 0); /* as the next sealer does */
        assert_int_equal(ring_collect(other, out, 1), 1);
        assert_int_equal(ring_tries(out[0]), 2);
        if (round % 2)
            ring_tried(out[0]);
        assert_int_equal(ring_tries(out[0]), round % 2 ? 0 : 2);
        expect(out[0], RING_REQUEST, "hello", 5);
        ring_release(out[0]);
        ring_unmap(other);
    }
    ring_unclaim(g);
}

static void arguments(void **state) {
    (void)state;
    int other;
    struct ring *r;
    assert_int_equal(ring_create(1 << 20, 0, &other), ERR_USAGE);
    assert_int_equal(ring_create(4096, 1, &other), ERR_USAGE);
    assert_int_equal(ring_create(1 << 20, 64, &other), ERR_USAGE);
    assert_int_equal(ring_create(1 << 20, 100000, &other), ERR_USAGE);
    make(1 << 20, 2);
    assert_int_equal(ftruncate(fd, 4096), -1); /* sealed */
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    uint32_t regions = 3;
    assert_int_equal(pwrite(fd, &regions, 4, 16), 4);
    assert_int_equal(ring_map(fd, &r), 0); /* another division, as good as this one */
    ring_unmap(r);
    regions = 0;
    assert_int_equal(pwrite(fd, &regions, 4, 16), 4);
    assert_int_equal(ring_map(fd, &r), ERR_CORRUPT);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(ring_map(fd, &r), ERR_CORRUPT);
    other = memfd_create("unsealed", MFD_CLOEXEC);
    assert_int_equal(ftruncate(other, 1 << 20), 0);
    assert_int_equal(ring_map(other, &r), ERR_CORRUPT);
    close(other);
}

static void full(void **state) {
    (void)state;
    struct ring_region *g, *h;
    struct ring_slot *s[64], *out[64];
    static uint8_t bytes[1 << 18];
    make(1 << 18, 1);
    assert_int_equal(ring_claim(ring, &g), 0);
    assert_int_equal(ring_claim(ring, &h), ERR_FULL); /* the one region is owned */
    size_t n = 0;
    while (ring_admit(g, 1, clock_mono_ns(), &s[n]) == 0)
        n++;
    assert_int_equal(n, ring->geo.blocks / 5);
    /* Each has its promised room, however full the ring is; one of them gets what is left. */
    uint32_t left = ring->geo.blocks % 5;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ring_append(g, s[i], RING_REQUEST, bytes, 1), 0);
        assert_int_equal(ring_append(g, s[i], RING_ANSWER, bytes, 16 << 10), 0);
    }
    for (uint32_t i = 0; i < left; i++)
        assert_int_equal(ring_append(g, s[0], RING_ANSWER, bytes, RING_BLOCK_BYTES), 0);
    assert_int_equal(ring_append(g, s[0], RING_ANSWER, bytes, 1), ERR_FULL);
    assert_int_equal(ring_length(s[0], RING_ANSWER), (16 << 10) + left * RING_BLOCK_BYTES);
    assert_int_equal(ring_append(g, s[1], RING_REQUEST, bytes, RING_BLOCK_BYTES), ERR_FULL);
    assert_int_equal(ring_append(g, s[1], RING_REQUEST, bytes, RING_BLOCK_BYTES - 1), 0);
    struct ring_usage u;
    ring_usage(ring, &u);
    assert_int_equal(u.bytes_used, u.bytes);
    assert_int_equal(u.refused, 1);
    assert_int_equal(u.slots_used, n);
    /* One that is let go makes room for one. */
    ring_close(g, s[2], RING_CANCELLED, clock_mono_ns());
    assert_int_equal(ring_admit(g, 1, clock_mono_ns(), &s[2]), ERR_FULL);
    assert_int_equal(ring_collect(ring, out, 64), 1);
    ring_release(out[0]);
    s[2] = admit(g, 1);
    /* A close gives back what was promised and not used. */
    ring_close(g, s[2], RING_REFUSED, clock_mono_ns());
    s[2] = admit(g, 1);
    assert_int_equal(ring_admit(g, LIMIT_REQUEST_BODY, clock_mono_ns(), &s[3]), ERR_FULL);
    assert_int_equal(ring_admit(g, (uint64_t)LIMIT_REQUEST_BODY + 1, clock_mono_ns(), &s[3]),
                     ERR_LIMIT);
    ring_unclaim(g);
}

static void ceilings(void **state) {
    (void)state;
    struct ring_region *g;
    make((size_t)160 << 20, 1);
    uint8_t *p = calloc(1, LIMIT_ANSWER_BODY);
    assert_non_null(p);
    assert_int_equal(ring_claim(ring, &g), 0);
    struct ring_slot *s = admit(g, LIMIT_REQUEST_BODY);
    assert_int_equal(ring_append(g, s, RING_REQUEST, p, LIMIT_REQUEST_BODY), 0);
    assert_int_equal(ring_append(g, s, RING_REQUEST, p, 1), ERR_LIMIT);
    assert_int_equal(ring_append(g, s, RING_ANSWER, p, LIMIT_ANSWER_BODY), 0);
    assert_int_equal(ring_append(g, s, RING_ANSWER, p, 1), ERR_LIMIT);
    ring_close(g, s, RING_COMPLETE, clock_mono_ns());
    expect(s, RING_ANSWER, p, LIMIT_ANSWER_BODY);
    free(p);
    ring_unclaim(g);
}

static blkcnt_t resident(void) {
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_blocks;
}

/* What the sealer gave back is used before memory that nobody has touched yet. */
static void used_blocks_first(void **state) {
    (void)state;
    enum { BODY = 2 << 20, ROUNDS = 6 };
    struct ring_region *g;
    uint8_t *p = malloc(BODY);
    assert_non_null(p);
    memset(p, 'x', BODY);
    make((size_t)64 << 20, 1);
    assert_int_equal(ring_claim(ring, &g), 0);
    struct ring_slot *now = admit(g, BODY), *next, *out[1];
    assert_int_equal(ring_append(g, now, RING_REQUEST, p, BODY), 0);
    const blkcnt_t first = resident();
    assert_true(first >= BODY / 512);
    assert_true(first < (BODY + (1 << 20)) / 512);
    for (int round = 0; round < ROUNDS; round++) {
        next = admit(g, BODY); /* before the other one is given back */
        ring_close(g, now, RING_COMPLETE, clock_mono_ns());
        assert_int_equal(ring_collect(ring, out, 1), 1);
        ring_release(out[0]);
        assert_int_equal(ring_append(g, next, RING_REQUEST, p, BODY), 0);
        now = next;
    }
    expect(now, RING_REQUEST, p, BODY);
    assert_true(resident() - first < (1 << 20) / 512);
    free(p);
    ring_unclaim(g);
}

/* 10 000 open streams, 2 kB of request and 4 kB of answer each, in 210 MB. */
static void many_streams(void **state) {
    (void)state;
    struct ring_region *g;
    static uint8_t bytes[4096];
    struct stat st;
    make((size_t)226 << 20, 1);
    assert_int_equal(ring_claim(ring, &g), 0);
    for (int i = 0; i < 10000; i++) {
        struct ring_slot *s = admit(g, 2000);
        if (i == 0) {
            assert_int_equal(fstat(fd, &st), 0);
            assert_true(st.st_blocks * 512 < 1 << 20); /* a promise touches no page of the blocks */
        }
        assert_int_equal(ring_append(g, s, RING_REQUEST, bytes, 2000), 0);
        assert_int_equal(ring_append(g, s, RING_ANSWER, bytes, 4000), 0);
    }
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 < 100 << 20);
    ring_unclaim(g);
}

static void order(void **state) {
    (void)state;
    struct ring_region *g[3];
    struct ring_slot *s[60], *out[60];
    make(3 << 20, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ring_claim(ring, &g[i]), 0);
    for (int i = 0; i < 60; i++)
        s[i] = admit(g[i % 3], 0);
    int closed[60], at = 7;
    for (int i = 0; i < 60; i++, at = (at + 7) % 60) { /* 7 and 60 have no common factor */
        closed[i] = at;
        ring_close(g[at % 3], s[at], RING_COMPLETE, clock_mono_ns());
    }
    for (size_t max = 1; max <= 60; max++) {
        assert_int_equal(ring_collect(ring, out, max), max);
        for (size_t i = 0; i < max; i++)
            assert_ptr_equal(out[i], s[closed[i]]);
    }
    /* At the same instant: by epoch, then by sequence. */
    for (int i = 0; i < 60; i++)
        ring_meta(s[i])->end_ns = 1;
    assert_int_equal(ring_collect(ring, out, 60), 60);
    for (int i = 1; i < 60; i++) {
        const struct ring_meta *a = ring_meta_of(out[i - 1]), *b = ring_meta_of(out[i]);
        assert_true(a->epoch < b->epoch || (a->epoch == b->epoch && a->sequence < b->sequence));
    }
    /* A close that has not been yet is nobody's clock: it comes last, but it comes. */
    ring_meta(s[5])->end_ns = UINT64_MAX;
    assert_int_equal(ring_collect(ring, out, 60), 60);
    assert_ptr_equal(out[59], s[5]);
    for (int i = 0; i < 3; i++)
        ring_unclaim(g[i]);
}

static pid_t worker_that_hangs(void (*work)(struct ring_region *)) {
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct ring *mine;
        struct ring_region *g;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ring_map(fd, &mine) || ring_claim(mine, &g))
            _exit(1);
        work(g);
        if (write(ready[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return pid;
}

static void end_by_kill(pid_t pid) {
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void three_exchanges(struct ring_region *g) {
    struct ring_slot *s;
    if (ring_admit(g, 8, clock_mono_ns(), &s) || ring_append(g, s, RING_REQUEST, "finished", 8))
        _exit(1);
    ring_close(g, s, RING_COMPLETE, clock_mono_ns());
    for (int i = 0; i < 2; i++)
        if (ring_admit(g, 8, clock_mono_ns(), &s) ||
            ring_append(g, s, RING_REQUEST, "under way", 9) ||
            ring_append(g, s, RING_ANSWER, "parted", 6))
            _exit(1);
}

static void dead_owner(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[8];
    struct ring_usage u;
    make(1 << 20, 2);
    pid_t pid = worker_that_hangs(three_exchanges);
    assert_int_equal(ring_collect(ring, out, 8), 1);
    assert_int_equal(ring_claim(ring, &g), 0); /* not its region: that has an owner */
    assert_int_equal(g->number, 1);
    assert_int_equal(ring_collect(ring, out, 8), 1);
    ring_unclaim(g);
    end_by_kill(pid);
    assert_int_equal(ring_claim(ring, &g), 0);
    assert_int_equal(g->number, 0);
    assert_int_equal(ring_collect(ring, out, 8), 3);
    assert_int_equal(ring_meta_of(out[0])->outcome, RING_COMPLETE);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(ring_meta_of(out[i])->outcome, RING_CUT);
        assert_int_equal(ring_meta_of(out[i])->sequence, i + 1);
        expect(out[i], RING_REQUEST, "under way", 9);
        expect(out[i], RING_ANSWER, "parted", 6);
    }
    ring_usage(ring, &u);
    assert_int_equal(u.cut, 2);
    assert_int_equal(u.oldest_ready_ns, ring_meta_of(out[0])->end_ns);
    /* Its blocks are not given away before they are released, and all come back after. */
    uint32_t used = ring->geo.blocks - g->free_blocks;
    assert_int_equal(used, 5);
    for (int i = 0; i < 3; i++)
        ring_release(out[i]);
    struct ring_slot *s = admit(g, 0);
    assert_int_equal(g->free_blocks, ring->geo.blocks);
    assert_true(ring_meta(s)->epoch != 0);
    ring_unclaim(g);
    ring_usage(ring, &u);
    assert_int_equal(u.cut, 3);
    assert_int_equal(ring_collect(ring, out, 8), 1);
}

/* A worker that was left with an open exchange is succeeded first, wherever its region is. */
static void left_open_first(void **state) {
    (void)state;
    struct ring_region *g;
    make(1 << 20, 2);
    assert_int_equal(ring_claim(ring, &g), 0);
    pid_t pid = worker_that_hangs(three_exchanges); /* gets region 1 */
    ring_unclaim(g);
    end_by_kill(pid);
    assert_int_equal(ring_claim(ring, &g), 0);
    assert_int_equal(g->number, 1);
    ring_unclaim(g);
}

static void nothing_left(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[8];
    char text[20000];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i + 16 < sizeof text; i += 50)
        memcpy(text + i, "secret-of-person", 16);
    make(1 << 20, 1);
    assert_int_equal(ring_claim(ring, &g), 0);
    for (int i = 0; i < 5; i++) {
        struct ring_slot *s = admit(g, 100);
        strcpy(ring_meta(s)->key_id, "key-of-the-person");
        assert_int_equal(ring_append(g, s, RING_REQUEST, text, sizeof text), 0);
        assert_int_equal(ring_append(g, s, RING_ANSWER, text, 8192), 0);
        /* As a worker leaves it that is killed between copying and telling the length. */
        atomic_store(&ring_shared(ring, 0, s->index)->length[RING_ANSWER], 4096 - 17);
        ring_close(g, s, RING_COMPLETE, clock_mono_ns());
    }
    assert_true(in_file("secret-of-person"));
    assert_true(in_file("key-of-the-person"));
    assert_int_equal(ring_collect(ring, out, 8), 5);
    for (int i = 0; i < 5; i++)
        ring_release(out[i]);
    assert_false(in_file("secret-of-person"));
    assert_false(in_file("key-of-the-person"));
    ring_unclaim(g);
}

/* A sealer that died in ring_release: the next one ends it, and reports no exchange of it. */
static void half_released(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[2];
    make(1 << 20, 1);
    assert_int_equal(ring_claim(ring, &g), 0);
    struct ring_slot *s = admit(g, 0);
    ring_close(g, s, RING_COMPLETE, clock_mono_ns());
    ring_release(s);
    atomic_store(&ring_region_head(ring, 0)->state[s->index], RING_READY);
    assert_int_equal(ring_collect(ring, out, 2), 0);
    assert_true(ring_may_sleep(ring));
    ring_unclaim(g);
}

static uint64_t wakes(int wake) {
    uint64_t n = 0;
    return read(wake, &n, sizeof n) == sizeof n ? n : 0;
}

static void waking(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[2];
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    make(1 << 20, 1);
    ring_set_wake_fd(ring, wake);
    assert_int_equal(ring_claim(ring, &g), 0);
    ring_close(g, admit(g, 0), RING_COMPLETE, clock_mono_ns());
    assert_int_equal(wakes(wake), 0); /* nobody sleeps */
    assert_false(ring_may_sleep(ring));
    assert_int_equal(ring_collect(ring, out, 2), 1);
    ring_release(out[0]);
    assert_true(ring_may_sleep(ring));
    struct ring_slot *a = admit(g, 0), *b = admit(g, 0);
    assert_int_equal(wakes(wake), 0);
    ring_close(g, a, RING_COMPLETE, clock_mono_ns());
    ring_close(g, b, RING_COMPLETE, clock_mono_ns());
    assert_int_equal(wakes(wake), 1); /* once */
    ring_unclaim(g);
    close(wake);
}

/* ---- hostile bytes ---- */

static uint64_t seed = 0x9e3779b97f4a7c15ull;
static uint64_t rnd(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* What a worker may write: random bytes, and numbers that are nearly right. */
static void scribble(void) {
    const uint32_t slots = ring->geo.slots, blocks = ring->geo.blocks;
    for (int i = 0; i < 8; i++) {
        struct shared_slot *s = ring_shared(ring, 0, (uint32_t)(rnd() % slots));
        uint32_t b = (uint32_t)(rnd() % (blocks + 2));
        switch (rnd() % 7) {
        case 0:
            atomic_store(&ring_region_head(ring, 0)->state[rnd() % slots], (uint32_t)(rnd() % 5));
            break;
        case 1:
            atomic_store(&s->first[rnd() % 2], b);
            break;
        case 2:
            atomic_store(&s->length[rnd() % 2], rnd() >> rnd() % 64);
            break;
        case 3:
            atomic_store(&ring_next(ring, 0)[rnd() % blocks], b);
            break;
        case 4:
            s->meta.sequence = rnd() % 3;
            break;
        case 5:
            s->meta.end_ns = rnd() >> rnd() % 64;
            break;
        default: /* anywhere but in the file's head, which is checked when it is mapped */
            ring->map[RING_HEAD_BYTES + rnd() % ring->geo.region_bytes] = (uint8_t)rnd();
        }
    }
}

static void hostile(void **state) {
    (void)state;
    struct ring_slot *out[32];
    struct ring_usage u;
    struct buf b;
    size_t read = 0, collected = 0;
    buf_init(&b, LIMIT_ANSWER_BODY);
    make(RING_HEAD_BYTES + (72 << 10), 1);
    for (int round = 0; round < 100000; round++) {
        scribble();
        size_t n = ring_collect(ring, out, 1 + rnd() % 32);
        collected += n;
        for (size_t i = 0; i < n; i++) {
            buf_clear(&b);
            for (int c = 0; c < RING_CHAINS; c++)
                assert_int_equal(ring_read(out[i], (enum ring_chain)c, &b), 0);
            assert_true(b.len <= 2 * (size_t)ring->geo.blocks * RING_BLOCK_BYTES);
            read += b.len;
            if (rnd() % 2)
                ring_release(out[i]);
        }
        ring_usage(ring, &u);
        assert_true(u.bytes_used <= 2 * u.slots * u.bytes);
        ring_may_sleep(ring);
    }
    assert_true(read > 0 && collected > 0);
    buf_wipe(&b);
}

/* A worker that finds such a region gives no block to two slots, and works. */
static void hostile_claim(void **state) {
    (void)state;
    make(RING_HEAD_BYTES + (72 << 10), 1);
    bool *seen = calloc(ring->geo.blocks, 1);
    for (int round = 0; round < 20000; round++) {
        struct ring_region *g;
        struct ring_slot *s;
        for (int i = 0; i < 8; i++)
            scribble();
        assert_int_equal(ring_claim(ring, &g), 0);
        memset(seen, 0, ring->geo.blocks);
        uint32_t blocks = 0;
        for (uint32_t b = g->free_block; b != RING_NONE; b = g->next[b], blocks++) {
            assert_false(seen[b]);
            seen[b] = true;
        }
        assert_int_equal(blocks, g->free_blocks);
        for (uint32_t i = 0; i < ring->geo.slots; i++)
            for (int c = 0; c < RING_CHAINS; c++)
                for (uint32_t b = g->slots[i].first[c]; b != RING_NONE; b = g->next[b]) {
                    assert_false(seen[b]);
                    seen[b] = true;
                    blocks++;
                }
        assert_int_equal(blocks, ring->geo.blocks);
        if (ring_admit(g, 5, clock_mono_ns(), &s) == 0) {
            append(g, s, RING_REQUEST, "right");
            ring_close(g, s, RING_COMPLETE, clock_mono_ns());
            expect(s, RING_REQUEST, "right", 5);
        }
        ring_unclaim(g);
        struct ring_slot *out[32];
        for (size_t n = ring_collect(ring, out, 32); n > 0; n--)
            ring_release(out[n - 1]);
    }
    free(seen);
}

/* ---- load ---- */

#define LOAD_EACH 20000

static size_t load_body(uint8_t *p, uint64_t epoch, uint64_t sequence) {
    size_t len = 1 + (sequence * 2654435761u) % 9000;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(epoch + sequence * 31 + i);
    return len;
}

_Noreturn static void load_worker(int wake) {
    static uint8_t p[9000];
    struct ring *mine;
    struct ring_region *g;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ring_map(fd, &mine) || ring_claim(mine, &g))
        _exit(1);
    ring_set_wake_fd(mine, wake);
    for (int i = 0; i < LOAD_EACH;) {
        struct ring_slot *s;
        int rc = ring_admit(g, 100, clock_mono_ns(), &s);
        if (rc == ERR_FULL) {
            usleep(100);
            continue;
        }
        struct ring_meta *m = ring_meta(s);
        size_t len = load_body(p, m->epoch, m->sequence);
        for (size_t at = 0; !rc && at < len; at += 1000)
            rc = ring_append(g, s, RING_ANSWER, p + at, len - at < 1000 ? len - at : 1000);
        if (rc)
            _exit(2);
        ring_close(g, s, RING_COMPLETE, clock_mono_ns());
        i++;
    }
    ring_unclaim(g);
    _exit(0);
}

struct seen {
    uint64_t epoch, last;
};

static void load_check(struct ring_slot *s, struct seen seen[2], struct buf *b) {
    static uint8_t p[9000];
    const struct ring_meta *m = ring_meta_of(s);
    int w = seen[0].epoch == 0 || seen[0].epoch == m->epoch ? 0 : 1;
    if (seen[w].epoch == 0)
        seen[w].epoch = m->epoch;
    assert_true(seen[w].epoch == m->epoch);
    assert_int_equal(m->sequence, ++seen[w].last); /* each once, in order */
    size_t len = load_body(p, m->epoch, m->sequence);
    buf_clear(b);
    assert_int_equal(ring_read(s, RING_ANSWER, b), 0);
    assert_int_equal(b->len, len);
    assert_memory_equal(b->p, p, len);
}

static void load(void **state) {
    (void)state;
    struct seen seen[2] = {{0, 0}, {0, 0}};
    struct ring_slot *out[64];
    struct buf b;
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pid_t pid[2];
    buf_init(&b, LIMIT_ANSWER_BODY);
    make(2 << 20, 2);
    for (int i = 0; i < 2; i++) {
        pid[i] = fork();
        if (pid[i] == 0)
            load_worker(wake);
    }
    uint64_t last_end = 0;
    while (seen[0].last + seen[1].last < 2 * LOAD_EACH) {
        size_t n = ring_collect(ring, out, 64);
        for (size_t i = 0; i < n; i++) {
            uint64_t end = ring_meta_of(out[i])->end_ns;
            assert_true(i == 0 || end >= last_end);
            last_end = end;
            load_check(out[i], seen, &b);
            ring_release(out[i]);
        }
        if (n == 0 && ring_may_sleep(ring)) {
            struct pollfd wait = {.fd = wake, .events = POLLIN};
            assert_int_equal(poll(&wait, 1, 10000), 1); /* no wake-up is lost */
            wakes(wake);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(seen[0].last, LOAD_EACH);
    assert_int_equal(seen[1].last, LOAD_EACH);
    buf_wipe(&b);
    close(wake);
}

/* ---- the layout ---- */

static const char *const pieces[] = {"head", "region", "state", "slot", "next", "blocks"};

static size_t piece_at(const char *piece) {
    return vector_number(piece, ".at");
}

/* What a worker writes is the golden file, byte for byte. */
static void layout_written(void **state) {
    (void)state;
    struct ring_region *g;
    vectors_load("ring");
    make(vector_number("", "bytes"), (unsigned)vector_number("", "regions"));
    assert_int_equal(ring_claim(ring, &g), 0);
    const struct vector *request = vector("request"), *answer = vector("answer");
    const struct vector *labels = vector("labels");
    struct ring_slot *s = admit(g, request->len);
    struct ring_meta *m = ring_meta(s);
    assert_int_equal(ring_append(g, s, RING_REQUEST, request->p, request->len), 0);
    assert_int_equal(ring_append(g, s, RING_ANSWER, answer->p, answer->len), 0);
    assert_int_equal(ring_append(g, s, RING_LABELS, labels->p, labels->len), 0);
    const size_t meta_at = offsetof(struct shared_slot, meta);
    memcpy(m, vector("slot")->p + meta_at, sizeof *m);
    ring_close(g, s, RING_COMPLETE, clock_mono_ns());
    m->end_ns = 4000;
    size_t listed = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        const struct vector *v = vector(pieces[i]);
        assert_memory_equal(ring->map + piece_at(pieces[i]), v->p, v->len);
        for (size_t k = 0; k < v->len; k++)
            listed += v->p[k] != 0;
    }
    for (size_t i = 0; i < ring->bytes; i++)
        listed -= ring->map[i] != 0;
    assert_int_equal(listed, 0);
    ring_unclaim(g);
}

/* And the golden file is read, by a sealer and by a worker that takes it over. */
static void layout_read(void **state) {
    (void)state;
    struct ring_region *g;
    struct ring_slot *out[2];
    vectors_load("ring");
    make(vector_number("", "bytes"), (unsigned)vector_number("", "regions"));
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        memcpy(ring->map + piece_at(pieces[i]), vector(pieces[i])->p, vector(pieces[i])->len);
    assert_int_equal(ring_claim(ring, &g), 0);
    assert_int_equal(g->free_blocks, ring->geo.blocks - 4);
    assert_int_equal(ring_collect(ring, out, 2), 1);
    const struct ring_meta *m = ring_meta_of(out[0]);
    assert_true(m->epoch == 0x1122334455667788 && m->sequence == 7 && m->end_ns == 4000);
    assert_int_equal(m->answer_body, RING_BODY_SSE);
    assert_string_equal(m->dialect, "openai.chat");
    assert_true(m->cost_nano == 1234567 && m->counted == RING_REPORTED);
    assert_int_equal(m->tokens_input, 100);
    assert_int_equal(m->tokens_reasoning, 10);
    assert_string_equal(m->refusal, "budget_exhausted");
    assert_string_equal(m->model_asked, "best");
    assert_string_equal(m->model, "gpt-4o");
    expect(out[0], RING_REQUEST, vector("request")->p, vector("request")->len);
    expect(out[0], RING_ANSWER, vector("answer")->p, vector("answer")->len);
    expect(out[0], RING_LABELS, vector("labels")->p, vector("labels")->len);
    ring_unclaim(g);
}

/* ---- labels ---- */

static void labels(void **state) {
    (void)state;
    static const struct label in[] = {
        {LABEL_SESSION, LABEL_TEXT, "", "s-1", 0, 3},
        {LABEL_TRACE, LABEL_MEMBER, "", "trace", 0, 5},
        {LABEL_TAG, LABEL_TEXT, "team", "web", 4, 3},
    };
    uint8_t text[3 * LABEL_MAX];
    struct label out = {0};
    size_t len = 0, pos = 0;
    for (size_t i = 0; i < 3; i++)
        len += label_encode(text + len, &in[i]);
    for (size_t i = 0; i < 3; i++) {
        assert_true(label_next(text, len, &pos, &out));
        assert_true(out.kind == in[i].kind && out.from == in[i].from);
        assert_int_equal(out.name_len, in[i].name_len);
        assert_memory_equal(out.name, in[i].name, out.name_len);
        assert_int_equal(out.text_len, in[i].text_len);
        assert_memory_equal(out.text, in[i].text, out.text_len);
    }
    assert_false(label_next(text, len, &pos, &out));
    for (size_t cut = 1; cut < LABEL_HEAD + 3; cut++) { /* of the first record */
        pos = 0;
        assert_false(label_next(text, cut, &pos, &out));
    }
    for (int at = 0; at < 2; at++) { /* a kind and a source that there are not */
        uint8_t was = text[at];
        text[at] = 9;
        pos = 0;
        assert_false(label_next(text, len, &pos, &out));
        text[at] = was;
    }
    const struct label wrong[] = {
        {LABEL_SESSION, LABEL_TEXT, "", "", 0, 0},
        {LABEL_SESSION, LABEL_TEXT, "x", "a", 1, 1},
        {LABEL_TAG, LABEL_TEXT, "", "a", 0, 1},
        {LABEL_TAG, LABEL_TEXT, "n", "a", LIMIT_NAME, 1},
        {LABEL_TAG, LABEL_TEXT, "n", "a", 1, LIMIT_LABEL + 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(label_encode(text, &wrong[i]), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels),
        cmocka_unit_test_teardown(life, unmake),
        cmocka_unit_test_teardown(tries, unmake),
        cmocka_unit_test_teardown(arguments, unmake),
        cmocka_unit_test_teardown(full, unmake),
        cmocka_unit_test_teardown(ceilings, unmake),
        cmocka_unit_test_teardown(many_streams, unmake),
        cmocka_unit_test_teardown(order, unmake),
        cmocka_unit_test_teardown(dead_owner, unmake),
        cmocka_unit_test_teardown(left_open_first, unmake),
        cmocka_unit_test_teardown(nothing_left, unmake),
        cmocka_unit_test_teardown(half_released, unmake),
        cmocka_unit_test_teardown(waking, unmake),
        cmocka_unit_test_teardown(layout_written, unmake),
        cmocka_unit_test_teardown(layout_read, unmake),
        cmocka_unit_test_teardown(used_blocks_first, unmake),
        cmocka_unit_test_teardown(hostile, unmake),
        cmocka_unit_test_teardown(hostile_claim, unmake),
        cmocka_unit_test_teardown(load, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
