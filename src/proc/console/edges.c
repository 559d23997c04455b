/*
 * The console's edges (console.h): on them it says nothing but "here is one more connection". Each
 * request that needs one makes a pair of connected sockets and hands one end over; so requests do not wait
 * for each other, and the other program sees when one is given up. No socket is made that could reach
 * anything else.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "proc/console/console.h"

#define HAND_OVER_MS 2000

struct edges {
    pthread_mutex_t lock;
    struct peer *store, *vault; /* NULL: not there */
    struct peer *supervisor;    /* the main thread's, which reads from it; written to with the lock */
};

int edges_new(struct peer *supervisor, struct edges **ret) {
    struct edges *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    pthread_mutex_init(&e->lock, NULL);
    e->supervisor = supervisor;
    *ret = e;
    return 0;
}

static struct peer **end_of(struct edges *e, enum ipc_role role) {
    return role == IPC_STORE ? &e->store : role == IPC_VAULT ? &e->vault : &e->supervisor;
}

void edges_take(struct edges *e, enum ipc_role role, int fd) {
    struct peer *p;
    if (peer_new(fd, IPC_CONSOLE, role, &p)) {
        log_event("peer-refused", LOG_END);
        return;
    }
    pthread_mutex_lock(&e->lock);
    peer_free(*end_of(e, role));
    *end_of(e, role) = p;
    pthread_mutex_unlock(&e->lock);
}

static int hand_over(struct peer *p, int fd) {
    int rc = peer_send(p, MSG_CHANNEL, NULL, 0, fd);
    return rc ? rc : peer_flush_wait(p, HAND_OVER_MS);
}

int edges_channel(struct edges *e, enum ipc_role role, struct peer **ret) {
    int ends[2], rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
        return err_from_errno(errno);
    pthread_mutex_lock(&e->lock);
    struct peer **p = end_of(e, role);
    rc = *p ? hand_over(*p, ends[1]) : ERR_PEER;
    if (rc && *p && p != &e->supervisor) { /* the supervisor sends another when that program is there again */
        peer_free(*p);
        *p = NULL;
    }
    pthread_mutex_unlock(&e->lock);
    close(ends[1]);
    if (rc) {
        close(ends[0]);
        return ERR_PEER;
    }
    return peer_new(ends[0], IPC_CONSOLE, role, ret);
}
