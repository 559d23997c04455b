/*
 * Signing in: the name is throttled, the helper hashes what was typed, the people's table says whether
 * it is right, the ledger notes it, and then there is a session. Whether a name exists is nowhere to be
 * seen: not in what is said, not in how long it takes, not in who is locked out.
 *
 *   SIGN_IN -> throttle_begin -> helper_hash ... hashed -> people_check -> throttle_end
 *           -> ledger -> people_sign_in -> SIGNED_IN, END
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

static const char wrong[] = "name, password or code is wrong";

enum sign_in_result { RESULT_IN = 1, RESULT_REFUSED, RESULT_LOCKED_OUT, RESULT_OUT };
enum sign_in_by { BY_PASSWORD = 1, BY_TOTP, BY_MACHINE };

static int note(struct vault *v, const struct client *c, const char *name, const struct people_actor *a,
                uint8_t result, uint8_t by) {
    const uint8_t rest[2] = {result, by};
    const struct ledger_who who = {.uid = c->uid,
                                   .person = name,
                                   .session = a ? a->session : NULL,
                                   .rest = rest,
                                   .rest_len = sizeof rest};
    return note_event(v, LEDGER_SIGN_IN, &who);
}

struct waiting *waiting_new(struct client *c, const char *name) {
    struct waiting *w = sodium_malloc(sizeof *w);
    CHECK(!c->waiting);
    if (!w)
        return NULL;
    sodium_memzero(w, sizeof *w);
    memcpy(w->name, name, strlen(name));
    c->waiting = w;
    return w;
}

void waiting_free(struct vault *v, struct client *c) {
    if (!c->waiting)
        return;
    if (c->waiting->throttled) /* it was never looked at: counts as wrong, or hanging up were free */
        sign_in_ended(v, c, false);
    helper_forget(v, c);
    sodium_free(c->waiting);
    c->waiting = NULL;
}

int sign_in_begin(struct vault *v, struct client *c, const char *name) {
    char text[96];
    unsigned wait_s;
    struct waiting *w = waiting_new(c, name);
    if (!w)
        return client_end_rc(c, ERR_NOMEM);
    w->place = throttle_place(v->throttle, name, strlen(name));
    if (throttle_begin(v->throttle, w->place, clock_mono_ns(), &wait_s) == 0) {
        w->throttled = true;
        return 0;
    }
    waiting_free(v, c);
    snprintf(text, sizeof text, "too many attempts: try again in %u s", wait_s ? wait_s : 1);
    return client_end(c, ERR_AGAIN, text);
}

void sign_in_cancel(struct vault *v, struct client *c) {
    throttle_cancel(v->throttle, c->waiting->place);
    c->waiting->throttled = false;
    waiting_free(v, c);
}

/* Before anybody is told how it went: a restart gives nobody new attempts. */
static void keep_throttle(struct vault *v) {
    uint8_t record[THROTTLE_RECORD_MAX];
    if (!v->people || throttle_saved(v->throttle))
        return;
    const size_t n = throttle_save(v->throttle, clock_mono_ns(), clock_wall_us(), record);
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = keys_record_put(v->keys, &v->throttle_row, record, n);
    if (!rc)
        rc = keys_commit(v->keys);
    if (!rc)
        return;
    keys_rollback(v->keys);
    log_event("throttle-not-kept", LOG_ERR(rc), LOG_END);
}

void sign_in_ended(struct vault *v, struct client *c, bool right) {
    struct waiting *w = c->waiting;
    uint32_t id;
    w->throttled = false;
    const unsigned s = throttle_end(v->throttle, w->place, clock_mono_ns(), right);
    keep_throttle(v);
    if (!s)
        return;
    log_event("locked-out", LOG_U64("for_s", s), LOG_END);
    /* What is no name may be a password in the wrong field: not for the ledger. */
    const bool known = v->people && people_find(v->people, w->name, &id) == 0;
    if (note(v, c, known ? w->name : NULL, NULL, RESULT_LOCKED_OUT, BY_PASSWORD))
        log_event("lock-out-not-noted", LOG_END);
}

/* Notes, makes the session, answers. */
static int let_in(struct vault *v, struct client *c, uint32_t id, enum sign_in_by by) {
    struct people_actor a;
    struct buf p;
    uint8_t head[SESSION_TOKEN_BYTES + 16];
    const char *name = people_name(v->people, id);
    const uint8_t name_len = (uint8_t)strlen(name);
    const uint64_t now_ns = clock_mono_ns();
    int rc = people_sign_in(v->people, id, now_ns, head, &a);
    if (!rc && (rc = note(v, c, name, &a, RESULT_IN, (uint8_t)by)) != 0) {
        people_sign_out(v->people, &a); /* nobody has seen its token */
        rc = ERR_IO;
    }
    if (rc)
        return client_end(c, rc, rc == ERR_IO ? "the ledger cannot be written, so nobody signs in"
                                              : err_text(rc));
    buf_init(&p, 8192);
    put_u64(head + SESSION_TOKEN_BYTES, SESSION_IDLE_NS / 1000u);
    put_u64(head + SESSION_TOKEN_BYTES + 8, clock_wall_us() + SESSION_AGE_NS / 1000u);
    rc = buf_append(&p, head, sizeof head);
    sodium_memzero(head, sizeof head);
    if (!rc)
        rc = buf_append_u8(&p, name_len);
    if (!rc)
        rc = buf_append(&p, name, name_len);
    if (!rc)
        rc = ledger_checkpoint(v->ledger, &p);
    if (!rc)
        rc = peer_send(c->peer, MSG_SIGNED_IN, p.p, p.len, -1);
    buf_wipe(&p);
    return rc ? rc : client_end_rc(c, 0);
}

static int check(struct vault *v, struct client *c, const uint8_t hash[32], uint32_t *ret_id,
                 bool *ret_totp) {
    struct waiting *w = c->waiting;
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = people_check(v->people, w->name, hash, w->code, strlen(w->code), clock_wall_us(), ret_id,
                          ret_totp);
    if (!rc)
        rc = keys_commit(v->keys);
    else
        keys_rollback(v->keys);
    return rc;
}

static void hashed(struct vault *v, struct client *c, int rc, const uint8_t *hash) {
    uint32_t id = PEOPLE_NOBODY;
    bool totp = false;
    if (!rc && !v->people)
        rc = ERR_LOCKED;
    if (!rc)
        rc = check(v, c, hash, &id, &totp);
    sign_in_ended(v, c, !rc);
    waiting_free(v, c);
    traces_wipe();
    if (!rc)
        rc = let_in(v, c, id, totp ? BY_TOTP : BY_PASSWORD);
    else
        rc = client_end(c, rc, rc == ERR_UNAUTHENTICATED ? wrong : err_text(rc));
    client_after(v, c, rc);
}

static int by_machine(struct vault *v, struct client *c, const struct people_sign_in *s) {
    uint32_t id;
    int rc = people_check_token(v->people, s->secret, clock_wall_us(), &id);
    if (!rc)
        return let_in(v, c, id, BY_MACHINE);
    client_guessed(v, c);
    return client_end(c, rc, "this machine token is not valid");
}

static int by_password(struct vault *v, struct client *c, const struct people_sign_in *s) {
    struct password with;
    if (v->helper_fd < 0)
        return client_end(c, ERR_PEER, "the vault cannot hash passwords any more: restart it");
    int rc = sign_in_begin(v, c, s->name);
    if (rc || !c->waiting)
        return rc;
    c->waiting->for_what = WAIT_SIGN_IN;
    memcpy(c->waiting->code, s->code, sizeof s->code);
    people_hashing(v->people, s->name, &with);
    rc = helper_hash(v, c, &with, s->secret, s->secret_len, hashed);
    if (!rc)
        return 0;
    sign_in_cancel(v, c);
    return client_end(c, rc, rc == ERR_FULL ? "too many sign in at the moment: try again" : err_text(rc));
}

int sign_in(struct vault *v, struct client *c, const struct frame *f) {
    struct people_sign_in s;
    int rc = people_parse_sign_in(&s, f->p, f->len);
    if (!rc && !v->people)
        rc = client_end_rc(c, keys_locked(v->keys) ? ERR_LOCKED : ERR_CORRUPT);
    else if (!rc)
        rc = s.machine ? by_machine(v, c, &s) : by_password(v, c, &s);
    sodium_memzero(&s, sizeof s);
    /* The frame lies in the peer's buffer, which is ours until the next call. */
    sodium_memzero((void *)(uintptr_t)f->p, f->len);
    return rc;
}

int sign_out(struct vault *v, struct client *c) {
    struct people_actor a;
    int rc = client_actor(v, c, &a);
    if (!rc && uuid_is_zero(a.session))
        return client_end(c, ERR_USAGE, "nobody is signed in here");
    if (rc)
        return client_end(c, rc, client_refusal(rc));
    /* What ends is ended, noted or not. */
    const char *name = people_name(v->people, a.id);
    people_sign_out(v->people, &a);
    if (note(v, c, name, &a, RESULT_OUT, 0))
        log_event("sign-out-not-noted", LOG_END);
    return client_end_rc(c, 0);
}
