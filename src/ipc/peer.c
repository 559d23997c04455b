/*
 * Framed connections between programs (peer.h). Every program links it. A peer owns its descriptor
 * and two buffers; both are wiped, because frames carry plaintext, passphrases and keys.
 *
 * Descriptors ride on the first byte of their frame. The kernel may glue bytes in front of a
 * descriptor to it on receipt, so received descriptors queue up and are handed out, in order, to the
 * frames of those kinds that carry one (carries_fd).
 */
#include "ipc/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"

#define QUEUE_MAX (LIMIT_CELL + LIMIT_FRAME)
#define READ_BYTES 65536u
#define FDS_MAX 8

struct out_fd {
    size_t at; /* offset in `out` of the byte that it rides on */
    int fd;    /* ours */
};

struct peer {
    int fd;
    enum ipc_role self, other;
    struct buf in, out;
    size_t in_used;   /* bytes of `in` that were handed out */
    size_t out_sent;  /* bytes of `out` that are gone */
    int in_fds[FDS_MAX];
    size_t in_fd_count;
    struct out_fd out_fds[FDS_MAX];
    size_t out_fd_count;
};

static int carries_fd(uint16_t msg) {
    return msg == MSG_PEER || msg == MSG_INSERT || msg == MSG_DESCRIPTOR || msg == MSG_LEDGER_IS ||
           msg == MSG_CHANNEL;
}

int peer_new(int fd, enum ipc_role self, enum ipc_role other, struct peer **ret) {
    struct peer *p = calloc(1, sizeof *p);
    int flags = fcntl(fd, F_GETFL);
    if (!p || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        int rc = p ? err_from_errno(errno) : ERR_NOMEM;
        free(p);
        close(fd);
        return rc;
    }
    p->fd = fd;
    p->self = self;
    p->other = other;
    buf_init(&p->in, LIMIT_CELL + IPC_HEADER_BYTES + READ_BYTES);
    buf_init(&p->out, QUEUE_MAX);
    *ret = p;
    return 0;
}

void peer_free(struct peer *p) {
    if (!p)
        return;
    for (size_t i = 0; i < p->in_fd_count; i++)
        close(p->in_fds[i]);
    for (size_t i = 0; i < p->out_fd_count; i++)
        close(p->out_fds[i].fd);
    buf_wipe(&p->in);
    buf_wipe(&p->out);
    close(p->fd);
    free(p);
}

int peer_fd(const struct peer *p) {
    return p->fd;
}

bool peer_wants_write(const struct peer *p) {
    return p->out_sent < p->out.len;
}

/* Sends one run of bytes, with the descriptor that rides on its first byte if there is one. */
static ssize_t send_run(struct peer *p) {
    size_t end = p->out.len;
    int fd = -1;
    if (p->out_fd_count > 0 && p->out_fds[0].at == p->out_sent) {
        fd = p->out_fds[0].fd;
        if (p->out_fd_count > 1)
            end = p->out_fds[1].at;
    } else if (p->out_fd_count > 0) {
        end = p->out_fds[0].at;
    }
    struct iovec iov = {p->out.p + p->out_sent, end - p->out_sent};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n = sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0 && fd >= 0) {
        close(fd);
        p->out_fd_count--;
        memmove(p->out_fds, p->out_fds + 1, p->out_fd_count * sizeof p->out_fds[0]);
    }
    return n;
}

int peer_flush(struct peer *p) {
    while (peer_wants_write(p)) {
        ssize_t n = send_run(p);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_PEER;
        p->out_sent += (size_t)n;
    }
    buf_clear(&p->out);
    p->out_sent = 0;
    return 0;
}

static int enqueue(struct peer *p, enum ipc_msg msg, const void *a, size_t a_len, const void *b,
                   size_t b_len, int fd) {
    uint8_t header[IPC_HEADER_BYTES];
    int rc = ipc_allowed((uint16_t)msg, p->self, p->other, a_len + b_len);
    CHECK(rc != ERR_DENIED);
    if (rc)
        return rc;
    rc = buf_reserve(&p->out, sizeof header + a_len + b_len);
    if (rc)
        return rc == ERR_LIMIT ? ERR_FULL : rc;
    if (fd >= 0) {
        int own = p->out_fd_count < FDS_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
        if (own < 0)
            return ERR_FULL;
        p->out_fds[p->out_fd_count++] = (struct out_fd){p->out.len, own};
    }
    put_u32(header, (uint32_t)(a_len + b_len));
    put_u16(header + 4, (uint16_t)msg);
    put_u16(header + 6, IPC_VERSION);
    CHECK(buf_append(&p->out, header, sizeof header) == 0);
    CHECK(buf_append(&p->out, a, a_len) == 0);
    CHECK(buf_append(&p->out, b, b_len) == 0);
    rc = peer_flush(p);
    return rc == ERR_AGAIN ? 0 : rc;
}

int peer_send(struct peer *p, enum ipc_msg msg, const void *payload, size_t len, int fd) {
    return enqueue(p, msg, payload, len, NULL, 0, fd);
}

int peer_send2(struct peer *p, enum ipc_msg msg, const void *a, size_t a_len, const void *b,
               size_t b_len) {
    return enqueue(p, msg, a, a_len, b, b_len, -1);
}

static void take_fds(struct peer *p, struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (p->in_fd_count < FDS_MAX)
                p->in_fds[p->in_fd_count++] = fd;
            else
                close(fd);
        }
    }
}

/* Reads what is there into `in`, after dropping (and zeroing) what was handed out. */
static int fill(struct peer *p) {
    if (p->in_used > 0) {
        size_t left = p->in.len - p->in_used;
        memmove(p->in.p, p->in.p + p->in_used, left);
        explicit_bzero(p->in.p + left, p->in_used);
        p->in.len = left;
        p->in_used = 0;
    }
    int rc = buf_reserve(&p->in, READ_BYTES);
    if (rc)
        return rc;
    union {
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {p->in.p + p->in.len, READ_BYTES};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do
        n = recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_PEER;
    take_fds(p, &m);
    if (n == 0)
        return ERR_PEER;
    p->in.len += (size_t)n;
    return 0;
}

/* 0 and the frame, or ERR_AGAIN when it is not whole yet. */
static int parse(struct peer *p, struct frame *ret) {
    size_t have = p->in.len - p->in_used;
    if (have < IPC_HEADER_BYTES)
        return ERR_AGAIN;
    const uint8_t *at = p->in.p + p->in_used;
    size_t len = get_u32(at);
    uint16_t msg = get_u16(at + 4);
    if (get_u16(at + 6) != IPC_VERSION)
        return ERR_VERSION;
    if (ipc_allowed(msg, p->other, p->self, len))
        return ERR_DENIED;
    if (have - IPC_HEADER_BYTES < len)
        return ERR_AGAIN;
    *ret = (struct frame){.msg = msg, .p = at + IPC_HEADER_BYTES, .len = len, .fd = -1};
    if (carries_fd(msg) && p->in_fd_count > 0) {
        ret->fd = p->in_fds[0];
        p->in_fd_count--;
        memmove(p->in_fds, p->in_fds + 1, p->in_fd_count * sizeof p->in_fds[0]);
    }
    p->in_used += IPC_HEADER_BYTES + len;
    return 0;
}

int peer_recv(struct peer *p, struct frame *ret) {
    for (;;) {
        int rc = parse(p, ret);
        if (rc != ERR_AGAIN)
            return rc;
        rc = fill(p);
        if (rc)
            return rc;
    }
}

/* Waits for `events`; what is left of the time is taken from *left_ms (negative: for ever). */
static int wait_for(const struct peer *p, short events, int *left_ms) {
    struct pollfd f = {.fd = p->fd, .events = events};
    uint64_t began = clock_mono_ns();
    int n = poll(&f, 1, *left_ms);
    if (n < 0 && errno != EINTR)
        return ERR_IO;
    if (*left_ms >= 0) {
        int spent = (int)((clock_mono_ns() - began) / 1000000u);
        *left_ms = spent < *left_ms ? *left_ms - spent : 0;
        if (n == 0)
            return ERR_AGAIN;
    }
    return 0;
}

int peer_recv_wait(struct peer *p, struct frame *ret, int timeout_ms) {
    for (;;) {
        int rc = peer_recv(p, ret);
        if (rc != ERR_AGAIN)
            return rc;
        rc = wait_for(p, POLLIN, &timeout_ms);
        if (rc)
            return rc;
    }
}

int peer_flush_wait(struct peer *p, int timeout_ms) {
    for (;;) {
        int rc = peer_flush(p);
        if (rc != ERR_AGAIN)
            return rc;
        rc = wait_for(p, POLLOUT, &timeout_ms);
        if (rc)
            return rc;
    }
}

int peer_accept(int listen_fd, enum ipc_role self, unsigned owner, unsigned *ret_uid,
                struct peer **ret) {
    struct ucred who;
    socklen_t len = sizeof who;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return err_from_errno(errno);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
        (who.uid != owner && who.uid != 0)) {
        close(fd);
        return ERR_DENIED;
    }
    *ret_uid = who.uid;
    return peer_new(fd, self, IPC_CLIENT, ret);
}

bool peer_check_token(const struct frame *f, const uint8_t token[32]) {
    return f->msg == MSG_TOKEN && f->len == 32 && sodium_memcmp(f->p, token, 32) == 0;
}
