/* Hex and base64 of bytes.h. */
#include "base/bytes.h"

#include "base/err.h"

void hex_encode(char *out, const uint8_t *in, size_t len) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[in[i] >> 4];
        out[2 * i + 1] = digit[in[i] & 15];
    }
    out[2 * len] = 0;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(uint8_t *out, size_t len, const char *in, size_t in_len) {
    if (in_len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_value(in[2 * i]), lo = hex_value(in[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

/* The two alphabets of RFC 4648 differ in their last two characters. */
static const char b64_common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static char b64_digit(uint32_t v, const char last[static 2]) {
    return v < 62 ? b64_common[v] : last[v - 62];
}

static size_t encode(char *out, const uint8_t *in, size_t len, const char last[static 2]) {
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16;
        size_t have = len - i < 3 ? len - i : 3;
        if (have > 1)
            v |= (uint32_t)in[i + 1] << 8;
        if (have > 2)
            v |= in[i + 2];
        for (size_t k = 0; k <= have; k++)
            out[n++] = b64_digit(v >> (18 - 6 * k) & 63, last);
    }
    return n;
}

static int b64_value(char c, const char last[static 2]) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

static long decode(uint8_t *out, const char *in, size_t in_len, const char last[static 2]) {
    size_t n = 0;
    uint32_t acc = 0;
    unsigned bits = 0;
    if (in_len % 4 == 1)
        return ERR_SYNTAX;
    for (size_t i = 0; i < in_len; i++) {
        int v = b64_value(in[i], last);
        if (v < 0)
            return ERR_SYNTAX;
        acc = acc << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(acc >> bits);
        }
    }
    return acc & ((1u << bits) - 1) ? ERR_SYNTAX : (long)n;
}

size_t b64url_encode(char *out, const uint8_t *in, size_t len) {
    return encode(out, in, len, "-_");
}

long b64url_decode(uint8_t *out, const char *in, size_t in_len) {
    return decode(out, in, in_len, "-_");
}

size_t b64_encode(char *out, const uint8_t *in, size_t len) {
    size_t n = encode(out, in, len, "+/");
    while (n % 4)
        out[n++] = '=';
    return n;
}

long b64_decode(uint8_t *out, const char *in, size_t in_len) {
    if (in_len % 4)
        return ERR_SYNTAX;
    for (int pad = 0; pad < 2 && in_len && in[in_len - 1] == '='; pad++)
        in_len--;
    return decode(out, in, in_len, "+/");
}
