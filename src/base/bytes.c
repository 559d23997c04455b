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

/* Of the common ones; 64: it is none. */
static const uint8_t b64_values[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
    64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
};

static int b64_value(char c, const char last[static 2]) {
    const uint8_t v = b64_values[(uint8_t)c];
    return v < 64 ? v : c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

/* Fours become threes; what is left is two or three characters, whose last bits are 0. */
static long decode(uint8_t *out, const char *in, size_t in_len, const char last[static 2]) {
    size_t n = 0, i = 0;
    uint32_t acc = 0;
    unsigned bits = 0;
    if (in_len % 4 == 1)
        return ERR_SYNTAX;
    for (; i + 4 <= in_len; i += 4) {
        const int a = b64_value(in[i], last), b = b64_value(in[i + 1], last), c = b64_value(in[i + 2], last),
                  d = b64_value(in[i + 3], last);
        if ((a | b | c | d) < 0)
            return ERR_SYNTAX;
        const uint32_t v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | (uint32_t)d;
        out[n++] = (uint8_t)(v >> 16);
        out[n++] = (uint8_t)(v >> 8);
        out[n++] = (uint8_t)v;
    }
    for (; i < in_len; i++) {
        const int v = b64_value(in[i], last);
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
