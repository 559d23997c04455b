/* SHA-256 by OpenSSL's low-level calls (sha.h): its newer ones cost more than a short row's hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "read/verify/sha.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include "base/err.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha) && _Alignof(SHA256_CTX) <= _Alignof(struct sha),
               "it fits");

void sha_begin(struct sha *s) {
    SHA256_Init((SHA256_CTX *)s);
}

void sha_add(struct sha *s, const void *p, size_t len) {
    SHA256_Update((SHA256_CTX *)s, p, len);
}

void sha_end(struct sha *s, uint8_t out[SHA_BYTES]) {
    SHA256_Final(out, (SHA256_CTX *)s);
}

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

int sha_file(uint8_t out[SHA_BYTES], const char *path) {
    uint8_t p[65536];
    struct sha s;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    sha_begin(&s);
    while (n > 0 || (n < 0 && errno == EINTR)) {
        n = read(fd, p, sizeof p);
        if (n > 0)
            sha_add(&s, p, (size_t)n);
    }
    const int error = errno;
    close(fd);
    errno = error;
    sha_end(&s, out);
    return n < 0 ? ERR_IO : 0;
}
