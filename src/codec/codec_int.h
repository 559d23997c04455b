#ifndef CODEC_CODEC_INT_H
#define CODEC_CODEC_INT_H
/*
 * What both directions of the codec need, for src/codec only: the dictionaries as linked in, zstd's
 * unstable names, and the memory that zstd works in. zstd keeps copies of the text in its
 * workspaces (literals, window); this memory knows its pieces, so that they can be zeroed.
 */
#define ZSTD_STATIC_LINKING_ONLY /* frames without magic number, custom memory */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* src/codec/dictionary.S */
extern const uint8_t codec_dictionary_1[], codec_dictionary_1_end[];

/* Before every piece. */
struct codec_piece {
    size_t len; /* without this head */
    struct codec_piece *older;
};
_Static_assert(sizeof(struct codec_piece) % 16 == 0, "pieces keep malloc's alignment");

/* Of one zstd context. The oldest piece is the context itself, which holds no text. */
struct codec_memory {
    struct codec_piece *newest;
};

static inline void *codec_alloc(void *memory, size_t len) {
    struct codec_memory *m = memory;
    struct codec_piece *p = len > SIZE_MAX - sizeof *p ? NULL : malloc(sizeof *p + len);
    if (!p)
        return NULL;
    *p = (struct codec_piece){len, m->newest};
    m->newest = p;
    return p + 1;
}

static inline void codec_free(void *memory, void *at) {
    struct codec_memory *m = memory;
    if (!at)
        return;
    struct codec_piece *p = (struct codec_piece *)at - 1, **link = &m->newest;
    while (*link != p)
        link = &(*link)->older;
    *link = p->older;
    explicit_bzero(p, sizeof *p + p->len);
    free(p);
}

/* Zeroes everything but the context. */
static inline void codec_wipe(struct codec_memory *m) {
    for (struct codec_piece *p = m->newest; p && p->older; p = p->older)
        explicit_bzero(p + 1, p->len);
}

#endif
