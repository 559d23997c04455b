#ifndef PEOPLE_TOTP_H
#define PEOPLE_TOTP_H
/*
 * One-time codes by time: RFC 6238 over RFC 4226, with HMAC-SHA-1 (OpenSSL's; the one hash that every
 * authenticator has), steps of 30 s and 6 digits.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOTP_SECRET_BYTES 20
#define TOTP_STEP_S 30
#define TOTP_DIGITS 6
#define TOTP_WINDOW 1 /* steps before and after now that are taken */

/* Once, before a sandbox: what OpenSSL loads when it is first used. 0 or ERR_INTERNAL. */
int totp_start(void);

/* RFC 4226's HOTP value cut to `digits` (6 to 8), in decimal with a NUL. ERR_INTERNAL. */
int totp_code(const uint8_t *secret, size_t len, uint64_t step, unsigned digits, char out[9]);

/*
 * Is `code` (TOTP_DIGITS digits) right at this time, and of a step after *last? Then *last is its step:
 * each code works once. The comparison takes the same time whether it is right or not.
 */
bool totp_check(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t now_us, const char *code,
                size_t len, uint64_t *last);

#endif
