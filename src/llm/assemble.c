/*
 * The assembly of chat streams of assemble.h, run by the sealer.
 *
 * A stream becomes a small tree: top-level members as slices of the chunk that had them last, and
 * per choice a message whose members grow. Strings grow as the raw insides of their JSON text, so
 * escapes stay as they came, and a surrogate pair that two chunks share is whole again. Everything
 * lives for one call of assemble_chat; what holds content is wiped.
 */
#include "llm/assemble.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/sse.h"

#define MEMBERS_MAX 256 /* of one object in the tree */
#define ITEMS_MAX 65536 /* of the whole tree */
#define DEPTH_MAX 8     /* of objects that are merged; deeper ones are replaced */

enum kind { NONE, RAW, TEXT, OBJECT, LIST, CALLS };

struct member;

struct node {
    enum kind kind;
    struct jv raw;        /* RAW */
    struct buf text;      /* TEXT: the inside; LIST: the elements with commas */
    struct member *items; /* OBJECT, and CALLS with `index` for the key */
    size_t count;
};

struct member {
    struct jv key;
    uint32_t index;
    struct node value;
};

struct choice {
    uint32_t index;
    struct node message, logprobs, other;
    struct jv finish;
};

/* Data of several lines is only borrowed until the next event: such events are copied here. */
struct kept {
    struct kept *next;
    size_t len;
    uint8_t bytes[];
};

struct assembly {
    struct node top; /* OBJECT of RAW; `choices` and `usage` hold the place */
    struct choice *choices;
    size_t count;
    struct kept *kept;
    size_t events, items;
};

/* ---- the tree ---- */

static void node_wipe(struct node *n) {
    if (n->kind == TEXT || n->kind == LIST)
        buf_wipe(&n->text);
    for (size_t i = 0; i < n->count; i++)
        node_wipe(&n->items[i].value);
    free(n->items);
    *n = (struct node){0};
}

static bool vacant(const struct node *n) {
    return n->kind == NONE || (n->kind == RAW && jv_is_null(n->raw));
}

static void set_raw(struct node *n, struct jv v) {
    node_wipe(n);
    n->kind = RAW;
    n->raw = v;
}

/* Room for one more item, in steps of powers of two. */
static struct member *add_item(struct assembly *a, struct node *n, size_t max) {
    if (n->count >= max || a->items++ >= ITEMS_MAX)
        return NULL;
    if ((n->count & (n->count - 1)) == 0) {
        struct member *m = realloc(n->items, (n->count ? n->count * 2 : 1) * sizeof *m);
        if (!m)
            return NULL;
        n->items = m;
    }
    struct member *m = &n->items[n->count++];
    *m = (struct member){0};
    return m;
}

static bool same_key(struct jv a, struct jv b) {
    if (a.len == b.len && !memcmp(a.p, b.p, a.len))
        return true;
    bool escaped = memchr(a.p, '\\', a.len) || memchr(b.p, '\\', b.len);
    return escaped && jv_same(a, b);
}

static int object_member(struct assembly *a, struct node *n, struct jv key, struct node **ret) {
    n->kind = OBJECT;
    for (size_t i = 0; i < n->count; i++) {
        if (same_key(n->items[i].key, key)) {
            *ret = &n->items[i].value;
            return 0;
        }
    }
    struct member *m = add_item(a, n, MEMBERS_MAX);
    if (!m)
        return ERR_LIMIT;
    m->key = key;
    *ret = &m->value;
    return 0;
}

static int append_inside(struct node *n, struct jv v) {
    if (n->kind != TEXT && n->kind != LIST)
        return ERR_INTERNAL;
    struct jv inside = {v.p + 1, v.len - 2};
    while (n->kind == LIST && inside.len && strchr(" \n\r\t", *inside.p)) {
        inside.p++;
        inside.len--;
    }
    if (!inside.len)
        return 0;
    int rc = n->kind == LIST && n->text.len ? buf_append_u8(&n->text, ',') : 0;
    return rc ? rc : buf_append(&n->text, inside.p, inside.len);
}

static void become(struct node *n, enum kind kind) {
    node_wipe(n);
    n->kind = kind;
    buf_init(&n->text, LIMIT_ANSWER_BODY);
}

/* ---- merging deltas ---- */

static int merge(struct assembly *a, struct node *n, struct jv key, struct jv v, unsigned depth);

static int merge_object(struct assembly *a, struct node *n, struct jv v, unsigned depth) {
    struct jv key, value;
    struct node *member;
    int rc = 0;
    if (n->kind != OBJECT)
        node_wipe(n);
    n->kind = OBJECT;
    for (size_t pos = 0; !rc && jv_each(v, &pos, &key, &value);) {
        rc = object_member(a, n, key, &member);
        if (!rc)
            rc = merge(a, member, key, value, depth + 1);
    }
    return rc;
}

/* The call that a fragment belongs to. One without an index is a call of its own. */
static int call_of(struct assembly *a, struct node *n, struct jv fragment, struct node **ret) {
    uint32_t next = 0, index = jv_u32(jv_get(fragment, "index"), UINT32_MAX);
    for (size_t i = 0; i < n->count; i++) {
        if (n->items[i].index == index) {
            *ret = &n->items[i].value;
            return 0;
        }
        if (n->items[i].index >= next)
            next = n->items[i].index + 1;
    }
    struct member *m = add_item(a, n, LIMIT_TOOL_CALLS);
    if (!m)
        return ERR_LIMIT;
    m->index = index == UINT32_MAX ? next : index;
    *ret = &m->value;
    return 0;
}

static int merge_calls(struct assembly *a, struct node *n, struct jv v) {
    struct jv none, fragment, key, value;
    struct node *call = NULL, *member;
    int rc = 0;
    if (n->kind != CALLS)
        node_wipe(n);
    n->kind = CALLS;
    for (size_t pos = 0; !rc && jv_each(v, &pos, &none, &fragment);) {
        if (!jv_is_object(fragment))
            return ERR_SYNTAX;
        rc = call_of(a, n, fragment, &call);
        if (!rc)
            call->kind = OBJECT;
        for (size_t at = 0; !rc && jv_each(fragment, &at, &key, &value);) {
            if (jv_equals(key, "index"))
                continue;
            rc = object_member(a, call, key, &member);
            if (!rc)
                rc = merge(a, member, key, value, 2);
        }
    }
    return rc;
}

static bool is_one_of(struct jv key, const char *const *names) {
    for (; *names; names++)
        if (jv_equals(key, *names))
            return true;
    return false;
}

/* Strings that say what something is, not a piece of it. */
static const char *const replaced[] = {"role", "name", "id", "type", NULL};
/* Objects that come in pieces. */
static const char *const merged[] = {"function_call", "function", "custom", "audio", NULL};

static int merge(struct assembly *a, struct node *n, struct jv key, struct jv v, unsigned depth) {
    if (jv_is_null(v) && !vacant(n))
        return 0;
    if (jv_is_string(v)) {
        bool whole = is_one_of(key, replaced);
        if (whole && n->kind == RAW && v.len == 2)
            return 0; /* some servers repeat "id":"" in every fragment */
        if (!whole) {
            if (n->kind != TEXT)
                become(n, TEXT);
            return append_inside(n, v);
        }
    } else if (jv_is_array(v) && depth == 1 && jv_equals(key, "tool_calls")) {
        return merge_calls(a, n, v);
    } else if (jv_is_array(v)) {
        if (n->kind != LIST)
            become(n, LIST);
        return append_inside(n, v);
    } else if (jv_is_object(v) && depth < DEPTH_MAX && is_one_of(key, merged)) {
        return merge_object(a, n, v, depth);
    }
    set_raw(n, v);
    return 0;
}

/* ---- chunks ---- */

static int choice_of(struct assembly *a, uint32_t index, struct choice **ret) {
    for (size_t i = 0; i < a->count; i++) {
        if (a->choices[i].index == index) {
            *ret = &a->choices[i];
            return 0;
        }
    }
    if (a->count == LIMIT_CHOICES)
        return ERR_LIMIT;
    struct choice *c = realloc(a->choices, (a->count + 1) * sizeof *c);
    if (!c)
        return ERR_NOMEM;
    a->choices = c;
    *ret = &c[a->count++];
    **ret = (struct choice){.index = index};
    return 0;
}

static int add_choice(struct assembly *a, struct jv v) {
    struct jv key, value;
    struct choice *c = NULL;
    struct node *member;
    if (!jv_is_object(v))
        return ERR_SYNTAX;
    int rc = choice_of(a, jv_u32(jv_get(v, "index"), 0), &c);
    for (size_t pos = 0; !rc && jv_each(v, &pos, &key, &value);) {
        if (jv_equals(key, "index"))
            continue;
        if (jv_equals(key, "message"))
            return ERR_SYNTAX; /* a whole message is no delta */
        if (jv_equals(key, "delta")) {
            rc = jv_is_object(value) ? merge_object(a, &c->message, value, 0) : 0;
        } else if (jv_equals(key, "logprobs")) {
            rc = jv_is_object(value) ? merge_object(a, &c->logprobs, value, 0) : 0;
        } else if (jv_equals(key, "finish_reason")) {
            if (!jv_is_null(value))
                c->finish = value;
        } else {
            rc = object_member(a, &c->other, key, &member);
            if (!rc)
                set_raw(member, value);
        }
    }
    return rc;
}

static int add_chunk(struct assembly *a, struct jv chunk) {
    struct jv key, value, none, choice;
    struct node *member;
    int rc = 0;
    for (size_t pos = 0; !rc && jv_each(chunk, &pos, &key, &value);) {
        bool null_is_none = jv_equals(key, "usage") || jv_equals(key, "error");
        if (null_is_none && jv_is_null(value))
            continue;
        rc = object_member(a, &a->top, key, &member);
        if (rc)
            return rc;
        if (jv_equals(key, "choices") && !jv_is_null(value)) {
            if (!jv_is_array(value))
                return ERR_SYNTAX;
            for (size_t at = 0; !rc && jv_each(value, &at, &none, &choice);)
                rc = add_choice(a, choice);
        }
        set_raw(member, value);
    }
    return rc;
}

static bool is_done(const struct sse_event *e) {
    size_t n = e->data_len;
    while (n && e->data[n - 1] == ' ')
        n--;
    return n == 6 && !memcmp(e->data, "[DONE]", 6);
}

static int keep(struct assembly *a, const struct sse *s, struct sse_event *e) {
    if (e->data != s->joined.p)
        return 0;
    struct kept *k = malloc(sizeof *k + e->data_len);
    if (!k)
        return ERR_NOMEM;
    k->next = a->kept;
    k->len = e->data_len;
    memcpy(k->bytes, e->data, e->data_len);
    a->kept = k;
    e->data = k->bytes;
    return 0;
}

/* `{"message":...}` under `event: error` is an error, too. */
static int add_event(struct assembly *a, const struct sse *s, struct sse_event *e) {
    struct jv v;
    struct node *member;
    if (!e->data_len)
        return 0;
    a->events++;
    if (is_done(e))
        return 0;
    int rc = keep(a, s, e);
    if (!rc)
        rc = jv_parse(&v, e->data, e->data_len);
    if (!rc && !jv_is_object(v))
        rc = ERR_SYNTAX;
    if (rc)
        return rc;
    bool error = e->type_len == 5 && !memcmp(e->type, "error", 5);
    if (!error || jv_get(v, "error").p || jv_get(v, "choices").p)
        return add_chunk(a, v);
    static const uint8_t name[] = "\"error\"";
    rc = object_member(a, &a->top, (struct jv){name, sizeof name - 1}, &member);
    if (!rc)
        set_raw(member, v);
    return rc;
}

/* ---- writing ---- */

static int by_index(const void *x, const void *y) {
    const struct member *a = x, *b = y;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int by_choice(const void *x, const void *y) {
    const struct choice *a = x, *b = y;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int write_node(struct buf *out, struct node *n) {
    static const char open[] = "?\0\"{[[", close[] = "?\0\"}]]";
    int rc;
    if (n->kind == NONE)
        return buf_append_str(out, "null");
    if (n->kind == RAW)
        return buf_append(out, n->raw.p, n->raw.len);
    if (n->kind == CALLS && n->count)
        qsort(n->items, n->count, sizeof *n->items, by_index);
    rc = buf_append(out, &open[n->kind], 1);
    if (!rc && (n->kind == TEXT || n->kind == LIST))
        rc = buf_append(out, n->text.p, n->text.len);
    for (size_t i = 0; i < n->count && !rc; i++) {
        if (i)
            rc = buf_append_u8(out, ',');
        if (!rc && n->kind == OBJECT) {
            rc = buf_append(out, n->items[i].key.p, n->items[i].key.len);
            if (!rc)
                rc = buf_append_u8(out, ':');
        }
        if (!rc)
            rc = write_node(out, &n->items[i].value);
    }
    return rc ? rc : buf_append(out, &close[n->kind], 1);
}

static int write_choice(struct buf *out, struct choice *c) {
    int rc = buf_printf(out, "{\"index\":%u,\"message\":", c->index);
    if (!rc)
        rc = c->message.kind ? write_node(out, &c->message) : buf_append_str(out, "{}");
    if (!rc)
        rc = buf_append_str(out, ",\"finish_reason\":");
    if (!rc)
        rc =
            c->finish.p ? buf_append(out, c->finish.p, c->finish.len) : buf_append_str(out, "null");
    if (!rc && c->logprobs.kind) {
        rc = buf_append_str(out, ",\"logprobs\":");
        if (!rc)
            rc = write_node(out, &c->logprobs);
    }
    for (size_t i = 0; i < c->other.count && !rc; i++) {
        struct member *m = &c->other.items[i];
        rc = buf_append_u8(out, ',');
        if (!rc)
            rc = buf_append(out, m->key.p, m->key.len);
        if (!rc)
            rc = buf_append_u8(out, ':');
        if (!rc)
            rc = write_node(out, &m->value);
    }
    return rc ? rc : buf_append_u8(out, '}');
}

static int write_choices(struct buf *out, struct assembly *a) {
    if (a->count)
        qsort(a->choices, a->count, sizeof *a->choices, by_choice);
    int rc = buf_append_u8(out, '[');
    for (size_t i = 0; i < a->count && !rc; i++) {
        rc = i ? buf_append_u8(out, ',') : 0;
        if (!rc)
            rc = write_choice(out, &a->choices[i]);
    }
    return rc ? rc : buf_append_u8(out, ']');
}

static int write_answer(struct buf *out, struct assembly *a) {
    int rc = buf_append_u8(out, '{');
    for (size_t i = 0; i < a->top.count && !rc; i++) {
        struct member *m = &a->top.items[i];
        if (i)
            rc = buf_append_u8(out, ',');
        if (!rc)
            rc = buf_append(out, m->key.p, m->key.len);
        if (!rc)
            rc = buf_append_u8(out, ':');
        if (rc)
            return rc;
        if (jv_equals(m->key, "choices"))
            rc = write_choices(out, a);
        else if (jv_equals(m->key, "object") && jv_equals(m->value.raw, "chat.completion.chunk"))
            rc = buf_append_str(out, "\"chat.completion\"");
        else
            rc = write_node(out, &m->value);
    }
    return rc ? rc : buf_append_u8(out, '}');
}

/* An event that no empty line ended still counts when nothing of it is missing. */
static int add_tail(struct assembly *a, struct sse *s, struct jv *ret_tail) {
    struct sse_event e;
    struct jv v, tail;
    if (!sse_tail(s, &tail.p, &tail.len))
        return 0;
    if (sse_tail_event(s, &e) &&
        (is_done(&e) || (jv_parse(&v, e.data, e.data_len) == 0 && jv_is_object(v))))
        return add_event(a, s, &e);
    if (!s->rc)
        *ret_tail = tail;
    return s->rc;
}

static void assembly_wipe(struct assembly *a) {
    node_wipe(&a->top);
    for (size_t i = 0; i < a->count; i++) {
        node_wipe(&a->choices[i].message);
        node_wipe(&a->choices[i].logprobs);
        node_wipe(&a->choices[i].other);
    }
    free(a->choices);
    while (a->kept) {
        struct kept *next = a->kept->next;
        explicit_bzero(a->kept->bytes, a->kept->len);
        free(a->kept);
        a->kept = next;
    }
}

int assemble_chat(struct buf *out, const void *stream, size_t len, struct jv *ret_tail) {
    struct assembly a = {0};
    struct sse s;
    struct sse_event e;
    int rc = 0;
    *ret_tail = (struct jv){0};
    sse_init(&s, stream, len);
    while (!rc && sse_next(&s, &e))
        rc = add_event(&a, &s, &e);
    if (!rc)
        rc = s.rc;
    if (!rc)
        rc = add_tail(&a, &s, ret_tail);
    if (!rc && !a.top.count)
        rc = a.events ? ERR_SYNTAX : ERR_NOTFOUND;
    if (!rc)
        rc = write_answer(out, &a);
    if (rc && rc != ERR_NOTFOUND)
        *ret_tail = (struct jv){0};
    assembly_wipe(&a);
    sse_done(&s);
    return rc;
}
