/*
 * Values that the gateway masked, found again by what they are (sealer.h). A rule sees a password by the
 * words around it; where a model repeats it without them, only the value itself tells. The values are
 * those of the request, made out here as the gateway made them out (write/mask): nothing but the exchange
 * passes through the ring.
 *
 * They are looked for as JSON has them, escaped once or more. Short ones only where they stand alone, very
 * short ones not at all: they would be found everywhere. All copies are wiped.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/json.h"
#include "proc/sealer/sealer.h"
#include "write/mask/mask.h"
#include "write/mask/nest.h"

#define VALUE_MIN 4
#define VALUE_LONG 8 /* from here on it is no part of another word by chance */

static bool is_word(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

/* A part of a longer word is another word. */
static bool stands_alone(const struct buf *turn, size_t start, size_t end) {
    return !(start > 0 && is_word(turn->p[start]) && is_word(turn->p[start - 1]) &&
             !(start > 1 && turn->p[start - 2] == '\\')) &&
           !(end < turn->len && is_word(turn->p[end - 1]) && is_word(turn->p[end]));
}

static int push(struct detect_findings *list, struct detect_finding f) {
    if (list->count == DETECT_FINDINGS)
        return ERR_LIMIT;
    if (list->count == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 64;
        struct detect_finding *more = realloc(list->items, cap * sizeof *more);
        if (!more)
            return ERR_NOMEM;
        list->items = more;
        list->cap = cap;
    }
    list->items[list->count++] = f;
    return 0;
}

static int find(const struct buf *turn, const struct buf *text, uint16_t rule,
                struct detect_findings *list) {
    int rc = 0;
    for (size_t at = 0; !rc && at < turn->len;) {
        const uint8_t *p = memmem(turn->p + at, turn->len - at, text->p, text->len);
        if (!p)
            break;
        const size_t start = (size_t)(p - turn->p), end = start + text->len;
        if (text->len >= VALUE_LONG || stands_alone(turn, start, end))
            rc = push(list, (struct detect_finding){start, end, rule, DETECT_UNCHECKED});
        at = end;
    }
    return rc;
}

static int find_all(const struct mask *m, const struct buf *turn, struct detect_findings *list) {
    struct buf text;
    int rc = 0;
    buf_init(&text, 16 * MASK_PLAIN);
    for (size_t i = 0; !rc && i < m->count; i++) {
        size_t before = 0;
        for (unsigned depth = 1; !rc && depth <= NEST_LEVELS; depth++) {
            if (m->items[i].value_len < VALUE_MIN)
                break;
            buf_clear(&text);
            rc = mask_put(&text, m, &m->items[i], depth);
            if (rc || text.len == before) /* nothing in it is escaped */
                break;
            before = text.len;
            rc = find(turn, &text, m->items[i].rule, list);
        }
    }
    buf_wipe(&text);
    return rc;
}

static int by_start(const void *a, const void *b) {
    const struct detect_finding *x = a, *y = b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1) : x->end > y->end ? -1 : x->end < y->end;
}

/* What overlaps is one finding, of all their bytes. */
static void settle(struct detect_findings *list) {
    size_t n = 0;
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_start);
    for (size_t i = 0; i < list->count; i++) {
        struct detect_finding *last = n ? &list->items[n - 1] : NULL;
        if (last && list->items[i].start < last->end) {
            if (list->items[i].end > last->end)
                last->end = list->items[i].end;
        } else {
            list->items[n++] = list->items[i];
        }
    }
    list->count = n;
}

int known_add(const struct known_wish *wish, const struct buf *request, const struct buf *turn,
              struct detect_findings *list) {
    static const uint8_t key[DETECT_KEY_BYTES]; /* their placeholders do not matter here */
    struct detect_findings found = {0};
    struct mask m;
    struct jv v;
    mask_init(&m);
    if (jv_parse(&v, request->p, request->len)) /* then nothing of it was masked */
        return 0;
    int rc = detect_scan(wish->detect, wish->work, request->p, request->len, DETECT_JSON, &found);
    const struct mask_wish values = {.detect = wish->detect,
                                     .list = &found,
                                     .wanted = wish->wanted,
                                     .arg = wish->arg,
                                     .key = key,
                                     .scope = ""};
    if (!rc)
        rc = mask_body(&m, NULL, request->p, request->len, &values);
    if (rc == ERR_UNSUPPORTED) /* the gateway refused it, and there is no answer */
        rc = 0;
    if (!rc && m.count) {
        rc = find_all(&m, turn, list);
        settle(list);
    }
    mask_done(&m);
    detect_findings_done(&found);
    return rc;
}
