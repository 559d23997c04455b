/*
 * The hardening questions C1 to C22 to a ClickHouse that lets strangers ask, each with its query.
 * What a stranger could do is judged from settings and grants, and never tried: writing and table
 * functions need both a grant and a profile that is not readonly = 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/probe/clickhouse_int.h"
#include "audit/probe/versions.h"

/* for the profile's own readonly; the question itself only reads */
#define ASK_AS_IS "/?" CLICKHOUSE_LIMITS
#define OF_THE_ASKER                                                                               \
    "(user_name = currentUser() OR role_name IN (SELECT role_name FROM system.enabled_roles))"

enum bad { BAD_COUNT, BAD_ZERO, BAD_ONE_ROOT, BAD_ANY_HOST };

struct check {
    const char *id, *query;
    enum bad bad;
    const char *severity, *title, *fix;
    char grade; /* that it brings where strangers may change things (not readonly = 1); 0: none */
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
     "SELECT count() FROM system.grants WHERE " OF_THE_ASKER
     " AND match(toString(access_type), '^ALL|ACCESS MANAGEMENT|NAMED COLLECTION ADMIN')",
     BAD_COUNT, "critical", "User default administers the server",
     "make users of your own with the grants that they need; REVOKE ALL ON *.* FROM default", 'F'},
    {"C7",
     "SELECT count() FROM system.settings WHERE name IN ('allow_ddl', "
     "'allow_introspection_functions') AND value = '1'",
     BAD_COUNT, "medium", "DDL or introspection functions are allowed to strangers",
     "<allow_ddl>0</allow_ddl> in the profile", 0},
    {"C8",
     "SELECT count() FROM system.grants WHERE " OF_THE_ASKER " AND match(toString(access_type), "
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

/* ---- grants ---- */

/* Is one of these words the privilege's first? "CREATE TABLE" is CREATE, "SHOW CREATE" is not. */
static bool begins_with_one(const char *privilege, size_t len, const char *const *words) {
    for (; *words; words++) {
        size_t n = strlen(*words);
        if (len >= n && strncmp(privilege, *words, n) == 0 &&
            (len == n || privilege[n] == ' ' || privilege[n] == '('))
            return true;
    }
    return false;
}

static unsigned kind_of(const char *privilege, size_t len) {
    static const char *const all[] = {"ALL", NULL};
    static const char *const write[] = {"INSERT",   "ALTER",  "CREATE",   "DROP", "UNDROP",
                                        "TRUNCATE", "DELETE", "OPTIMIZE", "MOVE", NULL};
    /* CREATE TEMPORARY TABLE alone changes nothing that stays */
    static const char *const temporary[] = {"CREATE TEMPORARY TABLE",
                                            "CREATE ARBITRARY TEMPORARY TABLE", NULL};
    static const char *const sources[] = {
        "SOURCES",  "FILE",   "URL",          "REMOTE", "S3",    "HDFS",  "MYSQL", "POSTGRES",
        "MONGO",    "SQLITE", "ODBC",         "JDBC",   "AZURE", "KAFKA", "REDIS", "NATS",
        "RABBITMQ", "HIVE",   "ARROW FLIGHT", "READ",   "WRITE", NULL};
    if (begins_with_one(privilege, len, all))
        return CLICKHOUSE_WRITES | CLICKHOUSE_REACHES;
    if (begins_with_one(privilege, len, temporary))
        return 0;
    return (begins_with_one(privilege, len, write) ? CLICKHOUSE_WRITES : 0u) |
           (begins_with_one(privilege, len, sources) ? CLICKHOUSE_REACHES : 0u);
}

/* "GRANT SELECT, INSERT(a, b) ON db.* TO user WITH GRANT OPTION"; a line without ON grants a role,
 * whose own grants are not known here. */
static unsigned of_line(const char *line, size_t len) {
    static const char grant[] = "GRANT ";
    unsigned found = 0, depth = 0;
    if (len < sizeof grant - 1 || memcmp(line, grant, sizeof grant - 1) != 0)
        return 0;
    const char *at = line + sizeof grant - 1, *end = memmem(line, len, " ON ", 4);
    if (!end)
        return CLICKHOUSE_ROLES;
    for (const char *from = at; at <= end; at++) {
        if (at < end && *at == '(')
            depth++;
        else if (at < end && *at == ')' && depth)
            depth--;
        else if (at == end || (*at == ',' && !depth)) {
            while (from < at && *from == ' ')
                from++;
            found |= kind_of(from, (size_t)(at - from));
            from = at + 1;
        }
    }
    return found;
}

unsigned clickhouse_grants(const char *text) {
    unsigned found = 0;
    while (*text) {
        size_t n = strcspn(text, "\n");
        found |= of_line(text, n);
        text += n + (text[n] == '\n');
    }
    return found;
}

/* What a stranger may do. */
struct stranger {
    bool fixed; /* readonly = 1: nothing changes, whatever is granted */
    bool known; /* the grants are */
    unsigned grants;
};

/* Before 20.x there are no grants: the profile alone says what may be done. */
static void read_grants(struct probe *p, struct stranger *s) {
    int code;
    const char *text = clickhouse_ask(p, "C8-grants", "SHOW GRANTS", &code);
    if (!text || !strstr(text, "GRANT "))
        return;
    s->grants = clickhouse_grants(text);
    s->known =
        !(s->grants & CLICKHOUSE_ROLES) || (s->grants & (CLICKHOUSE_WRITES | CLICKHOUSE_REACHES)) ==
                                               (CLICKHOUSE_WRITES | CLICKHOUSE_REACHES);
}

static bool may(const struct stranger *s, unsigned what) {
    return !s->fixed && (!s->known || (s->grants & what));
}

static void judge_stranger(struct probe *p, struct stranger *s) {
    int code;
    const char *v =
        clickhouse_ask_by(p, "C5", p->way ? "/" : ASK_AS_IS,
                          "SELECT value FROM system.settings WHERE name = 'readonly'", &code);
    const int readonly = v ? atoi(v) : -1;
    s->fixed = readonly == 1;
    read_grants(p, s);
    if (readonly == 0 && may(s, CLICKHOUSE_WRITES)) {
        probe_note(p, "C5", "critical", "Strangers may write",
                   "<readonly>1</readonly> in the profile, grants that only read, or a password",
                   NULL, 0);
        probe_say(p, AUDIT_OPEN, 'F', "a stranger may write");
    }
    if (readonly == 2)
        probe_note(p, "C6", may(s, CLICKHOUSE_REACHES) ? "critical" : "medium",
                   "readonly = 2 lets strangers change settings, and use url() and remote() where "
                   "they are granted",
                   "<readonly>1</readonly>", NULL, 0);
    if ((readonly == 0 || readonly == 2) && may(s, CLICKHOUSE_REACHES)) {
        if (s->known)
            probe_note(p, "C8", "critical", "Files and other hosts are within reach by SQL",
                       "REVOKE SOURCES ON *.* FROM default", "as SHOW GRANTS says", 19);
        probe_say(p, AUDIT_OPEN, 'F',
                  "table functions that reach files and other hosts are within a stranger's reach");
    }
}

/* ---- the questions ---- */

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

static void version_check(struct probe *p) {
    int code;
    char detail[96];
    const char *v = clickhouse_ask(p, "C20", "SELECT version()", &code);
    if (!v)
        return;
    probe_version(p, v, strlen(v));
    if (!versions_clickhouse_old(v, time(NULL)))
        return;
    int n = snprintf(detail, sizeof detail, "%.32s; by what was supported on " VERSIONS_AS_OF, v);
    probe_note(p, "C20", "high", "A version that gets no fixes any more",
               "upgrade to a supported release", detail, (size_t)n);
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

void clickhouse_harden(struct probe *p) {
    struct stranger stranger = {0};
    probe_note(p, "C1", "critical", "Anyone may send SQL",
               "give user default a password, and listen on inner addresses only", NULL, 0);
    if (!p->tls)
        probe_note(p, "clear-text", "medium", "Queries and rows travel in clear text",
                   "use https_port alone", NULL, 0);
    judge_stranger(p, &stranger);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const struct check *c = &checks[i];
        int code;
        const char *value = clickhouse_ask(p, c->id, c->query, &code);
        if (!value) {
            not_verifiable(p, c, code);
        } else if (is_bad(c->bad, value)) {
            probe_note(p, c->id, c->severity, c->title, c->fix, value, strcspn(value, "\n"));
            if (c->grade && !stranger.fixed)
                probe_say(p, AUDIT_OPEN, c->grade, "%s", c->title);
        }
    }
    version_check(p);
    pages(p);
}
