/*
 * The assembly of Anthropic's message streams (doc/turn.md): the message of `message_start`, its
 * content blocks grown by their deltas, and what `message_delta` says at the end.
 */
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "llm/assemble_int.h"

#define BLOCKS_MAX 1024

struct messages {
    struct tree_budget budget;
    struct tree top; /* the message, or what an error says if none began */
    struct tree blocks, usage, unknown;
    bool started;
};

static int set_member(struct messages *m, struct jv key, struct jv value) {
    struct tree *member;
    int rc = tree_member(&m->budget, &m->top, key, &member);
    if (!rc)
        tree_set(member, value);
    return rc;
}

static int add_start(struct messages *m, struct jv event) {
    struct jv key, value, message = jv_get(event, "message");
    int rc = 0;
    if (!jv_is_object(message) || m->started)
        return ERR_SYNTAX;
    m->started = true;
    for (size_t pos = 0; !rc && jv_each(message, &pos, &key, &value);) {
        if (jv_equals(key, "usage") && jv_is_object(value))
            rc = tree_update(&m->budget, &m->usage, value);
        if (!rc)
            rc = set_member(m, key, value);
    }
    return rc;
}

/* A block that begins twice begins anew. */
static int begin_block(struct messages *m, struct jv event) {
    struct tree *block;
    struct jv v = jv_get(event, "content_block");
    uint32_t index = jv_u32(jv_get(event, "index"), UINT32_MAX);
    if (!jv_is_object(v) || index == UINT32_MAX || !m->started)
        return ERR_SYNTAX;
    int rc = tree_at(&m->budget, &m->blocks, index, BLOCKS_MAX, &block);
    if (rc)
        return rc;
    tree_wipe(block);
    block->kind = TREE_OBJECT;
    return tree_update(&m->budget, block, v);
}

/* `partial_json` grows beside `input` until the end; a citation is one more; other strings grow,
 * but a signature comes whole. */
static int add_delta(struct messages *m, struct tree *block, struct jv delta) {
    struct jv key, value;
    struct tree *member = NULL;
    int rc = 0;
    for (size_t pos = 0; !rc && jv_each(delta, &pos, &key, &value);) {
        if (jv_equals(key, "type"))
            continue;
        bool citation = jv_equals(key, "citation");
        rc = tree_member(&m->budget, block, citation ? TREE_KEY("citations") : key, &member);
        if (rc)
            break;
        if (citation)
            rc = tree_push(member, value);
        else if (jv_is_string(value) && !jv_equals(key, "signature"))
            rc = tree_append(member, value);
        else if (!jv_is_null(value) || tree_is_vacant(member))
            tree_set(member, value);
    }
    return rc;
}

static int grow_block(struct messages *m, struct jv event) {
    struct tree *block;
    struct jv delta = jv_get(event, "delta");
    uint32_t index = jv_u32(jv_get(event, "index"), UINT32_MAX);
    size_t known = m->blocks.count;
    if (!jv_is_object(delta))
        return ERR_SYNTAX;
    int rc = tree_at(&m->budget, &m->blocks, index, BLOCKS_MAX, &block);
    if (!rc && m->blocks.count != known)
        rc = ERR_SYNTAX; /* of a block that never began */
    return rc ? rc : add_delta(m, block, delta);
}

/* The end: the members of `delta`, counts that replace the first ones, and what stands beside. */
static int add_end(struct messages *m, struct jv event) {
    struct jv key, value;
    int rc = m->started ? 0 : ERR_SYNTAX;
    for (size_t pos = 0; !rc && jv_each(event, &pos, &key, &value);) {
        if (jv_equals(key, "type"))
            continue;
        if (jv_equals(key, "delta"))
            rc = tree_update(&m->budget, &m->top, value);
        else if (jv_equals(key, "usage") && jv_is_object(value))
            rc = tree_update(&m->budget, &m->usage, value);
        else if (!jv_is_null(value))
            rc = set_member(m, key, value);
    }
    return rc;
}

static int add_error(struct messages *m, struct jv event) {
    struct jv error = jv_get(event, "error");
    if (!m->started && error.p)
        return tree_update(&m->budget, &m->top, event);
    return set_member(m, TREE_KEY("error"), error.p ? error : event);
}

static int messages_add(void *state, struct jv event, const uint8_t *name, size_t name_len) {
    struct messages *m = state;
    struct jv type = jv_get(event, "type");
    if (jv_equals(type, "message_start"))
        return add_start(m, event);
    if (jv_equals(type, "content_block_start"))
        return begin_block(m, event);
    if (jv_equals(type, "content_block_delta"))
        return grow_block(m, event);
    if (jv_equals(type, "message_delta"))
        return add_end(m, event);
    if (jv_equals(type, "error") || assemble_is_error(name, name_len))
        return add_error(m, event);
    if (jv_equals(type, "ping") || jv_equals(type, "content_block_stop") ||
        jv_equals(type, "message_stop"))
        return 0;
    return jv_is_string(type) ? tree_push(&m->unknown, event) : ERR_SYNTAX;
}

/* ---- writing ---- */

/* The fragments of a tool's input are one JSON text, as characters of strings. Whole, it is the
 * block's `input`; cut, it stays beside it as it came. */
static int finish_input(struct messages *m, struct tree *block) {
    struct tree *input, *partial = tree_find(block, "partial_json");
    struct buf quoted, text;
    struct jv v;
    if (!partial || partial->kind != TREE_TEXT || partial != &block->items[block->count - 1].value)
        return 0;
    buf_init(&quoted, LIMIT_ANSWER_BODY);
    buf_init(&text, LIMIT_ANSWER_BODY);
    int rc = tree_write(&quoted, partial);
    if (!rc)
        rc = jv_text((struct jv){quoted.p, quoted.len}, &text);
    bool whole = !rc && text.len && jv_parse(&v, text.p, text.len) == 0;
    if (!rc && (whole || !text.len)) {
        tree_wipe(partial);
        block->count--;
    }
    if (whole)
        rc = tree_member(&m->budget, block, TREE_KEY("input"), &input);
    if (whole && !rc) {
        tree_become(input, TREE_MADE);
        rc = buf_append(&input->text, v.p, v.len);
    }
    buf_wipe(&quoted);
    buf_wipe(&text);
    return rc;
}

static int messages_write(struct buf *out, void *state) {
    struct messages *m = state;
    int rc = 0;
    for (size_t i = 0; i < m->blocks.count && !rc; i++)
        rc = finish_input(m, &m->blocks.items[i].value);
    if (!rc)
        rc = tree_put(&m->budget, &m->top, TREE_KEY("content"), &m->blocks);
    if (!rc)
        rc = tree_put(&m->budget, &m->top, TREE_KEY("usage"), &m->usage);
    if (!rc)
        rc = tree_put(&m->budget, &m->top, TREE_KEY("events"), &m->unknown);
    return rc ? rc : tree_write(out, &m->top);
}

static bool messages_empty(const void *state) {
    const struct messages *m = state;
    return m->top.count == 0;
}

static void messages_wipe(void *state) {
    struct messages *m = state;
    tree_wipe(&m->top);
    tree_wipe(&m->blocks);
    tree_wipe(&m->usage);
    tree_wipe(&m->unknown);
}

const struct assembler assembler_messages = {sizeof(struct messages), messages_add, messages_empty,
                                             messages_write, messages_wipe};
