/* The sessions (session.h): one table, looked through from end to end, so that how long it takes tells
 * nothing about a token. */
#include "read/people/session.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct sessions {
    struct session at[SESSIONS_MAX];
};

int sessions_new(struct sessions **ret) {
    struct sessions *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    *ret = s;
    return 0;
}

void sessions_free(struct sessions *s) {
    if (s)
        sodium_memzero(s, sizeof *s);
    free(s);
}

static void hash_token(uint8_t out[32], const uint8_t token[SESSION_TOKEN_BYTES]) {
    crypto_generichash(out, 32, token, SESSION_TOKEN_BYTES, NULL, 0);
}

static bool is_over(const struct session *s, uint64_t now_ns) {
    return now_ns > s->seen_ns + SESSION_IDLE_NS || now_ns > s->began_ns + SESSION_AGE_NS;
}

static void sweep(struct sessions *s, uint64_t now_ns) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (s->at[i].used && is_over(&s->at[i], now_ns))
            sodium_memzero(&s->at[i], sizeof s->at[i]);
}

/* A place for one more: free, or that of this person's idlest session if he has his share. */
static struct session *place_for(struct sessions *s, uint32_t person) {
    struct session *spare = NULL, *idlest = NULL;
    unsigned own = 0;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *x = &s->at[i];
        if (!x->used) {
            spare = x;
        } else if (x->person == person) {
            own++;
            if (!idlest || x->seen_ns < idlest->seen_ns)
                idlest = x;
        }
    }
    return own < SESSIONS_PER_PERSON && spare ? spare : idlest;
}

int session_begin(struct sessions *s, uint32_t person, uint32_t epoch, uint64_t now_ns,
                  uint8_t ret_token[SESSION_TOKEN_BYTES], const struct session **ret) {
    sweep(s, now_ns);
    struct session *x = place_for(s, person);
    if (!x)
        return ERR_FULL;
    *x = (struct session){.used = true,
                          .person = person,
                          .epoch = epoch,
                          .began_ns = now_ns,
                          .seen_ns = now_ns};
    randombytes_buf(ret_token, SESSION_TOKEN_BYTES);
    hash_token(x->hash, ret_token);
    randombytes_buf(x->id, sizeof x->id);
    *ret = x;
    return 0;
}

const struct session *session_find(struct sessions *s, const uint8_t token[SESSION_TOKEN_BYTES],
                                   uint64_t now_ns) {
    uint8_t hash[32];
    struct session *found = NULL;
    hash_token(hash, token);
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (sodium_memcmp(s->at[i].hash, hash, sizeof hash) == 0 && s->at[i].used)
            found = &s->at[i];
    if (found && is_over(found, now_ns)) {
        sodium_memzero(found, sizeof *found);
        found = NULL;
    }
    if (found)
        found->seen_ns = now_ns;
    return found;
}

const struct session *session_by_id(struct sessions *s, const uint8_t id[UUID_BYTES],
                                   uint64_t now_ns) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (s->at[i].used && memcmp(s->at[i].id, id, UUID_BYTES) == 0)
            return is_over(&s->at[i], now_ns) ? NULL : &s->at[i];
    return NULL;
}

void session_end(struct sessions *s, const struct session *of) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (&s->at[i] == of)
            sodium_memzero(&s->at[i], sizeof s->at[i]);
}

unsigned sessions_end_others(struct sessions *s, uint32_t person, const uint8_t but[UUID_BYTES]) {
    unsigned n = 0;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (s->at[i].used && s->at[i].person == person && memcmp(s->at[i].id, but, UUID_BYTES) != 0) {
            sodium_memzero(&s->at[i], sizeof s->at[i]);
            n++;
        }
    return n;
}

unsigned sessions_end_person(struct sessions *s, uint32_t person) {
    static const uint8_t none[UUID_BYTES]; /* ids are random */
    return sessions_end_others(s, person, none);
}

size_t sessions_count(struct sessions *s, uint64_t now_ns) {
    size_t n = 0;
    sweep(s, now_ns);
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        n += s->at[i].used;
    return n;
}
