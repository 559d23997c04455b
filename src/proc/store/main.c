/*
 * safehouse-store: runs the embedded ClickHouse on the store's folder, takes batches from the sealer
 * and answers queries of the command line and the console. It holds no key. Wiring only: src/store does the work.
 *
 * Life: child_start, sandbox (before any thread exists and before the first byte of a peer), engine,
 * query threads, "ready"; then this thread waits for the supervisor and the sealer, and inserts. A
 * batch is confirmed after it is on disk, so the program may be killed at any moment.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "ipc/child.h"
#include "proc/store/console.h"
#include "proc/store/serve.h"
#include "store/store.h"

struct state {
    struct child child;
    struct store *store;
    struct serve *serve;
    struct console *console;
    struct peer *sealer, *front; /* NULL until the supervisor sends one; front: the console */
    bool stop;
};

/* What the engine uses beside the base list, seen under inserts, selects, merges, mutations and an
 * orderly end. No socket, no execve, no ptrace. */
static const int syscalls[] = {
    SYS_preadv2,       SYS_pread64,        SYS_pwrite64,      SYS_preadv,
    SYS_pwritev,       SYS_readv,          SYS_open,          SYS_openat,
    SYS_creat,         SYS_link,           SYS_linkat,        SYS_unlink,
    SYS_unlinkat,      SYS_rename,         SYS_renameat,      SYS_renameat2,
    SYS_mkdir,         SYS_mkdirat,        SYS_rmdir,         SYS_stat,
    SYS_lstat,         SYS_fstat,          SYS_newfstatat,    SYS_statx,
    SYS_statfs,        SYS_fstatfs,        SYS_access,        SYS_faccessat,
    SYS_faccessat2,    SYS_readlink,       SYS_readlinkat,    SYS_symlink,
    SYS_getcwd,        SYS_chdir,         SYS_getdents64,    SYS_utimensat,     SYS_futimesat,
    SYS_flock,         SYS_fsync,          SYS_fdatasync,     SYS_ftruncate,
    SYS_fallocate,     SYS_fadvise64,      SYS_sync_file_range, SYS_lseek,
    SYS_chmod,         SYS_fchmod,         SYS_fchmodat,      SYS_copy_file_range,
    SYS_sendfile,      SYS_pipe2,          SYS_timerfd_create, SYS_timerfd_settime,
    SYS_timerfd_gettime, SYS_eventfd2,     SYS_epoll_create1, SYS_epoll_ctl,
    SYS_epoll_wait,    SYS_epoll_pwait,    SYS_poll,          SYS_ppoll,
    SYS_select,        SYS_clone,          SYS_clone3,        SYS_futex,
    SYS_set_robust_list, SYS_rseq,         SYS_sched_yield,   SYS_sched_getaffinity,
    SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_setscheduler,
    SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_setpriority, SYS_getpriority,
    SYS_gettid,        SYS_getpid,         SYS_getppid,       SYS_tgkill,
    SYS_getuid,        SYS_geteuid,        SYS_getgid,        SYS_getegid,
    SYS_getrusage,     SYS_sysinfo,        SYS_uname,         SYS_prctl,
    SYS_prlimit64,     SYS_getrlimit,      SYS_capget,        SYS_times,
    SYS_getrandom,     SYS_sigaltstack,    SYS_rt_sigaction,  SYS_rt_sigprocmask,
    SYS_rt_sigreturn,  SYS_rt_sigtimedwait, SYS_nanosleep,    SYS_clock_nanosleep,
    SYS_clock_gettime, SYS_clock_getres,   SYS_gettimeofday,  SYS_madvise,
    SYS_mincore,       SYS_mmap,           SYS_munmap,        SYS_mremap,
    SYS_mprotect,      SYS_mlock,          SYS_brk,           SYS_msync,
    SYS_memfd_create,
    SYS_membarrier,    SYS_getcpu,         SYS_ioctl,         SYS_fcntl,
    SYS_dup,           SYS_dup2,           SYS_dup3,          SYS_close,
    SYS_read,          SYS_write,          SYS_writev,        SYS_umask,
    SYS_accept4,       SYS_recvmsg,        SYS_sendmsg,       SYS_recvfrom,
    SYS_sendto,        SYS_getsockopt,     SYS_getsockname,   SYS_getpeername,
    SYS_shutdown,      SYS_exit,           SYS_exit_group,    SYS_restart_syscall,
    -1,
};

static int enter_sandbox(const struct child *c, struct sandbox_state *ret) {
    static const char *const readable[] = {"/proc", "/sys", "/usr/share/zoneinfo", "/dev/urandom",
                                           NULL};
    const struct sandbox_spec spec = {
        .write_dir = c->dir,
        .read_paths = readable,
        .syscalls = syscalls,
        .best_effort = c->best_effort,
    };
    return sandbox_enter(&spec, ret);
}

/* u64 sealer | u64 number | u32 rows | u8 again, and the batch's file. Answered in any case. */
static int insert_batch(struct state *s, const struct frame *f) {
    uint8_t answer[12];
    if (f->len != 21 || f->fd < 0)
        return ERR_SYNTAX;
    uint64_t number = get_u64(f->p + 8);
    int rc = store_insert_file(s->store, f->fd, get_u64(f->p), number, get_u32(f->p + 16),
                               f->p[20] != 0);
    if (rc)
        log_event("insert-failed", LOG_U64("number", number), LOG_ERR(rc), LOG_END);
    put_u64(answer, number);
    put_u32(answer + 8, (uint32_t)rc);
    rc = peer_send(s->sealer, MSG_INSERTED, answer, sizeof answer, -1);
    return rc ? rc : peer_flush_wait(s->sealer, 5000);
}

static void read_sealer(struct state *s) {
    struct frame f;
    int rc;
    while ((rc = peer_recv(s->sealer, &f)) == 0) {
        rc = f.msg == MSG_INSERT ? insert_batch(s, &f) : ERR_DENIED;
        if (f.fd >= 0)
            close(f.fd);
        if (rc)
            break;
    }
    if (rc != ERR_AGAIN) {
        peer_free(s->sealer);
        s->sealer = NULL;
    }
}

/* The console's own edge carries its channels. */
static void read_front(struct state *s) {
    struct frame f;
    int rc;
    while ((rc = peer_recv(s->front, &f)) == 0) {
        if (f.msg != MSG_CHANNEL || f.fd < 0) {
            rc = ERR_DENIED;
            break;
        }
        if (console_add(s->console, f.fd) == ERR_FULL)
            log_event("channel-refused", LOG_END);
    }
    if (rc != ERR_AGAIN) {
        peer_free(s->front);
        s->front = NULL;
    }
}

/* A program that was started anew takes the place of the one before. */
static void take_peer(enum ipc_role other, int fd, struct peer **place) {
    peer_free(*place);
    *place = NULL;
    if (peer_new(fd, IPC_STORE, other, place))
        log_event("peer-refused", LOG_END);
}

/* ---- retention ---- */

#define MONTHS_MAX 1024 /* of one table */

static int answer_supervisor(struct state *s, enum ipc_msg msg, const struct buf *b) {
    int rc = peer_send(s->child.supervisor, msg, b->p, b->len, -1);
    return rc ? rc : peer_flush_wait(s->child.supervisor, 5000);
}

/* Of the copies, those months in which somebody is not held any more. */
static int put_months(struct state *s, enum rows_table t, bool copies, const struct frame *f,
                      struct buf *out) {
    static struct store_partition months[MONTHS_MAX];
    uint8_t row[21];
    size_t n = 0;
    int rc = store_partitions(s->store, t, copies, f->p, f->len, months, MONTHS_MAX, &n);
    for (size_t i = 0; !rc && i < n; i++) {
        if (copies && months[i].rows == months[i].held)
            continue;
        row[0] = (uint8_t)(t | (copies ? ROWS_COPIES : 0));
        put_u32(row + 1, months[i].month);
        put_u64(row + 5, months[i].rows);
        put_u64(row + 13, months[i].held);
        rc = buf_append(out, row, sizeof row);
    }
    return rc;
}

static int tell_months(struct state *s, const struct frame *f) {
    struct buf out;
    uint8_t head[4] = {0};
    buf_init(&out, LIMIT_FRAME);
    int rc = buf_append(&out, head, sizeof head);
    for (int i = 0; !rc && i < 2 * (ROWS_FINDINGS - ROWS_TURNS + 1); i++)
        rc = put_months(s, (enum rows_table)(ROWS_TURNS + i / 2), i % 2, f, &out);
    if (rc) {
        buf_clear(&out);
        put_u32(head, (uint32_t)rc);
        rc = buf_append(&out, head, sizeof head);
    }
    rc = rc ? rc : answer_supervisor(s, MSG_MONTHS_ARE, &out);
    buf_wipe(&out);
    return rc;
}

static int drop_month(struct state *s, const struct frame *f) {
    uint8_t answer[12] = {0};
    uint64_t held = 0;
    if (f->len < 5)
        return ERR_SYNTAX;
    const enum rows_table t = (enum rows_table)(f->p[0] & ~ROWS_COPIES);
    int rc = (f->p[0] & ROWS_COPIES ? store_release : store_retain)(s->store, t, get_u32(f->p + 1), f->p + 5,
                                                                    f->len - 5, &held);
    log_event(rc ? "month-not-dropped" : "month-dropped", LOG_U64("table", f->p[0]),
              LOG_U64("month", get_u32(f->p + 1)), LOG_U64("kept", held), LOG_END);
    put_u32(answer, (uint32_t)rc);
    put_u64(answer + 4, held);
    const struct buf b = {.p = answer, .len = sizeof answer};
    return answer_supervisor(s, MSG_DROPPED, &b);
}

static void read_supervisor(struct state *s) {
    struct frame f;
    int rc;
    while ((rc = peer_recv(s->child.supervisor, &f)) == 0) {
        if (f.msg == MSG_STOP) {
            s->stop = true;
        } else if (f.msg == MSG_MONTHS || f.msg == MSG_DROP) {
            if (f.msg == MSG_MONTHS ? tell_months(s, &f) : drop_month(s, &f))
                s->stop = true;
        } else if (f.msg == MSG_PEER && f.len == 1 && f.p[0] == IPC_SEALER && f.fd >= 0) {
            take_peer(IPC_SEALER, f.fd, &s->sealer);
        } else if (f.msg == MSG_PEER && f.len == 1 && f.p[0] == IPC_CONSOLE && f.fd >= 0) {
            take_peer(IPC_CONSOLE, f.fd, &s->front);
        } else if (f.fd >= 0) {
            close(f.fd);
        }
    }
    if (rc != ERR_AGAIN)
        s->stop = true; /* without a supervisor nobody would start a second one after this */
}

static void run(struct state *s) {
    while (!s->stop) {
        struct pollfd p[3] = {
            {.fd = peer_fd(s->child.supervisor), .events = POLLIN},
            {.fd = s->sealer ? peer_fd(s->sealer) : -1, .events = POLLIN},
            {.fd = s->front ? peer_fd(s->front) : -1, .events = POLLIN},
        };
        if (poll(p, 3, -1) < 0)
            continue;
        if (p[2].revents)
            read_front(s);
        if (p[1].revents)
            read_sealer(s);
        if (p[0].revents)
            read_supervisor(s);
    }
}

int main(void) {
    static struct state s;
    struct sandbox_state sandbox = {0};
    uint64_t began = clock_mono_ns();
    log_program("store");
    int rc = child_start(IPC_STORE, &s.child);
    if (!rc)
        rc = enter_sandbox(&s.child, &sandbox);
    if (!rc)
        rc = store_open(s.child.dir, &s.store);
    if (!rc)
        rc = serve_start(&s.serve, &s.child, s.store);
    if (!rc)
        rc = console_start(&s.console, s.store);
    if (!rc)
        rc = child_ready(&s.child, &sandbox);
    if (rc) {
        log_event("start-failed", LOG_ERR(rc), LOG_END);
        return 4;
    }
    log_event("ready", LOG_U64("ms", (clock_mono_ns() - began) / 1000000), LOG_END);
    run(&s);
    peer_free(s.sealer);
    peer_free(s.front);
    /* A statement that does not end in time: everything confirmed is on disk, so just leave. */
    if (serve_stop(s.serve) || console_stop(s.console))
        _exit(0);
    store_close(s.store);
    peer_free(s.child.supervisor);
    return 0;
}
