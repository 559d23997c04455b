/*
 * `safehouse up`: decides everything that can be decided before anything runs (configuration,
 * checks, passphrase, listening socket, providers and their keys), then becomes the supervisor.
 *
 * Secrets: the passphrase is read before the start, so that a wrong file is said at once, lies in
 * guarded memory until the vault is ready, and is then wiped; a restarted vault has the file read
 * again. The providers' keys lie in guarded memory as long as they are in force.
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
    const char *dir, *passphrase_file;
    struct settings_source source;
    struct settings settings;
    char *passphrase; /* guarded; NULL: none, or used */
    size_t passphrase_len;
    struct install install;
    struct address address, console;
    bool has_console;
    int lock_fd, listen_fd, console_fd;
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

static int read_config(struct up *u) {
    struct why why;
    int rc = settings_load(&u->source, &u->settings, &why);
    if (rc == ERR_NOMEM)
        return cli_fail_err(rc, NULL, "starting");
    if (rc) {
        fprintf(stderr, "%s\n", why.text); /* FILE:LINE:COLUMN: sentence, as editors read it */
        return CLI_USAGE;
    }
    const char *listen = u->source.listen ? u->source.listen : u->settings.config->listen;
    if (!listen[0])
        listen = LISTEN_DEFAULT;
    if (!address_parse(listen, &u->address))
        return cli_fail(CLI_USAGE, "give one as 127.0.0.1:8080 or [::1]:8080",
                        "%.100s is no address to listen on", listen);
    const char *console = u->source.console ? u->source.console : u->settings.config->console;
    u->has_console = console[0] != 0;
    if (u->has_console && !address_parse(console, &u->console))
        return cli_fail(CLI_USAGE, "give one as 127.0.0.1:8090 or [::1]:8090",
                        "%.100s is no address for the console", console);
    return CLI_GO;
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

static int prepare(struct up *u) {
    struct why why;
    int code = cli_need_installation(u->dir);
    if (code == CLI_GO)
        code = read_config(u);
    if (code != CLI_GO)
        return code;
    int rc = install_open(u->dir, &u->install, &why);
    if (!rc)
        rc = checks_run(u->settings.config, &u->address, u->has_console ? &u->console : NULL, &why);
    if (!rc)
        rc = install_lock(&u->install, &u->lock_fd, &why);
    if (!rc && u->settings.config->gateway.nginx == CONFIG_STRICT)
        rc = address_listen(&u->address, &u->listen_fd, &why);
    if (!rc && u->has_console)
        rc = install_complete(&u->install, &why);
    if (!rc && u->has_console)
        rc = address_listen(&u->console, &u->console_fd, &why);
    if (!rc) {
        u->source.own_port = address_port(&u->address);
        u->source.prober_uid = u->install.uid[PROGRAM_DEMO];
        rc = settings_complete(&u->source, NULL, &u->settings, &why);
    }
    return rc ? fail(rc, &why) : first_passphrase(u);
}

static int go(struct up *u) {
    struct why why = {""};
    int code = prepare(u);
    if (code == CLI_GO) {
        const struct supervisor_spec spec = {.install = &u->install,
                                             .source = &u->source,
                                             .settings = &u->settings,
                                             .listen = &u->address,
                                             .listen_fd = u->listen_fd,
                                             .console = u->has_console ? &u->console : NULL,
                                             .console_fd = u->console_fd,
                                             .passphrase =
                                                 u->passphrase_file ? give_passphrase : NULL,
                                             .passphrase_arg = u};
        int rc = supervisor_run(&spec, &why);
        code = rc ? fail(rc, &why) : CLI_DONE;
    }
    sodium_free(u->passphrase);
    settings_done(&u->settings);
    return code;
}

int cli_up(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse up [--dir D] [--config F] [--passphrase-file F] [--listen ADDRESS]\n"
        "                    [--console ADDRESS] [--upstream URL] [--upstream-key-env NAME]",
        "Starts gateway, sealer, store and vault, with --console the console, and stays in the foreground. D/run/ready "
        "appears\n"
        "when all of them serve. With gateway.nginx: own the gateway waits for `safehouse attach`.\n"
        "SIGTERM or Ctrl-C ends them in order, a second one at once. "
        "SIGHUP\n"
        "reads the configuration again, as `safehouse reload` does."};
    struct up u = {.dir = CLI_DIR_DEFAULT, .lock_fd = -1, .listen_fd = -1, .console_fd = -1};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &u.dir, .help = CLI_DIR_HELP},
        {"--config", "F", .text = &u.source.file, .help = "the configuration (YAML)"},
        {"--passphrase-file", "F", .text = &u.passphrase_file,
         .help = "the vault starts unlocked; - is standard input"},
        {"--listen", "ADDRESS", .text = &u.source.listen,
         .help = "of the gateway (default " LISTEN_DEFAULT ")"},
        {"--console", "ADDRESS", .text = &u.source.console, .help = "of the console, for people and ClickHouse clients"},
        {"--upstream", "URL", .text = &u.source.upstream, .help = "the provider or model server"},
        {"--upstream-key-env", "NAME", .text = &u.source.key_env,
         .help = "the variable that holds its key"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    settings_init(&u.settings);
    return code != CLI_GO ? code : go(&u);
}
