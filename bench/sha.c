/*
 * SHA-256 over rows of 500 bytes by the two libraries, as verify (OpenSSL) and the sealer (libsodium)
 * hash them: "bench verify.sha_openssl_mb_s N MB/s".
 */
#include <sodium.h>
#include <stdio.h>

#include "base/clock.h"
#include "read/verify/shape.h"
#include "record/batch.h"

#define ROW 500
#define SECONDS 1

static double measure(void (*leaf)(uint8_t *out, const uint8_t *row)) {
    static uint8_t row[ROW];
    uint8_t out[32];
    uint64_t n = 0, from = clock_mono_ns(), to;
    do {
        for (int i = 0; i < 1000; i++, n++)
            leaf(out, row);
        to = clock_mono_ns();
    } while (to - from < SECONDS * 1000000000ull);
    return (double)n * ROW * 1000 / (double)(to - from);
}

static void by_openssl(uint8_t *out, const uint8_t *row) {
    shape_leaf(out, SHAPE_TURNS, row, ROW);
}
static void by_libsodium(uint8_t *out, const uint8_t *row) {
    batch_leaf(out, SHAPE_TURNS, row, ROW);
}

int main(void) {
    if (sodium_init() < 0)
        return 4;
    printf("bench verify.sha_openssl_mb_s %.0f MB/s\n", measure(by_openssl));
    printf("bench verify.sha_libsodium_mb_s %.0f MB/s\n", measure(by_libsodium));
    return 0;
}
