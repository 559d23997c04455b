#ifndef RING_STREAM_H
#define RING_STREAM_H
/*
 * Writing to the ring past the processor's cache, for src/ring only. A block was last written by
 * the other side, on another processor: an ordinary store would first fetch the cache line from
 * there (30 ns each), only to overwrite it, and would push out what the writer needs next. Whole
 * lines written like this go straight to memory (non-temporal stores; SSE2 is part of x86-64).
 *
 * Such stores are not ordered with later ones: each function ends with a fence, so that a length
 * published after it is seen after the bytes.
 */
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define STREAM_LINE 64u
#define STREAM_MIN 512u /* bytes: for less the fence is not worth it */

#ifdef __SSE2__

static inline void stream_line(uint8_t *to, __m128i a, __m128i b, __m128i c, __m128i d) {
    __m128i *line = (void *)to;
    _mm_stream_si128(line, a);
    _mm_stream_si128(line + 1, b);
    _mm_stream_si128(line + 2, c);
    _mm_stream_si128(line + 3, d);
}

static inline void stream_copy(uint8_t *to, const uint8_t *from, size_t n) {
    size_t head = -(uintptr_t)to % STREAM_LINE;
    if (n < STREAM_MIN) {
        memcpy(to, from, n);
        return;
    }
    memcpy(to, from, head);
    for (to += head, from += head, n -= head; n >= STREAM_LINE;
         to += STREAM_LINE, from += STREAM_LINE, n -= STREAM_LINE) {
        const __m128i *v = (const void *)from;
        stream_line(to, _mm_loadu_si128(v), _mm_loadu_si128(v + 1), _mm_loadu_si128(v + 2),
                    _mm_loadu_si128(v + 3));
    }
    memcpy(to, from, n);
    _mm_sfence();
}

/* Of whole lines. */
static inline void stream_zero(uint8_t *to, size_t n) {
    const __m128i zero = _mm_setzero_si128();
    for (const uint8_t *end = to + n; to < end; to += STREAM_LINE)
        stream_line(to, zero, zero, zero, zero);
    _mm_sfence();
}

#else

static inline void stream_copy(uint8_t *to, const uint8_t *from, size_t n) {
    memcpy(to, from, n);
}
static inline void stream_zero(uint8_t *to, size_t n) {
    explicit_bzero(to, n);
}

#endif
#endif
