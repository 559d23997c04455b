/*
 * Query threads of safehouse-store (serve.h). The engine's calls block, so each client at work has a
 * thread; WORKERS of them share the listening socket, which is non-blocking: who comes too late for a
 * client goes back to waiting. `stop` is an eventfd that makes every wait return.
 *
 * A client: MSG_TOKEN first, then MSG_QUERY as often as it likes, each answered by MSG_DATA and
 * MSG_END. Statements and results pass through and are logged nowhere.
 */
#include "proc/store/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"

#define WORKERS 4
#define IDLE_MS 15000   /* between two frames of a client */
#define SEND_MS 30000   /* for a client to take a piece of its result */
#define STOP_S 3        /* for a statement to end when the store stops */
#define PIECE (1u << 20) /* of one MSG_DATA */

struct worker {
    struct serve *serve;
    struct store_reader *reader;
    pthread_t thread;
    bool started;
};

struct serve {
    const struct child *child;
    int stop;
    struct worker workers[WORKERS];
};

static bool stopping(const struct serve *v) {
    struct pollfd p = {.fd = v->stop, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* True when fd can be read; false when the store stops or the time is up. */
static bool wait_for(const struct serve *v, int fd, int timeout_ms) {
    struct pollfd p[2] = {{.fd = v->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int n;
    do
        n = poll(p, 2, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0 && !p[0].revents && p[1].revents;
}

struct sink {
    const struct serve *serve;
    struct peer *peer;
};

static int send_piece(void *arg, const void *p, size_t len) {
    struct sink *s = arg;
    const uint8_t *at = p;
    while (len > 0) {
        size_t n = len < PIECE ? len : PIECE;
        if (stopping(s->serve))
            return ERR_PEER;
        int rc = peer_send(s->peer, MSG_DATA, at, n, -1);
        if (!rc)
            rc = peer_flush_wait(s->peer, SEND_MS);
        if (rc)
            return ERR_PEER;
        at += n;
        len -= n;
    }
    return 0;
}

static int send_end(struct peer *peer, int code, const char *text) {
    uint8_t end[4 + STORE_WHY_BYTES];
    size_t n = strnlen(text, STORE_WHY_BYTES);
    put_u32(end, (uint32_t)code);
    memcpy(end + 4, text, n);
    int rc = peer_send(peer, MSG_END, end, 4 + n, -1);
    return rc ? rc : peer_flush_wait(peer, SEND_MS);
}

/* u16 n | n format | SQL */
static int answer_query(struct worker *w, struct peer *peer, const struct frame *f) {
    struct store_answer a;
    struct sink s = {w->serve, peer};
    size_t n = f->len >= 2 ? get_u16(f->p) : 0;
    if (f->len < 2 || n > f->len - 2)
        return ERR_SYNTAX;
    const struct store_question q = {.format = (const char *)f->p + 2, .format_len = n,
                                     .sql = (const char *)f->p + 2 + n, .sql_len = f->len - 2 - n};
    int rc = store_reader_query(w->reader, &q, send_piece, &s, &a);
    return rc == ERR_PEER ? rc : send_end(peer, rc, a.why);
}

static int next_frame(struct worker *w, struct peer *peer, struct frame *f) {
    for (;;) {
        int rc = peer_recv(peer, f);
        if (rc != ERR_AGAIN)
            return rc;
        if (!wait_for(w->serve, peer_fd(peer), IDLE_MS))
            return ERR_PEER;
    }
}

static void serve_client(struct worker *w, struct peer *peer) {
    struct frame f;
    int rc = next_frame(w, peer, &f);
    if (!rc && !peer_check_token(&f, w->serve->child->token))
        rc = send_end(peer, ERR_UNAUTHENTICATED, err_text(ERR_UNAUTHENTICATED));
    else
        while (!rc) {
            rc = next_frame(w, peer, &f);
            if (rc)
                break;
            if (f.fd >= 0)
                close(f.fd);
            rc = f.msg == MSG_QUERY ? answer_query(w, peer, &f) : ERR_DENIED;
        }
    peer_free(peer);
}

static void *work(void *arg) {
    struct worker *w = arg;
    const struct child *c = w->serve->child;
    while (!stopping(w->serve)) {
        struct peer *peer;
        unsigned uid;
        if (!wait_for(w->serve, c->listen_fd, -1))
            continue;
        if (peer_accept(c->listen_fd, IPC_STORE, c->owner_uid, &uid, &peer) == 0)
            serve_client(w, peer);
    }
    return NULL;
}

int serve_start(struct serve **ret, const struct child *c, struct store *s) {
    const struct store_terms owner = {.all = true};
    struct serve *v = calloc(1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    v->child = c;
    v->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = v->stop < 0 ? err_from_errno(errno) : 0;
    if (!rc && fcntl(c->listen_fd, F_SETFL, fcntl(c->listen_fd, F_GETFL) | O_NONBLOCK) < 0)
        rc = err_from_errno(errno);
    for (int i = 0; !rc && i < WORKERS; i++) {
        struct worker *w = &v->workers[i];
        w->serve = v;
        rc = store_reader_open(s, &owner, &w->reader);
        if (!rc && pthread_create(&w->thread, NULL, work, w))
            rc = ERR_NOMEM;
        w->started = !rc;
    }
    if (rc) {
        (void)serve_stop(v);
        return rc;
    }
    *ret = v;
    return 0;
}

int serve_stop(struct serve *v) {
    int rc = 0;
    struct timespec until;
    if (!v)
        return 0;
    if (v->stop >= 0 && write(v->stop, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        return err_from_errno(errno);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_S;
    for (int i = 0; i < WORKERS; i++) {
        struct worker *w = &v->workers[i];
        if (w->started && pthread_timedjoin_np(w->thread, NULL, &until))
            rc = ERR_AGAIN;
        else
            store_reader_close(w->reader);
    }
    if (rc)
        return rc;
    if (v->stop >= 0)
        close(v->stop);
    free(v);
    return 0;
}
