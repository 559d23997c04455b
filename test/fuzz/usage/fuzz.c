/* The usage scanner on any bytes: the result does not depend on how they were split, and on valid
 * JSON it is what the cursor finds, from the text's end as well. The first byte says which dialect,
 * the second how it is split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"openai.chat", "openai.responses", "anthropic.messages",
                                    "openai.images"};

static void scan(struct usage_scan *s, const struct dialect *d, bool stream, const uint8_t *p,
                 size_t n, size_t step) {
    usage_scan_init(s, d, stream);
    for (size_t at = 0; at < n; at += step) {
        size_t part = n - at < step ? n - at : step;
        uint8_t *copy = malloc(part);
        memcpy(copy, p + at, part);
        usage_scan_feed(s, copy, part);
        free(copy);
    }
    usage_scan_done(s);
}

static bool same(const struct usage *a, const struct usage *b) {
    return a->reported == b->reported && a->input == b->input && a->output == b->output &&
           a->cached == b->cached && a->written == b->written && a->reasoning == b->reasoning;
}

/* Names written with escapes are not looked for; several usage objects add up to one. */
static bool comparable(struct jv v, const uint8_t *p, size_t n) {
    struct jv key, value;
    int usages = 0;
    for (size_t pos = 0; jv_each(v, &pos, &key, &value);)
        usages += jv_equals(key, "usage");
    return jv_is_object(v) && usages <= 1 && !memchr(p, '\\', n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct usage_scan whole, split;
    struct usage a, b;
    struct jv v;
    if (size < 3)
        return 0;
    const struct dialect *d = dialect_named(names[data[0] >> 1 & 3]);
    bool stream = data[0] & 1;
    size_t step = data[1] + 1u;
    data += 2;
    size -= 2;
    scan(&whole, d, stream, data, size, size);
    scan(&split, d, stream, data, size, step);
    usage_scan_result(&whole, &a);
    usage_scan_result(&split, &b);
    if (!same(&a, &b) || whole.ended != split.ended || whole.failed != split.failed)
        abort();
    if (stream || jv_parse(&v, data, size) || !comparable(v, data, size))
        return 0;
    usage_read(&b, d, jv_get(v, "usage"));
    if (!same(&a, &b))
        abort();
    usage_scan_init(&whole, d, false);
    usage_scan_whole(&whole, data, size);
    usage_scan_done(&whole);
    usage_scan_result(&whole, &a);
    if (!same(&a, &b))
        abort();
    return 0;
}
