/*
 * `safehouse key`: API keys of applications and their limits. Writes D/control/control.db and has
 * the running supervisor, if any, publish it, so that a key works, or stops, before the command
 * ends. The secret is printed once, at its making, and kept nowhere.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/control_db.h"
#include "proc/cli/cli.h"
#include "proc/cli/key_terms.h"
#include "proc/cli/session.h"

static int open_db(const char *dir, bool write, struct control_db **ret) {
    char path[CLI_PATH];
    int code = cli_need_installation(dir);
    if (code != CLI_GO)
        return code;
    if (!cli_path(path, dir, CONTROL_DB_PATH))
        return cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    int rc = control_db_open(path, write, ret);
    if (rc)
        return cli_fail_err(rc, NULL, "opening the control data");
    return CLI_GO;
}

/*
 * Who acts in a person's session (through the console) has to be an admin, and the ledger has what changes
 * before it does; `what` is enum ledger_key_change's number, 0: nothing changes. The owner's is what can be
 * done to the file in any case.
 */
enum what { NOTHING, KEY_MADE, KEY_CHANGED, KEY_REVOKED, PROJECT_CHANGED };
static int allowed(const char *dir, enum what what, const char *key, const char *project) {
    struct cli_session s = {0};
    uint8_t p[3 + 2 * LIMIT_NAME];
    const size_t a = strlen(key), b = strlen(project);
    if (!session_fixed())
        return CLI_GO;
    CHECK(a < LIMIT_NAME && b < LIMIT_NAME);
    p[0] = (uint8_t)what;
    p[1] = (uint8_t)a;
    memcpy(p + 2, key, a);
    p[2 + a] = (uint8_t)b;
    memcpy(p + 3 + a, project, b);
    int code = session_load(dir, &s);
    if (code == CLI_GO)
        code = session_ask(dir, &s, MSG_KEY_CHANGE, p, 3 + a + b, NULL, NULL, NULL);
    session_wipe(&s);
    return code;
}

/* Takes o, whose text members are there; adds the rest and prints it. */
static bool print_terms_json(json_t *o, const struct control_terms *terms) {
    char when[32];
    key_time_format(when, terms->expires_us);
    if (o && ((terms->expires_us && json_object_set_new(o, "expires", json_string(when))) ||
              !key_terms_json(o, terms))) {
        json_decref(o);
        o = NULL;
    }
    return cli_print_json(o);
}

static int say_created(const char *text, const char *id, const char *project,
                       const struct control_terms *terms, bool json, bool running) {
    uint64_t expires_us = terms->expires_us;
    char when[32];
    key_time_format(when, expires_us);
    if (json) {
        json_t *o = json_pack("{s:s, s:s, s:s}", "id", id, "secret", text, "project", project);
        return print_terms_json(o, terms) ? CLI_DONE : CLI_INTERNAL;
    }
    printf("%s\n", text);
    fprintf(stderr,
            "This is key %s of project %s%s%s. It is shown this once; keep it where your "
            "application finds it.%s\n",
            id, project, expires_us ? ", good until " : "", expires_us ? when : "",
            running ? "" : " It works once `safehouse up` runs.");
    return CLI_DONE;
}

static int create(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse key create [--dir D] [--project P] [--expires WHEN] [--json]\n"
        "       " KEY_TERMS_SYNOPSIS,
        "Makes an API key and prints it, once. A project that does not exist yet is made. What is\n"
        "not said here is as `keys` of the configuration says."};
    const char *dir = CLI_DIR_DEFAULT, *project = CONTROL_PROJECT;
    struct key_terms said = {0};
    struct control_terms terms;
    bool json = false, running = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--project", "P", .text = &project,
         .help = "whose key it is (default " CONTROL_PROJECT ")"},
        {"--expires", "WHEN", .text = &said.expires,
         .help = "30d, 12h, 45m, 2027-01-31; default never"},
        KEY_TERMS_OPTIONS(said),
        {"--json", NULL, .flag = &json, .help = "one object with id and secret"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    uint64_t now = clock_wall_us();
    control_terms_init(&terms);
    code = key_terms_take(&said, now, &terms);
    if (code != CLI_GO)
        return code;
    if (!control_name_valid(project))
        return cli_fail(CLI_USAGE, "use up to 63 letters, digits, '.', '_' and '-'",
                        "%.60s is no name for a project", project);
    struct control_db *db;
    code = open_db(dir, true, &db);
    if (code != CLI_GO)
        return code;
    char text[APIKEY_TEXT], id[LIMIT_NAME];
    uint8_t hash[APIKEY_HASH_BYTES];
    apikey_make(text, id, hash);
    code = allowed(dir, KEY_MADE, id, project);
    int rc = code == CLI_GO ? control_db_key_create(db, id, hash, project, now, &terms) : 0;
    control_db_close(db);
    if (code != CLI_GO) {
        sodium_memzero(text, sizeof text);
        return code;
    }
    if (rc)
        code = cli_fail_err(rc, rc == ERR_FULL ? "revoke keys that are not used" : NULL,
                            "writing the key");
    else
        code = cli_reload(dir, &running);
    if (!rc) /* written: it must be shown even if the running gateways could not be told */
        rc = say_created(text, id, project, &terms, json, running);
    sodium_memzero(text, sizeof text);
    return code == CLI_GO ? rc : code;
}

struct listing {
    const char *project; /* NULL = all */
    bool json;
    uint64_t now_us;
};

static const char *state_of(const struct control_key *k, uint64_t now_us) {
    if (k->revoked_us)
        return "revoked";
    return k->expires_us && k->expires_us <= now_us ? "expired" : "active";
}

static int list_one(void *arg, const struct control_key *k) {
    struct listing *l = arg;
    char created[32], expires[32];
    key_time_format(created, k->created_us);
    key_time_format(expires, k->expires_us);
    if (!l->json) {
        printf("%-12s  %-8s  %-20s  %-20s  %-16s  ", k->id, state_of(k, l->now_us), created,
               expires, k->project);
        key_terms_print(&k->terms);
        putchar('\n');
        return 0;
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "id", k->id, "project", k->project, "state",
                          state_of(k, l->now_us), "created", created);
    return print_terms_json(o, &k->terms) ? 0 : ERR_IO;
}

static int list_project(void *arg, const struct control_project *p) {
    struct listing *l = arg;
    if (l->project && strcmp(l->project, p->name) != 0)
        return 0;
    if (l->json)
        return print_terms_json(json_pack("{s:s}", "project", p->name), &p->terms) ? 0 : ERR_IO;
    printf("%-16s  ", p->name);
    key_terms_print(&p->terms);
    putchar('\n');
    return 0;
}

static int list(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse key list [--dir D] [--project P] [--projects] [--json]",
        "Lists the API keys with their limits, never their secrets. A limit that is not shown is "
        "as\n"
        "the configuration says."};
    const char *dir = CLI_DIR_DEFAULT;
    struct listing l = {.now_us = clock_wall_us()};
    bool projects = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--project", "P", .text = &l.project, .help = "only those of this project"},
        {"--projects", NULL, .flag = &projects, .help = "the projects instead of the keys"},
        {"--json", NULL, .flag = &l.json, .help = "one object a line"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    struct control_db *db;
    code = open_db(dir, false, &db);
    if (code != CLI_GO)
        return code;
    code = allowed(dir, NOTHING, "", "");
    if (code != CLI_GO) {
        control_db_close(db);
        return code;
    }
    if (!l.json && projects)
        printf("%-16s  %s\n", "PROJECT", "LIMITS");
    else if (!l.json)
        printf("%-12s  %-8s  %-20s  %-20s  %-16s  %s\n", "KEY", "STATE", "CREATED", "EXPIRES",
               "PROJECT", "LIMITS");
    int rc = projects ? control_db_projects(db, list_project, &l)
                      : control_db_keys(db, l.project, list_one, &l);
    control_db_close(db);
    return rc ? cli_fail_err(rc, NULL, "reading the keys") : CLI_DONE;
}

/* A key's public id from what was typed: it, or the whole key. */
static int take_id(const char *typed, char out[LIMIT_NAME]) {
    const char *id, *secret;
    size_t id_len = strlen(typed), secret_len;
    if (!apikey_split(typed, id_len, &id, &id_len, &secret, &secret_len))
        id = typed;
    if (!apikey_id_valid(id, id_len))
        return cli_fail(CLI_USAGE, "safehouse key list shows them", "that is no key's id");
    memset(out, 0, LIMIT_NAME);
    memcpy(out, id, id_len);
    return CLI_GO;
}

static int find_project(void *arg, const struct control_project *p) {
    struct control_project *wanted = arg;
    if (strcmp(p->name, wanted->name) == 0)
        *wanted = *p;
    return 0;
}

/* A key that can still be changed. CLI_GO, or the exit code after it said why not. */
static int find_key(struct control_db *db, const char *id, struct control_key *ret) {
    int rc = control_db_key(db, id, ret);
    if (rc == ERR_NOTFOUND)
        return cli_fail_as(rc, CLI_USAGE, "safehouse key list shows them", "there is no key %s", id);
    return rc ? cli_fail_err(rc, NULL, "reading the key") : CLI_GO;
}

static int update_key(const char *dir, struct control_db *db, const char *id, const struct key_terms *said) {
    struct control_key key;
    int rc = 0, code = find_key(db, id, &key);
    if (code == CLI_GO && key.revoked_us)
        return cli_fail_as(ERR_EXISTS, CLI_USAGE, "make a new one", "key %s is revoked", id);
    if (code == CLI_GO)
        code = key_terms_take(said, clock_wall_us(), &key.terms);
    if (code == CLI_GO)
        code = allowed(dir, KEY_CHANGED, id, key.project);
    if (code == CLI_GO)
        rc = control_db_key_update(db, id, &key.terms);
    return rc ? cli_fail_err(rc, NULL, "writing the key") : code;
}

static int update_project(const char *dir, struct control_db *db, const char *name, const struct key_terms *said) {
    struct control_project project = {0};
    uint64_t now = clock_wall_us();
    if (!control_name_valid(name))
        return cli_fail(CLI_USAGE, "use up to 63 letters, digits, '.', '_' and '-'",
                        "%.60s is no name for a project", name);
    memcpy(project.name, name, strlen(name));
    control_terms_init(&project.terms);
    int rc = control_db_projects(db, find_project, &project);
    int code = rc ? CLI_GO : key_terms_take(said, now, &project.terms);
    if (!rc && code == CLI_GO)
        code = allowed(dir, PROJECT_CHANGED, "", name);
    if (!rc && code == CLI_GO)
        rc = control_db_project_update(db, name, now, &project.terms);
    return rc ? cli_fail_err(rc, NULL, "writing the project") : code;
}

static int update(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse key update ID [--dir D] [--expires WHEN] [--json]\n"
        "       " KEY_TERMS_SYNOPSIS "\n"
        "       safehouse key update --project P ...",
        "Changes what a key, or a whole project, may do; what is not named stays as it is. In "
        "force\n"
        "before the command ends."};
    const char *dir = CLI_DIR_DEFAULT, *project = NULL;
    struct key_terms said = {0};
    bool json = false, running = false;
    int words;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--project", "P", .text = &project, .help = "the limits of this project, made if need be"},
        {"--expires", "WHEN", .text = &said.expires, .help = "30d, 12h, 45m, 2027-01-31, never"},
        KEY_TERMS_OPTIONS(said),
        {"--json", NULL, .flag = &json, .help = "one object"},
        {0}};
    char id[LIMIT_NAME];
    int code = cli_parse(&usage, options, argc, argv, 0, 1, &words);
    if (code != CLI_GO)
        return code;
    if ((words == 1) == (project != NULL) || (project && said.expires))
        return cli_fail(CLI_USAGE, "projects do not expire", "name either a key's id or --project");
    struct control_db *db;
    code = project ? CLI_GO : take_id(argv[1], id);
    if (code == CLI_GO)
        code = open_db(dir, true, &db);
    if (code != CLI_GO)
        return code;
    code = project ? update_project(dir, db, project, &said) : update_key(dir, db, id, &said);
    control_db_close(db);
    if (code == CLI_GO)
        code = cli_reload(dir, &running);
    if (code != CLI_GO)
        return code;
    const char *what = project ? project : id;
    if (json)
        return cli_print_json(
                   json_pack("{s:s, s:b}", project ? "project" : "id", what, "updated", 1))
                   ? CLI_DONE
                   : CLI_INTERNAL;
    printf("%s %s is changed%s\n", project ? "project" : "key", what,
           running ? ", and that is in force" : "");
    return CLI_DONE;
}

static int revoke(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse key revoke ID [--dir D] [--json]",
        "Revokes a key by its public id (or the whole key). It stops working before the command "
        "ends."};
    const char *dir = CLI_DIR_DEFAULT;
    bool json = false, running = false;
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
                                         {"--json", NULL, .flag = &json, .help = "one object"},
                                         {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code != CLI_GO)
        return code;
    char text[LIMIT_NAME];
    code = take_id(argv[1], text);
    if (code != CLI_GO)
        return code;
    struct control_db *db;
    code = open_db(dir, true, &db);
    if (code != CLI_GO)
        return code;
    struct control_key key;
    int rc = 0;
    code = find_key(db, text, &key);
    if (code == CLI_GO)
        code = allowed(dir, KEY_REVOKED, text, key.project);
    if (code == CLI_GO)
        rc = control_db_key_revoke(db, text, clock_wall_us());
    control_db_close(db);
    if (code != CLI_GO)
        return code;
    if (rc)
        return cli_fail_err(rc, NULL, "revoking the key");
    code = cli_reload(dir, &running);
    if (code != CLI_GO)
        return code;
    if (json)
        return cli_print_json(json_pack("{s:s, s:b}", "id", text, "revoked", 1)) ? CLI_DONE
                                                                                 : CLI_INTERNAL;
    printf("key %s is revoked%s\n", text, running ? " and stopped working" : "");
    return CLI_DONE;
}

int cli_key(int argc, char **argv) {
    static const struct cli_usage usage = {"safehouse key create|list|update|revoke [OPTIONS]",
                                           "API keys of applications; each has its own --help."};
    static const char *const names[] = {"create", "list", "update", "revoke", NULL};
    static const struct cli_option none[] = {{0}};
    if (argc > 1 && strcmp(argv[1], "create") == 0)
        return create(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return list(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "update") == 0)
        return update(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "revoke") == 0)
        return revoke(argc - 1, argv + 1);
    int code = cli_parse(&usage, none, argc, argv, 1, 1, NULL);
    if (code != CLI_GO)
        return code;
    const char *near = cli_nearest(argv[1], names);
    char fix[64];
    snprintf(fix, sizeof fix, "did you mean %s?", near ? near : "create, list, update or revoke");
    return cli_fail(CLI_USAGE, fix, "there is no key command %.40s", argv[1]);
}
