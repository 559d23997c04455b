/*
 * `safehouse unlock` and `safehouse lock`: whether the vault can open anything at this moment.
 * Logging goes on either way.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/cli/session.h"

#define ANSWER_MS 60000 /* Argon2id on a slow machine */

/* The passphrase goes to the vault, which answers after it has tried it. */
static int ask(const char *dir, const char *payload, size_t len) {
    struct peer *p;
    char text[512];
    int code = cli_connect(dir, "vault", IPC_VAULT, &p);
    if (code != CLI_GO)
        return code;
    int rc = peer_send(p, MSG_UNLOCK, payload, len, -1);
    if (!rc)
        rc = cli_wait_end(p, ANSWER_MS, text, sizeof text);
    peer_free(p);
    if (rc == ERR_UNAUTHENTICATED)
        return cli_fail(CLI_USAGE, "try again", "the passphrase is wrong");
    if (rc && text[0])
        return cli_fail(err_retryable(rc) ? CLI_INCOMPLETE : CLI_USAGE, NULL, "%s", text);
    if (rc)
        return cli_fail_err(rc, "look at: safehouse status", "asking the vault");
    return CLI_GO;
}

int cli_unlock(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse unlock [--dir D] [--passphrase-file F]",
        "Opens the vault of a running installation, so that reading is possible. The passphrase "
        "is\n"
        "asked for on the terminal, or read from a file or a pipe."};
    const char *dir = CLI_DIR_DEFAULT, *file = NULL;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--passphrase-file", "F", .text = &file,
         .help = "its first line is the passphrase; - is standard input"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO)
        code = cli_need_installation(dir);
    if (code != CLI_GO)
        return code;
    size_t len;
    char *passphrase = sodium_malloc(CLI_PASSPHRASE_MAX + 1);
    if (!passphrase)
        return cli_fail_err(ERR_NOMEM, NULL, "unlocking");
    if (!file && !isatty(STDIN_FILENO))
        file = "-";
    code = cli_passphrase(file, false, passphrase, &len);
    if (code == CLI_GO)
        code = ask(dir, passphrase, len);
    sodium_free(passphrase);
    if (code != CLI_GO)
        return code;
    printf("the vault is unlocked\n");
    return CLI_DONE;
}

int cli_lock(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse lock [--dir D] [--token-file F]",
        "Closes the vault: nobody can read until it is unlocked, and sessions are over. Logging goes on."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session s = {0};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP}, CLI_SESSION_OPTION(s), {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code == CLI_GO)
        code = session_ask(dir, &s, MSG_LOCK, NULL, 0, NULL, NULL, NULL);
    session_wipe(&s);
    if (code != CLI_GO)
        return code;
    printf("the vault is locked\n");
    return CLI_DONE;
}
