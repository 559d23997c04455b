/*
 * `safehouse clerk`, which is no command for people: the supervisor starts one for each command that comes
 * through the console, with the console's connection as descriptor 3. It runs the subcommand of that
 * name, as a process of its own whose output goes back over the connection; so what the console does is
 * what the command line does, by the same code.
 *
 * In the session that the command names, and no other: without one that the vault knows nothing is done.
 * The options are checked against a table (clerk_request.h), and by the subcommand itself. Names of persons are in
 * no argument that another process could see: the subcommand is called, not executed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "ipc/child.h"
#include "proc/cli/clerk_request.h"
#include "proc/cli/cli.h"
#include "proc/cli/read.h"
#include "proc/cli/session.h"

#define CHANNEL_FD 3
#define REQUEST_MS 5000
#define ALIVE_MS 20000   /* an empty OUTPUT, while there is nothing else to say */
#define SEND_MS 60000    /* a reader that takes nothing */
#define CLERK_S 900
#define SAID_MAX 2000    /* of what is wrong */
#define PIECE 32768

/* What runs beside this process shares one number with it. */
struct shared {
    int failed;
};

struct clerk {
    struct peer *console;
    struct clerk_request request;
    struct shared *shared;
};

/* ---- the command ---- */

static int confine(void) {
    static const char *const writes[] = {"/dev/null", NULL};
    static const char *const reads[] = {"/", NULL};
    const char *lenient = getenv("SH_SANDBOX");
    const struct sandbox_spec spec = {.write_dir = "control",
                                      .write_dirs = writes,
                                      .read_paths = reads,
                                      .best_effort = lenient && !strcmp(lenient, "best-effort")};
    uint8_t abi;
    return sandbox_files(&spec, &abi);
}

/* In the process that the subcommand is alone in. */
static void run(struct clerk *k, int out, int err) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(peer_fd(k->console));
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
        _exit(CLI_INTERNAL);
    const char *name = k->request.argv[0];
    int (*command)(int, char **) = !strcmp(name, "key") ? cli_key : !strcmp(name, "subject") ? cli_subject : cli_report;
    int code = command(k->request.argc, k->request.argv);
    if (fflush(stdout) && code == CLI_DONE)
        code = cli_fail(CLI_INCOMPLETE, NULL, "the output could not be written");
    k->shared->failed = cli_failed();
    _exit(code);
}

/* ---- its output ---- */

static int send_piece(struct clerk *k, const void *p, size_t len) {
    int rc = peer_send(k->console, MSG_OUTPUT, p, len, -1);
    return rc ? rc : peer_flush_wait(k->console, SEND_MS);
}

/* What comes out of the pipe; ERR_NOTFOUND: that was all. */
static int take_output(struct clerk *k, int fd) {
    static uint8_t piece[PIECE];
    const ssize_t n = read(fd, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    int rc = n > 0 ? send_piece(k, piece, (size_t)n) : ERR_NOTFOUND;
    sodium_memzero(piece, sizeof piece);
    return rc;
}

/* The first sentence is what is wrong. */
static int take_said(int fd, char said[SAID_MAX + 1], size_t *len) {
    char piece[512];
    const ssize_t n = read(fd, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    for (ssize_t i = 0; i < n && *len < SAID_MAX; i++)
        said[(*len)++] = piece[i];
    said[*len] = 0;
    return n > 0 ? 0 : ERR_NOTFOUND;
}

/* Until both pipes end. Not 0: the console hung up, or takes nothing. */
static int pump(struct clerk *k, int out, int err, char said[SAID_MAX + 1]) {
    size_t len = 0;
    int rc = 0;
    struct pollfd p[3] = {{out, POLLIN, 0}, {err, POLLIN, 0}, {peer_fd(k->console), POLLRDHUP, 0}};
    while (!rc && (p[0].fd >= 0 || p[1].fd >= 0)) {
        const int n = poll(p, 3, ALIVE_MS);
        if (n < 0 && errno != EINTR)
            return ERR_IO;
        if (n == 0)
            rc = send_piece(k, NULL, 0);
        if (n > 0 && p[2].revents)
            rc = ERR_PEER;
        if (!rc && n > 0 && p[0].revents && (rc = take_output(k, out)) == ERR_NOTFOUND)
            p[0].fd = -1, rc = 0;
        if (!rc && n > 0 && p[1].revents && (rc = take_said(err, said, &len)) == ERR_NOTFOUND)
            p[1].fd = -1, rc = 0;
    }
    return rc;
}

/* "safehouse: ..." without its beginning and its line's end. */
static int end(struct clerk *k, int status, char said[SAID_MAX + 1]) {
    static const char name[] = "safehouse: ";
    uint8_t p[4 + SAID_MAX];
    const char *text = said;
    if (!strncmp(text, name, sizeof name - 1))
        text += sizeof name - 1;
    const size_t n = strcspn(text, "\n");
    /* A report that lacks something says so itself, and so does nobody else. */
    int rc = !WIFEXITED(status) ? ERR_PEER : WEXITSTATUS(status) == CLI_DONE ? 0 : k->shared->failed;
    put_u32(p, (uint32_t)rc);
    memcpy(p + 4, text, rc ? n : 0);
    int sent = peer_send(k->console, MSG_END, p, 4 + (rc ? n : 0), -1);
    return sent ? sent : peer_flush_wait(k->console, SEND_MS);
}

/* It is not to end half-way when nobody waits for it any more. */
static bool changes(const struct clerk *k) {
    switch (k->request.command) {
    case COMMAND_KEYS:
    case COMMAND_PROJECTS:
    case COMMAND_SUBJECT_FIND:
    case COMMAND_SUBJECT_EXPORT:
    case COMMAND_REPORT_RECORDS:
    case COMMAND_REPORT_BREACH:
    case COMMAND_REPORT_SUBJECT:
        return false;
    default:
        return true;
    }
}

static int serve(struct clerk *k) {
    static char said[SAID_MAX + 1];
    int out[2], err[2], status = 0;
    k->shared = mmap(NULL, sizeof *k->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (k->shared == MAP_FAILED || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        return CLI_INTERNAL;
    const pid_t pid = fork();
    if (pid == 0)
        run(k, out[1], err[1]);
    if (pid < 0)
        return CLI_INTERNAL;
    close(out[1]);
    close(err[1]);
    int rc = pump(k, out[0], err[0], said);
    close(out[0]);
    close(err[0]);
    if (rc && !changes(k))
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return rc || end(k, status, said) ? CLI_INCOMPLETE : CLI_DONE;
}

int cli_clerk(int argc, char **argv) {
    static struct clerk k;
    struct frame f;
    (void)argv;
    if (argc != 1 || fcntl(CHANNEL_FD, F_GETFD) < 0)
        return CLI_USAGE;
    read_harden();
    alarm(CLERK_S);
    if (confine() || peer_new(CHANNEL_FD, IPC_SUPERVISOR, IPC_CONSOLE, &k.console))
        return CLI_INTERNAL;
    if (peer_recv_wait(k.console, &f, REQUEST_MS) || f.msg != MSG_COMMAND || f.fd >= 0)
        return CLI_USAGE;
    const int rc = clerk_request_take(&k.request, f.p, f.len, ".", getenv("SH_CONFIG"));
    sodium_memzero((void *)(uintptr_t)f.p, f.len);
    if (!rc)
        session_fix(k.request.session);
    const int code = rc ? CLI_USAGE : serve(&k);
    clerk_request_done(&k.request);
    return code;
}
