/* Any bytes on a connection, in pieces: only allowed frames come out, whole and in order, and after
 * the first mistake nothing does. The first byte says which edge, the second how long a piece is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "ipc/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes what is there; false after a mistake. *at: where the next frame must begin in data. */
static bool take(struct peer *p, enum ipc_role from, enum ipc_role to, const uint8_t *data,
                 size_t *at) {
    struct frame f;
    int rc;
    while ((rc = peer_recv(p, &f)) == 0) {
        if (ipc_allowed(f.msg, from, to, f.len) || f.msg != get_u16(data + *at + 4) ||
            f.len != get_u32(data + *at) || f.fd != -1 ||
            memcmp(f.p, data + *at + IPC_HEADER_BYTES, f.len) != 0)
            abort();
        *at += IPC_HEADER_BYTES + f.len;
    }
    if (rc != ERR_AGAIN && peer_recv(p, &f) != rc)
        abort();
    return rc == ERR_AGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fds[2];
    struct peer *p;
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        return 0;
    enum ipc_role from = 1 + data[0] % 6u, to = 1 + data[0] / 6 % 6u;
    size_t step = data[1] * 16u + 1, at = 0;
    data += 2;
    size -= 2;
    if (peer_new(fds[0], to, from, &p))
        abort();
    for (size_t sent = 0; sent < size;) {
        size_t n = size - sent < step ? size - sent : step;
        if (write(fds[1], data + sent, n) != (ssize_t)n)
            abort();
        sent += n;
        if (!take(p, from, to, data, &at))
            break;
    }
    peer_free(p);
    close(fds[1]);
    return 0;
}
