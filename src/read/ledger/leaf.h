#ifndef LEDGER_LEAF_H
#define LEDGER_LEAF_H
/*
 * The ledger's file and its leaves, for whoever reads them: doc/ledger.md is the specification.
 * Nothing here needs a key, but ledger_part_open (part.c), which only the vault links.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "record/batch.h"
#include "tlog/checkpoint.h"

#define LEDGER_FILE "ledger.log"
#define LEDGER_HASH_BYTES 32
#define LEDGER_SALT_BYTES 32
#define LEDGER_LEAF_MAX 65535u /* an entry of tlog-tiles has no more */
#define LEDGER_FIELDS_MAX 32768u
#define LEDGER_SEALED_MAX (1u << 20)               /* one sealed part */
#define LEDGER_SEAL_BYTES (48 + LEDGER_SALT_BYTES) /* that sealing adds to a part */
#define LEDGER_ORIGIN "safehouse.invalid/"         /* and the log's id in hex */

/* Numbers are part of the file. */
enum ledger_kind {
    LEDGER_BATCH = 1,
    LEDGER_OPENED = 2,
    LEDGER_ASKED = 3,
    LEDGER_EXPORTED = 4,
    LEDGER_ERASED = 5,
    LEDGER_HELD = 6,
    LEDGER_RELEASED = 7,
    LEDGER_RETENTION = 8,
    LEDGER_GRANT = 9,
    LEDGER_APPROVAL = 10,
    LEDGER_KEY_ROTATED = 11,
    LEDGER_SIGN_IN = 12,
    LEDGER_CONFIGURATION = 13,
    LEDGER_REPORT = 14,
    LEDGER_HIGH_WATER = 15,
    LEDGER_CANARY = 16,
    LEDGER_ANSWERED = 17,
    LEDGER_KIND_LAST = 17
};
/* What a configuration's who part says that was changed; numbers are part of the file. */
enum ledger_key_change {
    LEDGER_KEY_MADE = 1,
    LEDGER_KEY_CHANGED = 2,
    LEDGER_KEY_REVOKED = 3,
    LEDGER_PROJECT_CHANGED = 4,
    LEDGER_KEY_LAST = 4
};
/* "batch", "opened", ...; NULL: no such kind. */
const char *ledger_kind_name(unsigned kind);

enum ledger_parts { LEDGER_HAS_WHO = 1, LEDGER_HAS_ABOUT = 2, LEDGER_ABOUT_AUDIT = 4 };
enum ledger_which { LEDGER_WHO = 1, LEDGER_ABOUT = 2 };

struct ledger_part {
    const uint8_t *commitment, *hash; /* 32 bytes each, in the leaf; NULL: there is no such part */
    const uint8_t *sealed;            /* NULL: not known here */
    size_t sealed_len;
};

/* Everything is borrowed from the bytes that it was read from. */
struct ledger_entry {
    uint64_t index, time_us;
    uint64_t at; /* offset of its frame in the file */
    uint8_t kind, parts;
    const uint8_t *leaf;
    size_t leaf_len;
    const uint8_t *fields; /* the public ones */
    size_t fields_len;
    const uint8_t *hint; /* 8 bytes; NULL: no subject part */
    struct ledger_part who, about;
    merkle_hash leaf_hash;
};
/* All but `at` and the sealed parts. ERR_SYNTAX; ERR_VERSION: a kind or a layout that is not known.
 */
int ledger_leaf_decode(struct ledger_entry *ret, const uint8_t *leaf, size_t len);

/* A batch's fields. */
#define LEDGER_BATCH_BYTES 116
void ledger_put_batch(uint8_t out[LEDGER_BATCH_BYTES], const struct batch_head *h,
                      const uint8_t commitment[BATCH_HASH_BYTES]);
/* ERR_SYNTAX. */
int ledger_get_batch(const struct ledger_entry *e, struct batch_head *h,
                     uint8_t commitment[BATCH_HASH_BYTES]);

/* A cell, as it stands in a subject part: `hash` is BLAKE2b-256 of context | envelope. */
struct ledger_cell {
    uint8_t record[UUID_BYTES];
    uint8_t hash[LEDGER_HASH_BYTES];
};

/* SHA-256("safehouse ledger part 2" | which | salt | part) */
void ledger_commitment(uint8_t out[LEDGER_HASH_BYTES], enum ledger_which which,
                       const uint8_t salt[LEDGER_SALT_BYTES], const void *part, size_t len);
/* 8 bytes, as they stand in a leaf: are they of the subject with this hint key? */
void ledger_hint(uint8_t out[8], const uint8_t hint_key[32], uint64_t index);

/* ---- the file ---- */

/* Not 0: the walk ends with that. */
typedef int ledger_fn(void *arg, const struct ledger_entry *e);
typedef int ledger_checkpoint_fn(void *arg, const struct checkpoint *c,
                                 const uint8_t signature[NOTE_SIGNATURE_BYTES]);

/* How far a log is read, up to its last checkpoint. */
struct ledger_end {
    struct note_key key; /* as the head says: no proof of anything by itself */
    uint64_t bytes;      /* up to there */
    uint64_t time_us;
    struct merkle tree;
    uint8_t signature[NOTE_SIGNATURE_BYTES];
};
struct ledger_walk {
    uint64_t limit; /* no byte beyond is looked at; 0: to the file's end */
    ledger_fn *entry;
    ledger_checkpoint_fn *checkpoint;
    void *arg;
};
/*
 * Every frame in order, each checked before a function (may be NULL) sees it; entries after the
 * last checkpoint are seen, too, and are beyond *ret_end. The signature of the last checkpoint is
 * checked with the head's key. ERR_CORRUPT, ERR_VERSION, ERR_IO, ERR_NOMEM.
 */
int ledger_walk(int fd, const struct ledger_walk *w, struct ledger_end *ret_end);

/* The checkpoint's note. */
int ledger_note(struct buf *out, const struct note_key *key, const struct checkpoint *c,
                const uint8_t signature[NOTE_SIGNATURE_BYTES]);

/* ---- part.c: the vault ---- */

/* Opens a sealed part, checked against the leaf: *out gets salt and part. The secret's holder
 * wipes. ERR_NOTFOUND: there is none; ERR_UNAUTHENTICATED: it is not sealed to this key;
 * ERR_CORRUPT: the leaf says something else. */
int ledger_part_open(const struct ledger_part *p, enum ledger_which which,
                     const uint8_t public_key[32], const uint8_t secret[32], struct buf *out);

/* A who part without its salt, borrowed from its bytes. */
struct ledger_who_read {
    uint32_t uid;
    char person[256];
    const uint8_t *session; /* 16 */
    const char *reason;
    size_t reason_len;
    const uint8_t *rest;
    size_t rest_len;
};
int ledger_who_decode(struct ledger_who_read *ret, const uint8_t *p, size_t len);

#endif
