#ifndef TLOG_CHECKPOINT_H
#define TLOG_CHECKPOINT_H
/*
 * Checkpoints (c2sp.org/tlog-checkpoint) and proofs that carry one (c2sp.org/tlog-proof). What is
 * parsed is to be believed only after note_check of its note with the log's key.
 */
#include "tlog/merkle.h"
#include "tlog/note.h"

struct checkpoint {
    char origin[NOTE_NAME_MAX];
    uint64_t size;
    merkle_hash root;
};
/* Appends the text, without signatures. */
int checkpoint_format(struct buf *out, const struct checkpoint *c);
/* ERR_SYNTAX. Extension lines are allowed and passed over. */
int checkpoint_parse(struct checkpoint *ret, const char *text, size_t len);
/* A whole note, and the log's key: parsed, of the key's log, and signed by it. ERR_SYNTAX,
 * ERR_LIMIT; ERR_DENIED: another log's; ERR_UNAUTHENTICATED: not signed with the key, or wrongly.
 */
int checkpoint_open(struct checkpoint *ret, const struct note_key *log, const char *p, size_t len);

#define TLOG_PROOF_MAX (512u << 10)
#define TLOG_PROOF_FIRST "c2sp.org/tlog-proof@v1\n"

/* Borrows from the bytes that were parsed. */
struct tlog_proof {
    const char *extra; /* base64; NULL: none */
    size_t extra_len;
    uint64_t index;
    size_t count;
    merkle_hash hashes[MERKLE_PROOF_MAX];
    const char *note; /* the checkpoint with its signatures */
    size_t note_len;
};
/* ERR_SYNTAX, ERR_LIMIT. */
int tlog_proof_parse(struct tlog_proof *ret, const char *p, size_t len);
/* `extra` is not coded yet; its length 0: none. */
int tlog_proof_format(struct buf *out, const void *extra, size_t extra_len, uint64_t index,
                      const merkle_hash *hashes, size_t count, const char *note, size_t note_len);
/* Is the leaf with this hash in the log that the key signs? *ret (may be NULL): the checkpoint.
 * ERR_UNAUTHENTICATED: it is not proven; others as checkpoint_open. */
int tlog_proof_check(const struct tlog_proof *p, const struct note_key *log, const merkle_hash leaf,
                     struct checkpoint *ret);

/* ---- what these formats share ---- */

/* Takes one line off the front, without its newline; false: there is none. */
bool tlog_take_line(const char **p, size_t *len, const char **ret_line, size_t *ret_len);
/* A decimal number without leading zeros, up to 2^63 - 1. */
bool tlog_take_number(const char *p, size_t len, uint64_t *ret);
bool tlog_take_hash(const char *p, size_t len, merkle_hash ret);
int tlog_put_hash(struct buf *out, const merkle_hash hash); /* with a newline */

#endif
