/* One-time codes (totp.h). Holds nothing; the vault keeps the secrets and which step was last used. */
#include "read/people/totp.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

#include "base/err.h"

#define SHA1_BYTES 20

/* Fetched once: fetching may load a provider, which a sandboxed process cannot. */
static EVP_MAC *hmac;

static int hmac_sha1(const uint8_t *key, size_t key_len, const uint8_t *p, size_t len,
                     uint8_t out[SHA1_BYTES]) {
    char name[] = "SHA1";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    size_t got = 0;
    EVP_MAC_CTX *c = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    bool ok = c && EVP_MAC_init(c, key, key_len, params) == 1 && EVP_MAC_update(c, p, len) == 1 &&
              EVP_MAC_final(c, out, &got, SHA1_BYTES) == 1 && got == SHA1_BYTES;
    EVP_MAC_CTX_free(c);
    return ok ? 0 : ERR_INTERNAL;
}

int totp_start(void) {
    char code[9];
    uint8_t none[TOTP_SECRET_BYTES] = {0};
    if (hmac)
        return 0;
    /* No configuration file: what it would load is not wanted here. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return ERR_INTERNAL;
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    return totp_code(none, sizeof none, 0, TOTP_DIGITS, code);
}

int totp_code(const uint8_t *secret, size_t len, uint64_t step, unsigned digits, char out[9]) {
    static const uint32_t powers[] = {1000000, 10000000, 100000000};
    uint8_t counter[8], mac[SHA1_BYTES];
    if (digits < 6 || digits > 8)
        return ERR_INTERNAL;
    for (int i = 0; i < 8; i++)
        counter[i] = (uint8_t)(step >> (56 - 8 * i));
    int rc = hmac_sha1(secret, len, counter, sizeof counter, mac);
    if (!rc) {
        const unsigned at = mac[SHA1_BYTES - 1] & 15u;
        const uint32_t value = (uint32_t)(mac[at] & 127u) << 24 | (uint32_t)mac[at + 1] << 16 |
                               (uint32_t)mac[at + 2] << 8 | mac[at + 3];
        uint32_t rest = value % powers[digits - 6];
        out[digits] = 0;
        for (unsigned i = digits; i > 0; i--, rest /= 10)
            out[i - 1] = (char)('0' + rest % 10);
    }
    sodium_memzero(mac, sizeof mac);
    return rc;
}

bool totp_check(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t now_us, const char *code,
                size_t len, uint64_t *last) {
    const uint64_t now = now_us / 1000000u / TOTP_STEP_S;
    uint64_t right = 0;
    for (uint64_t step = now - TOTP_WINDOW; step <= now + TOTP_WINDOW; step++) {
        char wanted[9];
        if (len != TOTP_DIGITS || totp_code(secret, TOTP_SECRET_BYTES, step, TOTP_DIGITS, wanted))
            return false;
        if (sodium_memcmp(code, wanted, TOTP_DIGITS) == 0 && step > *last && !right)
            right = step;
        sodium_memzero(wanted, sizeof wanted);
    }
    if (right)
        *last = right;
    return right != 0;
}
