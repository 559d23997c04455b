/* Putting values back into any bytes. What comes out does not depend on how the bytes were split; text
 * without placeholders of the mask passes as it is, but for what is held and moves to a delta that is made
 * for it; no placeholder of JSON strings is left. The first byte says which kind, and how it is split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "llm/json.h"
#include "write/mask/unmask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define A "[[secret:a:k0:AAAAAAAAAAAAAAAAAAAAAAAAAA]]"
#define B "[[secret:a:k0:AAAAAAAAAAAAAAAAAAAAAAAAAB]]"
#define C "[[secret:b:k0:BBBBBBBBBBBBBBBBBBBBBBBBBB]]"

static struct mask_item items[3];
static struct mask mask = {.items = items, .count = 3};

static void add(size_t i, const char *text, const char *value) {
    memcpy(items[i].text, text, strlen(text));
    items[i].len = (uint16_t)strlen(text);
    items[i].at = (uint32_t)mask.plain.len;
    items[i].value_len = (uint32_t)strlen(value);
    if (buf_append_str(&mask.plain, value))
        abort();
}

static void run(struct buf *out, enum unmask_kind kind, const uint8_t *p, size_t n, size_t step) {
    struct unmask u;
    unmask_init(&u, &mask, kind);
    for (size_t at = 0; at < n; at += step) {
        size_t part = n - at < step ? n - at : step;
        uint8_t *copy = malloc(part);
        memcpy(copy, p + at, part);
        if (unmask_feed(&u, copy, part, out))
            abort();
        free(copy);
    }
    if (unmask_finish(&u, out))
        abort();
    unmask_done(&u);
}

static bool has(const void *p, size_t n, const char *text) {
    return n && memmem(p, n, text, strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole, split;
    struct jv v;
    if (size == 0)
        return 0;
    if (!mask.plain.max) {
        buf_init(&mask.plain, 1024);
        add(0, A, "one");
        add(1, B, "two \"\n\\");
        add(2, C, "three");
    }
    const enum unmask_kind kind = data[0] & 1 ? UNMASK_EVENTS : UNMASK_JSON;
    const size_t n = size - 1, step = 1u + (data[0] >> 1);
    const uint8_t *p = data + 1;
    buf_init(&whole, 1u << 26);
    buf_init(&split, 1u << 26);
    run(&whole, kind, p, n, n ? n : 1);
    run(&split, kind, p, n, step);
    if (whole.len != split.len || (whole.len && memcmp(whole.p, split.p, whole.len)))
        abort();
    if (kind == UNMASK_JSON && !has(p, n, A) && !has(p, n, B) && !has(p, n, C) &&
        (whole.len != n || (n && memcmp(whole.p, p, n))))
        abort();
    /* JSON stays JSON, and has none of them in its strings */
    if (kind == UNMASK_JSON && jv_parse(&v, p, n) == 0 &&
        (jv_parse(&v, whole.p, whole.len) || has(whole.p, whole.len, A) ||
         has(whole.p, whole.len, B) || has(whole.p, whole.len, C)))
        abort();
    buf_wipe(&whole);
    buf_wipe(&split);
    return 0;
}
