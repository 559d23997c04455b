/*
 * The memory file of snapshot.h. Written by the supervisor, read by gateway workers (it is linked
 * into the nginx module: libsodium and libc only).
 *
 * Layout: one page of header, then two areas, each a provider and a sorted array of keys. The file
 * is sparse, so room for LIMIT_KEYS keys costs only what is filled.
 *
 * Invariants: version v lives in area v % 2; an area is written only while the other one is the
 * newest; whatever a reader sees in between is safe to read (counts are clamped, strings are ended in
 * the copy) and is thrown away when the version changed meanwhile.
 */
#include "control/snapshot.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"

#define SNAPSHOT_MAGIC 0x3170616e73736873ull /* "shssnap1" */
#define HEADER_BYTES 4096
#define READ_TRIES 16

struct area {
    struct snapshot_provider provider;
    uint32_t key_count;
    uint32_t pad_;
    struct snapshot_key keys[LIMIT_KEYS];
};

struct snapshot {
    uint64_t magic;
    uint64_t bytes; /* of the whole file: another build's layout is refused */
    _Atomic uint64_t version;
    _Atomic uint64_t published_ns; /* monotonic */
    uint8_t pad_[HEADER_BYTES - 32];
    struct area areas[2];
};

static int map(int fd, int prot, struct snapshot **ret) {
    struct stat st;
    if (fstat(fd, &st))
        return err_from_errno(errno);
    if (st.st_size != (off_t)sizeof(struct snapshot))
        return ERR_VERSION;
    void *p = mmap(NULL, sizeof(struct snapshot), prot, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_from_errno(errno);
    madvise(p, sizeof(struct snapshot), MADV_DONTDUMP);
    *ret = p;
    return 0;
}

int snapshot_create(int *ret_fd) {
    int fd = memfd_create("safehouse-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_from_errno(errno);
    struct snapshot *s;
    int rc = ftruncate(fd, (off_t)sizeof *s) ? err_from_errno(errno) : 0;
    if (!rc && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
        rc = err_from_errno(errno);
    if (!rc)
        rc = map(fd, PROT_READ | PROT_WRITE, &s);
    if (rc) {
        close(fd);
        return rc;
    }
    s->magic = SNAPSHOT_MAGIC;
    s->bytes = sizeof *s;
    munmap(s, sizeof *s);
    *ret_fd = fd;
    return 0;
}

int snapshot_reader_fd(int fd, int *ret_fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    if (reader < 0)
        return err_from_errno(errno);
    *ret_fd = reader;
    return 0;
}

static void wait_for_grace(const struct snapshot *s) {
    uint64_t last = atomic_load_explicit(&s->published_ns, memory_order_relaxed);
    uint64_t now = clock_mono_ns(), until = last + SNAPSHOT_GRACE_MS * 1000000ull;
    if (!last || now >= until)
        return;
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                         .tv_nsec = (long)(until % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

int snapshot_publish(int fd, const struct snapshot_data *data) {
    if (data->key_count > LIMIT_KEYS)
        return ERR_LIMIT;
    for (uint32_t i = 1; i < data->key_count; i++)
        if (strcmp(data->keys[i - 1].id, data->keys[i].id) >= 0)
            return ERR_USAGE;
    struct snapshot *s;
    int rc = map(fd, PROT_READ | PROT_WRITE, &s);
    if (rc)
        return rc;
    if (s->magic != SNAPSHOT_MAGIC || s->bytes != sizeof *s) {
        munmap(s, sizeof *s);
        return ERR_CORRUPT;
    }
    wait_for_grace(s);
    uint64_t version = atomic_load_explicit(&s->version, memory_order_relaxed) + 1;
    struct area *a = &s->areas[version % 2];
    uint32_t before = a->key_count < LIMIT_KEYS ? a->key_count : LIMIT_KEYS;
    a->provider = data->provider;
    if (data->key_count)
        memcpy(a->keys, data->keys, data->key_count * sizeof a->keys[0]);
    if (before > data->key_count)
        sodium_memzero(a->keys + data->key_count,
                       (before - data->key_count) * sizeof a->keys[0]);
    a->key_count = data->key_count;
    atomic_store_explicit(&s->published_ns, clock_mono_ns(), memory_order_relaxed);
    atomic_store_explicit(&s->version, version, memory_order_release);
    munmap(s, sizeof *s);
    return 0;
}

int snapshot_map(int fd, const struct snapshot **ret) {
    struct snapshot *s;
    int rc = map(fd, PROT_READ, &s);
    if (rc)
        return rc;
    if (s->magic != SNAPSHOT_MAGIC || s->bytes != sizeof *s) {
        munmap(s, sizeof *s);
        return ERR_CORRUPT;
    }
    *ret = s;
    return 0;
}

uint64_t snapshot_version(const struct snapshot *s) {
    return atomic_load_explicit(&s->version, memory_order_acquire);
}

/* Is what was copied since version v was loaded whole? */
static bool still(const struct snapshot *s, uint64_t v) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&s->version, memory_order_relaxed) == v;
}

/* One look into an area that may be rewritten meanwhile; the caller checks afterwards. */
static int look_up(const struct area *a, const char *id, struct snapshot_key *ret) {
    uint32_t low = 0, high = a->key_count < LIMIT_KEYS ? a->key_count : LIMIT_KEYS;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = strncmp(a->keys[mid].id, id, LIMIT_NAME);
        if (order == 0) {
            *ret = a->keys[mid];
            ret->id[LIMIT_NAME - 1] = ret->tenant[LIMIT_NAME - 1] = 0;
            ret->project[LIMIT_NAME - 1] = 0;
            return 0;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return ERR_NOTFOUND;
}

int snapshot_find_key(const struct snapshot *s, const char *id, size_t len,
                      struct snapshot_key *ret) {
    char text[LIMIT_NAME] = {0};
    if (len == 0 || len >= LIMIT_NAME || memchr(id, 0, len))
        return ERR_NOTFOUND;
    memcpy(text, id, len);
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t v = snapshot_version(s);
        if (v == 0)
            return ERR_NOTFOUND;
        struct snapshot_key found;
        int rc = look_up(&s->areas[v % 2], text, &found);
        if (!still(s, v))
            continue;
        if (!rc)
            *ret = found;
        return rc;
    }
    return ERR_AGAIN;
}

int snapshot_provider(const struct snapshot *s, struct snapshot_provider *ret) {
    struct snapshot_provider copy;
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t v = snapshot_version(s);
        if (v == 0)
            return ERR_NOTFOUND;
        copy = s->areas[v % 2].provider;
        if (!still(s, v))
            continue;
        copy.name[LIMIT_NAME - 1] = copy.credential[SNAPSHOT_CREDENTIAL - 1] = 0;
        *ret = copy;
        sodium_memzero(&copy, sizeof copy);
        return 0;
    }
    sodium_memzero(&copy, sizeof copy);
    return ERR_AGAIN;
}
