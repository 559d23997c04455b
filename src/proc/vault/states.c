/*
 * Locked and unlocked. A vault starts locked. After an unlock it opens cells at once; meanwhile the
 * subjects that were made while it was locked get their lasting tags, in slices, and when all have,
 * the sealer is lent the lasting pepper.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/vault.h"
#include "read/people/canary_record.h"

#define FREE_TRIES 1 /* a wrong passphrase that costs nothing but its Argon2id */
#define PATIENCE_MAX_S 64u
#define JOIN_SLICE 64
#define JOIN_RETRY_MS 1000

unsigned state_patience(const struct vault *v) {
    uint64_t now = clock_mono_ns();
    return now >= v->patience_ns ? 0 : (unsigned)((v->patience_ns - now) / 1000000000u) + 1;
}

static void wrong_passphrase(struct vault *v) {
    unsigned over = ++v->wrong > FREE_TRIES ? v->wrong - FREE_TRIES - 1 : 0;
    unsigned s = v->wrong <= FREE_TRIES ? 0 : over < 6 ? 1u << over : PATIENCE_MAX_S;
    v->patience_ns = clock_mono_ns() + s * 1000000000ull;
    log_event("passphrase-wrong", LOG_U64("in_a_row", v->wrong), LOG_U64("wait_s", s), LOG_END);
}

/* ---- people ---- */

static int put_record(void *arg, uint32_t *n, const uint8_t *p, size_t len) {
    return keys_record_put(arg, n, p, len);
}

static int take_record(void *arg, uint32_t n, const uint8_t *p, size_t len) {
    struct vault *v = arg;
    if (canary_record_is(p, len))
        return canary_take(v, n, p, len);
    if (!throttle_is_record(p, len))
        return people_take(v->people, n, p, len);
    v->throttle_row = n;
    return throttle_load(v->throttle, clock_mono_ns(), clock_wall_us(), p, len);
}

void vault_load_people(struct vault *v) {
    const struct people_store store = {v->keys, put_record};
    people_free(v->people);
    v->people = NULL;
    v->throttle_row = 0;
    canaries_forget(v);
    int rc = people_new(&v->people, &store);
    if (!rc)
        rc = keys_record_each(v->keys, take_record, v);
    if (!rc)
        rc = people_loaded(v->people);
    traces_wipe();
    if (!rc)
        return;
    people_free(v->people);
    v->people = NULL;
    log_event("people-unreadable", LOG_ERR(rc), LOG_END);
}

/* ---- the two states ---- */

int state_unlock(struct vault *v, const uint8_t *passphrase, size_t len) {
    if (state_patience(v))
        return ERR_AGAIN;
    if (fresh_look(v))
        return ERR_DENIED;
    int rc = keys_unlock(v->keys, passphrase, len);
    traces_wipe();
    if (rc == ERR_UNAUTHENTICATED) {
        wrong_passphrase(v);
        return rc;
    }
    if (rc) {
        log_event("unlock-failed", LOG_ERR(rc), LOG_END);
        return rc;
    }
    v->wrong = 0;
    v->patience_ns = 0;
    v->joining = true;
    if (!v->people) { /* unlocked anew it knows them already, and their sessions go on */
        vault_load_people(v);
        persons_note_mode(v);
    }
    log_event("unlocked", LOG_END);
    return 0;
}

void state_lock(struct vault *v) {
    if (keys_locked(v->keys))
        return;
    clients_locked(v);
    people_free(v->people);
    v->people = NULL;
    canaries_forget(v);
    keys_lock(v->keys);
    v->joining = false;
    traces_wipe();
    log_event("locked", LOG_END);
}

int state_turn(struct vault *v) {
    bool left = false;
    if (!v->joining)
        return -1;
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = keys_join(v->keys, JOIN_SLICE, &left);
    if (!rc)
        rc = keys_commit(v->keys);
    else
        keys_rollback(v->keys);
    traces_wipe();
    if (rc) {
        log_event("join-failed", LOG_ERR(rc), LOG_END);
        return JOIN_RETRY_MS;
    }
    if (left)
        return 0;
    v->joining = false;
    sealer_lend_again(v);
    return -1;
}
