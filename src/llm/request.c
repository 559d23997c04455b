/* The requests of request.h. Pure: bytes in, slices and facts out. */
#include "llm/request.h"

#include <string.h>

#include "base/err.h"

static int add_param(struct buf *params, struct jv key, struct jv value) {
    int rc = params->len > 1 ? buf_append_u8(params, ',') : 0;
    if (!rc)
        rc = buf_append(params, key.p, key.len);
    if (!rc)
        rc = buf_append_u8(params, ':');
    return rc ? rc : buf_append(params, value.p, value.len);
}

/* Where the messages are; NULL: nowhere. */
static const char *messages_name(const struct dialect *d) {
    switch (d->shape) {
    case DIALECT_CHAT:
    case DIALECT_MESSAGES:
        return "messages";
    case DIALECT_RESPONSES:
        return "input";
    case DIALECT_COMPLETIONS:
    case DIALECT_PLAIN:
        break;
    }
    return NULL;
}

/* The place of a member that is no parameter. A Responses input that is a string, or empty, is
 * one: it has no messages. */
static struct jv *place_of(struct llm_request *r, const struct dialect *d, struct jv key,
                           struct jv value) {
    const char *name = messages_name(d);
    if (name && jv_equals(key, name))
        return d->shape == DIALECT_RESPONSES && (!jv_is_array(value) || jv_is_empty(value))
                   ? NULL
                   : &r->messages;
    return name && jv_equals(key, "tools") ? &r->tools : NULL;
}

static int split_request(struct llm_request *r, const struct dialect *d, struct jv object) {
    struct jv key, value;
    int rc = buf_append_u8(&r->params, '{');
    for (size_t pos = 0; !rc && jv_each(object, &pos, &key, &value);) {
        struct jv *place = place_of(r, d, key, value);
        if (!place)
            rc = add_param(&r->params, key, value);
        else if (place->p)
            rc = ERR_SYNTAX;
        else
            *place = value;
    }
    return rc ? rc : buf_append_u8(&r->params, '}');
}

static int count_messages(struct llm_request *r, const struct dialect *d) {
    struct jv key, value;
    if (!r->messages.p && (!messages_name(d) || d->shape == DIALECT_RESPONSES))
        return 0;
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

static void read_user(struct llm_request *r, struct jv object) {
    static const char *const names[] = {"user", "safety_identifier", "user_id"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !*r->user; i++)
        jv_text_fits(jv_get(object, names[i]), r->user, sizeof r->user);
    if (!*r->user)
        jv_text_fits(jv_get2(object, "metadata", "user_id"), r->user, sizeof r->user);
}

int llm_request_parse(struct llm_request *ret, const struct dialect *dialect, const void *text,
                      size_t len) {
    struct jv v;
    *ret = (struct llm_request){0};
    buf_init(&ret->params, LIMIT_REQUEST_BODY);
    int rc = jv_parse(&v, text, len);
    if (!rc && !jv_is_object(v))
        rc = ERR_SYNTAX;
    if (!rc && dialect->shape != DIALECT_PLAIN) {
        rc = buf_reserve(&ret->params, 256); /* most requests' parameters, without growing */
        if (!rc)
            rc = split_request(ret, dialect, v);
        if (!rc)
            rc = count_messages(ret, dialect);
    }
    if (rc)
        return rc;
    ret->stream = jv_is_true(jv_get(v, "stream"));
    jv_text_fits(jv_get(v, "model"), ret->model, sizeof ret->model);
    read_user(ret, v);
    return 0;
}

void llm_request_done(struct llm_request *r) {
    buf_wipe(&r->params);
    explicit_bzero(r, sizeof *r);
}
