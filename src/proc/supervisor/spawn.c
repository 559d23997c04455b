/*
 * fork + exec of spawn.h, in the supervisor and in `init`. The child tells by a pipe that closes at
 * exec which step failed; the parent waits for that, which takes as long as the exec does.
 */
#include "proc/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

#define NOFILE 65536
#define FIRST_FD 3
#define HIGH_FD 512 /* above every number that a child is given */

enum step { STEP_USER, STEP_DIR, STEP_FDS, STEP_FILES, STEP_EXEC };
struct failure {
    enum step step;
    int error;
};

void spawn_give_env(struct spawn_gifts *g, const char *fmt, ...) {
    va_list ap;
    size_t left = sizeof g->text - g->used;
    va_start(ap, fmt);
    int n = vsnprintf(g->text + g->used, left, fmt, ap);
    va_end(ap);
    CHECK(n > 0 && (size_t)n < left && g->env_count < SPAWN_FDS);
    g->env[g->env_count++] = g->text + g->used;
    g->used += (size_t)n + 1;
}

void spawn_give_fd(struct spawn_gifts *g, int fd, const char *variable) {
    CHECK(g->fd_count < SPAWN_FDS && fd >= 0);
    int number = FIRST_FD + (int)g->fd_count;
    g->fds[g->fd_count++] = (struct spawn_fd){fd, number};
    if (variable)
        spawn_give_env(g, "%s=%d", variable, number);
}

void spawn_give_file(struct spawn_gifts *g, int fd, char ret_path[SPAWN_FILE]) {
    ret_path[0] = 0;
    if (fd < 0)
        return;
    spawn_give_fd(g, fd, NULL);
    snprintf(ret_path, SPAWN_FILE, "/proc/self/fd/%d", g->fds[g->fd_count - 1].to);
}

int spawn_become(unsigned uid) {
    if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
        return errno;
    return 0;
}

static void set_limits(bool root) {
    const struct rlimit none = {0, 0};
    struct rlimit files;
    setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        const struct rlimit raised = {NOFILE, NOFILE};
        if (root && files.rlim_max < NOFILE && setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return;
        files.rlim_cur = files.rlim_max < NOFILE ? files.rlim_max : NOFILE; /* root in a container */
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void reset_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* First all away from the low numbers, then each to its place. The rest closes at the exec, what
 * the supervisor itself was born with included. */
static int place_fds(const struct spawn_spec *s) {
    int high[SPAWN_FDS];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (syscall(SYS_close_range, FIRST_FD, ~0u, CLOSE_RANGE_CLOEXEC))
        return errno;
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return errno;
    for (size_t i = 0; i < s->fd_count; i++) {
        high[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, HIGH_FD);
        if (high[i] < 0)
            return errno;
    }
    for (size_t i = 0; i < s->fd_count; i++)
        if (dup2(high[i], s->fds[i].to) < 0)
            return errno;
    return 0;
}

static void child(const struct spawn_spec *s, int report) {
    bool root = geteuid() == 0;
    struct failure f = {STEP_FDS, 0};
    set_limits(root);
    int up = fcntl(report, F_DUPFD_CLOEXEC, HIGH_FD);
    f.error = up < 0 ? errno : place_fds(s);
    if (!f.error) {
        umask(077);
        setsid(); /* a terminal's signals are the supervisor's alone */
        f.step = STEP_USER;
        f.error = root ? spawn_become(s->uid) : 0;
    }
    if (!f.error) {
        f.step = STEP_DIR;
        f.error = chdir(s->dir) ? errno : 0;
    }
    if (!f.error && s->files) {
        uint8_t abi;
        f.step = STEP_FILES;
        f.error = sandbox_files(s->files, &abi) ? EPERM : 0;
    }
    if (!f.error) {
        f.step = STEP_EXEC;
        reset_signals();
        if (s->death_signal) /* after the change of user, which would clear it */
            prctl(PR_SET_PDEATHSIG, s->death_signal);
        /* The caller's strings are const, execve's prototype is older than that. */
        execve(s->file, (char *const *)(const void *)s->argv, (char *const *)(const void *)s->env);
        f.error = errno;
    }
    if (write(up < 0 ? report : up, &f, sizeof f) < 0)
        _exit(126);
    _exit(127);
}

static int say(struct why *why, const struct spawn_spec *s, struct failure f) {
    const char *reason = strerror(f.error);
    switch (f.step) {
    case STEP_USER:
        return why_say(why, ERR_DENIED,
                       "cannot become user %u: %s; is this a container that maps "
                       "no such user? Make the installation anew in it",
                       s->uid, reason);
    case STEP_DIR:
        return why_say(why, ERR_DENIED,
                       "user %u cannot enter %.1000s: %s; each folder above it must "
                       "allow that (chmod o+x)",
                       s->uid, s->dir, reason);
    case STEP_FILES:
        return why_say(why, ERR_DENIED, "%.1000s cannot be kept from files that are not its own", s->file);
    case STEP_EXEC:
        return why_say(why, ERR_DENIED,
                       "user %u cannot run %.1000s: %s; it must be there, and each "
                       "folder above it must allow that (chmod o+x)",
                       s->uid, s->file, reason);
    default:
        return why_say(why, ERR_IO, "cannot start %.1000s: %s", s->file, reason);
    }
}

int spawn(const struct spawn_spec *s, pid_t *ret, struct why *why) {
    int report[2];
    struct failure f;
    if (pipe2(report, O_CLOEXEC))
        return why_say(why, err_from_errno(errno), "cannot start %.1000s: %s", s->file,
                       strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        child(s, report[1]);
    int fork_error = errno;
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return why_say(why, err_from_errno(fork_error), "cannot start %.1000s: %s", s->file,
                       strerror(fork_error));
    }
    ssize_t n;
    do
        n = read(report[0], &f, sizeof f);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == 0) {
        *ret = pid;
        return 0;
    }
    waitpid(pid, NULL, 0);
    return n == sizeof f ? say(why, s, f) : why_say(why, ERR_IO, "cannot start %.1000s", s->file);
}
