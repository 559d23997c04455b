/*
 * The sandbox of child.h: Landlock for files and TCP, seccomp for everything else, by raw system
 * calls, since Debian 12's headers know less than newer kernels do.
 *
 * Sources: kernel Documentation/userspace-api/landlock.rst (ABI 1 to 6) and seccomp_filter.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "ipc/child.h"

/* ---- Landlock: own declarations, see the head ---- */

#define SH_LANDLOCK_CREATE_RULESET 444
#define SH_LANDLOCK_ADD_RULE 445
#define SH_LANDLOCK_RESTRICT_SELF 446
#define SH_LANDLOCK_VERSION 1u
#define SH_RULE_PATH_BENEATH 1
#define SH_RULE_NET_PORT 2

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_ABI1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define FS_FILE_ONLY (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_TCP (1ull << 0)    /* ABI 4 */
#define NET_CONNECT_TCP (1ull << 1) /* ABI 4 */
#define SCOPE_ABSTRACT_UNIX (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)        /* ABI 6 */

struct ruleset_attr {
    uint64_t handled_fs, handled_net, scoped;
};
struct path_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));
struct port_attr {
    uint64_t allowed, port;
};

static uint64_t fs_rights(int abi) {
    uint64_t r = FS_ABI1;
    if (abi >= 2)
        r |= FS_REFER;
    if (abi >= 3)
        r |= FS_TRUNCATE;
    if (abi >= 5)
        r |= FS_IOCTL_DEV;
    return r;
}

/* A path that is not there is no error: nothing to allow. */
static int allow_path(int ruleset, const char *path, uint64_t allowed) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_from_errno(errno);
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        allowed &= FS_FILE_ONLY;
    const struct path_attr a = {.allowed = allowed, .parent_fd = fd};
    long rc = syscall(SH_LANDLOCK_ADD_RULE, ruleset, SH_RULE_PATH_BENEATH, &a, 0);
    int e = errno;
    close(fd);
    return rc ? err_from_errno(e) : 0;
}

static int add_rules(int ruleset, int abi, const struct sandbox_spec *spec) {
    const uint64_t writing = fs_rights(abi) & ~FS_EXECUTE;
    int rc = 0;
    if (spec->write_dir)
        rc = allow_path(ruleset, spec->write_dir, writing);
    for (const char *const *p = spec->write_dirs; !rc && p && *p; p++)
        rc = allow_path(ruleset, *p, writing);
    for (const char *const *p = spec->read_paths; !rc && p && *p; p++)
        rc = allow_path(ruleset, *p, FS_READ_FILE | FS_READ_DIR);
    for (const char *const *p = spec->exec_paths; !rc && p && *p; p++)
        rc = allow_path(ruleset, *p, FS_READ_FILE | FS_READ_DIR | FS_EXECUTE);
    for (const uint16_t *port = spec->connect_ports; !rc && abi >= 4 && port && *port; port++) {
        const struct port_attr a = {.allowed = NET_CONNECT_TCP, .port = *port};
        if (syscall(SH_LANDLOCK_ADD_RULE, ruleset, SH_RULE_NET_PORT, &a, 0))
            rc = err_from_errno(errno);
    }
    return rc;
}

static int landlock_enter(const struct sandbox_spec *spec, uint8_t *ret_abi) {
    long abi = syscall(SH_LANDLOCK_CREATE_RULESET, NULL, 0, SH_LANDLOCK_VERSION);
    *ret_abi = 0;
    if (abi < 1)
        return spec->best_effort ? 0 : ERR_UNSUPPORTED;
    struct ruleset_attr attr = {.handled_fs = fs_rights((int)abi)};
    size_t size = offsetof(struct ruleset_attr, handled_net);
    if (abi >= 4) {
        attr.handled_net = NET_BIND_TCP | NET_CONNECT_TCP;
        size = offsetof(struct ruleset_attr, scoped);
    }
    if (abi >= 6) {
        attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
        size = sizeof attr;
    }
    int ruleset = (int)syscall(SH_LANDLOCK_CREATE_RULESET, &attr, size, 0);
    if (ruleset < 0)
        return err_from_errno(errno);
    int rc = add_rules(ruleset, (int)abi, spec);
    if (!rc && syscall(SH_LANDLOCK_RESTRICT_SELF, ruleset, 0))
        rc = err_from_errno(errno);
    close(ruleset);
    if (!rc)
        *ret_abi = (uint8_t)abi;
    return rc;
}

/* ---- seccomp ---- */

/* What every program needs. Files, sockets and clones are in the programs' own lists. */
static const int base_list[] = {
    SYS_read,           SYS_write,         SYS_readv,          SYS_writev,
    SYS_close,          SYS_recvmsg,       SYS_sendmsg,        SYS_recvfrom,
    SYS_sendto,         SYS_shutdown,      SYS_getsockopt,     SYS_epoll_create1,
    SYS_epoll_ctl,      SYS_epoll_wait,    SYS_epoll_pwait,    SYS_poll,
    SYS_ppoll,          SYS_eventfd2,      SYS_timerfd_create, SYS_timerfd_settime,
    SYS_mmap,           SYS_munmap,        SYS_mremap,         SYS_mprotect,
    SYS_madvise,        SYS_mlock,         SYS_munlock,        SYS_brk,
    SYS_futex,          SYS_clock_gettime, SYS_gettimeofday,   SYS_clock_nanosleep,
    SYS_nanosleep,      SYS_rt_sigaction,  SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_sigaltstack,    SYS_exit,          SYS_exit_group,     SYS_getrandom,
    SYS_fstat,          SYS_newfstatat,    SYS_lseek,          SYS_fcntl,
    SYS_getpid,         SYS_gettid,        SYS_tgkill,         SYS_sched_yield,
    SYS_restart_syscall, SYS_getrusage,    SYS_prlimit64,      SYS_accept4,
    SYS_dup,            SYS_getuid,        SYS_geteuid,        SYS_rseq,
    SYS_set_robust_list,
};

#define BASE_COUNT (sizeof base_list / sizeof base_list[0])
#define PROGRAM_MAX 512

static struct sock_filter statement(uint16_t code, uint32_t k) {
    return (struct sock_filter)BPF_STMT(code, k);
}
static struct sock_filter jump(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) {
    return (struct sock_filter)BPF_JUMP(code, k, yes, no);
}

/* Two instructions a call, "if it is this one, allow", so that no jump grows with the list. */
static int seccomp_enter(const int *extra) {
    struct sock_filter f[PROGRAM_MAX];
    unsigned n = 0;
    f[n++] = statement(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    f[n++] = jump(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    f[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    f[n++] = statement(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < BASE_COUNT; i++) {
        f[n++] = jump(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)base_list[i], 0, 1);
        f[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    for (; extra && *extra >= 0; extra++) {
        if (n + 3 > PROGRAM_MAX)
            return ERR_LIMIT;
        f[n++] = jump(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)*extra, 0, 1);
        f[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    f[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS); /* x32 numbers end here too */
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = f};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        return err_from_errno(errno);
    return 0;
}

int sandbox_files(const struct sandbox_spec *spec, uint8_t *ret_abi) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_from_errno(errno);
    return landlock_enter(spec, ret_abi);
}

int sandbox_enter(const struct sandbox_spec *spec, struct sandbox_state *ret) {
    *ret = (struct sandbox_state){0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_from_errno(errno);
    int rc = landlock_enter(spec, &ret->landlock_abi);
    if (!rc)
        rc = seccomp_enter(spec->syscalls);
    if (!rc)
        ret->seccomp = 1;
    return rc;
}
