/* Hex and base64url of bytes.h. */
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

static const char b64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t b64url_encode(char *out, const uint8_t *in, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16;
        size_t have = len - i < 3 ? len - i : 3;
        if (have > 1)
            v |= (uint32_t)in[i + 1] << 8;
        if (have > 2)
            v |= in[i + 2];
        for (size_t k = 0; k <= have; k++)
            out[n++] = b64_alphabet[v >> (18 - 6 * k) & 63];
    }
    return n;
}

static int b64_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

long b64url_decode(uint8_t *out, const char *in, size_t in_len) {
    size_t n = 0;
    uint32_t acc = 0;
    unsigned bits = 0;
    if (in_len % 4 == 1)
        return ERR_SYNTAX;
    for (size_t i = 0; i < in_len; i++) {
        int v = b64_value(in[i]);
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
