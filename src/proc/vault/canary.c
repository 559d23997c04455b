/*
 * Canaries: persons that nobody is, whose conversations were planted. Nobody has a reason to open
 * them, so opening one raises an alarm: an entry of the ledger, durable together with the opening's
 * own, then a message to the supervisor, and only then does content leave. Whoever asks sees
 * nothing of it.
 *
 * Who is a canary is a record among those of people, encrypted as they are, so only the unlocked
 * vault knows; it knows names, and looks up the ids anew when subjects have changed. In the
 * database a canary is a subject like any other.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/client.h"
#include "read/people/canary_record.h"

#define CANARIES_MAX 64
#define IDS_MAX (1u << 20) /* bytes, of all of them */

enum step { PLANTED = 1, OPENED, REMOVED };

struct canary {
    uint32_t row;
    uint64_t since_us;
    size_t name_len;
    uint8_t name[SUBJECT_NAME_MAX];
};

struct canaries { /* guarded memory */
    struct canary at[CANARIES_MAX];
    size_t count;
    struct buf ids; /* sorted */
    bool looked;
    struct keys_counts when; /* the subjects that there were then */
};

int canary_take(struct vault *v, uint32_t n, const uint8_t *p, size_t len) {
    struct canary_record r;
    if (!v->canaries) {
        v->canaries = sodium_malloc(sizeof *v->canaries);
        if (!v->canaries)
            return ERR_NOMEM;
        sodium_memzero(v->canaries, sizeof *v->canaries);
        buf_init(&v->canaries->ids, IDS_MAX);
    }
    struct canaries *all = v->canaries;
    if (all->count == CANARIES_MAX)
        return ERR_FULL;
    int rc = canary_record_decode(&r, p, len);
    if (rc)
        return rc;
    struct canary *c = &all->at[all->count++];
    c->row = n;
    c->since_us = r.since_us;
    c->name_len = r.name_len;
    memcpy(c->name, r.name, r.name_len);
    all->looked = false;
    return 0;
}

void canaries_forget(struct vault *v) {
    if (v->canaries)
        buf_wipe(&v->canaries->ids);
    sodium_free(v->canaries);
    v->canaries = NULL;
}

/* ---- whose cells ---- */

static int compare(const void *x, const void *y) {
    return memcmp(x, y, UUID_BYTES);
}

static bool same_subjects(const struct keys_counts *a, const struct keys_counts *b) {
    return a->subjects == b->subjects && a->pending == b->pending &&
           a->unreadable == b->unreadable && a->pool == b->pool && a->generation == b->generation &&
           a->erasures == b->erasures;
}

static int add_ids(struct vault *v, const struct canary *c) {
    struct keys_person p;
    int rc = keys_person(v->keys, c->name, c->name_len, &p);
    for (size_t at = 0; !rc && at < p.ids.len; at += KEYS_ID_ROW)
        rc = buf_append(&v->canaries->ids, p.ids.p + at, UUID_BYTES);
    buf_wipe(&p.ids);
    sodium_memzero(&p, sizeof p);
    return rc == ERR_NOTFOUND ? 0 : rc; /* it has not spoken yet */
}

int canaries_look(struct vault *v) {
    struct canaries *all = v->canaries;
    struct keys_counts now;
    int rc = 0;
    if (!all)
        return 0;
    keys_counts(v->keys, &now);
    if (all->looked && same_subjects(&now, &all->when))
        return 0;
    buf_clear(&all->ids);
    for (size_t i = 0; !rc && i < all->count; i++)
        rc = add_ids(v, &all->at[i]);
    all->looked = !rc;
    all->when = now;
    if (!rc && all->ids.len)
        qsort(all->ids.p, all->ids.len / UUID_BYTES, UUID_BYTES, compare);
    return rc;
}

static bool is_canary(const struct canaries *all, const uint8_t id[UUID_BYTES]) {
    return all->ids.len && bsearch(id, all->ids.p, all->ids.len / UUID_BYTES, UUID_BYTES, compare);
}

/* ---- the alarm ---- */

int canary_note(struct vault *v, const struct ledger_who *who, const struct noted_cell *cells,
                uint32_t count, struct canary_alarm *ret) {
    uint8_t rest[5] = {OPENED}, head[2] = {0};
    struct ledger_who alarm = *who;
    struct buf part;
    *ret = (struct canary_alarm){0};
    if (!v->canaries)
        return 0;
    CHECK(count <= LIMIT_OPEN_CELLS);
    buf_init(&part, LEDGER_SEALED_MAX);
    int rc = buf_append(&part, head, sizeof head);
    for (uint32_t i = 0; !rc && i < count; i++) {
        if (is_canary(v->canaries, cells[i].subject)) {
            rc = buf_append(&part, cells[i].cell.record, UUID_BYTES);
            ret->cells++;
        }
    }
    if (!rc && ret->cells) {
        struct ledger_receipt receipt;
        put_u16(part.p, (uint16_t)ret->cells);
        put_u32(rest + 1, ret->cells);
        alarm.rest = rest;
        alarm.rest_len = sizeof rest;
        const struct ledger_about about = {.part = part.p, .part_len = part.len};
        const struct ledger_draft d = {.kind = LEDGER_CANARY, .who = &alarm, .about = &about};
        rc = ledger_append(v->ledger, &d, &receipt);
        ret->entry = receipt.index;
    }
    buf_wipe(&part);
    return rc;
}

/* u64 entry | u64 time | u32 uid | u32 cells | s8 person */
int canary_raise(struct vault *v, const struct ledger_who *who, const struct canary_alarm *a) {
    uint8_t p[24 + 1 + LIMIT_NAME];
    const size_t n = who->person ? strlen(who->person) : 0;
    if (!a->cells)
        return 0;
    CHECK(n <= LIMIT_NAME);
    put_u64(p, a->entry);
    put_u64(p + 8, clock_wall_us());
    put_u32(p + 16, who->uid);
    put_u32(p + 20, a->cells);
    p[24] = (uint8_t)n;
    if (n)
        memcpy(p + 25, who->person, n);
    log_event("canary-opened", LOG_U64("entry", a->entry), LOG_U64("cells", a->cells), LOG_END);
    return peer_send(v->child.supervisor, MSG_ALARM, p, 25 + n, -1);
}

/* ---- planted, listed, removed ---- */

/* The ledger has it before anything changes. The name is in the part that survives erasures:
 * nobody's. */
static int note(struct vault *v, const struct ledger_who *who, enum step step, const uint8_t *name,
                size_t len) {
    uint8_t rest[1 + SUBJECT_NAME_MAX] = {(uint8_t)step};
    struct ledger_who change = *who;
    memcpy(rest + 1, name, len);
    change.rest = rest;
    change.rest_len = 1 + len;
    int rc = note_event(v, LEDGER_CANARY, &change);
    sodium_memzero(rest, sizeof rest);
    return rc ? ERR_IO : 0;
}

static size_t find(const struct canaries *all, const uint8_t *name, size_t len) {
    size_t i = 0;
    while (all && i < all->count &&
           (all->at[i].name_len != len || memcmp(all->at[i].name, name, len) != 0))
        i++;
    return all ? i : 0;
}

static int put(struct vault *v, uint32_t *row, const uint8_t *p, size_t len) {
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = keys_record_put(v->keys, row, p, len);
    if (!rc)
        return keys_commit(v->keys);
    keys_rollback(v->keys);
    return rc;
}

static int plant(struct vault *v, const struct ledger_who *who, const uint8_t *name, size_t len,
                 struct answer *a) {
    const struct canary_record r = {.since_us = clock_wall_us(), .name = name, .name_len = len};
    uint8_t record[CANARY_RECORD_MAX];
    uint32_t row = 0;
    if (v->canaries && find(v->canaries, name, len) < v->canaries->count)
        return answer_fail(a, ERR_EXISTS, "this is a canary already");
    if (v->canaries && v->canaries->count == CANARIES_MAX)
        return answer_fail(a, ERR_FULL, "there are 64 canaries already: remove one");
    const size_t n = canary_record_encode(record, &r);
    int rc = note(v, who, PLANTED, name, len);
    if (!rc)
        rc = put(v, &row, record, n);
    if (!rc)
        rc = canary_take(v, row, record, n);
    sodium_memzero(record, sizeof record);
    return rc;
}

static int drop(struct vault *v, const struct ledger_who *who, const uint8_t *name, size_t len,
                struct answer *a) {
    struct canaries *all = v->canaries;
    const size_t i = find(all, name, len);
    if (!all || i == all->count)
        return answer_fail(a, ERR_NOTFOUND, "no canary has this name");
    int rc = note(v, who, REMOVED, name, len);
    if (!rc)
        rc = put(v, &all->at[i].row, NULL, 0);
    if (rc)
        return rc;
    all->at[i] = all->at[--all->count];
    sodium_memzero(&all->at[all->count], sizeof all->at[0]);
    all->looked = false;
    return 0;
}

/* u64 since | u32 ids | the name */
static int list(struct vault *v, struct answer *a) {
    struct canaries *all = v->canaries;
    uint8_t p[12 + SUBJECT_NAME_MAX];
    int rc = 0;
    for (size_t i = 0; !rc && all && i < all->count; i++) {
        struct keys_person found;
        const struct canary *c = &all->at[i];
        rc = keys_person(v->keys, c->name, c->name_len, &found);
        put_u64(p, c->since_us);
        put_u32(p + 8, rc ? 0 : (uint32_t)(found.ids.len / KEYS_ID_ROW));
        memcpy(p + 12, c->name, c->name_len);
        buf_wipe(&found.ids);
        if (!rc || rc == ERR_NOTFOUND || rc == ERR_AGAIN)
            rc = answer_add(a, MSG_CANARY_IS, p, 12 + c->name_len);
    }
    sodium_memzero(p, sizeof p);
    return rc;
}

int canary_request(struct vault *v, enum canary_verb verb, const uint8_t *name, size_t len,
                   const struct ledger_who *who, struct answer *a) {
    struct subject_name parsed;
    if (verb == CANARY_LIST)
        return len ? ERR_SYNTAX : list(v, a);
    if (len > SUBJECT_NAME_MAX || subject_decode_name(&parsed, name, len))
        return ERR_SYNTAX;
    int rc = verb == CANARY_PLANT    ? plant(v, who, name, len, a)
             : verb == CANARY_REMOVE ? drop(v, who, name, len, a)
                                     : ERR_SYNTAX;
    sodium_memzero(&parsed, sizeof parsed);
    return rc == ERR_IO ? answer_fail(a, rc, "the ledger cannot be written, so nothing is done")
                        : rc;
}
