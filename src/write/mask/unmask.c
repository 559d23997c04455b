/*
 * One text with placeholders in it, and JSON as a row of such texts (unmask.h). Placeholders begin with
 * "[[" and have no bracket after that before their end, so what was held and turned out to be none needs
 * no second look but at its last brackets.
 */
#include "write/mask/unmask.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "llm/scan.h"

void unmask_init(struct unmask *u, const struct mask *mask, enum unmask_kind kind) {
    *u = (struct unmask){.mask = mask, .kind = kind};
    buf_init(&u->held, LIMIT_ANSWER_BODY);
    buf_init(&u->edited, LIMIT_ANSWER_BODY);
}

void unmask_done(struct unmask *u) {
    for (size_t i = 0; i < u->count; i++)
        buf_wipe(&u->fields[i].event);
    free(u->fields);
    u->fields = NULL;
    u->count = u->cap = 0;
    buf_wipe(&u->held);
    buf_wipe(&u->edited);
}

/* ---- one text ---- */

void unmask_text_begin(struct unmask_text *t) {
    *t = (struct unmask_text){0};
    nest_begin(&t->nest);
}

/* The first of the items [low, high), alike up to `at`, whose byte there is not below c. */
static uint32_t bound(const struct mask *m, uint32_t low, uint32_t high, size_t at, unsigned c) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uint8_t)m->items[middle].text[at] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Does the next byte go on with what is held? */
static bool narrow(const struct mask *m, struct unmask_text *t, uint8_t c) {
    uint32_t low = bound(m, t->low, t->high, t->matched, c);
    uint32_t high = bound(m, low, t->high, t->matched, c + 1u);
    if (low == high)
        return false;
    t->low = low;
    t->high = high;
    t->matched++;
    return true;
}

static void hold(const struct mask *m, struct unmask_text *t, uint32_t matched) {
    t->low = 0;
    t->high = (uint32_t)m->count;
    t->matched = matched;
}

/* The first `n` bytes of what is held are text like other text. */
static int let_go(const struct mask *m, struct unmask_text *t, uint32_t n, struct buf *out) {
    if (n == 0)
        return 0;
    const char *text = m->items[t->low].text;
    for (uint32_t i = 0; i < n; i++)
        nest_feed(&t->nest, (uint8_t)text[i]);
    return buf_append(out, text, n);
}

int unmask_text_end(const struct mask *m, struct unmask_text *t, struct buf *out) {
    uint32_t n = t->matched;
    t->matched = 0;
    return let_go(m, t, n, out);
}

static int feed_byte(const struct mask *m, struct unmask_text *t, uint8_t c, struct buf *out) {
    int rc = 0;
    if (t->matched && narrow(m, t, c)) {
        const struct mask_item *item = &m->items[t->low];
        if (t->matched < item->len)
            return 0;
        t->matched = 0;
        rc = mask_put(out, m, item, nest_depth(&t->nest));
        nest_text(&t->nest);
        return rc;
    }
    if (t->matched && c == '[') { /* "[[[secret:": the last two may begin one */
        bool two = t->matched == 2;
        rc = let_go(m, t, two ? 1 : t->matched, out);
        hold(m, t, two ? 2 : 1);
        return rc;
    }
    rc = unmask_text_end(m, t, out);
    if (c == '[' && m->count) {
        hold(m, t, 1);
        return rc;
    }
    nest_feed(&t->nest, c);
    return rc ? rc : buf_append_u8(out, c);
}

/* In prose nothing happens until one of these bytes. */
static const uint8_t *prose_end(const uint8_t *p, const uint8_t *e) {
    e = scan_for(p, e, '"', '\\');
    const uint8_t *bracket = memchr(p, '[', (size_t)(e - p));
    return bracket ? bracket : e;
}

int unmask_text_feed(const struct mask *m, struct unmask_text *t, const uint8_t **p,
                     const uint8_t *e, struct buf *out) {
    const uint8_t *at = *p;
    int rc = 0;
    while (!rc && at < e && t->nest.level[0].inside) {
        const uint8_t *to = !t->matched && nest_is_prose(&t->nest) ? prose_end(at, e) : at;
        rc = to > at ? buf_append(out, at, (size_t)(to - at)) : feed_byte(m, t, *at, out);
        at = to > at ? to : at + 1;
    }
    *p = at;
    return rc;
}

/* ---- JSON ---- */

int unmask_json(struct unmask *u, const uint8_t *p, size_t n, struct buf *out) {
    const uint8_t *e = p + n;
    int rc = 0;
    while (!rc && p < e) {
        if (u->inside) {
            rc = unmask_text_feed(u->mask, &u->text, &p, e, out);
            u->inside = u->text.nest.level[0].inside;
            continue;
        }
        const uint8_t *quote = memchr(p, '"', (size_t)(e - p)), *to = quote ? quote + 1 : e;
        rc = buf_append(out, p, (size_t)(to - p));
        p = to;
        if (quote) {
            u->inside = true;
            unmask_text_begin(&u->text);
        }
    }
    return rc;
}

/* ---- what comes ---- */

/* The next bytes of the event that begins in `held`. */
static int feed_held(struct unmask *u, const uint8_t *p, size_t n, bool whole, struct buf *out) {
    int rc = buf_append(&u->held, p, n);
    if (rc || !whole)
        return rc;
    rc = unmask_event(u, u->held.p, u->held.len, out);
    buf_clear(&u->held);
    return rc;
}

static int feed_events(struct unmask *u, const uint8_t *p, size_t n, struct buf *out) {
    int rc = 0;
    while (!rc && n) {
        enum sse_piece piece;
        size_t used = sse_cut(&u->cut, p, n, &piece);
        if (piece == SSE_LATE)
            rc = buf_append(out, p, used);
        else if (piece == SSE_OPEN || u->held.len)
            rc = feed_held(u, p, used, piece == SSE_END, out);
        else
            rc = unmask_event(u, p, used, out);
        p += used;
        n -= used;
    }
    return rc;
}

int unmask_feed(struct unmask *u, const uint8_t *p, size_t n, struct buf *out) {
    return u->kind == UNMASK_EVENTS ? feed_events(u, p, n, out) : unmask_json(u, p, n, out);
}

int unmask_finish(struct unmask *u, struct buf *out) {
    if (u->kind == UNMASK_JSON)
        return unmask_text_end(u->mask, &u->text, out);
    int rc = unmask_release(u, NULL, out);
    if (!rc)
        rc = buf_append(out, u->held.p, u->held.len);
    buf_clear(&u->held);
    return rc;
}
