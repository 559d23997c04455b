#ifndef LEDGER_LEDGER_INT_H
#define LEDGER_LEDGER_INT_H
/*
 * The file's format, for ledger.c (writes) and walk.c (reads), and the index of batches.
 *
 *   head   8 "shledgr1" | 16 random id | 8 zero
 *   entry  u32 n | u8 kind | 3 zero | u64 number | u64 time | 8 check | n payload | 32 hash
 *   check  the first 8 bytes of BLAKE2b-128 of the 24 bytes before it: n is believed only with it
 *   hash   SHA-256("safehouse ledger entry 1" | the hash before | everything of the entry before
 * it); before the first entry: SHA-256("safehouse ledger 1" | head)
 */
#include "read/ledger/ledger.h"

#define LEDGER_FILE "ledger.log"
#define LEDGER_HEAD_BYTES 32
#define LEDGER_FIXED_BYTES 32 /* of an entry, before its payload */
#define LEDGER_BATCH_BYTES 116

void ledger_head_hash(uint8_t out[LEDGER_HASH_BYTES], const uint8_t head[LEDGER_HEAD_BYTES]);
void ledger_entry_check(uint8_t out[8], const uint8_t fixed[LEDGER_FIXED_BYTES]);
/* `entry` is fixed part and payload; in and out may be one. */
void ledger_entry_hash(uint8_t out[LEDGER_HASH_BYTES], const uint8_t before[LEDGER_HASH_BYTES],
                       const uint8_t *entry, size_t len);

/* A batch's payload: as MSG_BATCH_IS. */
void ledger_put_batch(uint8_t out[LEDGER_BATCH_BYTES], const struct batch_head *h,
                      const uint8_t commitment[BATCH_HASH_BYTES]);
void ledger_get_batch(const uint8_t p[LEDGER_BATCH_BYTES], struct batch_head *h,
                      uint8_t commitment[BATCH_HASH_BYTES]);

/* ---- index.c: where each batch stands ---- */
struct ledger_index;
int ledger_index_new(struct ledger_index **ret);
void ledger_index_free(struct ledger_index *x);
/* Offset of the batch's entry, 0 = unknown. */
uint64_t ledger_index_find(const struct ledger_index *x, uint64_t sealer, uint64_t number);
int ledger_index_add(struct ledger_index *x, uint64_t sealer, uint64_t number, uint64_t at);
/* Forgets what stands at or beyond `from`. */
void ledger_index_cut(struct ledger_index *x, uint64_t from);

#endif
