#ifndef PROC_CLI_CLI_H
#define PROC_CLI_CLI_H
/*
 * The command line: one function per subcommand, and what they share. Each gets argv from its own
 * name on (argv[0] = "query") and returns the exit code. Output for people goes to standard output,
 * trouble to standard error as "safehouse: what went wrong; how to fix it".
 *
 *   static const struct cli_usage usage = { "safehouse tail [--dir D]", "Prints ...", };
 *   const char *dir = CLI_DIR_DEFAULT;
 *   const struct cli_option options[] = {
 *       {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP}, {0}};
 *   int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
 *   if (code != CLI_GO)
 *       return code;
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/peer.h"

enum cli_exit {
    CLI_GO = -1, /* of cli_parse: nothing was asked that ends the command; no exit code */
    CLI_DONE = 0,
    CLI_FOUND = 1,
    CLI_USAGE = 2,
    CLI_INCOMPLETE = 3,
    CLI_INTERNAL = 4,
};

/* ---- subcommands ---- */
int cli_init(int argc, char **argv);
int cli_up(int argc, char **argv);
int cli_key(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_unlock(int argc, char **argv);
int cli_lock(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_reload_config(int argc, char **argv);
int cli_attach(int argc, char **argv);
int cli_query(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_scan(int argc, char **argv);
int cli_secret(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_inbox(int argc, char **argv);
int cli_ledger(int argc, char **argv);
int cli_subject(int argc, char **argv);
int cli_retention(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_canary(int argc, char **argv);
int cli_post_alarm(int argc, char **argv); /* the supervisor's */
int cli_clerk(int argc, char **argv);      /* the supervisor's */
int cli_person(int argc, char **argv);
int cli_signin(int argc, char **argv);
int cli_signout(int argc, char **argv);
int cli_whoami(int argc, char **argv);
int cli_approve(int argc, char **argv);

/* ---- options ---- */
#define CLI_DIR_DEFAULT "./var"
#define CLI_DIR_HELP "the installation's folder (default " CLI_DIR_DEFAULT ")"

struct cli_option {
    const char *name;  /* "--dir"; NULL ends the table */
    const char *value; /* its value's placeholder in the help; NULL: a flag without a value */
    const char **text; /* gets the value (borrowed from argv) */
    bool *flag;        /* gets true */
    const char *help;
};

struct cli_usage {
    const char *synopsis; /* one or more lines */
    const char *about;    /* sentences */
};

/*
 * Options may stand anywhere, as "--name value" or "--name=value"; "--" ends them; --help prints
 * usage and options. The other words are moved to argv[1..]; there must be words_min..words_max of
 * them, and *ret_words (may be NULL) gets how many. CLI_GO, or the exit code (all is printed).
 */
int cli_parse(const struct cli_usage *usage, const struct cli_option *options, int argc, char **argv,
              int words_min, int words_max, int *ret_words);

/* The entry of `names` (NULL-ended) that is nearest to what was typed; NULL when none is near. */
const char *cli_nearest(const char *typed, const char *const *names);
/* *ret: which of `names` was typed; CLI_GO. Otherwise prints "there is no KIND TYPED", with the nearest
 * name or `otherwise` as the fix, and gives the exit code. */
int cli_choose(const char *typed, const char *const *names, const char *kind, const char *otherwise,
               int *ret);

/* ---- saying ---- */
/* Prints "safehouse: <formatted>; <fix>" to standard error and returns `code`. fix may be NULL. */
int cli_fail(enum cli_exit code, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, for who has to tell failures apart: because of this ERR_*. */
int cli_fail_as(int err, enum cli_exit code, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Of the last failure that was said; 0: none was. */
int cli_failed(void);
/* The same for an ERR_* of something that was tried; picks the exit code. */
int cli_fail_err(int err, const char *fix, const char *doing);
/* One object on one line; takes the reference. False when it could not be written. */
bool cli_print_json(json_t *take);

/* ---- the installation ---- */
#define CLI_PATH 4096
/* out = dir "/" name; false when it does not fit. */
bool cli_path(char out[CLI_PATH], const char *dir, const char *name);
/* Is there an initialised installation? Prints what is wrong when not; CLI_GO or the exit code. */
int cli_need_installation(const char *dir);
/*
 * Connects to D/run/<name>.sock ("control", "store", "vault"). CLI_GO, or the exit code after it
 * said what is wrong (nothing runs there, not the owner, ...).
 */
int cli_connect(const char *dir, const char *name, enum ipc_role role, struct peer **ret);
/* Waits for MSG_END, skipping nothing: another frame is ERR_PEER. The text goes to `text` (NUL-ended,
 * cut to size); returns END's code, ERR_AGAIN on time-out, ERR_PEER when the peer is gone. */
int cli_wait_end(struct peer *p, int timeout_ms, char *text, size_t text_size);
/* What `safehouse status --json` says, of a running installation. CLI_GO, or the exit code. */
int status_ask(const char *dir, json_t **ret);
/* Has the supervisor, if one runs, read control.db again, and waits until the gateways know it. */
int cli_reload(const char *dir, bool *ret_running);

/* ---- passphrases ---- */
#define CLI_PASSPHRASE_MAX 1024
#define CLI_PASSPHRASE_MIN 12
/*
 * From the file ("-": standard input), its first line without the line end; from the terminal without
 * echo when file is NULL, twice when `twice`. CLI_GO, or the exit code after it said what is wrong.
 * The caller wipes `out`.
 */
int cli_passphrase(const char *file, bool twice, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len);
/* A line from the terminal without echo. CLI_GO, or the exit code after it said what is wrong. */
int cli_hidden(const char *prompt, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len);

#endif
