/*
 * Conversations for a person's eyes: exchange_render of turn.h. Text came from outside, so control
 * characters other than line breaks and tabs are shown instead of being sent to the terminal.
 */
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "read/query/format.h"
#include "read/query/turn.h"

/* Lines are kept as lines, indented by two; everything else as format_escape shows it. */
static int put_text(struct buf *out, const uint8_t *p, size_t len) {
    int rc = 0;
    while (!rc && len > 0) {
        const uint8_t *eol = memchr(p, '\n', len);
        size_t n = eol ? (size_t)(eol - p) : len;
        rc = buf_append_str(out, "  ");
        for (size_t at = 0; !rc && at < n;) {
            const uint8_t *tab = memchr(p + at, '\t', n - at);
            size_t part = tab ? (size_t)(tab - p) - at : n - at;
            rc = format_escape(FORMAT_PRETTY, out, p + at, part);
            at += part;
            if (!rc && tab) {
                rc = buf_append_u8(out, '\t');
                at++;
            }
        }
        if (!rc)
            rc = buf_append_u8(out, '\n');
        n += eol ? 1 : 0;
        p += n;
        len -= n;
    }
    return rc;
}

static int put_string(struct buf *out, struct jv string) {
    struct buf text;
    buf_init(&text, LIMIT_TURN_PLAIN);
    int rc = jv_text(string, &text);
    if (!rc)
        rc = put_text(out, text.p, text.len);
    buf_wipe(&text);
    return rc;
}

/* A word inside a line: a role, a name, an id. */
static int put_word(struct buf *out, struct jv string) {
    struct buf text;
    buf_init(&text, LIMIT_TURN_PLAIN);
    int rc = jv_text(string, &text);
    if (!rc)
        rc = format_escape(FORMAT_PRETTY, out, text.p, text.len);
    buf_wipe(&text);
    return rc;
}

static int put_labelled(struct buf *out, const char *label, struct jv string) {
    int rc = buf_append_str(out, label);
    return rc ? rc : put_word(out, string);
}

/* A part of a list of content: its text, or its type in brackets. */
static int put_part(struct buf *out, struct jv part) {
    struct jv text = jv_get(part, "text"), type = jv_get(part, "type");
    if (jv_is_string(text))
        return put_string(out, text);
    int rc = buf_append_str(out, "  [");
    if (!rc && jv_is_string(type))
        rc = put_word(out, type);
    return rc ? rc : buf_append_str(out, "]\n");
}

static bool is_text(struct jv v) {
    return v.p && v.p[0] == '"' && v.len > 2;
}

/* A string as it reads, other values as they are written. */
static int put_value(struct buf *out, struct jv v) {
    if (v.p && v.p[0] == '"')
        return put_string(out, v);
    return v.p ? put_text(out, (const uint8_t *)v.p, v.len) : 0;
}

static int put_name_and_id(struct buf *out, const char *label, struct jv name, struct jv id) {
    int rc = buf_append_str(out, label);
    if (!rc && is_text(name))
        rc = put_word(out, name);
    if (!rc && is_text(id))
        rc = put_labelled(out, "  ", id);
    return rc ? rc : buf_append_u8(out, '\n');
}

static int put_thought(struct buf *out, struct jv thought) {
    int rc = buf_append_str(out, "  (thinking)\n");
    return rc || !is_text(thought) ? rc : put_string(out, thought);
}

static int put_content(struct buf *out, struct jv content);

/* Anthropic's parts that are more than text: thoughts, tool calls and their results. */
static int put_block(struct buf *out, struct jv part) {
    struct jv type = jv_get(part, "type");
    if (is_text(part))
        return put_string(out, part);
    if (jv_equals(type, "thinking"))
        return put_thought(out, jv_get(part, "thinking"));
    if (jv_equals(type, "tool_use") || jv_equals(type, "server_tool_use")) {
        int rc = put_name_and_id(out, "  calls ", jv_get(part, "name"), jv_get(part, "id"));
        return rc ? rc : put_value(out, jv_get(part, "input"));
    }
    if (jv_equals(type, "tool_result")) {
        int rc = put_name_and_id(out, "  result for ", jv_get(part, "tool_use_id"),
                                 (struct jv){0});
        return rc ? rc : put_content(out, jv_get(part, "content"));
    }
    return put_part(out, part);
}

static int put_content(struct buf *out, struct jv content) {
    struct jv part;
    size_t pos = 0;
    int rc = 0;
    if (jv_is_string(content))
        return put_string(out, content);
    while (!rc && jv_each(content, &pos, NULL, &part))
        rc = put_block(out, part);
    return rc;
}

static int put_call(struct buf *out, struct jv call) {
    struct jv f = jv_get(call, "function"), id = jv_get(call, "id");
    struct jv arguments = jv_get(f, "arguments");
    int rc = buf_append_str(out, "  calls ");
    if (!rc && jv_is_string(jv_get(f, "name")))
        rc = put_word(out, jv_get(f, "name"));
    if (!rc && jv_is_string(id))
        rc = put_labelled(out, "  ", id);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    return rc || !jv_is_string(arguments) ? rc : put_string(out, arguments);
}

static int put_message(struct buf *out, struct jv message) {
    struct jv role = jv_get(message, "role"), name = jv_get(message, "name"), call;
    struct jv answers = jv_get(message, "tool_call_id");
    struct jv thought = jv_get(message, "reasoning_content");
    size_t pos = 0;
    int rc = buf_append_u8(out, '\n');
    if (!rc && jv_is_string(role))
        rc = put_word(out, role);
    if (!rc && jv_is_string(name))
        rc = put_labelled(out, " ", name);
    if (!rc && jv_is_string(answers))
        rc = put_labelled(out, " for ", answers);
    if (!rc)
        rc = buf_append_str(out, ":\n");
    if (!rc && jv_is_string(thought) && thought.len > 2) {
        rc = buf_append_str(out, "  (thinking)\n");
        if (!rc)
            rc = put_string(out, thought);
        if (!rc)
            rc = buf_append_str(out, "  (answer)\n");
    }
    if (!rc)
        rc = put_content(out, jv_get(message, "content"));
    if (!rc && jv_is_string(jv_get(message, "refusal")))
        rc = put_string(out, jv_get(message, "refusal"));
    while (!rc && jv_each(jv_get(message, "tool_calls"), &pos, NULL, &call))
        rc = put_call(out, call);
    return rc;
}

/* Bytes from outside that are no message: a text, or base64 of what is none. */
static int put_outside(struct buf *out, const char *label, struct jv text, struct jv base64) {
    if (!text.p && !base64.p)
        return 0;
    int rc = buf_printf(out, "\n%s%s:\n", label, text.p ? "" : ", in base64");
    return rc ? rc : put_string(out, text.p ? text : base64);
}

static int put_choices(struct buf *out, const struct turn *t) {
    struct jv choices = jv_get(t->answer, "choices"), choice;
    size_t pos = 0, n = jv_count(choices);
    int rc = 0;
    while (!rc && jv_each(choices, &pos, NULL, &choice)) {
        struct jv finish = jv_get(choice, "finish_reason");
        rc = put_message(out, jv_get(choice, "message"));
        if (!rc && n > 1 && jv_get(choice, "index").p)
            rc = buf_printf(out, "  -- choice %.*s\n", (int)jv_get(choice, "index").len,
                            jv_get(choice, "index").p);
        if (!rc && jv_is_string(finish) && !jv_equals(finish, "stop")) {
            rc = put_labelled(out, "  -- finished: ", finish);
            if (!rc)
                rc = buf_append_u8(out, '\n');
        }
    }
    return rc;
}

static int put_answer(struct buf *out, const struct turn *t) {
    const struct jv none = {0};
    struct jv error = jv_get(jv_get(t->answer, "error"), "message");
    bool other = t->answer_text.p || t->answer_base64.p || t->tail.p || t->tail_base64.p;
    int rc = 0;
    if (!jv_is_string(error))
        error = none;
    if (jv_count(jv_get(t->answer, "choices")) > 0) {
        rc = put_choices(out, t);
    } else if (t->answer.p && !error.p) {
        rc = buf_append_str(out, "\nanswer:\n");
        if (!rc)
            rc = put_text(out, (const uint8_t *)t->answer.p, t->answer.len);
    } else if (!t->answer.p && !other) {
        rc = buf_append_str(out, "\nanswer:\n  [none]\n");
    }
    if (!rc)
        rc = put_outside(out, "answer", t->answer_text, t->answer_base64);
    if (!rc)
        rc = put_outside(out, "error", error, none);
    return rc ? rc : put_outside(out, "cut in the middle of", t->tail, t->tail_base64);
}

/* An item of a Responses conversation, or a message. */
static int put_item(struct buf *out, struct jv item) {
    struct jv type = jv_get(item, "type"), call = jv_get(item, "call_id"), part;
    size_t pos = 0;
    int rc = 0;
    if (jv_get(item, "role").p || !is_text(type))
        return put_message(out, item);
    if (jv_equals(type, "function_call") || jv_equals(type, "custom_tool_call")) {
        struct jv arguments = jv_get(item, "arguments");
        rc = put_name_and_id(out, "\nassistant:\n  calls ", jv_get(item, "name"), call);
        return rc ? rc : put_value(out, arguments.p ? arguments : jv_get(item, "input"));
    }
    if (jv_equals(type, "function_call_output") || jv_equals(type, "custom_tool_call_output")) {
        rc = put_name_and_id(out, "\ntool for ", call, (struct jv){0});
        return rc ? rc : put_content(out, jv_get(item, "output"));
    }
    if (jv_equals(type, "reasoning")) {
        rc = buf_append_str(out, "\nassistant:\n");
        while (!rc && jv_each(jv_get(item, "summary"), &pos, NULL, &part))
            rc = put_thought(out, jv_get(part, "text"));
        return rc;
    }
    rc = put_labelled(out, "\n", type);
    if (!rc)
        rc = buf_append_str(out, ":\n");
    return rc ? rc : put_value(out, item);
}

/* How it ended, unless as usual. */
static int put_finish(struct buf *out, struct jv finish, const char *usual) {
    if (!is_text(finish) || jv_equals(finish, usual))
        return 0;
    int rc = put_labelled(out, "  -- finished: ", finish);
    return rc ? rc : buf_append_u8(out, '\n');
}

/* The answer, if it has what its dialect answers with; *ret_said tells. */
static int put_said(struct buf *out, const struct turn *t, bool *ret_said) {
    struct jv list = jv_get(t->answer, t->shape == TURN_MESSAGES    ? "content"
                                           : t->shape == TURN_RESPONSES ? "output"
                                                                        : "choices");
    struct jv item, none = {0};
    size_t pos = 0;
    int rc = 0;
    *ret_said = t->shape != TURN_CHAT && jv_count(list) > 0;
    if (!*ret_said)
        return 0;
    if (t->shape == TURN_MESSAGES)
        rc = put_message(out, t->answer);
    while (!rc && t->shape != TURN_MESSAGES && jv_each(list, &pos, NULL, &item)) {
        if (t->shape == TURN_RESPONSES) {
            rc = put_item(out, item);
            continue;
        }
        rc = put_name_and_id(out, "\nanswer:", none, none);
        if (!rc)
            rc = put_content(out, jv_get(item, "text"));
        if (!rc)
            rc = put_finish(out, jv_get(item, "finish_reason"), "stop");
    }
    if (!rc && t->shape == TURN_MESSAGES)
        rc = put_finish(out, jv_get(t->answer, "stop_reason"), "end_turn");
    if (!rc && t->shape == TURN_RESPONSES)
        rc = put_finish(out, jv_get(t->answer, "status"), "completed");
    struct jv error = jv_get(jv_get(t->answer, "error"), "message");
    if (!rc && is_text(error))
        rc = put_outside(out, "error", error, none);
    return rc ? rc : put_outside(out, "cut in the middle of", t->tail, t->tail_base64);
}

/* What other dialects say beside their messages. */
static int put_spoken(struct buf *out, const struct exchange *e) {
    static const char *const names[] = {"system", "instructions", "prompt", "input"};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof names / sizeof names[0]; i++) {
        struct jv v = jv_get(e->params, names[i]);
        if (e->last->shape == TURN_CHAT || (!is_text(v) && jv_count(v) == 0))
            continue;
        rc = buf_printf(out, "\n%s:\n", names[i]);
        if (!rc)
            rc = v.p[0] == '[' ? put_content(out, v) : put_value(out, v);
    }
    return rc;
}

int exchange_render(const struct exchange *e, size_t from, struct buf *out) {
    bool said = false;
    int rc = put_outside(out, "request", e->last->request_text, e->last->request_base64);
    if (!rc && from == 0)
        rc = put_spoken(out, e);
    for (size_t i = from; !rc && i < e->n; i++)
        rc = put_item(out, e->messages[i]);
    if (!rc)
        rc = put_said(out, e->last, &said);
    return rc || said ? rc : put_answer(out, e->last);
}
