/*
 * The assembly of Responses streams (doc/turn.md). The last event of a whole stream carries the
 * answer; of a cut one, `output` is put together from the items and their deltas as far as they
 * came.
 */
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "llm/assemble_int.h"

#define ITEMS_MAX 1024 /* of one answer's output */
#define PARTS_MAX 1024 /* of one item */

struct responses {
    struct tree_budget budget;
    struct jv response; /* the last one that an event had */
    bool whole;         /* it came with a terminal event */
    struct jv error;
    struct tree output, unknown;
};

/* Events that begin or grow a part of an item: in which array it is, by which index, and what
 * grows there. Without an array it is the item itself. */
struct growth {
    const char *type, *index;
    struct jv parts, member;
};

static const struct growth deltas[] = {
    {"response.output_text.delta", "content_index", TREE_KEY_INIT("content"),
     TREE_KEY_INIT("text")},
    {"response.refusal.delta", "content_index", TREE_KEY_INIT("content"), TREE_KEY_INIT("refusal")},
    {"response.reasoning_text.delta", "content_index", TREE_KEY_INIT("content"),
     TREE_KEY_INIT("text")},
    {"response.reasoning_summary_text.delta", "summary_index", TREE_KEY_INIT("summary"),
     TREE_KEY_INIT("text")},
    {"response.function_call_arguments.delta", NULL, {0}, TREE_KEY_INIT("arguments")},
    {"response.mcp_call_arguments.delta", NULL, {0}, TREE_KEY_INIT("arguments")},
    {"response.custom_tool_call_input.delta", NULL, {0}, TREE_KEY_INIT("input")},
    {"response.code_interpreter_call_code.delta", NULL, {0}, TREE_KEY_INIT("code")},
};
static const struct growth parts[] = {
    {"response.content_part.added", "content_index", TREE_KEY_INIT("content"), {0}},
    {"response.reasoning_summary_part.added", "summary_index", TREE_KEY_INIT("summary"), {0}},
};

static const struct growth *growth_of(const struct growth *table, size_t n, struct jv type) {
    for (size_t i = 0; i < n; i++)
        if (jv_equals(type, table[i].type))
            return &table[i];
    return NULL;
}
#define GROWTH(table, type) growth_of(table, sizeof(table) / sizeof *(table), type)

static int item_of(struct responses *r, struct jv event, struct tree **ret) {
    uint32_t index = jv_u32(jv_get(event, "output_index"), UINT32_MAX);
    if (index == UINT32_MAX)
        return ERR_SYNTAX;
    return tree_at(&r->budget, &r->output, index, ITEMS_MAX, ret);
}

static int add_item(struct responses *r, struct jv event, bool done) {
    struct tree *item;
    struct jv v = jv_get(event, "item");
    int rc = jv_is_object(v) ? item_of(r, event, &item) : ERR_SYNTAX;
    if (rc)
        return rc;
    tree_set(item, v);
    if (done)
        return 0;
    tree_wipe(item);
    item->kind = TREE_OBJECT;
    return tree_update(&r->budget, item, v);
}

/* Where the event's part grows; NULL: nowhere, its item is whole. */
static int part_of(struct responses *r, const struct growth *g, struct jv event,
                   struct tree **ret) {
    struct tree *item, *array;
    *ret = NULL;
    int rc = item_of(r, event, &item);
    if (rc || item->kind == TREE_RAW)
        return rc;
    item->kind = TREE_OBJECT;
    *ret = item;
    if (!g->index)
        return 0;
    rc = tree_member(&r->budget, item, g->parts, &array);
    return rc ? rc : tree_at(&r->budget, array, jv_u32(jv_get(event, g->index), 0), PARTS_MAX, ret);
}

static int add_part(struct responses *r, const struct growth *g, struct jv event) {
    struct tree *part;
    int rc = part_of(r, g, event, &part);
    return rc || !part ? rc : tree_update(&r->budget, part, jv_get(event, "part"));
}

static int add_delta(struct responses *r, const struct growth *g, struct jv event) {
    struct tree *part, *member;
    struct jv delta = jv_get(event, "delta");
    int rc = jv_is_string(delta) ? part_of(r, g, event, &part) : ERR_SYNTAX;
    if (rc || !part)
        return rc;
    rc = tree_member(&r->budget, part, g->member, &member);
    return rc ? rc : tree_append(member, delta);
}

/* Steps whose outcome another event says again. */
static bool is_step(struct jv type) {
    static const char *const ends[] = {".done\"",      ".in_progress\"", ".completed\"",
                                       ".searching\"", ".generating\"",  ".interpreting\"",
                                       ".added\"",     ".failed\""};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (type.len > n && !memcmp(type.p + type.len - n, ends[i], n))
            return true;
    }
    return false;
}

static int responses_add(void *state, struct jv event, const uint8_t *name, size_t name_len) {
    struct responses *r = state;
    struct jv type = jv_get(event, "type"), response = jv_get(event, "response");
    struct jv error = jv_get(event, "error");
    const struct growth *g;
    if (jv_is_object(response)) {
        r->response = response;
        r->whole = jv_equals(type, "response.completed") || jv_equals(type, "response.failed") ||
                   jv_equals(type, "response.incomplete");
        return 0;
    }
    if (jv_equals(type, "error") || assemble_is_error(name, name_len) ||
        (!type.p && jv_is_object(error))) {
        r->error = jv_is_object(error) ? error : event;
        return 0;
    }
    if (jv_equals(type, "response.output_item.added"))
        return add_item(r, event, false);
    if (jv_equals(type, "response.output_item.done"))
        return add_item(r, event, true);
    if ((g = GROWTH(parts, type)))
        return add_part(r, g, event);
    if ((g = GROWTH(deltas, type)))
        return add_delta(r, g, event);
    if (is_step(type))
        return 0;
    return jv_is_string(type) ? tree_push(&r->unknown, event) : ERR_SYNTAX;
}

static bool responses_empty(const void *state) {
    const struct responses *r = state;
    return !r->response.p && !r->error.p && !r->output.count;
}

static int responses_write(struct buf *out, void *state) {
    struct responses *r = state;
    struct tree top = {.kind = TREE_OBJECT}, error = {0};
    if (r->whole && !r->error.p)
        return buf_append(out, r->response.p, r->response.len);
    int rc = tree_update(&r->budget, &top, r->response);
    if (!rc && !r->whole)
        rc = tree_put(&r->budget, &top, TREE_KEY("output"), &r->output);
    if (!rc && !r->whole)
        rc = tree_put(&r->budget, &top, TREE_KEY("events"), &r->unknown);
    if (r->error.p)
        tree_set(&error, r->error);
    if (!rc)
        rc = tree_put(&r->budget, &top, TREE_KEY("error"), &error);
    if (!rc)
        rc = tree_write(out, &top);
    tree_wipe(&top);
    return rc;
}

static void responses_wipe(void *state) {
    struct responses *r = state;
    tree_wipe(&r->output);
    tree_wipe(&r->unknown);
}

const struct assembler assembler_responses = {sizeof(struct responses), responses_add,
                                              responses_empty, responses_write, responses_wipe};
