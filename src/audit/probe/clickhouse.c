/*
 * ClickHouse over HTTP: recognised by its headers and errors, proved by a number that is not in the
 * request, and then asked the hardening questions C1 to C22. Every question is a POST with
 * readonly=1, with which the server itself refuses writes and table functions; lateral paths are
 * judged from grants and settings, never tried. What rows hold is looked at in memory by the
 * detector: class and count are kept, nothing else.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/probe.h"

#define LIMITS "max_execution_time=2&max_result_rows=1000&result_overflow_mode=break"
/* The safest way to ask that the profile lets through: a read-only one refuses every setting. */
static const char *const ways[] = {"/?readonly=1&" LIMITS, "/?max_execution_time=2", "/"};
#define WAYS (sizeof ways / sizeof ways[0])
#define ASK_AS_IS "/?" LIMITS /* for the profile's own readonly; the question itself only reads */
#define USERS_TABLES "database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')"
#define SAMPLE_TABLES 3
#define SAMPLE_ROWS "20"
#define SETTING_REFUSED 164 /* "Cannot modify setting in readonly mode" */
#define OLD_BEFORE 24       /* major versions that get no fixes any more */

enum bad { BAD_COUNT, BAD_ZERO, BAD_ONE_ROOT, BAD_ANY_HOST };

struct check {
    const char *id, *query;
    enum bad bad;
    const char *severity, *title, *fix;
    char grade; /* that it brings; 0: none */
};

/* Names and columns differ between versions; what a version lacks is said to be not verifiable. */
static const struct check checks[] = {
    {"C2",
     "SELECT count() FROM system.users WHERE match(toString(auth_type), "
     "'no_password|plaintext_password|double_sha1')",
     BAD_COUNT, "high", "Users without a password, or with a weakly kept one",
     "ALTER USER ... IDENTIFIED WITH sha256_password BY ...", 0},
    {"C3",
     "SELECT count() FROM system.users WHERE match(toString(auth_type), 'no_password') AND "
     "(match(toString(host_ip), '::/0|0\\\\.0\\\\.0\\\\.0/0') OR "
     "match(toString(host_names_regexp), '\\\\.\\\\*'))",
     BAD_COUNT, "critical", "Users without a password that may come from anywhere",
     "ALTER USER ... HOST IP '10.0.0.0/8', or <networks> in users.xml", 0},
    {"C4",
     "SELECT count() FROM system.grants WHERE user_name = 'default' AND "
     "match(toString(access_type), '^ALL|ACCESS MANAGEMENT|NAMED COLLECTION ADMIN')",
     BAD_COUNT, "critical", "User default administers the server",
     "make users of your own with the grants that they need; REVOKE ALL ON *.* FROM default", 'F'},
    {"C7",
     "SELECT count() FROM system.settings WHERE name IN ('allow_ddl', "
     "'allow_introspection_functions') AND value = '1'",
     BAD_COUNT, "medium", "DDL or introspection functions are allowed to strangers",
     "<allow_ddl>0</allow_ddl> in the profile", 0},
    {"C8",
     "SELECT count() FROM system.grants WHERE user_name = 'default' AND "
     "match(toString(access_type), "
     "'^(ALL|FILE|URL|S3|REMOTE|MYSQL|POSTGRES|MONGO|ODBC|JDBC|HDFS|AZURE|SOURCES|READ|WRITE)$')",
     BAD_COUNT, "critical",
     "Files and other hosts are within reach by SQL (table functions are granted)",
     "REVOKE SOURCES ON *.* FROM default", 'F'},
    {"C9", "SELECT value FROM system.server_settings WHERE name = 'user_files_path'", BAD_ONE_ROOT,
     "critical", "file() reaches the whole file system",
     "set user_files_path to a folder of its own", 'F'},
    {"C10",
     "SELECT (SELECT count() FROM system.functions WHERE toString(origin) LIKE 'Executable%') + "
     "(SELECT count() FROM system.dictionaries)",
     BAD_COUNT, "medium",
     "Executable functions or dictionaries, whose sources may hold credentials",
     "revoke dictGet and SHOW DICTIONARIES; remove executable functions that nothing needs", 0},
    {"C11",
     "SELECT count() FROM system.server_settings WHERE name LIKE 'remote_url_allow_hosts%' AND "
     "changed",
     BAD_ZERO, "medium", "url() and s3() may go to any host",
     "list the hosts in remote_url_allow_hosts", 0},
    {"C12",
     "SELECT count() FROM system.table_functions WHERE name IN ('file', 'url', 'remote', 's3', "
     "'mysql', 'postgresql', 'jdbc', 'odbc', 'executable')",
     BAD_COUNT, "info", "Table functions that leave the server exist",
     "grant them to nobody who does not need them", 0},
    {"C13",
     "SELECT count() FROM system.tables WHERE engine IN ('MySQL', 'PostgreSQL', 'MongoDB', 'S3', "
     "'Kafka', 'RabbitMQ', 'URL')",
     BAD_COUNT, "high", "Tables whose definition may show credentials",
     "use named collections, and display_secrets_in_show_and_select = 0", 0},
    {"C14",
     "SELECT count() FROM system.query_log WHERE match(query, '(?i)(identified "
     "by|password|secret|aws_access|sk-[a-z0-9]{20})')",
     BAD_COUNT, "high", "The query log holds what looks like secrets, readable to strangers",
     "query_masking_rules, a TTL, and REVOKE SELECT ON system.query_log", 0},
    {"C15",
     "SELECT count() FROM system.processes WHERE NOT match(toString(address), "
     "'127\\\\.0\\\\.0\\\\.1|::1')",
     BAD_COUNT, "medium", "Sessions from other hosts are running now",
     "look at SELECT user, address FROM system.processes", 0},
    {"C16",
     "SELECT count() FROM system.server_settings WHERE name IN ('http_port', 'tcp_port', "
     "'mysql_port', 'postgresql_port', 'grpc_port', 'interserver_http_port') AND value NOT IN ('', "
     "'0')",
     BAD_COUNT, "medium", "Ports in clear text are configured",
     "use https_port and tcp_port_secure alone", 0},
    {"C17", "SELECT value FROM system.server_settings WHERE name = 'listen_host'", BAD_ANY_HOST,
     "high", "It listens on every address",
     "<listen_host>127.0.0.1</listen_host>, or the inner address", 0},
    {"C18", "SELECT count() FROM system.clusters WHERE user = 'default' AND NOT is_local",
     BAD_COUNT, "high", "A cluster signs in as default",
     "<secret> in remote_servers, and a user of its own", 0},
    {"C19", "SELECT count() FROM system.named_collections", BAD_COUNT, "medium",
     "Named collections, which hold credentials, are visible",
     "REVOKE NAMED COLLECTION ON * FROM default", 0},
    {"C21",
     "SELECT count() FROM system.settings WHERE name IN ('max_execution_time', 'max_memory_usage') "
     "AND value = '0'",
     BAD_COUNT, "low", "No limit on a query's time or memory",
     "set both, and a quota, in the profile", 0},
};

/* ---- asking ---- */

/* The answer's text, without its line end; NULL when refused, with the code of the refusal. */
static const char *ask_by(struct probe *p, const char *id, const char *path, const char *query,
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

static const char *ask(struct probe *p, const char *id, const char *query, int *ret_code) {
    return ask_by(p, id, ways[p->way], query, ret_code);
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
    const char *names =
        ask(p, "clickhouse-tables", "SELECT count() FROM system.tables WHERE " USERS_TABLES, &code);
    if (names && strtoull(names, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'D', "%llu tables are listed to strangers",
                  strtoull(names, NULL, 10));
    const char *rows =
        ask(p, "clickhouse-rows",
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
    const char *tables = ask(p, "clickhouse-sample-tables",
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
        if (ask(p, "clickhouse-sample", query, &code))
            tally_sample(p, t);
    }
    p->result->excerpt[0] = 0; /* of the sample nothing is kept */
    say_sample(p, t, false);
    say_sample(p, t, true);
}

/* ---- hardening ---- */

static bool is_bad(enum bad how, const char *value) {
    switch (how) {
    case BAD_COUNT:
        return strtoull(value, NULL, 10) > 0;
    case BAD_ZERO:
        return strcmp(value, "0") == 0;
    case BAD_ONE_ROOT:
        return strcmp(value, "/") == 0;
    default:
        return strstr(value, "0.0.0.0") || strstr(value, "::\n") || strcmp(value, "::") == 0;
    }
}

static void not_verifiable(struct probe *p, const struct check *c, int code) {
    char detail[64];
    int n =
        snprintf(detail, sizeof detail, "not verifiable here: the server answered code %d", code);
    probe_note(p, c->id, "info", c->title, c->fix, detail, (size_t)n);
}

static void readonly_of_profile(struct probe *p) {
    int code;
    const char *v = ask_by(p, "C5", p->way ? "/" : ASK_AS_IS,
                           "SELECT value FROM system.settings WHERE name = 'readonly'", &code);
    if (v && strcmp(v, "0") == 0) {
        probe_note(p, "C5", "critical", "Strangers may write",
                   "<readonly>1</readonly> in the profile, or a password", NULL, 0);
        probe_say(p, AUDIT_OPEN, 'F',
                  "a stranger may write, and use table functions that reach files and other hosts");
    } else if (v && strcmp(v, "2") == 0) {
        probe_note(p, "C6", "critical",
                   "readonly = 2 lets strangers change settings, and use url() and remote()",
                   "<readonly>1</readonly>", NULL, 0);
        probe_say(p, AUDIT_OPEN, 'F',
                  "table functions reach other hosts, though the profile is read-only");
    }
}

static void version_check(struct probe *p) {
    int code;
    const char *v = ask(p, "C20", "SELECT version()", &code);
    if (!v)
        return;
    probe_version(p, v, strlen(v));
    if (atoi(v) < OLD_BEFORE)
        probe_note(p, "C20", "high", "A version that gets no fixes any more",
                   "upgrade to a supported release", v, strlen(v));
}

static void pages(struct probe *p) {
    static const char *const paths[] = {"/play", "/dashboard"};
    for (size_t i = 0; i < 2; i++)
        if (probe_get(p, "C22", paths[i]) && p->http->status == 200 &&
            strcmp(p->http->body, "Ok.\n") != 0)
            probe_note(p, "C22", "low", "The built-in web pages are reachable",
                       "keep them behind a proxy that asks for a sign-in", paths[i],
                       strlen(paths[i]));
}

static void harden(struct probe *p) {
    probe_note(p, "C1", "critical", "Anyone may send SQL",
               "give user default a password, and listen on inner addresses only", NULL, 0);
    if (!p->tls)
        probe_note(p, "clear-text", "medium", "Queries and rows travel in clear text",
                   "use https_port alone", NULL, 0);
    readonly_of_profile(p);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const struct check *c = &checks[i];
        int code;
        const char *value = ask(p, c->id, c->query, &code);
        if (!value) {
            not_verifiable(p, c, code);
        } else if (is_bad(c->bad, value)) {
            probe_note(p, c->id, c->severity, c->title, c->fix, value, strcspn(value, "\n"));
            if (c->grade)
                probe_say(p, AUDIT_OPEN, c->grade, "%s", c->title);
        }
    }
    version_check(p);
    pages(p);
}

bool probe_clickhouse_http(struct probe *p) {
    int code;
    if (!is_clickhouse(p))
        return false;
    p->result->service = "clickhouse";
    const char *sum = NULL;
    for (p->way = 0; p->way < WAYS; p->way++) {
        sum = ask(p, "clickhouse-select", "SELECT 20250128 + 1", &code);
        if (sum || code != SETTING_REFUSED)
            break;
    }
    p->way = p->way < WAYS ? p->way : WAYS - 1;
    if (sum && strcmp(sum, "20250129") == 0) {
        probe_say(p, AUDIT_OPEN, 'D', "SQL works without a password");
        count_rows(p);
        harden(p);
        sample(p);
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
