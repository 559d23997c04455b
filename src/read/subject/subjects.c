/*
 * Subjects: whose secret is whose.
 *
 * A person is a tag under the lasting pepper; a subject is an id with a pair. A person may have
 * several subjects: one is made under each pepper that the vault lent while locked, and pairs of
 * the pool are added when the vault was away. Whoever asks for the person gets the oldest.
 *
 * A locked vault cannot open names, so it keeps question and tag as they came (state PENDING); when
 * it is unlocked, keys_join opens the name and computes the lasting tag. An unlocked vault does
 * that at once and believes no tag of a new subject that the name does not give.
 */
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "read/subject/keys_int.h"

enum state {
    KNOWN = 0,      /* the vault computed the tag itself; or nobody's */
    PENDING = 1,    /* tag and name as the sealer gave them */
    UNREADABLE = 2, /* pending once, and the name does not open */
    /* 3: erased, as KEYS_SUBJECT_ERASE leaves it */
};

/* ---- names ---- */

int keys_tag(const struct keys *k, const uint8_t *name, size_t len, uint8_t ret[KEYS_TAG_BYTES]) {
    struct subject_name decoded;
    int rc = k->open ? subject_decode_name(&decoded, name, len) : ERR_LOCKED;
    if (!rc)
        crypto_generichash(ret, KEYS_TAG_BYTES, name, len, k->open->pepper, sizeof k->open->pepper);
    sodium_memzero(&decoded, sizeof decoded);
    return rc;
}

/* The lasting tag of a sealed name. ERR_LOCKED, ERR_CORRUPT. */
static int lasting_tag(const struct keys *k, const uint8_t *sealed, size_t len,
                       uint8_t ret[KEYS_TAG_BYTES]) {
    uint8_t name[SUBJECT_NAME_MAX];
    if (len < crypto_box_SEALBYTES || len > KEYS_NAME_SEALED_MAX)
        return ERR_CORRUPT;
    const size_t n = len - crypto_box_SEALBYTES;
    int rc = keys_unseal(k, name, sealed, len);
    if (!rc && keys_tag(k, name, n, ret))
        rc = ERR_CORRUPT;
    sodium_memzero(name, sizeof name);
    return rc;
}

/* What is written of a question: while locked as it came, else with the lasting tag. */
struct person {
    uint32_t pepper_number;
    uint8_t tag[KEYS_TAG_BYTES];
    enum state state;
};

static int judge(const struct keys *k, const struct keys_question *q, struct person *ret) {
    *ret = (struct person){.pepper_number = q->pepper_number, .state = PENDING};
    memcpy(ret->tag, q->tag, KEYS_TAG_BYTES);
    if (!k->open)
        return 0;
    int rc = lasting_tag(k, q->name, q->name_len, ret->tag);
    if (!rc && q->pepper_number == k->pepper_number && memcmp(ret->tag, q->tag, KEYS_TAG_BYTES))
        rc = ERR_CORRUPT;
    ret->pepper_number = k->pepper_number;
    ret->state = KNOWN;
    return rc;
}

/* ---- rows ---- */

static int find(struct keys *k, uint32_t pepper_number, const uint8_t tag[KEYS_TAG_BYTES],
                struct keys_subject *ret) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_SUBJECT_BY_TAG, &s, "nb", (uint64_t)pepper_number, tag,
                      (size_t)KEYS_TAG_BYTES);
    if (rc)
        return rc;
    rc = keys_column(s, 0, ret->id, sizeof ret->id);
    if (!rc)
        rc = keys_column(s, 1, ret->public_key, sizeof ret->public_key);
    keys_done(s);
    return rc;
}

/* A new pair; of `p` NULL: nobody's. */
static int add(struct keys *k, const struct person *p, const struct keys_question *q,
               struct keys_subject *ret) {
    uint8_t secret[KEYS_SECRET_BYTES], sealed[KEYS_BOX_SEALED_BYTES];
    randombytes_buf(ret->id, sizeof ret->id);
    uuid_v4_stamp(ret->id);
    crypto_box_keypair(ret->public_key, secret);
    int rc = keys_seal(sealed, secret, k->generation_public);
    sodium_memzero(secret, sizeof secret);
    if (rc)
        return rc;
    return keys_run(k, KEYS_SUBJECT_ADD, NULL, "bbbnnbbnnn", ret->id, sizeof ret->id,
                    ret->public_key, sizeof ret->public_key, sealed, sizeof sealed,
                    (uint64_t)k->generation, (uint64_t)(p ? p->pepper_number : 0),
                    p ? p->tag : NULL, p ? sizeof p->tag : (size_t)0, q ? q->name : NULL,
                    q ? q->name_len : (size_t)0, (uint64_t)(p ? p->state : KNOWN), ++k->version,
                    clock_wall_us());
}

static void count_named(struct keys *k, enum state state) {
    k->counts.subjects++;
    k->counts.pending += state == PENDING;
}

/* ---- questions ---- */

int keys_subject(struct keys *k, const struct keys_question *q, struct keys_subject *ret) {
    struct person p;
    int rc = find(k, q->pepper_number, q->tag, ret);
    if (rc != ERR_NOTFOUND)
        return rc;
    rc = judge(k, q, &p);
    if (rc)
        return rc;
    rc = p.pepper_number != q->pepper_number ? find(k, p.pepper_number, p.tag, ret) : ERR_NOTFOUND;
    if (rc != ERR_NOTFOUND)
        return rc;
    rc = add(k, &p, q, ret);
    if (!rc)
        count_named(k, p.state);
    return rc;
}

int keys_pool(struct keys *k, struct keys_subject *ret) {
    if (k->counts.pool >= KEYS_POOL_UNASSIGNED_MAX)
        return ERR_FULL;
    int rc = add(k, NULL, NULL, ret);
    if (!rc)
        k->counts.pool++;
    return rc;
}

/* A subject's row as far as an assignment looks at it. */
struct holder {
    bool erased, named, same_name;
    bool tagged; /* by the vault itself */
    uint8_t tag[KEYS_TAG_BYTES];
};

static int read_holder(struct keys *k, const uint8_t id[UUID_BYTES], const struct keys_question *q,
                       struct holder *h, struct keys_subject *ret) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_SUBJECT_BY_ID, &s, "b", id, (size_t)UUID_BYTES);
    if (rc)
        return rc;
    memcpy(ret->id, id, UUID_BYTES);
    rc = keys_column(s, 0, ret->public_key, sizeof ret->public_key);
    const void *name = sqlite3_column_blob(s, 5);
    *h = (struct holder){
        .erased = sqlite3_column_type(s, 1) == SQLITE_NULL,
        .named = name != NULL,
        .same_name = name && sqlite3_column_bytes(s, 5) == (int)q->name_len &&
                     memcmp(name, q->name, q->name_len) == 0,
    };
    h->tagged = h->named && sqlite3_column_int64(s, 3) == KNOWN &&
                keys_column(s, 4, h->tag, sizeof h->tag) == 0;
    keys_done(s);
    return rc;
}

int keys_assign(struct keys *k, const uint8_t id[UUID_BYTES], const struct keys_question *q,
                struct keys_subject *ret) {
    struct holder h;
    struct person p;
    int rc = read_holder(k, id, q, &h, ret);
    /* Sent again, byte by byte the same: whatever became of peppers and tags in between. */
    if (rc || h.erased || h.same_name)
        return rc;
    rc = judge(k, q, &p);
    if (rc)
        return rc;
    if (h.named)
        return h.tagged && p.state == KNOWN && !memcmp(h.tag, p.tag, sizeof p.tag) ? 0 : ERR_EXISTS;
    rc = keys_run(k, KEYS_SUBJECT_NAME, NULL, "nbbnnb", (uint64_t)p.pepper_number, p.tag,
                  sizeof p.tag, q->name, q->name_len, (uint64_t)p.state, ++k->version, id,
                  (size_t)UUID_BYTES);
    if (rc)
        return rc;
    k->counts.pool--;
    count_named(k, p.state);
    return 0;
}

/* ---- after an unlock ---- */

struct pending {
    uint8_t id[UUID_BYTES];
    uint32_t pepper_number;
    uint8_t tag[KEYS_TAG_BYTES];
    uint8_t name[KEYS_NAME_SEALED_MAX];
    size_t name_len;
};

/* The oldest one. ERR_NOTFOUND. */
static int next_pending(struct keys *k, struct pending *ret) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_SUBJECT_PENDING, &s, "");
    if (rc)
        return rc;
    const void *name = sqlite3_column_blob(s, 1);
    const int len = sqlite3_column_bytes(s, 1);
    rc = keys_column(s, 0, ret->id, sizeof ret->id);
    if (!rc)
        rc = keys_column(s, 3, ret->tag, sizeof ret->tag);
    if (!rc && (!name || len < 0 || len > KEYS_NAME_SEALED_MAX))
        rc = ERR_CORRUPT;
    if (!rc) {
        ret->pepper_number = (uint32_t)sqlite3_column_int64(s, 2);
        ret->name_len = (size_t)len;
        memcpy(ret->name, name, ret->name_len);
    }
    keys_done(s);
    return rc;
}

static int join_one(struct keys *k, struct pending *p) {
    uint32_t pepper_number = k->pepper_number;
    enum state state = KNOWN;
    int rc = lasting_tag(k, p->name, p->name_len, p->tag);
    if (rc == ERR_CORRUPT) { /* kept, with whatever it was found by before */
        pepper_number = p->pepper_number;
        state = UNREADABLE;
        rc = 0;
    }
    if (!rc)
        rc = keys_run(k, KEYS_SUBJECT_NAME, NULL, "nbbnnb", (uint64_t)pepper_number, p->tag,
                      sizeof p->tag, p->name, p->name_len, (uint64_t)state, ++k->version, p->id,
                      sizeof p->id);
    if (rc)
        return rc;
    k->counts.pending--;
    k->counts.unreadable += state == UNREADABLE;
    return 0;
}

int keys_join(struct keys *k, unsigned max, bool *ret_left) {
    struct pending p;
    int rc = k->open ? 0 : ERR_LOCKED;
    for (unsigned i = 0; !rc && i < max; i++) {
        rc = next_pending(k, &p);
        if (!rc)
            rc = join_one(k, &p);
    }
    *ret_left = !rc;
    return rc == ERR_NOTFOUND ? 0 : rc;
}

/* ---- for openings ---- */

int keys_open_secret(const struct keys *k, uint32_t generation,
                     const uint8_t sealed[KEYS_BOX_SEALED_BYTES],
                     uint8_t ret_secret[KEYS_SECRET_BYTES]) {
    const struct generation *g = k->open->generations;
    const struct generation *end = g + k->open->generation_count;
    while (g < end && g->number != generation)
        g++;
    return g == end || crypto_box_seal_open(ret_secret, sealed, KEYS_BOX_SEALED_BYTES,
                                            g->public_key, g->secret)
               ? ERR_CORRUPT
               : 0;
}

int keys_subject_secret(struct keys *k, const uint8_t id[UUID_BYTES],
                        uint8_t ret_public[KEYS_PUBLIC_BYTES],
                        uint8_t ret_secret[KEYS_SECRET_BYTES]) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s;
    if (!k->open)
        return ERR_LOCKED;
    int rc = keys_run(k, KEYS_SUBJECT_BY_ID, &s, "b", id, (size_t)UUID_BYTES);
    if (rc)
        return rc;
    const bool erased = sqlite3_column_type(s, 1) == SQLITE_NULL;
    const uint32_t generation = (uint32_t)sqlite3_column_int64(s, 2);
    rc = keys_column(s, 0, ret_public, KEYS_PUBLIC_BYTES);
    if (!rc)
        rc = erased ? ERR_ERASED : keys_column(s, 1, sealed, sizeof sealed);
    keys_done(s);
    return rc ? rc : keys_open_secret(k, generation, sealed, ret_secret);
}
