/*
 * `safehouse config check`: is a configuration file as `up` wants it? All that can be said without
 * starting anything: fields, references, what is implied, and with --credentials the providers'
 * keys.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/config.h"
#include "control/config_credentials.h"
#include "proc/cli/cli.h"
#include "proc/supervisor/policy.h"

#define DESCRIPTION_BYTES (8u << 20)

/* Rules of one's own lie in another file. */
static int try_policy(const struct config *c, char sentence[CONFIG_WHY]) {
    struct why why;
    int fd, rc = policy_make(c, &fd, &why);
    if (rc)
        snprintf(sentence, CONFIG_WHY, "%.500s", why.text);
    else
        close(fd);
    return rc;
}

static int load(struct config *c, const char *file, bool credentials, char why[CONFIG_WHY]) {
    struct config_credentials *keys = NULL;
    char sentence[CONFIG_WHY];
    int rc = config_load(c, file, why);
    if (rc)
        return rc;
    rc = config_complete(c, sentence);
    if (!rc && credentials)
        rc = config_credentials_load(c, NULL, &keys, sentence);
    config_credentials_free(keys);
    if (!rc && (credentials || !*c->detect.rules))
        rc = try_policy(c, sentence);
    if (rc)
        snprintf(why, CONFIG_WHY, "%.200s: %.300s", file, sentence);
    return rc;
}

static int print(const struct config *c) {
    struct buf text;
    buf_init(&text, DESCRIPTION_BYTES);
    int rc = config_describe(c, &text);
    if (!rc && text.len && fwrite(text.p, text.len, 1, stdout) != 1)
        rc = ERR_IO;
    buf_wipe(&text);
    return rc ? cli_fail_err(rc, NULL, "printing the configuration") : CLI_DONE;
}

static int check(const char *file, bool credentials, bool show) {
    char why[CONFIG_WHY] = "";
    struct config *c = config_new();
    if (!c)
        return cli_fail_err(ERR_NOMEM, NULL, "reading the configuration");
    int code = CLI_DONE;
    if (load(c, file, credentials, why)) {
        fprintf(stderr, "%s\n", why); /* FILE:LINE:COLUMN: sentence, as editors read it */
        code = CLI_USAGE;
    } else if (show) {
        code = print(c);
    } else {
        printf("ok\n");
    }
    config_free(c);
    return code;
}

int cli_config(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse config check FILE [--credentials] [--print]",
        "Says \"ok\", or FILE:LINE:COLUMN and what is wrong there (exit code 2)."};
    bool credentials = false, show = false;
    const struct cli_option options[] = {
        {"--credentials", NULL, .flag = &credentials,
         .help = "also: are the providers' keys and the detector's rules where it says, and usable?"},
        {"--print", NULL, .flag = &show,
         .help =
             "instead of \"ok\", the configuration with all that it implies; no secret is in it"},
        {0}};
    int words = 0, code = cli_parse(&usage, options, argc, argv, 1, 2, &words);
    if (code != CLI_GO)
        return code;
    if (strcmp(argv[1], "check") != 0)
        return cli_fail(CLI_USAGE, "did you mean check?", "there is no config command %.40s",
                        argv[1]);
    if (words != 2)
        return cli_fail(CLI_USAGE, "name it: safehouse config check FILE", "no file is named");
    return check(argv[2], credentials, show);
}
