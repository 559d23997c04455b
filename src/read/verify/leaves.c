/*
 * The table `leaves` (doc/batch.md): one row a batch with the leaves of its rows. Whoever can write to
 * the database can write here too, so nothing is believed of it but what gives the ledger's root.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define ROW_MAX (64 + (size_t)VERIFY_BATCH_ROWS * 64)

struct reading {
    leaves_fn *fn;
    void *arg;
    struct buf rest;
};

/* LEB128 of at most 2 bytes are enough for a batch's rows. */
static int read_count(const uint8_t *p, size_t len, size_t *at, size_t *ret) {
    size_t v = 0;
    for (unsigned shift = 0; shift < 21; shift += 7) {
        if (*at >= len)
            return ERR_AGAIN;
        const uint8_t b = p[(*at)++];
        v |= (size_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return v <= VERIFY_BATCH_ROWS ? 0 : ERR_CORRUPT;
        }
    }
    return ERR_CORRUPT;
}

/* u64 sealer, u64 batch, three arrays of one length. */
static int read_row(const uint8_t *p, size_t len, struct leaves *l, size_t *ret_used) {
    static const size_t bytes[3] = {1, 4, SHA_BYTES};
    const uint8_t **arrays[3] = {&l->tables, &l->months, &l->hashes};
    size_t at = 16, n = 0;
    if (len < at)
        return ERR_AGAIN;
    l->sealer = get_u64(p);
    l->batch = get_u64(p + 8);
    for (int i = 0; i < 3; i++) {
        int rc = read_count(p, len, &at, &n);
        if (rc)
            return rc;
        if (i && n != l->count)
            return ERR_CORRUPT;
        l->count = n;
        if (len - at < n * bytes[i])
            return ERR_AGAIN;
        *arrays[i] = p + at;
        at += n * bytes[i];
    }
    *ret_used = at;
    return 0;
}

static int feed(void *arg, const void *p, size_t len) {
    struct reading *g = arg;
    struct leaves l;
    size_t at = 0, used;
    int rc = buf_append(&g->rest, p, len);
    while (!rc) {
        rc = read_row(g->rest.p + at, g->rest.len - at, &l, &used);
        if (rc == ERR_CORRUPT)
            break; /* whatever it is, it is no help */
        if (!rc) {
            at += used;
            rc = g->fn(g->arg, &l);
        }
    }
    if (rc == ERR_AGAIN) {
        memmove(g->rest.p, g->rest.p + at, g->rest.len - at);
        g->rest.len -= at;
        rc = 0;
    }
    return rc;
}

int leaves_ask(struct verify *v, const char *condition, leaves_fn *fn, void *arg) {
    struct reading g = {fn, arg, {0}};
    struct buf sql;
    buf_init(&g.rest, ROW_MAX + LIMIT_FRAME);
    buf_init(&sql, LIMIT_SQL);
    int rc = buf_printf(&sql, "SELECT sealer, batch, tables, months, leaves FROM leaves WHERE %s",
                        condition);
    if (!rc && buf_append_u8(&sql, 0) == 0)
        rc = verify_ask(v, "RowBinary", (const char *)sql.p, feed, &g);
    buf_wipe(&g.rest);
    buf_wipe(&sql);
    return rc == ERR_NOMEM ? rc : 0;
}
