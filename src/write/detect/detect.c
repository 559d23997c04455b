/*
 * The detector's life: rules are read, the first stage's databases are made from them, and then nothing
 * of it changes; any number of works may scan with it, one thread each. The built-in rules' database comes
 * compiled (database.h), the user's rules are compiled here and have one of their own. What is muted is
 * left out after the first stage, so that muting needs no compiler.
 *
 * An input is scanned view after view: what was decoded from it, and what was decoded from that. Each
 * view's findings are led back to the input's own offsets, and the union is what the caller gets.
 */
#include "write/detect/detect.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "write/detect/database.h"
#include "write/detect/detect_int.h"

#define VALUE_LEAST 6         /* bytes of any value */
#define KEPT_BYTES (4u << 20) /* of a buffer's memory, between scans */

/* ---- making ---- */

static bool listed(const char *const *names, const struct rule *rule, bool *used) {
    bool found = false;
    for (size_t i = 0; names && names[i]; i++) {
        if (strcmp(names[i], rule->id) == 0 || strcmp(names[i], rule->class) == 0 ||
            strcmp(names[i], rule->family) == 0)
            found = used[i] = true;
    }
    return found;
}

/* Rules keep their numbers: a muted one is only not told. */
static int mute(struct detect *d, const char *const *names, char *why, size_t why_size) {
    size_t n = 0;
    while (names && names[n])
        n++;
    bool *used = calloc(n + 1, 1);
    if (!used)
        return ERR_NOMEM;
    for (size_t i = 0; i < d->rules.count; i++)
        d->muted[i] = listed(names, &d->rules.list[i], used);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        if (!used[i]) {
            snprintf(why, why_size, "there is no rule, class or family %.60s", names[i]);
            rc = ERR_NOTFOUND;
        }
    }
    free(used);
    return rc;
}

/* What is found without an expression in the first stage. */
static int note_others(struct detect *d) {
    int rc = 0;
    d->run_rules = calloc(d->rules.count + 1, sizeof *d->run_rules);
    if (!d->run_rules)
        return ERR_NOMEM;
    for (size_t i = 0; !rc && i < d->rules.count; i++) {
        const struct rule *rule = &d->rules.list[i];
        if (d->muted[i])
            continue;
        if (rule->kind == RULE_PATTERN && rule->run)
            d->run_rules[d->run_rules_count++] = (uint16_t)i;
        if (rule->kind == RULE_VENDOR && !d->names)
            rc = names_new(&d->names, rule);
        d->by_kind[rule->kind] = (uint16_t)(i + 1);
    }
    return rc;
}

int detect_new(struct detect **ret, const struct detect_options *options, char *why, size_t why_size) {
    static const struct detect_options none;
    const struct detect_options *o = options ? options : &none;
    struct detect *d = calloc(1, sizeof *d);
    *ret = NULL;
    snprintf(why, why_size, "out of memory");
    if (!d)
        return ERR_NOMEM;
    int rc = rules_load_builtin(&d->rules, why, why_size);
    d->builtin_count = d->rules.count;
    if (!rc && o->rules)
        rc = rules_load(&d->rules, o->rules, o->rules_len, why, why_size);
    d->muted = calloc(d->rules.count + 1, sizeof *d->muted);
    if (!rc && !d->muted)
        rc = ERR_NOMEM;
    if (!rc)
        rc = mute(d, o->mute, why, why_size);
    if (!rc)
        rc = note_others(d);
    if (!rc && !(d->db[0] = database_builtin()))
        rc = compile_rules(&d->db[0], &d->rules, 0, d->builtin_count, NULL, why, why_size);
    if (!rc)
        rc = compile_rules(&d->db[1], &d->rules, d->builtin_count, d->rules.count, NULL, why, why_size);
    if (rc)
        detect_free(d);
    else
        *ret = d;
    return rc;
}

void detect_free(struct detect *d) {
    if (!d)
        return;
    hs_free_database(d->db[0]);
    hs_free_database(d->db[1]);
    free(d->muted);
    names_free(d->names);
    free(d->run_rules);
    rules_done(&d->rules);
    free(d);
}

int detect_work_new(struct detect_work **ret, const struct detect *d) {
    struct detect_work *w = calloc(1, sizeof *w);
    *ret = NULL;
    if (!w)
        return ERR_NOMEM;
    for (size_t i = 0; i < DETECT_LEVELS; i++)
        buf_init(&w->views[i].text, DETECT_INPUT);
    buf_init(&w->base64.text, DETECT_INPUT);
    buf_init(&w->unescaped.text, DETECT_INPUT);
    w->d = d;
    w->done = calloc(d->rules.count + 1, sizeof *w->done);
    w->tried = calloc(d->rules.count + 1, sizeof *w->tried);
    w->match = pcre2_match_data_create(4, NULL);
    w->context = pcre2_match_context_create(NULL);
    if (!w->done || !w->tried || !w->match || !w->context ||
        (d->db[0] && hs_alloc_scratch(d->db[0], &w->scratch) != HS_SUCCESS) ||
        (d->db[1] && hs_alloc_scratch(d->db[1], &w->scratch) != HS_SUCCESS)) {
        detect_work_free(w);
        return ERR_NOMEM;
    }
    pcre2_set_match_limit(w->context, 100000);
    pcre2_set_heap_limit(w->context, 1024);
    *ret = w;
    return 0;
}

void detect_work_free(struct detect_work *w) {
    if (!w)
        return;
    for (size_t i = 0; i < DETECT_LEVELS; i++)
        view_wipe(&w->views[i]);
    view_wipe(&w->base64);
    view_wipe(&w->unescaped);
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    hs_free_scratch(w->scratch);
    free(w->hits);
    free(w->done);
    free(w->tried);
    free(w->runs);
    detect_findings_done(&w->found);
    free(w);
}

void detect_work_time(struct detect_work *w, uint64_t ns) {
    w->time_ns = ns;
}

bool work_is_late(struct detect_work *w) {
    if (!w->until_ns || clock_thread_ns() < w->until_ns)
        return false;
    w->failed = ERR_LIMIT;
    return true;
}

/* ---- findings ---- */

static int push(struct detect_findings *list, struct detect_finding f) {
    if (list->count == DETECT_FINDINGS)
        return ERR_LIMIT;
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct detect_finding *more = realloc(list->items, cap * sizeof *more);
        if (!more)
            return ERR_NOMEM;
        list->items = more;
        list->cap = cap;
    }
    list->items[list->count++] = f;
    return 0;
}

void work_found(struct detect_work *w, size_t rule, size_t start, size_t end, uint8_t check) {
    struct detect_finding f = {start, end, (uint16_t)rule, check};
    int rc = push(&w->found, f);
    if (rc)
        w->failed = rc;
}

void detect_findings_done(struct detect_findings *list) {
    free(list->items);
    *list = (struct detect_findings){0};
}

/* Which of two findings of the same bytes is told: what is known best. */
static unsigned rank(const struct detect *d, const struct detect_finding *f) {
    static const uint8_t ranks[RULE_KINDS] = {[RULE_PATTERN] = 9, [RULE_ASSIGN] = 4,
                                              [RULE_PASSWORD] = 3, [RULE_VENDOR] = 5,
                                              [RULE_CN_ID] = 8,
                                              [RULE_CARD] = 7, [RULE_IBAN] = 8, [RULE_CN_MOBILE] = 6,
                                              [RULE_PHONE] = 5, [RULE_WALLET] = 8, [RULE_EMAIL] = 2,
                                              [RULE_IP] = 1};
    const struct rule *rule = &d->rules.list[f->rule];
    return (rule->rank ? rule->rank : ranks[rule->kind]) * 4u + (f->check == DETECT_CHECKED);
}

static int by_start(const void *a, const void *b) {
    const struct detect_finding *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

/* Puts the placeholders before all others, each part sorted; returns how many they are. */
static size_t placeholders_first(const struct detect *d, struct detect_findings *list) {
    size_t n = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct detect_finding f = list->items[i];
        if (d->rules.list[f.rule].kind != RULE_PLACEHOLDER)
            continue;
        list->items[i] = list->items[n];
        list->items[n++] = f;
    }
    if (n)
        qsort(list->items, n, sizeof *list->items, by_start);
    if (list->count > n)
        qsort(list->items + n, list->count - n, sizeof *list->items, by_start);
    return n;
}

/* The first of `n` placeholders that ends behind `at`. */
static size_t placeholder_behind(const struct detect_findings *list, size_t n, size_t at) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list->items[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What is left before or behind a placeholder, if it is as long as a value can be. */
static bool is_left(size_t start, size_t end) {
    return end > start && end - start >= VALUE_LEAST;
}

/*
 * Placeholders are no findings, and nothing in one is. Of a finding that reaches into one stays what is outside:
 * a secret must not be hidden by what is written behind it.
 */
static int cut_placeholders(const struct detect *d, struct detect_findings *list) {
    size_t n = placeholders_first(d, list), out = 0;
    int rc = 0;
    for (size_t i = n; n && !rc && i < list->count; i++) {
        struct detect_finding f = list->items[i];
        size_t k = placeholder_behind(list, n, f.start);
        if (k == n || list->items[k].start >= f.end)
            continue;
        struct detect_finding rest = f;
        rest.start = list->items[k].end;
        list->items[i].end = is_left(f.start, list->items[k].start) ? list->items[k].start : f.start;
        if (is_left(rest.start, rest.end))
            rc = push(list, rest); /* it is looked at as well */
    }
    for (size_t i = n; i < list->count; i++)
        if (list->items[i].start < list->items[i].end)
            list->items[out++] = list->items[i];
    list->count = out;
    if (n && out)
        qsort(list->items, out, sizeof *list->items, by_start);
    return rc;
}

/* Overlapping findings become one: all of their bytes, under the best name. */
static int settle(const struct detect *d, struct detect_findings *list) {
    size_t out = 0;
    int rc = cut_placeholders(d, list);
    for (size_t i = 0; i < list->count; i++) {
        struct detect_finding f = list->items[i], *last = out ? &list->items[out - 1] : NULL;
        if (!last || f.start >= last->end) {
            list->items[out++] = f;
            continue;
        }
        unsigned a = rank(d, &f), b = rank(d, last);
        if (a > b || (a == b && f.rule < last->rule)) {
            last->rule = f.rule;
            last->check = f.check;
        }
        if (f.end > last->end)
            last->end = f.end;
    }
    list->count = out;
    return rc;
}

/* ---- scanning ---- */

/* The findings of view `at` (-1: the input itself) in the input's offsets. */
static int collect(struct detect_work *w, int at, struct detect_findings *list) {
    int rc = w->failed;
    for (size_t i = 0; !rc && i < w->found.count; i++) {
        struct detect_finding f = w->found.items[i];
        for (int v = at; v >= 0; v--)
            view_source(&w->views[v], f.start, f.end, &f.start, &f.end);
        rc = push(list, f);
    }
    return rc;
}

static int scan_text(const struct detect *d, struct detect_work *w, struct text t) {
    w->found.count = 0;
    w->failed = 0;
    int rc = scan_view(d, w, t);
    return rc ? rc : w->failed;
}

static void lead_back(struct detect_work *w, const struct view *v) {
    for (size_t i = 0; i < w->found.count; i++) {
        struct detect_finding *f = &w->found.items[i];
        view_source(v, f->start, f->end, &f->start, &f->end);
    }
}

/* One level of base64 in a view, led back to the view's offsets. What is in it may be JSON. */
static int scan_base64(const struct detect *d, struct detect_work *w, struct text t, int at,
                       struct detect_findings *list) {
    int rc = view_base64(&w->base64, t, w->runs, w->runs_count);
    if (rc || !w->base64.text.len)
        return rc;
    struct text opened = {w->base64.text.p, w->base64.text.len};
    rc = scan_text(d, w, opened);
    lead_back(w, &w->base64);
    if (!rc)
        rc = collect(w, at, list);
    if (!rc)
        rc = view_decode(&w->unescaped, opened, true, false);
    if (rc || !w->unescaped.text.len)
        return rc;
    rc = scan_text(d, w, (struct text){w->unescaped.text.p, w->unescaped.text.len});
    lead_back(w, &w->unescaped);
    lead_back(w, &w->base64);
    return rc ? rc : collect(w, at, list);
}

static int scan_level(const struct detect *d, struct detect_work *w, struct text t, int at,
                      struct detect_findings *list) {
    int rc = scan_text(d, w, t);
    if (!rc)
        rc = collect(w, at, list);
    return rc ? rc : scan_base64(d, w, t, at, list);
}

static void clear_view(struct view *v) {
    if (v->text.cap > KEPT_BYTES || v->cap * sizeof *v->segments > KEPT_BYTES)
        view_wipe(v);
    else
        buf_clear(&v->text);
}

/* Nothing of an input stays, nor does the memory that only an extraordinary one needs. */
static void let_go(struct detect_work *w) {
    for (int level = 0; level < DETECT_LEVELS; level++)
        clear_view(&w->views[level]);
    clear_view(&w->base64);
    clear_view(&w->unescaped);
    if (w->hits_cap * sizeof *w->hits > KEPT_BYTES) {
        free(w->hits);
        w->hits = NULL;
        w->hits_cap = 0;
    }
    if (w->runs_cap * sizeof *w->runs > KEPT_BYTES) {
        free(w->runs);
        w->runs = NULL;
        w->runs_cap = 0;
    }
}

int detect_scan(const struct detect *d, struct detect_work *w, const void *p, size_t len,
                enum detect_form form, struct detect_findings *list) {
    struct text t = {p, len};
    int rc = 0;
    list->count = 0;
    if (!len)
        return 0; /* and `p` may be NULL */
    if (len > DETECT_INPUT / 2)
        return ERR_LIMIT;
    w->until_ns = w->time_ns ? clock_thread_ns() + w->time_ns : 0;
    for (int level = 0; !rc && level < DETECT_LEVELS; level++) {
        if (level > 0 && !w->views[level - 1].escaped)
            break;
        /* Below the first level of JSON only what stands around escapes is new. */
        rc = view_decode(&w->views[level], t, form == DETECT_TEXT || level > 0, level > 0);
        bool more = w->views[level].text.len > 0;
        if (!rc && level == 0 && (form == DETECT_TEXT || !more))
            rc = scan_level(d, w, t, -1, list);
        if (rc || !more)
            break;
        t = (struct text){w->views[level].text.p, w->views[level].text.len};
        rc = scan_level(d, w, t, level, list);
    }
    if (!rc)
        rc = settle(d, list);
    let_go(w);
    if (rc)
        list->count = 0;
    return rc;
}

size_t detect_rules(const struct detect *d) {
    return d->rules.count;
}

struct detect_rule_info detect_rule(const struct detect *d, size_t rule) {
    const struct rule *r = &d->rules.list[rule];
    return (struct detect_rule_info){r->id, r->class, r->family[0] ? r->family : NULL, r->personal, r->bits};
}

bool detect_has_class(const struct detect *d, const char *name) {
    for (size_t i = 0; i < d->rules.count; i++)
        if (strcmp(d->rules.list[i].class, name) == 0 || strcmp(d->rules.list[i].family, name) == 0)
            return true;
    return false;
}

const char *detect_example(const struct detect *d, size_t rule, size_t index, bool *ret_match) {
    const struct rule *r = &d->rules.list[rule];
    if (index >= r->examples_count)
        return NULL;
    *ret_match = r->examples[index].match;
    return r->examples[index].text;
}

size_t detect_regex_only(const struct detect *d, struct detect_work *w, const void *p, size_t len) {
    scan_first_stage(d, w, (struct text){p, len});
    return w->hits_count;
}
