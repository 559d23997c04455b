#ifndef SPOOL_SPOOL_INT_H
#define SPOOL_SPOOL_INT_H
/* Shared by spool.c (writing, shipping) and recover.c (taking over). */
#include "write/spool/spool.h"

#define SPOOL_MAGIC "shspool1"
#define SPOOL_CHECK_BYTES 8
#define SPOOL_HEADER_BYTES (8 + 8 + 8 + BATCH_HASH_BYTES + SPOOL_CHECK_BYTES)
#define SPOOL_FRAME_HEAD 8
#define SPOOL_END_BYTES (4 + 2 * BATCH_HASH_BYTES)
#define SPOOL_EXCHANGE_BYTES (8 + 8 + UUID_BYTES)

enum spool_kind { SPOOL_ROW = 1, SPOOL_END, SPOOL_EXCHANGE, SPOOL_ASSIGNMENT };

struct spool_known {
    uint64_t epoch, sequence;
};

struct spool {
    int dir;
    uint64_t sealer;
    /* the open batch */
    int fd; /* -1: its file is not made yet */
    uint64_t number, durable, opened_ns;
    uint8_t previous[BATCH_HASH_BYTES];
    struct batch_tree tree;
    struct buf group;     /* frames behind `durable` */
    unsigned assignments; /* of the open batch */
    bool unit_open;
    /* where the unit in work began */
    size_t unit_group;
    struct batch_tree unit_tree;

    struct spool_batch *batches, **batches_end;
    struct spool_assignment *open_assignments;
    struct spool_known *known;
    size_t known_count, known_room;
    unsigned damaged;
};

int spool_by_exchange(const void *a, const void *b); /* for qsort and bsearch of known */
void spool_check(uint8_t out[SPOOL_CHECK_BYTES], const uint8_t *p, size_t len);
int spool_frame(struct buf *out, enum spool_kind kind, uint8_t table, const uint8_t *p, size_t len);
void spool_name(char out[SPOOL_NAME_MAX], uint64_t sealer, uint64_t number);
void spool_end_payload(uint8_t out[SPOOL_END_BYTES], const struct spool_batch *b);
/* pwrite of all of it, then fdatasync. */
int spool_write_durable(int fd, const uint8_t *p, size_t len, uint64_t at);
void spool_append_batch(struct spool *s, struct spool_batch *b); /* takes b */
int spool_keep_assignment(struct spool *s, uint64_t sealer, uint64_t number, const uint8_t *payload,
                          size_t len);
int spool_recover(struct spool *s);

#endif
