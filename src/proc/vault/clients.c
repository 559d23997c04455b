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
#define STATUS_BYTES 4096
#define CLIENT_TURN_NS 4000000ull

#define GUESSES_NS 60000000000ull
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

/* ---- answers ---- */

int client_end(struct client *c, int code, const char *text) {
    uint8_t p[4 + 256];
    size_t n = strnlen(text, sizeof p - 4);
    put_u32(p, (uint32_t)code);
    memcpy(p + 4, text, n);
    c->as = false;
    sodium_memzero(c->session, sizeof c->session);
    return peer_send(c->peer, MSG_END, p, 4 + n, -1);
}

int client_end_rc(struct client *c, int rc) {
    return client_end(c, rc, rc ? err_text(rc) : "");
}

void client_after(struct vault *v, struct client *c, int rc) {
    if (rc)
        hang_up(v, c);
    else
        vault_watch(v, c->peer, !c->waiting);
}

/* ---- who asks ---- */

void client_guessed(struct vault *v, struct client *c) {
    const uint64_t now = clock_mono_ns();
    if (now - v->guesses_ns > GUESSES_NS) { /* one event for all of them */
        if (v->guesses)
            log_event("sessions-guessed", LOG_U64("times", v->guesses), LOG_END);
        v->guesses_ns = now;
        v->guesses = 0;
    }
    v->guesses++;
    c->guesses++;
}

int client_actor(struct vault *v, struct client *c, struct people_actor *ret) {
    if (!v->people)
        return keys_locked(v->keys) ? ERR_LOCKED : ERR_CORRUPT;
    if (!c->as) {
        if (c->channel)
            return ERR_UNAUTHENTICATED;
        people_owner(ret); /* the socket lets in nobody else */
        return 0;
    }
    int rc = people_session(v->people, c->session, clock_mono_ns(), ret);
    if (rc)
        client_guessed(v, c); /* take_frame ends the connection */
    return rc;
}

int client_needs(struct vault *v, struct client *c, unsigned roles, struct people_actor *ret) {
    int rc = client_actor(v, c, ret);
    if (!rc && !(people_roles(v->people, ret->id, clock_wall_us()) & roles))
        rc = ERR_DENIED;
    return rc;
}

/* As the unix user who ran init, in both states of the vault; or in a session with one of these roles. */
static int owner_or(struct vault *v, struct client *c, unsigned roles) {
    struct people_actor a;
    return c->as ? client_needs(v, c, roles, &a) : 0;
}

const char *client_refusal(int rc) {
    return rc == ERR_UNAUTHENTICATED ? "there is no such session (any more)"
           : rc == ERR_CORRUPT       ? "the vault cannot read its people: see its log"
           : rc == ERR_DENIED        ? "the roles held here do not allow that: safehouse whoami tells them"
                                     : err_text(rc);
}

void client_who(const struct vault *v, const struct client *c, const struct people_actor *a,
                struct ledger_who *ret) {
    const bool local = uuid_is_zero(a->session);
    *ret = (struct ledger_who){.uid = c->uid,
                               .person = local ? NULL : people_name(v->people, a->id),
                               .session = local ? NULL : a->session,
                               .reason = c->reason,
                               .reason_len = c->reason_len};
}

static void end_request(struct client *c) {
    opening_free(c->opening);
    c->opening = NULL;
    c->answering = false;
    c->rc = 0;
}

struct ledger_who who_of(const struct client_who *w, const char *reason, size_t reason_len) {
    return (struct ledger_who){.uid = w->uid,
                               .person = w->person[0] ? w->person : NULL,
                               .session = w->person[0] ? w->session : NULL,
                               .reason = reason,
                               .reason_len = reason_len};
}

/* One of these roles, and who that is. */
static int take_who(struct vault *v, struct client *c, unsigned roles, struct client_who *ret) {
    struct people_actor a;
    *ret = (struct client_who){.uid = c->uid};
    int rc = client_needs(v, c, roles, &a);
    if (rc || uuid_is_zero(a.session))
        return rc;
    memcpy(ret->session, a.session, sizeof ret->session);
    snprintf(ret->person, sizeof ret->person, "%s", people_name(v->people, a.id));
    return 0;
}

#define ROLE(r) PEOPLE_BIT(PEOPLE_##r)

static unsigned roles_for(enum inquiry_verb verb) {
    return verb == INQUIRY_FIND     ? ROLE(READER) | ROLE(ERASER) | ROLE(AUDITOR) | ROLE(ADMIN)
           : verb == INQUIRY_EXPORT ? ROLE(READER)
                                    : ROLE(ERASER);
}

static int send_answer(struct client *c, int rc, const struct answer *a) {
    int sent = 0;
    for (size_t at = 0; !sent && !rc && at < a->frames.len;) {
        const uint8_t *p = a->frames.p + at;
        const size_t len = get_u32(p + 2);
        sent = peer_send(c->peer, (enum ipc_msg)get_u16(p), p + ANSWER_HEAD, len, -1);
        at += ANSWER_HEAD + len;
    }
    return sent ? sent : rc ? client_end(c, rc, *a->why ? a->why : err_text(rc)) : client_end_rc(c, 0);
}

void clients_answer(struct vault *v, struct client *c, int rc, const struct answer *a) {
    c->later = false;
    if (c->peer && send_answer(c, rc, a))
        hang_up(v, c);
}

static int subjects(struct vault *v, struct client *c, const struct frame *f) {
    struct inquiry q;
    struct answer a = {0};
    struct client_who who;
    int rc = inquiry_decode(&q, f->p, f->len);
    if (rc)
        return rc;
    rc = take_who(v, c, roles_for(q.verb), &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    const struct ledger_who noted = who_of(&who, q.reason, q.reason_len);
    buf_init(&a.frames, LIMIT_FRAME);
    rc = q.verb == INQUIRY_ERASE ? erase_begin(v, &q, c, &who, &a) : person_answer(v, &q, &noted, &a);
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* names, as in unlock */
    c->later = q.verb == INQUIRY_ERASE && !rc;
    rc = c->later ? 0 : send_answer(c, rc, &a);
    buf_wipe(&a.frames);
    return rc;
}

/* Questions about the ledger that nothing is noted of. */
typedef int look_fn(struct vault *v, const uint8_t *p, size_t len, struct answer *a);
static int look(struct vault *v, struct client *c, const struct frame *f, unsigned roles, look_fn *fn) {
    struct answer a = {0};
    struct client_who who;
    int rc = take_who(v, c, roles, &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    buf_init(&a.frames, LIMIT_FRAME);
    rc = fn(v, f->p, f->len, &a);
    if (rc != ERR_SYNTAX)
        rc = send_answer(c, rc, &a);
    buf_wipe(&a.frames);
    return rc;
}

static int exported(struct vault *v, struct client *c, const struct frame *f) {
    struct answer a = {0};
    struct client_who who;
    int rc = take_who(v, c, ROLE(READER), &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    const struct ledger_who noted = who_of(&who, "", 0);
    buf_init(&a.frames, LIMIT_FRAME);
    rc = export_done(v, f->p, f->len, &noted, &a);
    if (rc != ERR_SYNTAX)
        rc = send_answer(c, rc, &a);
    buf_wipe(&a.frames);
    return rc;
}

static int mail(struct vault *v, struct client *c, const struct frame *f) {
    struct answer a = {0};
    buf_init(&a.frames, LIMIT_FRAME);
    int rc = inbox(v, c, f, &a);
    if (rc != ERR_SYNTAX)
        rc = send_answer(c, rc, &a);
    buf_wipe(&a.frames);
    return rc;
}

static int canary(struct vault *v, struct client *c, const struct frame *f) {
    struct answer a = {0};
    struct client_who who;
    if (f->len < 1)
        return ERR_SYNTAX;
    const bool lists = f->p[0] == CANARY_LIST;
    int rc = take_who(v, c, lists ? ROLE(ADMIN) | ROLE(AUDITOR) : ROLE(ADMIN), &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    const struct ledger_who noted = who_of(&who, "", 0);
    buf_init(&a.frames, LIMIT_FRAME);
    rc = canary_request(v, (enum canary_verb)f->p[0], f->p + 1, f->len - 1, &noted, &a);
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* names, as in unlock */
    if (rc != ERR_SYNTAX)
        rc = send_answer(c, rc, &a);
    buf_wipe(&a.frames);
    return rc;
}

/* u8 what | s8 key | s8 project. Whoever is let in changes control.db himself, after this. */
static int key_change(struct vault *v, struct client *c, const struct frame *f) {
    struct people_actor a;
    struct ledger_who who;
    const size_t key = f->len > 1 ? f->p[1] : f->len;
    if (f->len < 3 || f->p[0] > LEDGER_KEY_LAST || key > f->len - 3 || f->p[2 + key] != f->len - 3 - key)
        return ERR_SYNTAX;
    int rc = client_needs(v, c, ROLE(ADMIN), &a);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    client_who(v, c, &a, &who);
    who.reason = "";
    who.reason_len = 0;
    who.rest = f->p;
    who.rest_len = f->len;
    if (f->p[0])
        rc = note_key_change(v, &who);
    return rc ? client_end(c, rc, "the ledger cannot be written, so nothing is done") : client_end_rc(c, 0);
}

static int renew(struct vault *v, struct client *c) {
    struct answer a = {0};
    int rc = owner_or(v, c, ROLE(ADMIN) | ROLE(ERASER));
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    rc = renew_ask(v, c, &a);
    c->later = !rc;
    return rc ? send_answer(c, rc, &a) : 0;
}

static int unlock(struct vault *v, struct client *c, const struct frame *f) {
    char text[96];
    unsigned wait_s = state_patience(v);
    int rc = state_unlock(v, f->p, f->len);
    /* The frame lies in the peer's buffer, which is ours until the next call. */
    sodium_memzero((void *)(uintptr_t)f->p, f->len);
    if (rc == ERR_AGAIN) {
        snprintf(text, sizeof text, "too many wrong passphrases: try again in %u s", wait_s);
        return client_end(c, rc, text);
    }
    if (rc == ERR_DENIED && v->stale)
        return client_end(c, rc, v->stale);
    return rc == ERR_UNAUTHENTICATED ? client_end(c, rc, "wrong passphrase") : client_end_rc(c, rc);
}

static int secret(struct vault *v, struct client *c, const struct frame *f) {
    struct buf tags;
    struct people_actor a;
    struct ledger_who who;
    buf_init(&tags, LIMIT_SECRET_TAG);
    int rc = client_needs(v, c, PEOPLE_BIT(PEOPLE_READER) | PEOPLE_BIT(PEOPLE_ADMIN), &a);
    if (!rc) {
        client_who(v, c, &a, &who);
        rc = secret_tags(v, &who, f->p, f->len, &tags);
    }
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* as in unlock */
    int sent = rc ? 0 : peer_send(c->peer, MSG_SECRET_TAGS, tags.p, tags.len, -1);
    buf_wipe(&tags);
    if (rc == ERR_SYNTAX || sent)
        return rc ? rc : sent;
    return rc == ERR_AGAIN ? client_end(c, rc, "too many questions: try again in a minute")
           : rc == ERR_IO  ? client_end(c, rc, "the ledger cannot be written, so nothing is answered")
           : rc            ? client_end(c, rc, client_refusal(rc))
                           : client_end_rc(c, 0);
}

static const char *replica_word(enum keys_replica_state s) {
    static const char *const words[] = {"behind", "current", "missing", "foreign", "newer"};
    return words[s];
}

/* The newest checkpoint as the inside of a JSON string; "" while there is none. Its characters are
 * such that only the newlines need an escape. */
static void checkpoint_json(const struct vault *v, char *out, size_t size) {
    struct buf note;
    size_t n = 0;
    buf_init(&note, NOTE_MAX);
    if (v->ledger && ledger_checkpoint(v->ledger, &note) == 0)
        for (size_t i = 0; i < note.len && n + 3 < size; i++) {
            if (note.p[i] == '\n')
                out[n++] = '\\';
            out[n++] = note.p[i] == '\n' ? 'n' : (char)note.p[i];
        }
    out[n] = 0;
    buf_wipe(&note);
}

static int status(struct vault *v, struct client *c) {
    char p[STATUS_BYTES], checkpoint[1024];
    struct keys_counts k;
    struct ledger_totals l = {0};
    struct people_actor a;
    int denied = c->channel ? client_actor(v, c, &a) : 0;
    if (denied)
        return client_end(c, denied, client_refusal(denied));
    keys_counts(v->keys, &k);
    checkpoint_json(v, checkpoint, sizeof checkpoint);
    if (v->ledger)
        ledger_totals(v->ledger, &l);
    int n = snprintf(
        p, sizeof p,
        "{\"locked\":%s,\"subjects\":%llu,\"openings\":%llu,\"batches\":%llu,"
        "\"pool\":%llu,\"pending\":%llu,\"unreadable\":%llu,\"generation\":%u,"
        "\"ledger\":\"%s\",\"entries\":%llu,\"ledger_bytes\":%llu,\"checkpoint\":\"%s\","
        "\"one_person_mode\":%s,\"passwords\":%s,"
        "\"sealer\":%s,\"landlock\":%u,\"seccomp\":%s,\"replicas\":[",
        keys_locked(v->keys) ? "true" : "false", (unsigned long long)k.subjects,
        (unsigned long long)l.openings, (unsigned long long)l.batches, (unsigned long long)k.pool,
        (unsigned long long)k.pending, (unsigned long long)k.unreadable, k.generation,
        !v->ledger                 ? "damaged"
        : ledger_broken(v->ledger) ? "broken"
                                   : "ok",
        (unsigned long long)l.entries, (unsigned long long)l.bytes, checkpoint,
        !v->people                     ? "null"
        : people_one_person(v->people) ? "true"
                                       : "false",
        v->helper_fd >= 0 ? "true" : "false", v->sealer ? "true" : "false",
        v->sandbox.landlock_abi, v->sandbox.seccomp ? "true" : "false");
    for (size_t i = 0; i < keys_replica_count(v->keys); i++)
        n += snprintf(p + n, sizeof p - (size_t)n, "%s\"%s\"", i ? "," : "",
                      replica_word(keys_replica_state(v->keys, i)));
    n += snprintf(p + n, sizeof p - (size_t)n, "]}");
    int rc = peer_send(c->peer, MSG_STATUS_IS, p, (size_t)n, -1);
    return rc ? rc : client_end_rc(c, 0);
}

/* The log itself is for who may read the ledger: what is to stay secret in it is sealed. */
static int ledger(struct vault *v, struct client *c) {
    struct ledger_totals totals;
    struct buf p;
    uint8_t bytes[8];
    if (!v->ledger)
        return client_end(c, ERR_CORRUPT, "the ledger is damaged: see the vault's log");
    int denied = owner_or(v, c, PEOPLE_BIT(PEOPLE_ADMIN) | PEOPLE_BIT(PEOPLE_AUDITOR));
    if (denied)
        return client_end(c, denied, client_refusal(denied));
    int fd = ledger_reader(v->ledger);
    if (fd < 0)
        return client_end_rc(c, fd);
    ledger_totals(v->ledger, &totals);
    put_u64(bytes, totals.bytes);
    buf_init(&p, NOTE_MAX);
    int rc = buf_append(&p, bytes, sizeof bytes);
    if (!rc)
        rc = ledger_checkpoint(v->ledger, &p);
    if (!rc)
        rc = peer_send(c->peer, MSG_LEDGER_IS, p.p, p.len, fd);
    close(fd);
    buf_wipe(&p);
    return rc ? rc : client_end_rc(c, 0);
}

/* u16 n | n reason */
static int why(struct client *c, const struct frame *f) {
    if (f->len < 2 || get_u16(f->p) != f->len - 2 || f->len - 2 > sizeof c->reason)
        return ERR_SYNTAX;
    c->reason_len = f->len - 2;
    memcpy(c->reason, f->p + 2, c->reason_len);
    plan_free(c->plan); /* it was for another reason */
    c->plan = NULL;
    return 0;
}

static int cell(struct vault *v, struct client *c, const struct frame *f) {
    struct people_actor a;
    if (!opening_cell_whole(f->p, f->len))
        return ERR_SYNTAX; /* whoever sends it, and whatever the state */
    if (!c->rc && !c->opening) {
        c->rc = client_actor(v, c, &a);
        if (!c->rc)
            c->rc = opening_new(v, &a, &c->opening);
    }
    if (!c->rc)
        c->rc = opening_cell(c->opening, f->p, f->len);
    return 0;
}

static const char *opening_text(int rc) {
    return rc == ERR_IO      ? "the ledger cannot be written, so nothing is opened"
           : rc == ERR_USAGE ? "a reason is needed"
                             : client_refusal(rc);
}

static int refuse_opening(struct client *c, int rc, const char *text) {
    if (rc == ERR_IO)
        log_event("opening-refused", LOG_ERR(rc), LOG_END);
    end_request(c);
    return client_end(c, rc, text[0] ? text : opening_text(rc));
}

static int go(struct vault *v, struct client *c) {
    int rc = c->rc ? c->rc : keys_locked(v->keys) ? ERR_LOCKED : c->reason_len ? 0 : ERR_USAGE;
    char text[256] = "";
    if (!rc && c->opening)
        rc = opening_begin(c->opening, c, text, sizeof text);
    if (rc)
        return refuse_opening(c, rc, text);
    c->answering = c->opening;
    return c->answering ? 0 : client_end_rc(c, 0);
}

/* 32 session token */
static int as(struct client *c, const struct frame *f) {
    if (f->len != sizeof c->session)
        return ERR_SYNTAX;
    memcpy(c->session, f->p, sizeof c->session);
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* as in unlock */
    c->as = true;
    return 0;
}

static int lock(struct vault *v, struct client *c) {
    int rc = owner_or(v, c, PEOPLE_BIT(PEOPLE_ADMIN));
    if (rc && rc != ERR_LOCKED)
        return client_end(c, rc, client_refusal(rc));
    state_lock(v);
    return client_end_rc(c, 0);
}

static int handle(struct vault *v, struct client *c, const struct frame *f) {
    if (!c->known) {
        if (!peer_check_token(f, v->child.token)) {
            log_event("client-refused", LOG_ERR(ERR_UNAUTHENTICATED), LOG_END);
            client_end_rc(c, ERR_UNAUTHENTICATED);
            return ERR_UNAUTHENTICATED;
        }
        c->known = true;
        return 0;
    }
    if (c->channel && !c->as && f->msg != MSG_AS && f->msg != MSG_SIGN_IN)
        return ERR_UNAUTHENTICATED; /* and the connection ends: no console does that */
    switch (f->msg) {
    case MSG_UNLOCK:
        return unlock(v, c, f);
    case MSG_LOCK:
        return lock(v, c);
    case MSG_STATUS:
        return status(v, c);
    case MSG_LEDGER:
        return ledger(v, c);
    case MSG_SUBJECTS:
        return subjects(v, c, f);
    case MSG_READINGS:
        return look(v, c, f, ROLE(READER) | ROLE(AUDITOR) | ROLE(ADMIN) | ROLE(ERASER), readings_answer);
    case MSG_REPORTED:
        return look(v, c, f, ROLE(READER) | ROLE(AUDITOR) | ROLE(ADMIN) | ROLE(ERASER), reported_sign);
    case MSG_EVENTS:
        return look(v, c, f, ROLE(AUDITOR) | ROLE(ADMIN), events_answer);
    case MSG_EXPORTED:
        return exported(v, c, f);
    case MSG_INBOX:
        return mail(v, c, f);
    case MSG_CANARY:
        return canary(v, c, f);
    case MSG_KEY_CHANGE:
        return key_change(v, c, f);
    case MSG_RENEW:
        return renew(v, c);
    case MSG_SECRET_TAG:
        return secret(v, c, f);
    case MSG_OPEN_WHY:
        return why(c, f);
    case MSG_OPEN_CELL:
        return cell(v, c, f);
    case MSG_OPEN_GO:
        return go(v, c);
    case MSG_AS:
        return as(c, f);
    case MSG_SIGN_IN:
        return sign_in(v, c, f);
    case MSG_SIGN_OUT:
        return sign_out(v, c);
    case MSG_WHO:
        return who(v, c);
    case MSG_PERSON:
        return person(v, c, f);
    case MSG_PENDING:
        return pending(v, c);
    case MSG_APPROVE:
        return approve(v, c, f);
    case MSG_OPEN_PLAN:
        return plan_take(v, c, f);
    default:
        return ERR_DENIED;
    }
}

static int take_frame(struct vault *v, struct client *c, const struct frame *f) {
    v->traces = true;
    int rc = handle(v, c, f);
    return !rc && c->guesses >= GUESSES_MAX ? ERR_UNAUTHENTICATED : rc;
}

/* ---- turns ---- */

/* Notes the next piece, or opens the next cell and sends it. */
static int answer(struct vault *v, struct client *c) {
    const struct buf *opened;
    int rc = 0;
    v->traces = true;
    if (!opening_noted(c->opening)) {
        rc = opening_note(c->opening, c);
        return rc && rc != ERR_AGAIN ? refuse_opening(c, rc, "") : 0;
    }
    rc = opening_next(c->opening, &opened);
    if (!rc)
        return peer_send(c->peer, MSG_OPENED, opened->p, opened->len, -1);
    end_request(c);
    return client_end_rc(c, rc == ERR_NOTFOUND ? 0 : rc);
}

/* Nobody else has a turn within this one: what changed since the last one counts from here on. */
static int still(struct client *c) {
    int rc = opening_still(c->opening);
    if (!rc)
        return 0;
    end_request(c);
    return client_end(c, rc, client_refusal(rc));
}

/* 0: there is more to do at once. ERR_AGAIN: it waits for the client, or the client for the helper. */
static int client_turn(struct vault *v, struct client *c) {
    const uint64_t until = clock_mono_ns() + CLIENT_TURN_NS;
    struct frame f;
    int rc = c->peer ? peer_flush(c->peer) : ERR_PEER;
    if (!rc && c->answering)
        rc = still(c);
    while (!rc && !c->waiting && clock_mono_ns() < until) {
        if (c->answering)
            rc = answer(v, c);
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
        end_request(c);
        if (peer_wants_write(c->peer) || client_end(c, ERR_LOCKED, err_text(ERR_LOCKED)))
            hang_up(v, c); /* plaintext waits in its buffer */
    }
}
