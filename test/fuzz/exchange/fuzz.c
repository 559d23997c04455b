/* Turns as the reading side takes them: slices stay in their text, and of a chain of turns (separated
 * by zero bytes, the first byte of each is its `kept`) request and rest are JSON again and can be
 * shown. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/json.h"
#include "read/query/turn.h"

#define TURNS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct jv v, const uint8_t *begin, const uint8_t *end, int depth) {
    struct jv key, value;
    struct buf text, again;
    buf_init(&text, 1u << 24);
    buf_init(&again, 1u << 24);
    if (v.p < begin || v.p + v.len > end)
        abort();
    if (jv_is_string(v)) {
        if (jv_text(v, &text) || buf_append_u8(&again, '"') ||
            jv_escape(&again, text.p, text.len) || buf_append_u8(&again, '"') ||
            jv_parse(&value, again.p, again.len))
            abort();
    }
    buf_wipe(&text);
    buf_wipe(&again);
    size_t n = 0;
    for (size_t pos = 0; depth < 6 && jv_each(v, &pos, &key, &value); n++)
        walk(value, begin, end, depth + 1);
    if (depth < 6 && n != jv_count(v))
        abort();
    (void)jv_u32(v, 0);
    (void)jv_is_empty(v);
}

static void must_be_json(struct buf *b) {
    struct jv v;
    if (jv_parse(&v, b->p, b->len))
        abort();
    buf_clear(b);
}

static void show(const struct turn *turns, size_t n) {
    struct exchange e;
    struct buf b;
    buf_init(&b, 1u << 26);
    if (exchange_build(&e, turns, n) == 0) {
        if (exchange_request(&e, &b))
            abort();
        must_be_json(&b);
        if (exchange_response(&e, &b))
            abort();
        must_be_json(&b);
        if (buf_append_str(&b, "{\"x\":0") || exchange_rest(&e, &b) || buf_append_u8(&b, '}'))
            abort();
        must_be_json(&b);
        int rc = exchange_render(&e, 0, &b);
        if (rc && rc != ERR_SYNTAX) /* a member that should be a string is none */
            abort();
        for (size_t i = 0; i < b.len; i++)
            if ((b.p[i] < 0x20 && b.p[i] != '\n' && b.p[i] != '\t') || b.p[i] == 0x7f)
                abort();
    }
    exchange_done(&e);
    buf_wipe(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct turn turns[TURNS_MAX];
    struct jv v;
    size_t n = 0;
    uint8_t *copy = malloc(size + 1); /* slices must not leave it */
    memcpy(copy, data, size);
    if (jv_parse(&v, copy, size) == 0)
        walk(v, copy, copy + size, 0);
    for (size_t at = 0; at < size && n < TURNS_MAX;) {
        const uint8_t *end = memchr(copy + at, 0, size - at);
        size_t len = end ? (size_t)(end - copy) - at : size - at;
        if (len > 1 && turn_parse(&turns[n], copy + at + 1, len - 1, copy[at] & 15) == 0)
            n++;
        at += len + 1;
    }
    if (n)
        show(turns, n);
    free(copy);
    return 0;
}
