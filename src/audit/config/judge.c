/*
 * The checks of judge.h. Who may come in: users without a password, the networks they may come
 * from, and the addresses on which the server listens; these three make the verdict. What they may
 * do then: their profile. And what of the server itself helps an outsider.
 *
 * Names of the checks are those for running servers (probe/clickhouse.c).
 */
#include "audit/config/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct judging {
    struct probe *p;
    const struct config_read *read;
    const struct cnode *server, *users;
    bool outside;         /* it listens beyond loopback */
    char no_password[64]; /* a user without one who may come from anywhere; "" = none */
    bool may_write;       /* and what that one may do */
};

static void note(struct judging *j, const struct cnode *at, const struct probe_note *n,
                 const char *detail) {
    probe_note_at(j->p, n, at ? at->file : "", at ? at->line : 0, detail);
}
#define NOTE(j, at, id_, severity_, title_, fix_, detail)                                          \
    note(j, at,                                                                                    \
         &(const struct probe_note){                                                               \
             .id = id_, .severity = severity_, .title = title_, .fix = fix_},                      \
         detail)

static bool is_on(const struct cnode *n) {
    const char *t = cnode_text(n);
    return strcmp(t, "1") == 0 || strcasecmp(t, "true") == 0 || strcasecmp(t, "yes") == 0;
}

/* ---- where it listens ---- */

static bool is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static bool is_any(const char *host) {
    return strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "[::]") == 0;
}

/* Without listen_host it listens on ::1 and 127.0.0.1. */
static void judge_listen(struct judging *j) {
    for (const struct cnode *n = NULL; (n = cnode_child(j->server, "listen_host", n));) {
        const char *host = cnode_text(n);
        if (!is_loopback(host))
            j->outside = true;
        if (is_any(host))
            NOTE(j, n, "C17", "high", "It listens on every address",
                 "<listen_host>127.0.0.1</listen_host>, or the inner address", host);
    }
}

static void judge_ports(struct judging *j) {
    static const char *const clear[] = {"http_port",       "tcp_port",  "mysql_port",
                                        "postgresql_port", "grpc_port", "interserver_http_port",
                                        "prometheus/port"};
    for (size_t i = 0; i < sizeof clear / sizeof clear[0]; i++) {
        const struct cnode *n = cnode_at(j->server, clear[i]);
        if (j->outside && *cnode_text(n))
            NOTE(j, n, "C16", "medium", "A port in clear text is open to other hosts",
                 "use https_port and tcp_port_secure alone", clear[i]);
    }
    const struct cnode *inter = cnode_at(j->server, "interserver_http_port");
    if (j->outside && inter && !cnode_at(j->server, "interserver_http_credentials"))
        NOTE(j, inter, "C18", "high", "Parts of tables are handed to whoever asks as a replica",
             "<interserver_http_credentials> with a user and a password", "");
}

/* ---- users ---- */

struct auth {
    bool none, plain, double_sha1;
    const struct cnode *at;
};

/* How somebody proves to be this user. An empty <password> is none; one from elsewhere is one. */
static struct auth auth_of(const struct cnode *user) {
    static const char *const strong[] = {"password_sha256_hex",
                                         "password_scram_sha256_hex",
                                         "ssl_certificates",
                                         "ssh_keys",
                                         "ldap",
                                         "kerberos",
                                         "http_authentication",
                                         "jwt",
                                         "password_bcrypt"};
    struct auth a = {.at = user};
    const struct cnode *plain = cnode_child(user, "password", NULL),
                       *twice = cnode_child(user, "password_double_sha1_hex", NULL),
                       *none = cnode_child(user, "no_password", NULL);
    for (size_t i = 0; i < sizeof strong / sizeof strong[0]; i++)
        if (cnode_child(user, strong[i], NULL))
            return a;
    a.at = plain ? plain : twice ? twice : none ? none : user;
    a.double_sha1 = twice != NULL;
    a.plain = plain && (*cnode_text(plain) || plain->from_elsewhere);
    a.none = !a.plain && !a.double_sha1;
    return a;
}

/* May somebody come from another host? *ret: the line that says so. Without <networks> from
 * anywhere. */
static bool from_anywhere(const struct cnode *user, const struct cnode **ret) {
    const struct cnode *networks = cnode_child(user, "networks", NULL);
    *ret = networks ? networks : user;
    if (!networks)
        return true;
    for (const struct cnode *n = NULL; (n = cnode_child(networks, NULL, n));) {
        const char *t = cnode_text(n);
        const bool all = strcmp(n->name, "ip") == 0
                             ? strcmp(t, "::/0") == 0 || strcmp(t, "0.0.0.0/0") == 0 ||
                                   strcmp(t, "::") == 0 || strcmp(t, "0/0") == 0
                             : strcmp(n->name, "host_regexp") == 0 &&
                                   (strcmp(t, ".*") == 0 || strcmp(t, "^.*$") == 0);
        if (all) {
            *ret = n;
            return true;
        }
    }
    return false;
}

static const struct cnode *profile_of(const struct judging *j, const struct cnode *user) {
    const char *name = cnode_text(cnode_child(user, "profile", NULL));
    return cnode_child(cnode_at(j->users, "profiles"), *name ? name : "default", NULL);
}

/* A setting of the profile, or of one that it builds on. */
static const struct cnode *setting(const struct judging *j, const struct cnode *profile,
                                   const char *name, unsigned depth) {
    const struct cnode *n = cnode_child(profile, name, NULL), *base;
    for (base = NULL; !n && depth < 8 && (base = cnode_child(profile, "profile", base));)
        n = setting(j, cnode_child(cnode_at(j->users, "profiles"), cnode_text(base), NULL), name,
                    depth + 1);
    return n;
}

static void judge_access(struct judging *j, const struct cnode *user, bool open) {
    static const char *const rights[] = {"access_management", "named_collection_control",
                                         "show_named_collections",
                                         "show_named_collections_secrets"};
    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
        const struct cnode *n = cnode_child(user, rights[i], NULL);
        if (is_on(n) && (open || strcmp(user->name, "default") == 0))
            NOTE(j, n, "C4", open ? "critical" : "high",
                 "A user whom everybody knows administers the server",
                 "give that right to a user of your own, with a password", rights[i]);
    }
}

static void judge_profile(struct judging *j, const struct cnode *user, bool open) {
    const struct cnode *profile = profile_of(j, user);
    const struct cnode *readonly = setting(j, profile, "readonly", 0);
    const char *value = cnode_text(readonly);
    if (!open)
        return;
    if (!readonly || strcmp(value, "0") == 0) {
        j->may_write = true;
        NOTE(j,
             readonly  ? readonly
             : profile ? profile
                       : user,
             "C5", "critical", "Strangers may write",
             "<readonly>1</readonly> in the profile, or a password", user->name);
    } else if (strcmp(value, "2") == 0) {
        j->may_write = true;
        NOTE(j, readonly, "C6", "critical",
             "readonly = 2 lets strangers change settings, and use url() and remote()",
             "<readonly>1</readonly>", user->name);
    }
    const struct cnode *introspection = setting(j, profile, "allow_introspection_functions", 0);
    if (is_on(introspection))
        NOTE(j, introspection, "C7", "medium", "Introspection functions are allowed to strangers",
             "<allow_introspection_functions>0</allow_introspection_functions>", user->name);
    if (!setting(j, profile, "max_execution_time", 0))
        NOTE(j, profile ? profile : user, "C21", "low", "No limit on how long a query runs",
             "set max_execution_time, and a quota", user->name);
}

static void judge_user(struct judging *j, const struct cnode *user) {
    const struct cnode *network;
    const struct auth a = auth_of(user);
    const bool anywhere = from_anywhere(user, &network), open = a.none && anywhere;
    if (a.none)
        NOTE(j, a.at, "C2", "high", "A user without a password",
             "<password_sha256_hex>, or remove the user", user->name);
    if (a.plain && !a.at->from_elsewhere)
        NOTE(j, a.at, "C2", "medium", "A password stands in the file in clear text",
             "<password_sha256_hex>, or from_env", user->name);
    if (a.double_sha1)
        NOTE(j, a.at, "C2", "low", "A password is kept as a double SHA-1",
             "<password_sha256_hex>; it is only needed for old MySQL clients", user->name);
    if (open)
        NOTE(j, network, "C3", j->outside ? "critical" : "medium",
             "A user without a password may come from anywhere",
             "<networks> with the addresses that need it", user->name);
    if (open && !j->no_password[0])
        probe_clean(j->no_password, sizeof j->no_password, user->name, strlen(user->name));
    judge_access(j, user, open);
    judge_profile(j, user, open);
}

/* ---- the server ---- */

static bool names_in_clear(const struct cnode *n, const char *name, const struct cnode **ret) {
    for (const struct cnode *c = NULL; (c = cnode_child(n, NULL, c));) {
        if (strcmp(c->name, name) == 0 && *cnode_text(c) && !c->from_elsewhere) {
            *ret = c;
            return true;
        }
        if (names_in_clear(c, name, ret))
            return true;
    }
    return false;
}

static void judge_clusters(struct judging *j) {
    const struct cnode *clusters = cnode_at(j->server, "remote_servers"), *found;
    for (const struct cnode *c = NULL; (c = cnode_child(clusters, NULL, c));) {
        const struct cnode *host = cnode_at(c, "shard/replica/host");
        bool local = !host || is_loopback(cnode_text(host));
        if (!local && !*cnode_text(cnode_child(c, "secret", NULL)))
            NOTE(j, c, "C18", "high", "A cluster without a secret signs in as anybody",
                 "<secret> in remote_servers, and a user of its own", c->name);
    }
    if (names_in_clear(clusters, "password", &found))
        NOTE(j, found, "C13", "medium", "A password of another server stands in the file",
             "use <secret>, or from_env", "");
}

static void judge_secrets(struct judging *j) {
    static const char *const names[] = {"password", "secret_access_key", "access_key_secret",
                                        "connection_string"};
    static const char *const places[] = {"named_collections", "storage_configuration",
                                         "ldap_servers", "kafka"};
    const struct cnode *found;
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (names_in_clear(cnode_at(j->server, places[p]), names[i], &found))
                NOTE(j, found, "C19", "medium", "A credential stands in the file in clear text",
                     "from_env, or a file that only the server reads", places[p]);
}

static void judge_reach(struct judging *j) {
    const struct cnode *files = cnode_at(j->server, "user_files_path");
    const char *path = cnode_text(files);
    if (strcmp(path, "/") == 0 || strcmp(path, "/etc") == 0 || strcmp(path, "/etc/") == 0 ||
        strcmp(path, "/var/lib/clickhouse/") == 0)
        NOTE(j, files, "C9", "critical", "file() reaches what is not meant for it",
             "set user_files_path to a folder of its own", path);
    if (j->server && !cnode_at(j->server, "remote_url_allow_hosts"))
        NOTE(j, j->server, "C11", "medium", "url() and s3() may go to any host",
             "list the hosts in <remote_url_allow_hosts>", "");
    const struct cnode *executables =
        cnode_at(j->server, "user_defined_executable_functions_config");
    if (*cnode_text(executables))
        NOTE(j, executables, "C10", "info", "Executable functions may be defined",
             "remove it if nothing needs it", cnode_text(executables));
    const struct cnode *log = cnode_at(j->server, "query_log");
    if (log && !cnode_at(j->server, "query_masking_rules"))
        NOTE(j, log, "C14", "medium", "The query log keeps queries as they were, secrets included",
             "<query_masking_rules>, and a TTL of the log", "");
    const struct cnode *shown = cnode_at(j->server, "display_secrets_in_show_and_select");
    if (is_on(shown))
        NOTE(j, shown, "C13", "high", "Secrets in definitions are shown",
             "<display_secrets_in_show_and_select>0</display_secrets_in_show_and_select>", "");
}

/* What is set from elsewhere is not known here. */
static void judge_elsewhere(struct judging *j) {
    if (j->read->no_users)
        NOTE(j, cnode_at(j->server, "users_config"), "config", "info",
             "Users stand in a file that was not read",
             "put it beside config.xml, or look at it yourself", j->read->no_users);
    if (j->read->no_substitutions)
        NOTE(j, cnode_at(j->server, "include_from"), "config", "info",
             "Values stand in a file that was not read, and count as set",
             "put it beside config.xml, or look at it yourself", j->read->no_substitutions);
    const struct cnode *stored = cnode_at(j->server, "user_directories/local_directory/path");
    if (!stored)
        stored = cnode_at(j->server, "access_control_path");
    if (stored)
        NOTE(j, stored, "config", "info",
             "More users may be stored by SQL: only the server knows them",
             "audit the running server, too", "");
}

static void say(struct judging *j) {
    if (!j->users) {
        probe_say(j->p, AUDIT_UNKNOWN, 'B', "there is no users.xml, so who may come is not known");
    } else if (!j->no_password[0]) {
        probe_say(j->p, AUDIT_AUTH_REQUIRED, 'B',
                  "no user without a password may come from anywhere");
    } else if (!j->outside) {
        probe_say(j->p, AUDIT_CLOSED, 'A',
                  "user %s needs no password, but it listens on loopback alone", j->no_password);
    } else {
        probe_say(
            j->p, AUDIT_OPEN, j->may_write ? 'F' : 'E',
            "user %s needs no password, may come from anywhere, and it listens beyond loopback",
            j->no_password);
    }
}

void config_judge(struct probe *p, const struct config_read *c) {
    /* users may stand in config.xml as well */
    const struct cnode *own = cnode_at(c->server.root, "users") ? c->server.root : c->users.root;
    struct judging j = {.p = p, .read = c, .server = c->server.root, .users = own};
    *p->result = (struct probe_result){
        .verdict = AUDIT_UNKNOWN, .grade = 'A', .service = "clickhouse", .probe = "configuration"};
    judge_listen(&j);
    judge_ports(&j);
    for (const struct cnode *u = NULL; (u = cnode_child(cnode_at(j.users, "users"), NULL, u));)
        judge_user(&j, u);
    judge_clusters(&j);
    judge_secrets(&j);
    judge_reach(&j);
    judge_elsewhere(&j);
    say(&j);
}
