/*
 * API keys: making, splitting and comparing them. Linked by the command line (which makes them) and
 * by the gateway's module (which checks them); holds no state. The parts of a key have fixed
 * lengths, since the secret's alphabet has the separator in it.
 */
#include "control/apikey.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, lower case */

static bool is_base32(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
}

static bool is_base64url(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool apikey_id_valid(const char *id, size_t len) {
    if (len != APIKEY_ID_LEN)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_base32(id[i]))
            return false;
    return true;
}

bool apikey_split(const char *text, size_t len, const char **ret_id, size_t *ret_id_len,
                  const char **ret_secret, size_t *ret_secret_len) {
    if (len != APIKEY_LEN || memcmp(text, "sh-", 3) != 0 || text[3 + APIKEY_ID_LEN] != '-')
        return false;
    const char *id = text + 3, *secret = id + APIKEY_ID_LEN + 1;
    if (!apikey_id_valid(id, APIKEY_ID_LEN))
        return false;
    for (size_t i = 0; i < APIKEY_SECRET_LEN; i++)
        if (!is_base64url(secret[i]))
            return false;
    *ret_id = id;
    *ret_id_len = APIKEY_ID_LEN;
    *ret_secret = secret;
    *ret_secret_len = APIKEY_SECRET_LEN;
    return true;
}

void apikey_make(char out_text[APIKEY_TEXT], char out_id[LIMIT_NAME],
                 uint8_t out_hash[APIKEY_HASH_BYTES]) {
    uint8_t random[32];
    memset(out_text, 0, APIKEY_TEXT);
    memset(out_id, 0, LIMIT_NAME);
    randombytes_buf(random, APIKEY_ID_LEN);
    for (size_t i = 0; i < APIKEY_ID_LEN; i++)
        out_id[i] = base32[random[i] & 31];
    randombytes_buf(random, sizeof random);
    memcpy(out_text, "sh-", 3);
    memcpy(out_text + 3, out_id, APIKEY_ID_LEN);
    out_text[3 + APIKEY_ID_LEN] = '-';
    char *secret = out_text + 3 + APIKEY_ID_LEN + 1;
    size_t n = b64url_encode(secret, random, sizeof random);
    CHECK(n == APIKEY_SECRET_LEN);
    crypto_hash_sha256(out_hash, (const unsigned char *)secret, n);
    sodium_memzero(random, sizeof random);
}

bool apikey_matches(const uint8_t hash[APIKEY_HASH_BYTES], const char *secret, size_t len) {
    uint8_t own[APIKEY_HASH_BYTES];
    crypto_hash_sha256(own, (const unsigned char *)secret, len);
    bool same = sodium_memcmp(own, hash, sizeof own) == 0;
    sodium_memzero(own, sizeof own);
    return same;
}
