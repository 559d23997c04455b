/*
 * The records (doc/people.md): strict, one kind byte first, little-endian. What does not decode to the
 * last byte is damage, since nobody but the vault writes them.
 *
 *   head   u8 1 | u8 1 = one-person mode has ended
 *   person u8 2 | u8 owner | s8 name | password | u8 totp state | 20 secret | u64 last step |
 *          opened | opened without approval, each u64 newest slice | 13 x u32 cells
 *   grant  u8 3 | u8 role | u8 waits | u32 person | u32 by | u32 cells | u64 expires | u64 since |
 *          u16 n | n projects
 *   token  u8 4 | u32 person | s8 label | 32 hash | u64 expires | u64 created
 *   password  u8 set | u8 by another | u64 operations | u64 memory | 16 salt | 32 hash
 */
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/people/people_int.h"
#include "record/text.h"

enum record_kind { RECORD_HEAD = 1, RECORD_PERSON, RECORD_GRANT, RECORD_TOKEN };

#define PASSWORD_BYTES (2 + 16 + 16 + 32)
#define QUOTA_BYTES (8 + 4 * QUOTA_SLICES)
#define PERSON_FIXED (PASSWORD_BYTES + 1 + TOTP_SECRET_BYTES + 8 + 2 * QUOTA_BYTES)

static int put(struct people *p, uint32_t *row, uint8_t *record, size_t len) {
    int rc = p->store.put(p->store.arg, row, record, len);
    sodium_memzero(record, len);
    return rc;
}

int people_drop(struct people *p, uint32_t row) {
    return row ? p->store.put(p->store.arg, &row, NULL, 0) : 0;
}

int people_put_head(struct people *p) {
    uint8_t r[] = {RECORD_HEAD, p->several};
    return put(p, &p->head_row, r, sizeof r);
}

/* ---- person ---- */

static uint8_t *put_password(uint8_t *at, const struct password *w) {
    at[0] = w->set;
    at[1] = w->by_other;
    put_u64(at + 2, w->ops);
    put_u64(at + 10, w->mem);
    memcpy(at + 18, w->salt, 16);
    memcpy(at + 34, w->hash, 32);
    return at + PASSWORD_BYTES;
}

static uint8_t *put_quota(uint8_t *at, const struct quota *q) {
    put_u64(at, q->newest);
    for (int i = 0; i < QUOTA_SLICES; i++)
        put_u32(at + 8 + 4 * i, q->used[i]);
    return at + QUOTA_BYTES;
}

static const uint8_t *get_quota(struct quota *q, const uint8_t *at) {
    q->newest = get_u64(at);
    for (int i = 0; i < QUOTA_SLICES; i++)
        q->used[i] = get_u32(at + 8 + 4 * i);
    return at + QUOTA_BYTES;
}

int people_put_person(struct people *p, struct person *x) {
    uint8_t r[3 + LIMIT_NAME + PERSON_FIXED];
    struct quota q = x->quota;
    q.used[q.newest % QUOTA_SLICES] += x->ahead;
    r[0] = RECORD_PERSON;
    r[1] = x->id == PEOPLE_OWNER;
    uint8_t *at = put_password(text_put(r + 2, x->name), &x->password);
    *at++ = x->totp_state;
    memcpy(at, x->totp, sizeof x->totp);
    at += sizeof x->totp;
    put_u64(at, x->totp_step);
    at = put_quota(put_quota(at + 8, &q), &x->alone);
    int rc = put(p, &x->row, r, (size_t)(at - r));
    if (!rc && x->id != PEOPLE_OWNER)
        x->id = x->row;
    return rc;
}

static bool get_password(struct password *w, const uint8_t *at) {
    w->set = at[0];
    w->by_other = at[1];
    w->ops = get_u64(at + 2);
    w->mem = get_u64(at + 10);
    memcpy(w->salt, at + 18, 16);
    memcpy(w->hash, at + 34, 32);
    return at[0] <= 1 && at[1] <= 1 && w->ops <= PASSWORD_OPS_MAX && w->mem <= PASSWORD_MEM_MAX &&
           (!w->set || w->ops);
}

static int take_person(struct people *p, uint32_t n, const uint8_t *r, const uint8_t *end) {
    const bool owner = end - r > 1 && r[1] == 1;
    size_t i = owner ? 0 : 1;
    while (!owner && i < PEOPLE_MAX && p->persons[i].used)
        i++;
    if (i == PEOPLE_MAX)
        return ERR_LIMIT;
    struct person *x = &p->persons[i];
    if (end - r < 2 || r[1] > 1 || (owner && x->row))
        return ERR_CORRUPT;
    const uint8_t *at = text_take(r + 2, end, x->name);
    if (!at || end - at != PERSON_FIXED || !get_password(&x->password, at))
        return ERR_CORRUPT;
    at += PASSWORD_BYTES;
    x->totp_state = *at++;
    memcpy(x->totp, at, sizeof x->totp);
    at += sizeof x->totp;
    x->totp_step = get_u64(at);
    get_quota(&x->alone, get_quota(&x->quota, at + 8));
    x->row = n;
    x->id = owner ? PEOPLE_OWNER : n;
    x->epoch = 1;
    x->used = true;
    return x->totp_state > TOTP_ON || !people_name_valid(x->name) ? ERR_CORRUPT : 0;
}

/* ---- grant ---- */

size_t people_encode_grant(const struct grant *g, uint8_t r[PEOPLE_RECORD_MAX]) {
    const size_t n = strlen(g->projects);
    r[0] = RECORD_GRANT;
    r[1] = g->role;
    r[2] = g->waits;
    put_u32(r + 3, g->person);
    put_u32(r + 7, g->by);
    put_u32(r + 11, g->cells);
    put_u64(r + 15, g->expires_us);
    put_u64(r + 23, g->since_us);
    put_u16(r + 31, (uint16_t)n);
    memcpy(r + 33, g->projects, n);
    return 33 + n;
}

int people_put_grant(struct people *p, struct grant *g) {
    uint8_t r[PEOPLE_RECORD_MAX];
    return put(p, &g->row, r, people_encode_grant(g, r));
}

static int take_grant(struct people *p, uint32_t n, const uint8_t *r, size_t len) {
    size_t i = 0;
    while (i < PEOPLE_GRANTS_MAX && p->grants[i].used)
        i++;
    if (i == PEOPLE_GRANTS_MAX)
        return ERR_LIMIT;
    struct grant *g = &p->grants[i];
    if (len < 33 || get_u16(r + 31) != len - 33 || len - 33 > LIMIT_GRANT_PROJECTS || r[2] > 1 ||
        !people_role_name(r[1]) || memchr(r + 33, 0, len - 33))
        return ERR_CORRUPT;
    *g = (struct grant){.used = true,
                        .row = n,
                        .role = r[1],
                        .waits = r[2],
                        .person = get_u32(r + 3),
                        .by = get_u32(r + 7),
                        .cells = get_u32(r + 11),
                        .expires_us = get_u64(r + 15),
                        .since_us = get_u64(r + 23)};
    memcpy(g->projects, r + 33, len - 33);
    return people_projects_valid(g->projects) ? 0 : ERR_CORRUPT;
}

/* ---- token ---- */

int people_put_token(struct people *p, struct token *t) {
    uint8_t r[5 + LIMIT_NAME + 48];
    r[0] = RECORD_TOKEN;
    put_u32(r + 1, t->person);
    uint8_t *at = text_put(r + 5, t->label);
    memcpy(at, t->hash, 32);
    put_u64(at + 32, t->expires_us);
    put_u64(at + 40, t->created_us);
    return put(p, &t->row, r, (size_t)(at + 48 - r));
}

static int take_token(struct people *p, uint32_t n, const uint8_t *r, const uint8_t *end) {
    size_t i = 0;
    while (i < PEOPLE_TOKENS_MAX && p->tokens[i].used)
        i++;
    if (i == PEOPLE_TOKENS_MAX)
        return ERR_LIMIT;
    struct token *t = &p->tokens[i];
    const uint8_t *at = end - r < 5 ? NULL : text_take(r + 5, end, t->label);
    if (!at || end - at != 48)
        return ERR_CORRUPT;
    t->person = get_u32(r + 1);
    memcpy(t->hash, at, 32);
    t->expires_us = get_u64(at + 32);
    t->created_us = get_u64(at + 40);
    t->row = n;
    t->used = true;
    return 0;
}

int people_take(struct people *p, uint32_t n, const uint8_t *record, size_t len) {
    const uint8_t *end = record + len;
    switch (len ? record[0] : 0) {
    case RECORD_HEAD:
        if (len != 2 || record[1] > 1 || p->head_row)
            return ERR_CORRUPT;
        p->head_row = n;
        p->several = record[1];
        return 0;
    case RECORD_PERSON:
        return take_person(p, n, record, end);
    case RECORD_GRANT:
        return take_grant(p, n, record, len);
    case RECORD_TOKEN:
        return take_token(p, n, record, end);
    default:
        return ERR_CORRUPT;
    }
}

/* Every grant and token is somebody's. */
int people_loaded(struct people *p) {
    for (size_t i = 0; i < PEOPLE_GRANTS_MAX; i++)
        if (p->grants[i].used && !people_person(p, p->grants[i].person))
            return ERR_CORRUPT;
    for (size_t i = 0; i < PEOPLE_TOKENS_MAX; i++)
        if (p->tokens[i].used && !people_person(p, p->tokens[i].person))
            return ERR_CORRUPT;
    return 0;
}
