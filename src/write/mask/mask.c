/*
 * Values and placeholders of one request (mask.h). The body is walked once: strings without a finding
 * are skipped, in those with one the depth is followed to the finding, because a value that is put back
 * elsewhere must be known as its reader has it, without the escapes of the place that it came from.
 */
#include "write/mask/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/json.h"
#include "llm/scan.h"
#include "record/fingerprint.h"
#include "write/mask/nest.h"

#define FEW 4 /* values: most bodies with any have no more, and are copied once */
#define REST_RUN 4 /* letters in a row that may stand behind what is replaced of a finding */

_Static_assert(sizeof "[[secret::k0:]]" + DETECT_ID_MAX + FINGERPRINT_TEXT <= MASK_TEXT,
               "a placeholder fits");

void mask_init(struct mask *m) {
    *m = (struct mask){0};
    buf_init(&m->plain, MASK_PLAIN);
}

void mask_done(struct mask *m) {
    free(m->items);
    buf_wipe(&m->plain);
    *m = (struct mask){.plain = m->plain};
}

/* ---- where the walk is ---- */

struct walk {
    const uint8_t *p;
    size_t len, at;
    bool inside; /* of a string, which `nest` follows */
    struct nest nest;
};

/* The quote that ends the string whose text begins at `from`; len: none. */
static size_t string_end(const struct walk *w, size_t from) {
    const uint8_t *e = w->p + w->len, *at = w->p + from;
    while ((at = scan_for(at, e, '"', '\\')) < e && *at == '\\')
        at += e - at > 1 ? 2 : 1;
    return (size_t)(at - w->p);
}

static void follow(struct walk *w, size_t to) {
    for (; w->at < to && w->inside; w->at++) {
        nest_feed(&w->nest, w->p[w->at]);
        w->inside = w->nest.level[0].inside;
    }
}

static void walk_to(struct walk *w, size_t to) {
    follow(w, to);
    while (w->at < to) {
        const uint8_t *quote = memchr(w->p + w->at, '"', to - w->at);
        if (!quote) {
            w->at = to;
            break;
        }
        const size_t begin = (size_t)(quote - w->p) + 1, end = string_end(w, begin);
        if (end < to) {
            w->at = end + 1;
            continue;
        }
        w->at = begin;
        w->inside = true;
        nest_begin(&w->nest);
        follow(w, to);
    }
}

/* ---- a value ---- */

static bool is_literal(uint8_t c) {
    return (c >= '0' && c <= '9') || (c | 0x20) == 'e' || c == '+' || c == '-' || c == '.';
}

/* A number is replaced as a whole. */
static void widen(const struct walk *w, size_t *start, size_t *end) {
    while (*start > 0 && is_literal(w->p[*start - 1]))
        --*start;
    while (*end < w->len && is_literal(w->p[*end]))
        ++*end;
}

/* Does something stand there that could be a part of the value? */
static bool has_rest(const uint8_t *p, size_t len) {
    size_t run = 0;
    for (size_t i = 0; i < len && run < REST_RUN; i++)
        run = (p[i] >= '0' && p[i] <= '9') || ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z') ||
                      p[i] >= 0x80
                  ? run + 1
                  : 0;
    return run == REST_RUN;
}

/* Follows the finding to its end, or to that of its string; how deep it lies, from beginning to end. */
static int follow_value(struct walk *w, size_t *end, unsigned *ret_depth) {
    unsigned depth = nest_depth(&w->nest);
    size_t to = *end;
    if (depth == 0) /* it begins in an escape, which no decoder leaves us */
        depth = 1;
    while (w->at < to || (w->nest.level[0].escape && w->at < w->len)) {
        struct nest before = w->nest;
        nest_feed(&w->nest, w->p[w->at]);
        bool ended = false; /* in the middle of an escape it is not */
        for (unsigned i = 0; i < depth; i++)
            ended = ended || !w->nest.level[i].inside;
        if (ended) {
            w->nest = before;
            break;
        }
        w->at++;
    }
    if (w->at < to && has_rest(w->p + w->at, to - w->at))
        return ERR_UNSUPPORTED;
    for (unsigned i = 0; i < depth; i++)
        if (w->nest.level[i].escape)
            depth = i;
    *end = w->at;
    *ret_depth = depth;
    return 0;
}

/* Takes `depth` layers of escapes from bytes that lie in so many strings. */
static int unescape(struct buf *text, const uint8_t *p, size_t len, unsigned depth) {
    struct buf quoted, plain;
    buf_init(&quoted, MASK_PLAIN);
    buf_init(&plain, MASK_PLAIN);
    int rc = buf_append(&plain, p, len);
    for (unsigned i = 0; !rc && i < depth && memchr(plain.p, '\\', plain.len); i++) {
        buf_clear(&quoted);
        rc = buf_append_u8(&quoted, '"');
        if (!rc)
            rc = buf_append(&quoted, plain.p, plain.len);
        if (!rc)
            rc = buf_append_u8(&quoted, '"');
        buf_clear(&plain);
        if (!rc)
            rc = jv_text((struct jv){quoted.p, quoted.len}, &plain);
    }
    if (!rc)
        rc = buf_append(text, plain.p, plain.len);
    buf_wipe(&quoted);
    buf_wipe(&plain);
    return rc;
}

static int make_text(struct mask_item *item, const struct mask *m, const struct mask_wish *wish) {
    const char *class = detect_rule(wish->detect, item->rule).class;
    char tag[FINGERPRINT_TEXT + 1];
    struct buf scoped;
    buf_init(&scoped, MASK_PLAIN);
    int rc = buf_append(&scoped, wish->scope, wish->scope_len);
    if (!rc)
        rc = buf_append(&scoped, m->plain.p + item->at, item->value_len);
    if (!rc) {
        fingerprint(tag, wish->key, class, scoped.p, scoped.len);
        item->len = (uint16_t)snprintf(item->text, sizeof item->text, "[[secret:%s:k0:%s]]", class,
                                       tag);
    }
    buf_wipe(&scoped);
    return rc;
}

static struct mask_item *new_item(struct mask *m) {
    if (m->count == m->cap) {
        const size_t cap = m->cap ? m->cap * 2 : 4;
        struct mask_item *more = realloc(m->items, cap * sizeof *more);
        if (!more)
            return NULL;
        m->items = more;
        m->cap = cap;
    }
    return &m->items[m->count++];
}

static int add(struct mask *m, const struct walk *w, size_t start, size_t end, unsigned depth,
               uint16_t rule, const struct mask_wish *wish) {
    struct mask_item *item = m->count < DETECT_FINDINGS ? new_item(m) : NULL;
    if (!item)
        return m->count < DETECT_FINDINGS ? ERR_NOMEM : ERR_LIMIT;
    *item = (struct mask_item){.rule = rule, .at = (uint32_t)m->plain.len};
    int rc = unescape(&m->plain, w->p + start, end - start, depth);
    item->value_len = (uint32_t)(m->plain.len - item->at);
    return rc ? rc : make_text(item, m, wish);
}

/* ---- the body ---- */

struct making {
    struct mask *mask;
    struct buf *out;
    struct walk walk;
    size_t done; /* of the body, in `out` */
    const struct mask_wish *wish;
};

static int put(struct making *k, const void *p, size_t len) {
    return k->out ? buf_append(k->out, p, len) : 0;
}

static int replace(struct making *k, const struct detect_finding *f) {
    struct walk *w = &k->walk;
    size_t start = f->start > k->done ? f->start : k->done, end = f->end;
    unsigned depth = 0;
    int rc = 0;
    if (start >= end)
        return 0;
    walk_to(w, start);
    const bool inside = w->inside;
    if (inside)
        rc = follow_value(w, &end, &depth);
    else
        widen(w, &start, &end);
    if (start < k->done)
        start = k->done;
    if (rc || start >= end)
        return rc;
    rc = add(k->mask, w, start, end, depth, f->rule, k->wish);
    if (!rc)
        rc = put(k, w->p + k->done, start - k->done);
    if (!rc && !inside)
        rc = put(k, "\"", 1);
    if (!rc)
        rc = put(k, k->mask->items[k->mask->count - 1].text,
                 k->mask->items[k->mask->count - 1].len);
    if (!rc && !inside)
        rc = put(k, "\"", 1);
    k->done = end;
    return rc;
}

static int by_text(const void *a, const void *b) {
    return strcmp(((const struct mask_item *)a)->text, ((const struct mask_item *)b)->text);
}

static int settle(struct mask *m) {
    size_t n = 0;
    if (m->count)
        qsort(m->items, m->count, sizeof *m->items, by_text);
    for (size_t i = 0; i < m->count; i++)
        if (!n || strcmp(m->items[n - 1].text, m->items[i].text) != 0)
            m->items[n++] = m->items[i];
    m->count = n;
    return n > MASK_VALUES ? ERR_LIMIT : 0;
}

int mask_body(struct mask *m, struct buf *out, const uint8_t *body, size_t len,
              const struct mask_wish *wish) {
    struct making k = {.mask = m, .out = out, .walk = {.p = body, .len = len}, .wish = wish};
    int rc = out ? buf_reserve(out, len + FEW * MASK_TEXT) : 0;
    for (size_t i = 0; !rc && i < wish->list->count; i++)
        if (wish->wanted(detect_rule(wish->detect, wish->list->items[i].rule), wish->arg))
            rc = replace(&k, &wish->list->items[i]);
    if (!rc)
        rc = put(&k, body + k.done, len - k.done);
    return rc ? rc : settle(m);
}
