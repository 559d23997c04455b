/*
 * Turns of turn.h, made by the sealer for each exchange.
 *
 * Finding the parent: d_i chains the messages exactly as this client sent them, so a hit at d_i
 * means that a sealed turn has just this beginning. An answer that is repeated for the first time
 * has no d_i unless it is verbatim; it is found by s_i, its significant members after d_(i-1), and
 * `replayed` says how it differs. Once that turn is sealed, its own d_i stands for this form of the
 * answer.
 */
#include "write/turn/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

/* ---- matching ---- */

static bool is_instruction(struct jv message) {
    struct jv role = jv_get(message, "role");
    return jv_equals(role, "system") || jv_equals(role, "developer");
}

static int chain_up(const struct prefix *p, const struct llm_request *request,
                    struct turn_match *m) {
    struct jv key, value;
    uint8_t digest[PREFIX_DIGEST];
    uint32_t i = 0;
    int rc = 0;
    for (size_t pos = 0; !rc && i < m->count && jv_each(request->messages, &pos, &key, &value);) {
        m->messages[i] = value;
        if (m->talk == i && is_instruction(value))
            m->talk++;
        rc = prefix_value(p, value, digest);
        prefix_step(p, m->chain[i], digest, m->chain[i + 1]);
        i++;
    }
    return rc ? rc : i == m->count ? 0 : ERR_INTERNAL;
}

static int find_parent(struct prefix *p, struct turn_match *m) {
    uint8_t key[PREFIX_DIGEST];
    for (uint32_t i = m->count; i > m->talk && !m->found; i--) {
        struct jv message = m->messages[i - 1];
        if (prefix_find(p, m->chain[i], &m->parent)) {
            m->found = true;
            m->repeated = (m->parent.flags & PREFIX_ANSWER) && m->parent.choice > 0;
        } else if (jv_equals(jv_get(message, "role"), "assistant")) {
            int rc = prefix_significant(p, m->chain[i - 1], message, false, key);
            if (rc)
                return rc;
            m->found = m->repeated = prefix_find(p, key, &m->parent);
        }
        if (m->found && m->parent.position != i) /* a collision, or a damaged file */
            m->found = m->repeated = false;
        if (m->found)
            m->kept = i;
    }
    return 0;
}

int turn_match(struct prefix *p, const uint8_t scope[PREFIX_DIGEST],
               const struct llm_request *request, struct turn_match *ret) {
    *ret = (struct turn_match){.count = (uint32_t)request->count, .request_tools = request->tools};
    ret->chain = calloc(request->count + 1, sizeof *ret->chain);
    ret->messages = calloc(request->count + 1, sizeof *ret->messages);
    if (!ret->chain || !ret->messages)
        return ERR_NOMEM;
    memcpy(ret->chain[0], scope, PREFIX_DIGEST);
    int rc = chain_up(p, request, ret);
    if (!rc)
        rc = prefix_value(p, (struct jv){request->params.p, request->params.len}, ret->params);
    if (!rc)
        rc = prefix_value(p, request->tools, ret->tools);
    return rc ? rc : find_parent(p, ret);
}

void turn_done(struct turn_match *m) {
    free(m->chain);
    free(m->messages);
    *m = (struct turn_match){0};
}

/* ---- building ---- */

/* A writer that keeps its first error, so that a turn reads as the list of its members. */
struct out {
    struct buf *b;
    int rc;
    bool first; /* of an object or array */
};

static void put(struct out *o, const void *p, size_t len) {
    if (!o->rc)
        o->rc = buf_append(o->b, p, len);
}

static void put_str(struct out *o, const char *s) {
    put(o, s, strlen(s));
}

static void open_bracket(struct out *o, const char *bracket) {
    put_str(o, bracket);
    o->first = true;
}

static void close_bracket(struct out *o, const char *bracket) {
    put_str(o, bracket);
    o->first = false;
}

static void comma(struct out *o) {
    if (!o->first)
        put_str(o, ",");
    o->first = false;
}

static void name(struct out *o, const char *member) {
    comma(o);
    put_str(o, "\"");
    put_str(o, member);
    put_str(o, "\":");
}

static void put_base64(struct out *o, struct jv bytes) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put_str(o, "\"");
    for (size_t i = 0; i < bytes.len && !o->rc; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t v = (uint32_t)bytes.p[i] << 16;
        if (have > 1)
            v |= (uint32_t)bytes.p[i + 1] << 8;
        if (have > 2)
            v |= bytes.p[i + 2];
        const char four[4] = {digit[v >> 18], digit[v >> 12 & 63],
                              have > 1 ? digit[v >> 6 & 63] : '=', have > 2 ? digit[v & 63] : '='};
        put(o, four, 4);
    }
    put_str(o, "\"");
}

/* `text` as a JSON string if it is UTF-8, else `base64`. */
static void outside_text(struct out *o, const char *text, const char *base64, struct jv bytes) {
    bool utf8 = utf8_valid(bytes.p, bytes.len);
    name(o, utf8 ? text : base64);
    if (!utf8)
        put_base64(o, bytes);
    else if (!o->rc)
        o->rc = jv_quote(o->b, bytes.p, bytes.len);
}

/* How the client repeated the answer: everything that does not come from the answer by the rule of
 * doc/turn.md stands in `with`, which is always written. */
static void replayed(struct out *o, const struct turn_match *m) {
    struct jv key, value, message = m->messages[m->kept - 1];
    name(o, "replayed");
    open_bracket(o, "{");
    if (m->parent.choice) {
        char text[16];
        snprintf(text, sizeof text, "%u", m->parent.choice);
        name(o, "choice");
        put_str(o, text);
    }
    if (m->parent.flags & PREFIX_WITHOUT_REASONING) {
        name(o, "without");
        put_str(o, "[\"reasoning_content\"]");
    }
    name(o, "with");
    open_bracket(o, "{");
    for (size_t pos = 0; jv_each(message, &pos, &key, &value);) {
        if (prefix_is_significant(key) && !jv_is_empty(value))
            continue;
        comma(o);
        put(o, key.p, key.len);
        put_str(o, ":");
        put(o, value.p, value.len);
    }
    close_bracket(o, "}");
    close_bracket(o, "}");
}

static void request_members(struct out *o, const struct turn_parts *t) {
    const struct turn_match *m = t->match;
    bool same_tools = m->found && !memcmp(m->tools, m->parent.tools, PREFIX_DIGEST);
    bool same_params = m->found && !memcmp(m->params, m->parent.params, PREFIX_DIGEST);
    name(o, "messages");
    open_bracket(o, "[");
    for (uint32_t i = m->kept; i < m->count; i++) {
        comma(o);
        put(o, m->messages[i].p, m->messages[i].len);
    }
    close_bracket(o, "]");
    if (m->repeated)
        replayed(o, m);
    if (m->request_tools.p && !same_tools) {
        name(o, "tools");
        put(o, m->request_tools.p, m->request_tools.len);
    }
    if (!same_params) {
        name(o, "params");
        put(o, t->request->params.p, t->request->params.len);
    }
    if (m->found && !m->request_tools.p && !same_tools) {
        name(o, "gone");
        put_str(o, "[\"tools\"]");
    }
}

static void answer_members(struct out *o, const struct turn_parts *t) {
    const struct llm_answer *a = t->answer;
    if (t->streamed) {
        name(o, "streamed");
        put_str(o, "true");
    }
    if (t->outcome) {
        name(o, "outcome");
        put_str(o, "\"");
        put_str(o, t->outcome);
        put_str(o, "\"");
    }
    if (a->json.p) {
        name(o, "answer");
        put(o, a->json.p, a->json.len);
    }
    if (a->tail.p)
        outside_text(o, "tail", "tail_base64", a->tail);
    else if (!a->json.p && t->answer_text.len)
        outside_text(o, "answer_text", "answer_base64", t->answer_text);
    if (t->status != 200) {
        char text[16];
        snprintf(text, sizeof text, "%u", t->status);
        name(o, "status");
        put_str(o, text);
    }
}

int turn_build(struct buf *out, const struct turn_parts *t) {
    struct out o = {.b = out};
    open_bracket(&o, "{");
    if (t->request) {
        request_members(&o, t);
    } else {
        name(&o, "messages");
        put_str(&o, "[]");
        name(&o, "params");
        put_str(&o, "{}");
        if (t->request_text.p)
            outside_text(&o, "request_text", "request_base64", t->request_text);
    }
    answer_members(&o, t);
    close_bracket(&o, "}");
    return o.rc;
}

/* ---- learning ---- */

static void add(struct prefix *p, struct prefix_entry *e, const uint8_t key[PREFIX_DIGEST]) {
    memcpy(e->key, key, PREFIX_DIGEST);
    prefix_add(p, e);
}

/* The answer's message of one choice: verbatim, in any form, and in any form without its reasoning
 * (clients of reasoning models are told to leave it out). */
static int learn_answer(struct prefix *p, const uint8_t before[PREFIX_DIGEST], struct jv message,
                        struct prefix_entry *e) {
    uint8_t digest[PREFIX_DIGEST], key[PREFIX_DIGEST];
    e->flags = PREFIX_ANSWER;
    int rc = prefix_value(p, message, digest);
    if (rc)
        return rc;
    prefix_step(p, before, digest, key);
    add(p, e, key);
    rc = prefix_significant(p, before, message, false, key);
    if (rc)
        return rc;
    add(p, e, key);
    if (jv_is_empty(jv_get(message, "reasoning_content")))
        return 0;
    rc = prefix_significant(p, before, message, true, key);
    if (rc)
        return rc;
    e->flags |= PREFIX_WITHOUT_REASONING;
    add(p, e, key);
    return 0;
}

/* Messages that follow each other, each of them verbatim: a client may repeat the first few. */
static int learn_sequence(struct prefix *p, const struct turn_match *m,
                          const struct llm_answer *answer, struct prefix_entry *e) {
    uint8_t digest[PREFIX_DIGEST], before[PREFIX_DIGEST], key[PREFIX_DIGEST];
    int rc = 0;
    memcpy(before, m->chain[m->count], PREFIX_DIGEST);
    e->flags = PREFIX_ANSWER;
    for (size_t i = 0; i < answer->messages && !rc; i++) {
        rc = prefix_value(p, answer->message[i], digest);
        prefix_step(p, before, digest, key);
        e->position = m->count + 1 + (uint32_t)i;
        if (!rc)
            add(p, e, key);
        memcpy(before, key, PREFIX_DIGEST);
    }
    return rc;
}

int turn_learn(struct prefix *p, const struct turn_match *m, const struct llm_answer *answer,
               const uint8_t subject[UUID_BYTES], const uint8_t conversation[UUID_BYTES],
               const uint8_t turn[UUID_BYTES], const uint8_t envelope_hash[CONTEXT_HASH_BYTES]) {
    struct prefix_entry e = {0};
    int rc = 0;
    prefix_owner(p, subject, e.owner);
    memcpy(e.conversation, conversation, UUID_BYTES);
    memcpy(e.turn, turn, UUID_BYTES);
    memcpy(e.hash, envelope_hash, CONTEXT_HASH_BYTES);
    memcpy(e.params, m->params, PREFIX_DIGEST);
    memcpy(e.tools, m->tools, PREFIX_DIGEST);
    for (uint32_t i = m->talk + 1; i <= m->count; i++) {
        e.position = i;
        add(p, &e, m->chain[i]);
    }
    if (answer->in_sequence)
        return learn_sequence(p, m, answer, &e);
    e.position = m->count + 1;
    for (size_t c = 0; c < answer->messages && !rc; c++) {
        e.choice = (uint8_t)c;
        if (answer->message[c].p)
            rc = learn_answer(p, m->chain[m->count], answer->message[c], &e);
    }
    return rc;
}
