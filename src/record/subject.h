#ifndef RECORD_SUBJECT_H
#define RECORD_SUBJECT_H
/*
 * A subject's name in its one encoding, which is tagged by the sealer, sealed to the opening key, and
 * read again by the vault. doc/keys.md is the specification.
 *
 *   string tenant | string project | u8 kind | u16 len | len name     (strings as in record/context.h)
 *
 * The tag is BLAKE2b-256 of it, keyed with the pepper.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

enum subject_kind {
    SUBJECT_NAMED = 1, /* by the request: `user` and its kin */
    SUBJECT_KEY = 2,   /* nobody was named: the API key's public id */
};

#define SUBJECT_NAME_MAX (2 * LIMIT_NAME + 3 + LIMIT_SUBJECT_NAME) /* encoded */

struct subject_name {
    char tenant[LIMIT_NAME], project[LIMIT_NAME];
    uint8_t kind; /* enum subject_kind */
    char name[LIMIT_SUBJECT_NAME]; /* NUL-terminated */
};

/* Returns the length, 0 when it does not fit or a part is too long. */
size_t subject_encode_name(uint8_t *out, size_t size, const char *tenant, const char *project,
                           uint8_t kind, const char *name, size_t len);
/* Strict. ERR_SYNTAX. */
int subject_decode_name(struct subject_name *ret, const uint8_t *p, size_t len);

#endif
