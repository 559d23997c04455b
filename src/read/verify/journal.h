#ifndef VERIFY_JOURNAL_H
#define VERIFY_JOURNAL_H
/*
 * The vault's ledger.log as verify reads it, from doc/ledger.md alone: frames, leaves, the tree, the
 * checkpoints in it and their signatures. It never stops at what is wrong but where nothing after it
 * can be read.
 */
#include "read/verify/note.h"
#include "read/verify/tree.h"

#define JOURNAL_ID_BYTES 16

enum journal_kind { JOURNAL_BATCH = 1, JOURNAL_EXPORTED = 4, JOURNAL_ERASED = 5, JOURNAL_RETENTION = 8, JOURNAL_MARK = 15, JOURNAL_KINDS = 17 };
const char *journal_kind_name(uint8_t kind); /* "unknown" */

struct journal_leaf {
    uint64_t index, time_us;
    uint8_t kind, parts;
    const uint8_t *fields; /* the public ones, borrowed */
    size_t len;
    uint8_t commitment[2][SHA_BYTES]; /* of who and subject, as `parts` says */
    uint8_t hash[2][SHA_BYTES];       /* of the sealed parts */
    uint64_t at;                      /* offset of the fields in the file */
};
/* ERR_SYNTAX; ERR_VERSION. `at` is not set. */
int journal_leaf_read(struct journal_leaf *ret, const uint8_t *p, size_t len);

enum journal_fault {
    JOURNAL_DAMAGED,   /* nothing behind this can be read */
    JOURNAL_LEAF,      /* the leaf is none, or has another's index */
    JOURNAL_TIME,      /* it is older than the one before */
    JOURNAL_PART,      /* the sealed part is not the leaf's */
    JOURNAL_SIZE,      /* a checkpoint's size is not that of what stands before it */
    JOURNAL_ROOT,      /* or its root */
    JOURNAL_SIGNATURE, /* or its signature is not right */
};

struct journal_reader {
    /* Each leaf; it counts from the next `confirmed` on. Not 0 ends the reading with that. */
    int (*leaf)(void *arg, const struct journal_leaf *l);
    void (*confirmed)(void *arg);
    void (*fault)(void *arg, enum journal_fault f, uint64_t at, uint64_t index);
    /* The tree at each size, 0 first. */
    void (*size)(void *arg, const struct tree *t);
    void (*progress)(void *arg, uint64_t done, uint64_t all);
    void *arg;
};

struct journal_end {
    char origin[VERIFY_NOTE_NAME];
    uint8_t public[32];
    uint64_t entries; /* that a checkpoint covers */
    uint64_t unconfirmed; /* behind the newest one */
    uint64_t time_us;
    uint8_t root[SHA_BYTES], signature[64];
};

/* ERR_NOTFOUND, ERR_DENIED, ERR_IO: the file; ERR_VERSION, ERR_CORRUPT: its head; otherwise 0 or what
 * `leaf` returned. */
int journal_read(int fd, const struct journal_reader *r, struct journal_end *ret);

#endif
