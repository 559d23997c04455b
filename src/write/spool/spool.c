/*
 * The spool of spool.h: owned by the sealer; it is the only program that writes the folder.
 *
 * The open batch is a file and, behind its durable length, the group in memory. A sync writes the
 * group at that length and moves it; when the write or the fdatasync fails, the same bytes are
 * written again at the same place the next time, so a full or failing disk loses nothing but time.
 */
#include "write/spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "write/spool/spool_int.h"

#define UNIT_ROWS (3 + LIMIT_FINDING_ROWS) /* data key, turn, interaction, findings */
#define KEPT_BYTES (4u << 20) /* of the group's memory, between syncs */

/* ---- the format ---- */

void spool_check(uint8_t out[SPOOL_CHECK_BYTES], const uint8_t *p, size_t len) {
    uint8_t full[crypto_generichash_BYTES_MIN];
    crypto_generichash(full, sizeof full, p, len, NULL, 0);
    memcpy(out, full, SPOOL_CHECK_BYTES);
}

int spool_frame(struct buf *out, enum spool_kind kind, uint8_t table, const uint8_t *p,
                size_t len) {
    uint8_t head[SPOOL_FRAME_HEAD] = {0}, check[SPOOL_CHECK_BYTES];
    if (len > LIMIT_SPOOL_FRAME)
        return ERR_LIMIT;
    size_t from = out->len;
    int rc = buf_reserve(out, sizeof head + len + sizeof check);
    if (rc)
        return rc;
    put_u32(head, (uint32_t)len);
    head[4] = (uint8_t)kind;
    head[5] = table;
    buf_append(out, head, sizeof head);
    buf_append(out, p, len);
    spool_check(check, out->p + from, sizeof head + len);
    return buf_append(out, check, sizeof check);
}

void spool_name(char out[SPOOL_NAME_MAX], uint64_t sealer, uint64_t number) {
    snprintf(out, SPOOL_NAME_MAX, "%016llx-%016llx.spool", (unsigned long long)sealer,
             (unsigned long long)number);
}

void spool_end_payload(uint8_t out[SPOOL_END_BYTES], const struct spool_batch *b) {
    put_u32(out, b->head.rows);
    memcpy(out + 4, b->head.root, BATCH_HASH_BYTES);
    memcpy(out + 4 + BATCH_HASH_BYTES, b->commitment, BATCH_HASH_BYTES);
}

int spool_write_durable(int fd, const uint8_t *p, size_t len, uint64_t at) {
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    if (fdatasync(fd))
        return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
    return 0;
}

/* ---- life ---- */

int spool_open(const char *dir, uint64_t sealer, struct spool **ret) {
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->sealer = sealer;
    s->number = 1;
    s->fd = -1;
    s->batches_end = &s->batches;
    batch_tree_init(&s->tree);
    buf_init(&s->group, LIMIT_BATCH_BYTES + 2u * LIMIT_SPOOL_FRAME);
    s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = s->dir < 0 ? err_from_errno(errno) : spool_recover(s);
    if (rc) {
        spool_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void spool_close(struct spool *s) {
    if (!s)
        return;
    while (s->batches) {
        struct spool_batch *next = s->batches->next;
        free(s->batches);
        s->batches = next;
    }
    while (s->open_assignments) {
        struct spool_assignment *next = s->open_assignments->next;
        free(s->open_assignments);
        s->open_assignments = next;
    }
    free(s->known);
    buf_wipe(&s->group);
    if (s->fd >= 0)
        close(s->fd);
    if (s->dir >= 0)
        close(s->dir);
    free(s);
}

int spool_by_exchange(const void *a, const void *b) {
    const struct spool_known *x = a, *y = b;
    if (x->epoch != y->epoch)
        return x->epoch < y->epoch ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

bool spool_knows(const struct spool *s, uint64_t epoch, uint64_t sequence) {
    struct spool_known key = {epoch, sequence};
    return s->known_count && bsearch(&key, s->known, s->known_count, sizeof key, spool_by_exchange);
}

unsigned spool_damaged(const struct spool *s) {
    return s->damaged;
}

/* ---- the open batch ---- */

static void begin_unit(struct spool *s) {
    if (s->unit_open)
        return;
    s->unit_open = true;
    s->unit_group = s->group.len;
    s->unit_tree = s->tree;
}

void spool_place(struct spool *s, struct rows_place *ret) {
    *ret = (struct rows_place){s->sealer, s->number, s->tree.count};
}

int spool_add_row(struct spool *s, enum rows_table table, const uint8_t *row, size_t len) {
    uint8_t leaf[BATCH_HASH_BYTES];
    begin_unit(s);
    int rc = spool_frame(&s->group, SPOOL_ROW, (uint8_t)table, row, len);
    if (rc)
        return rc;
    batch_leaf(leaf, (uint8_t)table, row, len);
    batch_tree_add(&s->tree, leaf);
    return 0;
}

int spool_add_exchange(struct spool *s, uint64_t epoch, uint64_t sequence,
                       const uint8_t id[UUID_BYTES]) {
    uint8_t p[SPOOL_EXCHANGE_BYTES];
    put_u64(p, epoch);
    put_u64(p + 8, sequence);
    memcpy(p + 16, id, UUID_BYTES);
    begin_unit(s);
    int rc = spool_frame(&s->group, SPOOL_EXCHANGE, 0, p, sizeof p);
    if (!rc)
        s->unit_open = false;
    if (!rc && !s->opened_ns)
        s->opened_ns = clock_mono_ns();
    return rc;
}

void spool_cancel(struct spool *s) {
    if (!s->unit_open)
        return;
    s->unit_open = false;
    s->group.len = s->unit_group;
    s->tree = s->unit_tree;
}

int spool_keep_assignment(struct spool *s, uint64_t sealer, uint64_t number, const uint8_t *payload,
                          size_t len) {
    struct spool_assignment *a = malloc(sizeof *a + len);
    if (!a)
        return ERR_NOMEM;
    *a = (struct spool_assignment){s->open_assignments, sealer, number, false, len};
    memcpy(a->payload, payload, len);
    s->open_assignments = a;
    return 0;
}

int spool_add_assignment(struct spool *s, const uint8_t *payload, size_t len) {
    CHECK(!s->unit_open);
    CHECK(len >= SPOOL_TAG_AT + SPOOL_TAG_BYTES && len <= SPOOL_ASSIGNMENT_MAX);
    size_t from = s->group.len;
    int rc = spool_frame(&s->group, SPOOL_ASSIGNMENT, 0, payload, len);
    if (!rc)
        rc = spool_keep_assignment(s, s->sealer, s->number, payload, len);
    if (rc)
        s->group.len = from;
    else
        s->assignments++;
    return rc;
}

size_t spool_waiting(const struct spool *s) {
    return s->group.len;
}

static int make_file(struct spool *s) {
    char name[SPOOL_NAME_MAX];
    uint8_t head[SPOOL_HEADER_BYTES];
    spool_name(name, s->sealer, s->number);
    int fd = openat(s->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
    memcpy(head, SPOOL_MAGIC, 8);
    put_u64(head + 8, s->sealer);
    put_u64(head + 16, s->number);
    memcpy(head + 24, s->previous, BATCH_HASH_BYTES);
    spool_check(head + 24 + BATCH_HASH_BYTES, head, 24 + BATCH_HASH_BYTES);
    int rc = spool_write_durable(fd, head, sizeof head, 0);
    if (!rc && fsync(s->dir))
        rc = ERR_IO;
    if (rc) {
        close(fd);
        return rc;
    }
    s->fd = fd;
    s->durable = sizeof head;
    return 0;
}

int spool_sync(struct spool *s) {
    CHECK(!s->unit_open);
    if (!s->group.len)
        return 0;
    int rc = s->fd < 0 ? make_file(s) : 0;
    if (!rc)
        rc = spool_write_durable(s->fd, s->group.p, s->group.len, s->durable);
    if (rc)
        return rc;
    s->durable += s->group.len;
    if (s->group.cap > KEPT_BYTES)
        buf_wipe(&s->group);
    else
        buf_clear(&s->group);
    return 0;
}

bool spool_due(const struct spool *s, uint64_t now_ns) {
    if (!s->tree.count)
        return false;
    return s->tree.count + UNIT_ROWS > LIMIT_BATCH_ROWS ||
           s->durable + s->group.len >= LIMIT_BATCH_BYTES ||
           now_ns - s->opened_ns >= LIMIT_BATCH_AGE_MS * 1000000ull;
}

int spool_due_ms(const struct spool *s, uint64_t now_ns) {
    if (!s->tree.count)
        return -1;
    uint64_t due = s->opened_ns + LIMIT_BATCH_AGE_MS * 1000000ull;
    return due <= now_ns ? 0 : (int)((due - now_ns) / 1000000u) + 1;
}

int spool_end(struct spool *s) {
    if (!s->tree.count)
        return 0;
    int rc = spool_sync(s);
    if (rc)
        return rc;
    struct spool_batch *b = calloc(1, sizeof *b);
    if (!b)
        return ERR_NOMEM;
    b->head = (struct batch_head){s->sealer, s->number, s->tree.count, {0}, {0}};
    memcpy(b->head.previous, s->previous, BATCH_HASH_BYTES);
    batch_tree_root(&s->tree, b->head.root);
    batch_commitment(b->commitment, &b->head);
    b->assignments = s->assignments;
    uint8_t end[SPOOL_END_BYTES];
    struct buf frame;
    spool_end_payload(end, b);
    buf_init(&frame, 256);
    rc = spool_frame(&frame, SPOOL_END, 0, end, sizeof end);
    if (!rc)
        rc = spool_write_durable(s->fd, frame.p, frame.len, s->durable);
    buf_wipe(&frame);
    if (rc) {
        free(b);
        return rc;
    }
    spool_append_batch(s, b);
    close(s->fd);
    s->fd = -1;
    s->number++;
    s->durable = s->opened_ns = 0;
    s->assignments = 0;
    memcpy(s->previous, b->commitment, BATCH_HASH_BYTES);
    batch_tree_init(&s->tree);
    return 0;
}

/* ---- finished batches ---- */

void spool_append_batch(struct spool *s, struct spool_batch *b) {
    *s->batches_end = b;
    s->batches_end = &b->next;
}

struct spool_batch *spool_batches(struct spool *s) {
    return s->batches;
}

struct spool_batch *spool_find(struct spool *s, uint64_t sealer, uint64_t number) {
    struct spool_batch *b = s->batches;
    while (b && (b->head.sealer != sealer || b->head.number != number))
        b = b->next;
    return b;
}

int spool_batch_fd(struct spool *s, const struct spool_batch *b) {
    char name[SPOOL_NAME_MAX];
    spool_name(name, b->head.sealer, b->head.number);
    int fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_from_errno(errno) : fd;
}

struct spool_assignment *spool_assignments(struct spool *s) {
    return s->open_assignments;
}

void spool_answered(struct spool *s, const uint8_t id[UUID_BYTES],
                    const uint8_t tag[SPOOL_TAG_BYTES]) {
    struct spool_assignment **at = &s->open_assignments;
    while (*at) {
        struct spool_assignment *a = *at;
        if (memcmp(a->payload, id, UUID_BYTES) ||
            memcmp(a->payload + SPOOL_TAG_AT, tag, SPOOL_TAG_BYTES)) {
            at = &a->next;
            continue;
        }
        struct spool_batch *b = spool_find(s, a->sealer, a->number);
        if (b)
            b->assignments--;
        else
            s->assignments--; /* of the open batch */
        *at = a->next;
        free(a);
    }
}

void spool_sweep(struct spool *s) {
    struct spool_batch **at = &s->batches;
    while (*at) {
        struct spool_batch *b = *at;
        if (!b->noted || !b->inserted || b->assignments) {
            at = &b->next;
            continue;
        }
        char name[SPOOL_NAME_MAX];
        spool_name(name, b->head.sealer, b->head.number);
        unlinkat(s->dir, name, 0);
        *at = b->next;
        free(b);
    }
    s->batches_end = at;
}
