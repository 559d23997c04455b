/* UUIDs of uuid.h. */
#include "base/uuid.h"

#include "base/bytes.h"

void uuid_v7(uint8_t out[UUID_BYTES], uint64_t wall_us, uint64_t epoch, uint64_t sequence) {
    uint64_t ms = wall_us / 1000u;
    uint64_t frac = wall_us % 1000u * 4096u / 1000u;
    uint64_t hi = ms << 16 | 0x7000u | frac;
    uint64_t lo = 2ull << 62 | (epoch & 0x3fffffffu) << 32 | (sequence & 0xffffffffu);
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(hi >> (56 - 8 * i));
        out[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
    }
}

uint64_t uuid_v7_ms(const uint8_t id[UUID_BYTES]) {
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return ms;
}

void uuid_v4_stamp(uint8_t id[UUID_BYTES]) {
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

void uuid_format(char out[UUID_TEXT + 1], const uint8_t id[UUID_BYTES]) {
    static const char digit[] = "0123456789abcdef";
    char *o = out;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = digit[id[i] >> 4];
        *o++ = digit[id[i] & 15];
    }
    *o = 0;
}

bool uuid_parse(uint8_t id[UUID_BYTES], const char *text, unsigned len) {
    char hex[32];
    unsigned n = 0;
    if (len != UUID_TEXT)
        return false;
    for (unsigned i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text[i] == '-'))
            return false;
        if (!dash)
            hex[n++] = text[i];
    }
    return hex_decode(id, UUID_BYTES, hex, n);
}

bool uuid_is_zero(const uint8_t id[UUID_BYTES]) {
    uint8_t all = 0;
    for (int i = 0; i < UUID_BYTES; i++)
        all |= id[i];
    return all == 0;
}
