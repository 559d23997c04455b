/*
 * Rules of the user's are tried before they are used: a rule that does not find its own example protects nothing,
 * and one without a literal in it can halve the speed of all ("[a-z0-9]{20}").
 *
 * What a rule costs is what the whole scan of a text costs more with it than without: both are timed in turns, and
 * of each the shortest counts, as other work of the machine can only lengthen them. Of a few such comparisons the
 * middle one is believed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "write/detect/detect_int.h"

#define TURNS 15
#define COMPARISONS 5

extern const char detect_sample[], detect_sample_end[];

/* ---- examples ---- */

/* Under the rule's class: where two rules find the same, one is told. */
static int finds(const struct detect *d, struct detect_work *w, const struct rule *rule, const char *text, bool *ret) {
    struct detect_findings list = {0};
    int rc = detect_scan(d, w, text, strlen(text), DETECT_TEXT, &list);
    *ret = false;
    for (size_t i = 0; !rc && i < list.count; i++)
        *ret = *ret || strcmp(d->rules.list[list.items[i].rule].class, rule->class) == 0;
    detect_findings_done(&list);
    return rc;
}

static int try_examples(const struct detect *d, struct detect_work *w, const struct rule *rule, char *why, size_t size) {
    for (size_t i = 0; i < rule->examples_count; i++) {
        const struct rule_example *e = &rule->examples[i];
        bool found;
        int rc = finds(d, w, rule, e->text, &found);
        if (rc) {
            snprintf(why, size, "line %zu: rule %s takes too many steps in its example \"%.80s\"", e->line, rule->id, e->text);
            return rc;
        }
        if (found != e->match) {
            snprintf(why, size, "line %zu: rule %s %s \"%.80s\"", e->line, rule->id,
                     e->match ? "does not find its example" : "finds something in what must be clean,", e->text);
            return ERR_SYNTAX;
        }
    }
    return 0;
}

/* ---- speed ---- */

static int scan_ns(const struct detect *d, struct detect_work *w, struct detect_findings *list, uint64_t *best) {
    uint64_t from = clock_thread_ns();
    int rc = detect_scan(d, w, detect_sample, (size_t)(detect_sample_end - detect_sample), DETECT_JSON, list);
    uint64_t took = clock_thread_ns() - from;
    if (took < *best)
        *best = took;
    return rc;
}

/* How much longer, in percent, the scan takes with `one` than with `none`. */
static int compare(const struct detect *none, const struct detect *one, struct detect_work *w, uint64_t *ret) {
    struct detect_findings list = {0};
    uint64_t without = UINT64_MAX, with = UINT64_MAX;
    int rc = 0;
    for (int turn = 0; !rc && turn < TURNS; turn++) {
        rc = scan_ns(none, w, &list, &without);
        if (!rc)
            rc = scan_ns(one, w, &list, &with);
    }
    detect_findings_done(&list);
    *ret = with > without ? (with - without) * 100 / (without + 1) : 0;
    return rc;
}

/* A detector of the built-in rules, and of one of the user's unless it is SIZE_MAX. What is not its own is borrowed. */
static int only_with(struct detect *ret, const struct detect *d, size_t rule) {
    char why[128];
    *ret = *d;
    ret->db[1] = NULL;
    ret->run_rules_count = 0;
    ret->run_rules = calloc(d->run_rules_count + 1, sizeof *ret->run_rules);
    if (!ret->run_rules)
        return ERR_NOMEM;
    for (size_t i = 0; i < d->run_rules_count; i++)
        if (d->run_rules[i] < d->builtin_count || d->run_rules[i] == rule)
            ret->run_rules[ret->run_rules_count++] = d->run_rules[i];
    return rule == SIZE_MAX ? 0 : compile_rules(&ret->db[1], &d->rules, rule, rule + 1, NULL, why, sizeof why);
}

static void only_done(struct detect *d) {
    hs_free_database(d->db[1]);
    free(d->run_rules);
}

static int by_size(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int trial_slower(const struct detect *none, const struct detect *one, struct detect_work *w, uint64_t *ret) {
    uint64_t slower[COMPARISONS] = {0};
    int rc = 0;
    for (int i = 0; !rc && i < COMPARISONS; i++)
        rc = compare(none, one, w, &slower[i]);
    qsort(slower, COMPARISONS, sizeof slower[0], by_size);
    *ret = slower[COMPARISONS / 2];
    return rc;
}

static int try_speed(const struct detect *d, struct detect_work *w, size_t rule, char *why, size_t size) {
    struct detect none = {0}, one = {0};
    uint64_t slower = 0;
    int rc = only_with(&none, d, SIZE_MAX);
    if (!rc)
        rc = only_with(&one, d, rule);
    if (!rc && one.db[1] && hs_alloc_scratch(one.db[1], &w->scratch) != HS_SUCCESS)
        rc = ERR_NOMEM;
    if (!rc)
        rc = trial_slower(&none, &one, w, &slower);
    only_done(&none);
    only_done(&one);
    if (!rc && slower > DETECT_SLOWER) {
        snprintf(why, size, "line %zu: rule %s makes the scan of ordinary text %llu %% slower; at most %d %% are allowed: "
                 "let its pattern, or a `find` of its own, begin with a few fixed characters",
                 d->rules.list[rule].line, d->rules.list[rule].id, (unsigned long long)slower, DETECT_SLOWER);
        rc = ERR_SYNTAX;
    }
    return rc;
}

int detect_try(const struct detect *d, char *why, size_t why_size) {
    struct detect_work *w;
    int rc = detect_work_new(&w, d);
    snprintf(why, why_size, "%s", err_text(rc ? rc : ERR_INTERNAL));
    for (size_t i = d->builtin_count; !rc && i < d->rules.count; i++) {
        if (d->muted[i])
            continue;
        rc = try_examples(d, w, &d->rules.list[i], why, why_size);
        if (!rc)
            rc = try_speed(d, w, i, why, why_size);
    }
    detect_work_free(w);
    return rc;
}
