/* Runs that follow one another (audit_watch.h). */
#include "proc/cli/audit_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/webhook.h"
#include "proc/cli/cli.h"
#include "proc/cli/post.h"

#define ALARM_LEAST "medium" /* severities from here on */

/* ---- files ---- */

/* Written beside, synced, and renamed: a reader finds the old file or the whole new one. */
static bool write_file(const char *path, const struct report *r,
                       bool (*fill)(const struct report *, FILE *)) {
    char temporary[CLI_PATH + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool ok = f && fill(r, f) && fflush(f) == 0 && fsync(fd) == 0;
    if (f && fclose(f))
        ok = false;
    return ok && rename(temporary, path) == 0;
}

static bool metrics(const struct report *r, FILE *out) {
    static const char *const severities[] = {"critical", "high", "medium", "low"};
    fprintf(out,
            "# HELP safehouse_audit_findings Findings of the last audit that are not accepted.\n"
            "# TYPE safehouse_audit_findings gauge\n");
    for (size_t s = 0; s < 4; s++) {
        size_t i, n[2] = {0};
        json_t *f;
        json_array_foreach(r->findings, i,
                           f) if (strcmp(report_word(f, "severity"), severities[s]) == 0 &&
                                  !json_object_get(f, "accepted"))
            n[strcmp(report_word(f, "state"), "new") == 0]++;
        fprintf(out, "safehouse_audit_findings{severity=\"%s\",state=\"unchanged\"} %zu\n",
                severities[s], n[0]);
        fprintf(out, "safehouse_audit_findings{severity=\"%s\",state=\"new\"} %zu\n", severities[s],
                n[1]);
    }
    return fprintf(out,
                   "# HELP safehouse_audit_incomplete Pairs that were not probed.\n"
                   "# TYPE safehouse_audit_incomplete gauge\n"
                   "safehouse_audit_incomplete %zu\n"
                   "# HELP safehouse_audit_time_seconds When the last audit ended.\n"
                   "# TYPE safehouse_audit_time_seconds gauge\n"
                   "safehouse_audit_time_seconds %lld\n",
                   r->incomplete, (long long)time(NULL)) > 0;
}

/* "2027-01-31T02:00:00Z" as a file's name: without what file systems do not like. */
static void run_name(char *out, size_t size, const struct report *r) {
    char when[32];
    size_t n = 0;
    for (const char *c = r->begun; *c && n + 1 < sizeof when; c++)
        if (*c != '-' && *c != ':')
            when[n++] = *c;
    when[n] = 0;
    snprintf(out, size, "%s-%.8s.jsonl", when, r->run_id);
}

/* ---- alarms ---- */

static bool post(const char *url, json_t *take) {
    char *body = take ? json_dumps(take, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(take);
    const bool taken = body && post_json(url, body, strlen(body));
    free(body);
    return taken;
}

static bool is_alarming(const json_t *f) {
    const char *s = report_word(f, "severity");
    return strcmp(report_word(f, "state"), "new") == 0 && !json_object_get(f, "accepted") &&
           strcmp(s, "info") != 0 && strcmp(s, "low") != 0;
}

/* The alarm of one run: what is new, without what identifies rows (there is none in a finding). */
static json_t *alarm_json(const struct report *r) {
    size_t i;
    json_t *f, *list = json_array();
    json_array_foreach(r->findings, i, f) if (is_alarming(f)) json_array_append(list, f);
    return json_pack("{s:s, s:s, s:s, s:o}", "type", "audit-alarm", "run_id", r->run_id, "scope",
                     r->scope_path, "findings", list);
}

static void alarm_all(const struct audit_watch *w, const struct report *r) {
    size_t i, count = 0;
    json_t *f;
    char url[WEBHOOK_URL_MAX];
    json_array_foreach(r->findings, i, f) {
        if (!is_alarming(f))
            continue;
        count++;
        fprintf(stderr, "safehouse: audit: new, %s: %s:%lld %s: %s (%s)\n",
                report_word(f, "severity"), report_word(f, "address"),
                json_integer_value(json_object_get(f, "port")), report_word(f, "service"),
                report_word(f, "title"), report_word(f, "fingerprint"));
    }
    if (!count || !w->webhook)
        return;
    if (!webhook_read_url(w->webhook, url))
        fprintf(stderr, "safehouse: audit: %s has no http(s) URL in its first line\n", w->webhook);
    else if (!post(url, alarm_json(r)))
        fprintf(stderr, "safehouse: audit: the webhook did not take the alarm\n");
    explicit_bzero(url, sizeof url);
}

/* ---- a run ---- */

int audit_keep(const struct audit_watch *w, struct report *r) {
    char latest[CLI_PATH], kept[CLI_PATH], prom[CLI_PATH], name[64];
    run_name(name, sizeof name, r);
    if (!cli_path(latest, w->folder, "latest.jsonl") || !cli_path(kept, w->folder, name) ||
        !cli_path(prom, w->folder, "audit.prom"))
        return cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    if (mkdir(w->folder, 0700) && errno != EEXIST)
        return cli_fail(CLI_USAGE, NULL, "%s cannot be made: %s", w->folder, strerror(errno));
    FILE *earlier = fopen(latest, "re");
    int rc = earlier ? report_baseline(r, earlier) : 0;
    if (earlier)
        fclose(earlier);
    if (rc)
        return cli_fail(CLI_USAGE, "move it away", "%s is not what an audit kept", latest);
    if (!write_file(kept, r, report_jsonl) || !write_file(latest, r, report_jsonl) ||
        !write_file(prom, r, metrics))
        return cli_fail(CLI_INTERNAL, NULL, "%s cannot be written: %s", w->folder, strerror(errno));
    alarm_all(w, r);
    return CLI_GO;
}
