#ifndef VERIFY_NOTE_H
#define VERIFY_NOTE_H
/*
 * Signed notes, c2sp.org/signed-note: checkpoints (c2sp.org/tlog-checkpoint, doc/ledger.md), and texts of
 * other kinds (doc/receipts.md). Outside bytes; strict.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "read/verify/sha.h"

#define VERIFY_NOTE_MAX 65536     /* bytes of a note */
#define VERIFY_NOTE_SIGNATURES 64 /* lines */
#define VERIFY_NOTE_NAME 256      /* an origin or a key's name, with NUL */
#define VERIFY_NOTE_TEXT 512      /* what is signed of a checkpoint */

struct verify_note_key {
    char name[VERIFY_NOTE_NAME];
    uint8_t id[4];
    uint8_t public[32];
};

struct verify_note_signature {
    char name[VERIFY_NOTE_NAME];
    uint8_t id[4];
    uint8_t bytes[64];
    bool ed25519; /* it has the length of one */
};

struct verify_note {
    char origin[VERIFY_NOTE_NAME];
    uint64_t size;
    uint8_t root[SHA_BYTES];
    char text[VERIFY_NOTE_TEXT]; /* the signed text */
    size_t text_len;
    struct verify_note_signature signatures[VERIFY_NOTE_SIGNATURES];
    size_t count;
};

/* A note of any text. Borrows that from the bytes that were parsed. */
struct verify_signed {
    const char *text; /* its last newline included */
    size_t text_len;
    struct verify_note_signature signatures[VERIFY_NOTE_SIGNATURES];
    size_t count;
};
/* ERR_SYNTAX, ERR_LIMIT. */
int verify_signed_parse(struct verify_signed *ret, const uint8_t *p, size_t len);

/* A checkpoint, without extension lines. ERR_SYNTAX, ERR_LIMIT. */
int verify_note_parse(struct verify_note *ret, const uint8_t *p, size_t len);
/* Origin, size and root to the text that is signed. */
void verify_note_make(struct verify_note *n, const char *origin, uint64_t size, const uint8_t root[SHA_BYTES]);

/* The whole note with its signatures, as text that verify_note_parse takes. */
int verify_note_print(const struct verify_note *n, struct buf *out);

/* "name+id+base64", one line, its newline or not. ERR_SYNTAX; ERR_CORRUPT: the id is not that of name
 * and key. */
int verify_note_key_parse(struct verify_note_key *ret, const char *p, size_t len);
void verify_note_key_make(struct verify_note_key *ret, const char *name, const uint8_t public[32]);

/* The key's signatures under the note: ERR_NOTFOUND none; ERR_CORRUPT one is wrong; 0 all are right. */
int verify_note_verify(const struct verify_note *n, const struct verify_note_key *k);
int verify_signed_verify(const struct verify_signed *n, const struct verify_note_key *k);
bool verify_note_signature_right(const struct verify_note *n, const uint8_t signature[64],
                                 const uint8_t public[32]);

/* Strict base64 (RFC 4648 section 4, padding): true, and the number of bytes, at most `room`. */
bool verify_note_decode(uint8_t *out, size_t room, const char *p, size_t p_len, size_t *ret_len);
/* The same of exactly `len` bytes. */
bool verify_note_base64(uint8_t *out, size_t len, const char *p, size_t p_len);

#endif
