/*
 * Channels and their threads (console.h).
 *
 *   IDLE --readable--> READY --a worker is free--> ACTIVE --answered--> IDLE
 *
 * One thread watches all channels: idle ones for a statement, the others for the other end's going away,
 * which cancels the statement, and for the time that it may take; the engine's calls block, so somebody else
 * has to look. A channel belongs to its worker while it is ACTIVE, and to the watcher otherwise.
 *
 * Cancelling is asking: the engine stops at the next block. The watcher asks again until the worker is out. One
 * function over one large value is no block's end away for as long as it takes, which nothing interrupts: a worker
 * that is so long overdue is stuck, does not count, and up to CONSOLE_SPARES others are started in its place. So it
 * costs a core, and not the others' statements.
 */
#include "proc/store/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "ipc/peer.h"
#include "proc/store/question.h"

#define TICK_MS 200
#define RECEIVE_MS 10000      /* for the rest of a frame that has begun */
#define SEND_MS 30000         /* for the other end to take a piece of its result */
#define WAIT_NS 20000000000ull /* for a worker */
#define LATE_NS 2000000000ull /* after the time that the engine itself was given */
#define STUCK_NS 5000000000ull /* after it was asked to stop, a worker is stuck */
#define SECONDS_MAX 60
#define STOP_S 3
#define TAG_BYTES 40

#define TOO_MANY_QUERIES 202
#define UNKNOWN_DATABASE 81
#define TIMEOUT_EXCEEDED 159

enum state { FREE, IDLE, READY, ACTIVE };

struct channel {
    enum state state;
    struct peer *peer;
    uint64_t turn;            /* another one after each change that is not the watcher's */
    uint64_t since, deadline; /* READY since; ACTIVE until at most, 0: not known yet */
    bool gone, late;          /* why its statement is being cancelled */
    uint64_t asked;           /* to stop, since when; 0: it was not */
    char tag[TAG_BYTES];      /* of its statement; empty: none runs */
};

struct console {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct channel channels[CONSOLE_CHANNELS];
    unsigned queue[CONSOLE_CHANNELS], queued; /* READY ones, the first first */
    uint64_t statements;
    int wake;
    bool stop, watched; /* watched: there is a watcher */
    pthread_t watcher, workers[CONSOLE_WORKERS + CONSOLE_SPARES];
    unsigned started;       /* workers */
    unsigned active, stuck; /* of them */
};

static void wake(struct console *c) {
    (void)!write(c->wake, &(uint64_t){1}, sizeof(uint64_t));
}

/* ---- the watcher ---- */

static void make_ready(struct console *c, unsigned i) {
    c->channels[i].state = READY;
    c->channels[i].since = clock_mono_ns();
    c->queue[c->queued++] = i;
    pthread_cond_signal(&c->ready);
}

struct watched {
    unsigned channel;
    uint64_t turn;
};

/* What one wait told of a channel. */
static void look(struct console *c, const struct watched *w, short events) {
    struct channel *ch = &c->channels[w->channel];
    if (ch->turn != w->turn)
        return; /* a worker gave it back, or it is another one by now */
    if (ch->state == IDLE && events)
        make_ready(c, w->channel);
    else if (ch->state == ACTIVE && (events & (POLLRDHUP | POLLHUP | POLLERR)))
        ch->gone = true;
    if (ch->state == ACTIVE && ch->deadline && clock_mono_ns() > ch->deadline)
        ch->late = true;
}

static void *work(void *arg);

/* Counts those that are stuck, and starts others in their place. */
static void replace_stuck(struct console *c) {
    const uint64_t now = clock_mono_ns();
    unsigned stuck = 0;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < CONSOLE_CHANNELS; i++) {
        struct channel *ch = &c->channels[i];
        if (ch->state != ACTIVE || !ch->tag[0] || !(ch->gone || ch->late))
            ch->asked = 0;
        else if (!ch->asked)
            ch->asked = now;
        stuck += ch->asked && now - ch->asked > STUCK_NS;
    }
    if (stuck > c->stuck)
        log_event("statement-stuck", LOG_U64("stuck", stuck), LOG_END);
    if (stuck != c->stuck)
        pthread_cond_broadcast(&c->ready); /* another number of them may work */
    c->stuck = stuck;
    const unsigned wanted = CONSOLE_WORKERS + (stuck < CONSOLE_SPARES ? stuck : CONSOLE_SPARES);
    while (!c->stop && c->started < wanted && !pthread_create(&c->workers[c->started], NULL, work, c))
        c->started++;
    pthread_mutex_unlock(&c->lock);
}

/* Asks for the end of what nobody waits for any more. The lock is not held while the engine is asked. */
static void cancel_some(struct console *c) {
    char tag[TAG_BYTES];
    for (unsigned i = 0; i < CONSOLE_CHANNELS; i++) {
        pthread_mutex_lock(&c->lock);
        const struct channel *ch = &c->channels[i];
        const bool now = ch->state == ACTIVE && ch->tag[0] && (ch->gone || ch->late || c->stop);
        memcpy(tag, ch->tag, sizeof tag);
        pthread_mutex_unlock(&c->lock);
        if (now)
            (void)store_cancel(c->store, tag);
    }
}

/* Fills p and `of`, what each is of. Something may have to be done without an event: *ret_tick. */
static nfds_t list_channels(struct console *c, struct pollfd *p, struct watched *of, bool *ret_tick) {
    nfds_t n = 0;
    *ret_tick = false;
    p[n++] = (struct pollfd){.fd = c->wake, .events = POLLIN};
    for (unsigned i = 0; i < CONSOLE_CHANNELS; i++) {
        const struct channel *ch = &c->channels[i];
        if (ch->state == ACTIVE)
            *ret_tick = true;
        if (ch->state == IDLE || (ch->state == ACTIVE && !ch->gone)) {
            of[n] = (struct watched){i, ch->turn};
            p[n++] = (struct pollfd){.fd = peer_fd(ch->peer),
                                     .events = ch->state == IDLE ? POLLIN : POLLRDHUP};
        }
    }
    return n;
}

static void *watch(void *arg) {
    struct console *c = arg;
    struct pollfd p[CONSOLE_CHANNELS + 1];
    struct watched of[CONSOLE_CHANNELS + 1];
    bool stop = false;
    while (!stop) {
        bool tick;
        uint64_t v;
        pthread_mutex_lock(&c->lock);
        const nfds_t n = list_channels(c, p, of, &tick);
        pthread_mutex_unlock(&c->lock);
        if (poll(p, n, tick ? TICK_MS : -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            (void)!read(c->wake, &v, sizeof v);
        pthread_mutex_lock(&c->lock);
        for (nfds_t i = 1; i < n; i++)
            look(c, &of[i], p[i].revents);
        stop = c->stop;
        pthread_mutex_unlock(&c->lock);
        replace_stuck(c);
        cancel_some(c);
    }
    return NULL;
}

/* ---- workers ---- */

struct sink {
    struct console *console;
    struct channel *channel;
};

static bool unwanted(struct console *c, const struct channel *ch) {
    pthread_mutex_lock(&c->lock);
    const bool yes = ch->gone || c->stop;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

static int send_piece(void *arg, const void *p, size_t len) {
    struct sink *s = arg;
    struct peer *peer = s->channel->peer;
    const uint8_t *at = p;
    while (len > 0) {
        const size_t n = len < LIMIT_DATA_PIECE ? len : LIMIT_DATA_PIECE;
        if (unwanted(s->console, s->channel))
            return ERR_PEER;
        int rc = peer_send(peer, MSG_DATA, at, n, -1);
        if (!rc)
            rc = peer_flush_wait(peer, SEND_MS);
        if (rc)
            return ERR_PEER;
        at += n;
        len -= n;
    }
    return 0;
}

static int send_result(struct peer *peer, int rc, const struct store_answer *a) {
    uint8_t out[50 + STORE_WHY_BYTES];
    const uint64_t numbers[] = {a->read_rows, a->read_bytes, a->rows, a->bytes, a->ns};
    const size_t n = strnlen(a->why, sizeof a->why);
    put_u32(out, (uint32_t)rc);
    put_u32(out + 4, a->exception);
    for (size_t i = 0; i < 5; i++)
        put_u64(out + 8 + 8 * i, numbers[i]);
    put_u16(out + 48, (uint16_t)n);
    memcpy(out + 50, a->why, n);
    rc = peer_send(peer, MSG_RESULT, out, 50 + n, -1);
    return rc ? rc : peer_flush_wait(peer, SEND_MS);
}

static int refuse(struct peer *peer, int rc, uint32_t exception, const char *why) {
    struct store_answer a = {.exception = exception};
    snprintf(a.why, sizeof a.why, "%s", why);
    return send_result(peer, rc, &a);
}

/* Between these two the watcher can cancel it. */
static void statement_begins(struct console *c, struct channel *ch, struct question *q) {
    const uint32_t most = q->terms.seconds && q->terms.seconds < SECONDS_MAX ? q->terms.seconds : SECONDS_MAX;
    pthread_mutex_lock(&c->lock);
    snprintf(ch->tag, sizeof ch->tag, "console%llu", (unsigned long long)++c->statements);
    ch->deadline = clock_mono_ns() + most * 1000000000ull + LATE_NS;
    pthread_mutex_unlock(&c->lock);
    q->terms.tag = ch->tag;
}

static bool statement_ends(struct console *c, struct channel *ch) {
    pthread_mutex_lock(&c->lock);
    const bool late = ch->late;
    ch->tag[0] = 0;
    ch->deadline = 0;
    ch->late = false;
    ch->since = clock_mono_ns();
    pthread_mutex_unlock(&c->lock);
    return late;
}

static int answer_query(struct console *c, struct channel *ch, const struct frame *f) {
    static const char full[] = "too many statements at once: none could begin in time";
    struct question q;
    struct store_answer a;
    struct sink s = {c, ch};
    int rc = question_read(&q, f->p, f->len);
    if (rc == ERR_NOTFOUND) {
        rc = refuse(ch->peer, rc, UNKNOWN_DATABASE, "the databases are " STORE_DATABASE " and default");
    } else if (!rc && clock_mono_ns() - ch->since > WAIT_NS) {
        rc = refuse(ch->peer, ERR_FULL, TOO_MANY_QUERIES, full);
    } else if (!rc) {
        statement_begins(c, ch, &q);
        rc = store_ask(c->store, &q.terms, &q.question, send_piece, &s, &a);
        if (statement_ends(c, ch) && rc == ERR_PEER) {
            rc = ERR_LIMIT;
            a.exception = TIMEOUT_EXCEEDED;
            snprintf(a.why, sizeof a.why, "the statement took longer than it may");
        }
        rc = unwanted(c, ch) ? ERR_PEER : send_result(ch->peer, rc, &a);
    }
    question_done(&q);
    return rc;
}

/* 0: the channel waits for its next statement; otherwise it is over. */
static int serve_channel(struct console *c, struct channel *ch) {
    struct frame f;
    int rc = peer_recv_wait(ch->peer, &f, RECEIVE_MS);
    while (!rc) {
        rc = f.msg == MSG_CONSOLE_QUERY ? answer_query(c, ch, &f) : ERR_DENIED;
        if (!rc)
            rc = peer_recv(ch->peer, &f); /* one that came with it is seen by no poll */
        if (rc == ERR_AGAIN)
            return 0;
    }
    return rc;
}

static void *work(void *arg) {
    struct console *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->stop && (!c->queued || c->active >= CONSOLE_WORKERS + c->stuck))
            pthread_cond_wait(&c->ready, &c->lock);
        if (c->stop)
            break;
        struct channel *ch = &c->channels[c->queue[0]];
        c->queued--;
        memmove(c->queue, c->queue + 1, c->queued * sizeof c->queue[0]);
        ch->state = ACTIVE;
        c->active++;
        ch->deadline = 0;
        ch->turn++;
        wake(c);
        pthread_mutex_unlock(&c->lock);
        const int rc = serve_channel(c, ch);
        pthread_mutex_lock(&c->lock);
        c->active--;
        pthread_cond_signal(&c->ready);
        struct peer *over = rc || ch->gone ? ch->peer : NULL;
        if (over)
            *ch = (struct channel){.state = FREE, .turn = ch->turn};
        else
            ch->state = IDLE;
        ch->turn++;
        peer_free(over);
        wake(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- outside ---- */

int console_add(struct console *c, int fd) {
    struct peer *peer;
    unsigned i = 0;
    int rc = peer_new(fd, IPC_STORE, IPC_CONSOLE, &peer);
    if (rc)
        return rc;
    pthread_mutex_lock(&c->lock);
    while (i < CONSOLE_CHANNELS && c->channels[i].state != FREE)
        i++;
    if (i < CONSOLE_CHANNELS)
        c->channels[i] = (struct channel){.state = IDLE, .peer = peer, .turn = c->channels[i].turn + 1};
    else
        rc = ERR_FULL;
    pthread_mutex_unlock(&c->lock);
    if (rc)
        peer_free(peer);
    wake(c);
    return rc;
}

int console_start(struct console **ret, struct store *s) {
    struct console *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->store = s;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->ready, NULL);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = c->wake < 0 ? err_from_errno(errno) : 0;
    for (; !rc && c->started < CONSOLE_WORKERS; c->started += !rc)
        rc = pthread_create(&c->workers[c->started], NULL, work, c) ? ERR_NOMEM : 0;
    if (!rc && !pthread_create(&c->watcher, NULL, watch, c))
        c->watched = true;
    else
        rc = rc ? rc : ERR_NOMEM;
    if (rc) {
        (void)console_stop(c);
        return rc;
    }
    *ret = c;
    return 0;
}

int console_stop(struct console *c) {
    struct timespec until;
    int rc = 0;
    if (!c)
        return 0;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->ready);
    pthread_mutex_unlock(&c->lock);
    wake(c);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_S;
    /* The watcher first: it starts workers. */
    if (c->watched && pthread_timedjoin_np(c->watcher, NULL, &until))
        return ERR_AGAIN;
    for (unsigned i = 0; i < c->started; i++)
        if (pthread_timedjoin_np(c->workers[i], NULL, &until))
            rc = ERR_AGAIN;
    if (rc)
        return rc;
    for (unsigned i = 0; i < CONSOLE_CHANNELS; i++)
        peer_free(c->channels[i].peer);
    if (c->wake >= 0)
        close(c->wake);
    pthread_cond_destroy(&c->ready);
    pthread_mutex_destroy(&c->lock);
    free(c);
    return 0;
}
