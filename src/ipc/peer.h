#ifndef IPC_PEER_H
#define IPC_PEER_H
/*
 * One end of a connection between programs: frames in, frames out, never blocking unless asked.
 *
 * A peer owns its descriptor and its buffers (wiped when done: frames carry plaintext and keys). In
 * an event loop: register peer_fd for EPOLLIN, and for EPOLLOUT while peer_wants_write. Programs
 * without a loop (command line, store's threads) use peer_recv_wait and peer_flush_wait.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/msg.h"

struct peer;

struct frame {
    uint16_t msg;
    const uint8_t *p; /* borrowed until the next call on the peer */
    size_t len;
    int fd; /* -1 or a descriptor that the receiver now owns (CLOEXEC) */
};

/* Takes fd (sets O_NONBLOCK, CLOEXEC). `self` and `other` are the two ends' roles. */
int peer_new(int fd, enum ipc_role self, enum ipc_role other, struct peer **ret);
void peer_free(struct peer *p); /* NULL-safe; closes */
int peer_fd(const struct peer *p);

/* Queues a frame and tries to send. fd < 0: none; otherwise it is duplicated by the kernel, the
 * caller keeps his. ERR_FULL when too much waits, ERR_PEER when the other end is gone. */
int peer_send(struct peer *p, enum ipc_msg msg, const void *payload, size_t len, int fd);
/* Two pieces as one payload, to save a copy. */
int peer_send2(struct peer *p, enum ipc_msg msg, const void *a, size_t a_len, const void *b,
               size_t b_len);
bool peer_wants_write(const struct peer *p);
int peer_flush(struct peer *p); /* ERR_AGAIN: bytes are left */

/* One frame. ERR_AGAIN: none yet. ERR_PEER: closed. ERR_DENIED: not allowed on this edge; close. */
int peer_recv(struct peer *p, struct frame *ret);

/* Blocking forms; timeout_ms < 0 waits for ever; ERR_AGAIN on time-out. */
int peer_recv_wait(struct peer *p, struct frame *ret, int timeout_ms);
int peer_flush_wait(struct peer *p, int timeout_ms);

/* A program's way in: accepts from a listening unix socket, checks SO_PEERCRED (uid `owner` or root;
 * the peer's uid is returned) and waits for nothing: the first frame must be MSG_TOKEN and is checked
 * by peer_check_token (constant time). */
int peer_accept(int listen_fd, enum ipc_role self, unsigned owner, unsigned *ret_uid,
                struct peer **ret);
bool peer_check_token(const struct frame *f, const uint8_t token[32]);

#endif
