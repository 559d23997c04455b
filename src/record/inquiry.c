/* The payloads of inquiry.h, written and read. Pure; vault and command line link it. */
#include "record/inquiry.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "record/subject.h"

/* u16 n | n bytes, from *p on; false when it does not fit. */
static bool take16(const uint8_t **p, const uint8_t *end, const uint8_t **ret, size_t *ret_len) {
    if (end - *p < 2 || get_u16(*p) > end - *p - 2)
        return false;
    *ret_len = get_u16(*p);
    *ret = *p + 2;
    *p += 2 + *ret_len;
    return true;
}

static int put16(struct buf *out, const void *p, size_t len) {
    uint8_t head[2];
    if (len > UINT16_MAX)
        return ERR_LIMIT;
    put_u16(head, (uint16_t)len);
    int rc = buf_append(out, head, sizeof head);
    return rc ? rc : buf_append(out, p, len);
}

/* The same of a reason. */
static bool take_reason(const uint8_t **p, const uint8_t *end, const char **ret, size_t *ret_len) {
    const uint8_t *at;
    bool is = take16(p, end, &at, ret_len) && *ret_len <= LIMIT_REASON;
    *ret = is ? (const char *)at : NULL;
    return is;
}

/* ---- SUBJECTS ---- */

bool inquiry_name(const struct inquiry *q, size_t *at, const uint8_t **ret, size_t *ret_len) {
    const uint8_t *p = q->names + *at;
    bool any = take16(&p, q->names + q->names_len, ret, ret_len);
    *at = (size_t)(p - q->names);
    return any;
}

int inquiry_decode(struct inquiry *ret, const uint8_t *p, size_t len) {
    struct inquiry q = {0};
    struct subject_name decoded;
    const uint8_t *at = p + 1, *end = p + len, *name;
    size_t n, next = 0, count = 0;
    if (len < 3 || p[0] < INQUIRY_FIND || p[0] > INQUIRY_VERB_LAST ||
        !take_reason(&at, end, &q.reason, &q.reason_len))
        return ERR_SYNTAX;
    q.verb = p[0];
    q.names = at;
    q.names_len = (size_t)(end - at);
    while (inquiry_name(&q, &next, &name, &n)) {
        int rc = subject_decode_name(&decoded, name, n);
        if (rc)
            return rc;
        if (++count > INQUIRY_NAMES_MAX)
            return ERR_LIMIT;
    }
    if (!count || next != q.names_len)
        return ERR_SYNTAX;
    *ret = q;
    return 0;
}

int inquiry_begin(struct buf *out, enum inquiry_verb verb, const char *reason, size_t reason_len) {
    int rc = buf_append_u8(out, (uint8_t)verb);
    return rc ? rc : put16(out, reason, reason_len);
}

int inquiry_add(struct buf *out, const uint8_t *name, size_t len) {
    return put16(out, name, len);
}

/* ---- SUBJECTS_ARE ---- */

int inquiry_put_person(struct buf *out, const struct inquiry_person *p) {
    uint8_t head[INQUIRY_REQUEST_BYTES + 8] = {0};
    if (p->request)
        memcpy(head, p->request, INQUIRY_REQUEST_BYTES);
    put_u64(head + INQUIRY_REQUEST_BYTES, p->held_since_us);
    int rc = buf_append(out, head, sizeof head);
    if (!rc)
        rc = put16(out, p->reason, p->reason_len);
    if (!rc)
        rc = put16(out, p->name, p->name_len);
    return rc ? rc : buf_append(out, p->ids, p->count * INQUIRY_ID_ROW);
}

int inquiry_person_decode(struct inquiry_person *ret, const uint8_t *p, size_t len) {
    const uint8_t *at = p + INQUIRY_REQUEST_BYTES + 8, *end = p + len;
    struct inquiry_person r = {0};
    if (len < INQUIRY_REQUEST_BYTES + 8 || !take_reason(&at, end, &r.reason, &r.reason_len) ||
        !take16(&at, end, &r.name, &r.name_len) || (end - at) % INQUIRY_ID_ROW)
        return ERR_SYNTAX;
    r.request = p;
    r.held_since_us = get_u64(p + INQUIRY_REQUEST_BYTES);
    r.ids = at;
    r.count = (size_t)(end - at) / INQUIRY_ID_ROW;
    *ret = r;
    return 0;
}

/* ---- READINGS, READING ---- */

int inquiry_span_decode(struct inquiry_span *ret, const uint8_t *p, size_t len) {
    if (len < 16 || (len - 16) % UUID_BYTES)
        return ERR_SYNTAX;
    *ret = (struct inquiry_span){.since_us = get_u64(p),
                                 .until_us = get_u64(p + 8),
                                 .ids = p + 16,
                                 .count = (len - 16) / UUID_BYTES};
    return 0;
}

#define READING_FIXED (1 + 8 + 8 + 4 + 4 + 1 + UUID_BYTES + 1)

int inquiry_put_reading(struct buf *out, const struct inquiry_reading *r) {
    uint8_t head[READING_FIXED];
    if (r->person_len > UINT8_MAX)
        return ERR_LIMIT;
    head[0] = r->kind;
    put_u64(head + 1, r->index);
    put_u64(head + 9, r->time_us);
    put_u32(head + 17, r->uid);
    put_u32(head + 21, r->cells);
    head[25] = r->known;
    memcpy(head + 26, r->subject, UUID_BYTES);
    head[READING_FIXED - 1] = (uint8_t)r->person_len;
    int rc = buf_append(out, head, sizeof head);
    if (!rc)
        rc = buf_append(out, r->person, r->person_len);
    return rc ? rc : put16(out, r->reason, r->reason_len);
}

int inquiry_reading_decode(struct inquiry_reading *ret, const uint8_t *p, size_t len) {
    const uint8_t *at = p + READING_FIXED, *end = p + len;
    if (len < READING_FIXED || p[READING_FIXED - 1] > end - at || p[25] > 1)
        return ERR_SYNTAX;
    struct inquiry_reading r = {.kind = p[0],
                                .index = get_u64(p + 1),
                                .time_us = get_u64(p + 9),
                                .uid = get_u32(p + 17),
                                .cells = get_u32(p + 21),
                                .known = p[25],
                                .person = (const char *)at,
                                .person_len = p[READING_FIXED - 1]};
    memcpy(r.subject, p + 26, UUID_BYTES);
    at += r.person_len;
    if (!take_reason(&at, end, &r.reason, &r.reason_len) || at != end)
        return ERR_SYNTAX;
    *ret = r;
    return 0;
}

/* ---- EVENT ---- */

#define EVENT_FIXED (1 + 8 + 8 + 4 + 1)

int inquiry_put_event(struct buf *out, const struct inquiry_event *e) {
    uint8_t head[EVENT_FIXED];
    if (e->person_len > UINT8_MAX)
        return ERR_LIMIT;
    head[0] = e->kind;
    put_u64(head + 1, e->index);
    put_u64(head + 9, e->time_us);
    put_u32(head + 17, e->uid);
    head[EVENT_FIXED - 1] = (uint8_t)e->person_len;
    int rc = buf_append(out, head, sizeof head);
    if (!rc)
        rc = buf_append(out, e->person, e->person_len);
    if (!rc)
        rc = put16(out, e->reason, e->reason_len);
    if (!rc)
        rc = put16(out, e->fields, e->fields_len);
    return rc ? rc : put16(out, e->rest, e->rest_len);
}

int inquiry_event_decode(struct inquiry_event *ret, const uint8_t *p, size_t len) {
    const uint8_t *at = p + EVENT_FIXED, *end = p + len;
    if (len < EVENT_FIXED || p[EVENT_FIXED - 1] > end - at)
        return ERR_SYNTAX;
    struct inquiry_event e = {.kind = p[0],
                              .index = get_u64(p + 1),
                              .time_us = get_u64(p + 9),
                              .uid = get_u32(p + 17),
                              .person = (const char *)at,
                              .person_len = p[EVENT_FIXED - 1]};
    at += e.person_len;
    if (!take_reason(&at, end, &e.reason, &e.reason_len) || !take16(&at, end, &e.fields, &e.fields_len) ||
        !take16(&at, end, &e.rest, &e.rest_len) || at != end)
        return ERR_SYNTAX;
    *ret = e;
    return 0;
}
