/* The encoding of a sealed cell's context (context.h). Pure; both directions link it. */
#include "record/context.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "record/text.h"

static uint8_t *put_bytes(uint8_t *p, const uint8_t *from, size_t n) {
    memcpy(p, from, n);
    return p + n;
}

size_t context_encode(uint8_t out[CONTEXT_MAX], const struct context *c) {
    uint8_t *p = out;
    *p++ = CONTEXT_VERSION;
    p = text_put(p, c->tenant);
    p = text_put(p, c->project);
    p = put_bytes(p, c->subject, UUID_BYTES);
    p = put_bytes(p, c->record, UUID_BYTES);
    *p++ = c->field;
    put_u16(p, c->schema);
    p = put_bytes(p + 2, c->conversation, UUID_BYTES);
    p = put_bytes(p, c->parent, UUID_BYTES);
    p = put_bytes(p, c->parent_hash, CONTEXT_HASH_BYTES);
    put_u32(p, c->kept);
    p = text_put(p + 4, c->dialect);
    return (size_t)(p - out);
}

/* A reader over bytes from outside: after the first failure everything fails. */
struct reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t n) {
    if (r->bad || r->left < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->p;
    r->p += n;
    r->left -= n;
    return at;
}

static void take_bytes(struct reader *r, uint8_t *out, size_t n) {
    const uint8_t *at = take(r, n);
    if (at)
        memcpy(out, at, n);
}

static void take_string(struct reader *r, char out[LIMIT_NAME]) {
    const uint8_t *n = take(r, 1);
    const uint8_t *at = n && *n < LIMIT_NAME ? take(r, *n) : NULL;
    if (!at || memchr(at, 0, *n)) {
        r->bad = true;
        return;
    }
    memcpy(out, at, *n);
    out[*n] = 0;
}

int context_decode(struct context *ret, const uint8_t *p, size_t len, size_t *ret_used) {
    struct reader r = {p, len, false};
    struct context c = {0};
    const uint8_t *version = take(&r, 1);
    if (version && *version != CONTEXT_VERSION)
        return ERR_VERSION;
    take_string(&r, c.tenant);
    take_string(&r, c.project);
    take_bytes(&r, c.subject, UUID_BYTES);
    take_bytes(&r, c.record, UUID_BYTES);
    take_bytes(&r, &c.field, 1);
    const uint8_t *schema = take(&r, 2);
    take_bytes(&r, c.conversation, UUID_BYTES);
    take_bytes(&r, c.parent, UUID_BYTES);
    take_bytes(&r, c.parent_hash, CONTEXT_HASH_BYTES);
    const uint8_t *kept = take(&r, 4);
    take_string(&r, c.dialect);
    if (r.bad)
        return ERR_SYNTAX;
    c.schema = get_u16(schema);
    c.kept = get_u32(kept);
    *ret = c;
    *ret_used = len - r.left;
    return 0;
}
