#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H
/*
 * The ledger, for the vault, which alone writes it: DIR/ledger.log, an append-only Merkle log, and
 * DIR/ledger.key, which signs it. doc/ledger.md is the specification of the file, of a leaf and of
 * each kind's fields and parts. leaf.h reads it.
 *
 * Appending is two steps: the append calls write, ledger_sync makes everything appended since the
 * last one durable, with a signed checkpoint over it. Only what was synced counts, and only after
 * ledger_sync may anything leave that rests on it. When a step fails, everything since the last
 * sync is taken back, and the same appends may be tried again. So one caller's appends and its
 * ledger_sync belong into one turn of the loop.
 *
 *     struct ledger_who who = {.uid = uid, .reason = reason, .reason_len = n};
 *     struct ledger_draft d = {.kind = LEDGER_HELD, .who = &who, .about = &about};
 *     rc = ledger_append(l, &d, &receipt);
 *     if (!rc)
 *         rc = ledger_sync(l);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "read/ledger/leaf.h"
#include "record/batch.h"

struct ledger;

/* Makes log and key, durable with their folder entries. ERR_EXISTS: there is a log. */
int ledger_create(const char *dir);
/*
 * Reads and checks the whole file. What no checkpoint confirms at its end is cut off; *ret_cut (may
 * be NULL) gets its bytes. `audit_public` is the key that who parts are sealed to. ERR_CORRUPT:
 * anything is wrong, and then nothing is changed; ERR_VERSION; ERR_NOTFOUND.
 */
int ledger_open(const char *dir, const uint8_t audit_public[32], struct ledger **ret,
                uint64_t *ret_cut);
void ledger_close(struct ledger *l); /* NULL-safe */

/* ---- appending ---- */

#define LEDGER_NO_UID UINT32_MAX
struct ledger_who {
    uint32_t uid;           /* at the socket; LEDGER_NO_UID: none */
    const char *person;     /* who signed in; NULL: nobody had to */
    const uint8_t *session; /* 16 bytes; NULL: none */
    const char *reason;
    size_t reason_len; /* at most LIMIT_REASON */
    const void *rest;  /* what the kind adds */
    size_t rest_len;
};

/* Whom an entry is about, and the bytes of its subject part. */
struct ledger_about {
    const uint8_t
        *subject_public;     /* 32 bytes; NULL: no such subject (any more), so the audit key */
    const uint8_t *hint_key; /* 32 bytes, of ledger_hint_key; with subject_public only */
    const void *part;
    size_t part_len;
};

struct ledger_draft {
    enum ledger_kind kind;
    const void *fields;               /* the public ones */
    size_t fields_len;                /* at most LEDGER_FIELDS_MAX */
    const struct ledger_who *who;     /* NULL: no who part */
    const struct ledger_about *about; /* NULL: no subject part */
};

/* With its salt somebody can be shown a part, who needs no key then (doc/ledger.md, Proofs). */
struct ledger_receipt {
    uint64_t index;
    uint8_t who_salt[LEDGER_SALT_BYTES], about_salt[LEDGER_SALT_BYTES];
};
/* ERR_FULL, ERR_IO, ERR_LIMIT, ERR_NOMEM; ERR_CORRUPT: a key is no public key. ret may be NULL. */
int ledger_append(struct ledger *l, const struct ledger_draft *d, struct ledger_receipt *ret);

/*
 * The same in two steps, for many entries of one request: sealing takes most of the time and may be spread
 * over turns of the loop; what was sealed then gets its places in the log in one turn. ledger_seal appends
 * the entry to `out`, with which ledger_append_sealed is called as many times as there were entries;
 * *at, 0 at first, goes from one to the next. `hint_key` is that of the draft, or NULL. Nothing in `out`
 * is secret. No entries of kind `configuration`.
 */
int ledger_seal(struct ledger *l, const struct ledger_draft *d, struct buf *out);
int ledger_append_sealed(struct ledger *l, const struct buf *sealed, size_t *at,
                         const uint8_t *hint_key);

/* The key of a subject's hints: who has it finds the subject's entries. Wipe it. */
void ledger_hint_key(uint8_t out[32], const uint8_t subject_secret[32]);

/*
 * A batch's commitment. 0: appended; ERR_EXISTS: exactly this batch is in the ledger already;
 * ERR_CORRUPT: the commitment is not that of the head; ERR_DENIED: another batch has its number, or
 * it does not chain to its neighbours. Others as ledger_append.
 */
int ledger_batch(struct ledger *l, const struct batch_head *head,
                 const uint8_t commitment[BATCH_HASH_BYTES]);

/* 0; ERR_FULL, ERR_IO: not durable, taken back. */
int ledger_sync(struct ledger *l);
/* Takes back what was not synced. */
void ledger_undo(struct ledger *l);
/* What failed could not be taken back; tried again at the next append. */
bool ledger_broken(const struct ledger *l);

/* ---- what is confirmed ---- */

struct ledger_totals {
    uint64_t entries, bytes, batches, openings;
};
void ledger_totals(const struct ledger *l, struct ledger_totals *ret);
/* Appends the newest checkpoint, a signed note: for whoever leaves with an answer. */
int ledger_checkpoint(const struct ledger *l, struct buf *out);
/* Appends a tlog-proof of the newest entry with the newest checkpoint, as `safehouse ledger prove` gives
 * it: right after the append and its ledger_sync, without reading the file. ERR_NOTFOUND: later. */
int ledger_prove_newest(const struct ledger *l, struct buf *out);
/* The digest in the last entry of kind `configuration`, 32 bytes; zeros: there is none. Borrowed. */
const uint8_t *ledger_configuration(const struct ledger *l);
/* The key that checks it. Borrowed. */
const struct note_key *ledger_key(const struct ledger *l);
/*
 * Is this earlier checkpoint one of this log's own? 0: it is; ERR_AGAIN: it is newer than the log,
 * which therefore is not all there; ERR_DENIED: the log never had it (it was forked or rewritten,
 * or the checkpoint is another log's); ERR_UNAUTHENTICATED, ERR_SYNTAX: it is no checkpoint. Reads
 * the file.
 */
int ledger_covers(const struct ledger *l, const char *checkpoint, size_t len);
/* Signs a note's text, which is in `out` and begins with a line that is no log's origin, and appends
 * the empty line and the signature's. ERR_USAGE: it could be taken for a checkpoint. */
int ledger_sign(const struct ledger *l, struct buf *out);
/* A new descriptor of the log, read-only, of which the first totals.bytes are confirmed. The caller
 * closes it. */
int ledger_reader(const struct ledger *l);

#endif
