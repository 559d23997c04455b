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

static int put_content(struct buf *out, struct json content) {
    struct json part;
    size_t pos = 0;
    int rc = 0;
    if (json_is(content, '"'))
        return put_string(out, content);
    while (!rc && json_each(content, &pos, NULL, &part))
        rc = put_part(out, part);
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

int exchange_render(const struct exchange *e, size_t from, struct buf *out) {
    int rc = put_outside(out, "request", e->last->request_text, e->last->request_base64);
    for (size_t i = from; !rc && i < e->n; i++)
        rc = put_message(out, e->messages[i]);
    return rc ? rc : put_answer(out, e->last);
}
