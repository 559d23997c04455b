/*
 * When the next generation of keys is made: after an erasure, when the sealer has had nothing to ask
 * for a while, or at the latest 20 hours after it; at once when somebody asks. Only an unlocked vault
 * can: what is sealed to the old generation is opened for it. In pieces, so that nobody waits.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/vault.h"

#define QUIET_US (600ull * 1000000)          /* an erasure rarely comes alone */
#define LATEST_US (20ull * 3600 * 1000000)
#define LOOK_MS 30000
#define RETRY_NS 60000000000ull

int renew_ask(struct vault *v, struct client *c, struct answer *a) {
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    if (v->renewing)
        return answer_fail(a, ERR_AGAIN, "somebody is waiting for it already");
    v->renewing = c;
    v->renew_now = true;
    v->renew_ns = 0;
    return 0;
}

void renew_client_gone(struct vault *v, const struct client *c) {
    if (v->renewing == c)
        v->renewing = NULL;
}

static void done(struct vault *v, int rc) {
    const struct answer a = {0};
    struct keys_counts counts;
    keys_counts(v->keys, &counts);
    if (rc)
        log_event("generation-failed", LOG_ERR(rc), LOG_END);
    else
        log_event("generation", LOG_U64("number", counts.generation), LOG_END);
    v->renew_now = false;
    v->renew_ns = clock_mono_ns() + RETRY_NS;
    if (v->renewing)
        clients_answer(v, v->renewing, rc, &a);
    v->renewing = NULL;
}

static int note(struct vault *v) {
    struct keys_counts counts;
    keys_counts(v->keys, &counts);
    int rc = note_key(v, ROTATED_GENERATION, counts.generation + 1);
    return rc ? rc : note_sync(v);
}

static bool is_time(struct vault *v, uint64_t since_us) {
    const uint64_t age = clock_wall_us() - since_us;
    const bool busy = v->questions.frames.len || v->batches.frames.len || v->open_bytes;
    return v->renew_now || age > LATEST_US || (age > QUIET_US && !busy);
}

int renew_turn(struct vault *v) {
    uint64_t since_us = 0;
    if (keys_locked(v->keys) || v->joining) {
        if (v->renewing)
            done(v, ERR_LOCKED);
        return -1;
    }
    const bool going = keys_renewing(v->keys);
    if (!going && clock_mono_ns() < v->renew_ns && !v->renew_now)
        return LOOK_MS;
    if (!going && !v->renew_now && !keys_renew_due(v->keys, &since_us)) {
        v->renew_ns = clock_mono_ns() + LOOK_MS * 1000000ull;
        return -1;
    }
    if (!going && !is_time(v, since_us))
        return LOOK_MS;
    int rc = going ? 0 : note(v);
    if (!rc)
        rc = keys_renew(v->keys);
    traces_wipe(); /* of the secrets that were sealed anew */
    if (rc == ERR_AGAIN)
        return 0;
    done(v, rc);
    return 0;
}
