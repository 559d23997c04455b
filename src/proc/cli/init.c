/*
 * `safehouse init`: makes an installation. The passphrase is asked for before anything is made, and
 * goes to the vault through a pipe; this process wipes its copy.
 */
#include <sodium.h>
#include <stdio.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/supervisor/install.h"

static int make(const char *dir, const char *passphrase_file) {
    struct install in;
    struct why why;
    size_t len;
    char *passphrase = sodium_malloc(CLI_PASSPHRASE_MAX + 1);
    if (!passphrase)
        return cli_fail_err(ERR_NOMEM, NULL, "making an installation");
    int code = cli_passphrase(passphrase_file, true, passphrase, &len);
    if (code == CLI_GO) {
        int rc = install_create(dir, passphrase, len, &in, &why);
        if (rc == ERR_EXISTS || rc == ERR_DENIED || rc == ERR_LIMIT || rc == ERR_NOTFOUND)
            code = cli_fail(CLI_USAGE, NULL, "%s", why.text);
        else if (rc)
            code = cli_fail(CLI_INTERNAL, NULL, "%s", why.text);
    }
    sodium_free(passphrase);
    if (code != CLI_GO)
        return code;
    printf("made an installation in %s\n", in.dir);
    if (in.separate)
        printf("each program has a user of its own: %u to %u\n", in.uid[0], in.uid[PROGRAMS - 1]);
    else
        printf(
            "all programs are this user's, which is weaker: run init as root to separate them\n");
    printf("keep the passphrase: without it nobody, you included, can read what is logged\n"
           "start it with: safehouse up --dir %s\n",
           dir);
    return CLI_DONE;
}

int cli_init(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse init [--dir D] [--passphrase-file F]",
        "Makes an installation: a folder with its control data and its vault. The passphrase is "
        "the\n"
        "only way to read what will be logged; it is kept nowhere."};
    const char *dir = CLI_DIR_DEFAULT, *passphrase_file = NULL;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--passphrase-file", "F", .text = &passphrase_file,
         .help = "its first line is the passphrase; - is standard input"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    return code != CLI_GO ? code : make(dir, passphrase_file);
}
