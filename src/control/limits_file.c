/*
 * The supervisor's side of limits.h: the file on disk, who has which entry, new days, dead workers.
 *
 * Which entry is whose is an index in the supervisor's own memory, made from the heads when the
 * file is opened: a table that only one program reads cannot be torn by another. Workers know
 * entries by the numbers in the snapshot. The file is filled on disk when it is made, so a full
 * disk is an error here and not a signal in a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/memfile.h"
#include "control/limits_int.h"

#define BUCKETS (1u << 18) /* three times the entries */
#define FORGET_US (2 * 86400ull * 1000000)
#define PATH_BYTES 4096
_Static_assert(BUCKETS > 2 * LIMITS_ENTRIES, "probing ends soon");

struct limits_index {
    uint32_t bucket[BUCKETS];           /* entry number, 0 = empty */
    uint32_t named[LIMITS_ENTRIES + 1]; /* the publication that named the entry last */
    uint64_t
        left_us[LIMITS_ENTRIES + 1]; /* since when publications leave it out, 0 = they do not */
    uint32_t publication;
    uint32_t next_free; /* no free entry below it */
    uint64_t rolled_day;
};

/* ---- checks ---- */

static uint64_t check_of(const void *a, size_t a_len, uint64_t place) {
    uint8_t out[crypto_generichash_BYTES_MIN], number[8];
    crypto_generichash_state st;
    put_u64(number, place);
    crypto_generichash_init(&st, NULL, 0, sizeof out);
    crypto_generichash_update(&st, a, a_len);
    crypto_generichash_update(&st, number, sizeof number);
    crypto_generichash_final(&st, out, sizeof out);
    return get_u64(out);
}

static uint64_t header_check(const struct limits_usage_header *h) {
    return check_of(h, offsetof(struct limits_usage_header, check), 0);
}

static void id_of(uint8_t out[LIMITS_ID_BYTES], enum limits_kind kind, const char *tenant,
                  const char *name) {
    crypto_generichash_state st;
    uint8_t k = (uint8_t)kind;
    crypto_generichash_init(&st, NULL, 0, LIMITS_ID_BYTES);
    crypto_generichash_update(&st, &k, 1);
    crypto_generichash_update(&st, (const uint8_t *)tenant, strlen(tenant) + 1);
    crypto_generichash_update(&st, (const uint8_t *)name, strlen(name) + 1);
    crypto_generichash_final(&st, out, LIMITS_ID_BYTES);
}

/* ---- the index ---- */

static uint32_t *bucket_of(struct limits *t, const uint8_t id[LIMITS_ID_BYTES]) {
    uint32_t at = get_u32(id) % BUCKETS;
    while (t->index->bucket[at] &&
           memcmp(t->usage->heads[t->index->bucket[at]].id, id, LIMITS_ID_BYTES) != 0)
        at = (at + 1) % BUCKETS;
    return &t->index->bucket[at];
}

static void clear_entry(struct limits *t, uint32_t entry) {
    struct limits_head *h = &t->usage->heads[entry];
    memset(h->id, 0, sizeof h->id);
    h->check = 0;
    atomic_store(&h->requests, 0);
    atomic_store(&h->tokens, 0);
    for (int i = 0; i < SPENTS; i++)
        atomic_store(&h->spent[i], 0);
    t->index->named[entry] = 0;
    t->index->left_us[entry] = 0;
}

/* Fills the buckets from the heads; entries whose check is wrong are cleared. Returns how many. */
static uint32_t rebuild(struct limits *t) {
    static const uint8_t zero[LIMITS_ID_BYTES];
    uint32_t bad = 0;
    memset(t->index->bucket, 0, sizeof t->index->bucket);
    t->index->next_free = 1;
    for (uint32_t e = 1; e <= LIMITS_ENTRIES; e++) {
        struct limits_head *h = &t->usage->heads[e];
        bool is_free = memcmp(h->id, zero, sizeof zero) == 0;
        if (is_free && !h->check)
            continue;
        uint32_t *b = is_free ? NULL : bucket_of(t, h->id);
        if (is_free || h->check != check_of(h->id, sizeof h->id, e) || *b) {
            clear_entry(t, e);
            bad++;
            continue;
        }
        *b = e;
        if (atomic_load(&t->live->used) < e)
            atomic_store(&t->live->used, e);
    }
    return bad;
}

static uint32_t find_free(struct limits *t) {
    static const uint8_t zero[LIMITS_ID_BYTES];
    for (uint32_t e = t->index->next_free; e <= LIMITS_ENTRIES; e++) {
        if (memcmp(t->usage->heads[e].id, zero, sizeof zero) == 0) {
            t->index->next_free = e + 1;
            return e;
        }
    }
    t->index->next_free = LIMITS_ENTRIES + 1;
    return LIMITS_NONE;
}

/* Entries that publications left out so long that no request can hold them. */
static void forget(struct limits *t, uint64_t now_us) {
    for (uint32_t e = 1; e <= LIMITS_ENTRIES; e++) {
        uint64_t left = t->index->left_us[e];
        if (left && now_us > left && now_us - left > FORGET_US)
            clear_entry(t, e);
    }
    rebuild(t);
}

void limits_begin(struct limits *t) {
    t->index->publication++;
}

int limits_entry(struct limits *t, enum limits_kind kind, const char *tenant, const char *name,
                 uint64_t now_us, uint32_t *ret_entry) {
    uint8_t id[LIMITS_ID_BYTES];
    id_of(id, kind, tenant, name);
    uint32_t *b = bucket_of(t, id), e = *b;
    if (!e) {
        e = find_free(t);
        if (e == LIMITS_NONE) {
            forget(t, now_us);
            e = find_free(t);
            b = bucket_of(t, id);
        }
        if (e == LIMITS_NONE)
            return ERR_FULL;
        struct limits_head *h = &t->usage->heads[e];
        memcpy(h->id, id, sizeof id);
        h->check = check_of(id, sizeof id, e);
        if (atomic_load(&t->live->used) < e)
            atomic_store(&t->live->used, e);
        *b = e;
    }
    t->index->named[e] = t->index->publication;
    t->index->left_us[e] = 0;
    *ret_entry = e;
    return 0;
}

void limits_end(struct limits *t, uint64_t now_us) {
    for (uint32_t e = 1; e <= atomic_load(&t->live->used); e++)
        if (t->index->named[e] != t->index->publication && !t->index->left_us[e])
            t->index->left_us[e] = now_us;
}

/* ---- new days ---- */

/* A tag is 8 bits: a value that lay untouched for 256 days would look like today's. So everything
 * that is not of now is cleared whenever a day begins, and at the start. */
static void roll(struct limits *t, uint64_t now_us, const bool stale[SPENTS]) {
    for (uint32_t e = 1; e <= atomic_load(&t->live->used); e++) {
        for (int i = 0; i < SPENTS; i++) {
            _Atomic uint64_t *p = &t->usage->heads[e].spent[i];
            uint8_t now_tag = limits_tag((enum limits_spent)i, now_us);
            uint64_t old = atomic_load(p);
            while ((stale[i] || !limits_tag_current((uint8_t)(old >> SPENT_SHIFT), now_tag)) &&
                   old & LIMITS_SPENT_MAX &&
                   !atomic_compare_exchange_weak(p, &old, (uint64_t)now_tag << SPENT_SHIFT))
                ;
        }
    }
}

int limits_tick(struct limits *t, uint64_t now_us) {
    static const bool none[SPENTS];
    uint64_t day = limits_period(SPENT_COST_DAY, now_us);
    slots_reap(t->live_fd, &t->live->slots, limits_clear_slot, t);
    if (day != t->index->rolled_day) {
        roll(t, now_us, none);
        t->index->rolled_day = day;
    }
    atomic_store(&t->usage->header.ticked_us, now_us);
    return msync(t->usage, sizeof *t->usage, MS_SYNC) ? ERR_IO : 0;
}

/* ---- opening ---- */

/* The whole file is the supervisor's for its life; beyond the bytes of worker slots. */
static int lock_file(int fd) {
    struct flock l = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LIMIT_WORKER_SLOTS, .l_len = 1};
    if (fcntl(fd, F_SETLK, &l) == 0)
        return 0;
    return errno == EACCES || errno == EAGAIN ? ERR_EXISTS : err_from_errno(errno);
}

/* *ret is filled as far as the file goes. */
static bool file_valid(int fd, struct limits_usage_header *ret) {
    struct stat st;
    *ret = (struct limits_usage_header){0};
    if (fstat(fd, &st) || pread(fd, ret, sizeof *ret, 0) != sizeof *ret)
        return false;
    return st.st_size == (off_t)sizeof(struct limits_usage_file) && ret->magic == LIMITS_MAGIC &&
           ret->bytes == sizeof(struct limits_usage_file) && ret->entries == LIMITS_ENTRIES &&
           ret->check == header_check(ret);
}

static int make_file(const char *path, uint64_t set_aside_ever, int *ret_fd) {
    char temporary[PATH_BYTES];
    struct limits_usage_header head = {.magic = LIMITS_MAGIC,
                                       .bytes = sizeof(struct limits_usage_file),
                                       .entries = LIMITS_ENTRIES,
                                       .set_aside_ever = set_aside_ever};
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (n < 0 || n >= (int)sizeof temporary)
        return ERR_LIMIT;
    unlink(temporary); /* of a start that did not get further */
    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    head.check = header_check(&head);
    int e = posix_fallocate(fd, 0, (off_t)sizeof(struct limits_usage_file)),
        rc = e ? err_from_errno(e) : 0;
    if (!rc && pwrite(fd, &head, sizeof head, 0) != sizeof head)
        rc = ERR_IO;
    if (!rc)
        rc = lock_file(fd);
    if (!rc && (fdatasync(fd) || rename(temporary, path)))
        rc = ERR_IO;
    if (rc) {
        unlink(temporary);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int open_usage(const char *path, int *ret_fd, struct limits_opened *how) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return err_from_errno(errno);
    if (fd >= 0) {
        int rc = lock_file(fd);
        if (rc) {
            close(fd);
            return rc;
        }
        struct limits_usage_header head;
        bool valid = file_valid(fd, &head);
        if (head.magic == LIMITS_MAGIC) /* of a damaged file as well, as far as it still says so */
            how->set_aside_ever = head.set_aside_ever;
        if (valid) {
            *ret_fd = fd;
            return 0;
        }
        char aside[PATH_BYTES];
        int n = snprintf(aside, sizeof aside, "%s.damaged", path);
        how->set_aside = true;
        how->set_aside_ever++;
        rc = n < 0 || n >= (int)sizeof aside ? ERR_LIMIT : 0;
        if (!rc && rename(path, aside))
            rc = err_from_errno(errno);
        close(fd);
        if (rc)
            return rc;
    }
    how->created = true;
    return make_file(path, how->set_aside_ever, ret_fd);
}

static int make_live(int *ret_fd) {
    const uint64_t head[2] = {LIMITS_MAGIC, sizeof(struct limits_live_file)};
    return memfile_new("safehouse-limits", sizeof(struct limits_live_file), head, sizeof head,
                       ret_fd);
}

int limits_open(const char *path, uint64_t now_us, struct limits **ret,
                struct limits_opened *ret_how) {
    struct limits_opened how = {0};
    struct limits_index *index = calloc(1, sizeof *index);
    struct limits *t = NULL;
    int usage_fd = -1, live_fd = -1, rc = index ? 0 : ERR_NOMEM;
    if (!rc)
        rc = open_usage(path, &usage_fd, &how);
    if (!rc)
        rc = make_live(&live_fd);
    if (!rc)
        rc = limits_map(usage_fd, live_fd, &t);
    if (rc) {
        free(index);
        if (usage_fd >= 0)
            close(usage_fd);
        if (live_fd >= 0)
            close(live_fd);
        return rc;
    }
    t->index = index;
    how.dropped = rebuild(t);
    uint64_t before = atomic_load(&t->usage->header.ticked_us);
    bool stale[SPENTS];
    for (int i = 0; i < SPENTS; i++) {
        enum limits_spent which = (enum limits_spent)i;
        stale[i] = limits_period(which, before) != limits_period(which, now_us);
    }
    roll(t, now_us, stale);
    index->rolled_day = limits_period(SPENT_COST_DAY, now_us);
    atomic_store(&t->usage->header.ticked_us, now_us);
    if (ret_how)
        *ret_how = how;
    *ret = t;
    return 0;
}

void limits_close(struct limits *t) {
    if (!t)
        return;
    munmap(t->usage, sizeof *t->usage);
    munmap(t->live, sizeof *t->live);
    if (t->index) {
        close(t->usage_fd);
        close(t->live_fd);
        free(t->index);
    }
    free(t);
}

void limits_fds(const struct limits *t, int *ret_usage_fd, int *ret_live_fd) {
    *ret_usage_fd = t->usage_fd;
    *ret_live_fd = t->live_fd;
}
