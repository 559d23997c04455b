#ifndef BASE_BYTES_H
#define BASE_BYTES_H
/*
 * Byte order, hex, base64url (RFC 4648 section 5, no padding) and base64. Fixed formats of Safehouse are
 * little-endian, as ClickHouse's RowBinary is.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void put_u64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint16_t get_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t get_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t get_u64(const uint8_t *p) {
    return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

/* Writes 2*len lower-case digits and a NUL. */
void hex_encode(char *out, const uint8_t *in, size_t len);
/* Exactly 2*len digits; false if not. */
bool hex_decode(uint8_t *out, size_t len, const char *in, size_t in_len);

/* Characters without NUL: */
#define B64URL_LEN(n) (((n) * 4 + 2) / 3)
/* Writes B64URL_LEN(len) characters, no NUL; returns that number. */
size_t b64url_encode(char *out, const uint8_t *in, size_t len);
/* Strict: the URL alphabet only, no padding, no stray bits. out holds in_len*3/4 bytes.
 * Returns the number of bytes, or ERR_SYNTAX. */
long b64url_decode(uint8_t *out, const char *in, size_t in_len);

/* The standard alphabet with padding (section 4), for formats of others. Characters without NUL: */
#define B64_LEN(n) (((n) + 2) / 3 * 4)
size_t b64_encode(char *out, const uint8_t *in, size_t len);
/* Strict likewise, and the padding must be there. */
long b64_decode(uint8_t *out, const char *in, size_t in_len);

#endif
