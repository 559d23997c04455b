#ifndef WRITE_DETECT_SIFT_H
#define WRITE_DETECT_SIFT_H
/*
 * Classes of bytes, 64 at a time: bit i of a mask is set if byte i of the block is of the class. Text is
 * looked at through these masks, so that what needs no attention costs less than an instruction a byte:
 * with AVX2, where the processor has it, else with SSE2, and elsewhere by a loop. All give the same masks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIFT_BLOCK 64

struct sift {
    uint64_t run; /* letters, digits, + / - _ : base64 of both kinds */
    uint64_t digits;
    uint64_t signs; /* @ */
    uint64_t colons, dots, pluses;
};

/* For tests: true leaves AVX2 alone. */
extern bool sift_narrow;

/* The classes of `blocks` blocks at `p`. */
void sift_classes(struct sift *out, const uint8_t *p, size_t blocks);

/*
 * Where something may have to be decoded: backslashes, and first bytes of characters that may be folded
 * (sift_is_special). Bytes up to SIFT_BEHIND behind the last block are read.
 */
#define SIFT_BEHIND 2
void sift_specials(uint64_t *out, const uint8_t *p, size_t blocks);

/* The same of one byte, with the two behind it (0 where there are none): what decode.c's fold knows, and a
 * little more. */
static inline bool sift_is_special(uint8_t c, uint8_t next, uint8_t third) {
    switch (c) {
    case '\\':
        return true;
    case 0xc2: /* a space, a soft hyphen, small digits */
        return next == 0xa0 || next == 0xad || next == 0xb2 || next == 0xb3 || next == 0xb9;
    case 0xe1:
        return next == 0xa0 && third == 0x8e;
    case 0xe2: /* spaces, hyphens, no width, digits; not the quotes and dashes of every text */
        return (next == 0x80 && ((third >= 0x80 && third <= 0x91) || (third & 0xf8) == 0xa8)) ||
               ((next == 0x81 || next == 0x91) && (third & 0xe0) == 0xa0) ||
               (next == 0x82 && (third & 0xf0) == 0x80) || (next == 0x88 && third == 0x92);
    case 0xe3:
        return next == 0x80 && third == 0x80;
    case 0xef: /* full width; not the punctuation of every Chinese text */
        return ((next == 0xbd || next == 0xbb) && (third & 0xc0) == 0x80) ||
               (next == 0xbc && (third & 0xc0) == 0x80 && third != 0x81 && third != 0x88 && third != 0x89 &&
                third != 0x8c && third != 0x9b && third != 0x9f);
    case 0xf0:
        return next == 0x9d;
    default:
        return false;
    }
}

/* Quotes and backslashes of one block. */
uint64_t sift_quotes(const uint8_t *p);

#endif
