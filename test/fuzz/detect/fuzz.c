/*
 * Any bytes, in either form: findings lie in the input, in order, apart, and what replaces them is left alone by a
 * second pass. (That this pass finds nothing elsewhere either is asked of texts, in test/unit/detect/test_replace.c:
 * of arbitrary bytes it does not hold, as what stood beside a value may be one of its own when that is gone.) The
 * first byte says what is made of the rest:
 *   bit 0      scanned as JSON, else as text
 *   bit 1      the next four bytes plant a rule's example in it (which one, and where), cut or whole
 *   bits 2, 3  put into a string of JSON (1), into a tool's arguments, which are JSON in such a string (2), or
 *              into base64 (3)
 * The input lies at the very end of its memory, so that a byte read behind it is seen.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "write/detect/detect.h"

#define TEXT_MAX (1u << 26)
#define OPEN "[[secret:"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct detect *d;
static struct detect_work *w;
static struct buf planted, made, inner, once; /* kept, as their memory is what a run would ask for most */
static const char **examples;
static size_t examples_count;

static void need(int truth) {
    if (!truth)
        abort();
}

static void start(void) {
    char why[256];
    bool match;
    const char *text;
    struct buf *const all[] = {&planted, &made, &inner, &once};
    need(sodium_init() >= 0 && detect_new(&d, NULL, why, sizeof why) == 0 && detect_work_new(&w, d) == 0);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_init(all[i], TEXT_MAX);
    for (size_t r = 0; r < detect_rules(d); r++) {
        for (size_t i = 0; (text = detect_example(d, r, i, &match)); i++) {
            need((examples = realloc(examples, (examples_count + 1) * sizeof *examples)) != NULL);
            examples[examples_count++] = text;
        }
    }
}

/* ---- what is scanned ---- */

/* The rest of the input, as it is. */
static const struct buf *keep(const uint8_t *p, size_t len) {
    buf_clear(&planted);
    need(!buf_append(&planted, p, len));
    return &planted;
}

/* With a rule's example in it. */
static const struct buf *plant(const uint8_t *p, size_t len) {
    buf_clear(&planted);
    if (len >= 4) {
        const char *text = examples[get_u16(p) % examples_count];
        size_t at = len > 4 ? p[2] * (len - 4) / 256 : 0, whole = strlen(text);
        size_t n = p[3] & 0x80 ? whole * (p[3] & 0x7f) / 0x7f : whole;
        need(!buf_append(&planted, p + 4, at) && !buf_append(&planted, text, n) &&
             !buf_append(&planted, p + 4 + at, len - 4 - at));
    }
    return &planted;
}

static void put_string(struct buf *out, const char *before, const struct buf *text, const char *after) {
    buf_clear(out);
    need(!buf_append_str(out, before));
    for (size_t i = 0; i < text->len; i++) {
        uint8_t c = text->p[i];
        need(!(c < 0x20 || (c >= 0x7f && (c & 3) == 3) ? buf_printf(out, "\\u%04x", c)
               : c == '"' || c == '\\'                 ? buf_printf(out, "\\%c", c)
                                                       : buf_append_u8(out, c)));
    }
    need(!buf_append_str(out, after));
}

static const struct buf *make(const uint8_t *data, size_t size) {
    const struct buf *text = data[0] & 2 ? plant(data + 1, size - 1) : keep(data + 1, size - 1);
    switch (data[0] >> 2 & 3) {
    case 1:
        put_string(&made, "{\"messages\":[{\"role\":\"user\",\"content\":\"", text, "\"}]}");
        return &made;
    case 2:
        put_string(&inner, "{\"text\":\"", text, "\",\"n\":1}");
        put_string(&made, "{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"", &inner, "\"}}]}");
        return &made;
    case 3:
        buf_clear(&made);
        need(!buf_append_str(&made, "data: ") && !buf_reserve(&made, B64_LEN(text->len) + 1));
        made.len += b64_encode((char *)made.p + made.len, text->p, text->len);
        return &made;
    default:
        return text;
    }
}

/* ---- what must hold ---- */

static void check(const struct detect_findings *list, size_t size) {
    size_t end = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct detect_finding *f = &list->items[i];
        need(f->start >= end && f->start < f->end && f->end <= size && f->rule < detect_rules(d));
        end = f->end;
    }
}

/* The length of a placeholder that begins at `p`; 0: none does. */
static size_t placeholder(const uint8_t *p, size_t len) {
    char text[160], class[DETECT_ID_MAX], tag[DETECT_TAG_TEXT + 1];
    unsigned id;
    int n = 0;
    len = len < sizeof text ? len : sizeof text - 1;
    memcpy(text, p, len);
    text[len] = 0;
    sscanf(text, OPEN "%47[a-z0-9-]:k%10u:%26[A-Z2-7]]]%n", class, &id, tag, &n);
    return n && strlen(tag) == DETECT_TAG_TEXT ? (size_t)n : 0;
}

/* No finding of a second pass reaches into a placeholder of the first. */
static void check_apart(const struct buf *text, const struct detect_findings *list) {
    const uint8_t *at = text->p, *end = text->p + text->len;
    for (; at && (at = memmem(at, (size_t)(end - at), OPEN, strlen(OPEN))); at++) {
        size_t from = (size_t)(at - text->p), n = placeholder(at, (size_t)(end - at));
        for (size_t i = 0; n && i < list->count; i++)
            need(list->items[i].end <= from || list->items[i].start >= from + n);
    }
}

static void replace(struct buf *out, const void *p, size_t len, enum detect_form form, const struct detect_findings *list) {
    static const uint8_t key[DETECT_KEY_BYTES] = {1};
    static const struct detect_key k = {key, 1};
    buf_clear(out);
    need(detect_replace(out, d, w, p, len, form, list, &k, NULL, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct detect_findings list;
    if (!d)
        start();
    if (!size)
        return 0;
    enum detect_form form = data[0] & 1 ? DETECT_JSON : DETECT_TEXT;
    const struct buf *text = make(data, size);
    uint8_t *exact = malloc(text->len ? text->len : 1);
    need(exact != NULL);
    if (text->len)
        memcpy(exact, text->p, text->len);
    if (detect_scan(d, w, exact, text->len, form, &list) == 0) {
        check(&list, text->len);
        if (list.count) {
            replace(&once, exact, text->len, form, &list);
            need(detect_scan(d, w, once.p, once.len, form, &list) == 0);
            check(&list, once.len);
            check_apart(&once, &list);
        }
    }
    free(exact);
    return 0;
}
