#ifndef BASE_UUID_H
#define BASE_UUID_H
/*
 * UUIDs as 16 bytes in the order in which they are printed (RFC 9562, big-endian).
 */
#include <stdbool.h>
#include <stdint.h>

#define UUID_BYTES 16
#define UUID_TEXT 36 /* without NUL */

/*
 * UUIDv7 (RFC 9562 section 5.7) of one gateway worker: 48 bits of milliseconds, 12 bits of the
 * millisecond's fraction in rand_a (method 3), and in rand_b 30 bits of the worker's random epoch
 * and its 32-bit sequence number (method 1). Unique without drawing randomness per request, and
 * neighbours compress; an id is no capability anywhere.
 */
void uuid_v7(uint8_t out[UUID_BYTES], uint64_t wall_us, uint64_t epoch, uint64_t sequence);
/* Milliseconds since 1970 of a version 7 UUID. */
uint64_t uuid_v7_ms(const uint8_t id[UUID_BYTES]);
/* Version 4 from 16 random bytes that the caller drew, in place. */
void uuid_v4_stamp(uint8_t id[UUID_BYTES]);
/* Writes UUID_TEXT characters and a NUL. */
void uuid_format(char out[UUID_TEXT + 1], const uint8_t id[UUID_BYTES]);
bool uuid_parse(uint8_t id[UUID_BYTES], const char *text, unsigned len);
bool uuid_is_zero(const uint8_t id[UUID_BYTES]);

#endif
