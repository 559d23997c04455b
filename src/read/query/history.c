/*
 * Conversations of history.h. Runs in the command line. Turns that a hold kept from retention are in
 * held_turns; after a retention that was interrupted in both tables.
 *
 * An entry's life: listed (id, parent as the store says) -> opened (text and context from the cell,
 * checked against the entry) -> parsed. Chains are followed over the list to know what to open, and
 * checked afterwards over the contexts and the hashes of the parents' envelopes.
 */
#include "read/query/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TURNS_MAX (1u << 20)     /* of one conversation */
#define FETCH_BYTES (16u << 20)  /* of envelopes in one statement */
#define FETCH_TURNS 200

struct entry {
    uint8_t id[UUID_BYTES], parent[UUID_BYTES];
    size_t size; /* of the envelope */
    int open;    /* 1: the fields below are set */
    struct context ctx;
    uint8_t hash[CONTEXT_HASH_BYTES];
    struct buf text;
    struct turn turn;
};

struct history {
    struct remote *remote;
    uint8_t conversation[UUID_BYTES];
    struct entry *entries;
    size_t n, room;
};

/* --- the list --- */

static int add_entry(struct history *h, const char *line, size_t len) {
    struct entry e = {0};
    unsigned long long size;
    if (h->n == TURNS_MAX)
        return ERR_LIMIT;
    if (len < 2 * UUID_TEXT + 3 || !uuid_parse(e.id, line, UUID_TEXT) ||
        !uuid_parse(e.parent, line + UUID_TEXT + 1, UUID_TEXT) ||
        sscanf(line + 2 * UUID_TEXT + 2, "%llu", &size) != 1)
        return ERR_SYNTAX;
    e.size = (size_t)size;
    buf_init(&e.text, LIMIT_TURN_PLAIN);
    if (h->n == h->room) {
        size_t room = h->room ? 2 * h->room : 64;
        struct entry *p = realloc(h->entries, room * sizeof *p);
        if (!p)
            return ERR_NOMEM;
        h->entries = p;
        h->room = room;
    }
    h->entries[h->n++] = e;
    return 0;
}

int history_load(struct history **ret, struct remote *r, const uint8_t conversation[UUID_BYTES]) {
    struct history *h = calloc(1, sizeof *h);
    char sql[512], id[UUID_TEXT + 1];
    struct buf list;
    if (!h)
        return ERR_NOMEM;
    h->remote = r;
    memcpy(h->conversation, conversation, UUID_BYTES);
    uuid_format(id, conversation);
    buf_init(&list, (size_t)TURNS_MAX * 128);
    snprintf(sql, sizeof sql,
             "SELECT id, parent, size FROM"
             " (SELECT id, parent, length(envelope) AS size, time FROM turns WHERE conversation = '%s'"
             " UNION DISTINCT SELECT id, parent, length(envelope) AS size, time FROM held_turns"
             " WHERE conversation = '%s') ORDER BY time, id",
             id, id);
    int rc = remote_query_whole(r, "TabSeparated", sql, &list);
    if (!rc)
        rc = buf_append_u8(&list, 0); /* for sscanf */
    const char *p = (const char *)list.p, *end = p + (rc ? 0 : list.len - 1);
    while (!rc && p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        rc = add_entry(h, p, (size_t)((eol ? eol : end) - p));
        p = eol ? eol + 1 : end;
    }
    buf_wipe(&list);
    if (!rc && h->n == 0)
        rc = ERR_NOTFOUND;
    if (rc) {
        history_free(h);
        return rc;
    }
    *ret = h;
    return 0;
}

void history_free(struct history *h) {
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        buf_wipe(&h->entries[i].text);
    free(h->entries);
    free(h);
}

size_t history_count(const struct history *h) {
    return h->n;
}

const uint8_t *history_id(const struct history *h, size_t i) {
    return h->entries[i].id;
}

const uint8_t *history_parent(const struct history *h, size_t i) {
    return h->entries[i].parent;
}

long history_find(const struct history *h, const uint8_t id[UUID_BYTES]) {
    /* From the end: a parent is looked for from its child on, and is not far. */
    for (size_t i = h->n; i > 0; i--)
        if (memcmp(h->entries[i - 1].id, id, UUID_BYTES) == 0)
            return (long)(i - 1);
    return ERR_NOTFOUND;
}

/* --- opening --- */

/* The cell says what it is; the entry must be that. */
static int accept_cell(struct history *h, const struct cell *cell, struct opened *opened) {
    long i = history_find(h, cell->ctx.record);
    if (i < 0 || cell->ctx.field != CONTEXT_FIELD_TURN ||
        memcmp(cell->ctx.conversation, h->conversation, UUID_BYTES) != 0 ||
        memcmp(cell->ctx.parent, h->entries[i].parent, UUID_BYTES) != 0)
        return ERR_CORRUPT;
    struct entry *e = &h->entries[i];
    if (e->open)
        return 0;
    e->ctx = cell->ctx;
    envelope_hash(e->hash, cell->envelope, cell->envelope_len);
    e->text = opened->text;
    buf_init(&opened->text, 0); /* moved */
    int rc = turn_parse(&e->turn, e->text.p, e->text.len, e->ctx.kept);
    e->turn.shape = turn_shape_of(e->ctx.dialect);
    e->open = !rc;
    return rc;
}

static int open_lines(struct history *h, const struct buf *lines) {
    struct cell cells[FETCH_TURNS] = {0};
    struct opened opened[FETCH_TURNS] = {0};
    struct buf bytes;
    size_t n = 0;
    int rc = 0;
    buf_init(&bytes, lines->len + 64);
    rc = buf_reserve(&bytes, lines->len + 64); /* cells point into it: it must not move */
    const char *p = (const char *)lines->p, *end = p + lines->len;
    while (!rc && p < end && n < FETCH_TURNS) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        rc = cells_decode(&bytes, p, (size_t)((eol ? eol : end) - p), &cells[n++]);
        p = eol ? eol + 1 : end;
    }
    if (!rc)
        remote_open(h->remote, cells, n, opened);
    for (size_t i = 0; !rc && i < n; i++)
        rc = opened[i].rc ? opened[i].rc : accept_cell(h, &cells[i], &opened[i]);
    for (size_t i = 0; i < n; i++)
        buf_wipe(&opened[i].text);
    buf_wipe(&bytes);
    return rc;
}

/* Opens chain[0..n), which are places, those that are not open yet; as many as one statement takes.
 * *ret_taken: how many of the chain were looked at. */
static int open_some(struct history *h, const size_t *chain, size_t n, size_t *ret_taken) {
    struct buf sql, ids, lines;
    char id[UUID_TEXT + 1];
    size_t asked = 0, bytes = 0, i;
    int rc = 0;
    buf_init(&sql, LIMIT_SQL);
    buf_init(&ids, LIMIT_SQL / 2);
    buf_init(&lines, 2ul * FETCH_BYTES + 2ul * LIMIT_CELL);
    for (i = 0; !rc && i < n && asked < FETCH_TURNS && bytes < FETCH_BYTES; i++) {
        const struct entry *e = &h->entries[chain[i]];
        if (e->open)
            continue;
        uuid_format(id, e->id);
        rc = buf_printf(&ids, "%s'%s'", asked ? "," : "", id);
        asked++;
        bytes += e->size;
    }
    if (!rc)
        rc = buf_append_u8(&ids, 0);
    uuid_format(id, h->conversation);
    if (!rc)
        rc = buf_printf(&sql, "SELECT body FROM turns WHERE conversation = '%s' AND id IN (%s) UNION DISTINCT"
                              " SELECT body FROM held_turns WHERE conversation = '%s' AND id IN (%s)",
                        id, (const char *)ids.p, id, (const char *)ids.p);
    if (!rc)
        rc = buf_append_u8(&sql, 0);
    if (!rc && asked) {
        rc = remote_query_whole(h->remote, "TabSeparatedRaw", (const char *)sql.p, &lines);
        if (!rc)
            rc = open_lines(h, &lines);
    }
    buf_wipe(&sql);
    buf_wipe(&ids);
    buf_wipe(&lines);
    *ret_taken = i;
    return rc;
}

/* The chain of turn i, oldest first. *ret is allocated. */
static int find_chain(const struct history *h, size_t i, size_t **ret, size_t *ret_n) {
    size_t n = 0, *chain = calloc(h->n, sizeof *chain);
    if (!chain)
        return ERR_NOMEM;
    for (long at = (long)i;;) {
        if (n == h->n) { /* a circle */
            free(chain);
            return ERR_CORRUPT;
        }
        chain[n++] = (size_t)at;
        if (uuid_is_zero(h->entries[at].parent))
            break;
        at = history_find(h, h->entries[at].parent);
        if (at < 0) {
            free(chain);
            return ERR_NOTFOUND;
        }
    }
    for (size_t a = 0, b = n - 1; a < b; a++, b--) {
        size_t t = chain[a];
        chain[a] = chain[b];
        chain[b] = t;
    }
    *ret = chain;
    *ret_n = n;
    return 0;
}

/* Each turn names its parent and the hash of the parent's envelope, inside its own cell. */
static int check_chain(const struct history *h, const size_t *chain, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &h->entries[chain[i]];
        if (!e->open)
            return ERR_NOTFOUND;
        if (i > 0 && memcmp(e->ctx.parent_hash, h->entries[chain[i - 1]].hash,
                            CONTEXT_HASH_BYTES) != 0)
            return ERR_CORRUPT;
    }
    return 0;
}

int history_exchange(struct history *h, size_t i, struct exchange *ret, size_t *ret_kept) {
    size_t *chain = NULL, n = 0;
    struct turn *turns = NULL;
    *ret = (struct exchange){0};
    int rc = find_chain(h, i, &chain, &n);
    for (size_t at = 0, taken = 0; !rc && at < n; at += taken)
        rc = open_some(h, chain + at, n - at, &taken);
    if (!rc)
        rc = check_chain(h, chain, n);
    if (!rc && !(turns = calloc(n, sizeof *turns)))
        rc = ERR_NOMEM;
    for (size_t k = 0; !rc && k < n; k++)
        turns[k] = h->entries[chain[k]].turn;
    if (!rc)
        rc = exchange_build(ret, turns, n);
    if (!rc) {
        ret->last = &h->entries[chain[n - 1]].turn;
        *ret_kept = h->entries[chain[n - 1]].turn.kept;
    } else {
        exchange_done(ret);
    }
    free(turns);
    free(chain);
    return rc;
}
