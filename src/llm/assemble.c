/*
 * The assembly of assemble.h, run by the sealer: the events of a stream, each checked and handed to
 * the dialect's assembler. Everything lives for one call; what holds content is wiped.
 */
#include "llm/assemble.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/assemble_int.h"
#include "llm/sse.h"

/* Data of several lines is only borrowed until the next event: such events are copied here. */
struct kept {
    struct kept *next;
    size_t len;
    uint8_t bytes[];
};

struct assembly {
    const struct assembler *how;
    void *state;
    struct kept *kept;
    size_t events;
};

static const struct assembler *assembler_of(const struct dialect *d) {
    switch (d->shape) {
    case DIALECT_CHAT:
        return &assembler_chat;
    case DIALECT_COMPLETIONS:
        return &assembler_completions;
    case DIALECT_MESSAGES:
        return &assembler_messages;
    case DIALECT_RESPONSES:
        return &assembler_responses;
    case DIALECT_PLAIN:
        break;
    }
    return NULL;
}

bool assemble_is_error(const uint8_t *type, size_t len) {
    return len == 5 && !memcmp(type, "error", 5);
}

static bool is_done(const struct sse_event *e) {
    size_t n = e->data_len;
    while (n && e->data[n - 1] == ' ')
        n--;
    return n == 6 && !memcmp(e->data, "[DONE]", 6);
}

static int keep(struct assembly *a, const struct sse *s, struct sse_event *e) {
    if (e->data != s->joined.p)
        return 0;
    struct kept *k = malloc(sizeof *k + e->data_len);
    if (!k)
        return ERR_NOMEM;
    k->next = a->kept;
    k->len = e->data_len;
    memcpy(k->bytes, e->data, e->data_len);
    a->kept = k;
    e->data = k->bytes;
    return 0;
}

static int add_event(struct assembly *a, const struct sse *s, struct sse_event *e) {
    struct jv v;
    if (!e->data_len)
        return 0;
    a->events++;
    if (is_done(e))
        return 0;
    int rc = keep(a, s, e);
    if (!rc)
        rc = jv_parse(&v, e->data, e->data_len);
    if (!rc && !jv_is_object(v))
        rc = ERR_SYNTAX;
    static const uint8_t none[1];
    return rc ? rc : a->how->add(a->state, v, e->type ? e->type : none, e->type_len);
}

/* An event that no empty line ended still counts when nothing of it is missing. */
static int add_tail(struct assembly *a, struct sse *s, struct jv *ret_tail) {
    struct sse_event e;
    struct jv v, tail;
    if (!sse_tail(s, &tail.p, &tail.len))
        return 0;
    if (sse_tail_event(s, &e) &&
        (is_done(&e) || (jv_parse(&v, e.data, e.data_len) == 0 && jv_is_object(v))))
        return add_event(a, s, &e);
    if (!s->rc)
        *ret_tail = tail;
    return s->rc;
}

static void assembly_wipe(struct assembly *a) {
    a->how->wipe(a->state);
    free(a->state);
    while (a->kept) {
        struct kept *next = a->kept->next;
        explicit_bzero(a->kept->bytes, a->kept->len);
        free(a->kept);
        a->kept = next;
    }
}

int assemble(struct buf *out, const struct dialect *dialect, const void *stream, size_t len,
             struct jv *ret_tail) {
    struct assembly a = {.how = assembler_of(dialect)};
    struct sse s;
    struct sse_event e;
    int rc = 0;
    *ret_tail = (struct jv){0};
    if (!a.how)
        return ERR_SYNTAX;
    a.state = calloc(1, a.how->size);
    if (!a.state)
        return ERR_NOMEM;
    sse_init(&s, stream, len);
    while (!rc && sse_next(&s, &e))
        rc = add_event(&a, &s, &e);
    if (!rc)
        rc = s.rc;
    if (!rc)
        rc = add_tail(&a, &s, ret_tail);
    if (!rc && a.how->empty(a.state))
        rc = a.events ? ERR_SYNTAX : ERR_NOTFOUND;
    if (!rc)
        rc = a.how->write(out, a.state);
    if (rc && rc != ERR_NOTFOUND)
        *ret_tail = (struct jv){0};
    assembly_wipe(&a);
    sse_done(&s);
    return rc;
}
