/* The three tellings of a report (report.h). Whatever came from a server was cleaned where it came
 * in; names of the scope file are printed as they stand there. */
#include <string.h>

#include "audit/report/report.h"
#include "base/version.h"

static long long number(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

static size_t with(const json_t *array, const char *key, const char *value) {
    size_t i, n = 0;
    json_t *o;
    json_array_foreach(array, i, o) n += strcmp(report_word(o, key), value) == 0;
    return n;
}

/* ---- for a person ---- */

static const char *colour_of(const char *severity) {
    switch (severity[0]) {
    case 'c':
        return "\x1b[1;31m";
    case 'h':
        return "\x1b[31m";
    case 'm':
        return "\x1b[33m";
    default:
        return "\x1b[2m";
    }
}

static void place(FILE *out, const json_t *o) {
    if (report_word(o, "file")[0]) {
        fprintf(out, "%s:%lld", report_word(o, "file"), number(o, "file_line"));
        return;
    }
    if (!report_word(o, "address")[0]) {
        fprintf(out, "configuration");
        return;
    }
    bool six = strchr(report_word(o, "address"), ':') != NULL;
    fprintf(out, "%s%s%s:%lld", six ? "[" : "", report_word(o, "address"), six ? "]" : "",
            number(o, "port"));
}

static void text_findings(const struct report *r, FILE *out, bool colour) {
    size_t i;
    json_t *f;
    json_array_foreach(r->findings, i, f) {
        const char *severity = report_word(f, "severity");
        fprintf(out, "%s%-8s%s ", colour ? colour_of(severity) : "", severity,
                colour ? "\x1b[0m" : "");
        place(out, f);
        fprintf(out, " %s%s%s  %s", report_word(f, "service"),
                report_word(f, "version")[0] ? " " : "", report_word(f, "version"),
                report_word(f, "title"));
        if (report_word(f, "detail")[0])
            fprintf(out, " (%s)", report_word(f, "detail"));
        fprintf(out, "\n         fix: %s\n         %s, grade %s, %s", report_word(f, "remediation"),
                report_word(f, "rule"), report_word(f, "grade"), report_word(f, "fingerprint"));
        if (report_word(f, "owner")[0])
            fprintf(out, ", owner %s (%s)", report_word(f, "owner"), report_word(f, "ticket"));
        const json_t *accepted = json_object_get(f, "accepted");
        if (accepted)
            fprintf(out, ", accepted until %s: %s", report_word(accepted, "until"),
                    report_word(accepted, "reason"));
        else if (strcmp(report_word(f, "state"), "unchanged") == 0)
            fprintf(out, ", as before");
        fputc('\n', out);
    }
}

static void text_fixed(const struct report *r, FILE *out) {
    size_t i;
    json_t *f;
    json_array_foreach(r->fixed, i, f) {
        fprintf(out, "fixed    ");
        place(out, f);
        fprintf(out, " %s  %s\n", report_word(f, "service"), report_word(f, "title"));
    }
}

static void text_hosts(const struct report *r, FILE *out) {
    size_t i;
    json_t *h;
    json_array_foreach(r->hosts, i, h) {
        if (!r->files && (strcmp(report_word(h, "verdict"), "closed") == 0 ||
                          strcmp(report_word(h, "verdict"), "filtered") == 0))
            continue;
        fprintf(out, "%s  %-13s ", report_word(h, "grade"), report_word(h, "verdict"));
        place(out, h);
        fprintf(out, "%s %s%s%s  %s\n", json_is_true(json_object_get(h, "tls")) ? " (TLS)" : "",
                report_word(h, "service"), report_word(h, "version")[0] ? " " : "",
                report_word(h, "version"), report_word(h, "reason"));
    }
}

void report_text(const struct report *r, FILE *out, bool colour) {
    static const char *const verdicts[] = {"open",    "open-limited", "auth-required",
                                           "unknown", "closed",       "filtered"};
    fprintf(out, "Audit of %s (sha256 %.16s...), %s to %s\n", r->scope_path, r->scope_sha256,
            r->begun, r->ended);
    fprintf(out, "Authorised by: %s\n\n",
            r->authorised[0] ? r->authorised
            : r->files       ? "(files only)"
                             : "(loopback only)");
    text_hosts(r, out);
    if (json_array_size(r->findings))
        fputc('\n', out);
    text_findings(r, out, colour);
    text_fixed(r, out);
    if (r->files) {
        fprintf(out, "\nRead %zu files; no server was asked.%s\n", r->files,
                r->incomplete ? " Not complete: some could not be read." : "");
        return;
    }
    fprintf(out, "\nProbed %zu of %zu pairs of address and port:", json_array_size(r->hosts),
            r->scope->target_count);
    for (size_t i = 0; i < 6; i++)
        fprintf(out, "%s %zu %s", i ? "," : "", with(r->hosts, "verdict", verdicts[i]),
                verdicts[i]);
    fprintf(out, ".\n");
    if (r->incomplete || json_array_size(r->hosts) < r->scope->target_count)
        fprintf(out, "Not complete: of %zu pairs nothing is known.\n",
                r->incomplete + r->scope->target_count - json_array_size(r->hosts));
}

bool report_explain(const struct report *r, FILE *out, const char *fingerprint) {
    size_t i;
    json_t *f;
    json_array_foreach(r->findings, i, f) {
        if (strncmp(report_word(f, "fingerprint"), fingerprint, strlen(fingerprint)) != 0)
            continue;
        json_dumpf(f, out, JSON_INDENT(2) | JSON_SORT_KEYS);
        fputc('\n', out);
        return true;
    }
    return false;
}

/* ---- for programs ---- */

static bool line(FILE *out, const json_t *o) {
    return json_dumpf(o, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF;
}

static json_t *run_json(const struct report *r, const char *type) {
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "type", type,
                     "schema_version", REPORT_SCHEMA, "run_id", r->run_id, "tool",
                     "safehouse-audit/" SAFEHOUSE_VERSION, "scope", r->scope_path, "scope_sha256",
                     r->scope_sha256, "authorised", r->authorised, "begun", r->begun, "ended",
                     r->ended);
}

static json_t *summary_json(const struct report *r) {
    static const char *const verdicts[] = {"open",    "open-limited", "auth-required",
                                           "unknown", "closed",       "filtered"};
    json_t *o = run_json(r, "summary"), *counts = json_object();
    for (size_t i = 0; i < 6; i++)
        json_object_set_new(counts, verdicts[i],
                            json_integer((json_int_t)with(r->hosts, "verdict", verdicts[i])));
    json_object_set_new(o, "verdicts", counts);
    json_object_set_new(o, "pairs", json_integer((json_int_t)r->scope->target_count));
    json_object_set_new(o, "probed",
                        json_integer((json_int_t)(json_array_size(r->hosts) - r->incomplete)));
    json_object_set_new(o, "findings", json_integer((json_int_t)json_array_size(r->findings)));
    json_object_set_new(o, "fixed", json_integer((json_int_t)json_array_size(r->fixed)));
    return o;
}

static bool lines(FILE *out, const json_t *array, const char *run_id, const char *state) {
    size_t i;
    json_t *o;
    json_array_foreach(array, i, o) {
        json_object_set_new(o, "schema_version", json_integer(REPORT_SCHEMA));
        json_object_set_new(o, "run_id", json_string(run_id));
        if (state) {
            json_object_set_new(o, "type", json_string(state));
            json_object_set_new(o, "state", json_string(state));
        }
        if (!line(out, o))
            return false;
    }
    return true;
}

bool report_jsonl(const struct report *r, FILE *out) {
    json_t *begin = run_json(r, "run"), *end = summary_json(r);
    bool ok = line(out, begin) && lines(out, r->hosts, r->run_id, NULL) &&
              lines(out, r->findings, r->run_id, NULL) &&
              lines(out, r->fixed, r->run_id, "fixed") && line(out, end);
    json_decref(begin);
    json_decref(end);
    return ok;
}

/* ---- SARIF 2.1.0 (OASIS), the subset that code scanning takes: a finding of the network has no
 * file, so it points to the line of the scope file that allowed the look. ---- */

static const char *level_of(const char *severity) {
    return severity[0] == 'c' || severity[0] == 'h' ? "error"
           : severity[0] == 'm'                     ? "warning"
                                                    : "note";
}

static double score_of(const json_t *f) {
    const char *s = report_word(f, "severity");
    double cvss = json_number_value(json_object_get(f, "cvss"));
    return cvss > 0      ? cvss
           : s[0] == 'c' ? 9.5
           : s[0] == 'h' ? 8.0
           : s[0] == 'm' ? 5.5
           : s[0] == 'l' ? 3.0
                         : 0.0;
}

static json_t *sarif_rule(const json_t *f) {
    char score[16];
    snprintf(score, sizeof score, "%.1f", score_of(f));
    return json_pack("{s:s, s:{s:s}, s:{s:s}, s:{s:s, s:[s]}}", "id", report_word(f, "rule"),
                     "shortDescription", "text", report_word(f, "title"), "help", "text",
                     report_word(f, "remediation"), "properties", "security-severity", score,
                     "tags", "security");
}

static json_t *sarif_result(const struct report *r, const json_t *f) {
    char name[640];
    const bool file = report_word(f, "file")[0] != 0;
    const long long line = number(f, file ? "file_line" : "line");
    if (file)
        snprintf(name, sizeof name, "%s/%s", report_word(f, "file"), report_word(f, "service"));
    else
        snprintf(name, sizeof name, "%s:%lld/%s", report_word(f, "address"), number(f, "port"),
                 report_word(f, "service"));
    json_t *o = json_pack(
        "{s:s, s:s, s:{s:s++}, s:{s:s}, s:[{s:{s:{s:s}, s:{s:I}}, s:[{s:s, s:s}]}], s:s}", "ruleId",
        report_word(f, "rule"), "level", level_of(report_word(f, "severity")), "message", "text",
        name, ": ", report_word(f, "title"), "partialFingerprints", "safehouseAudit/v1",
        report_word(f, "fingerprint"), "locations", "physicalLocation", "artifactLocation", "uri",
        file ? report_word(f, "file") : r->scope_path, "region", "startLine",
        (json_int_t)(line > 0 ? line : 1), "logicalLocations", "fullyQualifiedName", name, "kind",
        "resource", "baselineState",
        strcmp(report_word(f, "state"), "unchanged") == 0 ? "unchanged" : "new");
    const json_t *accepted = json_object_get(f, "accepted");
    if (o && accepted)
        json_object_set_new(o, "suppressions",
                            json_pack("[{s:s, s:s}]", "kind", "external", "justification",
                                      report_word(accepted, "reason")));
    return o;
}

bool report_sarif(const struct report *r, FILE *out) {
    json_t *rules = json_array(), *results = json_array(), *f;
    size_t i;
    json_array_foreach(r->findings, i, f) {
        if (!with(rules, "id", report_word(f, "rule")))
            json_array_append_new(rules, sarif_rule(f));
        json_array_append_new(results, sarif_result(r, f));
    }
    json_t *whole = json_pack(
        "{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:[{s:b, s:s, s:s, s:{s:s}}], s:o, s:{s:s}}]}",
        "$schema", "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs",
        "tool", "driver", "name", "safehouse-audit", "version", SAFEHOUSE_VERSION, "rules", rules,
        "invocations", "executionSuccessful", r->incomplete == 0, "startTimeUtc", r->begun,
        "endTimeUtc", r->ended, "properties", "authorised", r->authorised, "results", results,
        "automationDetails", "id", r->run_id);
    bool ok = whole && json_dumpf(whole, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF;
    json_decref(whole);
    return ok;
}
