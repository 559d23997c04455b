/*
 * The sandbox of a gateway worker: no files, TCP connections to the provider's port only, no other
 * kind of socket, and the system calls that nginx's event loop makes. Entered in init_process,
 * after everything that a worker needs is mapped and before it takes its first connection.
 *
 * seccomp filters add up, so the socket filter is one of its own: it kills on any address family
 * but IPv4 and IPv6 (an AF_UNIX socket would reach the other programs), and on any type but a
 * stream.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "ipc/child.h"
#include "write/gateway/confine.h"

#define FAMILY offsetof(struct seccomp_data, args[0])
#define TYPE offsetof(struct seccomp_data, args[1])

static const int syscalls[] = {
    SYS_socket, SYS_connect, SYS_setsockopt, SYS_getsockname, SYS_getpeername, SYS_ioctl,
    SYS_sysinfo, /* qsort asks how much memory there is */
    -1,
};

static int confine_sockets(void) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 8),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 7),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FAMILY),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, TYPE),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf), /* SOCK_NONBLOCK and SOCK_CLOEXEC aside */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof f / sizeof f[0], .filter = f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        return err_from_errno(errno);
    return 0;
}

int gateway_confine(const uint16_t *connect_ports, uint8_t ret_state[2]) {
    const struct rlimit none = {0, 0};
    const char *wish = getenv("SH_SANDBOX");
    const struct sandbox_spec spec = {
        .syscalls = syscalls,
        .connect_ports = connect_ports,
        .best_effort = wish && strcmp(wish, "best-effort") == 0,
    };
    struct sandbox_state state;
    if (prctl(PR_SET_DUMPABLE, 0) || setrlimit(RLIMIT_CORE, &none))
        return err_from_errno(errno);
    int rc = confine_sockets();
    if (!rc)
        rc = sandbox_enter(&spec, &state);
    if (rc)
        return rc;
    ret_state[0] = state.landlock_abi;
    ret_state[1] = state.seccomp;
    return 0;
}
