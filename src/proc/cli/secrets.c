/* Secrets of one command (secrets.h). */
#include "proc/cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/cli/cli.h"

struct secrets *secrets_new(void) {
    struct secrets *s = sodium_malloc(sizeof *s);
    if (s)
        sodium_memzero(s, sizeof *s);
    return s;
}

void secrets_free(struct secrets *s) {
    sodium_free(s);
}

/* One byte at a time: what follows the lines is not ours. 0, or errno. */
static int read_line(int fd, char *out, size_t *ret_len) {
    size_t n = 0;
    for (;;) {
        char c;
        const ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0 || c == '\n')
            break;
        if (n == LIMIT_PASSWORD)
            return EFBIG;
        out[n++] = c;
    }
    if (n && out[n - 1] == '\r')
        n--;
    out[n] = 0;
    *ret_len = n;
    return 0;
}

static int from_file(struct secrets *s, const char *file, int lines) {
    const bool input = strcmp(file, "-") == 0;
    struct stat st;
    int rc = 0, fd = input ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cli_fail(CLI_USAGE, NULL, "cannot read %s: %s", file, strerror(errno));
    if (!input && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077)) {
        close(fd);
        return cli_fail(CLI_USAGE, "chmod 600 it", "others can read the secrets in %s", file);
    }
    for (int i = 0; !rc && i < lines; i++)
        rc = read_line(fd, s->line[i], &s->line_len[i]);
    if (!input)
        close(fd);
    return rc ? cli_fail(CLI_USAGE, NULL, "cannot read %s: %s", file,
                         rc == EFBIG ? "a line is too long" : strerror(rc))
              : CLI_GO;
}

static int from_terminal(struct secrets *s, const char *const *prompts) {
    char *typed = sodium_malloc(CLI_PASSPHRASE_MAX + 1);
    int code = typed ? CLI_GO : cli_fail(CLI_INTERNAL, NULL, "out of memory");
    for (int i = 0; code == CLI_GO && prompts[i]; i++) {
        size_t len;
        code = cli_hidden(prompts[i], typed, &len);
        if (code == CLI_GO && len > LIMIT_PASSWORD)
            code = cli_fail(CLI_USAGE, NULL, "that is too long");
        if (code != CLI_GO)
            break;
        memcpy(s->line[i], typed, len + 1);
        s->line_len[i] = len;
    }
    sodium_free(typed);
    return code;
}

int secrets_read(struct secrets *s, const char *file, const char *const *prompts) {
    int lines = 0, code;
    while (prompts[lines])
        lines++;
    if (!file && !isatty(STDIN_FILENO))
        file = "-";
    code = file ? from_file(s, file, lines) : from_terminal(s, prompts);
    for (int i = 0; code == CLI_GO && i < lines; i++)
        if (memchr(s->line[i], 0, s->line_len[i]))
            code = cli_fail(CLI_USAGE, NULL, "there is a zero byte in it");
    return code;
}
