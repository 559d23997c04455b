/* The answers of answer.h. Pure: bytes in, slices and facts out. */
#include "llm/answer.h"

#include <string.h>

#include "base/err.h"
#include "llm/assemble.h"

static void read_choices(struct llm_answer *a) {
    struct jv key, choice, choices = jv_get(a->json, "choices");
    if (!jv_is_array(choices))
        return;
    for (size_t pos = 0; a->messages < LIMIT_CHOICES && jv_each(choices, &pos, &key, &choice);) {
        if (a->messages == 0)
            jv_text_fits(jv_get(choice, "finish_reason"), a->finish, sizeof a->finish);
        struct jv message = jv_get(choice, "message");
        a->message[a->messages++] = jv_is_object(message) ? message : (struct jv){0};
    }
}

/* Anthropic: clients repeat the content under the role. */
static int read_content(struct llm_answer *a) {
    struct jv content = jv_get(a->json, "content");
    jv_text_fits(jv_get(a->json, "stop_reason"), a->finish, sizeof a->finish);
    if (!jv_is_array(content) || jv_is_empty(content))
        return 0;
    int rc = buf_append_str(&a->said, "{\"role\":\"assistant\",\"content\":");
    if (!rc)
        rc = buf_append(&a->said, content.p, content.len);
    if (!rc)
        rc = buf_append_u8(&a->said, '}');
    if (!rc)
        a->message[a->messages++] = (struct jv){a->said.p, a->said.len};
    return rc;
}

static void read_output(struct llm_answer *a) {
    struct jv key, item, output = jv_get(a->json, "output");
    jv_text_fits(jv_get(a->json, "status"), a->finish, sizeof a->finish);
    a->in_sequence = true;
    if (!jv_is_array(output))
        return;
    for (size_t pos = 0; a->messages < LIMIT_CHOICES && jv_each(output, &pos, &key, &item);) {
        if (!jv_is_object(item))
            return;
        a->message[a->messages++] = item;
    }
}

static int read_facts(struct llm_answer *a, const struct dialect *d) {
    struct jv error = jv_get(a->json, "error");
    jv_text_fits(jv_get(a->json, "model"), a->model, sizeof a->model);
    usage_read(&a->usage, d, jv_get(a->json, "usage"));
    a->error = error.p && !jv_is_null(error);
    if (d->shape == DIALECT_MESSAGES)
        return read_content(a);
    if (d->shape == DIALECT_RESPONSES)
        read_output(a);
    else
        read_choices(a);
    return 0;
}

/* A plain dialect's stream is kept as it came; it may end with a count. */
static void read_stream(struct llm_answer *a, const struct dialect *d, const void *text,
                        size_t len) {
    struct usage_scan s;
    usage_scan_init(&s, d, true);
    usage_scan_feed(&s, len ? text : "", len);
    usage_scan_done(&s);
    usage_scan_result(&s, &a->usage);
    a->error = s.failed;
    explicit_bzero(&s, sizeof s);
}

int llm_answer_parse(struct llm_answer *ret, const struct dialect *dialect, const void *text,
                     size_t len, bool stream) {
    memset(ret, 0, sizeof *ret);
    buf_init(&ret->made, LIMIT_TURN_PLAIN);
    buf_init(&ret->said, LIMIT_TURN_PLAIN);
    if (!stream) {
        struct jv v;
        int rc = jv_parse(&v, text, len);
        if (!rc && jv_is_object(v))
            ret->json = v;
    } else if (dialect->shape == DIALECT_PLAIN) {
        read_stream(ret, dialect, text, len);
    } else {
        int rc = buf_reserve(&ret->made, len / 8 + 256);
        if (!rc)
            rc = assemble(&ret->made, dialect, text, len, &ret->tail);
        if (rc == ERR_NOMEM)
            return rc;
        if (!rc)
            ret->json = (struct jv){ret->made.p, ret->made.len};
    }
    return ret->json.p ? read_facts(ret, dialect) : 0;
}

void llm_answer_done(struct llm_answer *a) {
    buf_wipe(&a->made);
    buf_wipe(&a->said);
    explicit_bzero(a, sizeof *a);
}
