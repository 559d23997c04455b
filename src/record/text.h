#ifndef RECORD_TEXT_H
#define RECORD_TEXT_H
/* Strings of the record formats: one length byte, below LIMIT_NAME, and the bytes, none of them 0.
 */
#include <stdint.h>
#include <string.h>

#include "base/limits.h"

/* Returns the place behind it; what is too long is cut. The caller has the room. */
static inline uint8_t *text_put(uint8_t *p, const char *s) {
    size_t n = strnlen(s, LIMIT_NAME - 1);
    *p++ = (uint8_t)n;
    memcpy(p, s, n);
    return p + n;
}

/* Strict; returns the place behind it, NULL when there is no such string or p was NULL already. */
static inline const uint8_t *text_take(const uint8_t *p, const uint8_t *end, char out[LIMIT_NAME]) {
    if (!p || p == end || *p >= LIMIT_NAME || end - p - 1 < *p || memchr(p + 1, 0, *p))
        return NULL;
    memcpy(out, p + 1, *p);
    out[*p] = 0;
    return p + 1 + *p;
}

#endif
