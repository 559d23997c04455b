/*
 * Rows that are other ones than were written (verify_int.h): what was done to them. The row's leaf is
 * known, so a guess is either it or not: cells exchanged with another such row, a bit that fell over, the
 * row of another place, a cell with another value that the table has.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define ROWS_MAX 256
#define BYTES_MAX (256u << 20)
#define GUESSED_ROWS 16    /* for which the store is asked for values */
#define FLIPPED_BYTES 8192 /* the longest row of which each bit is tried */
#define VALUES_MAX "20000"

int changed_add(struct changed *c, int table, const struct shape_place *place,
                const struct shape_row *row, const uint8_t leaf[SHA_BYTES]) {
    if (c->count == ROWS_MAX || row->len > BYTES_MAX - c->bytes)
        return ERR_LIMIT;
    if (!c->rows)
        c->rows = calloc(ROWS_MAX, sizeof *c->rows);
    if (!c->rows)
        return ERR_NOMEM;
    struct changed_row *r = &c->rows[c->count];
    *r = (struct changed_row){.table = table,
                              .index = place->index,
                              .sealer = place->sealer,
                              .batch = place->batch,
                              .row = *row};
    r->bytes = malloc(row->len);
    if (!r->bytes)
        return ERR_NOMEM;
    memcpy(r->bytes, row->p, row->len);
    memcpy(r->leaf, leaf, SHA_BYTES);
    r->row.p = r->bytes;
    c->bytes += row->len;
    c->count++;
    return 0;
}

void changed_done(struct changed *c) {
    for (size_t i = 0; i < c->count; i++)
        free(c->rows[i].bytes);
    free(c->rows);
}

/* ---- guesses ---- */

/* Is the row right with this value in columns [from, to]? */
static bool right_with(const struct changed_row *r, size_t from, size_t to, const uint8_t *value,
                       size_t len, struct buf *scratch) {
    uint8_t leaf[SHA_BYTES];
    const size_t a = from ? r->row.ends[from - 1] : 0, z = r->row.ends[to];
    scratch->len = 0;
    if (buf_append(scratch, r->bytes, a) || buf_append(scratch, value, len) ||
        buf_append(scratch, r->bytes + z, r->row.len - z))
        return false;
    shape_leaf(leaf, r->table, scratch->p, scratch->len);
    return memcmp(leaf, r->leaf, sizeof leaf) == 0;
}

static void tell(struct verify *v, struct changed_row *r, enum verify_kind kind, int column,
                 const char *text) {
    const struct shape *s = shape_of(r->table);
    struct verify_finding f = {.kind = kind,
                               .table = s->table,
                               .column = column < 0 ? NULL : s->columns[column].name,
                               .placed = true,
                               .sealer = r->sealer,
                               .batch = r->batch,
                               .index = r->index};
    shape_id(s, &r->row, f.id);
    snprintf(f.text, sizeof f.text, "%s", text);
    verify_tell(v, &f);
    r->told = true;
}

static void tell_swap(struct verify *v, struct changed_row *a, struct changed_row *b, int column) {
    char text[VERIFY_TEXT];
    for (int i = 0; i < 2; i++) {
        const struct changed_row *other = i ? a : b;
        snprintf(text, sizeof text, "%s those of the row with index %" PRIu32 " of batch %" PRIu64
                 " of sealer %" PRIu64 " stand in each other's place",
                 column < 0 ? "its cells and" : "its cell and", other->index, other->batch,
                 other->sealer);
        tell(v, i ? b : a, VERIFY_ROW_SWAPPED, column, text);
    }
}

static bool swapped(struct verify *v, struct changed_row *a, struct changed_row *b,
                    struct buf *scratch) {
    size_t n, m;
    const size_t columns = shape_of(a->table)->count - 3;
    for (size_t c = 0; c < columns; c++) {
        const uint8_t *x = shape_column(&a->row, c, &n), *y = shape_column(&b->row, c, &m);
        if (right_with(a, c, c, y, m, scratch) && right_with(b, c, c, x, n, scratch)) {
            tell_swap(v, a, b, (int)c);
            return true;
        }
    }
    n = a->row.len - SHAPE_PLACE_BYTES;
    m = b->row.len - SHAPE_PLACE_BYTES;
    if (right_with(a, 0, columns - 1, b->bytes, m, scratch) &&
        right_with(b, 0, columns - 1, a->bytes, n, scratch)) {
        tell_swap(v, a, b, -1);
        return true;
    }
    return false;
}

static bool flipped(struct verify *v, struct changed_row *r) {
    uint8_t leaf[SHA_BYTES];
    char text[VERIFY_TEXT];
    if (r->row.len > FLIPPED_BYTES)
        return false;
    for (size_t bit = 0; bit < 8 * r->row.len; bit++) {
        r->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        shape_leaf(leaf, r->table, r->bytes, r->row.len);
        r->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (memcmp(leaf, r->leaf, sizeof leaf) != 0)
            continue;
        int column = 0;
        while (r->row.ends[column] <= bit / 8)
            column++;
        snprintf(text, sizeof text, "bit %zu of byte %zu of its cell is the other one", bit % 8,
                 bit / 8 - (column ? r->row.ends[column - 1] : 0));
        tell(v, r, VERIFY_ROW_CHANGED, column, text);
        return true;
    }
    return false;
}

static int replayed(struct verify *v, struct changed_row *r) {
    struct shape_place at, own = {r->sealer, r->batch, r->index};
    char text[VERIFY_TEXT];
    bool found;
    int rc = examine_copy(v, r->table, &r->row, &own, &at, &found);
    if (rc || !found)
        return rc;
    snprintf(text, sizeof text, "in its place stands a copy of the row with index %" PRIu32
             " of batch %" PRIu64 " of sealer %" PRIu64, at.index, at.batch, at.sealer);
    tell(v, r, VERIFY_ROW_REPLAYED, -1, text);
    return 0;
}

/* ---- values that the table has ---- */

struct values {
    const struct changed_row *r;
    size_t column;
    struct buf *scratch, rest;
    bool found;
};

/* Strings have their length before them, as in a row; others have the column's. */
static size_t value_length(const struct shape_column *c, const uint8_t *p, size_t len) {
    size_t at = 0, n = 0;
    if (c->kind != SHAPE_STRING)
        return c->bytes <= len ? c->bytes : 0;
    for (unsigned shift = 0; at < len && shift < 28; shift += 7) {
        n |= (size_t)(p[at] & 0x7f) << shift;
        if (!(p[at++] & 0x80))
            return n <= len - at ? at + n : 0;
    }
    return 0;
}

static int on_values(void *arg, const void *p, size_t len) {
    struct values *g = arg;
    const struct shape_column *c = &shape_of(g->r->table)->columns[g->column];
    size_t at = 0, n;
    int rc = buf_append(&g->rest, p, len);
    while (!rc && !g->found && (n = value_length(c, g->rest.p + at, g->rest.len - at)) != 0) {
        g->found = right_with(g->r, g->column, g->column, g->rest.p + at, n, g->scratch);
        at += n;
    }
    memmove(g->rest.p, g->rest.p + at, g->rest.len - at);
    g->rest.len -= at;
    return rc;
}

/* Small numbers are tried all. */
static void try_numbers(struct values *g, unsigned bytes) {
    uint8_t le[8];
    for (uint64_t n = 0; !g->found && n < (bytes == 1 ? 256u : 65536u); n++) {
        put_u64(le, n);
        g->found = right_with(g->r, g->column, g->column, le, bytes, g->scratch);
    }
}

static int try_column(struct verify *v, struct values *g) {
    static const uint8_t zero[UUID_BYTES];
    const struct shape *s = shape_of(g->r->table);
    const struct shape_column *c = &s->columns[g->column];
    char sql[256];
    if (c->kind == SHAPE_MAP || c->bytes > UUID_BYTES || strcmp(c->name, "envelope") == 0)
        return 0;
    if (c->kind == SHAPE_NUMBER)
        try_numbers(g, c->bytes);
    if (c->kind == SHAPE_UUID)
        g->found = g->found || right_with(g->r, g->column, g->column, zero, UUID_BYTES, g->scratch);
    snprintf(sql, sizeof sql, "SELECT DISTINCT %s FROM %s LIMIT " VALUES_MAX, c->name, s->table);
    int rc = g->found ? 0 : verify_ask(v, "RowBinary", sql, on_values, g);
    if (!rc && !g->found && c->kind == SHAPE_UUID)
        rc = verify_ask(v, "RowBinary", "SELECT DISTINCT id FROM interactions LIMIT " VALUES_MAX,
                        on_values, g);
    return rc == ERR_NOMEM ? rc : 0;
}

static int guessed(struct verify *v, struct changed_row *r, struct buf *scratch) {
    int rc = 0;
    for (size_t c = 0; !rc && !r->told && c < shape_of(r->table)->count - 3; c++) {
        struct values g = {.r = r, .column = c, .scratch = scratch};
        buf_init(&g.rest, LIMIT_FRAME * 2u);
        rc = try_column(v, &g);
        buf_wipe(&g.rest);
        if (g.found)
            tell(v, r, VERIFY_ROW_CHANGED, (int)c, "its cell has another value than was written");
    }
    return rc;
}

int changed_tell(struct verify *v) {
    struct changed *c = &v->changed;
    struct buf scratch;
    int rc = 0;
    buf_init(&scratch, 2 * (size_t)BYTES_MAX);
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = i + 1; j < c->count && !c->rows[i].told; j++)
            if (c->rows[j].table == c->rows[i].table && !c->rows[j].told)
                swapped(v, &c->rows[i], &c->rows[j], &scratch);
    for (size_t i = 0; !rc && i < c->count; i++) {
        struct changed_row *r = &c->rows[i];
        if (!r->told && !flipped(v, r))
            rc = replayed(v, r);
        if (!rc && !r->told && i < GUESSED_ROWS)
            rc = guessed(v, r, &scratch);
        if (!rc && !r->told)
            tell(v, r, VERIFY_ROW_CHANGED, -1, "it is not what was written");
    }
    buf_wipe(&scratch);
    return rc;
}
