/*
 * `safehouse reload`: has the running installation read its configuration again, and waits until it
 * is in force in every worker, or is not and why.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "proc/cli/cli.h"

#define ANSWER_MS 60000 /* as long as the supervisor takes at most */

static bool wrong_configuration(int rc) {
    return rc == ERR_USAGE || rc == ERR_SYNTAX || rc == ERR_NOTFOUND || rc == ERR_DENIED ||
           rc == ERR_LIMIT || rc == ERR_EXISTS;
}

int cli_reload_config(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse reload [--dir D] [--new-workers] [--json]",
        "Has the running installation read its configuration again, all of it or nothing, and "
        "says\n"
        "what changed, once that is in force. No stream is cut. Exit code 2: the configuration is\n"
        "wrong; 3: it could not be put into force at this moment. Nothing changes in both."};
    const char *dir = CLI_DIR_DEFAULT;
    bool json = false, fresh = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--new-workers", NULL, .flag = &fresh,
         .help = "in any case: they look providers' names up anew"},
        {"--json", NULL, .flag = &json, .help = "one object"},
        {0}};
    struct peer *p;
    char text[2048] = "";
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO)
        code = cli_connect(dir, "control", IPC_SUPERVISOR, &p);
    if (code != CLI_GO)
        return code;
    int rc = peer_send(p, MSG_CONFIGURE, &(uint8_t){fresh}, 1, -1);
    if (!rc)
        rc = cli_wait_end(p, ANSWER_MS, text, sizeof text);
    peer_free(p);
    if (rc && !text[0])
        return cli_fail_err(rc, "look at: safehouse status", "reloading");
    code = !rc ? CLI_DONE : wrong_configuration(rc) ? CLI_USAGE : CLI_INCOMPLETE;
    if (json)
        return cli_print_json(json_pack("{s:b, s:s}", "ok", rc == 0, "text", text)) ? code
                                                                                    : CLI_INTERNAL;
    fprintf(rc ? stderr : stdout, "%s\n", text);
    return code;
}
