/*
 * binary.h. Two passes over the same bytes: the first walks all values by their types and remembers the
 * strings that have a cell in them; then each step opens as many of those as make a group, and writes what
 * lies before, between and in them.
 */
#include "read/query/binary.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/query/rowtype.h"

#define COLUMNS_MAX 4096
#define GROUP_BYTES (4u << 20)
#define ROWS_MAX (1ull << 40)
#define RAW_STEP (1u << 20) /* written at once where there is no cell */

/* What Native has more in the client's protocol version: at byte `at`, before what is there. */
struct mark {
    size_t at;
    enum { MARK_BLOCK, MARK_COLUMN } what;
};

/* A string with a cell in it. */
struct value {
    size_t at, data, len; /* of its length, of its bytes */
};

struct binary {
    const uint8_t *p;
    size_t len, at; /* walking */
    struct rowtypes types;
    struct value *values;
    size_t count, room;
    uint32_t protocol;
    struct mark *marks;
    size_t marks_n, marks_room, mark; /* mark: the next to be written */
    cells_open *open;
    cells_write *write;
    void *open_arg, *write_arg;
    size_t written, next; /* bytes; values */
    struct tally tally;
};

int binary_find(const char *format, enum binary_format *ret, const char **ret_ask) {
    static const struct {
        const char *name, *ask;
        enum binary_format format;
    } all[] = {{"Native", "Native", BINARY_NATIVE},
               {"RowBinary", "RowBinaryWithNamesAndTypes", BINARY_ROWS},
               {"RowBinaryWithNames", "RowBinaryWithNamesAndTypes", BINARY_ROWS_NAMES},
               {"RowBinaryWithNamesAndTypes", "RowBinaryWithNamesAndTypes", BINARY_ROWS_NAMES_TYPES}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(format, all[i].name)) {
            *ret = all[i].format;
            *ret_ask = all[i].ask;
            return 0;
        }
    return ERR_UNSUPPORTED;
}

/* ---- reading ---- */

static int skip(struct binary *b, uint64_t n) {
    if (n > b->len - b->at)
        return ERR_CORRUPT;
    b->at += (size_t)n;
    return 0;
}

/* LEB128 */
static int varint(struct binary *b, uint64_t *ret) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (b->at == b->len)
            return ERR_CORRUPT;
        const uint8_t c = b->p[b->at++];
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return 0;
        }
    }
    return ERR_CORRUPT;
}

static size_t varint_put(uint8_t *p, uint64_t v) {
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

static int fixed64(struct binary *b, uint64_t *ret) {
    if (b->len - b->at < 8)
        return ERR_CORRUPT;
    *ret = get_u64(b->p + b->at);
    b->at += 8;
    return 0;
}

static int text(struct binary *b, const char **ret, size_t *ret_len) {
    uint64_t n;
    int rc = varint(b, &n);
    if (rc || n > b->len - b->at)
        return ERR_CORRUPT;
    *ret = (const char *)b->p + b->at;
    *ret_len = (size_t)n;
    b->at += (size_t)n;
    return 0;
}

static int remember(struct binary *b, const struct value *v) {
    if (b->count == b->room) {
        const size_t room = b->room ? b->room * 2 : 256;
        struct value *more = reallocarray(b->values, room, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        b->values = more;
        b->room = room;
    }
    b->values[b->count++] = *v;
    return 0;
}

static int add_mark(struct binary *b, uint32_t since, int what) {
    if (b->protocol < since)
        return 0;
    if (b->marks_n == b->marks_room) {
        const size_t room = b->marks_room ? b->marks_room * 2 : 64;
        struct mark *more = reallocarray(b->marks, room, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        b->marks = more;
        b->marks_room = room;
    }
    b->marks[b->marks_n++] = (struct mark){b->at, what};
    return 0;
}

static int string(struct binary *b) {
    struct value v = {.at = b->at};
    const char *p;
    size_t cell;
    int rc = text(b, &p, &v.len);
    v.data = b->at - (rc ? 0 : v.len);
    if (rc || !b->open || cells_find((const uint8_t *)p, v.len, &cell) == v.len)
        return rc;
    return remember(b, &v);
}

/* ---- rows ---- */

static int row_value(struct binary *b, uint16_t type) {
    const struct rowtype *t = &b->types.at[type];
    uint64_t n = 1;
    int rc = 0;
    switch (t->kind) {
    case ROWTYPE_FIXED:
        return skip(b, t->size);
    case ROWTYPE_STRING:
        return string(b);
    case ROWTYPE_LOW:
        return row_value(b, t->child);
    case ROWTYPE_NULLABLE:
        rc = skip(b, 1);
        return rc || b->p[b->at - 1] ? rc : row_value(b, t->child);
    case ROWTYPE_ARRAY:
    case ROWTYPE_MAP:
        rc = varint(b, &n);
        break;
    case ROWTYPE_TUPLE:
        break;
    }
    for (; !rc && n && b->at < b->len; n--)
        for (uint16_t c = t->child; !rc && c; c = b->types.at[c].next)
            rc = row_value(b, c);
    return rc ? rc : n ? ERR_CORRUPT : 0;
}

/* Columns' count, names, types, then rows. */
static int walk_rows(struct binary *b, enum binary_format format) {
    uint16_t *columns = NULL;
    uint64_t n;
    const char *name;
    size_t len, names_at;
    int rc = varint(b, &n);
    if (!rc && n > COLUMNS_MAX)
        rc = ERR_LIMIT;
    columns = rc ? NULL : calloc((size_t)n + 1, sizeof *columns);
    if (!rc && !columns)
        rc = ERR_NOMEM;
    for (uint64_t i = 0; !rc && i < n; i++)
        rc = text(b, &name, &len);
    names_at = b->at;
    for (uint64_t i = 0; !rc && i < n; i++) {
        rc = text(b, &name, &len);
        if (!rc)
            rc = rowtype_parse(&b->types, name, len, &columns[i]);
    }
    if (!rc && format == BINARY_ROWS_NAMES)
        rc = b->write(b->write_arg, b->p, names_at);
    if (!rc && format != BINARY_ROWS_NAMES_TYPES)
        b->written = b->at;
    while (!rc && n && b->at < b->len)
        for (uint64_t i = 0; !rc && i < n; i++)
            rc = row_value(b, columns[i]);
    free(columns);
    return rc;
}

/* ---- Native ---- */

#define LOW_INDEX 0xffu
#define LOW_GLOBAL (1u << 8)
#define LOW_KEYS (1u << 9)

static int column(struct binary *b, uint16_t type, uint64_t rows);

/* What stands before a column's data: of each LowCardinality in it a version. */
static int prefixes(struct binary *b, uint16_t type) {
    const struct rowtype *t = &b->types.at[type];
    uint64_t version = 1;
    int rc = 0;
    if (t->kind == ROWTYPE_LOW)
        rc = fixed64(b, &version) || version != 1 ? ERR_UNSUPPORTED : 0;
    else if (t->kind != ROWTYPE_FIXED && t->kind != ROWTYPE_STRING)
        for (uint16_t c = t->child; !rc && c; c = b->types.at[c].next)
            rc = prefixes(b, c);
    return rc;
}

/* u64 flags | u64 keys | the keys | u64 rows | an index for each */
static int low_cardinality(struct binary *b, const struct rowtype *t, uint64_t rows) {
    uint64_t flags, keys, n;
    uint16_t of = t->child;
    if (b->types.at[of].kind == ROWTYPE_NULLABLE)
        of = b->types.at[of].child; /* key 0 stands for NULL */
    while (rows) {
        int rc = fixed64(b, &flags);
        if (rc || (flags & LOW_GLOBAL) || !(flags & LOW_KEYS) || (flags & LOW_INDEX) > 3)
            return rc ? rc : ERR_UNSUPPORTED;
        rc = fixed64(b, &keys);
        if (!rc)
            rc = column(b, of, keys);
        if (!rc)
            rc = fixed64(b, &n);
        if (!rc)
            rc = n && n <= rows ? skip(b, n << (flags & LOW_INDEX)) : ERR_CORRUPT;
        if (rc)
            return rc;
        rows -= n;
    }
    return 0;
}

/* Cumulated lengths, then what they cut. */
static int nested(struct binary *b, const struct rowtype *t, uint64_t rows) {
    uint64_t total = 0;
    int rc = rows > ROWS_MAX ? ERR_CORRUPT : skip(b, rows * 8);
    if (!rc && rows)
        total = get_u64(b->p + b->at - 8);
    for (uint16_t c = t->child; !rc && c; c = b->types.at[c].next)
        rc = column(b, c, total);
    return rc;
}

static int column(struct binary *b, uint16_t type, uint64_t rows) {
    const struct rowtype *t = &b->types.at[type];
    int rc = rows > b->len ? ERR_CORRUPT : 0; /* a value has a byte at least */
    if (rc || !rows)
        return rc;
    switch (t->kind) {
    case ROWTYPE_FIXED:
        return skip(b, rows * t->size);
    case ROWTYPE_STRING:
        for (; !rc && rows; rows--)
            rc = string(b);
        return rc;
    case ROWTYPE_NULLABLE:
        rc = skip(b, rows);
        return rc ? rc : column(b, t->child, rows);
    case ROWTYPE_ARRAY:
    case ROWTYPE_MAP:
        return nested(b, t, rows);
    case ROWTYPE_TUPLE:
        for (uint16_t c = t->child; !rc && c; c = b->types.at[c].next)
            rc = column(b, c, rows);
        return rc;
    case ROWTYPE_LOW:
        return low_cardinality(b, t, rows);
    }
    return ERR_UNSUPPORTED;
}

/* Blocks: columns' count, rows' count, and of each column its name, type and data. */
static int walk_native(struct binary *b) {
    int rc = 0;
    while (!rc && b->at < b->len) {
        uint64_t columns, rows;
        rc = add_mark(b, BINARY_BLOCK_INFO, MARK_BLOCK);
        if (!rc)
            rc = varint(b, &columns);
        if (!rc)
            rc = varint(b, &rows);
        if (!rc && columns > COLUMNS_MAX)
            rc = ERR_LIMIT;
        for (uint64_t i = 0; !rc && i < columns; i++) {
            const char *name;
            size_t len;
            uint16_t type = 0;
            b->types.n = 0;
            rc = text(b, &name, &len);
            if (!rc)
                rc = text(b, &name, &len);
            if (!rc)
                rc = rowtype_parse(&b->types, name, len, &type);
            if (!rc)
                rc = add_mark(b, BINARY_SERIALIZATION, MARK_COLUMN);
            if (!rc && rows)
                rc = prefixes(b, type);
            if (!rc)
                rc = column(b, type, rows);
        }
    }
    return rc;
}

/* ---- life ---- */

int binary_new(struct binary **ret, enum binary_format format, uint32_t protocol, const uint8_t *p, size_t len,
               cells_open *open, void *open_arg, cells_write *write, void *write_arg) {
    struct binary *b = calloc(1, sizeof *b);
    if (!b)
        return ERR_NOMEM;
    *b = (struct binary){.p = p, .len = len, .protocol = protocol, .open = open, .open_arg = open_arg, .write = write,
                         .write_arg = write_arg};
    int rc = !len ? 0 : format == BINARY_NATIVE ? walk_native(b) : walk_rows(b, format);
    if (rc) {
        binary_free(b);
        return rc;
    }
    *ret = b;
    return 0;
}

void binary_free(struct binary *b) {
    if (!b)
        return;
    free(b->values);
    free(b->marks);
    free(b);
}

const struct tally *binary_tally(const struct binary *b) {
    return &b->tally;
}

/* ---- opening ---- */

/* The cells of a group of values, and where each stands. */
struct group {
    size_t first, end; /* values */
    size_t n;
    struct cell cells[CELLS_GROUP];
    struct opened opened[CELLS_GROUP];
    size_t at[CELLS_GROUP], len[CELLS_GROUP]; /* in b->p */
    struct buf bytes;                         /* what the cells point into */
};

/* Appends the value's cells; false: they do not fit any more. One with more cells than a group has keeps
 * the rest sealed. */
static bool take_value(const struct binary *b, const struct value *v, struct group *g) {
    const size_t before = g->n, bytes = g->bytes.len;
    for (size_t at = 0, len = 0; at < v->len; at += len) {
        at += cells_find(b->p + v->data + at, v->len - at, &len);
        if (at >= v->len)
            break;
        if (g->n == CELLS_GROUP || g->bytes.len + len > g->bytes.max) {
            if (before == 0 && bytes == 0)
                return true;
            g->n = before;
            g->bytes.len = bytes;
            return false;
        }
        if (cells_decode(&g->bytes, (const char *)b->p + v->data + at, len, &g->cells[g->n]) == 0) {
            g->at[g->n] = v->data + at;
            g->len[g->n++] = len;
        }
    }
    return true;
}

/* Marks up to that byte, which is the next to be written. */
static int put_marks(struct binary *b, size_t upto) {
    /* BlockInfo: field 1, no overflow | field 2, bucket -1 | the end */
    static const uint8_t block[] = {1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}, column_head[] = {0};
    int rc = 0;
    for (; !rc && b->mark < b->marks_n && b->marks[b->mark].at <= upto; b->mark++)
        rc = b->marks[b->mark].what == MARK_BLOCK ? b->write(b->write_arg, block, sizeof block)
                                                  : b->write(b->write_arg, column_head, sizeof column_head);
    return rc;
}

/* n bytes as they came, with the marks before them. */
static int put(struct binary *b, size_t from, size_t n) {
    const size_t end = from + n;
    int rc = 0;
    while (!rc && from < end) {
        rc = put_marks(b, from);
        const size_t next = b->mark < b->marks_n && b->marks[b->mark].at < end ? b->marks[b->mark].at : end;
        if (!rc)
            rc = b->write(b->write_arg, b->p + from, next - from);
        from = next;
    }
    return rc;
}

/* The value with its cells' texts in their places. */
static int put_value(struct binary *b, const struct value *v, const struct group *g, size_t *cell) {
    uint64_t len = v->len;
    uint8_t head[10];
    size_t at = b->written, i = *cell;
    bool any = false;
    for (; i < g->n && g->at[i] < v->data + v->len; i++)
        if (!g->opened[i].rc) {
            len = len - g->len[i] + g->opened[i].text.len;
            any = true;
        }
    int rc = 0;
    if (any) { /* what is as it was goes out as it came */
        rc = put(b, at, v->at - at);
        if (!rc)
            rc = put_marks(b, v->at);
        if (!rc)
            rc = b->write(b->write_arg, head, varint_put(head, len));
        at = v->data;
    }
    for (i = *cell; !rc && i < g->n && g->at[i] < v->data + v->len; i++) {
        const struct opened *o = &g->opened[i];
        tally_note(&b->tally, o->rc);
        if (o->rc)
            continue;
        rc = put(b, at, g->at[i] - at);
        if (!rc)
            rc = b->write(b->write_arg, o->text.p, o->text.len);
        at = g->at[i] + g->len[i];
    }
    *cell = i;
    if (!rc)
        rc = put(b, at, v->data + v->len - at);
    b->written = v->data + v->len;
    return rc;
}

static int write_rest(struct binary *b) {
    const size_t left = b->len - b->written, n = left < RAW_STEP ? left : RAW_STEP;
    int rc = n ? put(b, b->written, n) : put_marks(b, b->len);
    b->written += n;
    return rc || n ? rc : ERR_NOTFOUND;
}

int binary_step(struct binary *b) {
    if (b->next == b->count)
        return write_rest(b);
    struct group *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    const size_t largest = b->values[b->next].len;
    buf_init(&g->bytes, largest > GROUP_BYTES ? largest : GROUP_BYTES);
    int rc = buf_reserve(&g->bytes, g->bytes.max); /* cells point into it: it must not move */
    size_t end = b->next, cell = 0;
    while (!rc && end < b->count && take_value(b, &b->values[end], g))
        end++;
    if (!rc && g->n)
        b->open(b->open_arg, g->cells, g->n, g->opened);
    for (; !rc && b->next < end; b->next++)
        rc = put_value(b, &b->values[b->next], g, &cell);
    for (size_t i = 0; i < g->n; i++)
        buf_wipe(&g->opened[i].text);
    buf_wipe(&g->bytes);
    free(g);
    return rc;
}
