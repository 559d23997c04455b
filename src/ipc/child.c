/*
 * How a supervised program starts (child.h): takes its descriptors from fixed places and the
 * environment, then drops everything else that it was born with.
 */
#include "ipc/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

#define CONTROL_FD 3

/* A small number from the environment, or -1. */
static int env_number(const char *name) {
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return -1;
    long v = strtol(text, &end, 10);
    return *end || v < 0 || v > 0x7fffffff ? -1 : (int)v;
}

static int read_token(uint8_t token[32]) {
    int fd = env_number("SH_TOKEN_FD");
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, token, 32);
    close(fd);
    return n == 32 ? 0 : ERR_IO;
}

/* Closes every descriptor above 2 that is not in `keep` (count of them, -1 for none). */
static void close_others(const int *keep, size_t count) {
    unsigned from = 3;
    for (;;) {
        int next = -1; /* the lowest kept descriptor that is not below `from` */
        for (size_t i = 0; i < count; i++)
            if (keep[i] >= (int)from && (next < 0 || keep[i] < next))
                next = keep[i];
        if (next < 0)
            break;
        if (next > (int)from)
            syscall(SYS_close_range, from, (unsigned)next - 1, 0);
        from = (unsigned)next + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0);
}

static int harden(enum ipc_role self) {
    const struct rlimit none = {0, 0};
    /* The store ends in order when its control socket closes: a kill could leave it mid-merge, which
     * is safe but slow to start from. The others have nothing to lose. */
    if (self != IPC_STORE && prctl(PR_SET_PDEATHSIG, SIGKILL))
        return err_from_errno(errno);
    if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        setrlimit(RLIMIT_CORE, &none))
        return err_from_errno(errno);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is the supervisor's to handle */
    signal(SIGHUP, SIG_IGN);
    return 0;
}

int child_start(enum ipc_role self, struct child *ret) {
    *ret = (struct child){
        .listen_fd = env_number("SH_LISTEN_FD"),
        .ring_fd = env_number("SH_RING_FD"),
        .wake_fd = env_number("SH_WAKE_FD"),
        .prefix_fd = env_number("SH_PREFIX_FD"),
        .detect_fd = env_number("SH_DETECT_FD"),
        .report_fd = env_number("SH_REPORT_FD"),
        .owner_uid = (unsigned)env_number("SH_OWNER_UID"),
    };
    const char *dir = getenv("SH_DIR"), *sandbox = getenv("SH_SANDBOX");
    ret->best_effort = sandbox && strcmp(sandbox, "best-effort") == 0;
    if (fcntl(CONTROL_FD, F_GETFD) < 0 || !dir || strlen(dir) >= sizeof ret->dir)
        return ERR_USAGE; /* not started by the supervisor */
    memcpy(ret->dir, dir, strlen(dir) + 1);
    int rc = read_token(ret->token);
    if (rc)
        return rc;
    const int keep[] = {CONTROL_FD,     ret->listen_fd, ret->ring_fd,  ret->wake_fd,
                        ret->prefix_fd, ret->detect_fd, ret->report_fd};
    close_others(keep, sizeof keep / sizeof keep[0]);
    clearenv();
    setenv("TZ", "UTC", 1);
    rc = harden(self);
    if (rc)
        return rc;
    return peer_new(CONTROL_FD, self, IPC_SUPERVISOR, &ret->supervisor);
}

int child_lock_memory(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY &&
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        return err_from_errno(errno);
    return 0;
}

int child_ready(struct child *c, const struct sandbox_state *s) {
    const uint8_t payload[4] = {s->landlock_abi, s->seccomp};
    int rc = peer_send(c->supervisor, MSG_READY, payload, sizeof payload, -1);
    return rc ? rc : peer_flush_wait(c->supervisor, 5000);
}
