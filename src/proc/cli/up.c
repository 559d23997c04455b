/*
 * `safehouse up`: decides everything that can be decided before anything runs (configuration,
 * checks, passphrase, listening socket, upstream), then becomes the supervisor.
 *
 * Secrets: the passphrase is read before the start, so that a wrong file is said at once, lies in
 * guarded memory until the vault is ready, and is then wiped; a restarted vault has the file read
 * again. The provider's key lies in guarded memory for the process's life.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/supervisor/checks.h"
#include "proc/supervisor/supervisor.h"

#define LISTEN_DEFAULT "127.0.0.1:8080"

_Static_assert(SUPERVISOR_PASSPHRASE == CLI_PASSPHRASE_MAX, "one room for both");

struct up {
    const char *dir, *config_file, *passphrase_file, *listen, *console, *upstream, *key_env;
    struct config *config;
    struct upstream *provider; /* guarded */
    char *passphrase;          /* guarded; NULL: none, or used */
    size_t passphrase_len;
    struct install install;
    struct address address;
    int lock_fd, listen_fd;
};

static int fail(int rc, const struct why *why) {
    enum cli_exit code = CLI_INTERNAL;
    if (rc == ERR_USAGE || rc == ERR_DENIED || rc == ERR_EXISTS || rc == ERR_NOTFOUND ||
        rc == ERR_LIMIT || rc == ERR_SYNTAX)
        code = CLI_USAGE;
    else if (rc == ERR_PEER)
        code = CLI_INCOMPLETE;
    return cli_fail(code, NULL, "%s", why->text);
}

/* ---- configuration ---- */

static int refuse_unsupported(const struct up *u) {
    if (u->console || u->config->console[0])
        return cli_fail(CLI_USAGE, u->console ? "leave --console out" : "leave console out",
                        "the web console is not part of this version");
    return CLI_GO;
}

static int read_config(struct up *u) {
    char why[CONFIG_WHY];
    u->config = config_new();
    u->provider = sodium_malloc(sizeof *u->provider);
    if (!u->config || !u->provider)
        return cli_fail_err(ERR_NOMEM, NULL, "starting");
    if (u->config_file && config_load(u->config, u->config_file, why)) {
        fprintf(stderr, "%s\n", why);
        return CLI_USAGE;
    }
    if (!u->listen)
        u->listen = u->config->listen[0] ? u->config->listen : LISTEN_DEFAULT;
    if (!address_parse(u->listen, &u->address))
        return cli_fail(CLI_USAGE, "give one as 127.0.0.1:8080 or [::1]:8080",
                        "%.100s is no address to listen on", u->listen);
    return refuse_unsupported(u);
}

/* ---- the passphrase ---- */

static int read_passphrase(struct up *u) {
    if (u->passphrase)
        return CLI_GO;
    u->passphrase = sodium_malloc(CLI_PASSPHRASE_MAX + 1);
    if (!u->passphrase)
        return cli_fail_err(ERR_NOMEM, NULL, "reading the passphrase");
    int code = cli_passphrase(u->passphrase_file, false, u->passphrase, &u->passphrase_len);
    if (code != CLI_GO) {
        sodium_free(u->passphrase);
        u->passphrase = NULL;
    }
    return code;
}

static int first_passphrase(struct up *u) {
    if (!u->passphrase_file)
        return CLI_GO;
    if (install_contains(u->install.dir, u->passphrase_file))
        return cli_fail(
            CLI_USAGE, "move it elsewhere, best to another disk or into memory",
            "the passphrase file %.1000s lies in the installation's folder, beside what "
            "it opens",
            u->passphrase_file);
    return read_passphrase(u);
}

/* supervisor_passphrase_fn: what was read before the start, then what the file has now. A pipe had
 * it only once, and reading one could wait. */
static int give_passphrase(void *arg, char *out, size_t *ret_len) {
    struct up *u = arg;
    struct stat st;
    if (!u->passphrase && (stat(u->passphrase_file, &st) || !S_ISREG(st.st_mode)))
        return cli_fail(CLI_INCOMPLETE, "unlock it: safehouse unlock",
                        "the passphrase cannot be read a second time, the vault starts locked");
    int code = read_passphrase(u);
    if (code != CLI_GO)
        return code;
    memcpy(out, u->passphrase, u->passphrase_len);
    *ret_len = u->passphrase_len;
    sodium_free(u->passphrase);
    u->passphrase = NULL;
    return 0;
}

/* ---- start ---- */

static int choose_provider(struct up *u, struct why *why) {
    const struct upstream_wish wish = {.config = u->config,
                                       .url = u->upstream,
                                       .key_env = u->key_env,
                                       .own_port = address_port(&u->address),
                                       .prober_uid = u->install.uid[PROGRAM_DEMO]};
    int rc = upstream_choose(&wish, u->provider, why);
    upstream_forget_env(&wish);
    return rc;
}

static int prepare(struct up *u) {
    struct why why;
    int code = cli_need_installation(u->dir);
    if (code == CLI_GO)
        code = read_config(u);
    if (code != CLI_GO)
        return code;
    int rc = install_open(u->dir, &u->install, &why);
    if (!rc)
        rc = checks_run(u->config, &u->address, &why);
    if (!rc)
        rc = install_lock(&u->install, &u->lock_fd, &why);
    if (!rc)
        rc = address_listen(&u->address, &u->listen_fd, &why);
    if (!rc)
        rc = choose_provider(u, &why);
    return rc ? fail(rc, &why) : first_passphrase(u);
}

static int go(struct up *u) {
    struct why why = {""};
    int code = prepare(u);
    if (code == CLI_GO) {
        const struct supervisor_spec spec = {.install = &u->install,
                                             .config = u->config,
                                             .upstream = u->provider,
                                             .listen = &u->address,
                                             .listen_fd = u->listen_fd,
                                             .passphrase =
                                                 u->passphrase_file ? give_passphrase : NULL,
                                             .passphrase_arg = u};
        int rc = supervisor_run(&spec, &why);
        code = rc ? fail(rc, &why) : CLI_DONE;
    }
    sodium_free(u->passphrase);
    sodium_free(u->provider);
    config_free(u->config);
    return code;
}

int cli_up(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse up [--dir D] [--config F] [--passphrase-file F] [--listen ADDRESS]\n"
        "                    [--upstream URL] [--upstream-key-env NAME]",
        "Starts gateway, sealer, store and vault, and stays in the foreground. D/run/ready "
        "appears\n"
        "when all of them serve. SIGTERM or Ctrl-C ends them in order, a second one at once."};
    struct up u = {.dir = CLI_DIR_DEFAULT, .lock_fd = -1, .listen_fd = -1};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &u.dir, .help = CLI_DIR_HELP},
        {"--config", "F", .text = &u.config_file, .help = "the configuration (YAML)"},
        {"--passphrase-file", "F", .text = &u.passphrase_file,
         .help = "the vault starts unlocked; - is standard input"},
        {"--listen", "ADDRESS", .text = &u.listen,
         .help = "of the gateway (default " LISTEN_DEFAULT ")"},
        {"--console", "ADDRESS", .text = &u.console, .help = "of the web console: not yet"},
        {"--upstream", "URL", .text = &u.upstream, .help = "the provider or model server"},
        {"--upstream-key-env", "NAME", .text = &u.key_env,
         .help = "the variable that holds its key"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    return code != CLI_GO ? code : go(&u);
}
