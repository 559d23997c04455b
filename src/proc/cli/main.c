/*
 * `safehouse`: finds the subcommand and runs it. What each does is in the file of its name. The
 * process lives for one command; `up` stays in the foreground and is the supervisor.
 */
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "proc/cli/cli.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"init", cli_init, "make an installation: folder, control data, vault"},
    {"up", cli_up, "start everything and stay in the foreground"},
    {"status", cli_status, "what runs, how full, locked or not"},
    {"key", cli_key, "create, list and revoke API keys"},
    {"query", cli_query, "SQL over the log"},
    {"show", cli_show, "one interaction as a conversation"},
    {"tail", cli_tail, "new interactions as they come"},
    {"unlock", cli_unlock, "open the vault, so that reading is possible"},
    {"lock", cli_lock, "close the vault; logging goes on"},
    {"person", cli_person, "people, what they may do, and how they sign in"},
    {"signin", cli_signin, "sign in as a person"},
    {"signout", cli_signout, "end one's session"},
    {"whoami", cli_whoami, "who one is here, and what one may do"},
    {"approve", cli_approve, "what waits for a second person"},
    {"scan", cli_scan, "find secrets and personal data in files"},
    {"verify", cli_verify, "is the log what was written? names rows changed, added or missing"},
    {"secret", cli_secret, "where a secret was seen"},
    {"audit", cli_audit, "find what stands open on your own hosts"},
    {"inbox", cli_inbox, "reports from outside: what came, and what was answered"},
    {"ledger", cli_ledger, "checkpoint, proofs, export, witness of the ledger"},
    {"subject", cli_subject, "find, export, erase, hold or release one person"},
    {"canary", cli_canary, "planted conversations, whose opening raises an alarm"},
    {"report", cli_report, "records of processing, a breach, what is kept of a person"},
    {"retention", cli_retention, "let months go that are over"},
    {"config", cli_config, "check a configuration file"},
    {"attach", cli_attach, "run an nginx of one's own as the gateway"},
    {"reload", cli_reload_config, "read the configuration again, while everything runs"},
    {"post-alarm", cli_post_alarm, NULL}, /* the supervisor's, not for people */
    {"clerk", cli_clerk, NULL},           /* that too */
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int help(void) {
    printf("usage: safehouse COMMAND [OPTIONS]\n\n"
           "The front door and the interaction log of a generative AI platform: applications speak\n"
           "the OpenAI API to it, and what it logs is sealed before any storage sees it.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            printf("  %-8s %s\n", commands[i].name, commands[i].help);
    printf("\nsafehouse COMMAND --help tells more. Exit codes: 0 done, 1 found something, 2 usage,\n"
           "3 incomplete, 4 internal error.\n");
    return CLI_DONE;
}

static int unknown(const char *word) {
    const char *names[COMMANDS + 1];
    size_t n = 0;
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            names[n++] = commands[i].name;
    names[n] = NULL;
    const char *near = cli_nearest(word, names);
    char fix[64] = "safehouse --help lists the commands";
    if (near)
        snprintf(fix, sizeof fix, "did you mean %s?", near);
    return cli_fail(CLI_USAGE, fix, "there is no command %.60s", word);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a closed pager is a failed write, not a death in the middle */
    setlocale(LC_CTYPE, "C.UTF-8");
    if (sodium_init() < 0)
        return cli_fail(CLI_INTERNAL, NULL, "the cryptographic library does not start");
    if (argc < 2) {
        help();
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("safehouse %s\n", SAFEHOUSE_VERSION);
        return CLI_DONE;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        int code = commands[i].run(argc - 1, argv + 1);
        if (fflush(stdout) != 0 && code == CLI_DONE)
            return cli_fail(CLI_INCOMPLETE, NULL, "the output could not be written");
        return code;
    }
    return unknown(argv[1]);
}
