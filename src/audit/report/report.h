#ifndef AUDIT_REPORT_REPORT_H
#define AUDIT_REPORT_REPORT_H
/*
 * What `safehouse audit` makes of the results: findings, with a severity, a fix and a fingerprint
 * that stays the same from run to run; compared with an earlier run, less what was accepted; told
 * to a person (text), to programs (JSON Lines) and to code scanning (SARIF 2.1.0).
 *
 *   report_new(&r, ...);
 *   for each line of safehouse-audit: report_add(r, take);
 *   report_finish(r);
 *   report_text(r, stdout, colour) | report_jsonl(r, file) | report_sarif(r, file)
 *
 * A finding is a verdict of open or open-limited, or a hardening check that failed. Objects are
 * jansson's.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "audit/scope.h"

#define REPORT_SCHEMA 1

struct report {
    const struct scope *scope;
    const char *scope_path, *authorised; /* borrowed; authorised may be "" */
    char run_id[37], begun[32], ended[32], scope_sha256[65];
    json_t *hosts;    /* sorted by address and port at the end */
    json_t *findings; /* worst first */
    json_t *fixed;    /* findings of the baseline that are gone */
    size_t incomplete;
    size_t files; /* of a configuration, in place of servers; 0: servers were asked */
    char fail_on;
};

/* A member's text; "" when there is none. Borrowed from the object. */
static inline const char *report_word(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* What to do about a service of this name that answers strangers. */
const char *report_fix(const char *service);

int report_new(struct report *r, const struct scope *scope, const char *scope_path,
               const char *scope_text, size_t scope_len, const char *authorised);
/* A "host" object; others are ignored. Takes the reference. */
void report_add(struct report *r, json_t *take);
/* Findings of an earlier run (JSON Lines of this program): each finding becomes "new" or
 * "unchanged". ERR_SYNTAX: that is no such file. */
int report_baseline(struct report *r, FILE *earlier);
/*
 * Accepted findings, a line each: FINGERPRINT YYYY-MM-DD REASON. The day is the last one on which
 * it counts. ERR_SYNTAX with the line's number in *ret_line.
 */
int report_suppress(struct report *r, FILE *accepted, time_t now, unsigned *ret_line);
/* Makes findings of the hosts; before baseline and suppressions. */
void report_finish(struct report *r);
/* Is there a finding, not accepted, of the grade `fail_on` or worse? */
bool report_fails(const struct report *r);

void report_text(const struct report *r, FILE *out, bool colour);
bool report_jsonl(const struct report *r, FILE *out);
bool report_sarif(const struct report *r, FILE *out);
/* Everything about one finding, by the first digits of its fingerprint; false: there is none. */
bool report_explain(const struct report *r, FILE *out, const char *fingerprint);
void report_done(struct report *r);

#endif
