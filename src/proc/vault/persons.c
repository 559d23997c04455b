/*
 * Requests about people, and what waits for a second person. A change is tried in a transaction, so
 * that only what is allowed gets into the ledger; then it is noted; then it is committed, and nobody
 * sees it before. What could not be noted or committed is taken back: the people are read anew, which
 * ends all sessions.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/client.h"

#define OBJECT_BYTES (256u << 10)
#define ROLE(r) PEOPLE_BIT(PEOPLE_##r)

/* Of the ledger's kind `grant`; part of the file. */
enum change {
    CHANGE_GRANTED = 1,
    CHANGE_WITHDRAWN = 2,
    CHANGE_ADDED = 3,
    CHANGE_REMOVED = 4,
    CHANGE_TOKEN = 5,
    CHANGE_TOKEN_REVOKED = 6,
    CHANGE_PASSWORD = 7,
    CHANGE_MODE_ON = 8,
    CHANGE_MODE_OFF = 9,
    CHANGE_TOTP = 10,
};
enum approval_step { STEP_ASKED = 1, STEP_GIVEN = 2, STEP_REFUSED = 3 };

/* One change, while it is tried. */
struct deed {
    struct vault *v;
    struct client *c;
    struct people_actor a;
    uint32_t id; /* whom it is about */
    uint64_t now_us;
    uint8_t handed[32]; /* shown once */
    size_t handed_len;
    bool waits;
    uint8_t digest[APPROVAL_DIGEST_BYTES];
};

/* ---- the ledger ---- */

static uint8_t *put_s8(uint8_t *at, const char *s, size_t n) {
    *at++ = (uint8_t)n;
    memcpy(at, s, n);
    return at + n;
}

/* u8 change | s8 person | s8 role | u32 cells | u16 n | n x s8 project */
static int note_change(struct deed *d, enum change change, const char *name, uint8_t role,
                       uint32_t cells, const char *projects) {
    uint8_t rest[1 + 2 * (LIMIT_NAME + 1) + 6 + 2 * LIMIT_GRANT_PROJECTS];
    const char *role_name = people_role_name(role);
    struct ledger_who who;
    uint16_t n = 0;
    rest[0] = (uint8_t)change;
    uint8_t *at = put_s8(rest + 1, name, strlen(name));
    at = put_s8(at, role_name ? role_name : "", role_name ? strlen(role_name) : 0);
    put_u32(at, cells);
    uint8_t *count = at + 4;
    at += 6;
    for (const char *p = projects; *p; n++) {
        const size_t len = strcspn(p, ",");
        at = put_s8(at, p, len);
        p += len + (p[len] == ',');
    }
    put_u16(count, n);
    client_who(d->v, d->c, &d->a, &who);
    who.rest = rest;
    who.rest_len = (size_t)(at - rest);
    return note_append(d->v, LEDGER_GRANT, &who);
}

void persons_note_mode(struct vault *v) {
    static const uint8_t rest[1 + 1 + 1 + 4 + 2] = {CHANGE_MODE_ON}; /* of nobody */
    const struct ledger_who who = {.uid = LEDGER_NO_UID, .rest = rest, .rest_len = sizeof rest};
    int rc = v->people ? keys_begin(v->keys) : ERR_EXISTS;
    if (rc)
        return;
    rc = people_begin_mode(v->people);
    if (!rc)
        rc = note_event(v, LEDGER_GRANT, &who);
    if (!rc)
        rc = keys_commit(v->keys);
    if (!rc)
        return;
    keys_rollback(v->keys);
    if (rc == ERR_EXISTS)
        return;
    note_undo(v);
    log_event("mode-not-noted", LOG_ERR(rc), LOG_END);
    vault_load_people(v);
}

int note_approval(struct vault *v, const struct client *c, const struct people_actor *a, uint8_t step,
                  const uint8_t digest[APPROVAL_DIGEST_BYTES]) {
    uint8_t rest[1 + APPROVAL_DIGEST_BYTES];
    struct ledger_who who;
    rest[0] = step;
    memcpy(rest + 1, digest, APPROVAL_DIGEST_BYTES);
    client_who(v, c, a, &who);
    who.rest = rest;
    who.rest_len = sizeof rest;
    return note_append(v, LEDGER_APPROVAL, &who);
}

/* ---- the verbs ---- */

/* The one that was hashed; NULL: none was named. */
static const struct password *password_of(const struct deed *d) {
    const struct waiting *w = d->c->waiting;
    return w && w->made.set ? &w->made : NULL;
}

static int add(struct deed *d, const struct people_request *q) {
    int rc = people_add(d->v->people, &d->a, q->name, password_of(d), d->now_us);
    return rc ? rc : note_change(d, CHANGE_ADDED, q->name, 0, 0, "");
}

static int removal(struct deed *d, const struct people_request *q) {
    int rc = people_remove(d->v->people, &d->a, d->id, d->now_us);
    return rc ? rc : note_change(d, CHANGE_REMOVED, q->name, 0, 0, "");
}

static int grant(struct deed *d, const struct people_request *q) {
    const struct people_grant g = {q->role, q->cells, q->expires_us, q->projects};
    const bool one = people_one_person(d->v->people);
    int rc = people_grant(d->v->people, &d->a, d->id, &g, d->now_us, &d->waits, d->digest);
    if (rc)
        return rc;
    if (d->waits)
        return note_approval(d->v, d->c, &d->a, STEP_ASKED, d->digest);
    rc = note_change(d, CHANGE_GRANTED, q->name, q->role, q->cells, q->projects);
    if (!rc && one && !people_one_person(d->v->people))
        rc = note_change(d, CHANGE_MODE_OFF, q->name, 0, 0, "");
    return rc;
}

static int ungrant(struct deed *d, const struct people_request *q) {
    int rc = people_ungrant(d->v->people, &d->a, d->id, q->role, q->number, d->now_us);
    return rc ? rc : note_change(d, CHANGE_WITHDRAWN, q->name, q->role, 0, "");
}

static int set_password(struct deed *d, const struct people_request *q) {
    const bool own = d->c->waiting && d->c->waiting->own;
    const struct password *w = password_of(d);
    int rc = w ? people_set_password(d->v->people, &d->a, d->id, own, w, d->now_us) : ERR_USAGE;
    return rc ? rc : note_change(d, CHANGE_PASSWORD, q->name, 0, 0, "");
}

static int totp(struct deed *d, const struct people_request *q) {
    struct people *p = d->v->people;
    int rc = ERR_SYNTAX;
    if (q->step == 1) {
        d->handed_len = 20;
        return people_totp_make(p, &d->a, d->id, d->now_us, d->handed); /* not in force yet */
    }
    if (q->step == 2)
        rc = people_totp_confirm(p, &d->a, d->id, q->code, strlen(q->code), d->now_us);
    else if (q->step == 3)
        rc = people_totp_remove(p, &d->a, d->id, d->now_us);
    return rc ? rc : note_change(d, CHANGE_TOTP, q->name, 0, 0, "");
}

static int token(struct deed *d, const struct people_request *q) {
    d->handed_len = 32;
    int rc = people_token_make(d->v->people, &d->a, d->id, q->label, q->expires_us, d->now_us,
                               d->handed);
    return rc ? rc : note_change(d, CHANGE_TOKEN, q->name, 0, 0, "");
}

static int untoken(struct deed *d, const struct people_request *q) {
    int rc = people_token_revoke(d->v->people, &d->a, d->id, q->label, d->now_us);
    return rc ? rc : note_change(d, CHANGE_TOKEN_REVOKED, q->name, 0, 0, "");
}

typedef int verb_fn(struct deed *d, const struct people_request *q);
static verb_fn *const verbs[] = {
    [PEOPLE_VERB_ADD] = add,           [PEOPLE_VERB_REMOVE] = removal,
    [PEOPLE_VERB_GRANT] = grant,       [PEOPLE_VERB_UNGRANT] = ungrant,
    [PEOPLE_VERB_PASSWORD] = set_password, [PEOPLE_VERB_TOTP] = totp,
    [PEOPLE_VERB_TOKEN] = token,       [PEOPLE_VERB_UNTOKEN] = untoken,
};

/* ---- a change as a whole ---- */

/* The rules said no: nothing was changed. */
static bool by_rule(int rc) {
    return rc == ERR_DENIED || rc == ERR_NOTFOUND || rc == ERR_EXISTS || rc == ERR_LIMIT ||
           rc == ERR_SYNTAX || rc == ERR_UNAUTHENTICATED || rc == ERR_USAGE;
}

/* Tried, noted, committed. `rc` is of what was tried in the transaction. */
static int finish(struct vault *v, int rc) {
    if (!rc && (rc = note_sync(v)) != 0)
        rc = ERR_IO;
    if (!rc)
        rc = keys_commit(v->keys);
    if (!rc)
        return 0;
    note_undo(v);
    keys_rollback(v->keys);
    if (!by_rule(rc)) {
        log_event("people-unchanged", LOG_ERR(rc), LOG_END);
        vault_load_people(v);
    }
    return rc;
}

static const char *text_of(int rc) {
    return rc == ERR_DENIED            ? "that needs an admin, and nobody may do it for himself or to "
                                         "the owner"
           : rc == ERR_NOTFOUND        ? "there is no such person, grant or token"
           : rc == ERR_EXISTS          ? "there is one already"
           : rc == ERR_LIMIT           ? "there is no room for one more"
           : rc == ERR_SYNTAX          ? "a name, project or time is not as it has to be"
           : rc == ERR_UNAUTHENTICATED ? "the password or code is wrong"
           : rc == ERR_IO              ? "ledger or keys cannot be written, so nothing is changed"
                                       : err_text(rc);
}

static int say_waits(struct deed *d) {
    char hex[2 * APPROVAL_DIGEST_BYTES + 1], text[256];
    hex_encode(hex, d->digest, APPROVAL_DIGEST_BYTES);
    snprintf(text, sizeof text, "confirmation needed: %s; a second admin gives it with: safehouse approve",
             hex);
    return client_end(d->c, ERR_APPROVAL, text);
}

static int answer(struct deed *d, int rc) {
    if (!rc && d->handed_len)
        rc = peer_send(d->c->peer, MSG_HANDED, d->handed, d->handed_len, -1);
    sodium_memzero(d->handed, sizeof d->handed);
    if (rc)
        return client_end(d->c, rc, text_of(rc));
    return d->waits ? say_waits(d) : client_end_rc(d->c, 0);
}

static int run(struct vault *v, struct client *c, const struct people_actor *a,
               const struct people_request *q) {
    struct deed d = {.v = v, .c = c, .a = *a, .id = PEOPLE_NOBODY, .now_us = clock_wall_us()};
    int rc = q->verb == PEOPLE_VERB_ADD ? 0 : people_find(v->people, q->name, &d.id);
    if (rc && people_may_change(v->people, a, d.now_us))
        rc = ERR_DENIED; /* who exists is for admins to know */
    if (!rc)
        rc = keys_begin(v->keys);
    if (!rc)
        rc = finish(v, verbs[q->verb](&d, q));
    traces_wipe();
    return answer(&d, rc);
}

/* ---- passwords: hashed first ---- */

static void made(struct vault *v, struct client *c, int rc, const uint8_t *hash) {
    struct waiting *w = c->waiting;
    struct people_request q = {.verb = w->for_what == WAIT_ADD ? PEOPLE_VERB_ADD : PEOPLE_VERB_PASSWORD};
    const struct people_actor a = w->actor;
    memcpy(q.name, w->name, sizeof q.name);
    if (!rc && !v->people)
        rc = ERR_LOCKED;
    if (!rc)
        rc = people_still(v->people, &a, clock_mono_ns());
    if (!rc)
        memcpy(w->made.hash, hash, sizeof w->made.hash);
    rc = rc ? client_end(c, rc, client_refusal(rc)) : run(v, c, &a, &q);
    waiting_free(v, c);
    client_after(v, c, rc);
}

static int hash_new(struct vault *v, struct client *c, const uint8_t *password, size_t len) {
    struct waiting *w = c->waiting;
    people_new_password(&w->made);
    int rc = helper_hash(v, c, &w->made, password, len, made);
    if (!rc)
        return 0;
    waiting_free(v, c);
    return client_end(c, rc, rc == ERR_FULL ? "too many passwords at the moment: try again"
                                            : "the vault cannot hash passwords any more: restart it");
}

/* The old one was hashed: is it right? Then the new one. */
static void old_hashed(struct vault *v, struct client *c, int rc, const uint8_t *hash) {
    struct waiting *w = c->waiting;
    uint32_t id;
    bool code;
    if (!rc && !v->people)
        rc = ERR_LOCKED;
    if (!rc)
        rc = people_still(v->people, &w->actor, clock_mono_ns());
    if (!rc)
        rc = keys_begin(v->keys);
    if (!rc) {
        rc = people_check(v->people, w->name, hash, w->code, strlen(w->code), clock_wall_us(), &id,
                          &code);
        if (!rc)
            rc = keys_commit(v->keys);
        else
            keys_rollback(v->keys);
    }
    sign_in_ended(v, c, !rc);
    if (rc) {
        waiting_free(v, c);
        rc = client_end(c, rc, text_of(rc));
    } else {
        w->for_what = WAIT_NEW;
        w->own = true;
        rc = hash_new(v, c, w->next, w->next_len);
    }
    client_after(v, c, rc);
}

static int with_password(struct vault *v, struct client *c, const struct people_actor *a,
                         const struct people_request *q) {
    if (q->password_len < LIMIT_PASSWORD_MIN)
        return client_end(c, ERR_USAGE, "a password has at least 12 bytes");
    const bool own = q->verb == PEOPLE_VERB_PASSWORD && !strcmp(q->name, people_name(v->people, a->id));
    if (!own && people_may_change(v->people, a, clock_wall_us()))
        return client_end(c, ERR_DENIED, text_of(ERR_DENIED));
    if (!own) {
        struct waiting *w = waiting_new(c, q->name);
        if (!w)
            return client_end_rc(c, ERR_NOMEM);
        w->for_what = q->verb == PEOPLE_VERB_ADD ? WAIT_ADD : WAIT_NEW;
        w->actor = *a;
        return hash_new(v, c, q->password, q->password_len);
    }
    struct password with;
    int rc = sign_in_begin(v, c, q->name);
    if (rc || !c->waiting)
        return rc;
    struct waiting *w = c->waiting;
    w->for_what = WAIT_OLD;
    w->actor = *a;
    memcpy(w->code, q->code, sizeof q->code);
    memcpy(w->next, q->password, q->password_len);
    w->next_len = q->password_len;
    people_hashing(v->people, q->name, &with);
    rc = helper_hash(v, c, &with, q->old, q->old_len, old_hashed);
    if (!rc)
        return 0;
    sign_in_cancel(v, c);
    return client_end(c, rc, err_text(rc));
}

/* ---- requests ---- */

/* One object a frame. */
static int send_object(struct client *c, struct buf *b, int rc) {
    if (!rc)
        rc = peer_send(c->peer, MSG_STATUS_IS, b->p, b->len, -1);
    buf_clear(b);
    return rc;
}

static int list(struct vault *v, struct client *c) {
    struct people_actor a;
    struct buf b;
    size_t at = 0;
    uint32_t id;
    int rc = client_needs(v, c, ROLE(ADMIN) | ROLE(AUDITOR), &a);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    buf_init(&b, OBJECT_BYTES);
    while (!rc && people_next(v->people, &at, &id))
        rc = send_object(c, &b, people_print_person(v->people, id, clock_wall_us(), &b));
    buf_wipe(&b);
    return rc ? rc : client_end_rc(c, 0);
}

int who(struct vault *v, struct client *c) {
    struct people_actor a;
    struct buf b;
    int rc = client_actor(v, c, &a);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    buf_init(&b, OBJECT_BYTES);
    rc = send_object(c, &b, people_print_actor(v->people, &a, clock_wall_us(), clock_mono_ns(), &b));
    buf_wipe(&b);
    return rc ? rc : client_end_rc(c, 0);
}

int person(struct vault *v, struct client *c, const struct frame *f) {
    struct people_request q;
    struct people_actor a;
    int rc = people_parse_request(&q, f->p, f->len);
    if (!rc && q.verb == PEOPLE_VERB_LIST)
        return list(v, c);
    if (!rc && (rc = client_actor(v, c, &a)) != 0)
        rc = client_end(c, rc, client_refusal(rc));
    else if (!rc && (q.verb == PEOPLE_VERB_PASSWORD || (q.verb == PEOPLE_VERB_ADD && q.password_len)))
        rc = with_password(v, c, &a, &q);
    else if (!rc)
        rc = run(v, c, &a, &q);
    sodium_memzero(&q, sizeof q);
    sodium_memzero((void *)(uintptr_t)f->p, f->len); /* it may hold passwords */
    return rc;
}

/* ---- a second person ---- */

#define APPROVERS (ROLE(READER) | ROLE(ADMIN))

int pending(struct vault *v, struct client *c) {
    struct people_actor a;
    struct buf b;
    size_t at = 0;
    const struct grant *g;
    const struct approval *x;
    int rc = client_needs(v, c, APPROVERS | ROLE(AUDITOR), &a);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    buf_init(&b, OBJECT_BYTES);
    while (!rc && people_next_waiting(v->people, &at, clock_wall_us(), &g))
        rc = send_object(c, &b, people_print_waiting(v->people, g, &b));
    at = 0;
    while (!rc && (x = approval_next(people_approvals(v->people), &at, clock_mono_ns())) != NULL)
        rc = send_object(c, &b, people_print_approval(v->people, x, clock_mono_ns(), &b));
    buf_wipe(&b);
    return rc ? rc : client_end_rc(c, 0);
}

static int confirm_grant(struct deed *d, bool yes) {
    const bool one = people_one_person(d->v->people);
    struct people_confirmed g;
    int rc = people_confirm(d->v->people, &d->a, d->digest, yes, d->now_us, &g);
    if (!rc)
        rc = note_approval(d->v, d->c, &d->a, yes ? STEP_GIVEN : STEP_REFUSED, d->digest);
    const char *name = rc ? "" : people_name(d->v->people, g.person);
    if (!rc && yes)
        rc = note_change(d, CHANGE_GRANTED, name, g.role, g.cells, g.projects);
    if (!rc && one && !people_one_person(d->v->people))
        rc = note_change(d, CHANGE_MODE_OFF, name, 0, 0, "");
    return rc;
}

/* In memory alone: noted, then given. */
static int approve_opening(struct deed *d, bool yes) {
    struct approvals *all = people_approvals(d->v->people);
    const struct approval *x = approval_find(all, d->digest, clock_mono_ns());
    int rc = !x ? ERR_NOTFOUND : yes && x->person == d->a.id ? ERR_DENIED : x->given ? ERR_EXISTS : 0;
    if (!rc && !(people_roles(d->v->people, d->a.id, d->now_us) & APPROVERS))
        rc = ERR_DENIED;
    if (!rc)
        rc = note_approval(d->v, d->c, &d->a, yes ? STEP_GIVEN : STEP_REFUSED, d->digest);
    if (!rc)
        rc = note_sync(d->v);
    if (rc) {
        note_undo(d->v);
        return rc;
    }
    if (!yes)
        approval_drop(all, d->digest);
    return yes ? approval_give(all, d->digest, d->a.id, clock_mono_ns()) : 0;
}

static const char *approval_text(int rc) {
    return rc == ERR_DENIED     ? "another person has to approve that, with the role of reader or admin "
                                  "(a grant: an admin)"
           : rc == ERR_NOTFOUND ? "nothing waits under this digest (any more)"
           : rc == ERR_EXISTS   ? "that is approved already"
                                : text_of(rc);
}

int approve(struct vault *v, struct client *c, const struct frame *f) {
    struct deed d = {.v = v, .c = c, .now_us = clock_wall_us()};
    if (f->len != 1 + APPROVAL_DIGEST_BYTES || f->p[0] > 1)
        return ERR_SYNTAX;
    const bool yes = f->p[0];
    int rc = client_actor(v, c, &d.a);
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    memcpy(d.digest, f->p + 1, sizeof d.digest);
    if (people_waiting(v->people, d.digest, d.now_us)) {
        rc = keys_begin(v->keys);
        if (!rc)
            rc = finish(v, confirm_grant(&d, yes));
    } else {
        rc = approve_opening(&d, yes);
    }
    return rc ? client_end(c, rc, approval_text(rc)) : client_end_rc(c, 0);
}
