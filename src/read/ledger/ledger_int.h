#ifndef LEDGER_LEDGER_INT_H
#define LEDGER_LEDGER_INT_H
/*
 * What the writer, the reader and their tests share of the file's form (doc/ledger.md), and the
 * index of batches.
 */
#include "read/ledger/ledger.h"

#define LEDGER_KEY_FILE "ledger.key"
#define LEDGER_MAGIC "shledgr2"
#define LEDGER_ID_BYTES 16
#define LEDGER_HEAD_BYTES 64
#define LEDGER_FRAME_BYTES 16 /* before a frame's body */
#define LEDGER_BODY_MAX (2u << 20)
#define LEDGER_CHECKPOINT_BYTES (8 + MERKLE_HASH_BYTES + NOTE_SIGNATURE_BYTES)
#define LEDGER_LEAF_FIXED 22 /* before the public fields */

enum ledger_frame { LEDGER_FRAME_ENTRY = 1, LEDGER_FRAME_CHECKPOINT = 2 };

/* Writes n, type, zeros and check to `out`, of a frame that will stand at `at`. */
void ledger_frame_head(uint8_t out[LEDGER_FRAME_BYTES], uint64_t at, enum ledger_frame type,
                       const uint8_t *body, uint32_t n);
/* The key of a log with this id. */
int ledger_make_key(struct note_key *ret, const uint8_t id[LEDGER_ID_BYTES],
                    const uint8_t public_key[NOTE_PUBLIC_BYTES]);

/* The checkpoint of the tree so far, and the text that is signed. The caller wipes `text`. */
int ledger_checkpoint_text(const struct ledger_end *end, struct checkpoint *ret, struct buf *text);

/* ---- key.c ---- */
/* Guarded memory: seed and public key as libsodium wants them. The caller frees with sodium_free.
 */
int ledger_key_create(int folder, uint8_t ret_public[NOTE_PUBLIC_BYTES], uint8_t **ret_secret);
int ledger_key_read(int folder, uint8_t ret_public[NOTE_PUBLIC_BYTES], uint8_t **ret_secret);

/* ---- ledger.c ---- */
struct ledger {
    int fd, folder;
    uint8_t *secret; /* guarded: the signing key */
    uint8_t audit[32];
    struct ledger_end now, sure;
    struct merkle before; /* the tree before the entry that is in `frame` */
    struct ledger_index *batches;
    uint64_t batch_count, opening_count; /* with what is not sure yet */
    uint64_t sure_batches, sure_openings;
    /* of the last entry of that kind; zeros: none */
    uint8_t configuration[LEDGER_HASH_BYTES], sure_configuration[LEDGER_HASH_BYTES];
    struct buf frame; /* the entry in the making: leaf and sealed parts, nothing to wipe */
    struct buf clear; /* salt and part before sealing: wiped after each */
    bool broken;
};

/* ---- index.c: where each batch stands ---- */
struct ledger_index;
int ledger_index_new(struct ledger_index **ret);
void ledger_index_free(struct ledger_index *x);
/* Offset of the batch's frame, 0 = unknown. */
uint64_t ledger_index_find(const struct ledger_index *x, uint64_t sealer, uint64_t number);
int ledger_index_add(struct ledger_index *x, uint64_t sealer, uint64_t number, uint64_t at);
/* Forgets what stands at or beyond `from`. */
void ledger_index_cut(struct ledger_index *x, uint64_t from);

#endif
