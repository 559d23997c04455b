/* Fingerprints (fingerprint.h). Pure; the key is the caller's, and hash states are wiped. */
#include "record/fingerprint.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

static void base32(char out[static FINGERPRINT_TEXT + 1], const uint8_t in[static 16]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned held = 0, n = 0;
    for (size_t i = 0; i < 16; i++) {
        bits = bits << 8 | in[i];
        for (held += 8; held >= 5; held -= 5)
            out[n++] = alphabet[bits >> (held - 5) & 31];
    }
    out[n++] = alphabet[bits << (5 - held) & 31];
    out[n] = 0;
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

/* Numbers are written with and without separators; an X may be a check digit. */
static bool is_number(const uint8_t *p, size_t len) {
    bool any = false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(p[i]) && (!p[i] || !strchr(" -+().Xx", p[i])))
            return false;
        any = any || is_digit(p[i]);
    }
    return any;
}

void fingerprint(char out[static FINGERPRINT_TEXT + 1],
                 const uint8_t key[static FINGERPRINT_KEY_BYTES], const char *class,
                 const void *value, size_t len) {
    crypto_auth_hmacsha256_state state;
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    const uint8_t *p = value;
    const bool digits = is_number(p, len);
    crypto_auth_hmacsha256_init(&state, key, FINGERPRINT_KEY_BYTES);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)"v1", 2);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)class, strlen(class) + 1);
    for (size_t i = 0; digits && i < len; i++)
        if (is_digit(p[i]) || (p[i] | 0x20) == 'x')
            crypto_auth_hmacsha256_update(&state, is_digit(p[i]) ? p + i : (const uint8_t *)"X", 1);
    if (!digits)
        crypto_auth_hmacsha256_update(&state, p, len);
    crypto_auth_hmacsha256_final(&state, mac);
    base32(out, mac);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(mac, sizeof mac);
}
