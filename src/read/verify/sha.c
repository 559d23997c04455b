/* SHA-256 by OpenSSL's low-level calls (sha.h): its newer ones cost more than a short row's hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "read/verify/sha.h"

#include <openssl/sha.h>

void sha_two(uint8_t out[SHA_BYTES], const void *a, size_t a_len, const void *b, size_t b_len) {
    SHA256_CTX s;
    SHA256_Init(&s);
    SHA256_Update(&s, a, a_len);
    SHA256_Update(&s, b, b_len);
    SHA256_Final(out, &s);
}

void sha_three(uint8_t out[SHA_BYTES], const void *a, size_t a_len, const void *b, size_t b_len,
               const void *c, size_t c_len) {
    SHA256_CTX s;
    SHA256_Init(&s);
    SHA256_Update(&s, a, a_len);
    SHA256_Update(&s, b, b_len);
    SHA256_Update(&s, c, c_len);
    SHA256_Final(out, &s);
}
