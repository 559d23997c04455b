/*
 * Checks that need nothing but the value. Formats: ISO/IEC 7812 (Luhn), ISO 13616 (IBAN), GB 11643-1999
 * with GB/T 2260 regions, GitHub's token checksum (its engineering blog, 2021-04-05), RFC 7519, RFC 7617,
 * Bitcoin's base58check and BIP 173/350.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "write/detect/detect_int.h"

static unsigned digit(uint8_t c) {
    return (unsigned)(c - '0');
}

/* ---- people's numbers ---- */

bool check_luhn(const uint8_t *p, size_t len) {
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned v = digit(p[len - 1 - i]);
        sum += i % 2 ? (v * 2) / 10 + (v * 2) % 10 : v;
    }
    return sum % 10 == 0;
}

static unsigned long number(const uint8_t *p, size_t n) {
    unsigned long v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + digit(p[i]);
    return v;
}

/* Issuers' ranges with the lengths that they use; of Maestro those that it uses most, and 16 to 19 digits only: its others
 * are everybody's. Mir 2200-2204, Troy 9792, RuPay 5085, Hipercard 6062. */
bool check_card(const uint8_t *p, size_t len) {
    if (len < 13 || len > 19 || !check_luhn(p, len))
        return false;
    bool same = true;
    for (size_t i = 1; i < len; i++)
        same = same && p[i] == p[0];
    unsigned long four = number(p, 4), two = four / 100, three = four / 10;
    if (same)
        return false;
    if (p[0] == '4')
        return len == 13 || len == 16 || len == 19;
    if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))
        return len == 16;
    if (two == 34 || two == 37)
        return len == 15;
    if (two == 62)
        return len >= 16;
    if (four == 6011 || two == 65 || (three >= 644 && three <= 649))
        return len == 16 || len == 19;
    if ((four >= 3528 && four <= 3589) || (four >= 2200 && four <= 2204) || four == 9792 || four == 5085 || four == 6062)
        return len == 16;
    if (four == 5018 || four == 5020 || four == 5038 || four == 6304 || four == 6759 || (four >= 6761 && four <= 6763))
        return len >= 16;
    if (four >= 8100 && four <= 8171) /* UnionPay's newer range */
        return len >= 16;
    return len == 14 && (two == 36 || two == 38 || (three >= 300 && three <= 305));
}

static bool is_date(unsigned long ymd) {
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned long y = ymd / 10000, m = ymd / 100 % 100, d = ymd % 100;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return y >= 1900 && y < 2100 && m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] &&
           (m != 2 || d < 29 || leap);
}

bool check_cn_id(const uint8_t *p) {
    static const uint8_t weights[17] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    static const uint8_t regions[] = {11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34,
                                      35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52,
                                      53, 54, 61, 62, 63, 64, 65, 71, 81, 82, 83};
    unsigned sum = 0;
    for (size_t i = 0; i < 17; i++)
        sum += digit(p[i]) * weights[i];
    char want = "10X98765432"[sum % 11];
    if (want != (p[17] == 'x' ? 'X' : p[17]) || !is_date(number(p + 6, 8)))
        return false;
    return memchr(regions, (int)number(p, 2), sizeof regions) != NULL;
}

bool check_iban(const uint8_t *p, size_t len) {
    static const char lengths[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
        "FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21"
        "LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22"
        "RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";
    const char *row = lengths;
    while (*row && memcmp(row, p, 2) != 0)
        row += 4;
    if (!*row || number((const uint8_t *)row + 2, 2) != len)
        return false;
    unsigned rest = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = p[(i + 4) % len];
        rest = is_digit(c) ? (rest * 10 + digit(c)) % 97 : (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
    }
    return rest == 1;
}

/* ---- tokens ---- */

static uint32_t crc32(const uint8_t *p, size_t len) {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

bool check_github(const uint8_t *p, size_t len) {
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (len < 36)
        return false;
    uint32_t crc = crc32(p + len - 36, 30);
    for (size_t i = 0; i < 6; i++, crc /= 62)
        if (p[len - 1 - i] != (uint8_t)base62[crc % 62])
            return false;
    return true;
}

bool check_jwt(const uint8_t *p, size_t len) {
    uint8_t header[1024];
    const uint8_t *dot = memchr(p, '.', len);
    long n = dot ? check_base64(header, sizeof header, p, (size_t)(dot - p)) : -1;
    size_t at = 1;
    if (n < 8 || header[0] != '{' || header[n - 1] != '}')
        return false;
    while (at < (size_t)n && is_space(header[at]))
        at++;
    return header[at] == '"' && memmem(header, (size_t)n, "\"alg\"", 5);
}

bool check_basic(const uint8_t *p, size_t len) {
    uint8_t text[512];
    long n = check_base64(text, sizeof text, p, len);
    const uint8_t *colon = n > 0 ? memchr(text, ':', (size_t)n) : NULL;
    bool fine = colon && colon > text && colon < text + n - 1 && utf8_valid(text, (size_t)n);
    for (long i = 0; fine && i < n; i++)
        fine = text[i] >= 0x20 && text[i] != 0x7f;
    sodium_memzero(text, sizeof text);
    return fine;
}

/* ---- wallets ---- */

bool check_mnemonic(const uint8_t *p, size_t len) {
    size_t words = 1, repeated = 0, start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && !is_space(p[i]))
            continue;
        words += i < len;
        /* Words of the standard differ in their first four letters. */
        if (start > 0 && i - start >= 3 && memmem(p, start, p + start, i - start > 4 ? 4 : i - start))
            repeated++;
        start = i + 1;
    }
    return words >= 12 && words <= 24 && words % 3 == 0 && repeated * 2 < words;
}

bool check_base58(const uint8_t *p, size_t len) {
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    uint8_t bytes[25] = {0}, hash[crypto_hash_sha256_BYTES];
    for (size_t i = 0; i < len; i++) {
        const char *at = p[i] ? strchr(alphabet, p[i]) : NULL;
        if (!at)
            return false;
        unsigned carry = (unsigned)(at - alphabet);
        for (size_t k = sizeof bytes; k-- > 0; carry >>= 8) {
            carry += bytes[k] * 58u;
            bytes[k] = (uint8_t)carry;
        }
        if (carry)
            return false;
    }
    crypto_hash_sha256(hash, bytes, 21);
    crypto_hash_sha256(hash, hash, sizeof hash);
    return memcmp(hash, bytes + 21, 4) == 0 && (bytes[0] == 0 || bytes[0] == 5 || bytes[0] == 0x41);
}

bool check_bech32(const uint8_t *p, size_t len) {
    static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
    /* "bc" expanded as BIP 173 says, then the data after "bc1". */
    uint8_t values[96] = {3, 3, 0, 2, 3};
    size_t n = 5;
    if (len < 14 || len > 90)
        return false;
    for (size_t i = 3; i < len; i++) {
        const char *at = p[i] ? strchr(alphabet, p[i]) : NULL;
        if (!at)
            return false;
        values[n++] = (uint8_t)(at - alphabet);
    }
    uint32_t sum = 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t top = sum >> 25;
        sum = (sum & 0x1ffffff) << 5 ^ values[i];
        for (int k = 0; k < 5; k++)
            sum ^= top >> k & 1 ? generator[k] : 0;
    }
    return sum == 1 || sum == 0x2bc830a3;
}
