#ifndef VERIFY_SHA_H
#define VERIFY_SHA_H
/*
 * SHA-256 over pieces, for verify alone: OpenSSL's, which uses the processor's instructions for it.
 * Everything else of the project hashes with libsodium, so the two implementations check each other.
 */
#include <stddef.h>
#include <stdint.h>

#define SHA_BYTES 32

/* In pieces: begin, add ..., end. */
struct sha {
    uint64_t state[14]; /* OpenSSL's, which nobody else looks into */
};
void sha_begin(struct sha *s);
void sha_add(struct sha *s, const void *p, size_t len);
void sha_end(struct sha *s, uint8_t out[SHA_BYTES]);

/* The hash of a and b, one after the other. */
void sha_two(uint8_t out[SHA_BYTES], const void *a, size_t a_len, const void *b, size_t b_len);
void sha_three(uint8_t out[SHA_BYTES], const void *a, size_t a_len, const void *b, size_t b_len,
               const void *c, size_t c_len);
/* Of a whole file. 0; ERR_IO, and errno says why. */
int sha_file(uint8_t out[SHA_BYTES], const char *path);

#endif
