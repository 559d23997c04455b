#ifndef RECORD_ENVELOPE_H
#define RECORD_ENVELOPE_H
/*
 * The envelope: the header of a sealed record, without key or cipher (both sides need it; sealing is
 * src/write/seal, opening src/read/unseal). doc/envelope.md is the specification.
 *
 *   u8 version = 1 | u8 suite | u8 dictionary | u8 padding | 16 data-key id | u16 index |
 *   ciphertext | 16 tag
 *
 * suite 1: ChaCha20-Poly1305 (IETF), record key i of the data key's ratchet, nonce of 12 zero bytes
 *          (each record key is used once); associated data = the 22 header bytes, then the encoded
 *          context.
 * dictionary: 0 the plaintext is stored, n > 0 zstd with shipped dictionary n (src/codec).
 * padding 1: Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
 *          Communication with PURBs", PETS 2019): the compressed bytes, 0x80, zeros, so that the
 *          whole is a Padmé length.
 *
 * A cell, as SQL and clients carry it: "shx1." and the base64url of context | envelope.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "record/context.h"

#define ENVELOPE_VERSION 1
#define ENVELOPE_SUITE_CHACHA20POLY1305 1
#define ENVELOPE_PADDING_PADME 1
#define ENVELOPE_HEADER_BYTES 22
#define ENVELOPE_TAG_BYTES 16
#define ENVELOPE_OVERHEAD (ENVELOPE_HEADER_BYTES + ENVELOPE_TAG_BYTES)
#define DATA_KEY_ID_BYTES 16

#define CELL_PREFIX "shx1."

struct envelope_header {
    uint8_t suite;
    uint8_t dictionary;
    uint8_t padding;
    uint8_t data_key[DATA_KEY_ID_BYTES];
    uint16_t index;
};

void envelope_encode_header(uint8_t out[ENVELOPE_HEADER_BYTES], const struct envelope_header *h);
/* ERR_SYNTAX (too short for header and tag), ERR_VERSION. */
int envelope_decode_header(struct envelope_header *ret, const uint8_t *p, size_t len);

/* BLAKE2b with 16 bytes of output over the whole envelope: `parent hash` of the next turn. */
void envelope_hash(uint8_t out[CONTEXT_HASH_BYTES], const uint8_t *envelope, size_t len);

/* Padmé: the length to which `len` bytes are padded; never smaller than len. */
size_t padme_length(size_t len);
/* Appends 0x80 and zeros up to padme_length(len + 1). */
int padme_pad(struct buf *b);
/* The length without padding, or ERR_CORRUPT. */
long padme_unpad(const uint8_t *p, size_t len);

/* Splits the bytes of a cell (after base64url): the context, and where its envelope begins. */
int cell_split(const uint8_t *p, size_t len, struct context *ret_ctx, const uint8_t **ret_envelope,
               size_t *ret_envelope_len);

#endif
