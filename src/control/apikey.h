#ifndef CONTROL_APIKEY_H
#define CONTROL_APIKEY_H
/*
 * API keys. As shown once: "sh-<public id>-<secret>", public id 12 characters of lower-case base32
 * (60 bits, in clear columns and lists), secret 43 characters of base64url (256 bits). Kept is the
 * SHA-256 of the secret's characters: of 256 random bits no slow hash is needed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define APIKEY_ID_LEN 12
#define APIKEY_SECRET_LEN 43
#define APIKEY_LEN (3 + APIKEY_ID_LEN + 1 + APIKEY_SECRET_LEN)
#define APIKEY_TEXT 64 /* room for one, with NUL */
#define APIKEY_HASH_BYTES 32

/*
 * Splits a presented key; false if it has not this form. *ret_id and *ret_secret are borrowed from
 * `text`.
 */
bool apikey_split(const char *text, size_t len, const char **ret_id, size_t *ret_id_len,
                  const char **ret_secret, size_t *ret_secret_len);
/* Makes a new one: the whole key with NUL, the id with NUL, the hash of the secret. */
void apikey_make(char out_text[APIKEY_TEXT], char out_id[LIMIT_NAME],
                 uint8_t out_hash[APIKEY_HASH_BYTES]);
/* Constant-time: does this secret have this hash? */
bool apikey_matches(const uint8_t hash[APIKEY_HASH_BYTES], const char *secret, size_t len);
/* Is it the form of a public id? */
bool apikey_id_valid(const char *id, size_t len);

#endif
