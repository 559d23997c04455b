/* How often somebody may try to sign in (throttle.h): a table of places, found by a keyed hash of the
 * name, so that nobody can choose names that meet in one place. */
#include "read/people/throttle.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/err.h"

#define SECOND_NS 1000000000ull
#define SHARE_NS (SECOND_NS / THROTTLE_PER_S)

struct place {
    uint64_t last_ns, until_ns;
    unsigned wrong;
    bool busy;
};

struct throttle {
    uint8_t key[crypto_shorthash_KEYBYTES];
    uint64_t paid_ns; /* up to when the attempts so far use up the common rate */
    struct place places[THROTTLE_NAMES];
};

int throttle_new(struct throttle **ret) {
    struct throttle *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    crypto_shorthash_keygen(t->key);
    *ret = t;
    return 0;
}

void throttle_free(struct throttle *t) {
    free(t);
}

unsigned throttle_place(const struct throttle *t, const void *name, size_t len) {
    uint8_t h[crypto_shorthash_BYTES];
    crypto_shorthash(h, name, len, t->key);
    return (h[0] | (unsigned)h[1] << 8) % THROTTLE_NAMES;
}

static unsigned seconds_until(uint64_t then_ns, uint64_t now_ns) {
    return then_ns <= now_ns ? 0 : (unsigned)((then_ns - now_ns + SECOND_NS - 1) / SECOND_NS);
}

int throttle_begin(struct throttle *t, unsigned place, uint64_t now_ns, unsigned *ret_wait_s) {
    struct place *p = &t->places[place];
    *ret_wait_s = seconds_until(p->until_ns, now_ns);
    if (p->busy || *ret_wait_s)
        return ERR_AGAIN;
    if (t->paid_ns < now_ns)
        t->paid_ns = now_ns;
    const uint64_t ahead = t->paid_ns - now_ns;
    if (ahead + SHARE_NS > THROTTLE_BURST * SHARE_NS) {
        *ret_wait_s = seconds_until(t->paid_ns + SHARE_NS, now_ns + THROTTLE_BURST * SHARE_NS);
        return ERR_AGAIN;
    }
    t->paid_ns += SHARE_NS;
    p->busy = true;
    return 0;
}

static void give_back(struct throttle *t) {
    t->paid_ns -= t->paid_ns >= SHARE_NS ? SHARE_NS : 0;
}

void throttle_cancel(struct throttle *t, unsigned place) {
    t->places[place].busy = false;
    give_back(t);
}

unsigned throttle_end(struct throttle *t, unsigned place, uint64_t now_ns, bool right) {
    struct place *p = &t->places[place];
    if (now_ns - p->last_ns > THROTTLE_FORGET_S * SECOND_NS)
        p->wrong = 0;
    p->last_ns = now_ns;
    p->busy = false;
    if (right) {
        p->wrong = 0;
        give_back(t);
        return 0;
    }
    if (++p->wrong < THROTTLE_FREE)
        return 0;
    const unsigned over = p->wrong - THROTTLE_FREE;
    unsigned s = over < 6 ? THROTTLE_FIRST_S << over : THROTTLE_MAX_S;
    s = s < THROTTLE_MAX_S ? s : THROTTLE_MAX_S;
    p->until_ns = now_ns + s * SECOND_NS;
    return s;
}
