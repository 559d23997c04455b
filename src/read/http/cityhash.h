#ifndef HTTP_CITYHASH_H
#define HTTP_CITYHASH_H
/*
 * CityHash128 in the version 1.0.2 that ClickHouse froze for the checksums of its compressed blocks (Pike and
 * Alakuijala, 2011; later versions give other numbers). It tells damage, and protects from nobody.
 */
#include <stddef.h>
#include <stdint.h>

#define CITYHASH_BYTES 16

/* Low half, then high half, little-endian, as they stand before a block. */
void cityhash_128(const uint8_t *p, size_t len, uint8_t out[CITYHASH_BYTES]);

#endif
