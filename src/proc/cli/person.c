/*
 * `safehouse person`: people, their grants, and how they sign in. Everything is the vault's to decide and
 * to keep; this asks for it and prints what it says.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/cli/key_terms.h"
#include "proc/cli/person.h"
#include "proc/cli/read.h"
#include "read/people/verbs.h"

#define CELLS_PER_HOUR 10000 /* of a reader, if nothing is said */

/* ---- a request ---- */

static const char *const roles[] = {PEOPLE_ROLE_NAMES, NULL};

static int put_s8(struct buf *b, const char *s, size_t n) {
    int rc = n < LIMIT_NAME ? buf_append_u8(b, (uint8_t)n) : ERR_LIMIT;
    return rc ? rc : buf_append(b, s, n);
}

static int put_s16(struct buf *b, const char *s, size_t n) {
    uint8_t len[2];
    put_u16(len, (uint16_t)n);
    int rc = n <= UINT16_MAX ? buf_append(b, len, sizeof len) : ERR_LIMIT;
    return rc ? rc : buf_append(b, s, n);
}

int person_begin(struct buf *b, enum people_verb verb, const char *name) {
    buf_init(b, 2048);
    int rc = buf_append_u8(b, (uint8_t)verb);
    return rc || !name ? rc : put_s8(b, name, strlen(name));
}

int person_send(const char *dir, const struct cli_session *s, struct buf *b, int rc, session_fn *each,
                void *arg, int *ret_rc) {
    int code = rc ? cli_fail(CLI_USAGE, "names are up to 63 lower-case letters, digits, '.', '_', '-', '@'",
                             "that is too long")
                  : session_ask(dir, s, MSG_PERSON, b->p, b->len, each, arg, ret_rc);
    buf_wipe(b);
    return code;
}

/* ---- grants ---- */

struct terms { /* as typed; NULL: not said */
    const char *role, *project, *cells, *expires;
};

#define TERMS_OPTIONS(t)                                                                           \
    {"--role", "ROLE", .text = &(t).role, .help = "analyst, reader, admin, eraser or auditor"},    \
        {"--project", "P,Q", .text = &(t).project, .help = "in these projects (default: all, \"*\")"}, \
        {"--cells-per-hour", "N", .text = &(t).cells,                                              \
         .help = "how many cells a reader may open in an hour (default 10000)"},                   \
        {"--expires", "WHEN", .text = &(t).expires, .help = "30d, 12h, 45m, 2027-01-31; default never"}

static int role_of(const char *word, uint8_t *ret) {
    for (uint8_t i = 0; roles[i]; i++)
        if (strcmp(roles[i], word) == 0) {
            *ret = (uint8_t)(i + 1);
            return CLI_GO;
        }
    const char *near = cli_nearest(word, roles);
    char fix[64];
    snprintf(fix, sizeof fix, "did you mean %s?", near ? near : "analyst, reader, admin, eraser or auditor");
    return cli_fail(CLI_USAGE, fix, "there is no role %.40s", word);
}

static int put_grant(struct buf *b, const char *name, const struct terms *t) {
    const char *projects = t->project ? t->project : "*";
    uint8_t fixed[13];
    uint64_t expires = 0;
    char *end = NULL;
    int code = t->role ? role_of(t->role, &fixed[0]) : cli_fail(CLI_USAGE, NULL, "say which role: --role");
    const unsigned long cells = t->cells ? strtoul(t->cells, &end, 10) : CELLS_PER_HOUR;
    if (code == CLI_GO && ((t->cells && (*end || !cells)) || cells > 1000000000))
        code = cli_fail(CLI_USAGE, NULL, "--cells-per-hour takes a number from 1 on");
    if (code == CLI_GO && t->expires && !key_time_parse(t->expires, clock_wall_us(), &expires))
        code = cli_fail(CLI_USAGE, "say 30d, 12h, 45m or 2027-01-31", "--expires %.40s is no time to come",
                        t->expires);
    if (code != CLI_GO)
        return code;
    put_u32(fixed + 1, (uint32_t)cells);
    put_u64(fixed + 5, expires);
    int rc = person_begin(b, PEOPLE_VERB_GRANT, name);
    if (!rc)
        rc = buf_append(b, fixed, sizeof fixed);
    if (!rc)
        rc = put_s16(b, projects, strlen(projects));
    return rc ? cli_fail_err(rc, NULL, "putting the grant together") : CLI_GO;
}

/* What waits is no failure of the command: it says for what, and exits with 3. */
static int send_grant(const char *dir, const struct cli_session *s, const char *name,
                      const struct terms *t, bool json) {
    struct buf b;
    int rc = 0, code = put_grant(&b, name, t);
    if (code == CLI_GO)
        code = person_send(dir, s, &b, 0, NULL, NULL, &rc);
    if (code != CLI_GO)
        return code;
    if (json)
        return cli_print_json(json_pack("{s:s, s:s}", "name", name, "granted", t->role)) ? CLI_DONE
                                                                                        : CLI_INTERNAL;
    printf("%s is %s\n", name, t->role);
    return CLI_DONE;
}

static int grant(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person grant NAME --role ROLE [--project P,Q] [--cells-per-hour N]\n"
        "       [--expires WHEN] [--dir D] [--token-file F] [--json]",
        "Gives a person one more role. Reader, eraser and admin wait for a second admin, who confirms "
        "it\n"
        "with `safehouse approve`; not in one-person mode, and the only admin makes the second one "
        "alone.\n"
        "Exit code 3: it waits."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session s = {0};
    struct terms t = {0};
    bool json = false;
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
                                         TERMS_OPTIONS(t),
                                         CLI_SESSION_OPTION(s),
                                         {"--json", NULL, .flag = &json, .help = "one object"},
                                         {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code == CLI_GO)
        code = send_grant(dir, &s, argv[1], &t, json);
    session_wipe(&s);
    return code;
}

static int ungrant(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person ungrant NAME --role ROLE|--grant N [--dir D] [--token-file F]",
        "Takes a role away, or one grant by its number (`person list`). In force before the command "
        "ends:\n"
        "the person's sessions are over."};
    const char *dir = CLI_DIR_DEFAULT, *word = NULL, *number = NULL;
    struct cli_session s = {0};
    uint8_t fixed[5] = {0};
    struct buf b;
    char *end = NULL;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--role", "ROLE", .text = &word, .help = "all grants of this role"},
        {"--grant", "N", .text = &number, .help = "this grant"},
        CLI_SESSION_OPTION(s),
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO && (word != NULL) == (number != NULL))
        code = cli_fail(CLI_USAGE, NULL, "name either --role or --grant");
    if (code == CLI_GO && word)
        code = role_of(word, &fixed[0]);
    if (code == CLI_GO && number) {
        put_u32(fixed + 1, (uint32_t)strtoul(number, &end, 10));
        if (*end || !*number)
            code = cli_fail(CLI_USAGE, "safehouse person list shows them", "%.20s is no number", number);
    }
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    int rc = person_begin(&b, PEOPLE_VERB_UNGRANT, argv[1]);
    if (!rc)
        rc = buf_append(&b, fixed, sizeof fixed);
    code = person_send(dir, &s, &b, rc, NULL, NULL, NULL);
    session_wipe(&s);
    if (code != CLI_GO)
        return code;
    printf("%s has that no more\n", argv[1]);
    return CLI_DONE;
}

/* ---- people ---- */

static int add_person(const char *dir, const struct cli_session *s, const char *name,
                      const struct secrets *secrets) {
    struct buf b;
    int rc = person_begin(&b, PEOPLE_VERB_ADD, name);
    if (!rc)
        rc = put_s16(&b, secrets->line[0], secrets->line_len[0]);
    return person_send(dir, s, &b, rc, NULL, NULL, NULL);
}

static int add(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person add NAME [--role ROLE] [--project P,Q] [--cells-per-hour N]\n"
        "       [--expires WHEN] [--password-file F|--no-password] [--dir D] [--token-file F] [--json]",
        "Makes a person, and gives a first role as `person grant` does. The password is asked for, or is\n"
        "the first line of a file; whoever has it changes it with `person password`."};
    const char *dir = CLI_DIR_DEFAULT, *file = NULL;
    struct cli_session s = {0};
    struct terms t = {0};
    bool json = false, none = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        TERMS_OPTIONS(t),
        {"--password-file", "F", .text = &file, .help = "its first line; - is standard input"},
        {"--no-password", NULL, .flag = &none, .help = "it signs in with machine tokens only"},
        CLI_SESSION_OPTION(s),
        {"--json", NULL, .flag = &json, .help = "one object"},
        {0}};
    static const char *const prompts[] = {"Password of the new person: ", NULL};
    uint8_t role;
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO && t.role)
        code = role_of(t.role, &role);
    if (code == CLI_GO)
        code = cli_need_installation(dir);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    read_harden();
    struct secrets *secrets = secrets_new();
    code = !secrets ? cli_fail_err(ERR_NOMEM, NULL, "adding")
           : none   ? CLI_GO
                    : secrets_read(secrets, file, prompts);
    if (code == CLI_GO && !none && secrets->line_len[0] < LIMIT_PASSWORD_MIN)
        code = cli_fail(CLI_USAGE, "a few words that belong to nobody's sentence are good",
                        "a password has at least %d characters", LIMIT_PASSWORD_MIN);
    if (code == CLI_GO)
        code = add_person(dir, &s, argv[1], secrets);
    secrets_free(secrets);
    if (code == CLI_GO && t.role)
        code = send_grant(dir, &s, argv[1], &t, json);
    else if (code == CLI_GO && json)
        code = cli_print_json(json_pack("{s:s, s:b}", "name", argv[1], "added", 1)) ? CLI_DONE
                                                                                    : CLI_INTERNAL;
    else if (code == CLI_GO)
        code = printf("%s is added, and may do nothing yet; next: safehouse person grant\n", argv[1]) > 0
                   ? CLI_DONE
                   : CLI_INCOMPLETE;
    session_wipe(&s);
    return code;
}

static int removal(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person remove NAME [--dir D] [--token-file F]",
        "Removes a person, with grants and tokens. In force before the command ends: sessions are over."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session s = {0};
    struct buf b;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP}, CLI_SESSION_OPTION(s), {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    code = person_send(dir, &s, &b, person_begin(&b, PEOPLE_VERB_REMOVE, argv[1]), NULL, NULL, NULL);
    session_wipe(&s);
    if (code != CLI_GO)
        return code;
    printf("%s is removed\n", argv[1]);
    return CLI_DONE;
}

/* ---- list ---- */

static const char *text_of(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void print_projects(const json_t *list) {
    const json_t *p;
    size_t i;
    json_array_foreach(list, i, p) printf("%s%s", i ? "," : "", json_string_value(p));
}

static int print_person(void *arg, const struct frame *f) {
    const bool *json = arg;
    const json_t *x;
    size_t i;
    char when[32];
    json_t *o = f->msg == MSG_STATUS_IS ? json_loadb((const char *)f->p, f->len, 0, NULL) : NULL;
    if (!o)
        return cli_fail(CLI_INTERNAL, NULL, "the vault's answer is not understood");
    if (*json)
        return cli_print_json(o) ? CLI_GO : CLI_INTERNAL;
    printf("%s  password: %s%s\n", text_of(o, "name"), text_of(o, "password"),
           json_is_true(json_object_get(o, "totp")) ? ", with codes" : "");
    json_array_foreach(json_object_get(o, "grants"), i, x) {
        const json_int_t cells = json_integer_value(json_object_get(x, "cells_per_hour"));
        printf("  grant %lld  %s in ", (long long)json_integer_value(json_object_get(x, "number")),
               text_of(x, "role"));
        print_projects(json_object_get(x, "projects"));
        if (cells)
            printf(", %lld cells an hour", (long long)cells);
        key_time_format(when, (uint64_t)json_integer_value(json_object_get(x, "expires_us")));
        printf("%s%s  %s, by %s\n", *when != '-' ? ", until " : "", *when != '-' ? when : "",
               text_of(x, "state"), text_of(x, "by"));
    }
    json_array_foreach(json_object_get(o, "tokens"), i, x) {
        key_time_format(when, (uint64_t)json_integer_value(json_object_get(x, "expires_us")));
        printf("  token %s  %s%s%s\n", text_of(x, "label"), text_of(x, "state"),
               *when != '-' ? ", until " : "", *when != '-' ? when : "");
    }
    json_decref(o);
    return CLI_GO;
}

static int list(int argc, char **argv) {
    static const struct cli_usage usage = {"safehouse person list [--dir D] [--token-file F] [--json]",
                                           "Lists the people, with their grants and machine tokens."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session s = {0};
    bool json = false;
    struct buf b;
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
                                         CLI_SESSION_OPTION(s),
                                         {"--json", NULL, .flag = &json, .help = "one object a line"},
                                         {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    code = person_send(dir, &s, &b, person_begin(&b, PEOPLE_VERB_LIST, NULL), print_person, &json, NULL);
    session_wipe(&s);
    return code == CLI_GO ? CLI_DONE : code;
}

int cli_person(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person add|list|remove|grant|ungrant|password|totp|token [OPTIONS]",
        "People, what they may do, and how they sign in; each has its own --help."};
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {{"add", add},         {"list", list},       {"remove", removal},
                 {"grant", grant},     {"ungrant", ungrant}, {"password", person_password},
                 {"totp", person_totp}, {"token", person_token}};
    enum { VERBS = sizeof verbs / sizeof verbs[0] };
    static const struct cli_option none[] = {{0}};
    const char *names[VERBS + 1] = {NULL};
    for (size_t i = 0; i < VERBS; i++) {
        if (argc > 1 && strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
        names[i] = verbs[i].name;
    }
    int code = cli_parse(&usage, none, argc, argv, 1, 1, NULL);
    if (code != CLI_GO)
        return code;
    const char *near = cli_nearest(argv[1], names);
    char fix[64];
    snprintf(fix, sizeof fix, "did you mean %s?", near ? near : "add, list, remove or grant");
    return cli_fail(CLI_USAGE, fix, "there is no person command %.40s", argv[1]);
}
