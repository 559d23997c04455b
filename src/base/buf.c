/* The growable buffer of buf.h: first what is asked for, then doubling, with the old copy zeroed before
 * it is freed. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){.max = max};
}

int buf_reserve(struct buf *b, size_t extra) {
    if (extra > b->max || b->len > b->max - extra)
        return ERR_LIMIT;
    size_t need = b->len + extra;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : need > 256 ? need : 256;
    while (cap < need)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    uint8_t *p = malloc(cap);
    if (!p)
        return ERR_NOMEM;
    if (b->p) {
        memcpy(p, b->p, b->len);
        explicit_bzero(b->p, b->len);
        free(b->p);
    }
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *src, size_t len) {
    if (len == 0)
        return 0;
    int rc = buf_reserve(b, len);
    if (rc)
        return rc;
    memcpy(b->p + b->len, src, len);
    b->len += len;
    return 0;
}

int buf_append_str(struct buf *b, const char *s) {
    return buf_append(b, s, strlen(s));
}

int buf_append_u8(struct buf *b, uint8_t v) {
    return buf_append(b, &v, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    int rc = n < 0 ? ERR_INTERNAL : buf_reserve(b, (size_t)n + 1);
    if (!rc) {
        vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

void buf_clear(struct buf *b) {
    if (b->p)
        explicit_bzero(b->p, b->len);
    b->len = 0;
}

void buf_wipe(struct buf *b) {
    if (b->p) {
        explicit_bzero(b->p, b->cap);
        free(b->p);
    }
    buf_init(b, b->max);
}
