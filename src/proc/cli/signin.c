/*
 * `safehouse signin`, `signout`, `whoami`: a person's session at the command line. Password and code come
 * from the terminal or a file, never from an argument.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/cli/read.h"
#include "proc/cli/secrets.h"
#include "proc/cli/session.h"

struct signed_in {
    struct cli_session *session;
    uint64_t ends_us;
    char name[LIMIT_NAME];
    char checkpoint[8192];
};

/* 32 token | u64 idle us | u64 ends us | s8 name | checkpoint */
static int take(void *arg, const struct frame *f) {
    struct signed_in *in = arg;
    const size_t head = SESSION_BYTES + 17;
    if (f->msg != MSG_SIGNED_IN || f->len < head || f->len - head < f->p[head - 1] ||
        f->p[head - 1] >= LIMIT_NAME)
        return cli_fail(CLI_INTERNAL, NULL, "the vault's answer is not understood");
    const size_t name = f->p[head - 1], rest = f->len - head - name;
    memcpy(in->session->token, f->p, SESSION_BYTES);
    in->ends_us = get_u64(f->p + SESSION_BYTES + 8);
    memcpy(in->name, f->p + head, name);
    memcpy(in->checkpoint, f->p + head + name,
           rest < sizeof in->checkpoint ? rest : sizeof in->checkpoint - 1);
    return CLI_GO;
}

static int say(const struct signed_in *in, bool json) {
    char when[CLOCK_UTC];
    clock_utc(when, in->ends_us);
    if (json)
        return cli_print_json(json_pack("{s:s, s:s, s:s}", "name", in->name, "ends", when,
                                        "checkpoint", in->checkpoint))
                   ? CLI_DONE
                   : CLI_INTERNAL;
    printf("signed in as %s until %s, or half an hour without a command\n", in->name, when);
    return CLI_DONE;
}

static int put_password(struct buf *b, const char *name, const struct secrets *s) {
    uint8_t len[2];
    put_u16(len, (uint16_t)s->line_len[0]);
    int rc = buf_append_u8(b, 1);
    if (!rc)
        rc = buf_append_u8(b, (uint8_t)strlen(name));
    if (!rc)
        rc = buf_append(b, name, strlen(name));
    if (!rc)
        rc = buf_append(b, len, sizeof len);
    if (!rc)
        rc = buf_append(b, s->line[0], s->line_len[0]);
    if (!rc)
        rc = buf_append_u8(b, (uint8_t)s->line_len[1]);
    return rc ? rc : buf_append(b, s->line[1], s->line_len[1]);
}

static int put_machine(struct buf *b, const struct secrets *s) {
    uint8_t token[SESSION_BYTES];
    const char *text = s->line[0];
    if (strncmp(text, SECRETS_MACHINE, strlen(SECRETS_MACHINE)) == 0)
        text += strlen(SECRETS_MACHINE);
    if (strlen(text) != SESSION_TEXT || b64url_decode(token, text, SESSION_TEXT) != SESSION_BYTES)
        return ERR_SYNTAX;
    int rc = buf_append_u8(b, 2);
    if (!rc)
        rc = buf_append(b, token, sizeof token);
    sodium_memzero(token, sizeof token);
    return rc;
}

static int run(const char *dir, const char *name, const struct secrets *secrets,
               struct cli_session *session, bool json) {
    struct signed_in *in = sodium_malloc(sizeof *in);
    struct buf b;
    if (!in)
        return cli_fail_err(ERR_NOMEM, NULL, "signing in");
    sodium_memzero(in, sizeof *in);
    in->session = session;
    buf_init(&b, 512);
    int rc = name ? put_password(&b, name, secrets) : put_machine(&b, secrets);
    int code = rc ? cli_fail(CLI_USAGE, NULL, name ? "password or code is too long"
                                                   : "that is no machine token")
                  : session_ask(dir, NULL, MSG_SIGN_IN, b.p, b.len, take, in, NULL);
    buf_wipe(&b);
    session->there = code == CLI_GO;
    if (code == CLI_GO)
        code = session_save(dir, session);
    if (code == CLI_GO)
        code = say(in, json);
    sodium_free(in);
    return code;
}

int cli_signin(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse signin NAME [--dir D] [--password-file F] [--token-file F] [--json]\n"
        "       safehouse signin --machine-token-file F [--dir D] [--token-file F] [--json]",
        "Signs in as a person: what follows on this command line is done in that session, until "
        "signout,\n"
        "half an hour without a command, or twelve hours. Password and code are asked for on the\n"
        "terminal, or are the first two lines of a file."};
    const char *dir = CLI_DIR_DEFAULT, *file = NULL, *machine = NULL;
    struct cli_session session = {0};
    bool json = false;
    int words;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--password-file", "F", .text = &file,
         .help = "lines: password, code if there is one; - is standard input"},
        {"--machine-token-file", "F", .text = &machine,
         .help = "its first line is a machine token; - is standard input"},
        CLI_SESSION_OPTION(session),
        {"--json", NULL, .flag = &json, .help = "one object, with the ledger's newest checkpoint"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 1, &words);
    if (code == CLI_GO && (words == 1) == (machine != NULL))
        code = cli_fail(CLI_USAGE, NULL, "name either a person or --machine-token-file");
    if (code == CLI_GO)
        code = cli_need_installation(dir);
    if (code != CLI_GO)
        return code;
    read_harden();
    struct secrets *secrets = secrets_new();
    if (!secrets)
        return cli_fail_err(ERR_NOMEM, NULL, "signing in");
    static const char *const prompts[] = {"Password: ", "Code of the authenticator (empty: none): ", NULL};
    static const char *const token[] = {"Machine token: ", NULL};
    code = secrets_read(secrets, machine ? machine : file, machine ? token : prompts);
    if (code == CLI_GO)
        code = run(dir, words ? argv[1] : NULL, secrets, &session, json);
    secrets_free(secrets);
    session_wipe(&session);
    return code;
}

int cli_signout(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse signout [--dir D] [--token-file F]",
        "Ends the session and removes its file; what follows is done as the unix user again."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session session = {0};
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
                                         CLI_SESSION_OPTION(session),
                                         {0}};
    int rc = 0, code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &session);
    if (code != CLI_GO)
        return code;
    if (!session.there)
        return cli_fail(CLI_USAGE, NULL, "nobody is signed in here");
    code = session_remove(dir, &session); /* whatever the vault says, it is not used any more */
    int asked = session_ask(dir, &session, MSG_SIGN_OUT, NULL, 0, NULL, NULL, &rc);
    session_wipe(&session);
    if (code != CLI_GO)
        return code;
    if (asked != CLI_GO && rc != ERR_UNAUTHENTICATED && rc != ERR_LOCKED)
        return asked;
    printf("signed out\n");
    return CLI_DONE;
}

static void print_grant(const json_t *g) {
    const json_t *projects = json_object_get(g, "projects"), *p;
    size_t i;
    char when[CLOCK_UTC] = "";
    const json_int_t expires = json_integer_value(json_object_get(g, "expires_us"));
    printf("  %s, projects", json_string_value(json_object_get(g, "role")));
    json_array_foreach(projects, i, p) printf("%s %s", i ? "," : "", json_string_value(p));
    if (json_object_get(g, "cells_per_hour"))
        printf(", %lld cells an hour", (long long)json_integer_value(json_object_get(g, "cells_per_hour")));
    if (expires) {
        clock_utc(when, (uint64_t)expires);
        printf(", until %s", when);
    }
    const char *state = json_string_value(json_object_get(g, "state"));
    printf("%s%s\n", state && strcmp(state, "in force") ? ": " : "",
           state && strcmp(state, "in force") ? state : "");
}

int cli_whoami(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse whoami [--dir D] [--token-file F] [--json]",
        "Says who one is for the vault, with which roles, in which projects, and how many cells one may\n"
        "still open this hour."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session session = {0};
    bool json = false;
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
                                         CLI_SESSION_OPTION(session),
                                         {"--json", NULL, .flag = &json, .help = "one object"},
                                         {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &session);
    if (code != CLI_GO)
        return code;
    json_t *o = session_who(dir, &session, &code), *x;
    size_t i;
    session_wipe(&session);
    if (!o)
        return code;
    if (json)
        return cli_print_json(o) ? CLI_DONE : CLI_INTERNAL;
    printf("%s%s\n", json_string_value(json_object_get(o, "name")),
           json_is_true(json_object_get(o, "session")) ? "" : " (the unix user who ran init)");
    printf("roles");
    json_array_foreach(json_object_get(o, "roles"), i, x) printf("%s %s", i ? "," : "", json_string_value(x));
    printf("\n");
    if (json_is_true(json_object_get(o, "one_person_mode")))
        printf("one-person mode: the owner alone does everything, until somebody else is reader or admin\n");
    const json_t *opens = json_object_get(o, "opens");
    if (json_object_get(opens, "cells_left"))
        printf("may open %lld more cells this hour\n",
               (long long)json_integer_value(json_object_get(opens, "cells_left")));
    json_array_foreach(json_object_get(o, "grants"), i, x) print_grant(x);
    json_decref(o);
    return CLI_DONE;
}
