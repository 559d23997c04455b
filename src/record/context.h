#ifndef RECORD_CONTEXT_H
#define RECORD_CONTEXT_H
/*
 * The context of a sealed cell: what the cell belongs to. It is authenticated with the cell (as the
 * associated data of the AEAD), travels in clear beside it, and is the only thing that the vault
 * judges an opening by. doc/envelope.md is the specification; test/vectors has golden ones.
 *
 * Encoding, little-endian, strings as one length byte and the bytes:
 *   u8 version = 1 | string tenant | string project | 16 subject | 16 record id | u8 field |
 *   u16 schema | 16 conversation | 16 parent | 16 parent hash | u32 kept | string dialect
 * UUIDs in printed (big-endian) order.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/uuid.h"

#define CONTEXT_VERSION 1
#define CONTEXT_MAX 512
#define CONTEXT_HASH_BYTES 16

enum context_field { CONTEXT_FIELD_TURN = 1 };
#define CONTEXT_SCHEMA_TURN 1

struct context {
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    uint8_t subject[UUID_BYTES];
    uint8_t record[UUID_BYTES];
    uint8_t field; /* enum context_field */
    uint16_t schema;
    uint8_t conversation[UUID_BYTES];
    uint8_t parent[UUID_BYTES];                 /* zero: a first turn or a key turn */
    uint8_t parent_hash[CONTEXT_HASH_BYTES];    /* BLAKE2b-128 of the parent's envelope */
    uint32_t kept;                              /* messages kept of the parent's history */
    char dialect[LIMIT_NAME];
};

/* Returns the length (<= CONTEXT_MAX). */
size_t context_encode(uint8_t out[CONTEXT_MAX], const struct context *c);
/* Strict; *ret_used is the encoding's length. ERR_SYNTAX, ERR_VERSION. */
int context_decode(struct context *ret, const uint8_t *p, size_t len, size_t *ret_used);

#endif
