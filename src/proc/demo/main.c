/*
 * safehouse-demo-upstream: answers the gateway on loopback when there is no real provider, so that
 * a first try works without an account. The supervisor passes a listening socket (SH_LISTEN_FD) and
 * nothing else; the program has a user and an empty folder of its own, and is sandboxed before it
 * reads its first byte: no file, no connection of its own making.
 *
 * One process, one poll loop, CONNECTIONS at a time. A connection: read a request, answer it at
 * once or in pieces PIECE_MS apart, again. What a client sent is wiped when it is answered.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "ipc/child.h"
#include "proc/demo/demo.h"

#define CONNECTIONS 256
#define PIECE_MS 25
#define PIECE_NS (PIECE_MS * 1000000ull)
#define READ_BYTES 65536u
#define OUT_MAX (1u << 20)

struct connection {
    int fd; /* -1: a free place */
    struct buf in, out;
    size_t sent;
    struct demo_request request;
    bool streaming, usage;
    unsigned piece;
    uint64_t piece_ns; /* when the next one is due */
    bool closing;      /* after what is in `out` */
};

static struct connection connections[CONNECTIONS];

static void drop(struct connection *c) {
    close(c->fd);
    buf_wipe(&c->in);
    buf_wipe(&c->out);
    c->fd = -1;
}

static void accept_one(int listen_fd) {
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd < 0) {
            connections[i] = (struct connection){.fd = fd};
            buf_init(&connections[i].in, DEMO_HEAD_MAX + LIMIT_REQUEST_BODY + READ_BYTES);
            buf_init(&connections[i].out, OUT_MAX);
            return;
        }
    close(fd);
}

/* ---- one request ---- */

static uint64_t now_s(void) {
    return clock_wall_us() / 1000000u;
}

/* Forgets the request that was answered; what came behind it stays. */
static void next_request(struct connection *c) {
    size_t used = c->request.head + (size_t)c->request.body, rest = c->in.len - used;
    memmove(c->in.p, c->in.p + used, rest);
    explicit_bzero(c->in.p + rest, used);
    c->in.len = rest;
    c->streaming = false;
}

static int refuse(struct connection *c, int status, const char *message) {
    c->closing = true;
    return demo_error(&c->out, status, message);
}

static int answer_chat(struct connection *c) {
    const uint8_t *body = c->in.p + c->request.head;
    size_t len = (size_t)c->request.body;
    if (!demo_flag(body, len, "stream", 1)) {
        int rc = demo_answer(&c->out, len, now_s());
        next_request(c);
        return rc;
    }
    c->streaming = true;
    c->usage = demo_flag(body, len, "include_usage", 2);
    c->piece = 0;
    c->piece_ns = clock_mono_ns();
    return demo_stream_head(&c->out);
}

/* Answers what is whole. 0 also when nothing is. */
static int answer(struct connection *c) {
    while (!c->streaming && !c->closing) {
        int rc = demo_request(c->in.p, c->in.len, &c->request);
        if (rc == ERR_AGAIN)
            return 0;
        if (rc)
            return refuse(c, 400, "this request is not understood");
        if (c->in.len - c->request.head < c->request.body)
            return 0;
        if (c->request.path == DEMO_CHAT && c->request.post) {
            rc = answer_chat(c);
        } else if (c->request.path == DEMO_MODELS && !c->request.post) {
            rc = demo_models(&c->out);
            next_request(c);
        } else {
            return refuse(c, 404, "it knows chat completions and models only");
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int stream(struct connection *c, uint64_t now) {
    bool last = false;
    if (!c->streaming || now < c->piece_ns || c->out.len)
        return 0;
    c->piece_ns = now + PIECE_NS;
    int rc = demo_stream_piece(&c->out, c->piece++, c->usage, c->request.body, now_s(), &last);
    if (last)
        next_request(c);
    return rc;
}

/* ---- input and output ---- */

static int read_some(struct connection *c) {
    int rc = buf_reserve(&c->in, READ_BYTES);
    if (rc)
        return rc;
    ssize_t n = read(c->fd, c->in.p + c->in.len, READ_BYTES);
    if (n == 0)
        return ERR_PEER;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : ERR_PEER;
    c->in.len += (size_t)n;
    return 0;
}

static int write_some(struct connection *c) {
    while (c->sent < c->out.len) {
        ssize_t n = write(c->fd, c->out.p + c->sent, c->out.len - c->sent);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : ERR_PEER;
        c->sent += (size_t)n;
    }
    buf_clear(&c->out);
    c->sent = 0;
    return c->closing ? ERR_PEER : 0;
}

static void serve(struct connection *c, short events, uint64_t now) {
    int rc = events & (POLLIN | POLLHUP | POLLERR) ? read_some(c) : 0;
    if (!rc)
        rc = answer(c);
    if (!rc)
        rc = stream(c, now);
    if (!rc && c->out.len)
        rc = write_some(c);
    if (rc)
        drop(c);
}

static int wait_ms(uint64_t now) {
    int ms = -1;
    for (int i = 0; i < CONNECTIONS; i++) {
        const struct connection *c = &connections[i];
        if (c->fd < 0 || !c->streaming || c->out.len)
            continue;
        int left = c->piece_ns > now ? (int)((c->piece_ns - now) / 1000000u) + 1 : 0;
        ms = ms < 0 || left < ms ? left : ms;
    }
    return ms;
}

static void loop(int listen_fd) {
    for (;;) {
        struct pollfd p[CONNECTIONS + 1];
        for (int i = 0; i < CONNECTIONS; i++)
            p[i] =
                (struct pollfd){.fd = connections[i].fd,
                                .events = (short)(POLLIN | (connections[i].out.len ? POLLOUT : 0))};
        p[CONNECTIONS] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
        if (poll(p, CONNECTIONS + 1, wait_ms(clock_mono_ns())) < 0 && errno != EINTR)
            return;
        uint64_t now = clock_mono_ns();
        for (int i = 0; i < CONNECTIONS; i++)
            if (connections[i].fd >= 0)
                serve(&connections[i], p[i].revents, now);
        if (p[CONNECTIONS].revents)
            accept_one(listen_fd);
    }
}

static int confine(void) {
    const char *wish = getenv("SH_SANDBOX");
    struct sandbox_state state;
    const struct sandbox_spec spec = {.best_effort = wish && strcmp(wish, "best-effort") == 0};
    return prctl(PR_SET_DUMPABLE, 0) ? err_from_errno(errno) : sandbox_enter(&spec, &state);
}

int main(void) {
    const char *text = getenv("SH_LISTEN_FD");
    int fd = text ? atoi(text) : -1;
    log_program("demo");
    signal(SIGPIPE, SIG_IGN);
    int rc = fd < 0 ? ERR_USAGE : confine();
    if (rc) {
        log_event("start-failed", LOG_ERR(rc), LOG_END);
        return 4;
    }
    for (int i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    loop(fd);
    return 4;
}
