#ifndef WRITE_DETECT_SIFT_H
#define WRITE_DETECT_SIFT_H
/*
 * Classes of bytes, 64 at a time: bit i of a mask is set if byte i is of the class. With SSE2, which every
 * x86-64 has, that is a few instructions; elsewhere a loop.
 */
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SIFT_BLOCK 64

struct sift {
    uint64_t run;    /* letters, digits, + / - _ : base64 of both kinds */
    uint64_t digits;
    uint64_t signs;  /* @ */
    uint64_t colons;
};

#ifdef __SSE2__
static inline __m128i sift_range(__m128i v, uint8_t low, uint8_t count) {
    __m128i x = _mm_sub_epi8(v, _mm_set1_epi8((char)low));
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8((char)(count - 1))), x);
}
static inline __m128i sift_is(__m128i v, uint8_t c) {
    return _mm_cmpeq_epi8(v, _mm_set1_epi8((char)c));
}
static inline uint64_t sift_bits(__m128i v, int shift) {
    return (uint64_t)(uint32_t)_mm_movemask_epi8(v) << shift;
}

static inline struct sift sift_block(const uint8_t *p) {
    struct sift s = {0};
    for (int i = 0; i < SIFT_BLOCK; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        if (_mm_movemask_epi8(v) == 0xffff)
            continue; /* nothing but Chinese, for one */
        __m128i digits = sift_range(v, '0', 10);
        __m128i letters = sift_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 26);
        __m128i other = _mm_or_si128(_mm_or_si128(sift_is(v, '+'), sift_is(v, '-')),
                                     _mm_or_si128(sift_is(v, '/'), sift_is(v, '_')));
        s.run |= sift_bits(_mm_or_si128(_mm_or_si128(digits, letters), other), i);
        s.digits |= sift_bits(digits, i);
        s.signs |= sift_bits(sift_is(v, '@'), i);
        s.colons |= sift_bits(sift_is(v, ':'), i);
    }
    return s;
}

/* Backslashes, and first bytes of characters that may have to be folded. */
static inline uint64_t sift_special(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < SIFT_BLOCK; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i a = _mm_or_si128(sift_is(v, '\\'), sift_is(v, 0xc2));
        __m128i b = _mm_or_si128(sift_range(v, 0xe1, 3), sift_range(v, 0xef, 2));
        bits |= sift_bits(_mm_or_si128(a, b), i);
    }
    return bits;
}

/* Quotes and backslashes. */
static inline uint64_t sift_quotes(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < SIFT_BLOCK; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        bits |= sift_bits(_mm_or_si128(sift_is(v, '"'), sift_is(v, '\\')), i);
    }
    return bits;
}
#else
static inline uint64_t sift_quotes(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < SIFT_BLOCK; i++)
        bits |= p[i] == '"' || p[i] == '\\' ? (uint64_t)1 << i : 0;
    return bits;
}

static inline struct sift sift_block(const uint8_t *p) {
    struct sift s = {0};
    for (int i = 0; i < SIFT_BLOCK; i++) {
        uint8_t c = p[i], small = (uint8_t)(c | 0x20);
        uint64_t bit = (uint64_t)1 << i;
        bool digit = c >= '0' && c <= '9';
        s.digits |= digit ? bit : 0;
        s.run |= digit || (small >= 'a' && small <= 'z') || c == '+' || c == '-' || c == '/' || c == '_' ? bit : 0;
        s.signs |= c == '@' ? bit : 0;
        s.colons |= c == ':' ? bit : 0;
    }
    return s;
}

static inline uint64_t sift_special(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < SIFT_BLOCK; i++) {
        uint8_t c = p[i];
        bool special = c == '\\' || c == 0xc2 || (c >= 0xe1 && c <= 0xe3) || c == 0xef || c == 0xf0;
        bits |= special ? (uint64_t)1 << i : 0;
    }
    return bits;
}
#endif

#endif
