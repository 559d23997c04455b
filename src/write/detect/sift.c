/*
 * The masks of sift.h. Classes of bytes are found by two look-ups in tables of 16, one by either half of the
 * byte, whose results have a common bit if the byte is of the class (Langdale and Lemire, "Parsing
 * Gigabytes of JSON per Second", 2019): a class is a set of high halves times a set of low halves.
 *
 * Which of the ways is taken is asked of the processor once a call, which does some thousand bytes.
 */
#include "write/detect/sift.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

bool sift_narrow;

/* ---- by a loop: for other processors, and what the others must equal ---- */

#ifndef __SSE2__
void sift_classes(struct sift *out, const uint8_t *p, size_t blocks) {
    for (; blocks; blocks--, out++, p += SIFT_BLOCK) {
        struct sift s = {0};
        for (int i = 0; i < SIFT_BLOCK; i++) {
            uint8_t c = p[i], small = (uint8_t)(c | 0x20);
            uint64_t bit = (uint64_t)1 << i;
            bool digit = c >= '0' && c <= '9';
            s.digits |= digit ? bit : 0;
            s.run |= digit || (small >= 'a' && small <= 'z') || c == '+' || c == '-' || c == '/' || c == '_' ? bit : 0;
            s.signs |= c == '@' ? bit : 0;
            s.colons |= c == ':' ? bit : 0;
            s.dots |= c == '.' ? bit : 0;
            s.pluses |= c == '+' ? bit : 0;
        }
        *out = s;
    }
}

void sift_specials(uint64_t *out, const uint8_t *p, size_t blocks) {
    for (; blocks; blocks--, out++, p += SIFT_BLOCK) {
        *out = 0;
        for (int i = 0; i < SIFT_BLOCK; i++)
            *out |= sift_is_special(p[i], p[i + 1], p[i + 2]) ? (uint64_t)1 << i : 0;
    }
}

uint64_t sift_quotes(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < SIFT_BLOCK; i++)
        bits |= p[i] == '"' || p[i] == '\\' ? (uint64_t)1 << i : 0;
    return bits;
}
#else

/* ---- SSE2, which every x86-64 has ---- */

static inline __m128i range(__m128i v, uint8_t low, uint8_t count) {
    __m128i x = _mm_sub_epi8(v, _mm_set1_epi8((char)low));
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8((char)(count - 1))), x);
}
static inline __m128i is(__m128i v, uint8_t c) {
    return _mm_cmpeq_epi8(v, _mm_set1_epi8((char)c));
}
static inline uint64_t bits_of(__m128i v, int shift) {
    return (uint64_t)(uint32_t)_mm_movemask_epi8(v) << shift;
}
static inline __m128i load(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static void classes_sse2(struct sift *out, const uint8_t *p, size_t blocks) {
    for (; blocks; blocks--, out++, p += SIFT_BLOCK) {
        struct sift s = {0};
        for (int i = 0; i < SIFT_BLOCK; i += 16) {
            __m128i v = load(p + i);
            if (_mm_movemask_epi8(v) == 0xffff)
                continue; /* nothing but Chinese, for one */
            __m128i digits = range(v, '0', 10);
            __m128i letters = range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 26);
            __m128i other = _mm_or_si128(_mm_or_si128(is(v, '+'), is(v, '-')), _mm_or_si128(is(v, '/'), is(v, '_')));
            s.run |= bits_of(_mm_or_si128(_mm_or_si128(digits, letters), other), i);
            s.digits |= bits_of(digits, i);
            s.signs |= bits_of(is(v, '@'), i);
            s.colons |= bits_of(is(v, ':'), i);
            s.dots |= bits_of(is(v, '.'), i);
            s.pluses |= bits_of(is(v, '+'), i);
        }
        *out = s;
    }
}

/* First bytes alone; the one or two in a block that may be special are looked at one by one. */
static void specials_sse2(uint64_t *out, const uint8_t *p, size_t blocks) {
    for (; blocks; blocks--, out++, p += SIFT_BLOCK) {
        uint64_t may = 0;
        for (int i = 0; i < SIFT_BLOCK; i += 16) {
            __m128i v = load(p + i);
            __m128i a = _mm_or_si128(is(v, '\\'), is(v, 0xc2)), b = _mm_or_si128(range(v, 0xe1, 3), range(v, 0xef, 2));
            may |= bits_of(_mm_or_si128(a, b), i);
        }
        *out = 0;
        for (; may; may &= may - 1) {
            const uint8_t *at = p + __builtin_ctzll(may);
            *out |= sift_is_special(at[0], at[1], at[2]) ? may & -may : 0;
        }
    }
}

uint64_t sift_quotes(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < SIFT_BLOCK; i += 16) {
        __m128i v = load(p + i);
        bits |= bits_of(_mm_or_si128(is(v, '"'), is(v, '\\')), i);
    }
    return bits;
}

/* ---- AVX2 ---- */

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load2(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
AVX2 static inline __m256i table(__m128i t) {
    return _mm256_broadcastsi128_si256(t);
}
AVX2 static inline __m256i high(__m256i v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
}
AVX2 static inline __m256i low(__m256i v) {
    return _mm256_and_si256(v, _mm256_set1_epi8(0x0f));
}
AVX2 static inline __m256i is2(__m256i v, uint8_t c) {
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8((char)c));
}
/* Bytes that are not 0. */
AVX2 static inline uint32_t some(__m256i v) {
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_setzero_si256()));
}
/* Bytes with the bit `n` set, which is moved to the top of each for it. */
#define WITH_BIT(v, n) ((uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16((v), 7 - (n))))

/* Bits of the tables of classes_avx2; all but the last three are of runs. */
enum { FIRST_HALF = 1, SECOND_HALF = 2, OF_DIGITS = 4, SIGNS = 8, LOW_LINE = 16, COLON = 32, PLUS = 64, DOT = -128 };
#define RUN_BITS (FIRST_HALF | SECOND_HALF | OF_DIGITS | SIGNS | LOW_LINE)

AVX2 static void classes_avx2(struct sift *out, const uint8_t *p, size_t blocks) {
    enum { A = FIRST_HALF, Z = SECOND_HALF, N = OF_DIGITS, S = SIGNS, U = LOW_LINE, C = COLON, P = PLUS, D = DOT };
    /* by the high half: 2 signs and the dot; 3 digits and the colon; 4, 6 the letters up to O; 5, 7 from P on, and _ */
    const __m256i by_high = table(_mm_setr_epi8(0, 0, S | P | D, N | C, A, Z | U, A, Z, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i by_low = table(_mm_setr_epi8(Z | N, A | Z | N, A | Z | N, A | Z | N, A | Z | N, A | Z | N,
                                               A | Z | N, A | Z | N, A | Z | N, A | Z | N, A | Z | C, A | S | P, A,
                                               A | S, A | D, A | S | U));
    for (; blocks; blocks--, out++, p += SIFT_BLOCK) {
        struct sift s = {0};
        for (int i = 0; i < SIFT_BLOCK; i += 32) {
            __m256i v = load2(p + i);
            if (_mm256_movemask_epi8(v) == -1)
                continue; /* nothing but Chinese, for one */
            __m256i class = _mm256_and_si256(_mm256_shuffle_epi8(by_high, high(v)), _mm256_shuffle_epi8(by_low, low(v)));
            s.run |= (uint64_t)some(_mm256_and_si256(class, _mm256_set1_epi8(RUN_BITS))) << i;
            s.digits |= (uint64_t)WITH_BIT(class, 2) << i;
            s.signs |= (uint64_t)(uint32_t)_mm256_movemask_epi8(is2(v, '@')) << i;
            s.colons |= (uint64_t)WITH_BIT(class, 5) << i;
            s.dots |= (uint64_t)WITH_BIT(class, 7) << i;
            s.pluses |= (uint64_t)WITH_BIT(class, 6) << i;
        }
        *out = s;
    }
}

/*
 * As sift_is_special, by the halves of three bytes at a time; each bit is one kind of character, and every
 * product of sets that is a little too wide is mended by the exact question afterwards.
 */
enum {
    WIDE_SIGNS = 1,   /* EF BC 8x but 81 88 89 8C */
    WIDE_REST = 2,    /* EF BC 9x Ax Bx */
    WIDE_SMALL = 4,   /* EF BD, EF BB */
    SPACES = 8,       /* E2 80 8x, E2 82 8x */
    HYPHENS = 16,     /* E2 80 90 91, E2 88 92 */
    DIRECTIONS = 32,  /* E2 80 A8 to AF */
    CIRCLED = 64,     /* E2 81, E2 91 with Ax Bx */
    LATIN = -128,     /* C2, F0 9D */
};

AVX2 static inline __m256i kinds_avx2(__m256i a, __m256i b, __m256i c) {
    enum { W1 = WIDE_SIGNS, W2 = WIDE_REST, W3 = WIDE_SMALL, E1 = SPACES, E2 = HYPHENS, E3 = DIRECTIONS, E4 = CIRCLED,
           L = LATIN, W = W1 | W2 | W3, E = E1 | E2 | E3 | E4, EACH = W2 | W3 | E1 | E4 | L };
    const __m256i a_high = table(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, L, 0, E | W, L));
    const __m256i a_low = table(_mm_setr_epi8(L, 0, L | E, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, W));
    const __m256i b_high = table(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, E, E4 | L, L, W | L, 0, 0, 0, 0));
    const __m256i b_low = table(_mm_setr_epi8(E1 | E2 | E3 | L, E4, E1 | L, L, 0, 0, 0, 0, E2, L, 0, W3, W1 | W2, W3 | L, 0, 0));
    const __m256i c_high = table(_mm_setr_epi8(L, L, L, L, L, L, L, L, W1 | W3 | E1 | L, W2 | W3 | E2 | L,
                                               W2 | W3 | E3 | E4 | L, W2 | W3 | E4 | L, L, L, L, L));
    const __m256i c_low = table(_mm_setr_epi8(
        EACH | W1 | E2, EACH | E2, EACH | W1 | E2, EACH | W1, EACH | W1, EACH | W1, EACH | W1, EACH | W1, EACH | E3,
        EACH | E3, EACH | W1 | E3, EACH | W1 | E3, EACH | E3, EACH | W1 | E3, EACH | W1 | E3, EACH | W1 | E3));
    __m256i first = _mm256_and_si256(_mm256_shuffle_epi8(a_high, high(a)), _mm256_shuffle_epi8(a_low, low(a)));
    __m256i second = _mm256_and_si256(_mm256_shuffle_epi8(b_high, high(b)), _mm256_shuffle_epi8(b_low, low(b)));
    __m256i third = _mm256_and_si256(_mm256_shuffle_epi8(c_high, high(c)), _mm256_shuffle_epi8(c_low, low(c)));
    return _mm256_and_si256(_mm256_and_si256(first, second), third);
}

AVX2 static void specials_avx2(uint64_t *out, const uint8_t *p, size_t blocks) {
    for (; blocks; blocks--, out++, p += SIFT_BLOCK) {
        uint64_t may = 0, sure = 0;
        for (int i = 0; i < SIFT_BLOCK; i += 32) {
            __m256i a = load2(p + i);
            sure |= (uint64_t)(uint32_t)_mm256_movemask_epi8(is2(a, '\\')) << i;
            if (!_mm256_movemask_epi8(a))
                continue; /* nothing but ASCII */
            __m256i b = load2(p + i + 1), c = load2(p + i + 2);
            __m256i other = _mm256_or_si256(_mm256_and_si256(is2(a, 0xe3), _mm256_and_si256(is2(b, 0x80), is2(c, 0x80))), is2(a, 0xe1));
            may |= (uint64_t)some(_mm256_or_si256(kinds_avx2(a, b, c), other)) << i;
        }
        for (; may; may &= may - 1) {
            const uint8_t *at = p + __builtin_ctzll(may);
            sure |= sift_is_special(at[0], at[1], at[2]) ? may & -may : 0;
        }
        *out = sure;
    }
}

static bool has_avx2(void) {
    return !sift_narrow && __builtin_cpu_supports("avx2");
}

void sift_classes(struct sift *out, const uint8_t *p, size_t blocks) {
    (has_avx2() ? classes_avx2 : classes_sse2)(out, p, blocks);
}

void sift_specials(uint64_t *out, const uint8_t *p, size_t blocks) {
    (has_avx2() ? specials_avx2 : specials_sse2)(out, p, blocks);
}
#endif
