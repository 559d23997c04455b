/*
 * The stream filter of cells.h. Runs in the command line.
 *
 * `held` has the bytes of the result that are not written yet: from the first cell that is not opened
 * on, or the few bytes in which a cell's prefix might begin. A group is opened when it is full, when
 * `held` grows large, and at the end; between two groups nothing opened is kept.
 */
#include "read/query/cells.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define PREFIX_BYTES (sizeof CELL_PREFIX - 1)
#define CELL_TEXT_MAX (PREFIX_BYTES + B64URL_LEN((size_t)LIMIT_CELL))
#define HELD_SOFT_MAX (8u << 20) /* open what there is when this much waits */

struct span {
    size_t at, len;
};

struct cells {
    enum format_family family;
    cells_open *open;
    cells_write *write;
    void *open_arg, *write_arg;
    struct buf held;
    size_t scanned; /* bytes of held that hold no further cell's beginning */
    struct span found[CELLS_GROUP];
    size_t n;
    struct tally tally;
};

int cells_new(struct cells **ret, enum format_family family, cells_open *open, void *open_arg,
              cells_write *write, void *write_arg) {
    struct cells *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->family = family;
    c->open = open;
    c->open_arg = open_arg;
    c->write = write;
    c->write_arg = write_arg;
    buf_init(&c->held, CELL_TEXT_MAX + HELD_SOFT_MAX + LIMIT_FRAME);
    *ret = c;
    return 0;
}

void cells_free(struct cells *c) {
    if (!c)
        return;
    buf_wipe(&c->held);
    free(c);
}

static bool is_base64(uint8_t b) {
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           b == '-' || b == '_';
}

size_t cells_find(const uint8_t *p, size_t len, size_t *ret_len) {
    const uint8_t *at = memmem(p, len, CELL_PREFIX, PREFIX_BYTES);
    if (!at)
        return len;
    const size_t begin = (size_t)(at - p);
    size_t stop = begin + PREFIX_BYTES;
    while (stop < len && is_base64(p[stop]))
        stop++;
    *ret_len = stop - begin;
    return begin;
}

int cells_decode(struct buf *out, const char *text, size_t len, struct cell *ret) {
    if (len < PREFIX_BYTES || memcmp(text, CELL_PREFIX, PREFIX_BYTES) != 0)
        return ERR_SYNTAX;
    int rc = buf_reserve(out, len);
    if (rc)
        return rc;
    long n = b64url_decode(out->p + out->len, text + PREFIX_BYTES, len - PREFIX_BYTES);
    if (n < 0)
        return (int)n;
    const uint8_t *bytes = out->p + out->len;
    rc = cell_split(bytes, (size_t)n, &ret->ctx, &ret->envelope, &ret->envelope_len);
    if (rc)
        return rc;
    ret->context = bytes;
    ret->context_len = (size_t)(ret->envelope - bytes);
    out->len += (size_t)n;
    return 0;
}

/* Writes the group's part of `held`, opened[k] in the place of the cells that could be decoded. */
static int write_group(struct cells *c, const struct opened *opened, const int *slot) {
    size_t at = 0;
    int rc = 0;
    struct buf text;
    buf_init(&text, 6ull * LIMIT_TURN_PLAIN);
    for (size_t i = 0; !rc && i < c->n; i++) {
        const struct opened *o = slot[i] >= 0 ? &opened[slot[i]] : NULL;
        rc = c->write(c->write_arg, c->held.p + at, c->found[i].at - at);
        at = c->found[i].at + c->found[i].len;
        buf_clear(&text);
        int why = o ? o->rc : ERR_SYNTAX;
        if (!why)
            why = format_escape(c->family, &text, o->text.p, o->text.len);
        tally_note(&c->tally, why);
        if (!rc)
            rc = why ? c->write(c->write_arg, c->held.p + c->found[i].at, c->found[i].len)
                     : c->write(c->write_arg, text.p, text.len);
    }
    buf_wipe(&text);
    /* Behind the last cell the bytes stay held: they may be the beginning of the next one. */
    if (!rc && at > 0) {
        memmove(c->held.p, c->held.p + at, c->held.len - at);
        c->held.len -= at;
        c->scanned = c->scanned > at ? c->scanned - at : 0;
    }
    c->n = 0;
    return rc;
}

static int open_group(struct cells *c) {
    struct cell *cells = calloc(CELLS_GROUP, sizeof *cells);
    struct opened *opened = calloc(CELLS_GROUP, sizeof *opened);
    struct buf bytes;
    int slot[CELLS_GROUP], rc = cells && opened ? 0 : ERR_NOMEM;
    size_t n = 0, total = 0;
    for (size_t i = 0; i < c->n; i++)
        total += c->found[i].len;
    /* Room for all at once: decoded cells point into this buffer. */
    buf_init(&bytes, total + CELLS_GROUP);
    if (!rc)
        rc = buf_reserve(&bytes, total + CELLS_GROUP);
    for (size_t i = 0; !rc && i < c->n; i++) {
        const char *text = (const char *)c->held.p + c->found[i].at;
        slot[i] = cells_decode(&bytes, text, c->found[i].len, &cells[n]) == 0 ? (int)n++ : -1;
    }
    if (!rc && n)
        c->open(c->open_arg, cells, n, opened);
    if (!rc)
        rc = write_group(c, opened, slot);
    for (size_t i = 0; i < n; i++)
        buf_wipe(&opened[i].text);
    buf_wipe(&bytes);
    free(cells);
    free(opened);
    return rc;
}

/* Writes what certainly is no part of a cell. */
static int write_plain(struct cells *c) {
    if (c->n > 0 || c->scanned == 0)
        return 0;
    int rc = c->write(c->write_arg, c->held.p, c->scanned);
    memmove(c->held.p, c->held.p + c->scanned, c->held.len - c->scanned);
    c->held.len -= c->scanned;
    c->scanned = 0;
    return rc;
}

/* Finds complete cells in what is not scanned yet; at `end` a cell may reach to the last byte. */
static int scan(struct cells *c, bool end) {
    int rc = 0;
    while (!rc && c->scanned < c->held.len) {
        const uint8_t *from = c->held.p + c->scanned;
        size_t left = c->held.len - c->scanned;
        const uint8_t *at = memmem(from, left, CELL_PREFIX, PREFIX_BYTES);
        if (!at) {
            size_t keep = end ? 0 : (left < PREFIX_BYTES - 1 ? left : PREFIX_BYTES - 1);
            c->scanned = c->held.len - keep;
            break;
        }
        size_t begin = (size_t)(at - c->held.p), stop = begin + PREFIX_BYTES;
        while (stop < c->held.len && is_base64(c->held.p[stop]))
            stop++;
        c->scanned = begin;
        if (stop == c->held.len && !end && stop - begin <= CELL_TEXT_MAX)
            break;
        c->scanned = stop;
        c->found[c->n++] = (struct span){begin, stop - begin};
        if (c->n == CELLS_GROUP || c->held.len > HELD_SOFT_MAX)
            rc = open_group(c);
    }
    return rc;
}

int cells_feed(struct cells *c, const void *p, size_t len) {
    const uint8_t *at = p;
    int rc = 0;
    while (!rc && len > 0) {
        size_t n = len < (1u << 20) ? len : 1u << 20;
        rc = buf_append(&c->held, at, n);
        if (!rc)
            rc = scan(c, false);
        if (!rc && c->n > 0 && c->held.len > HELD_SOFT_MAX)
            rc = open_group(c);
        if (!rc)
            rc = write_plain(c);
        at += n;
        len -= n;
    }
    return rc;
}

int cells_finish(struct cells *c) {
    int rc = scan(c, true);
    if (!rc && c->n > 0)
        rc = open_group(c);
    return rc ? rc : write_plain(c);
}

const struct tally *cells_tally(const struct cells *c) {
    return &c->tally;
}
