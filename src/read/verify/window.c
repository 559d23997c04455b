/*
 * All rows of the store against the ledger's batches (verify_int.h). The rows come in ranges of
 * (sealer, batch) that together cover every number there can be, so that no row escapes by its place;
 * within a range they may come in any order: each is hashed and its leaf put at its index. When all
 * tables of a range were read, each batch's leaves must give its root.
 *
 * Nothing is told here: a batch that fails may have been on its way while its range was read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define WINDOW_ROWS (1u << 20)
#define CONDITION 512
#define STRANGE_MAX (1u << 20)
#define COPIED 0x80 /* beside a row's table: it was in the held_ table as well, or only there */

struct span { /* of a batch */
    size_t base;
    uint32_t rows, have;
    unsigned leaves; /* rows of the table leaves */
    bool bad, done, leaves_right;
};

struct window {
    struct verify *v;
    const struct book *b;
    size_t from, to; /* batches of the book */
    struct span *spans;
    size_t span_room;
    uint8_t (*leaf)[SHA_BYTES];
    uint8_t *table; /* 0: no row yet */
    uint32_t *month;
    uint64_t *epoch, *sequence;
    size_t room;
    int reading; /* table */
    size_t last; /* batch that was found last */
    uint64_t seen;
};

/* ---- lists of batches ---- */

int strange_add(struct strange **list, size_t *count, size_t *room, uint64_t sealer,
                uint64_t batch) {
    for (size_t i = *count; i-- > 0 && *count - i < 64;)
        if ((*list)[i].sealer == sealer && (*list)[i].batch == batch)
            return 0;
    if (*count == STRANGE_MAX)
        return 0; /* enough to tell */
    if (*count == *room) {
        size_t n = *room ? 2 * *room : 64;
        struct strange *more = reallocarray(*list, n, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        *list = more;
        *room = n;
    }
    (*list)[(*count)++] = (struct strange){sealer, batch};
    return 0;
}

static int fails(struct window *w, size_t i) {
    struct verify *v = w->v;
    return strange_add(&v->failing, &v->failing_count, &v->failing_room, w->b->batches[i].sealer,
                       w->b->batches[i].number);
}

/* ---- rows ---- */

static bool is_batch(const struct window *w, size_t i, const struct shape_place *p) {
    return i >= w->from && i < w->to && w->b->batches[i].sealer == p->sealer &&
           w->b->batches[i].number == p->batch;
}

static int on_row(void *arg, const struct shape_row *r) {
    struct window *w = arg;
    const struct shape_place p = shape_place(r);
    if (++w->seen % 65536 == 0)
        verify_progress(w->v, "rows", w->seen, w->v->rows_expected);
    if (!is_batch(w, w->last, &p)) {
        w->last = book_lower(w->b, p.sealer, p.batch);
        if (!is_batch(w, w->last, &p))
            return strange_add(&w->v->strange, &w->v->strange_count, &w->v->strange_room, p.sealer,
                               p.batch);
    }
    struct span *s = &w->spans[w->last - w->from];
    const size_t at = s->base + p.index;
    const bool held = w->v->in_held;
    uint8_t leaf[SHA_BYTES];
    shape_leaf(leaf, w->reading, r->p, r->len);
    if (p.index >= s->rows || (held && !drops_retained(w->b, w->reading, r))) {
        s->bad = true;
        return 0;
    }
    if (w->table[at]) { /* one copy may be: it was kept, and its partition is there still */
        s->bad = s->bad || !held || (w->table[at] & COPIED) || memcmp(leaf, w->leaf[at], SHA_BYTES) != 0;
        w->table[at] |= COPIED;
        return 0;
    }
    s->have++;
    w->table[at] = (uint8_t)(w->reading | (held ? COPIED : 0));
    memcpy(w->leaf[at], leaf, SHA_BYTES);
    w->month[at] = drops_month_of(shape_time_us(r));
    if (w->reading == SHAPE_INTERACTIONS)
        shape_exchange(r, &w->epoch[at], &w->sequence[at]);
    return 0;
}

/* ---- a batch ---- */

static int count_exchanges(struct window *w, const struct span *s) {
    for (size_t at = s->base; at < s->base + s->rows; at++) {
        if ((w->table[at] & ~COPIED) != SHAPE_INTERACTIONS)
            continue;
        int rc = exchanges_add(&w->v->exchanges, w->epoch[at], w->sequence[at]);
        if (rc == ERR_EXISTS)
            verify_say(w->v, VERIFY_EXCHANGE_TWICE, "number %" PRIu64 " of worker epoch %" PRIu64
                       " has two rows in interactions", w->sequence[at], w->epoch[at]);
        else if (rc)
            return rc;
    }
    return 0;
}

static int passes(struct window *w, size_t i) {
    struct span *s = &w->spans[i - w->from];
    s->done = true;
    w->v->totals->batches++;
    w->v->totals->rows += s->have;
    return count_exchanges(w, s);
}

static bool gives_root(struct window *w, size_t i) {
    const struct span *s = &w->spans[i - w->from];
    struct book_fields f;
    uint8_t root[SHA_BYTES];
    if (book_fields(w->b, i, &f))
        return false;
    tree_root_of((const uint8_t (*)[SHA_BYTES])w->leaf + s->base, s->rows, root);
    return memcmp(root, f.root, sizeof root) == 0;
}

/* Do they say of the rows that are there what these are? */
static bool match(const struct window *w, const struct span *s, const struct leaves *l) {
    for (size_t k = 0; k < s->rows; k++) {
        const size_t at = s->base + k;
        if (w->table[at] && (l->tables[k] != (w->table[at] & ~COPIED) ||
                             get_u32(l->months + 4 * k) != w->month[at] ||
                             memcmp(l->hashes + k * SHA_BYTES, w->leaf[at], SHA_BYTES) != 0))
            return false;
    }
    return true;
}

/* The rows that are not there get the leaves that the store keeps; the root tells if they are right. */
static int on_leaves(void *arg, const struct leaves *l) {
    struct window *w = arg;
    const struct shape_place p = {l->sealer, l->batch, 0};
    const size_t i = book_lower(w->b, l->sealer, l->batch);
    if (!is_batch(w, i, &p))
        return strange_add(&w->v->strange, &w->v->strange_count, &w->v->strange_room, l->sealer, l->batch);
    struct span *s = &w->spans[i - w->from];
    s->leaves++;
    if (s->bad || l->count != s->rows || !match(w, s, l))
        return 0;
    s->leaves_right = true;
    if (s->done)
        return 0;
    for (size_t k = 0; k < s->rows; k++)
        if (!w->table[s->base + k])
            memcpy(w->leaf[s->base + k], l->hashes + k * SHA_BYTES, SHA_BYTES);
    if (!gives_root(w, i))
        return 0;
    for (size_t k = 0; k < s->rows; k++)
        if (l->tables[k] < SHAPE_DATA_KEYS || l->tables[k] > SHAPE_TABLES)
            return 0;
    for (size_t k = 0; k < s->rows; k++) {
        struct missing_row m = {l->sealer, l->batch, (uint32_t)k, get_u32(l->months + 4 * k), l->tables[k],
                                1, 0};
        if (w->table[s->base + k])
            continue;
        m.before = drops_before(w->b, m.table, m.month, w->b->batches[i].at);
        int rc = drops_missing(&w->v->drops, &m);
        if (rc)
            return rc;
    }
    return passes(w, i);
}

static int judge(struct window *w, const char *condition) {
    for (size_t i = w->from; i < w->to; i++) {
        struct span *s = &w->spans[i - w->from];
        if (s->bad || s->have < s->rows || !gives_root(w, i))
            continue;
        int rc = passes(w, i);
        if (rc)
            return rc;
    }
    int rc = leaves_ask(w->v, condition, on_leaves, w);
    for (size_t i = w->from; !rc && i < w->to; i++) {
        const struct span *s = &w->spans[i - w->from];
        if (!s->done || !s->leaves_right || s->leaves != 1)
            rc = fails(w, i);
    }
    return rc;
}

/* ---- ranges ---- */

static int prepare(struct window *w, size_t from, size_t to) {
    size_t rows = 0;
    w->from = w->last = from;
    w->to = to;
    if (to - from > w->span_room) {
        free(w->spans);
        w->span_room = to - from;
        w->spans = calloc(w->span_room, sizeof *w->spans);
        if (!w->spans)
            return ERR_NOMEM;
    }
    for (size_t i = from; i < to; i++) {
        const uint32_t n = w->b->batches[i].rows;
        const bool bad = n > VERIFY_BATCH_ROWS; /* no sealer makes such a batch */
        w->spans[i - from] = (struct span){.base = rows, .rows = bad ? 0 : n, .bad = bad};
        rows += bad ? 0 : n;
    }
    if (rows > w->room)
        return ERR_LIMIT;
    memset(w->table, 0, rows);
    return 0;
}

/* Everything from batch `from` of the book on and below batch `to`; the first and the last range have
 * no bound on that side. */
static void condition_of(const struct window *w, size_t from, size_t to, char out[CONDITION]) {
    size_t n = 0;
    const struct book_batch *a = from ? &w->b->batches[from] : NULL;
    const struct book_batch *z = to < w->b->count ? &w->b->batches[to] : NULL;
    if (a && z && a->sealer == z->sealer) {
        snprintf(out, CONDITION, "sealer = %" PRIu64 " AND batch >= %" PRIu64 " AND batch < %" PRIu64,
                 a->sealer, a->number, z->number);
        return;
    }
    if (a)
        n = (size_t)snprintf(out, CONDITION, "(sealer > %" PRIu64 " OR (sealer = %" PRIu64
                             " AND batch >= %" PRIu64 "))", a->sealer, a->sealer, a->number);
    if (z)
        n += (size_t)snprintf(out + n, CONDITION - n, "%s(sealer < %" PRIu64 " OR (sealer = %" PRIu64
                              " AND batch < %" PRIu64 "))", n ? " AND " : "", z->sealer, z->sealer,
                              z->number);
    if (!n)
        snprintf(out, CONDITION, "1");
}

/* A range that the store cannot give in its time is halved. */
static int range(struct window *w, size_t from, size_t to) {
    char condition[CONDITION];
    const uint64_t seen = w->seen;
    int rc = prepare(w, from, to);
    condition_of(w, from, to, condition);
    for (int t = SHAPE_DATA_KEYS; !rc && t <= SHAPE_TABLES; t++) {
        w->reading = t;
        rc = verify_rows(w->v, t, condition, on_row, w);
    }
    if (rc == ERR_LIMIT && to - from > 1) {
        w->seen = seen;
        rc = range(w, from, from + (to - from) / 2);
        return rc ? rc : range(w, from + (to - from) / 2, to);
    }
    return rc ? rc : judge(w, condition);
}

static int make(struct window *w) {
    w->leaf = malloc(w->room * sizeof *w->leaf);
    w->table = malloc(w->room);
    w->month = malloc(w->room * sizeof *w->month);
    w->epoch = malloc(w->room * sizeof *w->epoch);
    w->sequence = malloc(w->room * sizeof *w->sequence);
    return w->leaf && w->table && w->month && w->epoch && w->sequence ? 0 : ERR_NOMEM;
}

int window_run(struct verify *v, const struct book *b) {
    struct window w = {.v = v, .b = b, .room = WINDOW_ROWS + VERIFY_BATCH_ROWS};
    int rc = make(&w);
    for (size_t from = 0, to; !rc && (from < b->count || from == 0); from = to) {
        uint64_t rows = 0;
        for (to = from; to < b->count && rows < WINDOW_ROWS; to++)
            rows += b->batches[to].rows > VERIFY_BATCH_ROWS ? 0 : b->batches[to].rows;
        rc = range(&w, from, to);
        if (to == 0)
            break; /* the ledger has no batch at all */
    }
    verify_progress(v, "rows", w.seen, w.seen);
    free(w.spans);
    free(w.leaf);
    free(w.table);
    free(w.month);
    free(w.epoch);
    free(w.sequence);
    return rc;
}
