/*
 * The table of health.h. Choosing and reporting run in gateway workers (memory operations only),
 * the rest in the supervisor.
 *
 * A provider's state is one word: until when it is ejected, how many failures in a row, whether a
 * probe is under way; a key's state is one word as well. Both change by compare-and-swap, from one
 * whole state to another.
 */
#include "control/health.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/memfile.h"
#include "control/slots.h"

#define HEALTH_MAGIC 0x31746c6873736873ull /* "shsshlt1" */
#define BUSY_RETRY_MS 1000                 /* a place comes free when some request ends: a guess */
#define FINGERPRINT 16

/* until (ms since 1970) << 20 | probe << 16 | failures */
#define UNTIL_SHIFT 20
#define PROBE (1ull << 16)
#define FAILURES 0xffffull

/* until (ms since 1970) << 20 | status << 4 | enum health_key_state */
#define STATUS_SHIFT 4
#define STATUS_MASK 0xffffull
#define KEY_STATE 0xfull

struct provider {
    _Atomic uint32_t made; /* 1 when name and keys may be read */
    _Atomic uint32_t next_key;
    _Atomic uint64_t state;
    _Atomic uint64_t keys[HEALTH_KEYS];
    char name[LIMIT_NAME];
};

struct file {
    uint64_t magic, bytes;
    struct slots slots;
    struct provider providers[HEALTH_PROVIDERS];
    _Atomic uint32_t
        in_flight[HEALTH_PROVIDERS][LIMIT_WORKER_SLOTS]; /* one writer each: the owner */
};

struct supervisor { /* its own memory: who may be replaced */
    uint8_t secret[crypto_generichash_KEYBYTES];
    uint32_t publication, named[HEALTH_PROVIDERS], key_named[HEALTH_PROVIDERS][HEALTH_KEYS];
    uint8_t fingerprints[HEALTH_PROVIDERS][HEALTH_KEYS][FINGERPRINT];
};

struct health {
    struct file *file;
    int fd;
    uint32_t slot;
    uint32_t turn;          /* a worker's place in the sequence of weighted choices */
    struct supervisor *own; /* NULL in a worker */
};

/* ---- mapping ---- */

int health_map(int fd, struct health **ret) {
    struct stat st;
    if (fstat(fd, &st))
        return err_from_errno(errno);
    if (st.st_size != (off_t)sizeof(struct file))
        return ERR_VERSION;
    struct file *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (f == MAP_FAILED)
        return err_from_errno(errno);
    struct health *h = calloc(1, sizeof *h);
    int rc = !h ? ERR_NOMEM : f->magic != HEALTH_MAGIC || f->bytes != sizeof *f ? ERR_CORRUPT : 0;
    if (rc) {
        munmap(f, sizeof *f);
        free(h);
        return rc;
    }
    *h = (struct health){.file = f, .fd = fd, .slot = LIMIT_WORKER_SLOTS};
    *ret = h;
    return 0;
}

static void clear_slot(void *table, uint32_t slot) {
    struct health *h = table;
    for (size_t p = 0; p < HEALTH_PROVIDERS; p++)
        if (atomic_load_explicit(&h->file->in_flight[p][slot], memory_order_relaxed))
            atomic_store(&h->file->in_flight[p][slot], 0);
}

int health_claim(struct health *h) {
    CHECK(h->slot == LIMIT_WORKER_SLOTS);
    int rc = slots_claim(h->fd, &h->file->slots, clear_slot, h, &h->slot);
    h->turn = h->slot * 0x51ed2701u; /* workers do not begin with the same choices */
    return rc;
}

unsigned health_reap(struct health *h) {
    return slots_reap(h->fd, &h->file->slots, clear_slot, h);
}

int health_create(struct health **ret) {
    uint64_t head[2] = {HEALTH_MAGIC, sizeof(struct file)};
    struct supervisor *own = calloc(1, sizeof *own);
    int fd = -1;
    int rc = own ? memfile_new("safehouse-health", sizeof(struct file), head, sizeof head, &fd)
                 : ERR_NOMEM;
    if (!rc)
        rc = health_map(fd, ret);
    if (rc) {
        free(own);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    randombytes_buf(own->secret, sizeof own->secret);
    (*ret)->own = own;
    return 0;
}

void health_close(struct health *h) {
    if (!h)
        return;
    munmap(h->file, sizeof *h->file);
    if (h->own) {
        close(h->fd);
        sodium_memzero(h->own, sizeof *h->own);
        free(h->own);
    }
    free(h);
}

int health_fd(const struct health *h) {
    return h->fd;
}

/* ---- supervisor: numbers ---- */

static uint32_t in_flight(const struct health *h, uint16_t provider) {
    uint32_t sum = 0, high = atomic_load(&h->file->slots.high);
    for (uint32_t s = 0; s < high && s < LIMIT_WORKER_SLOTS; s++)
        sum += atomic_load(&h->file->in_flight[provider][s]);
    return sum;
}

void health_begin(struct health *h) {
    h->own->publication++;
}

int health_provider(struct health *h, const char *name, uint16_t *ret_number) {
    uint32_t found = HEALTH_PROVIDERS, spare = HEALTH_PROVIDERS;
    for (uint32_t i = HEALTH_PROVIDERS; i-- > 0;) {
        struct provider *p = &h->file->providers[i];
        bool made = atomic_load(&p->made);
        if (made && strcmp(p->name, name) == 0)
            found = i;
        /* One that the configuration lost may be replaced, not by the very next one: workers may
         * still be choosing from the snapshot before. */
        if (!made || (h->own->named[i] + 1 < h->own->publication && in_flight(h, (uint16_t)i) == 0))
            spare = i;
    }
    if (strlen(name) >= LIMIT_NAME)
        return ERR_USAGE;
    if (found == HEALTH_PROVIDERS) {
        if (spare == HEALTH_PROVIDERS)
            return ERR_FULL;
        struct provider *p = &h->file->providers[spare];
        atomic_store(&p->made, 0);
        atomic_store(&p->state, 0);
        for (size_t k = 0; k < HEALTH_KEYS; k++)
            atomic_store(&p->keys[k], HEALTH_KEY_UNUSED);
        memset(h->own->fingerprints[spare], 0, sizeof h->own->fingerprints[spare]);
        memset(h->own->key_named[spare], 0, sizeof h->own->key_named[spare]);
        memset(p->name, 0, sizeof p->name);
        memcpy(p->name, name, strlen(name));
        atomic_store(&p->made, 1);
        found = spare;
    }
    h->own->named[found] = h->own->publication;
    *ret_number = (uint16_t)found;
    return 0;
}

int health_key(struct health *h, uint16_t provider, const char *credential, uint8_t *ret_number) {
    uint8_t print[FINGERPRINT];
    uint32_t spare = HEALTH_KEYS;
    CHECK(provider < HEALTH_PROVIDERS);
    crypto_generichash(print, sizeof print, (const uint8_t *)credential, strlen(credential),
                       h->own->secret, sizeof h->own->secret);
    for (uint32_t k = HEALTH_KEYS; k-- > 0;) {
        bool used = atomic_load(&h->file->providers[provider].keys[k]) != HEALTH_KEY_UNUSED;
        if (used && memcmp(h->own->fingerprints[provider][k], print, sizeof print) == 0) {
            h->own->key_named[provider][k] = h->own->publication;
            *ret_number = (uint8_t)k;
            return 0;
        }
        if (!used || h->own->key_named[provider][k] + 1 < h->own->publication)
            spare = k;
    }
    if (spare == HEALTH_KEYS)
        return ERR_FULL;
    memcpy(h->own->fingerprints[provider][spare], print, sizeof print);
    h->own->key_named[provider][spare] = h->own->publication;
    atomic_store(&h->file->providers[provider].keys[spare], HEALTH_KEY_OK);
    *ret_number = (uint8_t)spare;
    return 0;
}

void health_restore_keys(struct health *h) {
    for (size_t p = 0; p < HEALTH_PROVIDERS; p++)
        for (size_t k = 0; k < HEALTH_KEYS; k++)
            if (atomic_load(&h->file->providers[p].keys[k]) != HEALTH_KEY_UNUSED)
                atomic_store(&h->file->providers[p].keys[k], HEALTH_KEY_OK);
}

bool health_view(const struct health *h, uint16_t number, uint64_t now_us,
                 struct health_view *ret) {
    uint64_t now_ms = now_us / 1000;
    if (number >= HEALTH_PROVIDERS || !atomic_load(&h->file->providers[number].made))
        return false;
    const struct provider *p = &h->file->providers[number];
    uint64_t state = atomic_load(&p->state);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->name, p->name, sizeof ret->name);
    ret->current = h->own && h->own->named[number] == h->own->publication;
    ret->in_flight = in_flight(h, number);
    ret->failures = (uint32_t)(state & FAILURES);
    if (state >> UNTIL_SHIFT > now_ms)
        ret->ejected_for_ms = (state >> UNTIL_SHIFT) - now_ms;
    for (size_t k = 0; k < HEALTH_KEYS; k++) {
        uint64_t key = atomic_load(&p->keys[k]);
        ret->keys[k].state = (enum health_key_state)(key & KEY_STATE);
        ret->keys[k].status = (int)(key >> STATUS_SHIFT & STATUS_MASK);
        if (ret->keys[k].state != HEALTH_KEY_PARKED)
            continue;
        if (key >> UNTIL_SHIFT > now_ms)
            ret->keys[k].for_ms = (key >> UNTIL_SHIFT) - now_ms;
        else
            ret->keys[k].state = HEALTH_KEY_OK;
    }
    return true;
}

/* ---- worker: choosing ---- */

enum hindrance { CAN, EJECTED, BUSY, NO_KEY };

struct choice {
    struct health *h;
    uint64_t now_ms, retry_ms;
    bool last_resort; /* ejection does not count */
};

static void come_again(struct choice *c, uint64_t in_ms) {
    if (!c->retry_ms || in_ms < c->retry_ms)
        c->retry_ms = in_ms;
}

/* The next key in turn that works. */
static enum hindrance pick_key(struct choice *c, const struct health_candidate *of, uint8_t *ret) {
    struct provider *p = &c->h->file->providers[of->provider];
    enum hindrance why = NO_KEY;
    *ret = HEALTH_NO_KEY;
    if (!of->key_count)
        return CAN;
    uint32_t turn = atomic_fetch_add_explicit(&p->next_key, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < of->key_count; i++) {
        uint8_t k = of->keys[(turn + i) % of->key_count];
        uint64_t state = k < HEALTH_KEYS ? atomic_load(&p->keys[k]) : HEALTH_KEY_UNUSED;
        uint64_t until = state >> UNTIL_SHIFT;
        bool parked = (state & KEY_STATE) == HEALTH_KEY_PARKED;
        if ((state & KEY_STATE) == HEALTH_KEY_OK || (parked && until <= c->now_ms)) {
            *ret = k;
            return CAN;
        }
        if (parked) {
            why = BUSY;
            come_again(c, until - c->now_ms);
        }
    }
    return why;
}

/* Is it ejected? When its time is over, one caller gets to probe, for as long as an ejection. */
static bool pass_gate(struct choice *c, const struct health_candidate *of, bool *ret_probe) {
    struct provider *p = &c->h->file->providers[of->provider];
    uint64_t old = atomic_load(&p->state), until = old >> UNTIL_SHIFT;
    *ret_probe = false;
    if (!until || c->last_resort)
        return true;
    if (until > c->now_ms) {
        come_again(c, until - c->now_ms);
        return false;
    }
    uint64_t probing = (c->now_ms + of->eject_for_ms + 1) << UNTIL_SHIFT | PROBE | (old & FAILURES);
    *ret_probe = atomic_compare_exchange_strong(&p->state, &old, probing);
    if (!*ret_probe)
        come_again(c, BUSY_RETRY_MS);
    return *ret_probe;
}

static enum hindrance take(struct choice *c, const struct health_candidate *of,
                           struct health_ticket *ret) {
    uint8_t key;
    bool probe;
    if (of->provider >= HEALTH_PROVIDERS)
        return NO_KEY;
    enum hindrance why = pick_key(c, of, &key);
    if (why != CAN)
        return why;
    _Atomic uint32_t *own = &c->h->file->in_flight[of->provider][c->h->slot];
    atomic_fetch_add(own, 1);
    if (of->max_concurrency && in_flight(c->h, of->provider) > of->max_concurrency) {
        atomic_fetch_sub(own, 1);
        come_again(c, BUSY_RETRY_MS);
        return BUSY;
    }
    if (!pass_gate(c, of, &probe)) {
        atomic_fetch_sub(own, 1);
        return EJECTED;
    }
    *ret = (struct health_ticket){.key = key,
                                  .provider = of->provider,
                                  .eject_after = of->eject_after,
                                  .eject_for_ms = of->eject_for_ms,
                                  .probe = probe,
                                  .held = true};
    return CAN;
}

/* The candidate whose turn it is: by weight among the primaries not in `skip`, then the first
 * fallback. `count` when all are skipped. */
static size_t whose_turn(struct health *h, const struct health_candidate *list, size_t count,
                         uint32_t skip) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += skip >> i & 1 ? 0 : list[i].weight;
    size_t i = 0;
    if (total) {
        /* A Weyl sequence by the golden ratio: evener than chance, and no shared counter. */
        h->turn += 0x9e3779b9u;
        uint64_t point = (uint64_t)h->turn * total >> 32;
        for (; i < count; i++) {
            uint64_t weight = skip >> i & 1 ? 0 : list[i].weight;
            if (point < weight)
                break;
            point -= weight;
        }
        return i;
    }
    while (i < count && skip >> i & 1)
        i++;
    return i;
}

int health_choose(struct health *h, const struct health_candidate *list, size_t count,
                  uint32_t tried, uint64_t now_us, struct health_ticket *ret,
                  uint64_t *ret_retry_ms) {
    struct choice c = {.h = h, .now_ms = now_us / 1000};
    bool seen[NO_KEY + 1] = {false};
    CHECK(h->slot < LIMIT_WORKER_SLOTS && count <= LIMIT_CANDIDATES);
    memset(ret, 0, sizeof *ret);
    for (int round = 0; round < 2; round++) {
        uint32_t skip = tried;
        for (size_t i; (i = whose_turn(h, list, count, skip)) < count; skip |= 1u << i) {
            enum hindrance why = take(&c, &list[i], ret);
            seen[why] = true;
            if (why == CAN) {
                ret->candidate = (uint32_t)i;
                *ret_retry_ms = 0;
                return 0;
            }
        }
        if (!seen[EJECTED] || tried)
            break;
        c.last_resort = true;
    }
    *ret_retry_ms = c.retry_ms;
    return seen[BUSY]      ? ERR_FULL
           : seen[EJECTED] ? ERR_PEER
           : seen[NO_KEY]  ? ERR_DENIED
                           : ERR_NOTFOUND;
}

/* ---- worker: what came of it ---- */

static void note_failure(struct provider *p, const struct health_ticket *t, uint64_t now_ms) {
    uint64_t old = atomic_load(&p->state), now;
    do {
        uint64_t failures = old & FAILURES;
        if (old >> UNTIL_SHIFT && !t->probe)
            return; /* ejected meanwhile: this attempt began before, or was a last resort */
        failures += failures < FAILURES;
        bool eject = t->probe || (t->eject_after && failures >= t->eject_after);
        now = (eject ? now_ms + t->eject_for_ms : 0) << UNTIL_SHIFT | failures;
    } while (!atomic_compare_exchange_weak(&p->state, &old, now));
}

static void note_success(struct provider *p, const struct health_ticket *t) {
    uint64_t old = atomic_load(&p->state);
    while (old && (t->probe || !(old >> UNTIL_SHIFT)) &&
           !atomic_compare_exchange_weak(&p->state, &old, 0))
        ;
}

/* The probe said nothing: the next request probes. */
static void end_probe(struct provider *p, uint64_t now_ms) {
    uint64_t old = atomic_load(&p->state);
    while (old & PROBE &&
           !atomic_compare_exchange_weak(&p->state, &old, now_ms << UNTIL_SHIFT | (old & FAILURES)))
        ;
}

static void note_key(struct provider *p, uint8_t key, enum health_key_state state, int status,
                     uint64_t until_ms) {
    uint64_t old = key < HEALTH_KEYS ? atomic_load(&p->keys[key]) : HEALTH_KEY_UNUSED;
    uint64_t now = until_ms << UNTIL_SHIFT | (uint64_t)status << STATUS_SHIFT | (uint64_t)state;
    /* Out stays out, and of two parkings the longer one counts. */
    while ((old & KEY_STATE) != HEALTH_KEY_UNUSED && (old & KEY_STATE) != HEALTH_KEY_OUT &&
           (state == HEALTH_KEY_OUT || until_ms > old >> UNTIL_SHIFT) &&
           !atomic_compare_exchange_weak(&p->keys[key], &old, now))
        ;
}

void health_done(struct health *h, struct health_ticket *t, int status, uint64_t retry_after_ms,
                 uint64_t now_us) {
    if (!t->held)
        return;
    struct provider *p = &h->file->providers[t->provider];
    uint64_t now_ms = now_us / 1000;
    if (status == HEALTH_CANCELLED) {
        if (t->probe)
            end_probe(p, now_ms);
    } else if (status == HEALTH_NO_ANSWER || status >= 500) {
        note_failure(p, t, now_ms);
    } else {
        note_success(p, t);
    }
    if (status == 401 || status == 402)
        note_key(p, t->key, HEALTH_KEY_OUT, status, 0);
    else if (status == 429 && retry_after_ms)
        note_key(p, t->key, HEALTH_KEY_PARKED, status,
                 now_ms +
                     (retry_after_ms < HEALTH_RETRY_MAX_MS ? retry_after_ms : HEALTH_RETRY_MAX_MS));
    atomic_fetch_sub(&h->file->in_flight[t->provider][h->slot], 1);
    memset(t, 0, sizeof *t);
}

bool health_worth_fallback(int status) {
    return status == HEALTH_NO_ANSWER || status == 401 || status == 402 || status == 403 ||
           status == 404 || status == 408 || status == 429 || status >= 500;
}
