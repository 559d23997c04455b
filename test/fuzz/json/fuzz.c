/* The cursor on any bytes: never outside of the slice; on valid ones: canonical forms agree with the
 * text, and decoding gives UTF-8 that quotes back to the same characters. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "llm/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const void *p, size_t len) {
    (void)p;
    *(size_t *)arg += len;
}

static void walk(struct jv v, int depth) {
    struct jv key, value, again;
    struct buf text, quoted;
    if (depth > 4)
        return;
    buf_init(&text, 1u << 24);
    buf_init(&quoted, 1u << 24);
    if (jv_is_string(v) && !jv_text(v, &text)) {
        if (jv_quote(&quoted, text.p, text.len))
            abort();
        again = (struct jv){quoted.p, quoted.len};
        if (utf8_valid(v.p, v.len) && !jv_same(again, v) && !memmem(text.p, text.len, "\xef\xbf\xbd", 3) &&
            jv_parse(&value, v.p, v.len) == 0)
            abort();
    }
    buf_wipe(&text);
    buf_wipe(&quoted);
    char name[16];
    jv_text_fits(v, name, sizeof name);
    jv_u32(v, 0);
    jv_is_empty(v);
    for (size_t pos = 0; jv_each(v, &pos, &key, &value);)
        walk(value, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct jv v;
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    size_t n = 0;
    if (jv_parse(&v, copy, size) == 0) {
        if (jv_canonical(v, count, &n))
            abort();
    } else {
        v = (struct jv){copy, size};
        if (size)
            jv_canonical(v, count, &n);
    }
    walk(v, 0);
    free(copy);
    return 0;
}
