/*
 * Where a passphrase comes from: a file, standard input, or the terminal without echo. The bytes go
 * into the caller's buffer only; stdio, which would keep a copy, is not used.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "proc/cli/cli.h"

/* The first line, without its end; whatever follows is not looked at. */
static int read_line(int fd, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len) {
    size_t n = 0;
    for (;;) {
        char c;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0 || c == '\n')
            break;
        if (n == CLI_PASSPHRASE_MAX)
            return -EFBIG;
        out[n++] = c;
    }
    if (n && out[n - 1] == '\r')
        n--;
    out[n] = 0;
    *ret_len = n;
    return 0;
}

static int from_file(const char *file, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len) {
    struct stat st;
    bool input = strcmp(file, "-") == 0;
    int fd = input ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cli_fail(CLI_USAGE, NULL, "cannot read the passphrase from %s: %s", file,
                        strerror(errno));
    if (!input && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077)) {
        close(fd);
        return cli_fail(CLI_USAGE, "chmod 600 it", "others can read the passphrase file %s", file);
    }
    int rc = read_line(fd, out, ret_len);
    if (!input)
        close(fd);
    if (rc)
        return cli_fail(CLI_USAGE, NULL, "cannot read the passphrase from %s: %s", file,
                        rc == -EFBIG ? "its first line is too long" : strerror(-rc));
    return CLI_GO;
}

/* For the handler: the terminal that has to get its echo back. */
static struct termios terminal_before;
static volatile sig_atomic_t terminal = -1;

static void on_signal(int number) {
    if (terminal >= 0)
        tcsetattr(terminal, TCSAFLUSH, &terminal_before);
    signal(number, SIG_DFL);
    raise(number);
}

static int ask(int tty, const char *prompt, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    enum { SIGNALS = sizeof signals / sizeof signals[0] };
    struct sigaction handler = {.sa_handler = on_signal}, old[SIGNALS];
    if (tcgetattr(tty, &terminal_before))
        return -errno;
    struct termios silent = terminal_before;
    silent.c_lflag &= (tcflag_t)~(ECHO | ECHOE | ECHOK | ECHONL);
    terminal = tty;
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &handler, &old[i]);
    int rc = tcsetattr(tty, TCSAFLUSH, &silent) ? -errno : 0;
    if (!rc && write(tty, prompt, strlen(prompt)) < 0)
        rc = -errno;
    if (!rc)
        rc = read_line(tty, out, ret_len);
    tcsetattr(tty, TCSAFLUSH, &terminal_before);
    terminal = -1;
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &old[i], NULL);
    if (write(tty, "\n", 1) < 0 && !rc)
        rc = -errno;
    return rc;
}

static int from_terminal(bool twice, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len) {
    char again[CLI_PASSPHRASE_MAX + 1];
    size_t again_len = 0;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (tty < 0)
        return cli_fail(CLI_USAGE, "name a file: --passphrase-file F",
                        "there is no terminal to ask for the passphrase");
    int rc = ask(tty, "Passphrase: ", out, ret_len);
    if (!rc && twice)
        rc = ask(tty, "The same again: ", again, &again_len);
    close(tty);
    int code = CLI_GO;
    if (rc)
        code = cli_fail(CLI_INTERNAL, NULL, "reading the terminal: %s", strerror(-rc));
    else if (twice && (again_len != *ret_len || sodium_memcmp(again, out, again_len) != 0))
        code = cli_fail(CLI_USAGE, "try again", "the two passphrases differ");
    sodium_memzero(again, sizeof again);
    return code;
}

int cli_passphrase(const char *file, bool twice, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len) {
    *ret_len = 0;
    int code = file ? from_file(file, out, ret_len) : from_terminal(twice, out, ret_len);
    if (code == CLI_GO && *ret_len == 0)
        code = cli_fail(CLI_USAGE, NULL, "the passphrase is empty");
    if (code == CLI_GO && memchr(out, 0, *ret_len))
        code = cli_fail(CLI_USAGE, NULL, "the passphrase has a zero byte in it");
    if (code == CLI_GO && twice && !file && *ret_len < CLI_PASSPHRASE_MIN)
        code = cli_fail(CLI_USAGE, "a few words that belong to nobody's sentence are good",
                        "a passphrase of fewer than %d characters is guessed too soon",
                        CLI_PASSPHRASE_MIN);
    if (code != CLI_GO)
        sodium_memzero(out, CLI_PASSPHRASE_MAX + 1);
    return code;
}

int cli_hidden(const char *prompt, char out[CLI_PASSPHRASE_MAX + 1], size_t *ret_len) {
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (tty < 0)
        return cli_fail(CLI_USAGE, "give it on standard input", "there is no terminal to ask on");
    int rc = ask(tty, prompt, out, ret_len);
    close(tty);
    return rc ? cli_fail(CLI_INTERNAL, NULL, "reading the terminal: %s", strerror(-rc)) : CLI_GO;
}
