/*
 * What the subcommands share (cli.h): options, messages, the way to a running installation. Holds no
 * state but why the last one failed; everything is printed by the process that a person or a script started.
 */
#include "proc/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "control/control_db.h"
#include "control/nearest.h"
#include "ipc/dial/dial.h"

#define OPTIONS_MAX 32
#define CLI_BUSY_MS 30000

/* ---- saying ---- */

static int failure;

static void say(const char *fix, const char *fmt, va_list ap) {
    fflush(stdout);
    fputs("safehouse: ", stderr);
    vfprintf(stderr, fmt, ap);
    if (fix)
        fprintf(stderr, "; %s", fix);
    fputc('\n', stderr);
}

int cli_fail(enum cli_exit code, const char *fix, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(fix, fmt, ap);
    va_end(ap);
    failure = code == CLI_USAGE ? ERR_USAGE : code == CLI_INCOMPLETE ? ERR_AGAIN : ERR_INTERNAL;
    return (int)code;
}

int cli_fail_as(int err, enum cli_exit code, const char *fix, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(fix, fmt, ap);
    va_end(ap);
    failure = err;
    return (int)code;
}

int cli_failed(void) {
    return failure;
}

int cli_fail_err(int err, const char *fix, const char *doing) {
    enum cli_exit code = CLI_INTERNAL;
    if (err == ERR_USAGE || err == ERR_SYNTAX || err == ERR_NOTFOUND || err == ERR_EXISTS ||
        err == ERR_DENIED || err == ERR_LIMIT)
        code = CLI_USAGE;
    else if (err_retryable(err))
        code = CLI_INCOMPLETE;
    return cli_fail_as(err, code, fix, "%s: %s", doing, err_text(err));
}

bool cli_print_json(json_t *take) {
    bool ok = take && json_dumpf(take, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF &&
              fflush(stdout) == 0;
    json_decref(take);
    return ok;
}

/* ---- options ---- */

const char *cli_nearest(const char *typed, const char *const *names) {
    return nearest_name(typed, names);
}

int cli_choose(const char *typed, const char *const *names, const char *kind, const char *otherwise,
               int *ret) {
    for (*ret = 0; names[*ret]; ++*ret)
        if (strcmp(names[*ret], typed) == 0)
            return CLI_GO;
    const char *near = cli_nearest(typed, names);
    return cli_fail(CLI_USAGE, near ? near : otherwise, "there is no %s %.60s", kind, typed);
}

static void print_help(const struct cli_usage *usage, const struct cli_option *options) {
    printf("usage: %s\n\n%s\n", usage->synopsis, usage->about);
    if (options[0].name)
        printf("\n");
    for (const struct cli_option *o = options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("  %-26s %s\n", left, o->help);
    }
    printf("  %-26s %s\n", "--help", "this text");
}

static int bad_option(const struct cli_option *options, const char *typed, size_t len) {
    char word[64];
    const char *names[OPTIONS_MAX + 2];
    size_t n = 0;
    snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), typed);
    for (const struct cli_option *o = options; o->name && n < OPTIONS_MAX; o++)
        names[n++] = o->name;
    names[n++] = "--help";
    names[n] = NULL;
    const char *near = nearest_name(word, names);
    char fix[96] = "--help lists the options";
    if (near)
        snprintf(fix, sizeof fix, "did you mean %s?", near);
    return cli_fail(CLI_USAGE, fix, "there is no option %s", word);
}

/* Takes the option at argv[*at] and its value; *at moves past what it used. */
static int take_option(const struct cli_option *options, int argc, char **argv, int *at) {
    const char *word = argv[(*at)++], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct cli_option *o = options;
    while (o->name && (strlen(o->name) != len || memcmp(o->name, word, len) != 0))
        o++;
    if (!o->name)
        return bad_option(options, word, len);
    if (!o->value) {
        if (equals)
            return cli_fail(CLI_USAGE, "leave the value out", "%s takes no value", o->name);
        *o->flag = true;
        return CLI_GO;
    }
    if (!equals && *at >= argc)
        return cli_fail(CLI_USAGE, NULL, "%s needs a value: %s %s", o->name, o->name, o->value);
    *o->text = equals ? equals + 1 : argv[(*at)++];
    return CLI_GO;
}

int cli_parse(const struct cli_usage *usage, const struct cli_option *options, int argc, char **argv,
              int words_min, int words_max, int *ret_words) {
    int words = 0, at = 1;
    bool ended = false;
    while (at < argc) {
        char *word = argv[at];
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
            at++;
        } else if (!ended && strcmp(word, "--help") == 0) {
            print_help(usage, options);
            return CLI_DONE;
        } else if (!ended && word[0] == '-' && word[1] != 0) {
            int code = take_option(options, argc, argv, &at);
            if (code != CLI_GO)
                return code;
        } else {
            argv[1 + words++] = word;
            at++;
        }
    }
    if (words < words_min || words > words_max)
        return cli_fail(CLI_USAGE, NULL, "%s; usage: %s",
                        words < words_min ? "something is missing" : "that is too much",
                        usage->synopsis);
    if (ret_words)
        *ret_words = words;
    return CLI_GO;
}

/* ---- the installation ---- */

bool cli_path(char out[CLI_PATH], const char *dir, const char *name) {
    int n = snprintf(out, CLI_PATH, "%s/%s", dir, name);
    return n > 0 && n < CLI_PATH;
}

int cli_need_installation(const char *dir) {
    char path[CLI_PATH], fix[CLI_PATH + 64];
    if (!cli_path(path, dir, CONTROL_DB_PATH))
        return cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    if (access(path, F_OK) == 0)
        return CLI_GO;
    if (access(dir, F_OK) == 0 && access(dir, X_OK) != 0)
        return cli_fail(CLI_USAGE, "run this as the user who ran init", "%s is not yours", dir);
    snprintf(fix, sizeof fix, "make one with: safehouse init --dir %s", dir);
    return cli_fail(CLI_USAGE, fix, "there is no installation in %s", dir);
}

int cli_connect(const char *dir, const char *name, enum ipc_role role, struct peer **ret) {
    char fix[CLI_PATH + 64];
    int code = cli_need_installation(dir);
    if (code != CLI_GO)
        return code;
    int rc = dial(dir, name, role, ret);
    if (rc == 0)
        return CLI_GO;
    if (rc == ERR_NOTFOUND || rc == ERR_PEER) {
        snprintf(fix, sizeof fix, "start it with: safehouse up --dir %s", dir);
        return cli_fail(CLI_INCOMPLETE, fix, "nothing runs in %s (no answer from its %s)", dir,
                        strcmp(name, "control") == 0 ? "supervisor" : name);
    }
    if (rc == ERR_DENIED)
        return cli_fail(CLI_USAGE, "run this as the user who ran init", "%s is not yours", dir);
    if (rc == ERR_LIMIT)
        return cli_fail(CLI_USAGE, "change into the folder above it and use a relative --dir",
                        "the path %s is too long for its sockets", dir);
    return cli_fail_err(rc, NULL, "connecting to the running installation");
}

int cli_wait_end(struct peer *p, int timeout_ms, char *text, size_t text_size) {
    struct frame f;
    if (text_size)
        text[0] = 0;
    int rc = peer_flush_wait(p, timeout_ms);
    if (!rc)
        rc = peer_recv_wait(p, &f, timeout_ms);
    if (rc)
        return rc;
    if (f.msg != MSG_END || f.len < 4)
        return ERR_PEER;
    if (text_size) {
        size_t n = f.len - 4 < text_size - 1 ? f.len - 4 : text_size - 1;
        memcpy(text, f.p + 4, n);
        text[n] = 0;
        /* For a terminal: whatever the sender's text was made of, no control characters. */
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)text[i] < 0x20 && text[i] != '\n')
                text[i] = '?';
    }
    return (int32_t)get_u32(f.p);
}

int cli_reload(const char *dir, bool *ret_running) {
    struct peer *p;
    char text[512];
    *ret_running = false;
    int rc = dial(dir, "control", IPC_SUPERVISOR, &p);
    if (rc == ERR_NOTFOUND || rc == ERR_PEER)
        return CLI_GO; /* nothing runs: what was written is read at the next start */
    if (rc)
        return cli_fail_err(rc, "the change is in force after the next start",
                            "telling the running installation");
    rc = peer_send(p, MSG_RELOAD, NULL, 0, -1);
    if (!rc)
        rc = cli_wait_end(p, CLI_BUSY_MS, text, sizeof text);
    peer_free(p);
    if (rc)
        return cli_fail_err(rc, "look at `safehouse status`; the change is written, and in force "
                                "after the next start at the latest",
                            "telling the running installation");
    *ret_running = true;
    return CLI_GO;
}
