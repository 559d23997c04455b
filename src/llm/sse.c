/*
 * The event parser of sse.h, for the sealer: one pass, slices of the stream; only data of several
 * lines is copied, into a buffer that is wiped.
 */
#include "llm/sse.h"

#include <string.h>

#include "llm/scan.h"

static void find_lf(struct sse *s) {
    const uint8_t *lf = memchr(s->p + s->pos, '\n', s->len - s->pos);
    s->lf_at = lf ? (size_t)(lf - s->p) : s->len;
}

void sse_init(struct sse *s, const void *text, size_t len) {
    *s = (struct sse){.p = len ? text : (const void *)"", .len = len};
    buf_init(&s->joined, LIMIT_ANSWER_BODY);
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        s->pos = 3;
    s->event_at = s->pos;
    find_lf(s);
}

void sse_done(struct sse *s) {
    buf_wipe(&s->joined);
}

/* One line without its end; false: no line end any more, pos stays. */
static bool next_line(struct sse *s, const uint8_t **ret, size_t *ret_len) {
    const uint8_t *from = s->p + s->pos;
    size_t n;
    if (s->pos == s->len)
        return false;
    if (s->lf_at < s->pos) /* remembered: in a stream of CRs each line would search to the end */
        find_lf(s);
    const uint8_t *end = memchr(from, '\r', s->lf_at - s->pos);
    if (!end && s->lf_at == s->len)
        return false;
    if (!end)
        end = s->p + s->lf_at;
    n = (size_t)(end - from);
    *ret = from;
    *ret_len = n;
    s->pos += n + 1;
    if (*end == '\r' && s->pos < s->len && s->p[s->pos] == '\n')
        s->pos++;
    return true;
}

/* What the lines so far make of the event. */
struct parts {
    struct sse_event event;
    unsigned data_lines;
};

static void add_line(struct sse *s, struct parts *a, const uint8_t *line, size_t n) {
    const uint8_t *colon = memchr(line, ':', n);
    size_t name = colon ? (size_t)(colon - line) : n;
    const uint8_t *value = colon ? colon + 1 : line + n;
    size_t value_len = (size_t)(line + n - value);
    if (value_len && *value == ' ') {
        value++;
        value_len--;
    }
    if (name == 5 && !memcmp(line, "event", 5)) {
        a->event.type = value_len ? value : NULL;
        a->event.type_len = value_len;
    } else if (name == 4 && !memcmp(line, "data", 4)) {
        if (a->data_lines++ == 0) {
            a->event.data = value;
            a->event.data_len = value_len;
            return;
        }
        if (a->data_lines == 2) {
            buf_clear(&s->joined);
            s->rc = buf_append(&s->joined, a->event.data, a->event.data_len);
        }
        if (!s->rc)
            s->rc = buf_append_u8(&s->joined, '\n');
        if (!s->rc)
            s->rc = buf_append(&s->joined, value, value_len);
        a->event.data = s->joined.p;
        a->event.data_len = s->joined.len;
    }
}

bool sse_next(struct sse *s, struct sse_event *ret) {
    struct parts a = {0};
    const uint8_t *line;
    size_t n;
    s->event_at = s->pos;
    while (!s->rc && next_line(s, &line, &n)) {
        if (n) {
            add_line(s, &a, line, n);
        } else if (a.data_lines) {
            *ret = a.event;
            return true;
        } else {
            a = (struct parts){0};
            s->event_at = s->pos;
        }
    }
    return false;
}

bool sse_tail(const struct sse *s, const uint8_t **ret, size_t *ret_len) {
    size_t at = s->event_at;
    while (at < s->len) { /* lines that are whole and mean nothing are no tail */
        if (s->p[at] == '\n' || s->p[at] == '\r') {
            at++;
            continue;
        }
        if (s->p[at] != ':')
            break;
        while (at < s->len && s->p[at] != '\n' && s->p[at] != '\r')
            at++;
    }
    *ret = s->p + at;
    *ret_len = s->len - at;
    return at < s->len;
}

bool sse_tail_event(struct sse *s, struct sse_event *ret) {
    struct parts a = {0};
    const uint8_t *line;
    size_t n;
    s->pos = s->event_at;
    find_lf(s);
    while (!s->rc && next_line(s, &line, &n))
        add_line(s, &a, line, n);
    if (!s->rc && s->pos < s->len)
        add_line(s, &a, s->p + s->pos, s->len - s->pos);
    *ret = a.event;
    return !s->rc && a.data_lines;
}

size_t sse_cut(struct sse_cut *c, const uint8_t *p, size_t n, enum sse_piece *ret) {
    const uint8_t *at = p, *e = p + n;
    *ret = SSE_OPEN;
    if (c->cr && *at == '\n') {
        at++;
        if (!c->open)
            *ret = SSE_LATE;
    }
    c->cr = false;
    while (*ret == SSE_OPEN && at < e) {
        const uint8_t *end = scan_for(at, e, '\n', '\r');
        c->open = true;
        c->in_line |= end > at;
        at = end;
        if (end == e)
            break;
        if (*at++ == '\r') {
            c->cr = at == e;
            at += at < e && *at == '\n';
        }
        if (!c->in_line) {
            c->open = false;
            *ret = SSE_END;
        }
        c->in_line = false;
    }
    return (size_t)(at - p);
}
