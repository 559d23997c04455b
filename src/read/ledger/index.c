/*
 * Where each batch stands in the ledger, in memory: 16 bytes a batch. A sealer's batches come
 * nearly in the order of their numbers, so each sealer has one sorted array and additions go to its
 * end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/ledger/ledger_int.h"

#define BUCKETS 4096 /* by sealer id, which is random */

struct place {
    uint64_t number, at;
};

struct sealer {
    struct sealer *next; /* of the bucket */
    uint64_t id;
    struct place *places; /* ascending numbers */
    size_t count, room;
};

struct ledger_index {
    struct sealer *buckets[BUCKETS];
};

int ledger_index_new(struct ledger_index **ret) {
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : ERR_NOMEM;
}

void ledger_index_free(struct ledger_index *x) {
    for (size_t i = 0; x && i < BUCKETS; i++)
        while (x->buckets[i]) {
            struct sealer *s = x->buckets[i];
            x->buckets[i] = s->next;
            free(s->places);
            free(s);
        }
    free(x);
}

static struct sealer *find_sealer(const struct ledger_index *x, uint64_t id) {
    struct sealer *s = x->buckets[id % BUCKETS];
    while (s && s->id != id)
        s = s->next;
    return s;
}

/* Index of the first place whose number is not below. */
static size_t lower(const struct sealer *s, uint64_t number) {
    size_t from = 0, to = s->count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (s->places[mid].number < number)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

uint64_t ledger_index_find(const struct ledger_index *x, uint64_t sealer, uint64_t number) {
    const struct sealer *s = find_sealer(x, sealer);
    if (!s)
        return 0;
    size_t i = lower(s, number);
    return i < s->count && s->places[i].number == number ? s->places[i].at : 0;
}

int ledger_index_add(struct ledger_index *x, uint64_t sealer, uint64_t number, uint64_t at) {
    struct sealer *s = find_sealer(x, sealer);
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            return ERR_NOMEM;
        s->id = sealer;
        s->next = x->buckets[sealer % BUCKETS];
        x->buckets[sealer % BUCKETS] = s;
    }
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        struct place *more = reallocarray(s->places, room, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        s->places = more;
        s->room = room;
    }
    size_t i = lower(s, number);
    memmove(s->places + i + 1, s->places + i, (s->count - i) * sizeof *s->places);
    s->places[i] = (struct place){number, at};
    s->count++;
    return 0;
}

void ledger_index_cut(struct ledger_index *x, uint64_t from) {
    for (size_t b = 0; b < BUCKETS; b++)
        for (struct sealer *s = x->buckets[b]; s; s = s->next) {
            size_t kept = 0;
            for (size_t i = 0; i < s->count; i++)
                if (s->places[i].at < from)
                    s->places[kept++] = s->places[i];
            s->count = kept;
        }
}
