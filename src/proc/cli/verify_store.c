/*
 * The store that verify reads from (verify_store.h). The lock of the installation tells whether one
 * runs, and keeps `up` from starting meanwhile. The started store gets what the supervisor would give
 * it: control socket, listening socket, token, its folder; this process is its supervisor.
 */
#include "proc/cli/verify_store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/supervisor/install.h"
#include "proc/supervisor/spawn.h"
#include "read/query/remote.h"

#define START_MS 60000
#define STOP_S 30
#define SOCKET "store.sock"

struct verify_store {
    struct remote *remote;
    struct install install;
    char way[64];             /* to the folder, short enough for a socket's path */
    int dir_fd, lock_fd, run_fd; /* -1 */
    struct peer *control;     /* NULL: it runs without us */
    pid_t pid;
};

static int listen_socket(struct verify_store *s, int *ret) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/run/" SOCKET, s->way);
    unlinkat(s->run_fd, SOCKET, 0); /* of an installation that was killed */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_from_errno(errno);
    mode_t before = umask(0177); /* 0600 from its first moment */
    int failed = bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 8);
    int error = errno;
    umask(before);
    if (failed)
        close(fd);
    else
        *ret = fd;
    return failed ? err_from_errno(error) : 0;
}

static int token_pipe(const struct verify_store *s, int *ret) {
    uint8_t token[32];
    int ends[2], rc = install_read_token(&s->install, token);
    if (rc)
        return rc;
    if (pipe2(ends, O_CLOEXEC))
        return err_from_errno(errno);
    if (write(ends[1], token, sizeof token) != sizeof token)
        rc = ERR_IO;
    sodium_memzero(token, sizeof token);
    close(ends[1]);
    if (rc)
        close(ends[0]);
    *ret = ends[0];
    return rc;
}

static int run(struct verify_store *s, int control, int listening, int token, struct why *why) {
    const struct install *in = &s->install;
    char file[INSTALL_PATH + 32], dir[INSTALL_PATH];
    struct spawn_gifts g = {0};
    snprintf(file, sizeof file, "%s/safehouse-store", in->bin);
    if (!install_path(in, install_folder(PROGRAM_STORE), dir))
        return why_say(why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    spawn_give_fd(&g, control, NULL);
    spawn_give_fd(&g, listening, "SH_LISTEN_FD");
    spawn_give_fd(&g, token, "SH_TOKEN_FD");
    spawn_give_env(&g, "SH_DIR=%s", dir);
    spawn_give_env(&g, "SH_OWNER_UID=%u", in->owner);
    spawn_give_env(&g, "TZ=UTC");
    spawn_give_env(&g, "SH_SANDBOX=best-effort"); /* whatever the configuration said */
    const char *const argv[] = {"safehouse-store", NULL};
    const struct spawn_spec spec = {.file = file,
                                    .argv = argv,
                                    .env = g.env,
                                    .dir = dir,
                                    .uid = in->uid[PROGRAM_STORE],
                                    .fds = g.fds,
                                    .fd_count = g.fd_count};
    return spawn(&spec, &s->pid, why);
}

static int wait_ready(struct verify_store *s, struct why *why) {
    struct frame f;
    int rc = peer_recv_wait(s->control, &f, START_MS);
    if (!rc && f.fd >= 0)
        close(f.fd);
    if (!rc && f.msg != MSG_READY)
        rc = ERR_DENIED;
    return rc ? why_say(why, rc, "the store does not start; its own words, if any, are above") : 0;
}

static int start(struct verify_store *s, struct why *why) {
    int pair[2] = {-1, -1}, listening = -1, token = -1;
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)
                 ? err_from_errno(errno)
                 : listen_socket(s, &listening);
    if (!rc)
        rc = token_pipe(s, &token);
    if (rc)
        why_say(why, rc, "cannot start the store: %s", err_text(rc));
    else
        rc = run(s, pair[1], listening, token, why);
    if (!rc) {
        rc = peer_new(pair[0], IPC_SUPERVISOR, IPC_STORE, &s->control);
        pair[0] = -1;
    }
    const int mine[] = {pair[0], pair[1], listening, token};
    for (size_t i = 0; i < sizeof mine / sizeof mine[0]; i++)
        if (mine[i] >= 0)
            close(mine[i]);
    return rc ? rc : wait_ready(s, why);
}

static int find(struct verify_store *s, const char *dir, struct why *why) {
    int rc = install_open(dir, &s->install, why);
    if (rc)
        return rc;
    s->dir_fd = open(s->install.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->run_fd = s->dir_fd < 0 ? -1 : openat(s->dir_fd, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->run_fd < 0)
        return why_say(why, err_from_errno(errno), "cannot enter %.1000s: %s", s->install.dir,
                       strerror(errno));
    snprintf(s->way, sizeof s->way, "/proc/self/fd/%d", s->dir_fd);
    rc = install_lock(&s->install, &s->lock_fd, why);
    if (rc == ERR_EXISTS)
        return 0; /* it runs */
    return rc ? rc : start(s, why);
}

int verify_store_open(const char *dir, struct verify_store **ret) {
    static struct why why;
    struct verify_store *s = calloc(1, sizeof *s);
    if (!s)
        return cli_fail_err(ERR_NOMEM, NULL, "starting");
    s->dir_fd = s->run_fd = s->lock_fd = -1;
    int rc = find(s, dir, &why);
    if (rc) {
        verify_store_close(s);
        return cli_fail(rc == ERR_DENIED || rc == ERR_NOTFOUND ? CLI_USAGE : CLI_INCOMPLETE, NULL,
                        "%s", why.text);
    }
    rc = remote_new(&s->remote, s->way, NULL);
    if (rc) {
        verify_store_close(s);
        return cli_fail_err(rc, NULL, "starting");
    }
    *ret = s;
    return CLI_GO;
}

/* An orderly end: the engine closes its files; it is never killed in the middle of that. */
static void stop(struct verify_store *s) {
    if (s->control) {
        if (peer_send(s->control, MSG_STOP, NULL, 0, -1) == 0)
            (void)peer_flush_wait(s->control, 1000 * STOP_S);
        peer_free(s->control); /* it ends at this too */
    }
    while (s->pid > 0 && waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (s->pid > 0)
        unlinkat(s->run_fd, SOCKET, 0);
}

void verify_store_close(struct verify_store *s) {
    if (!s)
        return;
    remote_free(s->remote);
    stop(s);
    const int fds[] = {s->run_fd, s->lock_fd, s->dir_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(s);
}

int verify_store_query(void *store, const char *format, const char *sql, size_t sql_len,
                       int (*sink)(void *arg, const void *p, size_t len), void *sink_arg) {
    struct verify_store *s = store;
    return remote_query(s->remote, format, sql, sql_len, sink, sink_arg);
}

const char *verify_store_why(const struct verify_store *s) {
    return remote_why(s->remote);
}
