/*
 * Which exchanges have a row (verify_int.h): a bit each, in pages of 32 768 numbers of one worker's
 * epoch, which are found by hashing.
 */
#include <stdlib.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

#define PAGE_BITS 32768
#define PAGES_MAX (1u << 18) /* 1 GB */

struct exchange_page {
    uint64_t epoch, number;
    uint64_t bits[PAGE_BITS / 64];
};

static size_t slot_of(const struct exchanges *x, uint64_t epoch, uint64_t number) {
    uint64_t h = (epoch ^ number * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    size_t i = (size_t)(h >> 32) & (x->room - 1);
    while (x->pages[i] && (x->pages[i]->epoch != epoch || x->pages[i]->number != number))
        i = (i + 1) & (x->room - 1);
    return i;
}

static int grow(struct exchanges *x) {
    struct exchanges more = {.room = x->room ? 2 * x->room : 256, .count = x->count};
    more.pages = calloc(more.room, sizeof *more.pages);
    if (!more.pages)
        return ERR_NOMEM;
    for (size_t i = 0; i < x->room; i++)
        if (x->pages[i])
            more.pages[slot_of(&more, x->pages[i]->epoch, x->pages[i]->number)] = x->pages[i];
    free(x->pages);
    *x = more;
    return 0;
}

int exchanges_add(struct exchanges *x, uint64_t epoch, uint64_t sequence) {
    if (2 * x->count >= x->room) {
        int rc = grow(x);
        if (rc)
            return rc;
    }
    size_t i = slot_of(x, epoch, sequence / PAGE_BITS);
    if (!x->pages[i]) {
        if (x->count == PAGES_MAX)
            return ERR_LIMIT;
        x->pages[i] = calloc(1, sizeof **x->pages);
        if (!x->pages[i])
            return ERR_NOMEM;
        x->pages[i]->epoch = epoch;
        x->pages[i]->number = sequence / PAGE_BITS;
        x->count++;
    }
    const uint64_t bit = 1ull << sequence % 64;
    uint64_t *word = &x->pages[i]->bits[sequence % PAGE_BITS / 64];
    if (*word & bit)
        return ERR_EXISTS;
    *word |= bit;
    return 0;
}

/* The numbers n*PAGE_BITS + 64*w ... of which bits in `mask` are asked for. */
static uint64_t word_of(const struct exchange_page *p, size_t w, uint64_t number, uint64_t highest,
                        uint64_t *ret_mask) {
    const uint64_t first = number * PAGE_BITS + 64 * w;
    *ret_mask = first > highest          ? 0
                : highest - first >= 63 ? UINT64_MAX
                                         : (1ull << (highest - first + 1)) - 1;
    if (first == 0)
        *ret_mask &= ~1ull; /* numbers begin with 1 */
    return p ? p->bits[w] : 0;
}

uint64_t exchanges_absent(const struct exchanges *x, uint64_t epoch, uint64_t highest,
                          uint64_t *first, size_t room, size_t *ret_listed) {
    uint64_t absent = 0;
    *ret_listed = 0;
    for (uint64_t n = 0; n <= highest / PAGE_BITS; n++) {
        const struct exchange_page *p = x->room ? x->pages[slot_of(x, epoch, n)] : NULL;
        if (!p && *ret_listed == room) { /* a whole page: marks may be any number */
            const uint64_t from = n ? n * PAGE_BITS : 1;
            const uint64_t to = highest - from < PAGE_BITS - 1 ? highest : (n + 1) * PAGE_BITS - 1;
            absent += to - from + 1;
            continue;
        }
        for (size_t w = 0; w < PAGE_BITS / 64; w++) {
            uint64_t mask, there = word_of(p, w, n, highest, &mask), gone = ~there & mask;
            absent += (uint64_t)__builtin_popcountll(gone);
            for (; gone && *ret_listed < room; gone &= gone - 1)
                first[(*ret_listed)++] =
                    n * PAGE_BITS + 64 * w + (uint64_t)__builtin_ctzll(gone);
        }
    }
    return absent;
}

void exchanges_done(struct exchanges *x) {
    for (size_t i = 0; i < x->room; i++)
        free(x->pages[i]);
    free(x->pages);
    *x = (struct exchanges){0};
}
