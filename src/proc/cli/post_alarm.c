/*
 * `safehouse post-alarm`, which is no command for people: the supervisor starts it with a URL and a
 * body on standard input, so that neither a key nor the supervisor's own memory is in a process
 * that speaks to the network, and a slow webhook holds up nobody.
 */
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control/webhook.h"
#include "proc/cli/cli.h"
#include "proc/cli/post.h"

#define INPUT_MAX (WEBHOOK_URL_MAX + 4096)

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
    const bool taken = webhook_valid(input) && post_json(input, body, n - (size_t)(body - input));
    explicit_bzero(input, sizeof input);
    return taken ? CLI_DONE : CLI_INCOMPLETE;
}
