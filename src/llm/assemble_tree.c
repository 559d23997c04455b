/* The tree of assemble_int.h. What holds content is wiped. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "llm/assemble_int.h"

#define MEMBERS_MAX 256 /* of one object in the tree */
#define ITEMS_MAX 65536 /* of the whole tree */

void tree_wipe(struct tree *t) {
    if (t->kind == TREE_TEXT || t->kind == TREE_LIST || t->kind == TREE_MADE)
        buf_wipe(&t->text);
    for (size_t i = 0; i < t->count; i++)
        tree_wipe(&t->items[i].value);
    free(t->items);
    *t = (struct tree){0};
}

bool tree_is_vacant(const struct tree *t) {
    return t->kind == TREE_NONE || (t->kind == TREE_RAW && jv_is_null(t->raw));
}

void tree_set(struct tree *t, struct jv v) {
    tree_wipe(t);
    t->kind = TREE_RAW;
    t->raw = v;
}

void tree_become(struct tree *t, enum tree_kind kind) {
    tree_wipe(t);
    t->kind = kind;
    buf_init(&t->text, LIMIT_ANSWER_BODY);
}

/* Room for one more item, in steps of powers of two. */
static struct tree_item *add_item(struct tree_budget *b, struct tree *t, size_t max) {
    if (t->count >= max || b->items++ >= ITEMS_MAX)
        return NULL;
    if ((t->count & (t->count - 1)) == 0) {
        struct tree_item *m = realloc(t->items, (t->count ? t->count * 2 : 1) * sizeof *m);
        if (!m)
            return NULL;
        t->items = m;
    }
    struct tree_item *m = &t->items[t->count++];
    *m = (struct tree_item){0};
    return m;
}

static bool same_key(struct jv a, struct jv b) {
    if (a.len == b.len && !memcmp(a.p, b.p, a.len))
        return true;
    bool escaped = memchr(a.p, '\\', a.len) || memchr(b.p, '\\', b.len);
    return escaped && jv_same(a, b);
}

int tree_member(struct tree_budget *b, struct tree *object, struct jv key, struct tree **ret) {
    if (object->kind != TREE_OBJECT)
        tree_wipe(object);
    object->kind = TREE_OBJECT;
    for (size_t i = 0; i < object->count; i++) {
        if (same_key(object->items[i].key, key)) {
            *ret = &object->items[i].value;
            return 0;
        }
    }
    struct tree_item *m = add_item(b, object, MEMBERS_MAX);
    if (!m)
        return ERR_LIMIT;
    m->key = key;
    *ret = &m->value;
    return 0;
}

struct tree *tree_find(struct tree *object, const char *name) {
    for (size_t i = 0; object->kind == TREE_OBJECT && i < object->count; i++)
        if (jv_equals(object->items[i].key, name))
            return &object->items[i].value;
    return NULL;
}

int tree_at(struct tree_budget *b, struct tree *calls, uint32_t index, size_t max,
            struct tree **ret) {
    if (calls->kind != TREE_CALLS)
        tree_wipe(calls);
    calls->kind = TREE_CALLS;
    for (size_t i = 0; i < calls->count; i++) {
        if (calls->items[i].index == index) {
            *ret = &calls->items[i].value;
            return 0;
        }
    }
    struct tree_item *m = add_item(b, calls, max);
    if (!m)
        return ERR_LIMIT;
    m->index = index;
    *ret = &m->value;
    return 0;
}

static int append_inside(struct tree *t, struct jv inside) {
    while (t->kind == TREE_LIST && inside.len && strchr(" \n\r\t", *inside.p)) {
        inside.p++;
        inside.len--;
    }
    if (!inside.len)
        return 0;
    int rc = t->kind == TREE_LIST && t->text.len ? buf_append_u8(&t->text, ',') : 0;
    return rc ? rc : buf_append(&t->text, inside.p, inside.len);
}

int tree_append(struct tree *t, struct jv v) {
    enum tree_kind kind = jv_is_array(v) ? TREE_LIST : TREE_TEXT;
    struct jv was = t->kind == TREE_RAW ? t->raw : (struct jv){0};
    if (!jv_is_array(v) && !jv_is_string(v))
        return ERR_SYNTAX;
    if (t->kind != kind) {
        tree_become(t, kind);
        bool same = kind == TREE_LIST ? jv_is_array(was) : jv_is_string(was);
        int rc = same ? append_inside(t, (struct jv){was.p + 1, was.len - 2}) : 0;
        if (rc)
            return rc;
    }
    return append_inside(t, (struct jv){v.p + 1, v.len - 2});
}

int tree_push(struct tree *list, struct jv element) {
    int rc = 0;
    if (list->kind != TREE_LIST)
        rc = tree_append(list, (struct jv){(const uint8_t *)"[]", 2});
    return rc ? rc : append_inside(list, element);
}

int tree_update(struct tree_budget *b, struct tree *t, struct jv object) {
    struct jv key, value;
    struct tree *member = NULL;
    int rc = 0;
    for (size_t pos = 0; !rc && jv_each(object, &pos, &key, &value);) {
        rc = tree_member(b, t, key, &member);
        if (!rc && (!jv_is_null(value) || member->kind == TREE_NONE))
            tree_set(member, value);
    }
    return rc;
}

int tree_put(struct tree_budget *b, struct tree *object, struct jv key, struct tree *from) {
    struct tree *member;
    if (!from->kind)
        return 0;
    int rc = tree_member(b, object, key, &member);
    if (rc)
        return rc;
    tree_wipe(member);
    *member = *from;
    *from = (struct tree){0};
    return 0;
}

static int by_index(const void *x, const void *y) {
    const struct tree_item *a = x, *b = y;
    return a->index < b->index ? -1 : a->index > b->index;
}

int tree_write(struct buf *out, struct tree *t) {
    static const char open[] = "?\0\"{[[", close[] = "?\0\"}]]";
    if (t->kind == TREE_NONE)
        return buf_append_str(out, "null");
    if (t->kind == TREE_RAW)
        return buf_append(out, t->raw.p, t->raw.len);
    if (t->kind == TREE_MADE)
        return buf_append(out, t->text.p, t->text.len);
    if (t->kind == TREE_CALLS && t->count)
        qsort(t->items, t->count, sizeof *t->items, by_index);
    int rc = buf_append(out, &open[t->kind], 1);
    if (!rc && (t->kind == TREE_TEXT || t->kind == TREE_LIST))
        rc = buf_append(out, t->text.p, t->text.len);
    for (size_t i = 0; i < t->count && !rc; i++) {
        if (i)
            rc = buf_append_u8(out, ',');
        if (!rc && t->kind == TREE_OBJECT) {
            rc = buf_append(out, t->items[i].key.p, t->items[i].key.len);
            if (!rc)
                rc = buf_append_u8(out, ':');
        }
        if (!rc)
            rc = tree_write(out, &t->items[i].value);
    }
    return rc ? rc : buf_append(out, &close[t->kind], 1);
}
