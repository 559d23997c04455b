/* The payloads of the messages about people (frames.h). */
#include "read/people/frames.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "record/text.h"

/* What is left; `at` NULL: something was not there. */
struct reader {
    const uint8_t *at, *end;
};

static const uint8_t *take(struct reader *r, size_t n) {
    const uint8_t *p = r->at;
    if (!p || (size_t)(r->end - p) < n)
        p = NULL;
    r->at = p ? p + n : NULL;
    return p;
}

static uint8_t take_u8(struct reader *r) {
    const uint8_t *p = take(r, 1);
    return p ? *p : 0;
}

static uint32_t take_u32(struct reader *r) {
    const uint8_t *p = take(r, 4);
    return p ? get_u32(p) : 0;
}

static uint64_t take_u64(struct reader *r) {
    const uint8_t *p = take(r, 8);
    return p ? get_u64(p) : 0;
}

static void take_name(struct reader *r, char out[LIMIT_NAME]) {
    r->at = text_take(r->at, r->end, out);
}

/* s16, of at most `max` bytes. */
static const uint8_t *take_long(struct reader *r, size_t max, size_t *ret_len) {
    const uint8_t *n = take(r, 2);
    *ret_len = n ? get_u16(n) : 0;
    const uint8_t *p = take(r, *ret_len);
    if (*ret_len > max)
        r->at = NULL;
    return p;
}

static int finish(const struct reader *r) {
    return r->at && r->at == r->end ? 0 : ERR_SYNTAX;
}

int people_parse_sign_in(struct people_sign_in *ret, const uint8_t *p, size_t len) {
    struct reader r = {p, p + len};
    *ret = (struct people_sign_in){0};
    const uint8_t kind = take_u8(&r);
    ret->machine = kind == 2;
    if (kind == 2) {
        ret->secret_len = 32;
        ret->secret = take(&r, 32);
    } else if (kind == 1) {
        take_name(&r, ret->name);
        ret->secret = take_long(&r, LIMIT_PASSWORD, &ret->secret_len);
        take_name(&r, ret->code);
    } else {
        return ERR_SYNTAX;
    }
    return finish(&r);
}

static void take_grant(struct reader *r, struct people_request *q) {
    size_t n;
    q->role = take_u8(r);
    q->cells = take_u32(r);
    q->expires_us = take_u64(r);
    const uint8_t *projects = take_long(r, LIMIT_GRANT_PROJECTS, &n);
    if (!r->at || memchr(projects, 0, n))
        r->at = NULL;
    else
        memcpy(q->projects, projects, n);
}

int people_parse_request(struct people_request *q, const uint8_t *p, size_t len) {
    struct reader r = {p, p + len};
    memset(q, 0, sizeof *q);
    q->verb = (enum people_verb)take_u8(&r);
    if (q->verb != PEOPLE_VERB_LIST)
        take_name(&r, q->name);
    switch (q->verb) {
    case PEOPLE_VERB_ADD:
        q->password = take_long(&r, LIMIT_PASSWORD, &q->password_len);
        break;
    case PEOPLE_VERB_GRANT:
        take_grant(&r, q);
        break;
    case PEOPLE_VERB_UNGRANT:
        q->role = take_u8(&r);
        q->number = take_u32(&r);
        break;
    case PEOPLE_VERB_PASSWORD:
        q->password = take_long(&r, LIMIT_PASSWORD, &q->password_len);
        q->old = take_long(&r, LIMIT_PASSWORD, &q->old_len);
        take_name(&r, q->code);
        break;
    case PEOPLE_VERB_TOTP:
        q->step = take_u8(&r);
        take_name(&r, q->code);
        break;
    case PEOPLE_VERB_TOKEN:
        take_name(&r, q->label);
        q->expires_us = take_u64(&r);
        break;
    case PEOPLE_VERB_UNTOKEN:
        take_name(&r, q->label);
        break;
    case PEOPLE_VERB_REMOVE:
    case PEOPLE_VERB_LIST:
        break;
    default:
        return ERR_SYNTAX;
    }
    return finish(&r);
}

int people_parse_plan(struct people_plan *ret, const uint8_t *p, size_t len) {
    struct reader r = {p, p + len};
    *ret = (struct people_plan){0};
    ret->query = (const char *)take_long(&r, LIMIT_PLAN_QUERY, &ret->query_len);
    if (!r.at || (size_t)(r.end - r.at) % 32 || (size_t)(r.end - r.at) / 32 > LIMIT_PLAN_CELLS)
        return ERR_SYNTAX;
    ret->hashes = r.at;
    ret->cells = (uint32_t)((size_t)(r.end - r.at) / 32);
    return 0;
}
