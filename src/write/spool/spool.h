#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H
/*
 * The spool: sealed rows made durable, gathered into numbered batches, kept until vault and store
 * have them. doc/spool.md is the file format and the life of a file.
 *
 * An exchange goes in as a unit: its rows (spool_place gives each its place), then
 * spool_add_exchange; spool_cancel takes back a unit that was begun. Units gather in memory until
 * spool_sync, and only after it returned 0 they are durable. If it fails nothing is lost: call it
 * again later.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "record/batch.h"
#include "record/rows.h"

#define SPOOL_NAME_MAX 48
#define SPOOL_TAG_AT 20 /* where the tag stands in an assignment */
#define SPOOL_TAG_BYTES 32
#define SPOOL_ASSIGNMENT_MAX 2064

/* A finished batch on its way. The flags are its sender's. */
struct spool_batch {
    struct spool_batch *next;
    struct batch_head head; /* rows 0: nothing to ship, only assignments are open */
    uint8_t commitment[BATCH_HASH_BYTES];
    bool noted, inserted; /* by vault, by store */
    bool note_sent, insert_sent;
    bool again; /* an earlier attempt's answer is unknown */
    unsigned failures;
    uint64_t retry_ns;    /* not before this (monotonic) */
    unsigned assignments; /* not answered yet */
};

/* "This pair of the pool is that person's": to be told to the vault until it answers. */
struct spool_assignment {
    struct spool_assignment *next;
    uint64_t sealer, number; /* of the file that keeps it */
    bool sent;
    size_t len;
    uint8_t payload[]; /* of MSG_ASSIGN */
};

struct spool;

/* Takes over what is in the folder (made by the caller): old files become batches to be sent again.
 * `sealer` is this process's new id. ERR_IO, ERR_NOMEM. */
int spool_open(const char *dir, uint64_t sealer, struct spool **ret);
void spool_close(struct spool *s); /* NULL-safe; what was not synced is dropped */

/* Is this exchange in a file that was taken over? Then it must not be sealed again. */
bool spool_knows(const struct spool *s, uint64_t epoch, uint64_t sequence);
/* Files that were put aside because they are damaged (renamed to .damaged). */
unsigned spool_damaged(const struct spool *s);

void spool_place(struct spool *s, struct rows_place *ret);
int spool_add_row(struct spool *s, enum rows_table table, const uint8_t *row, size_t len);
int spool_add_exchange(struct spool *s, uint64_t epoch, uint64_t sequence,
                       const uint8_t id[UUID_BYTES]);
void spool_cancel(struct spool *s);
/* Not within a unit. */
int spool_add_assignment(struct spool *s, const uint8_t *payload, size_t len);

/* Bytes and units that are not durable yet. */
size_t spool_waiting(const struct spool *s);
/* ERR_FULL: no room on the disk. ERR_IO. */
int spool_sync(struct spool *s);
/* Has the open batch reached a limit of rows, bytes or age? */
bool spool_due(const struct spool *s, uint64_t now_ns);
/* In how many ms it will be of age; -1: it has no rows. */
int spool_due_ms(const struct spool *s, uint64_t now_ns);
/* Syncs and ends the open batch, if it has rows; it is the last of spool_batches then. */
int spool_end(struct spool *s);

/* Oldest first; borrowed. */
struct spool_batch *spool_batches(struct spool *s);
struct spool_batch *spool_find(struct spool *s, uint64_t sealer, uint64_t number);
/* A new read-only descriptor of a batch's file; the caller closes it. Or ERR_*. */
int spool_batch_fd(struct spool *s, const struct spool_batch *b);
struct spool_assignment *spool_assignments(struct spool *s);
/* The vault answered that the subject of this tag is that one: assignments of it are done. */
void spool_answered(struct spool *s, const uint8_t id[UUID_BYTES],
                    const uint8_t tag[SPOOL_TAG_BYTES]);
/* Deletes the files of batches that are noted, inserted, and have no open assignment. */
void spool_sweep(struct spool *s);

#endif
