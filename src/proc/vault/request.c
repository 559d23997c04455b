/*
 * Which request does what, and who may (client.h). The answer is made by the module that knows; here a
 * frame is read, the roles are asked for, and what came in secret is overwritten.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/client.h"

/* ---- about persons and their records ---- */

static unsigned roles_for(enum inquiry_verb verb) {
    return verb == INQUIRY_FIND     ? ROLE(READER) | ROLE(ERASER) | ROLE(AUDITOR) | ROLE(ADMIN)
           : verb == INQUIRY_EXPORT ? ROLE(READER)
                                    : ROLE(ERASER);
}

/* After an answer was made: sent, unless the frame was none; the connection ends then. */
static int finish(struct client *c, int rc, struct answer *a) {
    if (rc != ERR_SYNTAX)
        rc = client_send(c, rc, a);
    buf_wipe(&a->frames);
    return rc;
}

static int subjects(struct vault *v, struct client *c, const struct frame *f) {
    struct inquiry q;
    struct answer a = {0};
    struct client_who who;
    int rc = inquiry_decode(&q, f->p, f->len);
    if (rc)
        return rc;
    rc = client_take_who(v, c, roles_for(q.verb), &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    const struct ledger_who noted = who_of(&who, q.reason, q.reason_len);
    buf_init(&a.frames, LIMIT_FRAME);
    rc = q.verb == INQUIRY_ERASE ? erase_begin(v, &q, c, &who, &a) : person_answer(v, &q, &noted, &a);
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* names, as in unlock */
    c->later = q.verb == INQUIRY_ERASE && !rc;
    rc = c->later ? 0 : client_send(c, rc, &a);
    buf_wipe(&a.frames);
    return rc;
}

/* Questions about the ledger that nothing is noted of. */
typedef int look_fn(struct vault *v, const uint8_t *p, size_t len, struct answer *a);
static int look(struct vault *v, struct client *c, const struct frame *f, unsigned roles, look_fn *fn) {
    struct answer a = {0};
    struct client_who who;
    int rc = client_take_who(v, c, roles, &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    buf_init(&a.frames, LIMIT_FRAME);
    return finish(c, fn(v, f->p, f->len, &a), &a);
}

static int exported(struct vault *v, struct client *c, const struct frame *f) {
    struct answer a = {0};
    struct client_who who;
    int rc = client_take_who(v, c, ROLE(READER), &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    const struct ledger_who noted = who_of(&who, "", 0);
    buf_init(&a.frames, LIMIT_FRAME);
    return finish(c, export_done(v, f->p, f->len, &noted, &a), &a);
}

static int mail(struct vault *v, struct client *c, const struct frame *f) {
    struct answer a = {0};
    buf_init(&a.frames, LIMIT_FRAME);
    return finish(c, inbox(v, c, f, &a), &a);
}

static int canary(struct vault *v, struct client *c, const struct frame *f) {
    struct answer a = {0};
    struct client_who who;
    if (f->len < 1)
        return ERR_SYNTAX;
    const bool lists = f->p[0] == CANARY_LIST;
    int rc = client_take_who(v, c, lists ? ROLE(ADMIN) | ROLE(AUDITOR) : ROLE(ADMIN), &who);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    const struct ledger_who noted = who_of(&who, "", 0);
    buf_init(&a.frames, LIMIT_FRAME);
    rc = canary_request(v, (enum canary_verb)f->p[0], f->p + 1, f->len - 1, &noted, &a);
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* names, as in unlock */
    return finish(c, rc, &a);
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
    int rc = client_owner_or(v, c, ROLE(ADMIN) | ROLE(ERASER));
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    rc = renew_ask(v, c, &a);
    c->later = !rc;
    return rc ? client_send(c, rc, &a) : 0;
}

/* ---- the vault ---- */

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
    int rc = client_needs(v, c, ROLE(READER) | ROLE(ADMIN), &a);
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
    int rc = client_owner_or(v, c, ROLE(ADMIN));
    if (rc && rc != ERR_LOCKED)
        return client_end(c, rc, client_refusal(rc));
    state_lock(v);
    return client_end_rc(c, 0);
}

/* ---- dispatch ---- */

int client_request(struct vault *v, struct client *c, const struct frame *f) {
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
        return open_why(c, f);
    case MSG_OPEN_CELL:
        return open_cell(v, c, f);
    case MSG_OPEN_GO:
        return open_go(v, c);
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
