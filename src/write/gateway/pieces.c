/*
 * The pieces of pieces.h, for one worker: those that wait are a stack, so that the next body gets
 * what the caches still have. The pages of a new piece are there at once, not fault by fault.
 */
#include "write/gateway/pieces.h"

#include <string.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct piece) == PIECES_BYTES, "whole pages");

static struct piece *kept;
static size_t kept_count;

struct piece *pieces_take(void) {
    struct piece *p = kept;
    if (p) {
        kept = p->next;
        kept_count--;
    } else {
        p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        madvise(p, sizeof *p, MADV_DONTDUMP);
    }
    p->next = NULL;
    return p;
}

static void give(struct piece *p, size_t used) {
    explicit_bzero(p->bytes, used);
    if (kept_count == PIECES_KEPT) {
        munmap(p, sizeof *p);
        return;
    }
    p->next = kept;
    kept = p;
    kept_count++;
}

void pieces_give(struct piece *list, const uint8_t *last) {
    for (struct piece *p = list, *next; p; p = next, last = NULL) {
        next = p->next;
        size_t used = (uintptr_t)last - (uintptr_t)p->bytes; /* elsewhere: far too large */
        give(p, last && used < sizeof p->bytes ? used : sizeof p->bytes);
    }
}
