/*
 * Whose exchange it is. A name never leaves this process but sealed to the opening key; what is
 * kept here is its keyed tag, the subject's id and its public key.
 *
 * A question's life: asked (MSG_SUBJECT) -> answered (MSG_SUBJECT_IS), or not answered for
 * PATIENCE_MS -> a pair of the pool is assigned (MSG_ASSIGN, kept in the spool until answered). The
 * vault, or a later one, may know the person under another id as well: one person, several ids.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/sealer/sealer.h"
#include "record/subject.h"

#define PATIENCE_MS 200
#define WAYS 8
#define BUCKETS 8192
#define QUESTIONS_MAX 256
#define POOL_MAX 256
#define POOL_WANTED 64
#define POOL_LOW 32
#define TAG_BYTES SPOOL_TAG_BYTES
#define QUESTION_MAX 2048

struct known {
    uint8_t tag[TAG_BYTES];
    struct subject subject;
    uint64_t used; /* 0: empty */
};

struct question {
    uint64_t asked_ns; /* 0: free */
    bool sent;
    size_t len;
    uint8_t payload[QUESTION_MAX]; /* of MSG_SUBJECT: u32 pepper number | 32 tag | u16 n | n name */
};

struct subjects {
    struct known known[BUCKETS * WAYS];
    uint64_t clock;
    struct question questions[QUESTIONS_MAX];
    size_t open; /* questions */
    struct subject pool[POOL_MAX];
    size_t pool_count;
    bool pool_asked;
};

int subjects_new(struct subjects **ret) {
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : ERR_NOMEM;
}

static struct known *bucket(struct subjects *u, const uint8_t tag[TAG_BYTES]) {
    return u->known + get_u32(tag) % BUCKETS * WAYS;
}

static struct known *find(struct subjects *u, const uint8_t tag[TAG_BYTES]) {
    struct known *k = bucket(u, tag);
    for (int i = 0; i < WAYS; i++)
        if (k[i].used && !memcmp(k[i].tag, tag, TAG_BYTES))
            return &k[i];
    return NULL;
}

static void learn(struct subjects *u, const uint8_t tag[TAG_BYTES], const struct subject *s) {
    struct known *k = find(u, tag);
    if (!k) {
        struct known *b = bucket(u, tag);
        k = b;
        for (int i = 1; i < WAYS; i++)
            if (b[i].used < k->used)
                k = &b[i];
    }
    memcpy(k->tag, tag, TAG_BYTES);
    k->subject = *s;
    k->used = ++u->clock;
}

static struct question *question_of(struct subjects *u, const uint8_t tag[TAG_BYTES]) {
    for (int i = 0; i < QUESTIONS_MAX && u->open; i++)
        if (u->questions[i].asked_ns && !memcmp(u->questions[i].payload + 4, tag, TAG_BYTES))
            return &u->questions[i];
    return NULL;
}

static void close_question(struct subjects *u, struct question *q) {
    *q = (struct question){0};
    u->open--;
}

static void send_question(struct sealer *s, struct question *q) {
    q->sent = s->vault && sealer_send(s, s->vault, MSG_SUBJECT, q->payload, q->len, -1) == 0;
}

/* `name` is the encoded name; what is sent of it is sealed. ERR_AGAIN: asked, or too many questions
 * are open. */
static int ask(struct sealer *s, const uint8_t tag[TAG_BYTES], const uint8_t *name, size_t len) {
    struct subjects *u = s->subjects;
    struct question *q = u->questions;
    size_t sealed = crypto_box_SEALBYTES + len;
    while (q < u->questions + QUESTIONS_MAX && q->asked_ns)
        q++;
    if (q == u->questions + QUESTIONS_MAX)
        return ERR_AGAIN;
    put_u32(q->payload, s->writer.pepper_number);
    memcpy(q->payload + 4, tag, TAG_BYTES);
    put_u16(q->payload + 4 + TAG_BYTES, (uint16_t)sealed);
    if (crypto_box_seal(q->payload + 6 + TAG_BYTES, name, len, s->writer.opening))
        return ERR_INTERNAL;
    q->len = 6 + TAG_BYTES + sealed;
    q->asked_ns = clock_mono_ns();
    u->open++;
    send_question(s, q);
    return ERR_AGAIN;
}

static void fill_pool(struct sealer *s) {
    struct subjects *u = s->subjects;
    uint8_t count[2];
    if (!s->vault || !s->writer.have || u->pool_asked || u->pool_count > POOL_LOW)
        return;
    put_u16(count, (uint16_t)(POOL_WANTED - u->pool_count));
    u->pool_asked = sealer_send(s, s->vault, MSG_POOL, count, sizeof count, -1) == 0;
}

/* Nobody answered: the question's person gets a pair of the pool. */
static int assign(struct sealer *s, struct question *q, struct subject *ret) {
    struct subjects *u = s->subjects;
    uint8_t payload[UUID_BYTES + QUESTION_MAX];
    if (!u->pool_count)
        return ERR_AGAIN;
    struct subject *pair = &u->pool[u->pool_count - 1];
    memcpy(payload, pair->id, UUID_BYTES);
    memcpy(payload + UUID_BYTES, q->payload, q->len);
    int rc = spool_add_assignment(s->spool, payload, UUID_BYTES + q->len);
    if (rc)
        return rc;
    *ret = *pair;
    learn(u, q->payload + 4, pair);
    u->pool_count--;
    close_question(u, q);
    fill_pool(s);
    return 0;
}

int subjects_get(struct sealer *s, const char *tenant, const char *project, uint8_t kind,
                 const char *name, struct subject *ret) {
    struct subjects *u = s->subjects;
    uint8_t encoded[1024], tag[TAG_BYTES];
    _Static_assert(sizeof encoded + crypto_box_SEALBYTES + 6 + TAG_BYTES <= QUESTION_MAX, "fits");
    size_t len =
        subject_encode_name(encoded, sizeof encoded, tenant, project, kind, name, strlen(name));
    if (!len)
        return ERR_LIMIT;
    crypto_generichash(tag, sizeof tag, encoded, len, s->writer.pepper, sizeof s->writer.pepper);
    struct known *k = find(u, tag);
    int rc = 0;
    if (k) {
        k->used = ++u->clock;
        *ret = k->subject;
    } else {
        struct question *q = question_of(u, tag);
        bool late = q && clock_mono_ns() - q->asked_ns > PATIENCE_MS * 1000000ull;
        rc = late ? assign(s, q, ret) : q ? ERR_AGAIN : ask(s, tag, encoded, len);
    }
    sodium_memzero(encoded, sizeof encoded);
    return rc;
}

int subjects_message(struct sealer *s, const struct frame *f) {
    struct subjects *u = s->subjects;
    struct subject subject;
    if (f->msg == MSG_POOL_IS) {
        if (f->len % sizeof subject)
            return ERR_SYNTAX;
        u->pool_asked = false;
        for (size_t at = 0; at < f->len && u->pool_count < POOL_MAX; at += sizeof subject)
            memcpy(&u->pool[u->pool_count++], f->p + at, sizeof subject);
        s->again = true;
        return 0;
    }
    if (f->len != TAG_BYTES + sizeof subject)
        return ERR_SYNTAX;
    memcpy(&subject, f->p + TAG_BYTES, sizeof subject);
    struct question *q = question_of(u, f->p);
    if (q && !sodium_is_zero(subject.public_key, sizeof subject.public_key)) {
        learn(u, f->p, &subject);
        close_question(u, q);
        s->again = true;
    }
    spool_answered(s->spool, subject.id, f->p);
    return 0;
}

int subjects_forget(struct sealer *s, const struct frame *f) {
    struct subjects *u = s->subjects;
    if (f->len < 4 || (f->len - 4) % UUID_BYTES)
        return ERR_SYNTAX;
    for (size_t at = 4; at < f->len; at += UUID_BYTES) {
        for (size_t i = 0; i < BUCKETS * WAYS; i++)
            if (u->known[i].used && !memcmp(u->known[i].subject.id, f->p + at, UUID_BYTES))
                sodium_memzero(&u->known[i], sizeof u->known[i]);
        exchange_forget(s, f->p + at);
    }
    ship(s); /* assignments that wait go first */
    return sealer_send(s, s->vault, MSG_FORGOTTEN, f->p, 4, -1);
}

void subjects_reset(struct subjects *u) {
    sodium_memzero(u->known, sizeof u->known);
    sodium_memzero(u->questions, sizeof u->questions);
    u->open = 0;
}

void subjects_connected(struct sealer *s) {
    struct subjects *u = s->subjects;
    u->pool_asked = false;
    for (int i = 0; i < QUESTIONS_MAX && u->open; i++)
        if (u->questions[i].asked_ns)
            send_question(s, &u->questions[i]);
    fill_pool(s);
}

bool subjects_waiting(const struct subjects *u) {
    return u->open > 0;
}
