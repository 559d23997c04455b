/* Findings out of results (report.h): grades, severities, fingerprints, baseline, accepted ones. */
#include "audit/report/report.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/uuid.h"

/* CVSS 3.1 base scores by what was proved; the vectors stand in doc/audit.md. */
static const struct {
    char grade;
    const char *severity;
    double cvss;
    const char *vector;
} grades[] = {
    {'C', "medium", 5.3, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"},
    {'D', "high", 5.3, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"},
    {'E', "high", 7.5, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"},
    {'F', "critical", 9.8, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
};

static const char *const severities[] = {"info", "low", "medium", "high", "critical"};

static int severity_rank(const char *s) {
    for (int i = 0; i < 5; i++)
        if (strcmp(s, severities[i]) == 0)
            return i;
    return 0;
}

int report_new(struct report *r, const struct scope *scope, const char *scope_path,
               const char *scope_text, size_t scope_len, const char *authorised) {
    uint8_t hash[32], id[16];
    *r = (struct report){
        .scope = scope, .scope_path = scope_path, .authorised = authorised, .fail_on = 'C'};
    crypto_hash_sha256(hash, (const unsigned char *)scope_text, scope_len);
    hex_encode(r->scope_sha256, hash, 32);
    randombytes_buf(id, sizeof id);
    uuid_v4_stamp(id);
    uuid_format(r->run_id, id);
    clock_utc(r->begun, clock_wall_us());
    r->hosts = json_array();
    r->findings = json_array();
    r->fixed = json_array();
    return r->hosts && r->findings && r->fixed ? 0 : ERR_NOMEM;
}

/* ---- hosts ---- */

struct place {
    const char *address;
    long long port;
};

/* In the order of the scope's targets. */
static int to_target(const void *key, const void *target) {
    const struct place *x = key;
    const struct scope_target *y = target;
    int c = strcmp(x->address, y->address);
    return c ? c : (x->port > y->port) - (x->port < y->port);
}

static const struct scope_line *line_of(const struct report *r, const json_t *host) {
    const struct place x = {report_word(host, "address"),
                            json_integer_value(json_object_get(host, "port"))};
    const struct scope_target *t = r->scope->target_count
                                       ? bsearch(&x, r->scope->targets, r->scope->target_count,
                                                 sizeof *r->scope->targets, to_target)
                                       : NULL;
    return t ? &r->scope->lines[t->line] : NULL;
}

/* A pair of which nothing is known was not probed: the run is not complete. */
static bool is_incomplete(const json_t *host) {
    return strcmp(report_word(host, "verdict"), "unknown") == 0 &&
           !report_word(host, "service")[0] && strcmp(report_word(host, "grade"), "A") == 0;
}

void report_add(struct report *r, json_t *take) {
    if (strcmp(report_word(take, "type"), "host") == 0) {
        const struct scope_line *l = line_of(r, take);
        json_object_set_new(take, "target", json_string(l ? l->name : ""));
        json_object_set_new(take, "owner", json_string(l ? l->owner : ""));
        json_object_set_new(take, "ticket", json_string(l ? l->ticket : ""));
        json_object_set_new(take, "line", json_integer(l ? (json_int_t)l->number : 0));
        if (is_incomplete(take))
            r->incomplete++;
        json_array_append(r->hosts, take);
    }
    json_decref(take);
}

/* ---- findings ---- */

static const char *const copied[] = {"address", "port",    "transport", "tls",    "service",
                                     "version", "verdict", "grade",     "target", "owner",
                                     "ticket",  "line",    "evidence"};

/* What it is about, not when or how it was seen: the same from run to run. */
static void fingerprint(json_t *finding) {
    uint8_t hash[32];
    char hex[65], place[1024];
    int n = snprintf(place, sizeof place, "safehouse audit 1\n%s\n%lld\n%s\n%s",
                     report_word(finding, "address"),
                     (long long)json_integer_value(json_object_get(finding, "port")),
                     report_word(finding, "service"), report_word(finding, "rule"));
    if (report_word(finding, "file")[0]) /* its lines move */
        n += snprintf(place + n, sizeof place - (size_t)n, "\n%s\n%s", report_word(finding, "file"),
                      report_word(finding, "detail"));
    crypto_hash_sha256(hash, (const unsigned char *)place, (unsigned long long)n);
    hex_encode(hex, hash, 8);
    json_object_set_new(finding, "fingerprint", json_string(hex));
}

static json_t *finding_of(const json_t *host, const char *family, const char *rule,
                          const char *severity, const char *title, const char *fix,
                          const char *detail) {
    json_t *f = json_pack("{s:s, s:s++, s:s, s:s, s:s, s:s, s:s}", "type", "finding", "rule",
                          family, "/", rule, "severity", severity, "title", title, "remediation",
                          fix, "detail", detail, "state", "new");
    for (size_t i = 0; f && i < sizeof copied / sizeof copied[0]; i++)
        json_object_set(f, copied[i], json_object_get(host, copied[i]));
    if (f)
        fingerprint(f);
    return f;
}

static void add_exposure(struct report *r, const json_t *host) {
    const char *verdict = report_word(host, "verdict");
    char grade = report_word(host, "grade")[0];
    bool open = strcmp(verdict, "open") == 0, limited = strcmp(verdict, "open-limited") == 0;
    if (!open && !limited)
        return;
    for (size_t i = 0; i < sizeof grades / sizeof grades[0]; i++) {
        if (grades[i].grade != grade)
            continue;
        json_t *f =
            finding_of(host, "exposure", report_word(host, "service"), grades[i].severity,
                       report_word(host, "reason"), report_fix(report_word(host, "service")), "");
        json_object_set_new(f, "cvss", json_real(grades[i].cvss));
        json_object_set_new(f, "cvss_vector", json_string(grades[i].vector));
        json_object_set_new(f, "cwe", json_pack("[s, s]", "CWE-306", "CWE-1188"));
        json_array_append_new(r->findings, f);
    }
}

static const char *cwe_of(const char *id) {
    if (strcmp(id, "clear-text") == 0 || strcmp(id, "C16") == 0)
        return "CWE-319";
    if (strcmp(id, "C14") == 0 || strcmp(id, "sample-secret") == 0)
        return "CWE-532";
    if (strcmp(id, "C9") == 0 || strcmp(id, "C8") == 0)
        return "CWE-552";
    return "CWE-1188";
}

static void add_notes(struct report *r, const json_t *host) {
    size_t i;
    json_t *n;
    json_array_foreach(json_object_get(host, "notes"), i, n) {
        /* a file that could not be read: what it says is not known */
        r->incomplete += strcmp(report_word(n, "id"), "config") == 0 &&
                         strcmp(report_word(n, "severity"), "high") == 0;
        json_t *f = finding_of(host, "check", report_word(n, "id"), report_word(n, "severity"),
                               report_word(n, "title"), report_word(n, "remediation"),
                               report_word(n, "detail"));
        json_object_set_new(f, "cwe", json_pack("[s]", cwe_of(report_word(n, "id"))));
        if (report_word(n, "file")[0]) {
            json_object_set(f, "file", json_object_get(n, "file"));
            json_object_set(f, "file_line", json_object_get(n, "file_line"));
            fingerprint(f);
        }
        json_array_append_new(r->findings, f);
    }
}

static int by_severity(const void *a, const void *b) {
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int c = severity_rank(report_word(y, "severity")) - severity_rank(report_word(x, "severity"));
    if (!c)
        c = strcmp(report_word(x, "address"), report_word(y, "address"));
    if (!c)
        c = (int)(json_integer_value(json_object_get(x, "port")) -
                  json_integer_value(json_object_get(y, "port")));
    return c ? c : strcmp(report_word(x, "rule"), report_word(y, "rule"));
}

static int by_place(const void *a, const void *b) {
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int c = strcmp(report_word(x, "address"), report_word(y, "address"));
    return c ? c
             : (int)(json_integer_value(json_object_get(x, "port")) -
                     json_integer_value(json_object_get(y, "port")));
}

static void sort(json_t *array, int (*order)(const void *, const void *)) {
    size_t n = json_array_size(array);
    json_t **items = calloc(n + 1, sizeof *items);
    if (!items)
        return;
    for (size_t i = 0; i < n; i++)
        items[i] = json_incref(json_array_get(array, i));
    qsort(items, n, sizeof *items, order);
    json_array_clear(array);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, items[i]);
    free(items);
}

void report_finish(struct report *r) {
    size_t i;
    json_t *host;
    clock_utc(r->ended, clock_wall_us());
    sort(r->hosts, by_place);
    json_array_foreach(r->hosts, i, host) {
        add_exposure(r, host);
        add_notes(r, host);
    }
    sort(r->findings, by_severity);
}

/* ---- an earlier run, accepted findings ---- */

static json_t *find(const json_t *findings, const char *fingerprint) {
    size_t i;
    json_t *f;
    json_array_foreach(findings, i,
                       f) if (strcmp(report_word(f, "fingerprint"), fingerprint) == 0) return f;
    return NULL;
}

int report_baseline(struct report *r, FILE *earlier) {
    char *line = NULL;
    size_t size = 0, objects = 0;
    int rc = 0;
    for (ssize_t n; !rc && (n = getline(&line, &size, earlier)) > 0;) {
        json_t *o = json_loadb(line, (size_t)n, 0, NULL);
        if (!o)
            rc = ERR_SYNTAX;
        objects++;
        if (o && strcmp(report_word(o, "type"), "finding") == 0) {
            json_t *same = find(r->findings, report_word(o, "fingerprint"));
            if (same)
                json_object_set_new(same, "state", json_string("unchanged"));
            else
                json_array_append(r->fixed, o);
        }
        json_decref(o);
    }
    free(line);
    return rc ? rc : objects ? 0 : ERR_SYNTAX;
}

int report_suppress(struct report *r, FILE *accepted, time_t now, unsigned *ret_line) {
    char *line = NULL;
    size_t size = 0;
    int rc = 0;
    *ret_line = 0;
    while (!rc && getline(&line, &size, accepted) > 0) {
        char mark[17], until[11], reason[200];
        struct tm day = {0};
        (*ret_line)++;
        if (line[strspn(line, " \t\r\n")] == 0 || line[0] == '#')
            continue;
        const char *end = NULL;
        if (sscanf(line, "%16s %10s %199[^\n]", mark, until, reason) != 3 ||
            !(end = strptime(until, "%Y-%m-%d", &day)) || *end) {
            rc = ERR_SYNTAX;
            break;
        }
        json_t *f = find(r->findings, mark);
        if (f && now < timegm(&day) + 86400)
            json_object_set_new(f, "accepted",
                                json_pack("{s:s, s:s}", "until", until, "reason", reason));
    }
    free(line);
    return rc;
}

bool report_fails(const struct report *r) {
    size_t i;
    json_t *f;
    json_array_foreach(r->findings, i, f) {
        if (!json_object_get(f, "accepted") &&
            strncmp(report_word(f, "rule"), "exposure/", 9) == 0 &&
            report_word(f, "grade")[0] >= r->fail_on)
            return true;
    }
    return false;
}

void report_done(struct report *r) {
    json_decref(r->hosts);
    json_decref(r->findings);
    json_decref(r->fixed);
    *r = (struct report){0};
}
