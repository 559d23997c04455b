/*
 * The assembly of chat and completions streams (doc/turn.md, "Assembly of a stream"), run by the
 * sealer: top-level members as slices of the chunk that had them last, and per choice a message, or
 * a text, that grows.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "llm/assemble_int.h"

struct choice {
    uint32_t index;
    struct tree message, text, logprobs, other;
    struct jv finish;
};

struct chat {
    struct tree_budget budget;
    struct tree top; /* of slices; `choices` and `usage` hold the place */
    struct choice *choices;
    size_t count;
    bool completions; /* choices have `text` instead of a message */
};

/* ---- merging deltas ---- */

static int merge(struct chat *a, struct tree *n, struct jv key, struct jv v, unsigned depth);

static int merge_object(struct chat *a, struct tree *n, struct jv v, unsigned depth) {
    struct jv key, value;
    struct tree *member;
    int rc = 0;
    if (n->kind != TREE_OBJECT)
        tree_wipe(n);
    n->kind = TREE_OBJECT;
    for (size_t pos = 0; !rc && jv_each(v, &pos, &key, &value);) {
        rc = tree_member(&a->budget, n, key, &member);
        if (!rc)
            rc = merge(a, member, key, value, depth + 1);
    }
    return rc;
}

/* The call that a fragment belongs to. One without an index is a call of its own. */
static int call_of(struct chat *a, struct tree *n, struct jv fragment, struct tree **ret) {
    uint32_t next = 0, index = jv_u32(jv_get(fragment, "index"), UINT32_MAX);
    for (size_t i = 0; i < n->count; i++) {
        if (n->items[i].index == index) {
            *ret = &n->items[i].value;
            return 0;
        }
        if (n->items[i].index >= next)
            next = n->items[i].index + 1;
    }
    return tree_at(&a->budget, n, index == UINT32_MAX ? next : index, LIMIT_TOOL_CALLS, ret);
}

static int merge_calls(struct chat *a, struct tree *n, struct jv v) {
    struct jv none, fragment, key, value;
    struct tree *call = NULL, *member;
    int rc = 0;
    if (n->kind != TREE_CALLS)
        tree_wipe(n);
    n->kind = TREE_CALLS;
    for (size_t pos = 0; !rc && jv_each(v, &pos, &none, &fragment);) {
        if (!jv_is_object(fragment))
            return ERR_SYNTAX;
        rc = call_of(a, n, fragment, &call);
        if (!rc)
            call->kind = TREE_OBJECT;
        for (size_t at = 0; !rc && jv_each(fragment, &at, &key, &value);) {
            if (jv_equals(key, "index"))
                continue;
            rc = tree_member(&a->budget, call, key, &member);
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

static int merge(struct chat *a, struct tree *n, struct jv key, struct jv v, unsigned depth) {
    if (jv_is_null(v) && !tree_is_vacant(n))
        return 0;
    if (jv_is_string(v)) {
        bool whole = is_one_of(key, replaced);
        if (whole && n->kind == TREE_RAW && v.len == 2)
            return 0; /* some servers repeat "id":"" in every fragment */
        if (!whole)
            return tree_append(n, v);
    } else if (jv_is_array(v) && depth == 1 && jv_equals(key, "tool_calls")) {
        return merge_calls(a, n, v);
    } else if (jv_is_array(v)) {
        return tree_append(n, v);
    } else if (jv_is_object(v) && depth < TREE_DEPTH && is_one_of(key, merged)) {
        return merge_object(a, n, v, depth);
    }
    tree_set(n, v);
    return 0;
}

/* ---- chunks ---- */

static int choice_of(struct chat *a, uint32_t index, struct choice **ret) {
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

static int add_choice(struct chat *a, struct jv v) {
    struct jv key, value;
    struct choice *c = NULL;
    struct tree *member;
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
        } else if (a->completions && jv_equals(key, "text")) {
            rc = jv_is_string(value) ? tree_append(&c->text, value) : 0;
        } else if (jv_equals(key, "finish_reason")) {
            if (!jv_is_null(value))
                c->finish = value;
        } else {
            rc = tree_member(&a->budget, &c->other, key, &member);
            if (!rc)
                tree_set(member, value);
        }
    }
    return rc;
}

static int add_chunk(struct chat *a, struct jv chunk) {
    struct jv key, value, none, choice;
    struct tree *member;
    int rc = 0;
    for (size_t pos = 0; !rc && jv_each(chunk, &pos, &key, &value);) {
        bool null_is_none = jv_equals(key, "usage") || jv_equals(key, "error");
        if (null_is_none && jv_is_null(value))
            continue;
        rc = tree_member(&a->budget, &a->top, key, &member);
        if (rc)
            return rc;
        if (jv_equals(key, "choices") && !jv_is_null(value)) {
            if (!jv_is_array(value))
                return ERR_SYNTAX;
            for (size_t at = 0; !rc && jv_each(value, &at, &none, &choice);)
                rc = add_choice(a, choice);
        }
        tree_set(member, value);
    }
    return rc;
}

/* `{"message":...}` under `event: error` is an error, too. */
static int add_event(struct chat *a, struct jv v, const uint8_t *type, size_t type_len) {
    struct tree *member;
    if (!assemble_is_error(type, type_len) || jv_get(v, "error").p || jv_get(v, "choices").p)
        return add_chunk(a, v);
    int rc = tree_member(&a->budget, &a->top, TREE_KEY("error"), &member);
    if (!rc)
        tree_set(member, v);
    return rc;
}

/* ---- writing ---- */

static int by_choice(const void *x, const void *y) {
    const struct choice *a = x, *b = y;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int write_choice(struct buf *out, struct choice *c, bool completions) {
    struct tree *said = completions ? &c->text : &c->message;
    int rc = buf_printf(out, "{\"index\":%u,\"%s\":", c->index, completions ? "text" : "message");
    if (!rc)
        rc = said->kind ? tree_write(out, said) : buf_append_str(out, completions ? "\"\"" : "{}");
    if (!rc)
        rc = buf_append_str(out, ",\"finish_reason\":");
    if (!rc)
        rc =
            c->finish.p ? buf_append(out, c->finish.p, c->finish.len) : buf_append_str(out, "null");
    if (!rc && c->logprobs.kind) {
        rc = buf_append_str(out, ",\"logprobs\":");
        if (!rc)
            rc = tree_write(out, &c->logprobs);
    }
    for (size_t i = 0; i < c->other.count && !rc; i++) {
        struct tree_item *m = &c->other.items[i];
        rc = buf_append_u8(out, ',');
        if (!rc)
            rc = buf_append(out, m->key.p, m->key.len);
        if (!rc)
            rc = buf_append_u8(out, ':');
        if (!rc)
            rc = tree_write(out, &m->value);
    }
    return rc ? rc : buf_append_u8(out, '}');
}

static int write_choices(struct buf *out, struct chat *a) {
    if (a->count)
        qsort(a->choices, a->count, sizeof *a->choices, by_choice);
    int rc = buf_append_u8(out, '[');
    for (size_t i = 0; i < a->count && !rc; i++) {
        rc = i ? buf_append_u8(out, ',') : 0;
        if (!rc)
            rc = write_choice(out, &a->choices[i], a->completions);
    }
    return rc ? rc : buf_append_u8(out, ']');
}

static int write_answer(struct buf *out, void *state) {
    struct chat *a = state;
    int rc = buf_append_u8(out, '{');
    for (size_t i = 0; i < a->top.count && !rc; i++) {
        struct tree_item *m = &a->top.items[i];
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
            rc = tree_write(out, &m->value);
    }
    return rc ? rc : buf_append_u8(out, '}');
}

/* ---- the assemblers ---- */

static int chat_add(void *state, struct jv event, const uint8_t *type, size_t type_len) {
    return add_event(state, event, type, type_len);
}

static int completions_add(void *state, struct jv event, const uint8_t *type, size_t type_len) {
    struct chat *a = state;
    a->completions = true;
    return add_event(a, event, type, type_len);
}

static bool chat_empty(const void *state) {
    const struct chat *a = state;
    return a->top.count == 0;
}

static void chat_wipe(void *state) {
    struct chat *a = state;
    tree_wipe(&a->top);
    for (size_t i = 0; i < a->count; i++) {
        tree_wipe(&a->choices[i].message);
        tree_wipe(&a->choices[i].text);
        tree_wipe(&a->choices[i].logprobs);
        tree_wipe(&a->choices[i].other);
    }
    free(a->choices);
}

const struct assembler assembler_chat = {sizeof(struct chat), chat_add, chat_empty, write_answer,
                                         chat_wipe};
const struct assembler assembler_completions = {sizeof(struct chat), completions_add, chat_empty,
                                                write_answer, chat_wipe};
