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

static int put_string(struct buf *out, struct json string) {
    struct buf text;
    buf_init(&text, LIMIT_TURN_PLAIN);
    int rc = json_text(string, &text);
    if (!rc)
        rc = put_text(out, text.p, text.len);
    buf_wipe(&text);
    return rc;
}

/* A word inside a line: a role, a name, an id. */
static int put_word(struct buf *out, struct json string) {
    struct buf text;
    buf_init(&text, LIMIT_TURN_PLAIN);
    int rc = json_text(string, &text);
    if (!rc)
        rc = format_escape(FORMAT_PRETTY, out, text.p, text.len);
    buf_wipe(&text);
    return rc;
}

static int put_labelled(struct buf *out, const char *label, struct json string) {
    int rc = buf_append_str(out, label);
    return rc ? rc : put_word(out, string);
}

/* A part of a list of content: its text, or its type in brackets. */
static int put_part(struct buf *out, struct json part) {
    struct json text = json_get(part, "text"), type = json_get(part, "type");
    if (json_is(text, '"'))
        return put_string(out, text);
    int rc = buf_append_str(out, "  [");
    if (!rc && json_is(type, '"'))
        rc = put_word(out, type);
    return rc ? rc : buf_append_str(out, "]\n");
}

static bool is_text(struct json v) {
    return v.p && v.p[0] == '"' && v.len > 2;
}

/* A string as it reads, other values as they are written. */
static int put_value(struct buf *out, struct json v) {
    if (v.p && v.p[0] == '"')
        return put_string(out, v);
    return v.p ? put_text(out, (const uint8_t *)v.p, v.len) : 0;
}

static int put_name_and_id(struct buf *out, const char *label, struct json name, struct json id) {
    int rc = buf_append_str(out, label);
    if (!rc && is_text(name))
        rc = put_word(out, name);
    if (!rc && is_text(id))
        rc = put_labelled(out, "  ", id);
    return rc ? rc : buf_append_u8(out, '\n');
}

static int put_thought(struct buf *out, struct json thought) {
    int rc = buf_append_str(out, "  (thinking)\n");
    return rc || !is_text(thought) ? rc : put_string(out, thought);
}

static int put_content(struct buf *out, struct json content);

/* Anthropic's parts that are more than text: thoughts, tool calls and their results. */
static int put_block(struct buf *out, struct json part) {
    struct json type = json_get(part, "type");
    if (is_text(part))
        return put_string(out, part);
    if (json_equals(type, "thinking"))
        return put_thought(out, json_get(part, "thinking"));
    if (json_equals(type, "tool_use") || json_equals(type, "server_tool_use")) {
        int rc = put_name_and_id(out, "  calls ", json_get(part, "name"), json_get(part, "id"));
        return rc ? rc : put_value(out, json_get(part, "input"));
    }
    if (json_equals(type, "tool_result")) {
        int rc = put_name_and_id(out, "  result for ", json_get(part, "tool_use_id"),
                                 (struct json){0});
        return rc ? rc : put_content(out, json_get(part, "content"));
    }
    return put_part(out, part);
}

static int put_content(struct buf *out, struct json content) {
    struct json part;
    size_t pos = 0;
    int rc = 0;
    if (json_is(content, '"'))
        return put_string(out, content);
    while (!rc && json_each(content, &pos, NULL, &part))
        rc = put_block(out, part);
    return rc;
}

static int put_call(struct buf *out, struct json call) {
    struct json f = json_get(call, "function"), id = json_get(call, "id");
    struct json arguments = json_get(f, "arguments");
    int rc = buf_append_str(out, "  calls ");
    if (!rc && json_is(json_get(f, "name"), '"'))
        rc = put_word(out, json_get(f, "name"));
    if (!rc && json_is(id, '"'))
        rc = put_labelled(out, "  ", id);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    return rc || !json_is(arguments, '"') ? rc : put_string(out, arguments);
}

static int put_message(struct buf *out, struct json message) {
    struct json role = json_get(message, "role"), name = json_get(message, "name"), call;
    struct json answers = json_get(message, "tool_call_id");
    struct json thought = json_get(message, "reasoning_content");
    size_t pos = 0;
    int rc = buf_append_u8(out, '\n');
    if (!rc && json_is(role, '"'))
        rc = put_word(out, role);
    if (!rc && json_is(name, '"'))
        rc = put_labelled(out, " ", name);
    if (!rc && json_is(answers, '"'))
        rc = put_labelled(out, " for ", answers);
    if (!rc)
        rc = buf_append_str(out, ":\n");
    if (!rc && json_is(thought, '"') && thought.len > 2) {
        rc = buf_append_str(out, "  (thinking)\n");
        if (!rc)
            rc = put_string(out, thought);
        if (!rc)
            rc = buf_append_str(out, "  (answer)\n");
    }
    if (!rc)
        rc = put_content(out, json_get(message, "content"));
    if (!rc && json_is(json_get(message, "refusal"), '"'))
        rc = put_string(out, json_get(message, "refusal"));
    while (!rc && json_each(json_get(message, "tool_calls"), &pos, NULL, &call))
        rc = put_call(out, call);
    return rc;
}

/* Bytes from outside that are no message: a text, or base64 of what is none. */
static int put_outside(struct buf *out, const char *label, struct json text, struct json base64) {
    if (!text.p && !base64.p)
        return 0;
    int rc = buf_printf(out, "\n%s%s:\n", label, text.p ? "" : ", in base64");
    return rc ? rc : put_string(out, text.p ? text : base64);
}

static int put_choices(struct buf *out, const struct turn *t) {
    struct json choices = json_get(t->answer, "choices"), choice;
    size_t pos = 0, n = json_count(choices);
    int rc = 0;
    while (!rc && json_each(choices, &pos, NULL, &choice)) {
        struct json finish = json_get(choice, "finish_reason");
        rc = put_message(out, json_get(choice, "message"));
        if (!rc && n > 1 && json_get(choice, "index").p)
            rc = buf_printf(out, "  -- choice %.*s\n", (int)json_get(choice, "index").len,
                            json_get(choice, "index").p);
        if (!rc && json_is(finish, '"') && !json_equals(finish, "stop")) {
            rc = put_labelled(out, "  -- finished: ", finish);
            if (!rc)
                rc = buf_append_u8(out, '\n');
        }
    }
    return rc;
}

static int put_answer(struct buf *out, const struct turn *t) {
    const struct json none = {0};
    struct json error = json_get(json_get(t->answer, "error"), "message");
    bool other = t->answer_text.p || t->answer_base64.p || t->tail.p || t->tail_base64.p;
    int rc = 0;
    if (!json_is(error, '"'))
        error = none;
    if (json_count(json_get(t->answer, "choices")) > 0) {
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
static int put_item(struct buf *out, struct json item) {
    struct json type = json_get(item, "type"), call = json_get(item, "call_id"), part;
    size_t pos = 0;
    int rc = 0;
    if (json_get(item, "role").p || !is_text(type))
        return put_message(out, item);
    if (json_equals(type, "function_call") || json_equals(type, "custom_tool_call")) {
        struct json arguments = json_get(item, "arguments");
        rc = put_name_and_id(out, "\nassistant:\n  calls ", json_get(item, "name"), call);
        return rc ? rc : put_value(out, arguments.p ? arguments : json_get(item, "input"));
    }
    if (json_equals(type, "function_call_output") || json_equals(type, "custom_tool_call_output")) {
        rc = put_name_and_id(out, "\ntool for ", call, (struct json){0});
        return rc ? rc : put_content(out, json_get(item, "output"));
    }
    if (json_equals(type, "reasoning")) {
        rc = buf_append_str(out, "\nassistant:\n");
        while (!rc && json_each(json_get(item, "summary"), &pos, NULL, &part))
            rc = put_thought(out, json_get(part, "text"));
        return rc;
    }
    rc = put_labelled(out, "\n", type);
    if (!rc)
        rc = buf_append_str(out, ":\n");
    return rc ? rc : put_value(out, item);
}

/* How it ended, unless as usual. */
static int put_finish(struct buf *out, struct json finish, const char *usual) {
    if (!is_text(finish) || json_equals(finish, usual))
        return 0;
    int rc = put_labelled(out, "  -- finished: ", finish);
    return rc ? rc : buf_append_u8(out, '\n');
}

/* The answer, if it has what its dialect answers with; *ret_said tells. */
static int put_said(struct buf *out, const struct turn *t, bool *ret_said) {
    struct json list = json_get(t->answer, t->shape == TURN_MESSAGES    ? "content"
                                           : t->shape == TURN_RESPONSES ? "output"
                                                                        : "choices");
    struct json item, none = {0};
    size_t pos = 0;
    int rc = 0;
    *ret_said = t->shape != TURN_CHAT && json_count(list) > 0;
    if (!*ret_said)
        return 0;
    if (t->shape == TURN_MESSAGES)
        rc = put_message(out, t->answer);
    while (!rc && t->shape != TURN_MESSAGES && json_each(list, &pos, NULL, &item)) {
        if (t->shape == TURN_RESPONSES) {
            rc = put_item(out, item);
            continue;
        }
        rc = put_name_and_id(out, "\nanswer:", none, none);
        if (!rc)
            rc = put_content(out, json_get(item, "text"));
        if (!rc)
            rc = put_finish(out, json_get(item, "finish_reason"), "stop");
    }
    if (!rc && t->shape == TURN_MESSAGES)
        rc = put_finish(out, json_get(t->answer, "stop_reason"), "end_turn");
    if (!rc && t->shape == TURN_RESPONSES)
        rc = put_finish(out, json_get(t->answer, "status"), "completed");
    struct json error = json_get(json_get(t->answer, "error"), "message");
    if (!rc && is_text(error))
        rc = put_outside(out, "error", error, none);
    return rc ? rc : put_outside(out, "cut in the middle of", t->tail, t->tail_base64);
}

/* What other dialects say beside their messages. */
static int put_spoken(struct buf *out, const struct exchange *e) {
    static const char *const names[] = {"system", "instructions", "prompt", "input"};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof names / sizeof names[0]; i++) {
        struct json v = json_get(e->params, names[i]);
        if (e->last->shape == TURN_CHAT || (!is_text(v) && json_count(v) == 0))
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
