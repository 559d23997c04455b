/*
 * One opening request: cells come in, the ledger gets an entry for each subject, then they are
 * opened one by one.
 *
 * Cells are sorted by data-key row and index before they are opened: so the subject's secret and
 * the data key are unwrapped once for all of their cells, one at a time, and the ratchet only goes
 * forward. Which answer is whose is said by the cell's number.
 *
 * Who asks may open cells of some projects: one whose context names another is not even noted, and
 * stays closed. That this context is the cell's own is what opening it proves.
 *
 * What is checked of a cell, in this order: the row's MAC under its writer's key; that row and
 * context name the same tenant, project and subject; that the subject exists and was not erased;
 * that the row unwraps, to the key that its id commits to; that the envelope opens under its header
 * and context. Each failure is that cell's answer, and the ledger has the cell all the same.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/vault/client.h"
#include "read/unseal/unseal.h"

#define REQUEST_BYTES (LIMIT_CELL + (64u << 20)) /* of sealed cells in one request */
#define REQUESTS_BYTES (2u * REQUEST_BYTES)      /* and in all requests */
#define KEPT_BYTES (1u << 20)       /* of a plaintext buffer, between cells */
#define OPENED_HEAD 9               /* u32 number | i32 code | u8 dictionary */

struct item {
    uint32_t number;
    int rc;                             /* not 0: not well-formed */
    size_t at;                          /* in the request's bytes: row, context, envelope */
    uint32_t row_len, context_len, len; /* len: of context and envelope */
    uint16_t index;
    const uint8_t *base; /* of the bytes, while sorting */
};

/* Guarded memory: the subject in use. */
struct pair {
    uint8_t id[UUID_BYTES];
    uint8_t public_key[KEYS_PUBLIC_BYTES], secret[KEYS_SECRET_BYTES];
    uint8_t mac[KEYS_SECRET_BYTES];
    uint32_t writer; /* whose MAC key that is; 0: nobody's */
    bool have;
};

struct opening {
    struct vault *vault;
    struct people_actor actor;
    struct people_opener opener;
    struct buf bytes;
    struct item *items;
    struct noted_cell *cells; /* of those that are well-formed, in the order in which they came */
    size_t count, room, cell_count;
    struct noting *noting; /* between opening_begin and the last opening_note */
    bool noted;
    size_t next;
    struct unseal *unseal;
    struct pair *pair;
    const struct item *of_row; /* whose row is `row`; NULL: none yet */
    struct data_key_row row;
    int row_rc;
    struct buf out; /* the payload of OPENED */
};

int opening_new(struct vault *v, const struct people_actor *actor, struct opening **ret) {
    struct opening *o = calloc(1, sizeof *o);
    if (!o)
        return ERR_NOMEM;
    o->vault = v;
    o->actor = *actor;
    buf_init(&o->bytes, REQUEST_BYTES);
    buf_init(&o->out, LIMIT_CELL);
    int rc = people_opener(v->people, actor, clock_wall_us(), &o->opener);
    if (!rc)
        rc = unseal_new(&o->unseal);
    o->pair = rc ? NULL : sodium_malloc(sizeof *o->pair);
    if (!o->pair) {
        opening_free(o);
        return rc ? rc : ERR_NOMEM;
    }
    sodium_memzero(o->pair, sizeof *o->pair);
    *ret = o;
    return 0;
}

void opening_free(struct opening *o) {
    if (!o)
        return;
    o->vault->open_bytes -= o->bytes.len;
    buf_wipe(&o->bytes);
    buf_wipe(&o->out);
    free(o->items);
    free(o->cells);
    noting_free(o->noting);
    unseal_free(o->unseal);
    opener_done(&o->opener);
    sodium_free(o->pair);
    free(o);
}

/* ---- cells ---- */

static int grow(struct opening *o) {
    if (o->count < o->room)
        return 0;
    size_t room = o->room ? o->room * 2 : 64;
    struct item *items = reallocarray(o->items, room, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    o->items = items;
    struct noted_cell *cells = reallocarray(o->cells, room, sizeof *cells);
    if (!cells)
        return ERR_NOMEM;
    o->cells = cells;
    o->room = room;
    return 0;
}

/* Is the cell well-formed? Then the ledger will have it. */
static int look_at(struct opening *o, struct item *i) {
    const uint8_t *row = o->bytes.p + i->at, *cell = row + i->row_len;
    struct data_key_row decoded;
    struct context ctx;
    struct envelope_header h;
    const uint8_t *envelope;
    size_t envelope_len;
    int rc = data_key_row_decode(&decoded, row, i->row_len);
    if (!rc)
        rc = cell_split(cell, i->len, &ctx, &envelope, &envelope_len);
    if (!rc)
        rc = envelope_decode_header(&h, envelope, envelope_len);
    if (!rc && !opener_may(&o->opener, ctx.project))
        rc = ERR_PROJECT;
    if (rc)
        return rc;
    i->context_len = (uint32_t)(envelope - cell);
    i->index = h.index;
    struct noted_cell *c = &o->cells[o->cell_count];
    memcpy(c->subject, ctx.subject, UUID_BYTES);
    c->order = (uint32_t)o->cell_count++;
    memcpy(c->cell.record, ctx.record, UUID_BYTES);
    crypto_generichash(c->cell.hash, sizeof c->cell.hash, cell, i->len, NULL, 0);
    return 0;
}

/* u32 number | u16 n | n data-key row | context | envelope */
bool opening_cell_whole(const uint8_t *p, size_t len) {
    return len >= 6 && get_u16(p + 4) <= len - 6;
}

int opening_cell(struct opening *o, const uint8_t *p, size_t len) {
    CHECK(opening_cell_whole(p, len));
    if (o->count == LIMIT_OPEN_CELLS)
        return ERR_LIMIT;
    if (o->vault->open_bytes + len > REQUESTS_BYTES)
        return ERR_FULL;
    int rc = grow(o);
    struct item item = {.number = get_u32(p), .at = o->bytes.len, .row_len = get_u16(p + 4)};
    item.len = (uint32_t)(len - 6 - item.row_len);
    if (!rc)
        rc = buf_append(&o->bytes, p + 6, len - 6);
    if (rc)
        return rc;
    o->vault->open_bytes += len - 6;
    item.rc = look_at(o, &item);
    o->items[o->count++] = item;
    return 0;
}

/* ---- order ---- */

static int compare_rows(const struct item *a, const struct item *b) {
    const size_t n = a->row_len < b->row_len ? a->row_len : b->row_len;
    int order = memcmp(a->base + a->at, b->base + b->at, n);
    return order ? order : (a->row_len > b->row_len) - (a->row_len < b->row_len);
}

static int compare(const void *x, const void *y) {
    const struct item *a = x, *b = y;
    int order = compare_rows(a, b);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* ---- may it be ---- */

int opening_still(const struct opening *o) {
    struct people *p = o->vault->people;
    int rc = p ? people_still(p, &o->actor, clock_mono_ns()) : ERR_LOCKED;
    return !rc && o->opener.unlimited && !people_one_person(p) ? ERR_DENIED : rc;
}

/* What a second person approved, or what one may open alone. */
static int judge(struct opening *o, struct client *c, bool *ret_approved, char *text, size_t text_size) {
    *ret_approved = c->plan && plan_covers(c->plan, &o->actor, o->cells, o->cell_count);
    if (*ret_approved)
        return 0;
    plan_free(c->plan); /* it is something else */
    c->plan = NULL;
    uint8_t(*hashes)[32] = malloc(32 * o->cell_count);
    if (!hashes)
        return ERR_NOMEM;
    for (size_t i = 0; i < o->cell_count; i++)
        memcpy(hashes[i], o->cells[i].cell.hash, 32);
    int rc = plan_judge(o->vault, c, &o->actor, &o->opener, "", 0, hashes, (uint32_t)o->cell_count,
                        ret_approved, text, text_size);
    free(hashes);
    return rc;
}

int opening_charge(struct vault *v, const struct people_opener *o, uint32_t cells, bool approved) {
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = people_charge(v->people, o, cells, approved, clock_wall_us());
    if (!rc && (rc = keys_commit(v->keys)) == 0)
        return 0;
    keys_rollback(v->keys);
    if (rc != ERR_QUOTA)
        vault_load_people(v); /* what is in memory says more than was written down */
    return rc;
}

int opening_begin(struct opening *o, struct client *c, char *text, size_t text_size) {
    bool approved = false;
    int rc = keys_locked(o->vault->keys) ? ERR_LOCKED : opening_still(o);
    if (!rc)
        rc = canaries_look(o->vault); /* while it is not known who is one, nothing opens */
    if (rc == ERR_AGAIN)
        snprintf(text, text_size, "persons of the time when the vault was locked are still being joined: try again "
                                  "in a moment");
    if (!rc && o->cell_count && !o->opener.unlimited) {
        rc = judge(o, c, &approved, text, text_size);
        if (!rc)
            rc = opening_charge(o->vault, &o->opener, (uint32_t)o->cell_count, approved);
    }
    if (rc)
        return rc;
    return noting_new(o->vault, o->cells, (uint32_t)o->cell_count, &o->noting);
}

int opening_note(struct opening *o, const struct client *c) {
    struct ledger_who who;
    CHECK(o->noting);
    if (keys_locked(o->vault->keys))
        return ERR_LOCKED;
    client_who(o->vault, c, &o->actor, &who);
    int rc = noting_step(o->noting, &who);
    if (rc)
        return rc == ERR_AGAIN || rc == ERR_NOMEM || rc == ERR_LOCKED ? rc : ERR_IO;
    noting_free(o->noting);
    o->noting = NULL;
    for (size_t i = 0; i < o->count; i++)
        o->items[i].base = o->bytes.p;
    if (o->count)
        qsort(o->items, o->count, sizeof *o->items, compare);
    o->noted = true;
    return 0;
}

bool opening_noted(const struct opening *o) {
    return o->noted;
}

/* ---- opening ---- */

static int check_mac(struct opening *o) {
    struct pair *p = o->pair;
    if (!p->writer || p->writer != o->row.writer) {
        p->writer = 0;
        int rc = keys_writer(o->vault->keys, o->row.writer, p->mac);
        if (rc)
            return rc == ERR_NOTFOUND ? ERR_CORRUPT : rc; /* nobody's MAC */
        p->writer = o->row.writer;
    }
    return unseal_check_row(&o->row, p->mac);
}

static int take_subject(struct opening *o) {
    struct pair *p = o->pair;
    if (p->have && !memcmp(p->id, o->row.subject, UUID_BYTES))
        return 0;
    p->have = false;
    int rc = keys_subject_secret(o->vault->keys, o->row.subject, p->public_key, p->secret);
    if (rc)
        return rc;
    memcpy(p->id, o->row.subject, UUID_BYTES);
    p->have = true;
    return 0;
}

/* Makes the item's data key the one in use. */
static int take_row(struct opening *o, const struct item *i) {
    if (o->of_row && compare_rows(o->of_row, i) == 0)
        return o->row_rc;
    unseal_end(o->unseal);
    o->of_row = i;
    int rc = data_key_row_decode(&o->row, o->bytes.p + i->at, i->row_len);
    if (!rc)
        rc = check_mac(o);
    if (!rc)
        rc = take_subject(o);
    if (!rc)
        rc = unseal_begin(o->unseal, &o->row, o->pair->public_key, o->pair->secret);
    o->row_rc = rc;
    return rc;
}

static int open_item(struct opening *o, const struct item *i, uint8_t *ret_dictionary) {
    const uint8_t *cell = o->bytes.p + i->at + i->row_len;
    struct context ctx;
    size_t used;
    int rc = i->rc ? i->rc : take_row(o, i);
    if (!rc)
        rc = context_decode(&ctx, cell, i->len, &used);
    if (!rc && (strcmp(ctx.tenant, o->row.tenant) || strcmp(ctx.project, o->row.project) ||
                memcmp(ctx.subject, o->row.subject, UUID_BYTES)))
        rc = ERR_CORRUPT;
    if (!rc && !opener_may(&o->opener, ctx.project))
        rc = ERR_PROJECT;
    return rc ? rc
              : unseal_record(o->unseal, cell, i->context_len, i->len, &o->out, ret_dictionary);
}

int opening_next(struct opening *o, const struct buf **ret) {
    uint8_t head[OPENED_HEAD] = {0}, dictionary = 0;
    CHECK(o->noted);
    if (keys_locked(o->vault->keys))
        return ERR_LOCKED;
    if (o->out.cap > KEPT_BYTES)
        buf_wipe(&o->out);
    else
        buf_clear(&o->out);
    if (o->next == o->count)
        return ERR_NOTFOUND;
    const struct item *i = &o->items[o->next++];
    int rc = buf_append(&o->out, head, sizeof head);
    if (rc)
        return rc;
    rc = open_item(o, i, &dictionary);
    if (rc == ERR_LOCKED)
        return rc;
    put_u32(o->out.p, i->number);
    put_u32(o->out.p + 4, (uint32_t)rc);
    o->out.p[8] = dictionary;
    *ret = &o->out;
    return 0;
}
