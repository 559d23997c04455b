/*
 * `safehouse init`: makes an installation. The passphrase is asked for before anything is made, and
 * goes to the vault through a pipe; this process wipes its copy.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/limits.h"
#include "proc/cli/cli.h"
#include "proc/supervisor/install.h"

/* 0: not a number that will do. */
static unsigned read_memory(const char *text) {
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && n >= LIMIT_PASSPHRASE_MIB_MIN &&
                   n <= LIMIT_PASSPHRASE_MIB_MAX
               ? (unsigned)n
               : 0;
}

static int make(const char *dir, const char *passphrase_file, unsigned memory_mib) {
    struct install in;
    struct why why;
    size_t len;
    char *passphrase = sodium_malloc(CLI_PASSPHRASE_MAX + 1);
    if (!passphrase)
        return cli_fail_err(ERR_NOMEM, NULL, "making an installation");
    int code = cli_passphrase(passphrase_file, true, passphrase, &len);
    if (code == CLI_GO) {
        const struct install_secret secret = {passphrase, len, memory_mib};
        int rc = install_create(dir, &secret, &in, &why);
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
        "safehouse init [--dir D] [--passphrase-file F] [--passphrase-memory MIB]",
        "Makes an installation: a folder with its control data and its vault. The passphrase is "
        "the\n"
        "only way to read what will be logged; it is kept nowhere."};
    const char *dir = CLI_DIR_DEFAULT, *passphrase_file = NULL, *memory = NULL;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--passphrase-file", "F", .text = &passphrase_file,
         .help = "its first line is the passphrase; - is standard input"},
        {"--passphrase-memory", "MIB", .text = &memory,
         .help = "what hashing it takes, here and at each unlock: 64 to 2048 (default 256)"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    unsigned memory_mib = memory ? read_memory(memory) : LIMIT_PASSPHRASE_MIB;
    if (!memory_mib)
        return cli_fail(CLI_USAGE, "give a number from 64 to 2048",
                        "%s is no --passphrase-memory (MiB)", memory);
    return make(dir, passphrase_file, memory_mib);
}
