/*
 * One view: the first stage (all rules in one database, ends of matches only), then for each place where
 * it fired the second stage, which finds the value and judges it; then what no expression finds well.
 *
 * The first stage does not know where matches begin (asking it costs five times the speed), so the
 * second looks back from the end, no further than the rule says.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "write/detect/detect_int.h"

#define HITS_MAX (1u << 22)
#define FILLER_MAX 256 /* in a longer value "xxxxx" may stand by chance */
#define HITS_A_LOOK 4096 /* at the time, in the first stage; LOOK_EVERY in the second */

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg) {
    struct detect_work *w = arg;
    (void)from;
    (void)flags;
    if (w->d->muted[id])
        return 0;
    if (w->hits_count == w->hits_cap) {
        size_t cap = w->hits_cap ? w->hits_cap * 2 : 1024;
        struct hit *more = cap > HITS_MAX ? NULL : realloc(w->hits, cap * sizeof *more);
        if (!more) {
            w->failed = ERR_LIMIT;
            return 1;
        }
        w->hits = more;
        w->hits_cap = cap;
    }
    w->hits[w->hits_count++] = (struct hit){id, (uint32_t)to};
    return w->hits_count % HITS_A_LOOK == 0 && work_is_late(w);
}

/* Do letters or digits stand around [start, end), as if it were a part of something longer? */
static bool is_part(struct text t, size_t start, size_t end) {
    return (start > 0 && is_alnum(t.p[start]) && is_alnum(t.p[start - 1])) ||
           (end < t.len && is_alnum(t.p[end - 1]) && is_alnum(t.p[end]));
}

#define NOISE 40 /* bytes of base64 around a value, of 256 that are looked at */
#define NOISE_SEEN 256

static bool is_base64(uint8_t c) {
    return is_alnum(c) || c == '+' || c == '/';
}

/* Does base64 go on around the value, as in an image or a hash? There short prefixes stand by chance. */
static bool is_in_noise(struct text t, size_t start, size_t end) {
    size_t around = 0, capitals = 0;
    if (!start || (t.p[start - 1] != '+' && t.p[start - 1] != '/'))
        return false;
    for (size_t at = start; at > 0 && around < NOISE_SEEN && is_base64(t.p[at - 1]); around++)
        capitals += is_upper(t.p[--at]);
    for (size_t at = end; at < t.len && around < NOISE_SEEN && is_base64(t.p[at]); around++)
        capitals += is_upper(t.p[at++]);
    return around >= NOISE && capitals * 8 > around;
}

static bool accept(const struct rule *rule, struct text t, size_t start, size_t end, uint8_t *check) {
    const uint8_t *p = t.p + start;
    size_t len = end - start;
    *check = DETECT_UNCHECKED;
    if (rule->entropy && value_entropy(p, len) < rule->entropy)
        return false;
    switch (rule->check) {
    case CHECK_GITHUB:
        *check = check_github(p, len) ? DETECT_CHECKED : DETECT_CHECK_FAILED;
        return !value_is_placeholder(p, len);
    case CHECK_JWT:
        *check = DETECT_CHECKED;
        return check_jwt(p, len);
    case CHECK_RANDOM:
        return value_is_random(p, len) && !value_is_placeholder(p, len);
    case CHECK_LIKELY:
        return value_is_likely(p, len) && !value_is_placeholder(p, len);
    case CHECK_WEAK:
        return value_is_weak(p, len);
    case CHECK_SECRET:
        return value_is_password(p, len, true);
    case CHECK_BASIC:
        return check_basic(p, len);
    case CHECK_WALLET:
        *check = DETECT_CHECKED;
        return check_bech32(p, len);
    case CHECK_MNEMONIC:
        return check_mnemonic(p, len);
    case CHECK_NONE:
        break;
    }
    if (rule->entropy)
        return !value_is_placeholder(p, len);
    return len > FILLER_MAX || !value_is_filler(p, len);
}

/* Does the value begin where a part of the view ends? Then it was cut off there, or is replaced already. */
static bool is_cut_off(struct text t, size_t start, size_t end) {
    return end - start >= VIEW_GAP_BYTES && memcmp(t.p + start, VIEW_GAP, VIEW_GAP_BYTES) == 0;
}

enum match {
    NO_MATCH,  /* whatever stands behind what was looked at */
    CUT_MATCH, /* none, but with more of the text there might be one */
    MATCH,
};

/* The second stage's expression on `t`, beginning between `start` and `hit`; its match is in w->match. */
static enum match matches(struct detect_work *w, const struct rule *rule, struct text t, size_t start,
                          uint32_t options, size_t hit) {
    size_t stop = t.len - hit > rule->after ? hit + rule->after : t.len;
    if (++w->matches % LOOK_EVERY == 0 && work_is_late(w))
        return CUT_MATCH;
    pcre2_set_offset_limit(w->context, hit);
    options |= stop < t.len ? PCRE2_PARTIAL_SOFT : 0;
    int n = pcre2_match(rule->code, t.p, stop, start, options, w->match, w->context);
    if (n == PCRE2_ERROR_MATCHLIMIT || n == PCRE2_ERROR_HEAPLIMIT)
        w->failed = ERR_LIMIT;
    return n > 0 ? MATCH : n == PCRE2_ERROR_NOMATCH ? NO_MATCH : CUT_MATCH;
}

/* The match that ends where the first stage fired, or later. If none begins before *ret_dead for any later place
 * either, that is raised: hostile text has a beginning every few bytes, and each is tried once. */
static bool locate(struct detect_work *w, const struct rule *rule, struct text t, size_t from,
                   size_t hit, uint32_t *ret_dead) {
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->match);
    enum match m = NO_MATCH;
    if (!rule->literal_len) {
        for (size_t at = from; at < hit && !w->failed; at = v[1] > at ? v[1] : at + 1) {
            m = matches(w, rule, t, at, 0, hit);
            if (m == NO_MATCH && at == from)
                *ret_dead = (uint32_t)hit;
            if (m != MATCH || v[1] >= hit)
                return m == MATCH;
        }
        return false;
    }
    bool dead = true;
    for (size_t at = hit - rule->literal_len + 1; at-- > from && !w->failed;) {
        if (t.p[at] != (uint8_t)rule->literal[0] || memcmp(t.p + at, rule->literal, rule->literal_len) != 0)
            continue;
        m = matches(w, rule, t, at, PCRE2_ANCHORED, hit);
        if (m == MATCH && v[1] >= hit)
            return true;
        dead = dead && m == NO_MATCH;
    }
    if (dead)
        *ret_dead = (uint32_t)(hit - rule->literal_len + 1);
    return false;
}

void pattern_confirm(const struct detect *d, struct detect_work *w, struct text t, size_t index,
                     size_t hit) {
    const struct rule *rule = &d->rules.list[index];
    size_t from = hit > rule->before ? hit - rule->before : 0;
    uint8_t check;
    if (from < w->done[index])
        from = w->done[index];
    if (rule->value_run && !runs_have(w, from, hit + rule->after, rule->value_run))
        return;
    if (rule->run ? matches(w, rule, t, hit, PCRE2_ANCHORED, hit) != MATCH
                  : hit < from + rule->literal_len || !locate(w, rule, t, from, hit, &w->done[index]))
        return;
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->match);
    size_t start = v[2 * rule->group], end = v[2 * rule->group + 1];
    if (start == PCRE2_UNSET || start >= end || is_cut_off(t, start, end) ||
        (!rule->glued && (is_part(t, start, end) || is_in_noise(t, start, end))) || !accept(rule, t, start, end, &check))
        return;
    w->done[index] = (uint32_t)end;
    work_found(w, index, start, end, check);
}

/* "[[secret:CLASS:kID:TAG]]" exactly: anything else that begins so is scanned like other text. */
size_t placeholder_end(struct text t, size_t at) {
    size_t id, tag;
    if (t.len - at < PLACEHOLDER_MIN || memcmp(t.p + at, PLACEHOLDER_OPEN, strlen(PLACEHOLDER_OPEN)) != 0)
        return 0;
    at += strlen(PLACEHOLDER_OPEN);
    for (size_t class = at; at < t.len && at - class < DETECT_ID_MAX &&
                            (is_lower(t.p[at]) || is_digit(t.p[at]) || t.p[at] == '-');)
        at++;
    if (at + 2 >= t.len || t.p[at] != ':' || t.p[at + 1] != 'k')
        return 0;
    for (id = at += 2; at < t.len && is_digit(t.p[at]);)
        at++;
    if (at == id || at - id > 10 || at >= t.len || t.p[at] != ':')
        return 0;
    for (tag = ++at; at < t.len && (is_upper(t.p[at]) || (t.p[at] >= '2' && t.p[at] <= '7'));)
        at++;
    return at - tag == DETECT_TAG_TEXT && at + 2 <= t.len && t.p[at] == ']' && t.p[at + 1] == ']' ? at + 2 : 0;
}

static void placeholder_confirm(struct detect_work *w, size_t rule, struct text t, size_t hit) {
    size_t start = hit - strlen(PLACEHOLDER_OPEN), end = placeholder_end(t, start);
    if (end)
        work_found(w, rule, start, end, DETECT_UNCHECKED);
}

int scan_first_stage(const struct detect *d, struct detect_work *w, struct text t) {
    w->hits_count = 0;
    for (size_t i = 0; i < sizeof d->db / sizeof d->db[0]; i++)
        if (d->db[i] && hs_scan(d->db[i], (const char *)t.p, (unsigned)t.len, 0, w->scratch, on_match, w) !=
                            HS_SUCCESS)
            return w->failed ? w->failed : ERR_INTERNAL;
    return 0;
}

int scan_view(const struct detect *d, struct detect_work *w, struct text t) {
    memset(w->done, 0, d->rules.count * sizeof *w->done);
    memset(w->tried, 0, d->rules.count * sizeof *w->tried);
    int rc = scan_first_stage(d, w, t);
    if (rc || work_is_late(w))
        return rc ? rc : w->failed;
    runs_find(d, w, t);
    for (size_t i = 0; i < w->hits_count && !w->failed; i++) {
        if (i % LOOK_EVERY == 0 && work_is_late(w))
            break;
        struct hit hit = w->hits[i];
        enum rule_kind kind = d->rules.list[hit.id].kind;
        if (kind == RULE_PATTERN)
            pattern_confirm(d, w, t, hit.id, hit.end);
        else if (kind == RULE_PLACEHOLDER)
            placeholder_confirm(w, hit.id, t, hit.end);
        else
            assign_confirm(d, w, t, hit.id, hit.end);
    }
    if (!w->failed && !work_is_late(w))
        runs_scan(d, w, t);
    return w->failed;
}
