/*
 * What each request of a connection needs (client.h): who asks, whether that is enough, and how it ends.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/client.h"

#define GUESSES_NS 60000000000ull

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

int client_send(struct client *c, int rc, const struct answer *a) {
    int sent = 0;
    for (size_t at = 0; !sent && !rc && at < a->frames.len;) {
        const uint8_t *p = a->frames.p + at;
        const size_t len = get_u32(p + 2);
        sent = peer_send(c->peer, (enum ipc_msg)get_u16(p), p + ANSWER_HEAD, len, -1);
        at += ANSWER_HEAD + len;
    }
    return sent ? sent : rc ? client_end(c, rc, *a->why ? a->why : err_text(rc)) : client_end_rc(c, 0);
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

int client_owner_or(struct vault *v, struct client *c, unsigned roles) {
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

struct ledger_who who_of(const struct client_who *w, const char *reason, size_t reason_len) {
    return (struct ledger_who){.uid = w->uid,
                               .person = w->person[0] ? w->person : NULL,
                               .session = w->person[0] ? w->session : NULL,
                               .reason = reason,
                               .reason_len = reason_len};
}

int client_take_who(struct vault *v, struct client *c, unsigned roles, struct client_who *ret) {
    struct people_actor a;
    *ret = (struct client_who){.uid = c->uid};
    int rc = client_needs(v, c, roles, &a);
    if (rc || uuid_is_zero(a.session))
        return rc;
    memcpy(ret->session, a.session, sizeof ret->session);
    snprintf(ret->person, sizeof ret->person, "%s", people_name(v->people, a.id));
    return 0;
}
