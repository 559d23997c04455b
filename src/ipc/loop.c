/* The epoll loop of loop.h. Watches live in a table indexed by descriptor. */
#include "ipc/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"

#define FDS_MAX 1024
#define EVENTS_MAX 64

struct watch {
    loop_fn *fn; /* NULL: not watched */
    void *arg;
};

struct loop {
    int epoll;
    bool stopped;
    struct watch watch[FDS_MAX];
};

int loop_new(struct loop **ret) {
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        free(l);
        return err_from_errno(errno);
    }
    *ret = l;
    return 0;
}

void loop_free(struct loop *l) {
    if (!l)
        return;
    close(l->epoll);
    free(l);
}

int loop_watch(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg) {
    if (fd < 0 || fd >= FDS_MAX)
        return ERR_LIMIT;
    struct epoll_event e = {.events = events, .data.fd = fd};
    int op = l->watch[fd].fn ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int rc = epoll_ctl(l->epoll, op, fd, &e);
    if (rc < 0 && errno == ENOENT) /* the descriptor was closed and its number came back */
        rc = epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
    if (rc < 0)
        return err_from_errno(errno);
    l->watch[fd] = (struct watch){fn, arg};
    return 0;
}

void loop_forget(struct loop *l, int fd) {
    if (fd < 0 || fd >= FDS_MAX || !l->watch[fd].fn)
        return;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
    l->watch[fd] = (struct watch){0};
}

int loop_run(struct loop *l, loop_tick_fn *tick, void *arg, int tick_ms) {
    while (!l->stopped) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(l->epoll, events, EVENTS_MAX, tick_ms);
        if (n < 0 && errno != EINTR)
            return err_from_errno(errno);
        for (int i = 0; i < n; i++) {
            struct watch w = l->watch[events[i].data.fd];
            if (w.fn)
                w.fn(w.arg, events[i].events);
        }
        if (tick)
            tick_ms = tick(arg);
    }
    return 0;
}

void loop_stop(struct loop *l) {
    l->stopped = true;
}
