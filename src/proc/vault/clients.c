/*
 * The command line's connections: D/run/vault.sock. A client's first frame is the token; then it
 * says UNLOCK, LOCK, STATUS, or a reason, cells and GO, as often as it likes. And the console's channels,
 * which it hands over on its own connection: they need no token, and are nobody without a session.
 *
 * No client holds up another or the sealer: while its answers wait for the socket nothing more is
 * read from it and nothing more is opened for it, and what is opened is one cell after the other,
 * with a look at the others every few milliseconds. What waits for a client is at most one frame,
 * and a lock does not leave even that.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/client.h"

#define TOKEN_NS 5000000000ull /* within which the token must come */
#define CLIENT_TURN_NS 4000000ull

#define GUESSES_MAX 3 /* sessions that there are not, on one connection */

/* ---- coming and going ---- */

static void hang_up(struct vault *v, struct client *c) {
    if (c->peer)
        loop_forget(v->loop, peer_fd(c->peer));
    peer_free(c->peer);
    c->peer = NULL;
}

static void drop(struct vault *v, struct client *c) {
    v->channel_count -= c->channel;
    erase_client_gone(v, c);
    renew_client_gone(v, c);
    waiting_free(v, c);
    hang_up(v, c);
    opening_free(c->opening);
    plan_free(c->plan);
    sodium_memzero(c, sizeof *c);
    free(c);
}

static void on_listen(void *arg, uint32_t events);

static void watch_listen(struct vault *v) {
    if (v->client_count - v->channel_count == VAULT_CLIENTS_MAX)
        loop_forget(v->loop, v->child.listen_fd); /* who comes now waits */
    else if (loop_watch(v->loop, v->child.listen_fd, EPOLLIN, on_listen, v))
        log_event("watch-failed", LOG_END);
}

static void on_listen(void *arg, uint32_t events) {
    struct vault *v = arg;
    (void)events;
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return;
    int rc = peer_accept(v->child.listen_fd, IPC_VAULT, v->child.owner_uid, &c->uid, &c->peer);
    if (rc) {
        if (rc == ERR_DENIED)
            log_event("client-refused", LOG_ERR(rc), LOG_END);
        free(c);
        return;
    }
    c->since_ns = clock_mono_ns();
    v->clients[v->client_count++] = c;
    vault_watch(v, c->peer, true);
    watch_listen(v);
}

int clients_start(struct vault *v) {
    int fd = v->child.listen_fd;
    if (fd < 0)
        return ERR_USAGE;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        return err_from_errno(errno);
    watch_listen(v);
    return 0;
}

/* Whoever takes the console over must not be the owner: its channels have a role of their own. */
static void take_channel(struct vault *v, int fd) {
    struct client *c = v->channel_count < VAULT_CHANNELS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    c->known = c->channel = true;
    c->uid = v->child.owner_uid; /* what the ledger has of unix users; the person stands beside it */
    c->since_ns = clock_mono_ns();
    if (peer_new(fd, IPC_VAULT, IPC_CONSOLE, &c->peer)) {
        free(c);
        return;
    }
    v->clients[v->client_count++] = c;
    v->channel_count++;
    vault_watch(v, c->peer, true);
}

static void drop_console(struct vault *v) {
    if (v->console)
        loop_forget(v->loop, peer_fd(v->console));
    peer_free(v->console);
    v->console = NULL;
}

void clients_console(struct vault *v, int fd) {
    drop_console(v);
    if (peer_new(fd, IPC_VAULT, IPC_CONSOLE, &v->console))
        v->console = NULL;
    else
        vault_watch(v, v->console, true);
}

void clients_console_turn(struct vault *v) {
    struct frame f;
    int rc = v->console ? 0 : ERR_AGAIN;
    while (!rc && (rc = peer_recv(v->console, &f)) == 0) {
        if (f.msg == MSG_CHANNEL && f.fd >= 0)
            take_channel(v, f.fd);
        else
            rc = ERR_DENIED;
        if (rc && f.fd >= 0)
            close(f.fd);
    }
    if (rc != ERR_AGAIN)
        drop_console(v);
}

void clients_stop(struct vault *v) {
    drop_console(v);
    while (v->client_count)
        drop(v, v->clients[--v->client_count]);
}

void client_after(struct vault *v, struct client *c, int rc) {
    if (rc)
        hang_up(v, c);
    else
        vault_watch(v, c->peer, !c->waiting);
}

void clients_answer(struct vault *v, struct client *c, int rc, const struct answer *a) {
    c->later = false;
    if (c->peer && client_send(c, rc, a))
        hang_up(v, c);
}

/* ---- turns ---- */

static int take_frame(struct vault *v, struct client *c, const struct frame *f) {
    v->traces = true;
    int rc = client_request(v, c, f);
    return !rc && c->guesses >= GUESSES_MAX ? ERR_UNAUTHENTICATED : rc;
}

/* 0: there is more to do at once. ERR_AGAIN: it waits for the client, or the client for the helper. */
static int client_turn(struct vault *v, struct client *c) {
    const uint64_t until = clock_mono_ns() + CLIENT_TURN_NS;
    struct frame f;
    int rc = c->peer ? peer_flush(c->peer) : ERR_PEER;
    if (!rc && c->answering)
        rc = open_still(c);
    while (!rc && !c->waiting && clock_mono_ns() < until) {
        if (c->answering)
            rc = open_answer(v, c);
        else if (c->later)
            rc = ERR_AGAIN;
        else if ((rc = peer_recv(c->peer, &f)) == 0)
            rc = take_frame(v, c, &f);
        if (!rc && peer_wants_write(c->peer))
            rc = ERR_AGAIN;
    }
    if (!rc && c->waiting)
        rc = ERR_AGAIN;
    if (rc == ERR_AGAIN && !c->known && clock_mono_ns() - c->since_ns > TOKEN_NS)
        return ERR_UNAUTHENTICATED;
    return rc;
}

/* Whose turn was: in its place, or NULL after it was dropped. */
static struct client *after_turn(struct vault *v, struct client *c, int rc) {
    if (!rc || rc == ERR_AGAIN) {
        vault_watch(v, c->peer, !c->answering && !c->waiting && !peer_wants_write(c->peer));
        return c;
    }
    if (rc != ERR_PEER)
        log_event("client-dropped", LOG_ERR(rc), LOG_END);
    drop(v, c);
    return NULL;
}

static void close_ranks(struct vault *v) {
    const size_t before = v->client_count;
    v->client_count = 0;
    for (size_t i = 0; i < before; i++)
        if (v->clients[i])
            v->clients[v->client_count++] = v->clients[i];
    if (v->client_count != before)
        watch_listen(v);
}

int clients_turn(struct vault *v) {
    const uint64_t until = clock_mono_ns() + VAULT_TURN_NS;
    const size_t count = v->client_count, first = count ? v->client_first++ % count : 0;
    int ms = -1;
    for (size_t n = 0; n < count; n++) {
        struct client **c = &v->clients[(first + n) % count];
        if (clock_mono_ns() > until) {
            ms = 0; /* the others are first, some other time */
            break;
        }
        int rc = client_turn(v, *c);
        *c = after_turn(v, *c, rc);
        if (!rc)
            ms = 0;
        else if (*c && !(*c)->known && ms < 0)
            ms = (int)(TOKEN_NS / 1000000u);
    }
    close_ranks(v);
    if (v->traces)
        traces_wipe();
    v->traces = false;
    return ms;
}

void clients_locked(struct vault *v) {
    for (size_t i = 0; i < v->client_count; i++) {
        struct client *c = v->clients[i];
        if (!c || !c->answering)
            continue;
        open_end(c);
        if (peer_wants_write(c->peer) || client_end(c, ERR_LOCKED, err_text(ERR_LOCKED)))
            hang_up(v, c); /* plaintext waits in its buffer */
    }
}
