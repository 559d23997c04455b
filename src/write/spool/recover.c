/*
 * Taking over what an earlier sealer left in the spool's folder (doc/spool.md, "After a crash").
 * Runs once, at the start. A file of which not even the header is whole held nothing durable and
 * goes; one that is damaged in the middle is put aside under another name, for a person to look at.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "write/spool/spool_int.h"

/* A file as far as it is whole. */
struct scan {
    struct spool_batch *batch;
    struct batch_tree tree, unit_tree; /* all rows; rows up to `unit_end` */
    size_t unit_end;                   /* after the last whole unit */
    bool ended;
};

static int know(struct spool *s, const uint8_t *p) {
    if (s->known_count == s->known_room) {
        size_t room = s->known_room ? 2 * s->known_room : 64;
        struct spool_known *k = realloc(s->known, room * sizeof *k);
        if (!k)
            return ERR_NOMEM;
        s->known = k;
        s->known_room = room;
    }
    s->known[s->known_count++] = (struct spool_known){get_u64(p), get_u64(p + 8)};
    return 0;
}

static void end_unit(struct scan *f, size_t at) {
    f->unit_tree = f->tree;
    f->unit_end = at;
}

static int take_end(struct scan *f, const uint8_t *p, size_t len) {
    struct spool_batch *b = f->batch;
    uint8_t want[SPOOL_END_BYTES];
    b->head.rows = f->tree.count;
    batch_tree_root(&f->tree, b->head.root);
    batch_commitment(b->commitment, &b->head);
    spool_end_payload(want, b);
    if (len != sizeof want || memcmp(p, want, sizeof want))
        return ERR_CORRUPT;
    f->ended = true;
    return 0;
}

static int take_frame(struct spool *s, struct scan *f, const uint8_t *frame, size_t len,
                      size_t end) {
    const uint8_t *p = frame + SPOOL_FRAME_HEAD;
    uint8_t leaf[BATCH_HASH_BYTES];
    int rc;
    switch (frame[4]) {
    case SPOOL_ROW:
        batch_leaf(leaf, frame[5], p, len);
        batch_tree_add(&f->tree, leaf);
        return 0;
    case SPOOL_END:
        return take_end(f, p, len);
    case SPOOL_EXCHANGE:
        if (len != SPOOL_EXCHANGE_BYTES)
            return ERR_CORRUPT;
        end_unit(f, end);
        return know(s, p);
    case SPOOL_ASSIGNMENT:
        if (len < SPOOL_TAG_AT + SPOOL_TAG_BYTES || len > SPOOL_ASSIGNMENT_MAX)
            return ERR_CORRUPT;
        end_unit(f, end);
        rc = spool_keep_assignment(s, f->batch->head.sealer, f->batch->head.number, p, len);
        f->batch->assignments += !rc;
        return rc;
    default:
        return ERR_CORRUPT;
    }
}

/* Does it end with an end frame? Then what broke off before was no torn write. */
static bool has_end(const uint8_t *p, size_t len) {
    uint8_t check[SPOOL_CHECK_BYTES];
    size_t n = SPOOL_FRAME_HEAD + SPOOL_END_BYTES;
    if (len < n + sizeof check)
        return false;
    p += len - n - sizeof check;
    spool_check(check, p, n);
    return get_u32(p) == SPOOL_END_BYTES && p[4] == SPOOL_END &&
           !memcmp(check, p + n, sizeof check);
}

static int scan_frames(struct spool *s, struct scan *f, const uint8_t *p, size_t len) {
    size_t at = SPOOL_HEADER_BYTES;
    int rc = 0;
    end_unit(f, at);
    while (!rc && !f->ended && len - at >= SPOOL_FRAME_HEAD + SPOOL_CHECK_BYTES) {
        size_t n = get_u32(p + at);
        if (n > LIMIT_SPOOL_FRAME || n > len - at - SPOOL_FRAME_HEAD - SPOOL_CHECK_BYTES)
            break;
        uint8_t check[SPOOL_CHECK_BYTES];
        spool_check(check, p + at, SPOOL_FRAME_HEAD + n);
        if (memcmp(check, p + at + SPOOL_FRAME_HEAD + n, sizeof check))
            break;
        size_t end = at + SPOOL_FRAME_HEAD + n + SPOOL_CHECK_BYTES;
        rc = take_frame(s, f, p + at, n, end);
        at = end;
    }
    if (!rc && !f->ended && has_end(p, len))
        rc = ERR_CORRUPT;
    return rc;
}

/* What a damaged file said of exchanges and assignments does not count. */
static void forget(struct spool *s, size_t known, const struct spool_assignment *before) {
    s->known_count = known;
    while (s->open_assignments != before) {
        struct spool_assignment *a = s->open_assignments;
        s->open_assignments = a->next;
        free(a);
    }
}

/* Cuts the torn tail off and gives the file its end. */
static int finish(struct scan *f, int fd) {
    struct spool_batch *b = f->batch;
    b->head.rows = f->unit_tree.count;
    batch_tree_root(&f->unit_tree, b->head.root);
    batch_commitment(b->commitment, &b->head);
    if (ftruncate(fd, (off_t)f->unit_end))
        return ERR_IO;
    if (!b->head.rows)
        return 0;
    uint8_t end[SPOOL_END_BYTES];
    struct buf frame;
    spool_end_payload(end, b);
    buf_init(&frame, 256);
    int rc = spool_frame(&frame, SPOOL_END, 0, end, sizeof end);
    if (!rc)
        rc = spool_write_durable(fd, frame.p, frame.len, f->unit_end);
    buf_wipe(&frame);
    return rc;
}

static bool header_good(const uint8_t *p, size_t len) {
    uint8_t check[SPOOL_CHECK_BYTES];
    if (len < SPOOL_HEADER_BYTES || memcmp(p, SPOOL_MAGIC, 8))
        return false;
    spool_check(check, p, SPOOL_HEADER_BYTES - SPOOL_CHECK_BYTES);
    return !memcmp(check, p + SPOOL_HEADER_BYTES - SPOOL_CHECK_BYTES, sizeof check);
}

/* ERR_NOTFOUND: nothing in it; ERR_CORRUPT. */
static int take_file(struct spool *s, int fd) {
    struct stat st;
    if (fstat(fd, &st))
        return ERR_IO;
    size_t len = (size_t)st.st_size;
    if (len < SPOOL_HEADER_BYTES)
        return ERR_NOTFOUND;
    uint8_t *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return ERR_NOMEM;
    struct scan f = {.batch = calloc(1, sizeof *f.batch)};
    batch_tree_init(&f.tree);
    int rc = !f.batch ? ERR_NOMEM : header_good(p, len) ? 0 : ERR_CORRUPT;
    if (!rc) {
        f.batch->head.sealer = get_u64(p + 8);
        f.batch->head.number = get_u64(p + 16);
        memcpy(f.batch->head.previous, p + 24, BATCH_HASH_BYTES);
        rc = scan_frames(s, &f, p, len);
    }
    munmap(p, len);
    if (!rc && !f.ended)
        rc = finish(&f, fd);
    if (!rc && !f.batch->head.rows && !f.batch->assignments)
        rc = ERR_NOTFOUND;
    if (rc) {
        free(f.batch);
        return rc;
    }
    f.batch->again = true;
    f.batch->noted = f.batch->inserted = !f.batch->head.rows;
    spool_append_batch(s, f.batch);
    return 0;
}

static int take_name(struct spool *s, const char *name) {
    char aside[SPOOL_NAME_MAX + 16];
    int fd = openat(s->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    size_t known = s->known_count;
    const struct spool_assignment *before = s->open_assignments;
    int rc = take_file(s, fd);
    close(fd);
    if (rc == ERR_NOTFOUND)
        return unlinkat(s->dir, name, 0) ? ERR_IO : 0;
    if (rc != ERR_CORRUPT)
        return rc;
    forget(s, known, before);
    s->damaged++;
    snprintf(aside, sizeof aside, "%.*s.damaged", SPOOL_NAME_MAX, name);
    return renameat(s->dir, name, s->dir, aside) ? ERR_IO : 0;
}

static int is_spool_file(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n == 39 && !strcmp(d->d_name + 33, ".spool");
}

int spool_recover(struct spool *s) {
    struct dirent **names;
    int rc = 0;
    /* by name, so that the batches of one sealer come in the order of their numbers */
    int n = scandirat(s->dir, ".", &names, is_spool_file, alphasort);
    if (n < 0)
        return err_from_errno(errno);
    for (int i = 0; i < n; i++) {
        if (!rc)
            rc = take_name(s, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (s->known_count)
        qsort(s->known, s->known_count, sizeof *s->known, spool_by_exchange);
    return rc;
}
