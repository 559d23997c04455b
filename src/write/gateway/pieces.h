#ifndef GATEWAY_PIECES_H
#define GATEWAY_PIECES_H
/*
 * Memory for the bodies of requests, in pieces of one size that a worker uses again and again: a
 * fresh page costs more than all that is done with its bytes, and malloc gives a large body's pages
 * back to the system at the end of each request.
 *
 * Pieces are empty (all zero) when they are taken. What waits for the next body is bounded by
 * PIECES_KEPT; the rest goes back to the system. Pieces in use are the caller's to bound.
 */
#include <stddef.h>
#include <stdint.h>

#define PIECES_BYTES 65536u /* a piece, its head included */
#define PIECES_KEPT 256u    /* 16 MiB */

struct piece {
    struct piece *next; /* the caller's, to make a list */
    uint8_t bytes[PIECES_BYTES - sizeof(struct piece *)];
};

/* NULL without memory. Left out of core files. */
struct piece *pieces_take(void);
/* A list, the newest first, of which the newest may be filled up to `last` only; elsewhere, or
 * NULL: it was filled as well. Overwrites all that. NULL-safe. */
void pieces_give(struct piece *list, const uint8_t *last);

#endif
