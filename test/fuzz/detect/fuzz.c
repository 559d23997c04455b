/* Any bytes, in either form: findings lie in the input, in order, apart; what replaces them is not found
 * again, and is not touched by a second pass. The input lies at the very end of its memory, so that a byte
 * read behind it is seen. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "write/detect/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct detect *d;
static struct detect_work *w;

static void need(int truth) {
    if (!truth)
        abort();
}

static void start(void) {
    char why[256];
    need(sodium_init() >= 0 && detect_new(&d, NULL, why, sizeof why) == 0 && detect_work_new(&w, d) == 0);
}

static void check(const struct detect_findings *list, size_t size) {
    size_t end = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct detect_finding *f = &list->items[i];
        need(f->start >= end && f->start < f->end && f->end <= size && f->rule < detect_rules(d));
        end = f->end;
    }
}

/* Placeholders of the first pass stand as they are after a second one. */
static void check_kept(const struct buf *once, const struct buf *twice) {
    const uint8_t *at = once->p, *end = once->p + once->len;
    size_t n = 0, m = 0;
    while (at && (at = memmem(at, (size_t)(end - at), "[[secret:", 9)))
        n++, at += 9;
    at = twice->p, end = twice->p + twice->len;
    while (at && (at = memmem(at, (size_t)(end - at), "[[secret:", 9)))
        m++, at += 9;
    need(m >= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t key[DETECT_KEY_BYTES] = {1};
    static const struct detect_key k = {key, 1};
    struct detect_findings list = {0};
    struct buf once, twice;
    if (!d)
        start();
    if (!size)
        return 0;
    enum detect_form form = data[0] & 1 ? DETECT_JSON : DETECT_TEXT;
    size_t len = size - 1;
    uint8_t *text = malloc(len ? len : 1);
    memcpy(text, data + 1, len);
    buf_init(&once, 1u << 26);
    buf_init(&twice, 1u << 26);
    if (detect_scan(d, w, text, len, form, &list) == 0) {
        check(&list, len);
        need(detect_replace(&once, d, w, text, len, form, &list, &k, NULL, NULL) == 0);
        need(detect_scan(d, w, once.p, once.len, form, &list) == 0);
        check(&list, once.len);
        need(detect_replace(&twice, d, w, once.p, once.len, form, &list, &k, NULL, NULL) == 0);
        if (once.len)
            check_kept(&once, &twice);
    }
    detect_findings_done(&list);
    buf_wipe(&once);
    buf_wipe(&twice);
    free(text);
    return 0;
}
