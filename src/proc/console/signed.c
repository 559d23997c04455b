/*
 * Who is signed in (console.h). ClickHouse's clients send name and password with each request, and the
 * vault takes a tenth of a second and 64 MiB to check one. So the session that a sign-in gave is kept,
 * under a keyed hash of what was sent: the key is drawn at the start and is in no other memory, and what is
 * kept opens nothing that the session would not. Only what the vault let in is kept, for as long as it
 * knows the session; the place of the one that was not used for longest is taken when there are too many.
 *
 * All of it lies in guarded memory, out of cores and swap. One lock; nobody waits for the vault with it.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/console/console.h"

#define PLACES 256
#define SIGNING_MAX 8 /* at once: as many as the vault's helper takes */
#define HASH_BYTES 32

struct place {
    enum { FREE, SIGNING, SIGNED } state;
    uint8_t hash[HASH_BYTES], session[HTTP_SESSION_BYTES];
    uint64_t used_ns;
    unsigned waiting; /* requests with the same credentials */
    uint64_t round;   /* of sign-ins in this place */
    int rc;           /* of the last one, for those that waited */
    char text[ASK_TEXT];
};

struct signed_in {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned signing;
    struct secrets {
        uint8_t key[crypto_generichash_KEYBYTES];
        struct place places[PLACES];
    } *secret; /* guarded */
};

int signed_in_new(struct signed_in **ret) {
    struct signed_in *s = calloc(1, sizeof *s);
    if (!s || !(s->secret = sodium_malloc(sizeof *s->secret))) {
        free(s);
        return ERR_NOMEM;
    }
    sodium_memzero(s->secret, sizeof *s->secret);
    crypto_generichash_keygen(s->secret->key);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    *ret = s;
    return 0;
}

/* Of kind, name, code and password (or token), each with its length, so that no two run together. */
static void hash_of(const struct signed_in *s, const struct http_who *w, uint8_t out[HASH_BYTES]) {
    crypto_generichash_state st;
    const uint8_t head[4] = {(uint8_t)w->by, (uint8_t)strlen(w->user), (uint8_t)strlen(w->code), 0};
    uint8_t len[8];
    put_u64(len, w->password_len);
    crypto_generichash_init(&st, s->secret->key, sizeof s->secret->key, HASH_BYTES);
    crypto_generichash_update(&st, head, sizeof head);
    crypto_generichash_update(&st, (const uint8_t *)w->user, strlen(w->user));
    crypto_generichash_update(&st, (const uint8_t *)w->code, strlen(w->code));
    crypto_generichash_update(&st, len, sizeof len);
    crypto_generichash_update(&st, (const uint8_t *)w->password, w->password_len);
    crypto_generichash_update(&st, w->token, sizeof w->token);
    crypto_generichash_final(&st, out, HASH_BYTES);
    sodium_memzero(&st, sizeof st);
}

/* ---- the vault ---- */

struct answer {
    uint8_t *session;
    char name[LIMIT_NAME];
};

/* 32 session | u64 idle us | u64 ends | s8 name | checkpoint */
static int signed_frame(void *arg, const struct frame *f) {
    struct answer *a = arg;
    const size_t head = HTTP_SESSION_BYTES + 16;
    if (f->msg != MSG_SIGNED_IN || f->len < head + 1 || f->p[head] >= LIMIT_NAME ||
        f->len - head - 1 < f->p[head])
        return ERR_SYNTAX;
    memcpy(a->session, f->p, HTTP_SESSION_BYTES);
    memcpy(a->name, f->p + head + 1, f->p[head]);
    a->name[f->p[head]] = 0;
    return 0;
}

/* u8 1 | s8 name | s16 password | s8 code, or u8 2 | 32 machine token */
static size_t put_sign_in(uint8_t *p, const struct http_who *w) {
    uint8_t *at = p;
    *at++ = w->by == HTTP_BY_MACHINE ? 2 : 1;
    if (w->by == HTTP_BY_MACHINE) {
        memcpy(at, w->token, sizeof w->token);
        return 1 + sizeof w->token;
    }
    const size_t name = strlen(w->user), code = strlen(w->code);
    *at++ = (uint8_t)name;
    memcpy(at, w->user, name);
    at += name;
    put_u16(at, (uint16_t)w->password_len);
    memcpy(at + 2, w->password, w->password_len);
    at += 2 + w->password_len;
    *at++ = (uint8_t)code;
    memcpy(at, w->code, code);
    return (size_t)(at + code - p);
}

static int sign_in(struct edges *e, const struct http_who *w, uint8_t session[HTTP_SESSION_BYTES],
                   char text[ASK_TEXT]) {
    struct peer *vault = NULL;
    struct answer a = {.session = session};
    uint8_t p[512];
    int rc = edges_channel(e, IPC_VAULT, &vault);
    if (rc) {
        snprintf(text, ASK_TEXT, "the vault does not answer");
        return rc;
    }
    const size_t n = put_sign_in(p, w);
    rc = ask(vault, NULL, MSG_SIGN_IN, p, n, signed_frame, &a, text);
    sodium_memzero(p, sizeof p);
    /* A machine's token says whose it is: a name beside it must be that one. */
    if (!rc && w->user[0] && strcmp(w->user, "default") && strcmp(w->user, a.name)) {
        char ignored[ASK_TEXT];
        ask(vault, session, MSG_SIGN_OUT, NULL, 0, NULL, NULL, ignored);
        snprintf(text, ASK_TEXT, "name, password or code is wrong");
        rc = ERR_UNAUTHENTICATED;
    }
    peer_free(vault);
    return rc;
}

/* ---- places ---- */

static struct place *find(struct signed_in *s, const uint8_t hash[HASH_BYTES]) {
    for (size_t i = 0; i < PLACES; i++)
        if (s->secret->places[i].state != FREE && !sodium_memcmp(s->secret->places[i].hash, hash, HASH_BYTES))
            return &s->secret->places[i];
    return NULL;
}

/* A free one, or the idlest. NULL: all are being signed in, or too many are. */
static struct place *make(struct signed_in *s, const uint8_t hash[HASH_BYTES]) {
    struct place *best = NULL;
    for (size_t i = 0; i < PLACES && s->signing < SIGNING_MAX; i++) {
        struct place *p = &s->secret->places[i];
        if (p->state == SIGNING || p->waiting)
            continue;
        if (!best || p->state == FREE || (best->state != FREE && p->used_ns < best->used_ns))
            best = p;
        if (best->state == FREE)
            break;
    }
    if (best) {
        sodium_memzero(best->session, sizeof best->session);
        memcpy(best->hash, hash, HASH_BYTES);
        best->state = SIGNING;
        s->signing++;
    }
    return best;
}

/* Another request signs in with the same: its result is this one's too. */
static int wait_for(struct signed_in *s, struct place *p, uint8_t session[HTTP_SESSION_BYTES],
                    char text[ASK_TEXT]) {
    const uint64_t round = p->round;
    p->waiting++;
    while (p->state == SIGNING && p->round == round)
        pthread_cond_wait(&s->changed, &s->lock);
    p->waiting--;
    if (!p->rc)
        memcpy(session, p->session, HTTP_SESSION_BYTES);
    memcpy(text, p->text, ASK_TEXT);
    return p->rc;
}

static int sign_in_at(struct signed_in *s, struct place *p, struct edges *e, const struct http_who *who,
                      uint8_t session[HTTP_SESSION_BYTES], char text[ASK_TEXT]) {
    pthread_mutex_unlock(&s->lock);
    int rc = sign_in(e, who, session, text);
    pthread_mutex_lock(&s->lock);
    s->signing--;
    p->round++;
    p->rc = rc;
    memcpy(p->text, text, ASK_TEXT);
    p->state = rc ? FREE : SIGNED;
    p->used_ns = clock_mono_ns();
    if (!rc)
        memcpy(p->session, session, HTTP_SESSION_BYTES);
    pthread_cond_broadcast(&s->changed);
    return rc;
}

int signed_in_session(struct signed_in *s, struct edges *e, const struct http_who *who,
                      uint8_t session[HTTP_SESSION_BYTES], char text[ASK_TEXT]) {
    uint8_t hash[HASH_BYTES];
    int rc = 0;
    text[0] = 0;
    hash_of(s, who, hash);
    pthread_mutex_lock(&s->lock);
    struct place *p = find(s, hash);
    if (p && p->state == SIGNED) {
        memcpy(session, p->session, HTTP_SESSION_BYTES);
        p->used_ns = clock_mono_ns();
    } else if (p) {
        rc = wait_for(s, p, session, text);
    } else if ((p = make(s, hash)) != NULL) {
        rc = sign_in_at(s, p, e, who, session, text);
    } else {
        snprintf(text, ASK_TEXT, "too many people sign in at the moment: try again");
        rc = ERR_AGAIN;
    }
    pthread_mutex_unlock(&s->lock);
    sodium_memzero(hash, sizeof hash);
    return rc;
}

void signed_in_forget(struct signed_in *s, const uint8_t session[HTTP_SESSION_BYTES]) {
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = &s->secret->places[i];
        if (p->state == SIGNED && !sodium_memcmp(p->session, session, HTTP_SESSION_BYTES)) {
            p->state = FREE;
            sodium_memzero(p->session, sizeof p->session);
            sodium_memzero(p->hash, sizeof p->hash);
        }
    }
    pthread_mutex_unlock(&s->lock);
}
