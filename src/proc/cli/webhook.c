/*
 * Webhooks (webhook.h), and `safehouse post-alarm`, which is no command for people: the supervisor
 * starts it with a URL and a body on standard input, so that neither a key nor the supervisor's own
 * memory is in a process that speaks to the network, and a slow webhook holds up nobody.
 */
#include "proc/cli/webhook.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "proc/cli/cli.h"
#include "proc/cli/post.h"

#define INPUT_MAX (WEBHOOK_URL_MAX + 4096)

static bool valid(const char *url) {
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return false;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c == '"' || *c == '\\' || *c == 0x7f)
            return false;
    return true;
}

bool webhook_read_url(const char *path, char out[WEBHOOK_URL_MAX]) {
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, WEBHOOK_URL_MAX, f);
    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\r\n")] = 0;
    return ok && valid(out);
}

bool webhook_post(const char *url, const void *json, size_t len) {
    struct post p = {.url = url,
                     .type = "application/json",
                     .body = json,
                     .len = len,
                     .seconds = WEBHOOK_SECONDS};
    buf_init(&p.answer, POST_ANSWER_MAX);
    const bool taken = post_send(&p) == 0 && p.status >= 200 && p.status < 300;
    buf_wipe(&p.answer);
    return taken;
}

int cli_post_alarm(int argc, char **argv) {
    static char input[INPUT_MAX + 1];
    size_t n = 0;
    (void)argv;
    if (argc != 1)
        return CLI_USAGE;
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (ssize_t got = 1; got > 0 && n<INPUT_MAX; n += got> 0 ? (size_t)got : 0)
        got = read(STDIN_FILENO, input + n, INPUT_MAX - n);
    char *body = memchr(input, '\n', n);
    if (!body)
        return CLI_USAGE;
    *body++ = 0;
    const bool taken = valid(input) && webhook_post(input, body, n - (size_t)(body - input));
    explicit_bzero(input, sizeof input);
    return taken ? CLI_DONE : CLI_INCOMPLETE;
}
