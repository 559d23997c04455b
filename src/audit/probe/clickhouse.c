/*
 * ClickHouse over HTTP: recognised by its headers and errors, proved by a number that is not in the
 * request, and then asked what is in it and how it is hardened (clickhouse_harden.c). Every
 * question is a POST with readonly=1, with which the server itself refuses writes and table
 * functions. What rows hold is looked at in memory by the detector: class and count are kept,
 * nothing else.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/clickhouse_int.h"

/* The safest way to ask that the profile lets through: a read-only one refuses every setting. */
static const char *const ways[] = {"/?readonly=1&" CLICKHOUSE_LIMITS, "/?max_execution_time=2",
                                   "/"};
#define WAYS (sizeof ways / sizeof ways[0])
#define USERS_TABLES "database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')"
#define SAMPLE_TABLES 3
#define SAMPLE_ROWS "20"
#define SETTING_REFUSED 164 /* "Cannot modify setting in readonly mode" */

/* ---- asking ---- */

/* The answer's text, without its line end; NULL when refused, with the code of the refusal. */
const char *clickhouse_ask_by(struct probe *p, const char *id, const char *path, const char *query,
                              int *ret_code) {
    const struct http_request q = {
        .method = "POST", .path = path, .body = query, .type = "text/plain"};
    *ret_code = 0;
    if (!probe_http(p, id, &q))
        return NULL;
    if (p->http->status != 200 || !strncmp(p->http->body, "Code: ", 6)) {
        char code[16];
        const char *at = strstr(p->http->body, "Code: ");
        *ret_code = at ? atoi(at + 6) : 0;
        if (!*ret_code && http_header(p->http, "x-clickhouse-exception-code", code, sizeof code))
            *ret_code = atoi(code);
        return NULL;
    }
    size_t n = p->http->body_len;
    while (n && p->http->body[n - 1] == '\n')
        p->http->body[--n] = 0;
    return p->http->body;
}

const char *clickhouse_ask(struct probe *p, const char *id, const char *query, int *ret_code) {
    return clickhouse_ask_by(p, id, ways[p->way], query, ret_code);
}

static bool is_clickhouse(struct probe *p) {
    char value[128];
    const struct http_answer *a = p->root;
    if (http_header(a, "x-clickhouse-server-display-name", value, sizeof value) ||
        http_header(a, "x-clickhouse-summary", value, sizeof value) ||
        http_header(a, "x-clickhouse-exception-code", value, sizeof value))
        return true;
    if (http_header(a, "www-authenticate", value, sizeof value) && strstr(value, "ClickHouse"))
        return true;
    if (strcmp(a->body, "Ok.\n") != 0 && !strstr(a->body, "DB::Exception"))
        return false;
    return probe_get(p, "clickhouse-ping", "/ping") && strcmp(p->http->body, "Ok.\n") == 0;
}

/* ---- what is in it ---- */

static void count_rows(struct probe *p) {
    int code;
    const char *names = clickhouse_ask(
        p, "clickhouse-tables", "SELECT count() FROM system.tables WHERE " USERS_TABLES, &code);
    if (names && strtoull(names, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'D', "%llu tables are listed to strangers",
                  strtoull(names, NULL, 10));
    const char *rows =
        clickhouse_ask(p, "clickhouse-rows",
                       "SELECT sum(rows) FROM system.parts WHERE active AND " USERS_TABLES, &code);
    if (rows && strtoull(rows, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'E', "%llu rows are readable without a password",
                  strtoull(rows, NULL, 10));
}

/* `name` in backquotes, as one line of TabSeparated gives it; false when it does not fit. */
static bool quote(char *out, size_t size, const char *name, size_t len) {
    size_t n = 0;
    out[n++] = '`';
    for (size_t i = 0; i < len; i++) {
        if (n + 4 > size)
            return false;
        if (name[i] == '`')
            out[n++] = '\\';
        out[n++] = name[i];
    }
    out[n++] = '`';
    out[n] = 0;
    return true;
}

#define CLASSES 32
struct tally {
    const char *class;
    bool personal;
    unsigned count;
};

static void tally_sample(struct probe *p, struct tally *t) {
    struct detect_findings found = {0};
    if (detect_scan(p->sampler->detect, p->sampler->work, p->http->body, p->http->body_len,
                    DETECT_TEXT, &found) == 0) {
        for (size_t i = 0; i < found.count; i++) {
            struct detect_rule_info rule = detect_rule(p->sampler->detect, found.items[i].rule);
            size_t k = 0;
            while (k < CLASSES && t[k].class && strcmp(t[k].class, rule.class) != 0)
                k++;
            if (k == CLASSES)
                continue;
            t[k].class = rule.class;
            t[k].personal = rule.personal;
            t[k].count++;
        }
    }
    detect_findings_done(&found);
    sodium_memzero(p->http->body, p->http->body_len);
}

static void say_sample(struct probe *p, const struct tally *t, bool personal) {
    char detail[160] = "";
    size_t n = 0;
    for (size_t k = 0; k < CLASSES && t[k].class; k++)
        if (t[k].personal == personal && n < sizeof detail)
            n += (size_t)snprintf(detail + n, sizeof detail - n, "%s%s: %u", n ? ", " : "",
                                  t[k].class, t[k].count);
    if (!n)
        return;
    if (personal) {
        probe_note(p, "sample-personal", "high", "Personal data lies in rows that strangers read",
                   "close the port, and find out who read it", detail, strlen(detail));
        return;
    }
    probe_note(p, "sample-secret", "critical", "Secrets lie in rows that strangers read",
               "close the port, and revoke the secrets", detail, strlen(detail));
    probe_say(p, AUDIT_OPEN, 'F', "rows with secrets in them are readable without a password");
}

static void sample(struct probe *p) {
    struct tally t[CLASSES] = {0};
    char list[2048];
    int code;
    if (!sampler_ready(p->sampler))
        return;
    const char *tables =
        clickhouse_ask(p, "clickhouse-sample-tables",
                       "SELECT database, name FROM system.tables WHERE " USERS_TABLES
                       " AND engine LIKE '%MergeTree' ORDER BY database, name LIMIT 3",
                       &code);
    if (!tables || strlen(tables) >= sizeof list)
        return;
    memcpy(list, tables, strlen(tables) + 1);
    char *save = NULL, *line = strtok_r(list, "\n", &save);
    for (int i = 0; line && i < SAMPLE_TABLES; i++, line = strtok_r(NULL, "\n", &save)) {
        char database[256], table[256], query[640];
        const char *tab = strchr(line, '\t');
        if (!tab || !quote(database, sizeof database, line, (size_t)(tab - line)) ||
            !quote(table, sizeof table, tab + 1, strlen(tab + 1)))
            continue;
        snprintf(query, sizeof query, "SELECT * FROM %s.%s LIMIT " SAMPLE_ROWS, database, table);
        if (clickhouse_ask(p, "clickhouse-sample", query, &code))
            tally_sample(p, t);
    }
    p->result->excerpt[0] = 0; /* of the sample nothing is kept */
    say_sample(p, t, false);
    say_sample(p, t, true);
}

/* The port at which replicas fetch parts of tables from one another asks for an endpoint, whatever
 * it is sent. No part is asked for. */
static bool is_for_replicas(struct probe *p) {
    if (!strstr(p->http->body, "Not found: endpoint") && !strstr(p->http->body, "interserver"))
        return false;
    p->result->service = "clickhouse-interserver";
    probe_say(p, AUDIT_OPEN_LIMITED, 'C', "the port for its replicas answers strangers");
    probe_note(p, "C18", "high", "Parts of tables are handed to whoever asks as a replica",
               "<interserver_http_credentials>, interserver_https_port, and listen on inner "
               "addresses only",
               NULL, 0);
    return true;
}

bool probe_clickhouse_http(struct probe *p) {
    int code;
    if (!is_clickhouse(p))
        return false;
    p->result->service = "clickhouse";
    const char *sum = NULL;
    for (p->way = 0; p->way < WAYS; p->way++) {
        sum = clickhouse_ask(p, "clickhouse-select", "SELECT 20250128 + 1", &code);
        if (sum || code != SETTING_REFUSED)
            break;
    }
    p->way = p->way < WAYS ? p->way : WAYS - 1;
    if (sum && strcmp(sum, "20250129") == 0) {
        probe_say(p, AUDIT_OPEN, 'D', "SQL works without a password");
        count_rows(p);
        clickhouse_harden(p);
        sample(p);
    } else if (is_for_replicas(p)) {
        return true;
    } else if (code == 195) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "user default may not come from this address");
    } else if (code == 192 || code == 193 || code == 194 || code == 516 || p->http->status == 401 ||
               p->http->status == 403) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a user and a password (code %d)", code);
    } else {
        probe_say(p, AUDIT_UNKNOWN, 'C',
                  "a ClickHouse that answers SELECT with something else (code %d)", code);
    }
    return true;
}
