/*
 * The command line's way into a running installation (dial.h). In a folder of its own, because the
 * programs behind the sockets must not contain socket() or connect().
 */
#include "ipc/dial/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

static int read_token(const char *dir, uint8_t token[32]) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/run/token", dir) >= (int)sizeof path)
        return ERR_LIMIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    ssize_t n = read(fd, token, 32);
    close(fd);
    return n == 32 ? 0 : ERR_CORRUPT;
}

int dial(const char *dir, const char *name, enum ipc_role other, struct peer **ret) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    uint8_t token[32];
    if (snprintf(a.sun_path, sizeof a.sun_path, "%s/run/%s.sock", dir, name) >=
        (int)sizeof a.sun_path)
        return ERR_LIMIT;
    int rc = read_token(dir, token);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        rc = err_from_errno(errno);
        close(fd);
    } else {
        rc = peer_new(fd, IPC_CLIENT, other, ret);
        if (!rc && (rc = peer_send(*ret, MSG_TOKEN, token, sizeof token, -1)) != 0) {
            peer_free(*ret);
            *ret = NULL;
        }
    }
    sodium_memzero(token, sizeof token);
    return rc;
}
