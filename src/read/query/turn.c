/*
 * Turns and exchanges of turn.h: following doc/turn.md backwards. Runs in the command line, on opened
 * text. Everything is copied from slices of what the client sent; nothing is parsed into values.
 */
#include "read/query/turn.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"

enum turn_shape turn_shape_of(const char *dialect) {
    static const struct {
        const char *dialect;
        enum turn_shape shape;
    } table[] = {{"anthropic.messages", TURN_MESSAGES},
                 {"openai.responses", TURN_RESPONSES},
                 {"openai.completions", TURN_COMPLETIONS}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].dialect, dialect))
            return table[i].shape;
    return TURN_CHAT;
}

int turn_parse(struct turn *ret, const void *text, size_t len, uint32_t kept) {
    struct jv doc;
    int rc = jv_parse(&doc, text, len);
    if (rc)
        return rc;
    if (!jv_is_object(doc))
        return ERR_SYNTAX;
    *ret = (struct turn){
        .messages = jv_get(doc, "messages"),
        .replayed = jv_get(doc, "replayed"),
        .tools = jv_get(doc, "tools"),
        .params = jv_get(doc, "params"),
        .gone = jv_get(doc, "gone"),
        .answer = jv_get(doc, "answer"),
        .answer_text = jv_get(doc, "answer_text"),
        .answer_base64 = jv_get(doc, "answer_base64"),
        .tail = jv_get(doc, "tail"),
        .tail_base64 = jv_get(doc, "tail_base64"),
        .request_text = jv_get(doc, "request_text"),
        .request_base64 = jv_get(doc, "request_base64"),
        .streamed = jv_is_true(jv_get(doc, "streamed")),
        .status = (unsigned)jv_u32(jv_get(doc, "status"), 200),
        .outcome = "complete",
        .kept = kept,
    };
    struct jv outcome = jv_get(doc, "outcome");
    if (jv_is_string(outcome) && outcome.len - 2 < sizeof ret->outcome) {
        memcpy(ret->outcome, outcome.p + 1, outcome.len - 2);
        ret->outcome[outcome.len - 2] = 0;
    }
    return jv_is_array(ret->messages) ? 0 : ERR_SYNTAX;
}

static int add_message(struct exchange *e, struct jv message) {
    if (e->n == e->room) {
        size_t room = e->room ? e->room * 2 : 64;
        if (room > LIMIT_MESSAGES * 2)
            return ERR_LIMIT;
        struct jv *m = realloc(e->messages, room * sizeof *m);
        if (!m)
            return ERR_NOMEM;
        e->messages = m;
        e->room = room;
    }
    e->messages[e->n++] = message;
    return 0;
}

static bool has_name(struct jv names, struct jv name) {
    struct jv value;
    size_t pos = 0;
    while (jv_each(names, &pos, NULL, &value))
        if (value.len == name.len && memcmp(value.p, name.p, name.len) == 0)
            return true;
    return false;
}

static bool repeated_member(struct jv key) {
    static const char *const names[] = {"role",    "content",           "tool_calls", "function_call",
                                        "refusal", "reasoning_content", "audio",      "name"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (jv_equals(key, names[i]))
            return true;
    return false;
}

static int put_member(struct buf *out, struct jv key, struct jv value) {
    int rc = out->len > 1 ? buf_append_u8(out, ',') : 0;
    if (!rc)
        rc = buf_append(out, key.p, key.len);
    if (!rc)
        rc = buf_append_u8(out, ':');
    return rc ? rc : buf_append(out, value.p, value.len);
}

/* The answered message as the next request repeated it. */
static int put_together(struct buf *out, struct jv message, struct jv replayed) {
    struct jv key, value, without = jv_get(replayed, "without"),
                            with = jv_get(replayed, "with");
    size_t pos = 0;
    int rc = buf_append_u8(out, '{');
    while (!rc && jv_each(message, &pos, &key, &value))
        if (repeated_member(key) && !jv_is_empty(value) && !has_name(without, key))
            rc = put_member(out, key, value);
    for (pos = 0; !rc && jv_each(with, &pos, &key, &value);)
        rc = put_member(out, key, value);
    return rc ? rc : buf_append_u8(out, '}');
}

/* Room for a message that has to be put together; NULL without memory. */
static struct buf *add_made(struct exchange *e) {
    struct buf *made = realloc(e->made, (e->made_n + 1) * sizeof *made);
    if (!made)
        return NULL;
    e->made = made;
    buf_init(&made[e->made_n], LIMIT_TURN_PLAIN);
    return &made[e->made_n++];
}

/* Anthropic: the content under its role. */
static int add_content(struct exchange *e, const struct turn *parent, const struct turn *child) {
    struct jv content = jv_get(parent->answer, "content");
    struct buf *b;
    if (!content.p || content.p[0] != '[' || jv_count(content) == 0)
        return 0;
    if (!(b = add_made(e)))
        return ERR_NOMEM;
    int rc = buf_append_str(b, "{\"role\":\"assistant\",\"content\":");
    if (!rc)
        rc = buf_append(b, content.p, content.len);
    if (!rc)
        rc = buf_append_u8(b, '}');
    struct jv message = {b->p, b->len};
    if (rc || !child->replayed.p)
        return rc ? rc : add_message(e, message);
    if (!(b = add_made(e)))
        return ERR_NOMEM;
    rc = put_together(b, message, child->replayed);
    return rc ? rc : add_message(e, (struct jv){b->p, b->len});
}

/* Responses: the items, one after another. */
static int add_output(struct exchange *e, const struct turn *parent) {
    struct jv output = jv_get(parent->answer, "output"), item;
    size_t pos = 0;
    int rc = 0;
    if (!output.p || output.p[0] != '[')
        return 0;
    for (size_t n = 0; !rc && n < LIMIT_CHOICES && jv_each(output, &pos, NULL, &item); n++) {
        if (item.p[0] != '{')
            break;
        rc = add_message(e, item);
    }
    return rc;
}

/* Adds the answer of `parent` to the history, as `child` repeated it. */
static int add_answer(struct exchange *e, const struct turn *parent, const struct turn *child) {
    if (parent->shape == TURN_MESSAGES)
        return add_content(e, parent, child);
    if (parent->shape == TURN_RESPONSES)
        return add_output(e, parent);
    size_t choice = (size_t)jv_u32(jv_get(child->replayed, "choice"), 0);
    struct jv message =
        jv_get(jv_at(jv_get(parent->answer, "choices"), choice), "message");
    if (!jv_is_object(message))
        return 0; /* there was none: an error, or nothing came */
    if (!child->replayed.p)
        return add_message(e, message);
    struct buf *b = add_made(e);
    if (!b)
        return ERR_NOMEM;
    int rc = put_together(b, message, child->replayed);
    return rc ? rc : add_message(e, (struct jv){b->p, b->len});
}

int exchange_build(struct exchange *ret, const struct turn *turns, size_t n) {
    struct exchange *e = ret;
    int rc = 0;
    *e = (struct exchange){0};
    for (size_t i = 0; !rc && i < n; i++) {
        const struct turn *t = &turns[i];
        struct jv message, name;
        size_t pos = 0;
        if (i > 0)
            rc = add_answer(e, &turns[i - 1], t);
        if (!rc && t->kept > e->n)
            rc = ERR_CORRUPT;
        if (rc)
            break;
        e->n = t->kept;
        while (!rc && jv_each(t->messages, &pos, NULL, &message))
            rc = add_message(e, message);
        if (t->params.p)
            e->params = t->params;
        if (t->tools.p)
            e->tools = t->tools;
        for (pos = 0; jv_each(t->gone, &pos, NULL, &name);)
            if (jv_equals(name, "tools"))
                e->tools = (struct jv){0};
        e->last = t;
    }
    return rc ? rc : e->last ? 0 : ERR_NOTFOUND;
}

void exchange_done(struct exchange *e) {
    for (size_t i = 0; i < e->made_n; i++)
        buf_wipe(&e->made[i]);
    free(e->made);
    free(e->messages);
    *e = (struct exchange){0};
}

/* The member that holds the messages; after it comes what else there is. */
static int put_messages(const struct exchange *e, struct buf *out) {
    bool responses = e->last->shape == TURN_RESPONSES;
    int rc = buf_append_str(out, responses ? "\"input\":[" : "\"messages\":[");
    for (size_t i = 0; !rc && i < e->n; i++) {
        rc = i ? buf_append_u8(out, ',') : 0;
        if (!rc)
            rc = buf_append(out, e->messages[i].p, e->messages[i].len);
    }
    return rc ? rc : buf_append_str(out, "],");
}

int exchange_request(const struct exchange *e, struct buf *out) {
    struct jv key, value, text = e->last->request_text;
    size_t pos = 0;
    if (text.p || e->last->request_base64.p)
        return text.p ? buf_append(out, text.p, text.len) : buf_append_str(out, "null");
    int rc = buf_append_u8(out, '{');
    while (!rc && jv_each(e->params, &pos, &key, &value)) {
        rc = buf_append(out, key.p, key.len);
        if (!rc)
            rc = buf_append_u8(out, ':');
        if (!rc)
            rc = buf_append(out, value.p, value.len);
        if (!rc)
            rc = buf_append_u8(out, ',');
    }
    bool always = e->last->shape == TURN_CHAT || e->last->shape == TURN_MESSAGES;
    if (!rc && (e->n || always))
        rc = put_messages(e, out);
    if (!rc && e->tools.p) {
        rc = buf_append_str(out, "\"tools\":");
        if (!rc)
            rc = buf_append(out, e->tools.p, e->tools.len);
    } else if (!rc && out->p[out->len - 1] == ',') {
        out->len--; /* after the last member */
    }
    return rc ? rc : buf_append_u8(out, '}');
}

int exchange_response(const struct exchange *e, struct buf *out) {
    const struct turn *t = e->last;
    struct jv v = t->answer.p ? t->answer : t->answer_text;
    return v.p ? buf_append(out, v.p, v.len) : buf_append_str(out, "null");
}

int exchange_rest(const struct exchange *e, struct buf *out) {
    const struct turn *t = e->last;
    const struct {
        const char *name;
        struct jv value;
    } members[] = {{"request_base64", t->request_base64},
                   {"response_base64", t->answer_base64},
                   {"tail", t->tail},
                   {"tail_base64", t->tail_base64}};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof members / sizeof members[0]; i++) {
        if (!members[i].value.p)
            continue;
        rc = buf_printf(out, ",\"%s\":", members[i].name);
        if (!rc)
            rc = buf_append(out, members[i].value.p, members[i].value.len);
    }
    return rc;
}
