/*
 * `safehouse key`: API keys of applications. Writes D/control/control.db and has the running
 * supervisor, if any, publish it, so that a key works, or stops, before the command ends. The secret
 * is printed once, at its making, and kept nowhere.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/control_db.h"
#include "proc/cli/cli.h"

#define SECOND_US 1000000ull

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

static void format_time(char out[32], uint64_t us) {
    time_t t = (time_t)(us / SECOND_US);
    struct tm parts;
    if (us == 0 || !gmtime_r(&t, &parts) ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        memcpy(out, "-", 2);
}

/* "30d", "12h", "45m", "2027-01-31", "2027-01-31T12:00:00Z" -> wall clock. */
static bool parse_expiry(const char *text, uint64_t now_us, uint64_t *ret_us) {
    char *end;
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (!rest) {
        memset(&parts, 0, sizeof parts);
        rest = strptime(text, "%Y-%m-%d", &parts);
    }
    if (rest && *rest == 0) {
        time_t t = timegm(&parts);
        *ret_us = (uint64_t)t * SECOND_US;
        return t > 0 && *ret_us > now_us;
    }
    unsigned long long n = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (n == 0 || n > 1000000 || end[0] == 0 || end[1] != 0)
        return false;
    unsigned seconds = end[0] == 'd' ? 86400 : end[0] == 'h' ? 3600 : end[0] == 'm' ? 60 : 0;
    *ret_us = now_us + n * seconds * SECOND_US;
    return seconds != 0;
}

static int say_created(const char *text, const char *id, const char *project, uint64_t expires_us,
                       bool json, bool running) {
    char when[32];
    format_time(when, expires_us);
    if (json) {
        json_t *o = json_pack("{s:s, s:s, s:s}", "id", id, "secret", text, "project", project);
        if (o && expires_us)
            json_object_set_new(o, "expires", json_string(when));
        return cli_print_json(o) ? CLI_DONE : CLI_INTERNAL;
    }
    printf("%s\n", text);
    fprintf(stderr, "This is key %s of project %s%s%s. It is shown this once; keep it where your "
                    "application finds it.%s\n",
            id, project, expires_us ? ", good until " : "", expires_us ? when : "",
            running ? "" : " It works once `safehouse up` runs.");
    return CLI_DONE;
}

static int create(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse key create [--dir D] [--project P] [--expires WHEN] [--json]",
        "Makes an API key and prints it, once. A project that does not exist yet is made."};
    const char *dir = CLI_DIR_DEFAULT, *project = CONTROL_PROJECT, *expires = NULL;
    bool json = false, running = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--project", "P", .text = &project, .help = "whose key it is (default " CONTROL_PROJECT ")"},
        {"--expires", "WHEN", .text = &expires, .help = "30d, 12h, 45m, 2027-01-31; default never"},
        {"--json", NULL, .flag = &json, .help = "one object with id and secret"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    uint64_t now = clock_wall_us(), expires_us = 0;
    if (expires && !parse_expiry(expires, now, &expires_us))
        return cli_fail(CLI_USAGE, "give a time to come as 30d, 12h, 45m or 2027-01-31",
                        "--expires %.40s is no such time", expires);
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
    int rc = control_db_key_add(db, id, hash, project, now, expires_us);
    control_db_close(db);
    if (rc)
        code = cli_fail_err(rc, rc == ERR_FULL ? "revoke keys that are not used" : NULL,
                            "writing the key");
    else
        code = cli_reload(dir, &running);
    if (!rc) /* written: it must be shown even if the running gateways could not be told */
        rc = say_created(text, id, project, expires_us, json, running);
    sodium_memzero(text, sizeof text);
    return code == CLI_GO ? rc : code;
}

struct listing {
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
    format_time(created, k->created_us);
    format_time(expires, k->expires_us);
    if (!l->json) {
        printf("%-12s  %-8s  %-20s  %-20s  %s\n", k->id, state_of(k, l->now_us), created, expires,
               k->project);
        return 0;
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "id", k->id, "project", k->project, "state",
                          state_of(k, l->now_us), "created", created);
    if (o && k->expires_us)
        json_object_set_new(o, "expires", json_string(expires));
    return cli_print_json(o) ? 0 : ERR_IO;
}

static int list(int argc, char **argv) {
    static const struct cli_usage usage = {"safehouse key list [--dir D] [--project P] [--json]",
                                           "Lists the API keys, never their secrets."};
    const char *dir = CLI_DIR_DEFAULT, *project = NULL;
    struct listing l = {.now_us = clock_wall_us()};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--project", "P", .text = &project, .help = "only those of this project"},
        {"--json", NULL, .flag = &l.json, .help = "one object a line"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    struct control_db *db;
    code = open_db(dir, false, &db);
    if (code != CLI_GO)
        return code;
    if (!l.json)
        printf("%-12s  %-8s  %-20s  %-20s  %s\n", "KEY", "STATE", "CREATED", "EXPIRES", "PROJECT");
    int rc = control_db_keys(db, project, list_one, &l);
    control_db_close(db);
    return rc ? cli_fail_err(rc, NULL, "reading the keys") : CLI_DONE;
}

static int revoke(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse key revoke ID [--dir D] [--json]",
        "Revokes a key by its public id (or the whole key). It stops working before the command "
        "ends."};
    const char *dir = CLI_DIR_DEFAULT, *id, *secret;
    bool json = false, running = false;
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
                                         {"--json", NULL, .flag = &json, .help = "one object"},
                                         {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code != CLI_GO)
        return code;
    size_t id_len = strlen(argv[1]), secret_len;
    if (!apikey_split(argv[1], id_len, &id, &id_len, &secret, &secret_len))
        id = argv[1];
    if (!apikey_id_valid(id, id_len))
        return cli_fail(CLI_USAGE, "safehouse key list shows them", "that is no key's id");
    char text[LIMIT_NAME] = {0};
    memcpy(text, id, id_len);
    struct control_db *db;
    code = open_db(dir, true, &db);
    if (code != CLI_GO)
        return code;
    int rc = control_db_key_revoke(db, text, clock_wall_us());
    control_db_close(db);
    if (rc == ERR_NOTFOUND)
        return cli_fail(CLI_USAGE, "safehouse key list shows them", "there is no key %s", text);
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
    static const struct cli_usage usage = {"safehouse key create|list|revoke [OPTIONS]",
                                           "API keys of applications; each has its own --help."};
    static const char *const names[] = {"create", "list", "revoke", NULL};
    static const struct cli_option none[] = {{0}};
    if (argc > 1 && strcmp(argv[1], "create") == 0)
        return create(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return list(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "revoke") == 0)
        return revoke(argc - 1, argv + 1);
    int code = cli_parse(&usage, none, argc, argv, 1, 1, NULL);
    if (code != CLI_GO)
        return code;
    const char *near = cli_nearest(argv[1], names);
    char fix[64];
    snprintf(fix, sizeof fix, "did you mean %s?", near ? near : "create, list or revoke");
    return cli_fail(CLI_USAGE, fix, "there is no key command %.40s", argv[1]);
}
