/* `safehouse config check`: is a configuration file as `up` wants it? */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "control/config.h"
#include "proc/cli/cli.h"

static int check(const char *file) {
    char why[CONFIG_WHY] = "";
    struct config *c = config_new();
    if (!c)
        return cli_fail_err(ERR_NOMEM, NULL, "reading the configuration");
    int rc = config_load(c, file, why);
    config_free(c);
    if (!rc) {
        printf("ok\n");
        return CLI_DONE;
    }
    fprintf(stderr, "%s\n", why); /* FILE:LINE:COLUMN: sentence, as editors read it */
    return CLI_USAGE;
}

int cli_config(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse config check FILE",
        "Says \"ok\", or FILE:LINE:COLUMN and what is wrong there (exit code 2)."};
    static const struct cli_option none[] = {{0}};
    int words = 0, code = cli_parse(&usage, none, argc, argv, 1, 2, &words);
    if (code != CLI_GO)
        return code;
    if (strcmp(argv[1], "check") != 0)
        return cli_fail(CLI_USAGE, "did you mean check?", "there is no config command %.40s",
                        argv[1]);
    if (words != 2)
        return cli_fail(CLI_USAGE, "name it: safehouse config check FILE", "no file is named");
    return check(argv[2]);
}
