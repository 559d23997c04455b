/* Questions and their answers (console.h), on a request's own thread. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/console/console.h"

int ask_end(const struct frame *f, char text[ASK_TEXT]) {
    if (f->len < 4)
        return ERR_SYNTAX;
    const size_t n = f->len - 4 < ASK_TEXT - 1 ? f->len - 4 : ASK_TEXT - 1;
    memcpy(text, f->p + 4, n);
    text[n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
    return (int)(int32_t)get_u32(f->p);
}

int ask(struct peer *vault, const uint8_t *session, enum ipc_msg msg, const void *p, size_t len,
        ask_fn *each, void *arg, char text[ASK_TEXT]) {
    struct frame f;
    text[0] = 0;
    int rc = session ? peer_send(vault, MSG_AS, session, HTTP_SESSION_BYTES, -1) : 0;
    if (!rc)
        rc = peer_send(vault, msg, p, len, -1);
    if (!rc)
        rc = peer_flush_wait(vault, CONSOLE_ANSWER_MS);
    while (!rc) {
        rc = peer_recv_wait(vault, &f, CONSOLE_ANSWER_MS);
        if (!rc && f.msg == MSG_END)
            return ask_end(&f, text);
        if (!rc)
            rc = each ? each(arg, &f) : ERR_DENIED;
    }
    return rc;
}

int ask_frame(struct peer *p, int client_fd, struct frame *f, bool *left) {
    for (;;) {
        int rc = peer_recv(p, f);
        if (rc != ERR_AGAIN)
            return rc;
        struct pollfd fds[2] = {{.fd = peer_fd(p), .events = POLLIN}, {.fd = client_fd, .events = POLLRDHUP}};
        int n = poll(fds, 2, CONSOLE_ANSWER_MS);
        if (n < 0 && errno == EINTR)
            continue;
        *left = n > 0 && (fds[1].revents & (POLLRDHUP | POLLHUP | POLLERR));
        if (n <= 0 || *left)
            return ERR_PEER;
    }
}
