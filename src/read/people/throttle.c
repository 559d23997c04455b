/* How often somebody may try to sign in (throttle.h): a table of places, found by a keyed hash of the
 * name, so that nobody can choose names that meet in one place. The key is kept with the record, or a restart would
 * give each name another place. */
#include "read/people/throttle.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define SECOND_NS 1000000000ull
#define SHARE_NS (SECOND_NS / THROTTLE_PER_S)

struct place {
    uint64_t last_ns, until_ns;
    unsigned wrong;
    bool busy;
};

struct throttle {
    bool changed; /* since it was saved */
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
    t->changed = t->changed || !right || p->wrong;
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

/* ---- across a restart ---- */

#define RECORD_THROTTLE 6 /* kinds 1 to 4 are those of records.c, 5 is a canary's */
#define RECORD_HEAD (1 + crypto_shorthash_KEYBYTES + 8)
#define RECORD_PLACE 20
_Static_assert(THROTTLE_RECORD_MAX == RECORD_HEAD + THROTTLE_KEPT * RECORD_PLACE, "as the header says");

bool throttle_saved(const struct throttle *t) {
    return !t->changed;
}

static uint64_t to_us(uint64_t then_ns, uint64_t now_ns, uint64_t now_us) {
    return then_ns > now_ns ? now_us + (then_ns - now_ns) / 1000 : now_us - (now_ns - then_ns) / 1000;
}

/* At most `ahead_ns` from now: clocks are set. */
static uint64_t to_ns(uint64_t then_us, uint64_t now_ns, uint64_t now_us, uint64_t ahead_ns) {
    if (then_us > now_us) {
        const uint64_t us = then_us - now_us;
        return now_ns + (us < ahead_ns / 1000 ? us * 1000 : ahead_ns);
    }
    const uint64_t us = now_us - then_us;
    return us < now_ns / 1000 ? now_ns - us * 1000 : 0;
}

/* Which of two is worth more. */
static bool outlasts(const struct place *a, const struct place *b) {
    return a->until_ns != b->until_ns ? a->until_ns > b->until_ns : a->last_ns > b->last_ns;
}

static bool is_worth_keeping(const struct place *p, uint64_t now_ns) {
    return p->wrong && now_ns - p->last_ns <= THROTTLE_FORGET_S * SECOND_NS;
}

/* The places that are kept; how many. */
static size_t choose(const struct throttle *t, uint64_t now_ns, uint16_t out[THROTTLE_KEPT]) {
    size_t n = 0;
    for (uint16_t i = 0; i < THROTTLE_NAMES; i++) {
        if (!is_worth_keeping(&t->places[i], now_ns))
            continue;
        size_t at = n < THROTTLE_KEPT ? n++ : THROTTLE_KEPT;
        while (at > 0 && outlasts(&t->places[i], &t->places[out[at - 1]])) {
            if (at < THROTTLE_KEPT)
                out[at] = out[at - 1];
            at--;
        }
        if (at < THROTTLE_KEPT)
            out[at] = i;
    }
    return n;
}

size_t throttle_save(struct throttle *t, uint64_t now_ns, uint64_t now_us,
                     uint8_t out[THROTTLE_RECORD_MAX]) {
    uint16_t kept[THROTTLE_KEPT];
    const size_t n = choose(t, now_ns, kept);
    out[0] = RECORD_THROTTLE;
    memcpy(out + 1, t->key, sizeof t->key);
    put_u64(out + 1 + sizeof t->key, to_us(t->paid_ns, now_ns, now_us));
    uint8_t *at = out + RECORD_HEAD;
    for (size_t i = 0; i < n; i++, at += RECORD_PLACE) {
        const struct place *p = &t->places[kept[i]];
        put_u16(at, kept[i]);
        put_u16(at + 2, p->wrong < UINT16_MAX ? (uint16_t)p->wrong : UINT16_MAX);
        put_u64(at + 4, to_us(p->last_ns, now_ns, now_us));
        put_u64(at + 12, to_us(p->until_ns, now_ns, now_us));
    }
    t->changed = false;
    return (size_t)(at - out);
}

bool throttle_is_record(const uint8_t *p, size_t len) {
    return len && p[0] == RECORD_THROTTLE;
}

int throttle_load(struct throttle *t, uint64_t now_ns, uint64_t now_us, const uint8_t *p, size_t len) {
    if (!throttle_is_record(p, len) || len < RECORD_HEAD || len > THROTTLE_RECORD_MAX ||
        (len - RECORD_HEAD) % RECORD_PLACE)
        return ERR_CORRUPT;
    for (const uint8_t *at = p + RECORD_HEAD; at < p + len; at += RECORD_PLACE)
        if (get_u16(at) >= THROTTLE_NAMES)
            return ERR_CORRUPT;
    if (memcmp(t->key, p + 1, sizeof t->key) != 0) /* of the process before: nobody has tried here yet */
        memset(t->places, 0, sizeof t->places);
    memcpy(t->key, p + 1, sizeof t->key);
    const uint64_t paid = to_ns(get_u64(p + 1 + sizeof t->key), now_ns, now_us, THROTTLE_BURST * SHARE_NS);
    t->paid_ns = paid > t->paid_ns ? paid : t->paid_ns;
    for (const uint8_t *at = p + RECORD_HEAD; at < p + len; at += RECORD_PLACE) {
        struct place *x = &t->places[get_u16(at)];
        const struct place kept = {.wrong = get_u16(at + 2),
                                   .last_ns = to_ns(get_u64(at + 4), now_ns, now_us, 0),
                                   .until_ns = to_ns(get_u64(at + 12), now_ns, now_us, THROTTLE_MAX_S * SECOND_NS)};
        if (!x->busy && outlasts(&kept, x))
            *x = kept;
    }
    return 0;
}
