/*
 * Clients of D/run/control.sock: the command line's status, what keys used, and its wishes that
 * control.db or the configuration be read again. A client must show the token first; whoever is
 * silent, slow or talks out of turn is dropped.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/supervisor/supervisor_int.h"

#define IDLE_NS (15000 * MS)
#define RETENTION_NS (600000 * MS)
#define CONFIGURE_NS (60000 * MS) /* two reloads in a row, the first one's workers too slow */
#define USAGE_NS (500 * MS)       /* how long a status waits for the sealer's figures */

static void read_client(void *arg, uint32_t events);

static void drop(struct client *c) {
    struct supervisor *s = c->supervisor;
    loop_forget(s->loop, peer_fd(c->peer));
    peer_free(c->peer);
    *c = (struct client){.supervisor = s};
}

/* After frames were queued. */
static void watch(struct client *c) {
    uint32_t events = EPOLLIN | (peer_wants_write(c->peer) ? EPOLLOUT : 0u);
    if (loop_watch(c->supervisor->loop, peer_fd(c->peer), events, read_client, c))
        drop(c);
}

static void answer_end(struct client *c, int code, const char *text) {
    uint8_t end[4 + 2048];
    size_t n = strnlen(text, sizeof end - 4);
    put_u32(end, (uint32_t)code);
    memcpy(end + 4, text, n);
    c->want = WANT_NOTHING;
    c->end_ns = clock_mono_ns() + IDLE_NS;
    if (peer_send(c->peer, MSG_END, end, 4 + n, -1))
        drop(c);
    else
        watch(c);
}

static int send_object(void *arg, json_t *o) {
    struct client *c = arg;
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    int rc = text ? peer_send(c->peer, MSG_STATUS_IS, text, strlen(text), -1) : ERR_NOMEM;
    free(text);
    return rc;
}

static void answer_status(struct client *c) {
    int rc = send_object(c, report(c->supervisor));
    answer_end(c, rc, rc ? err_text(rc) : "");
}

static void answer_usage(struct client *c) {
    int rc = accounts_usage(c->supervisor, send_object, c);
    answer_end(c, rc, rc ? err_text(rc) : "");
}

static void answer_attach(struct client *c) {
    struct supervisor *s = c->supervisor;
    struct gateway_fd list[GATEWAY_FDS];
    if (!own_nginx(s) || s->stopping) {
        answer_end(c, ERR_USAGE,
                   s->stopping ? "safehouse up is being stopped"
                               : "safehouse up has started an nginx itself; to attach another one "
                                 "set gateway.nginx: own, and start it again");
        return;
    }
    size_t n = own_descriptors(s, list);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = peer_send(c->peer, MSG_DESCRIPTOR, list[i].variable, strlen(list[i].variable),
                       list[i].fd);
    log_event("attached", LOG_WORD("result", rc ? err_name(rc) : "ok"), LOG_END);
    answer_end(c, rc, rc ? err_text(rc) : "");
}

/* ---- requests ---- */

static void want_status(struct client *c) {
    struct supervisor *s = c->supervisor;
    struct program *sealer = &s->programs[PROGRAM_SEALER];
    if (sealer->state != STATE_RUNNING) {
        answer_status(c);
        return;
    }
    c->want = WANT_STATUS;
    c->end_ns = clock_mono_ns() + USAGE_NS;
    program_send(sealer, MSG_USAGE, NULL, 0, -1);
}

/* 0 or ERR_* that ends the client. It may be gone in any case: look at c->peer. */
static int handle(struct client *c, const struct frame *f) {
    if (f->fd >= 0)
        close(f->fd);
    if (!c->known) {
        c->known = peer_check_token(f, c->supervisor->token);
        return c->known ? 0 : ERR_DENIED;
    }
    if (c->want != WANT_NOTHING)
        return ERR_DENIED; /* one thing at a time */
    if (f->msg == MSG_STATUS) {
        want_status(c);
        return 0;
    }
    if (f->msg == MSG_LIMITS) {
        answer_usage(c);
        return 0;
    }
    if (f->msg == MSG_ATTACH) {
        answer_attach(c);
        return 0;
    }
    if (f->msg == MSG_RETAIN) {
        if (f->len != 1)
            return ERR_SYNTAX;
        c->want = WANT_RETENTION;
        c->end_ns = clock_mono_ns() + RETENTION_NS;
        retention_ask(c->supervisor, f->p[0] == 1);
        return 0;
    }
    if (f->msg == MSG_CONFIGURE) {
        if (f->len != 1)
            return ERR_SYNTAX;
        c->supervisor->reload.fresh |= f->p[0] == 1;
        c->want = WANT_CONFIGURE;
        c->end_ns = clock_mono_ns() + CONFIGURE_NS;
        c->supervisor->reload.asked = true;
        c->supervisor->reload.by = c->uid;
        return 0;
    }
    if (f->msg != MSG_RELOAD)
        return ERR_DENIED;
    c->want = WANT_RELOAD;
    c->supervisor->publish = true; /* in this round's tick, or when the grace is over */
    return 0;
}

static void read_client(void *arg, uint32_t events) {
    struct client *c = arg;
    struct frame f;
    (void)events;
    int rc = peer_flush(c->peer);
    if (rc == 0 || rc == ERR_AGAIN)
        while ((rc = peer_recv(c->peer, &f)) == 0 && (rc = handle(c, &f)) == 0 && c->peer)
            ;
    if (!c->peer)
        return;
    if (rc == ERR_AGAIN)
        watch(c);
    else
        drop(c);
}

static void accept_client(void *arg, uint32_t events) {
    struct supervisor *s = arg;
    struct peer *peer;
    unsigned uid, i = 0;
    (void)events;
    if (peer_accept(s->control_fd, IPC_SUPERVISOR, s->spec->install->owner, &uid, &peer))
        return;
    while (i < CLIENTS && s->clients[i].peer)
        i++;
    if (i == CLIENTS) {
        peer_free(peer);
        return;
    }
    struct client *c = &s->clients[i];
    c->peer = peer;
    c->uid = uid;
    c->end_ns = clock_mono_ns() + IDLE_NS;
    watch(c);
}

/* ---- events from elsewhere ---- */

void control_published(struct supervisor *s, int rc) {
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].peer && s->clients[i].want == WANT_RELOAD)
            answer_end(&s->clients[i], rc, rc ? err_text(rc) : "");
}

void control_configuring(struct supervisor *s) {
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].want == WANT_CONFIGURE)
            s->clients[i].want = WANT_CONFIGURED;
}

void control_configured(struct supervisor *s, int rc, const char *text) {
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].peer && s->clients[i].want == WANT_CONFIGURED)
            answer_end(&s->clients[i], rc, text);
}

void control_retained(struct supervisor *s, json_t *o) {
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].peer && s->clients[i].want == WANT_RETENTION)
            send_object(&s->clients[i], json_incref(o));
    json_decref(o);
}

void control_retention(struct supervisor *s, int rc, const char *text) {
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].peer && s->clients[i].want == WANT_RETENTION)
            answer_end(&s->clients[i], rc, text);
}

int control_usage(struct supervisor *s, const struct frame *f) {
    struct usage *u = &s->usage;
    uint64_t *const values[] = {&u->slots,      &u->slots_used,      &u->bytes,
                                &u->bytes_used, &u->admitted,        &u->refused,
                                &u->cut,        &u->oldest_ready_ns, &u->batches};
    if (f->len != 76)
        return ERR_SYNTAX;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        *values[i] = get_u64(f->p + 8 * i);
    u->disk = (int32_t)get_u32(f->p + 72);
    s->usage_ns = clock_mono_ns();
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].peer && s->clients[i].want == WANT_STATUS)
            answer_status(&s->clients[i]);
    return 0;
}

void control_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &s->clients[i];
        if (c->peer && now >= c->end_ns) {
            if (c->want == WANT_STATUS)
                answer_status(c); /* without the sealer's figures of this moment */
            else
                drop(c);
        }
        if (c->peer)
            supervisor_due(due, c->end_ns);
    }
}

int control_start(struct supervisor *s) {
    for (int i = 0; i < CLIENTS; i++)
        s->clients[i].supervisor = s;
    int rc = loop_watch(s->loop, s->control_fd, EPOLLIN, accept_client, s);
    return rc ? why_say(s->why, rc, "cannot watch the control socket: %s", err_text(rc)) : 0;
}

void control_done(struct supervisor *s) {
    for (int i = 0; i < CLIENTS; i++)
        if (s->clients[i].peer)
            drop(&s->clients[i]);
}
