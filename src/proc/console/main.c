/*
 * safehouse-console: start, sandbox, supervisor, the end. Wiring only: console.h lists the parts.
 *
 * Life: child_start, locked memory, sandbox (no file at all, no socket but pairs of its own; before any
 * thread and any byte of a peer), requests, "ready"; then this thread waits for the supervisor. Nothing is
 * kept on a disk: it may be killed at any moment.
 */
#include <jansson.h>
#include <malloc.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "proc/console/console.h"

/* Threads, and a pair of sockets a request. Of socket(2) there is none. */
static const int syscalls[] = {
    SYS_clone,      SYS_clone3,     SYS_socketpair,      SYS_getsockname, SYS_getpeername,
    SYS_setsockopt, SYS_pipe2,      SYS_sched_getaffinity, SYS_sysinfo,   SYS_clock_getres,
    SYS_select,     SYS_pselect6,   SYS_sendfile,        SYS_prctl,
    -1,
};

static int enter_sandbox(const struct child *c, struct sandbox_state *ret) {
    const struct sandbox_spec spec = {.syscalls = syscalls, .best_effort = c->best_effort};
    return sandbox_enter(&spec, ret);
}

static bool from_supervisor(struct console *c, const struct frame *f) {
    if (f->msg == MSG_STOP)
        return false;
    if (f->msg == MSG_PEER && f->len == 1 && f->fd >= 0 && (f->p[0] == IPC_STORE || f->p[0] == IPC_VAULT))
        edges_take(c->edges, f->p[0], f->fd);
    else if (f->fd >= 0)
        close(f->fd);
    return true;
}

static void run(struct console *c) {
    for (bool on = true; on;) {
        struct frame f;
        struct pollfd p = {.fd = peer_fd(c->child.supervisor), .events = POLLIN};
        int rc = peer_recv(c->child.supervisor, &f);
        if (!rc)
            on = from_supervisor(c, &f);
        else if (rc == ERR_AGAIN)
            poll(&p, 1, -1);
        else
            on = false;
    }
}

int main(void) {
    static struct console c;
    struct sandbox_state sandbox = {0};
    log_program("console");
    mallopt(M_ARENA_MAX, 1); /* further arenas read a file of /proc when they shrink */
    if (sodium_init() < 0)
        return 4;
    int rc = child_start(IPC_CONSOLE, &c.child);
    tzset(); /* reads a file, once; so does this, of the tables of JSON objects: */
    json_object_seed(randombytes_random() | 1u);
    if (!rc) {
        if (child_lock_memory())
            log_event("memory-not-locked", LOG_END);
        rc = enter_sandbox(&c.child, &sandbox);
    }
    if (!rc)
        rc = edges_new(c.child.supervisor, &c.edges);
    if (!rc)
        rc = signed_in_new(&c.signed_in);
    if (!rc)
        rc = serve_start(&c);
    if (!rc)
        rc = child_ready(&c.child, &sandbox);
    if (rc) {
        log_event("start-failed", LOG_ERR(rc), LOG_END);
        return 4;
    }
    run(&c);
    /* Requests under way end here: their connections close, and store and vault see it. Nothing else is to
     * be put in order. */
    _exit(0);
}
