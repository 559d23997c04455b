#ifndef TLOG_NOTE_H
#define TLOG_NOTE_H
/*
 * Signed notes, after c2sp.org/signed-note: text, an empty line, signature lines. Keys are Ed25519:
 * type 1 signs the text itself, type 4 (c2sp.org/tlog-cosignature) "cosignature/v1", a time and the
 * text. Bytes of others are parsed here: everything has a ceiling, and what is not exactly as the
 * specification says is refused.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define NOTE_MAX (64u << 10)
#define NOTE_SIGNATURES_MAX 64
#define NOTE_NAME_MAX 256 /* a key's name, with NUL */
#define NOTE_PUBLIC_BYTES 32
#define NOTE_SIGNATURE_BYTES 64

enum note_type { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 };

/* A key that signatures are checked with. */
struct note_key {
    char name[NOTE_NAME_MAX];
    uint8_t type; /* enum note_type */
    uint8_t public_key[NOTE_PUBLIC_BYTES];
    uint8_t id[4];
};
/* ERR_SYNTAX: no name of a key. */
int note_key_make(struct note_key *ret, const char *name, enum note_type type,
                  const uint8_t public_key[NOTE_PUBLIC_BYTES]);
/* A verifier key, "name+id+base64". ERR_SYNTAX, ERR_UNSUPPORTED: of a type that is not known. */
int note_key_parse(struct note_key *ret, const char *p, size_t len);
int note_key_format(struct buf *out, const struct note_key *k);

struct note_signature {
    const char *line; /* the whole one, newline included */
    size_t line_len;
    const char *name;
    size_t name_len;
    uint8_t id[4];
    /* What follows the id; `len` is its true length, of a longer one only the beginning is kept. */
    size_t len;
    uint8_t p[8 + NOTE_SIGNATURE_BYTES];
};

/* Borrows from the bytes that were parsed. */
struct note {
    const char *text; /* its last newline included */
    size_t text_len, count;
    struct note_signature signatures[NOTE_SIGNATURES_MAX];
};
/* ERR_SYNTAX, ERR_LIMIT. Nothing in it is to be believed before note_check. */
int note_parse(struct note *ret, const char *p, size_t len);
/*
 * Is it signed with this key? ERR_NOTFOUND: no signature claims to be; ERR_UNAUTHENTICATED: one
 * that claims to be is wrong. *ret_time_s (may be NULL) is when a cosignature was made, else 0.
 */
int note_check(const struct note *n, const struct note_key *k, uint64_t *ret_time_s);

/* Appends the line of a signature; `p` is what follows the key's id. */
int note_put_signature(struct buf *out, const struct note_key *k, const uint8_t *p, size_t len);

#endif
