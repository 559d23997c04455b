#ifndef RECORD_FINGERPRINT_H
#define RECORD_FINGERPRINT_H
/*
 * The fingerprint of a secret: what stands in its place in the stored copy, and in `findings`. On
 * neutral ground, because the detector makes them while writing and the vault makes them again when
 * somebody asks where a value was seen (doc/keys.md).
 *
 *   HMAC-SHA-256(key, "v1" | class | 0 | value), cut to 128 bits, in base32 (RFC 4648, no padding)
 *
 * Of a value that is a number with separators (" -+().") the digits alone are taken.
 */
#include <stddef.h>
#include <stdint.h>

#define FINGERPRINT_KEY_BYTES 32
#define FINGERPRINT_TEXT 26

void fingerprint(char out[static FINGERPRINT_TEXT + 1],
                 const uint8_t key[static FINGERPRINT_KEY_BYTES], const char *class,
                 const void *value, size_t len);

#endif
