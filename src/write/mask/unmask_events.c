/*
 * One event of a stream (unmask.h). Which strings are pieces of a longer text is known by their place:
 * under `choices[].delta`, `choices[].text` and `delta`, but for names that say what a thing is. A field
 * is its place: the indexes on the way to it and, where the event itself has a type, that too. All other
 * strings are whole by themselves.
 *
 * What is held when a field ends, without another delta of it, goes out in an event of its own: the one
 * that began the holding, reduced to the way to that string and what identifies it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/json.h"
#include "write/mask/unmask.h"

#define STEPS 16 /* deeper strings are taken as whole ones */

enum where { TOP, CHOICES, CHOICE, DELTA, PLAIN };

struct step {
    struct jv container, value;
};

struct walk {
    struct unmask *u;
    const uint8_t *event; /* its first byte, */
    struct jv root;       /* its data, */
    const uint8_t *from;  /* and how far it has been taken */
    uint64_t group;       /* of what is at hand */
    bool final;           /* the choice at hand ends with this event */
    struct step steps[STEPS];
    unsigned depth;
};

/* ---- places ---- */

/* FNV-1a. A collision of two fields of one stream would be a placeholder that is not put back. */
static uint64_t mix(uint64_t h, const void *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3ull;
    return h ^ h >> 29;
}

static uint64_t mix_value(uint64_t h, struct jv object, const char *name) {
    struct jv v = jv_get(object, name);
    return v.p ? mix(mix(h, name, strlen(name)), v.p, v.len) : h;
}

static uint64_t place_of_event(struct jv root) {
    static const char *const names[] = {"type",          "index",         "output_index",
                                        "content_index", "summary_index", "item_id"};
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        h = mix_value(h, root, names[i]);
    return h;
}

static uint64_t group_of_event(struct jv root) {
    return mix_value(mix_value('o', root, "index"), root, "output_index");
}

static uint32_t index_of(struct jv element, uint32_t position) {
    return jv_u32(jv_get(element, "index"), position);
}

static uint64_t group_of_choice(uint32_t index) {
    return mix('c', &index, sizeof index);
}

static bool is_end(struct jv choice) {
    return jv_is_string(jv_get(choice, "finish_reason"));
}

/* Of a delta's members those that say what it is, and are no pieces of a text. */
static bool is_whole(struct jv key) {
    static const char *const names[] = {"role", "type",        "id",            "name",
                                        "call_id", "stop_reason", "stop_sequence", "signature"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (jv_equals(key, names[i]))
            return true;
    return false;
}

static enum where below(enum where where, struct jv key) {
    switch (where) {
    case TOP:
        return jv_equals(key, "choices") ? CHOICES : jv_equals(key, "delta") ? DELTA : PLAIN;
    case CHOICE:
        return jv_equals(key, "delta") || jv_equals(key, "text") ? DELTA : PLAIN;
    case DELTA:
        return is_whole(key) ? PLAIN : DELTA;
    default:
        return PLAIN;
    }
}

/* ---- fields ---- */

static struct unmask_field *field_of(struct unmask *u, uint64_t key, uint64_t group) {
    for (size_t i = 0; i < u->count; i++)
        if (u->fields[i].key == key)
            return &u->fields[i];
    if (u->count == u->cap) {
        const size_t cap = u->cap ? u->cap * 2 : 4;
        struct unmask_field *more =
            cap > UNMASK_FIELDS ? NULL : realloc(u->fields, cap * sizeof *more);
        if (!more)
            return NULL;
        u->fields = more;
        u->cap = cap;
    }
    struct unmask_field *f = &u->fields[u->count++];
    *f = (struct unmask_field){.key = key, .group = group};
    unmask_text_begin(&f->text);
    buf_init(&f->event, LIMIT_ANSWER_BODY);
    return f;
}

int unmask_release(struct unmask *u, const uint64_t *group, struct buf *out) {
    int rc = 0;
    for (size_t i = 0; !rc && i < u->count; i++) {
        struct unmask_field *f = &u->fields[i];
        if (!f->text.matched || (group && f->group != *group))
            continue;
        rc = buf_append(out, f->event.p, f->split);
        if (!rc)
            rc = unmask_text_end(u->mask, &f->text, out);
        if (!rc)
            rc = buf_append(out, f->event.p + f->split, f->event.len - f->split);
        buf_clear(&f->event);
    }
    return rc;
}

/* ---- an event of a field's own ---- */

static bool is_kept(unsigned level, struct jv key, struct jv value) {
    if (jv_is_object(value) || jv_is_array(value))
        return false;
    if (level == 0)
        return !jv_is_null(value);
    return jv_equals(key, "index") || jv_equals(key, "type") ||
           (jv_equals(key, "finish_reason") && jv_is_null(value));
}

static int put_jv(struct buf *out, struct jv v) {
    return buf_append(out, v.p, v.len);
}

static int project(const struct walk *w, unsigned level, struct unmask_field *f) {
    struct jv key, value;
    struct buf *out = &f->event;
    int rc = 0, members = 0;
    if (level == w->depth) {
        f->split = out->len + 1;
        return buf_append_str(out, "\"\"");
    }
    const struct step *s = &w->steps[level];
    const bool object = jv_is_object(s->container);
    rc = buf_append_u8(out, object ? '{' : '[');
    for (size_t pos = 0; !rc && jv_each(s->container, &pos, &key, &value);) {
        const bool way = value.p == s->value.p;
        if (!way && !(object && is_kept(level, key, value)))
            continue;
        if (members++)
            rc = buf_append_u8(out, ',');
        if (!rc && object)
            rc = put_jv(out, key);
        if (!rc && object)
            rc = buf_append_u8(out, ':');
        if (!rc)
            rc = way ? project(w, level + 1, f) : put_jv(out, value);
    }
    return rc ? rc : buf_append_u8(out, object ? '}' : ']');
}

static int remember(const struct walk *w, struct unmask_field *f) {
    int rc = buf_append(&f->event, w->event, (size_t)(w->root.p - w->event));
    if (!rc)
        rc = project(w, 0, f);
    return rc ? rc : buf_append_str(&f->event, "\n\n");
}

/* ---- the walk ---- */

static int copy_to(struct walk *w, const uint8_t *to) {
    int rc = buf_append(&w->u->edited, w->from, (size_t)(to - w->from));
    w->from = to;
    return rc;
}

static int take_plain(struct walk *w, struct jv v) {
    int rc = copy_to(w, v.p);
    w->u->inside = false;
    if (!rc)
        rc = unmask_json(w->u, v.p, v.len, &w->u->edited);
    w->from = v.p + v.len;
    return rc;
}

static int take_piece(struct walk *w, struct jv v, uint64_t place) {
    struct unmask *u = w->u;
    struct unmask_field *f = field_of(u, place, w->group);
    if (!f)
        return take_plain(w, v);
    int rc = copy_to(w, v.p + 1);
    const uint8_t *p = v.p + 1;
    if (!rc)
        rc = unmask_text_feed(u->mask, &f->text, &p, v.p + v.len - 1, &u->edited);
    if (!rc && w->final)
        rc = unmask_text_end(u->mask, &f->text, &u->edited);
    w->from = v.p + v.len - 1;
    if (!f->text.matched)
        buf_clear(&f->event);
    else if (!rc && !f->event.len)
        rc = remember(w, f);
    return rc;
}

static int take(struct walk *w, struct jv v, enum where where, uint64_t place) {
    struct jv key, value;
    uint32_t position = 0;
    int rc = 0;
    if (where == DELTA && jv_is_string(v))
        return take_piece(w, v, place);
    if (where == PLAIN || w->depth == STEPS || !(jv_is_object(v) || jv_is_array(v)))
        return take_plain(w, v);
    for (size_t pos = 0; !rc && jv_each(v, &pos, &key, &value); position++) {
        uint64_t inner;
        enum where next = where;
        if (key.p) {
            rc = take_plain(w, key);
            next = below(where, key);
            inner = mix(place, key.p, key.len);
        } else {
            uint32_t index = index_of(value, position);
            inner = mix(place, &index, sizeof index);
            if (where == CHOICES) {
                next = CHOICE;
                w->group = group_of_choice(index);
                w->final = is_end(value);
            }
        }
        w->steps[w->depth++] = (struct step){v, value};
        if (!rc)
            rc = take(w, value, next, inner);
        w->depth--;
    }
    return rc;
}

/* ---- ends ---- */

static bool has_end(struct jv type, const char *end) {
    char text[64];
    if (!jv_is_string(type) || !jv_text_fits(type, text, sizeof text))
        return false;
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Sends what is held of what ends with this event. */
static int release_ended(struct unmask *u, struct jv root, struct buf *out) {
    static const char *const last[] = {"message_stop", "response.completed", "response.failed",
                                       "response.incomplete", "error"};
    struct jv type = jv_get(root, "type"), choices = jv_get(root, "choices"), choice;
    uint32_t position = 0;
    int rc = 0;
    for (size_t pos = 0; !rc && jv_is_array(choices) && jv_each(choices, &pos, NULL, &choice);
         position++) {
        const uint64_t group = group_of_choice(index_of(choice, position));
        if (is_end(choice))
            rc = unmask_release(u, &group, out);
    }
    if (!rc && (has_end(type, ".done") || has_end(type, "content_block_stop"))) {
        const uint64_t group = group_of_event(root);
        rc = unmask_release(u, &group, out);
    }
    for (size_t i = 0; !rc && i < sizeof last / sizeof *last; i++)
        if (jv_equals(type, last[i]))
            rc = unmask_release(u, NULL, out);
    return rc;
}

static int take_json(struct unmask *u, const uint8_t *p, size_t n, struct jv root,
                     struct buf *out) {
    struct walk w = {
        .u = u, .event = p, .root = root, .from = p, .group = group_of_event(root)};
    int rc = take(&w, root, TOP, place_of_event(root));
    if (!rc)
        rc = copy_to(&w, p + n);
    return rc ? rc : release_ended(u, root, out);
}

int unmask_event(struct unmask *u, const uint8_t *p, size_t n, struct buf *out) {
    struct sse_event event = {0};
    struct sse s;
    struct jv root;
    int rc = 0;
    sse_init(&s, p, n);
    buf_clear(&u->edited);
    const bool data = sse_next(&s, &event);
    const bool in_place = data && event.data >= p && event.data < p + n; /* of one line */
    if (in_place && event.data_len == 6 && memcmp(event.data, "[DONE]", 6) == 0) {
        rc = unmask_release(u, NULL, out);
        if (!rc)
            rc = buf_append(&u->edited, p, n);
    } else if (in_place && jv_parse(&root, event.data, event.data_len) == 0 &&
               jv_is_object(root)) {
        rc = take_json(u, p, n, root, out);
    } else {
        u->inside = false;
        rc = unmask_json(u, p, n, &u->edited);
    }
    if (!rc)
        rc = s.rc;
    sse_done(&s);
    if (!rc)
        rc = buf_append(out, u->edited.p, u->edited.len);
    buf_clear(&u->edited);
    return rc;
}
