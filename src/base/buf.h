#ifndef BASE_BUF_H
#define BASE_BUF_H
/*
 * A growable byte buffer with a ceiling that is given once, at buf_init.
 *
 * Invariants: len <= cap <= max; p is NULL only while cap is 0; growing never leaves a copy of the
 * old bytes behind (they are zeroed), so a buffer may hold plaintext.
 * Ownership: the buffer owns p; buf_wipe zeroes and frees it, and the buffer can be used again.
 */
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *p;
    size_t len, cap, max;
};

void buf_init(struct buf *b, size_t max);
/* Room for `extra` more bytes. 0, ERR_LIMIT beyond the ceiling, ERR_NOMEM. */
int buf_reserve(struct buf *b, size_t extra);
int buf_append(struct buf *b, const void *src, size_t len);
int buf_append_str(struct buf *b, const char *s);
int buf_append_u8(struct buf *b, uint8_t v);
/* printf into the buffer. */
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the contents and zeroes them; keeps the memory for the next use. */
void buf_clear(struct buf *b);
/* Zeroes and frees. Safe on a buffer that was only buf_init'ed. */
void buf_wipe(struct buf *b);

#endif
