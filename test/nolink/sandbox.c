/*
 * What a sealer that was taken over may not do: it is the sealer's own source with another main, so
 * its list of system calls is the one that is tried. Each deed is done by a child, once free, where
 * it must work, and once in the sandbox.
 */
int sealer_main(void);
#define main sealer_main
#include "proc/sealer/main.c"
#undef main

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char folder[] = P_tmpdir "/sandbox-XXXXXX";
static struct sockaddr_in tcp = {.sin_family = AF_INET};
static struct sockaddr_un local = {.sun_family = AF_UNIX};

static int opens(const char *path, int flags) {
    return open(path, flags | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static int connects(const void *address, socklen_t len, int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 || connect(fd, address, len) ? errno : 0;
}

static const char *beside(const char *rest) {
    static char path[96];
    snprintf(path, sizeof path, "%s%s", folder, rest);
    return path;
}

/* ---- deeds: 0 or errno ---- */
static int read_passwd(void) {
    return opens("/etc/passwd", O_RDONLY);
}
static int read_around(void) {
    return opens(beside("/../../etc/passwd"), O_RDONLY);
}
static int read_memory(void) {
    return opens("/proc/self/mem", O_RDONLY);
}
static int write_inside(void) {
    return opens(beside("/mine"), O_WRONLY | O_CREAT);
}
static int write_outside(void) {
    return opens(beside("-outside"), O_WRONLY | O_CREAT);
}
static int connect_out(void) {
    return connects(&tcp, sizeof tcp, AF_INET);
}
static int connect_local(void) {
    return connects(&local, sizeof local, AF_UNIX);
}
static int run_program(void) {
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}
static int fork_off(void) {
    pid_t p = fork();
    if (p == 0)
        _exit(0);
    return p < 0 ? errno : 0;
}
static int trace(void) {
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? errno : 0;
}

#define KILLED 1000 /* by seccomp */

static const struct deed {
    const char *name;
    int (*does)(void);
    int in_sandbox;
} deeds[] = {
    {"write its own folder", write_inside, 0},
    {"read /etc/passwd", read_passwd, EACCES},
    {"read /etc/passwd by a way around", read_around, EACCES},
    {"read its memory as a file", read_memory, EACCES},
    {"write outside of its folder", write_outside, EACCES},
    {"connect out", connect_out, KILLED},
    {"connect to a unix socket", connect_local, KILLED},
    {"run a program", run_program, KILLED},
    {"fork", fork_off, KILLED},
    {"trace", trace, KILLED},
};

static int listener(const void *address, socklen_t len, int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, len) || listen(fd, 16)) {
        perror("listener");
        exit(1);
    }
    return fd;
}

static int outcome(const struct deed *d, bool sandboxed) {
    int status;
    pid_t p = fork();
    if (p == 0) {
        const struct rlimit none = {0, 0};
        const struct sandbox_spec spec = {.write_dir = folder, .syscalls = syscalls};
        struct sandbox_state state;
        setrlimit(RLIMIT_CORE, &none);
        if (sandboxed && (sandbox_enter(&spec, &state) || !state.landlock_abi || !state.seccomp))
            _exit(255);
        _exit(d->does());
    }
    if (p < 0 || waitpid(p, &status, 0) != p)
        return -1;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : -1;
    return WEXITSTATUS(status);
}

int main(void) {
    int bad = 0;
    if (!mkdtemp(folder))
        return 1;
    chmod(folder, 0700);
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof tcp;
    getsockname(listener(&tcp, sizeof tcp, AF_INET), (struct sockaddr *)&tcp, &len);
    snprintf(local.sun_path, sizeof local.sun_path, "%s", beside("/socket"));
    listener(&local, sizeof local, AF_UNIX);
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        int free_one = outcome(&deeds[i], false), caught = outcome(&deeds[i], true);
        bool right = free_one == 0 && caught == deeds[i].in_sandbox;
        printf("%s %s: free %d, in the sandbox %d\n", right ? "ok" : "wrong:", deeds[i].name,
               free_one, caught);
        bad |= !right;
    }
    unlink(beside("/mine"));
    unlink(beside("/socket"));
    unlink(beside("-outside"));
    rmdir(folder);
    return bad;
}
