/*
 * A batch whose rows did not give its root, row by row (verify_int.h). Its rows are fetched whole. With
 * the leaves that the store keeps, if these give the root, each row is right, another one, too many
 * or not there; without them only the indexes tell, and that something in the batch is another.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define HELD_MAX (512u << 20) /* bytes of one batch */
#define COPIES_MAX 64         /* rows that are looked for elsewhere, of one batch */

struct held_row {
    int table;
    uint8_t *bytes;
    struct shape_row row; /* of bytes */
    struct shape_place place;
    uint8_t leaf[SHA_BYTES];
    bool right;
    bool copied; /* it is in the held_ table as well, or only there */
    bool stray;  /* in a held_ table, of which no retention is in the ledger */
};

struct batch {
    struct verify *v;
    const struct book *book;
    uint64_t sealer, number, time_us, at; /* noted when, and where in the ledger */
    struct held_row *rows;
    size_t count, room, bytes;
    int reading;
    bool leaves_right;
    unsigned leaves_rows; /* of the table leaves */
    struct book_fields fields;
    uint8_t *tables;
    uint32_t *months;
    uint8_t (*leaves)[SHA_BYTES];
    size_t leaf_count;
    unsigned copies;
};

/* ---- fetching ---- */

/* Of a row in the table itself: it was kept, and its partition is there still. Once. */
static bool is_copy(struct batch *b, const struct shape_row *r) {
    for (size_t i = 0; i < b->count; i++) {
        struct held_row *h = &b->rows[i];
        if (h->copied || h->stray || h->row.len != r->len || memcmp(h->bytes, r->p, r->len) != 0)
            continue;
        h->copied = true;
        return true;
    }
    return false;
}

static int on_row(void *arg, const struct shape_row *r) {
    struct batch *b = arg;
    if (b->count == b->room) {
        size_t room = b->room ? 2 * b->room : 256;
        struct held_row *more = reallocarray(b->rows, room, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        b->rows = more;
        b->room = room;
    }
    if (r->len > HELD_MAX - b->bytes)
        return ERR_LIMIT;
    struct held_row *h = &b->rows[b->count];
    *h = (struct held_row){.table = b->reading, .row = *r, .place = shape_place(r)};
    h->copied = b->v->in_held;
    h->stray = b->v->in_held && !drops_retained(b->book, b->reading, r);
    if (b->v->in_held && !h->stray && is_copy(b, r))
        return 0;
    h->bytes = malloc(r->len);
    if (!h->bytes)
        return ERR_NOMEM;
    memcpy(h->bytes, r->p, r->len);
    h->row.p = h->bytes;
    shape_leaf(h->leaf, h->table, h->bytes, r->len);
    b->bytes += r->len;
    b->count++;
    return 0;
}

static int on_leaves(void *arg, const struct leaves *l) {
    struct batch *b = arg;
    uint8_t root[SHA_BYTES];
    b->leaves_rows++;
    if (b->leaves_right || l->count != b->fields.rows || !l->count)
        return 0;
    uint8_t (*copy)[SHA_BYTES] = reallocarray(b->leaves, l->count, SHA_BYTES);
    if (!copy)
        return ERR_NOMEM;
    b->leaves = copy;
    memcpy(copy, l->hashes, l->count * SHA_BYTES);
    tree_root_of((const uint8_t (*)[SHA_BYTES])copy, l->count, root);
    if (memcmp(root, b->fields.root, sizeof root) != 0)
        return 0;
    free(b->tables);
    free(b->months);
    b->tables = malloc(l->count);
    b->months = calloc(l->count, sizeof *b->months);
    if (!b->tables || !b->months)
        return ERR_NOMEM;
    memcpy(b->tables, l->tables, l->count);
    for (size_t i = 0; i < l->count; i++)
        b->months[i] = get_u32(l->months + 4 * i);
    b->leaf_count = l->count;
    b->leaves_right = true;
    return 0;
}

static int fetch(struct batch *b, bool leaves) {
    char condition[128];
    int rc = 0;
    snprintf(condition, sizeof condition, "sealer = %" PRIu64 " AND batch = %" PRIu64, b->sealer,
             b->number);
    for (int t = SHAPE_DATA_KEYS; !rc && t <= SHAPE_TABLES; t++) {
        b->reading = t;
        rc = verify_rows(b->v, t, condition, on_row, b);
    }
    if (!rc && leaves)
        rc = leaves_ask(b->v, condition, on_leaves, b);
    return rc;
}

static void let_go(struct batch *b) {
    for (size_t i = 0; i < b->count; i++)
        free(b->rows[i].bytes);
    free(b->rows);
    free(b->tables);
    free(b->months);
    free(b->leaves);
}

/* ---- rows that are too many ---- */

struct copy {
    const struct shape_place *own;
    struct shape_place *at;
    bool *found;
};

static int on_copy(void *arg, const struct shape_row *r) {
    struct copy *c = arg;
    const struct shape_place p = shape_place(r);
    if (p.sealer == c->own->sealer && p.batch == c->own->batch && p.index == c->own->index)
        return 0;
    *c->at = p;
    *c->found = true;
    return 0;
}

int examine_copy(struct verify *v, int table, const struct shape_row *r,
                 const struct shape_place *own, struct shape_place *ret, bool *ret_found) {
    char condition[128], text[UUID_TEXT + 1];
    uint8_t id[UUID_BYTES];
    const struct shape *s = shape_of(table);
    struct copy c = {own, ret, ret_found};
    *ret_found = false;
    if (s->id < 0)
        return 0;
    shape_id(s, r, id);
    if (s->columns[s->id].kind == SHAPE_UUID) {
        uuid_format(text, id);
        snprintf(condition, sizeof condition, "id = '%s'", text);
    } else {
        hex_encode(text, id, UUID_BYTES);
        snprintf(condition, sizeof condition, "id = unhex('%s')", text);
    }
    return verify_rows(v, table, condition, on_copy, &c);
}

static int tell_extra(struct batch *b, const struct held_row *h, const char *why) {
    struct shape_place at;
    bool found = false;
    int rc = 0;
    struct verify_finding f = {.kind = VERIFY_ROW_ADDED,
                               .table = shape_of(h->table)->table,
                               .placed = true,
                               .sealer = h->place.sealer,
                               .batch = h->place.batch,
                               .index = h->place.index};
    shape_id(shape_of(h->table), &h->row, f.id);
    if (b->copies++ < COPIES_MAX)
        rc = examine_copy(b->v, h->table, &h->row, &h->place, &at, &found);
    if (found) {
        f.kind = VERIFY_ROW_REPLAYED;
        snprintf(f.text, sizeof f.text, "%s; it is a copy of the row with index %" PRIu32
                 " of batch %" PRIu64 " of sealer %" PRIu64, why, at.index, at.batch, at.sealer);
    } else {
        snprintf(f.text, sizeof f.text, "%s", why);
    }
    verify_tell(b->v, &f);
    return rc;
}

/* ---- judging ---- */

static int missing(struct batch *b, struct missing_row *m) {
    m->before = drops_before(b->book, m->table, m->month, b->at);
    return drops_missing(&b->v->drops, m);
}

static int with_leaves(struct batch *b) {
    int rc = 0;
    bool *there = calloc(b->leaf_count, 1);
    if (!there)
        return ERR_NOMEM;
    b->v->totals->batches++;
    for (size_t i = 0; i < b->count; i++) {
        struct held_row *h = &b->rows[i];
        const uint32_t k = h->place.index;
        h->right = !h->stray && k < b->leaf_count && memcmp(h->leaf, b->leaves[k], SHA_BYTES) == 0;
        if (!h->right || !there[k]) {
            if (h->right)
                there[k] = true;
            b->v->totals->rows += h->right;
            continue;
        }
        verify_say_at(b->v, VERIFY_ROW_REPLAYED, shape_of(h->table)->table, b->sealer, b->number, k,
                      "it is there more than once");
    }
    for (size_t i = 0; !rc && i < b->count; i++) {
        struct held_row *h = &b->rows[i];
        const uint32_t k = h->place.index;
        if (h->right)
            continue;
        if (h->stray) {
            rc = tell_extra(b, h, "it stands in the table of what holds keep, and the ledger has no "
                                  "retention of its month");
        } else if (k >= b->leaf_count) {
            rc = tell_extra(b, h, "its batch has no row with this index");
        } else if (there[k]) {
            rc = tell_extra(b, h, "the batch's own row with this index is there beside it");
        } else {
            there[k] = true; /* something is */
            b->v->interactions_changed += b->tables[k] == SHAPE_INTERACTIONS;
            rc = changed_add(&b->v->changed, h->table, &h->place, &h->row, b->leaves[k]);
            if (rc == ERR_LIMIT) {
                verify_say_at(b->v, VERIFY_ROW_CHANGED, shape_of(h->table)->table, b->sealer,
                              b->number, k, "it is not what was written");
                rc = 0;
            }
        }
    }
    for (size_t k = 0; !rc && k < b->leaf_count; k++) {
        struct missing_row m = {b->sealer, b->number, (uint32_t)k, b->months[k], b->tables[k], 1, 0};
        if (!there[k])
            rc = missing(b, &m);
    }
    free(there);
    return rc;
}

static int without_leaves(struct batch *b) {
    uint32_t rows = b->fields.rows, there = 0;
    if (b->count == 0) {
        struct missing_row m = {b->sealer, b->number, 0, drops_month_of(b->time_us), 0, rows, 0};
        return missing(b, &m);
    }
    for (size_t i = 0; i < b->count; i++) {
        const uint32_t k = b->rows[i].place.index;
        bool twice = false;
        for (size_t j = 0; j < i && !twice; j++)
            twice = b->rows[j].place.index == k;
        there += !twice && k < rows;
        if (k >= rows) {
            int rc = tell_extra(b, &b->rows[i], "its batch has no row with this index");
            if (rc)
                return rc;
        }
    }
    verify_say_at(b->v, VERIFY_BATCH_CHANGED, NULL, b->sealer, b->number, VERIFY_NO_INDEX,
                  "its rows do not give its root, and its leaves, which would tell which, are not in "
                  "the table leaves: %zu rows are there, with %" PRIu32 " of its %" PRIu32 " indexes",
                  b->count, there, rows);
    return 0;
}

/* Everything is as it should be by now: it was on its way. */
static bool complete(const struct batch *b) {
    uint8_t root[SHA_BYTES];
    const uint32_t rows = b->fields.rows;
    if (b->count != rows)
        return false;
    uint8_t (*leaf)[SHA_BYTES] = calloc(rows + 1, SHA_BYTES);
    uint32_t have = 0;
    for (size_t i = 0; leaf && i < b->count; i++) {
        const uint32_t k = b->rows[i].place.index;
        if (k >= rows || b->rows[i].stray)
            continue;
        memcpy(leaf[k], b->rows[i].leaf, SHA_BYTES);
        have++;
    }
    if (leaf)
        tree_root_of((const uint8_t (*)[SHA_BYTES])leaf, rows, root);
    const bool yes = leaf && have == rows && memcmp(root, b->fields.root, sizeof root) == 0;
    free(leaf);
    return yes;
}

/* What the table leaves has of a batch that is complete. It has been compared with the root. */
static void judge_leaves(struct batch *b) {
    bool right = b->leaves_right && b->leaves_rows == 1;
    for (size_t i = 0; right && i < b->count; i++) {
        const struct held_row *h = &b->rows[i];
        right = b->tables[h->place.index] == h->table &&
                b->months[h->place.index] == drops_month_of(shape_time_us(&h->row));
    }
    if (right || spool_list_excuses(&b->v->spool, b->sealer, b->number, b->fields.root) ||
        (!b->leaves_rows && drops_leaves_retained(b->book, drops_month_of(b->time_us))))
        return;
    verify_say_at(b->v, VERIFY_LEAVES_CHANGED, NULL, b->sealer, b->number, VERIFY_NO_INDEX,
                  b->leaves_rows == 0 ? "the table leaves has no row of it any more"
                  : b->leaves_rows > 1 ? "the table leaves has more than one row of it"
                                       : "its row in the table leaves is not what was written");
}

static int count_exchanges(struct batch *b, bool all) {
    for (size_t i = 0; i < b->count; i++) {
        uint64_t epoch, sequence;
        if (b->rows[i].table != SHAPE_INTERACTIONS || (!all && !b->rows[i].right))
            continue;
        shape_exchange(&b->rows[i].row, &epoch, &sequence);
        int rc = exchanges_add(&b->v->exchanges, epoch, sequence);
        if (rc && rc != ERR_EXISTS)
            return rc;
    }
    return 0;
}

int examine_batch(struct verify *v, const struct book *book, size_t i) {
    const struct book_batch *x = &book->batches[i];
    struct batch b = {.v = v, .book = book, .sealer = x->sealer, .number = x->number,
                      .time_us = x->time_us, .at = x->at};
    int rc = book_fields(book, i, &b.fields);
    if (!rc)
        rc = fetch(&b, true);
    if (!rc && complete(&b)) {
        judge_leaves(&b);
        v->totals->batches++;
        v->totals->rows += b.count;
        rc = count_exchanges(&b, true);
    } else if (!rc && b.count < x->rows &&
               spool_list_excuses(&v->spool, x->sealer, x->number, b.fields.root)) {
        ; /* the spool's finding says it */
    } else if (!rc) {
        rc = b.leaves_right ? with_leaves(&b) : without_leaves(&b);
        if (!rc)
            rc = count_exchanges(&b, !b.leaves_right);
    }
    if (rc == ERR_LIMIT) {
        verify_say_at(v, VERIFY_BATCH_CHANGED, NULL, x->sealer, x->number, VERIFY_NO_INDEX,
                      "its rows do not give its root, and are too large to look at");
        rc = 0;
    }
    let_go(&b);
    return rc;
}

int examine_strange(struct verify *v, const struct book *book, uint64_t sealer, uint64_t batch) {
    struct batch b = {.v = v, .book = book, .sealer = sealer, .number = batch};
    int rc = fetch(&b, true);
    for (size_t i = 0; !rc && i < b.count; i++)
        rc = tell_extra(&b, &b.rows[i], "the ledger has no such batch");
    if (!rc && b.leaves_rows)
        verify_say_at(v, VERIFY_LEAVES_CHANGED, NULL, sealer, batch, VERIFY_NO_INDEX,
                      "the table leaves has a row of it, and the ledger has no such batch");
    let_go(&b);
    return rc;
}
