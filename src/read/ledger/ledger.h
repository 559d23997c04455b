#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H
/*
 * The ledger: one append-only file of hash-chained entries, DIR/ledger.log. doc/ledger.md is the
 * specification of the file and of each kind's payload.
 *
 * Appending is two steps: the append calls write, ledger_sync makes everything appended since the
 * last one durable. Only what was synced counts; when a step fails, everything since then is taken
 * back, and the same appends may be tried again. A ledger that cannot be taken back (ledger_broken)
 * accepts nothing until it is opened anew.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/uuid.h"
#include "record/batch.h"

#define LEDGER_HASH_BYTES 32
#define LEDGER_PAYLOAD_MAX (1u << 20)

/* Numbers are part of the file. */
enum ledger_kind { LEDGER_BATCH = 1, LEDGER_OPENED = 2, LEDGER_ASKED = 3, LEDGER_KIND_LAST = 3 };

struct ledger;

/* Makes the file, durable with its folder entry. ERR_EXISTS. */
int ledger_create(const char *dir);
/*
 * Reads and checks the whole file. A last entry that is not whole was never confirmed and is cut
 * off; *ret_cut (may be NULL) gets its bytes. ERR_CORRUPT: anything else is wrong, and then nothing
 * is changed; ERR_VERSION; ERR_NOTFOUND.
 */
int ledger_open(const char *dir, struct ledger **ret, uint64_t *ret_cut);
void ledger_close(struct ledger *l); /* NULL-safe */

/*
 * A batch's commitment. 0: appended; ERR_EXISTS: exactly this batch is in the ledger already;
 * ERR_CORRUPT: the commitment is not that of the head; ERR_DENIED: another batch has its number, or
 * it does not chain to its neighbours. Others as ledger_sync.
 */
int ledger_batch(struct ledger *l, const struct batch_head *head,
                 const uint8_t commitment[BATCH_HASH_BYTES]);

/* One cell of an opening: `hash` is BLAKE2b-256 of context | envelope, as they stand in the cell.
 */
struct ledger_cell {
    uint8_t record[UUID_BYTES];
    uint8_t subject[UUID_BYTES];
    uint8_t hash[LEDGER_HASH_BYTES];
};
/* Who opens what and why: sealed to the opening key but for the count. At most LIMIT_OPEN_CELLS and
 * LIMIT_REASON. */
int ledger_opened(struct ledger *l, const uint8_t opening_public[32], uint32_t uid,
                  const char *reason, size_t reason_len, const struct ledger_cell *cells,
                  uint32_t count);

/* Who asked where a secret was seen: sealed to the opening key. The value is not noted. */
int ledger_asked(struct ledger *l, const uint8_t opening_public[32], uint32_t uid);

/* 0; ERR_FULL, ERR_IO: not durable, taken back. */
int ledger_sync(struct ledger *l);
/* Takes back what was not synced. */
void ledger_undo(struct ledger *l);
bool ledger_broken(const struct ledger *l);

struct ledger_totals {
    uint64_t entries, bytes, batches, openings; /* confirmed ones */
};
void ledger_totals(const struct ledger *l, struct ledger_totals *ret);

/* ---- reading, without a struct ledger ---- */

struct ledger_entry {
    uint64_t number; /* from 1 */
    uint64_t time_us;
    uint64_t at; /* offset of the entry in the file */
    uint8_t kind;
    const uint8_t *payload; /* borrowed until the function returns */
    uint32_t len;
    uint8_t hash[LEDGER_HASH_BYTES];
};
/* Not 0: the walk ends with that. */
typedef int ledger_fn(void *arg, const struct ledger_entry *e);

struct ledger_end {
    uint64_t entries, time_us;
    uint64_t bytes; /* of the whole entries and the head */
    uint8_t hash[LEDGER_HASH_BYTES];
};
/* Every whole entry in order, each checked before `fn` (may be NULL) sees it. What follows
 * *ret_end's bytes is an entry that is not whole. Codes as ledger_open. */
int ledger_walk(int fd, ledger_fn *fn, void *arg, struct ledger_end *ret_end);

#endif
