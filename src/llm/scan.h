#ifndef LLM_SCAN_H
#define LLM_SCAN_H
/*
 * The inner loop of the scanners: the first of two bytes, 16 at a time where the machine can (SSE2
 * is part of x86-64). Strings end at a quote or stop at a backslash, lines end at LF or CR.
 */
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first byte in [p, e) that is a or b; e if there is none. */
static inline const uint8_t *scan_for(const uint8_t *p, const uint8_t *e, char a, char b) {
#ifdef __SSE2__
    const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b);
    for (; e - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, va), _mm_cmpeq_epi8(v, vb)));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < e && *p != (uint8_t)a && *p != (uint8_t)b)
        p++;
    return p;
}

#endif
