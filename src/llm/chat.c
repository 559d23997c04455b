/* The chat dialect of chat.h. Pure: bytes in, slices and facts out. */
#include "llm/chat.h"

#include <string.h>

#include "base/err.h"
#include "llm/assemble.h"

/* ---- requests ---- */

static int add_param(struct buf *params, struct jv key, struct jv value) {
    int rc = params->len > 1 ? buf_append_u8(params, ',') : 0;
    if (!rc)
        rc = buf_append(params, key.p, key.len);
    if (!rc)
        rc = buf_append_u8(params, ':');
    return rc ? rc : buf_append(params, value.p, value.len);
}

static int split_request(struct chat_request *r, struct jv object) {
    struct jv key, value;
    int rc = buf_append_u8(&r->params, '{');
    for (size_t pos = 0; !rc && jv_each(object, &pos, &key, &value);) {
        struct jv *place = jv_equals(key, "messages") ? &r->messages
                           : jv_equals(key, "tools")  ? &r->tools
                                                      : NULL;
        if (!place)
            rc = add_param(&r->params, key, value);
        else if (place->p)
            rc = ERR_SYNTAX;
        else
            *place = value;
    }
    return rc ? rc : buf_append_u8(&r->params, '}');
}

static int count_messages(struct chat_request *r) {
    struct jv key, value;
    if (!jv_is_array(r->messages))
        return ERR_SYNTAX;
    for (size_t pos = 0; jv_each(r->messages, &pos, &key, &value); r->count++) {
        if (!jv_is_object(value))
            return ERR_SYNTAX;
        if (r->count == LIMIT_MESSAGES)
            return ERR_LIMIT;
    }
    return 0;
}

int chat_request_parse(struct chat_request *ret, const void *text, size_t len) {
    struct jv v;
    *ret = (struct chat_request){0};
    buf_init(&ret->params, LIMIT_REQUEST_BODY);
    int rc = jv_parse(&v, text, len);
    if (!rc && !jv_is_object(v))
        rc = ERR_SYNTAX;
    if (!rc)
        rc = buf_reserve(&ret->params, 256); /* most requests' parameters, without growing */
    if (!rc)
        rc = split_request(ret, v);
    if (!rc)
        rc = count_messages(ret);
    if (rc)
        return rc;
    ret->stream = jv_is_true(jv_get(v, "stream"));
    jv_text_fits(jv_get(v, "model"), ret->model, sizeof ret->model);
    if (!jv_text_fits(jv_get(v, "user"), ret->user, sizeof ret->user) || !*ret->user)
        jv_text_fits(jv_get(v, "user_id"), ret->user, sizeof ret->user);
    if (!*ret->user)
        jv_text_fits(jv_get2(v, "metadata", "user_id"), ret->user, sizeof ret->user);
    return 0;
}

void chat_request_done(struct chat_request *r) {
    buf_wipe(&r->params);
    explicit_bzero(r, sizeof *r);
}

/* ---- answers ---- */

static uint32_t first_of(struct jv a, struct jv b) {
    return jv_u32(a, jv_u32(b, 0));
}

static void read_usage(struct chat_answer *a, struct jv usage) {
    if (!jv_is_object(usage))
        return;
    a->usage = true;
    a->tokens_input = jv_u32(jv_get(usage, "prompt_tokens"), 0);
    a->tokens_output = jv_u32(jv_get(usage, "completion_tokens"), 0);
    a->tokens_cached = first_of(jv_get2(usage, "prompt_tokens_details", "cached_tokens"),
                                jv_get(usage, "prompt_cache_hit_tokens"));
    a->tokens_reasoning =
        jv_u32(jv_get2(usage, "completion_tokens_details", "reasoning_tokens"), 0);
}

static void read_facts(struct chat_answer *a) {
    struct jv key, choice, error = jv_get(a->json, "error");
    jv_text_fits(jv_get(a->json, "model"), a->model, sizeof a->model);
    read_usage(a, jv_get(a->json, "usage"));
    a->error = error.p && !jv_is_null(error);
    struct jv choices = jv_get(a->json, "choices");
    if (!jv_is_array(choices))
        return;
    for (size_t pos = 0; a->choices < LIMIT_CHOICES && jv_each(choices, &pos, &key, &choice);) {
        if (a->choices == 0)
            jv_text_fits(jv_get(choice, "finish_reason"), a->finish, sizeof a->finish);
        struct jv message = jv_get(choice, "message");
        a->message[a->choices++] = jv_is_object(message) ? message : (struct jv){0};
    }
}

int chat_answer_parse(struct chat_answer *ret, const void *text, size_t len, bool stream) {
    memset(ret, 0, sizeof *ret);
    buf_init(&ret->made, LIMIT_TURN_PLAIN);
    if (!stream) {
        struct jv v;
        int rc = jv_parse(&v, text, len);
        if (!rc && jv_is_object(v))
            ret->json = v;
    } else {
        int rc = buf_reserve(&ret->made, len / 8 + 256);
        if (!rc)
            rc = assemble_chat(&ret->made, text, len, &ret->tail);
        if (rc == ERR_NOMEM)
            return rc;
        if (!rc)
            ret->json = (struct jv){ret->made.p, ret->made.len};
    }
    if (ret->json.p)
        read_facts(ret);
    return 0;
}

void chat_answer_done(struct chat_answer *a) {
    buf_wipe(&a->made);
    explicit_bzero(a, sizeof *a);
}

/* ---- clear words ---- */

const char *chat_finish_known(const char *reason) {
    static const char *const known[] = {"stop",          "length",
                                        "tool_calls",    "content_filter",
                                        "function_call", "insufficient_system_resource"};
    if (!*reason)
        return "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(reason, known[i]))
            return known[i];
    return "other";
}

const char *chat_error_class(uint16_t status, bool error_in_answer) {
    static const struct {
        uint16_t status;
        const char *class;
    } table[] = {
        {400, "invalid_request"}, {401, "authentication"}, {402, "balance"},
        {403, "permission"},      {404, "not_found"},      {408, "timeout"},
        {409, "conflict"},        {413, "too_large"},      {422, "unprocessable"},
        {429, "rate_limit"},      {500, "server"},         {502, "bad_gateway"},
        {503, "unavailable"},     {504, "timeout"},        {529, "unavailable"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].class;
    if (status >= 200 && status < 300)
        return error_in_answer ? "in_answer" : "";
    return status == 0 ? "no_answer" : "other";
}
