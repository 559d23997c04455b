/* The GenAI message schema of otel.h, written from an exchange's own JSON. Runs in the command line. */
#include "read/query/otel.h"

#include <string.h>

#include "base/err.h"

/* ---- pieces ---- */

static int put_jv(struct buf *out, struct jv v) {
    return v.p ? buf_append(out, v.p, v.len) : buf_append_str(out, "null");
}

/* One more element of an array. */
static int comma(struct buf *out) {
    return out->len && out->p[out->len - 1] != '[' ? buf_append_u8(out, ',') : 0;
}

/* {"type":T,"MEMBER":V} */
static int put_part(struct buf *out, const char *type, const char *member, struct jv v) {
    int rc = comma(out);
    if (!rc)
        rc = buf_printf(out, "{\"type\":\"%s\",\"%s\":", type, member);
    if (!rc)
        rc = put_jv(out, v);
    return rc ? rc : buf_append_u8(out, '}');
}

/* Arguments are a string that holds JSON, in most dialects: as what it holds, if it does. */
static int put_arguments(struct buf *out, struct jv v) {
    struct buf text;
    struct jv inside;
    if (!jv_is_string(v))
        return put_jv(out, v);
    buf_init(&text, v.len + 1);
    int rc = jv_text(v, &text);
    if (!rc && text.len && jv_parse(&inside, text.p, text.len) == 0)
        rc = put_jv(out, inside);
    else if (!rc)
        rc = put_jv(out, v);
    buf_wipe(&text);
    return rc;
}

static int put_call(struct buf *out, struct jv id, struct jv name, struct jv arguments) {
    int rc = comma(out);
    if (!rc)
        rc = buf_append_str(out, "{\"type\":\"tool_call\",\"id\":");
    if (!rc)
        rc = put_jv(out, id);
    if (!rc)
        rc = buf_append_str(out, ",\"name\":");
    if (!rc)
        rc = put_jv(out, name);
    if (!rc)
        rc = buf_append_str(out, ",\"arguments\":");
    if (!rc)
        rc = put_arguments(out, arguments);
    return rc ? rc : buf_append_u8(out, '}');
}

static int put_result(struct buf *out, struct jv id, struct jv response) {
    int rc = comma(out);
    if (!rc)
        rc = buf_append_str(out, "{\"type\":\"tool_call_response\",\"id\":");
    if (!rc)
        rc = put_jv(out, id);
    if (!rc)
        rc = buf_append_str(out, ",\"response\":");
    if (!rc)
        rc = put_jv(out, response);
    return rc ? rc : buf_append_u8(out, '}');
}

static int put_image(struct buf *out, struct jv url) {
    int rc = comma(out);
    if (!rc)
        rc = buf_append_str(out, "{\"type\":\"uri\",\"modality\":\"image\",\"uri\":");
    if (!rc)
        rc = put_jv(out, url);
    return rc ? rc : buf_append_u8(out, '}');
}

/* One block of a content array. What has no counterpart stays as it is. */
static int put_block(struct buf *out, struct jv block) {
    const struct jv type = jv_get(block, "type");
    if (jv_is_string(block))
        return put_part(out, "text", "content", block);
    if (jv_equals(type, "text") || jv_equals(type, "input_text") || jv_equals(type, "output_text"))
        return put_part(out, "text", "content", jv_get(block, "text"));
    if (jv_equals(type, "thinking"))
        return put_part(out, "reasoning", "content", jv_get(block, "thinking"));
    if (jv_equals(type, "tool_use"))
        return put_call(out, jv_get(block, "id"), jv_get(block, "name"), jv_get(block, "input"));
    if (jv_equals(type, "tool_result"))
        return put_result(out, jv_get(block, "tool_use_id"), jv_get(block, "content"));
    if (jv_equals(type, "image_url") && jv_is_object(jv_get(block, "image_url")))
        return put_image(out, jv_get2(block, "image_url", "url"));
    int rc = comma(out);
    return rc ? rc : put_jv(out, block);
}

static int put_content(struct buf *out, struct jv content) {
    struct jv block;
    size_t pos = 0;
    int rc = 0;
    if (jv_is_string(content))
        return put_part(out, "text", "content", content);
    while (!rc && jv_is_array(content) && jv_each(content, &pos, NULL, &block))
        rc = put_block(out, block);
    return rc;
}

/* ---- messages ---- */

static int begin(struct buf *out, struct jv role, const char *otherwise) {
    int rc = comma(out);
    if (!rc)
        rc = buf_append_str(out, "{\"role\":");
    if (!rc)
        rc = jv_is_string(role) ? put_jv(out, role) : buf_printf(out, "\"%s\"", otherwise);
    return rc ? rc : buf_append_str(out, ",\"parts\":[");
}

/* `finish` absent with output: what is not known is an empty string. */
static int finish(struct buf *out, bool output, struct jv reason) {
    int rc = buf_append_u8(out, ']');
    if (!rc && output)
        rc = buf_append_str(out, ",\"finish_reason\":");
    if (!rc && output)
        rc = jv_is_string(reason) ? put_jv(out, reason) : buf_append_str(out, "\"\"");
    return rc ? rc : buf_append_u8(out, '}');
}

static int put_chat_parts(struct buf *out, struct jv m) {
    struct jv call;
    size_t pos = 0;
    const struct jv calls = jv_get(m, "tool_calls"), reasoning = jv_get(m, "reasoning_content");
    int rc = 0;
    if (jv_equals(jv_get(m, "role"), "tool"))
        return put_result(out, jv_get(m, "tool_call_id"), jv_get(m, "content"));
    if (!jv_is_empty(reasoning))
        rc = put_part(out, "reasoning", "content", reasoning);
    if (!rc)
        rc = put_content(out, jv_get(m, "content"));
    if (!rc && !jv_is_empty(jv_get(m, "refusal")))
        rc = put_part(out, "refusal", "content", jv_get(m, "refusal"));
    while (!rc && jv_is_array(calls) && jv_each(calls, &pos, NULL, &call))
        rc = put_call(out, jv_get(call, "id"), jv_get2(call, "function", "name"),
                      jv_get2(call, "function", "arguments"));
    return rc;
}

/* Chat's and Anthropic's messages differ in their content only. */
static int put_message(struct buf *out, struct jv m, const char *role, bool output,
                       struct jv reason) {
    int rc = begin(out, jv_get(m, "role"), role);
    if (!rc)
        rc = put_chat_parts(out, m);
    return rc ? rc : finish(out, output, reason);
}

/* An item of the Responses dialect: a message, a call, a result, reasoning, or another. */
static int put_item(struct buf *out, struct jv item, const char *role, bool output,
                    struct jv reason) {
    const struct jv type = jv_get(item, "type"), none = {0};
    if (jv_equals(type, "message") || !type.p)
        return put_message(out, item, role, output, reason);
    const bool result = jv_equals(type, "function_call_output");
    int rc = begin(out, none, result ? "tool" : "assistant");
    if (!rc)
        rc = jv_equals(type, "function_call") ? put_call(out, jv_get(item, "call_id"),
                                                         jv_get(item, "name"),
                                                         jv_get(item, "arguments"))
             : result                         ? put_result(out, jv_get(item, "call_id"),
                                                           jv_get(item, "output"))
                                              : put_block(out, item);
    return rc ? rc : finish(out, output, reason);
}

static int put_text_message(struct buf *out, const char *role, struct jv text, bool output,
                            struct jv reason) {
    const struct jv none = {0};
    int rc = begin(out, none, role);
    if (!rc)
        rc = jv_is_string(text) ? put_part(out, "text", "content", text) : put_content(out, text);
    return rc ? rc : finish(out, output, reason);
}

/* ---- what was sent ---- */

static int put_system(const struct exchange *e, struct buf *out) {
    const struct jv system = e->last->shape == TURN_MESSAGES    ? jv_get(e->params, "system")
                             : e->last->shape == TURN_RESPONSES ? jv_get(e->params, "instructions")
                                                                : (struct jv){0};
    if (jv_is_empty(system))
        return 0;
    int rc = buf_append_str(out, ",\"gen_ai.system_instructions\":[");
    if (!rc)
        rc = put_content(out, system);
    return rc ? rc : buf_append_u8(out, ']');
}

static int put_tools(const struct exchange *e, struct buf *out) {
    if (jv_is_empty(e->tools))
        return 0;
    int rc = buf_append_str(out, ",\"gen_ai.tool.definitions\":");
    return rc ? rc : put_jv(out, e->tools);
}

static int put_input(const struct exchange *e, struct buf *out) {
    const struct turn *t = e->last;
    const struct jv none = {0};
    int rc = buf_append_str(out, ",\"gen_ai.input.messages\":[");
    for (size_t i = 0; !rc && i < e->n; i++)
        rc = t->shape == TURN_RESPONSES ? put_item(out, e->messages[i], "user", false, none)
                                        : put_message(out, e->messages[i], "user", false, none);
    if (!rc && !e->n && t->request_text.p)
        rc = put_text_message(out, "user", t->request_text, false, none);
    const struct jv alone = t->shape == TURN_RESPONSES ? jv_get(e->params, "input")
                                                       : jv_get(e->params, "prompt");
    if (!rc && !e->n && (t->shape == TURN_RESPONSES || t->shape == TURN_COMPLETIONS) &&
        !jv_is_empty(alone))
        rc = put_text_message(out, "user", alone, false, none);
    return rc ? rc : buf_append_u8(out, ']');
}

/* ---- what was answered ---- */

static int put_choices(struct buf *out, const struct turn *t) {
    struct jv choice;
    size_t pos = 0;
    int rc = 0;
    const struct jv choices = jv_get(t->answer, "choices");
    while (!rc && jv_is_array(choices) && jv_each(choices, &pos, NULL, &choice)) {
        const struct jv reason = jv_get(choice, "finish_reason");
        rc = t->shape == TURN_COMPLETIONS
                 ? put_text_message(out, "assistant", jv_get(choice, "text"), true, reason)
                 : put_message(out, jv_get(choice, "message"), "assistant", true, reason);
    }
    return rc;
}

static int put_items(struct buf *out, const struct turn *t) {
    struct jv item;
    size_t pos = 0;
    int rc = 0;
    const struct jv items = jv_get(t->answer, "output");
    while (!rc && jv_is_array(items) && jv_each(items, &pos, NULL, &item))
        rc = put_item(out, item, "assistant", true, jv_get(t->answer, "status"));
    return rc;
}

static int put_output(const struct exchange *e, struct buf *out) {
    const struct turn *t = e->last;
    const struct jv none = {0};
    int rc = buf_append_str(out, ",\"gen_ai.output.messages\":[");
    if (!rc && t->answer.p)
        rc = t->shape == TURN_MESSAGES
                 ? put_message(out, t->answer, "assistant", true, jv_get(t->answer, "stop_reason"))
             : t->shape == TURN_RESPONSES ? put_items(out, t)
                                          : put_choices(out, t);
    else if (!rc && t->answer_text.p)
        rc = put_text_message(out, "assistant", t->answer_text, true, none);
    return rc ? rc : buf_append_u8(out, ']');
}

int otel_messages(const struct exchange *e, struct buf *out) {
    int rc = put_system(e, out);
    if (!rc)
        rc = put_tools(e, out);
    if (!rc)
        rc = put_input(e, out);
    return rc ? rc : put_output(e, out);
}
