/*
 * Placeholders: what stands in the stored copy in place of a secret. The same secret of one tenant has
 * the same tag, so leaks can be counted and looked up; without the key a tag says nothing, and it is not
 * reversible with it (record/fingerprint.h). Keys are the caller's.
 */
#include <string.h>

#include "base/err.h"
#include "record/fingerprint.h"
#include "write/detect/detect_int.h"
#include "write/detect/sift.h"

void detect_tag(char out[static DETECT_TAG_TEXT + 1], const struct detect_key *key, const char *class,
                const void *value, size_t len) {
    fingerprint(out, key->key, class, value, len);
}

/* Where a finding stands in JSON: inside of a string or not. Walks on from the last place. */
struct place {
    size_t at;
    bool inside;
};

static void walk(struct place *s, const uint8_t *p, size_t to) {
    while (s->at < to) {
        uint64_t bits = to - s->at >= SIFT_BLOCK ? sift_quotes(p + s->at) : 1;
        s->at += bits ? (size_t)__builtin_ctzll(bits) : SIFT_BLOCK;
        if (!bits)
            continue;
        if (s->inside && p[s->at] == '\\')
            s->at++;
        else if (p[s->at] == '"')
            s->inside = !s->inside;
        s->at++;
    }
}

/* What is hashed is what a reader sees: escapes and folded forms are decoded as for the scan. */
static int seen(struct detect_work *w, struct text t, struct text *ret) {
    struct text now = t;
    for (int level = 0; level < DETECT_LEVELS; level++) {
        int rc = view_decode(&w->views[level], now, false, level > 0);
        if (rc)
            return rc;
        if (!w->views[level].text.len)
            break;
        now = (struct text){w->views[level].text.p, w->views[level].text.len};
    }
    *ret = now;
    return 0;
}

static int put(struct buf *out, struct detect_work *w, struct detect_rule_info rule, struct text value,
               const struct detect_key *key, bool quoted) {
    char tag[DETECT_TAG_TEXT + 1];
    struct text plain;
    int rc = seen(w, value, &plain);
    if (rc)
        return rc;
    detect_tag(tag, key, rule.class, plain.p, plain.len);
    return buf_printf(out, "%s[[secret:%s:k%u:%s]]%s", quoted ? "\"" : "", rule.class, key->id, tag,
                      quoted ? "\"" : "");
}

/* A value ends where its string ends, and a bare one covers its whole literal. */
static void fit(struct place *s, const uint8_t *p, size_t len, size_t *start, size_t *end) {
    walk(s, p, *start);
    if (s->inside) {
        for (size_t i = *start; i < *end; i++) {
            if (p[i] == '\\')
                i++;
            else if (p[i] == '"')
                *end = i;
        }
        return;
    }
    while (*start > 0 && (is_alnum(p[*start - 1]) || strchr("+-.", p[*start - 1])))
        --*start;
    while (*end < len && (is_alnum(p[*end]) || strchr("+-.", p[*end])))
        ++*end;
}

int detect_replace(struct buf *out, const struct detect *d, struct detect_work *w, const void *input,
                   size_t len, enum detect_form form, const struct detect_findings *list,
                   const struct detect_key *key, bool (*wanted)(struct detect_rule_info, void *arg),
                   void *arg) {
    const uint8_t *p = input;
    struct place place = {0};
    size_t done = 0;
    int rc = 0;
    if (!len)
        return 0; /* and `input` may be NULL */
    for (size_t i = 0; !rc && i < list->count; i++) {
        struct detect_rule_info rule = detect_rule(d, list->items[i].rule);
        size_t start = list->items[i].start, end = list->items[i].end;
        if (wanted && !wanted(rule, arg))
            continue;
        if (form == DETECT_JSON)
            fit(&place, p, len, &start, &end);
        if (start < done)
            start = done;
        if (start >= end)
            continue;
        rc = buf_append(out, p + done, start - done);
        if (!rc)
            rc = put(out, w, rule, (struct text){p + start, end - start}, key,
                     form == DETECT_JSON && !place.inside);
        done = end;
    }
    if (!rc)
        rc = buf_append(out, p + done, len - done);
    for (int level = 0; level < DETECT_LEVELS; level++)
        buf_clear(&w->views[level].text);
    return rc;
}
