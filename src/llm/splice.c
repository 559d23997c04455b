/*
 * The edits of splice.h, made by gateway workers. An edit is never a guess: what is not exactly of
 * the expected form stays as it came.
 *
 * A strip's life: init, feed for each buffer, finish at the body's end, done. Between two calls it
 * holds nothing, or the beginning of one event.
 */
#include "llm/splice.h"

#include <string.h>

#include "base/err.h"
#include "llm/json.h"
#include "llm/scan.h"

/* ---- requests ---- */

static void add_edit(struct splice_list *l, size_t at, size_t cut, const char *text, size_t len) {
    size_t i = l->count++;
    CHECK(i < SPLICE_EDITS);
    for (; i > 0 && l->edit[i - 1].at > at; i--)
        l->edit[i] = l->edit[i - 1];
    l->edit[i] = (struct splice_edit){at, cut, text, len};
}

#define ADD(l, at, cut, text) add_edit(l, at, cut, text, sizeof(text) - 1)

bool splice_usage(struct splice_list *l, const struct reqscan *scan) {
    const struct reqscan_value *options = &scan->value[REQSCAN_STREAM_OPTIONS];
    const struct reqscan_value *include = &scan->value[REQSCAN_INCLUDE_USAGE];
    if (!scan->stream)
        return false;
    if (options->kind == REQSCAN_ABSENT)
        ADD(l, scan->end, 0, ",\"stream_options\":{\"include_usage\":true}");
    else if (options->kind == REQSCAN_NULL)
        ADD(l, options->at, options->len, "{\"include_usage\":true}");
    else if (options->kind != REQSCAN_OBJECT)
        return false; /* the provider refuses it */
    else if (include->kind == REQSCAN_FALSE || include->kind == REQSCAN_NULL)
        ADD(l, include->at, include->len, "true");
    else if (include->kind != REQSCAN_ABSENT)
        return false;
    else if (scan->options_filled)
        ADD(l, options->at + 1u, 0, "\"include_usage\":true,");
    else
        ADD(l, options->at + 1u, 0, "\"include_usage\":true");
    return true;
}

bool splice_value(struct splice_list *l, const struct reqscan *scan, enum reqscan_member member,
                  const char *json, size_t len) {
    const struct reqscan_value *v = &scan->value[member];
    if (v->kind == REQSCAN_ABSENT)
        return false;
    add_edit(l, v->at, v->len, json, len);
    return true;
}

size_t splice_length(const struct splice_list *l, size_t len) {
    for (size_t i = 0; i < l->count; i++)
        len = len - l->edit[i].cut + l->edit[i].len;
    return len;
}

/* ---- one event ---- */

/* What is to be left out of an event: nothing (from NULL), a part, or all of it. */
struct cut {
    const uint8_t *from, *to;
};

/* The data of an event that has one line of it; absent otherwise. */
static struct jv data_of(const uint8_t *p, const uint8_t *e) {
    struct jv data = {0};
    while (p < e) {
        const uint8_t *end = scan_for(p, e, '\n', '\r');
        if (end - p > 5 && !memcmp(p, "data:", 5)) {
            if (data.p)
                return (struct jv){0};
            p += 5;
            while (p < end && (*p == ' ' || *p == '\t'))
                p++;
            const uint8_t *last = end;
            while (last > p && (last[-1] == ' ' || last[-1] == '\t'))
                last--;
            data = (struct jv){p, (size_t)(last - p)};
        }
        p = end + (end < e);
    }
    return data;
}

static bool is_blank(const uint8_t *p, const uint8_t *e) {
    while (p < e && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p == e;
}

static const uint8_t *skip_blank(const uint8_t *p, const uint8_t *e) {
    while (p < e && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* The members of a chunk that matter. */
struct chunk {
    struct jv usage_key, usage, choices;
    const uint8_t *before; /* the end of the member before usage; NULL: it is the first */
};

/* False unless the chunk is one object from end to end, with no member of these twice. */
static bool read_chunk(struct jv object, struct chunk *ret) {
    struct jv key, value;
    size_t pos = 0;
    *ret = (struct chunk){0};
    if (!jv_is_object(object) || object.len < 2 || object.p[object.len - 1] != '}')
        return false;
    const uint8_t *end = object.p + 1;
    for (bool first = true; jv_each(object, &pos, &key, &value); first = false) {
        if (jv_equals(key, "usage")) {
            if (ret->usage.p)
                return false;
            ret->usage_key = key;
            ret->usage = value;
            ret->before = first ? NULL : end;
        } else if (jv_equals(key, "choices")) {
            if (ret->choices.p)
                return false;
            ret->choices = value;
        }
        end = value.p + value.len;
    }
    return is_blank(end, object.p + object.len - 1);
}

/* `"usage":null` with the comma before it, or if it is the first member, with the one after it. */
static struct cut cut_member(struct jv object, const struct chunk *c) {
    const uint8_t *to = c->usage.p + c->usage.len, *e = object.p + object.len - 1;
    if (c->before)
        return (struct cut){c->before, to};
    to = skip_blank(to, e);
    if (to < e && *to == ',')
        to = skip_blank(to + 1, e);
    return (struct cut){c->usage_key.p, to};
}

/* The common case without reading the chunk: its last member is `,"usage":null`, and it says the
 * name nowhere else. What stands right before an object's closing bracket is its own member. */
static bool ends_in_null(struct jv object, const uint8_t *name) {
    static const char end[] = ",\"usage\":null}";
    size_t n = sizeof end - 1;
    return object.len > n && *object.p == '{' && name == object.p + object.len - n + 1 &&
           !memcmp(name - 1, end, n);
}

static struct cut what_to_cut(const uint8_t *p, const uint8_t *e) {
    struct chunk c;
    const uint8_t *name = memmem(p, (size_t)(e - p), "\"usage\"", 7);
    if (!name)
        return (struct cut){0};
    struct jv object = data_of(p, e);
    if (ends_in_null(object, name))
        return (struct cut){name - 1, object.p + object.len - 1};
    if (!read_chunk(object, &c))
        return (struct cut){0};
    if (jv_is_object(c.usage) && jv_is_array(c.choices) && jv_is_empty(c.choices))
        return (struct cut){p, e};
    return jv_is_null(c.usage) ? cut_member(object, &c) : (struct cut){0};
}

/* ---- the stream ---- */

void splice_strip_init(struct splice_strip *s, splice_emit *emit, void *arg) {
    *s = (struct splice_strip){.emit = emit, .arg = arg};
    buf_init(&s->held, SPLICE_EVENT);
}

void splice_strip_done(struct splice_strip *s) {
    buf_wipe(&s->held);
}

static int emit(struct splice_strip *s, const uint8_t *p, const uint8_t *e) {
    return e > p ? s->emit(s->arg, p, (size_t)(e - p)) : 0;
}

/* A whole event [p, e); bytes from *from on wait to be sent with it. */
static int pass_event(struct splice_strip *s, const uint8_t **from, const uint8_t *p,
                      const uint8_t *e) {
    size_t mark = !s->begun && e - p > 3 && !memcmp(p, "\xef\xbb\xbf", 3) ? 3 : 0;
    struct cut c = what_to_cut(p + mark, e);
    s->begun = true;
    s->dropped = c.from == p + mark && c.to == e;
    if (!c.from)
        return 0;
    int rc = emit(s, *from, c.from);
    *from = c.to;
    return rc;
}

static int release_held(struct splice_strip *s) {
    int rc = s->held.len ? s->emit(s->arg, s->held.p, s->held.len) : 0;
    buf_clear(&s->held);
    return rc;
}

/* The next bytes of an event whose beginning is held. */
static int hold(struct splice_strip *s, const uint8_t *p, size_t n, bool whole) {
    int rc = s->held.len + n > SPLICE_EVENT ? ERR_LIMIT : buf_append(&s->held, p, n);
    if (rc == ERR_LIMIT) { /* no usage chunk is that large */
        s->passing = !whole;
        s->dropped = false;
        s->begun = true;
        rc = release_held(s);
        return rc ? rc : emit(s, p, p + n);
    }
    if (rc || !whole)
        return rc;
    const uint8_t *from = s->held.p, *e = from + s->held.len;
    rc = pass_event(s, &from, from, e);
    if (!rc)
        rc = emit(s, from, e);
    buf_clear(&s->held);
    return rc;
}

int splice_strip_feed(struct splice_strip *s, const uint8_t *p, size_t n) {
    const uint8_t *from = p, *e = p + n; /* [from, p) is to be sent */
    int rc = 0;
    while (!rc && p < e) {
        enum sse_piece piece;
        size_t used = sse_cut(&s->cut, p, (size_t)(e - p), &piece);
        if (piece == SSE_LATE && s->dropped) {
            from = p + used; /* nothing is before it */
        } else if (piece != SSE_LATE && s->passing) {
            s->passing = piece != SSE_END;
        } else if (piece == SSE_OPEN || (piece == SSE_END && s->held.len)) {
            rc = emit(s, from, p);
            if (!rc)
                rc = hold(s, p, used, piece == SSE_END);
            from = p + used;
        } else if (piece == SSE_END) {
            rc = pass_event(s, &from, p, p + used);
        }
        p += used;
    }
    return rc ? rc : emit(s, from, e);
}

int splice_strip_finish(struct splice_strip *s) {
    return release_held(s);
}
