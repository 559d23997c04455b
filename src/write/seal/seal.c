/*
 * Sealing (seal.h), run by the sealer alone.
 *
 * A data key's life: begun (k0 drawn, wrapped to the subject's public key, its row given out) ->
 * one step of the ratchet a record -> ended, by number of records, age, another writer, an error
 * (sealing_forget) or because its entry is needed for another subject. When it ends its state is
 * wiped; k0 itself is gone after the first record.
 *
 * Invariants: state i of the guarded memory belongs to entry i; an entry with
 * LIMIT_DATA_KEY_RECORDS records has ended and its state is zero; every entry in use is in its
 * bucket's chain and in the list from the newest used to the oldest.
 */
#include "write/seal/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"

#define ENTRIES 16384u
#define BUCKETS 16384u
#define NONE UINT32_MAX
#define STACK_BYTES 8192 /* what hashing and ciphers leave below us */

_Static_assert(LIMIT_DATA_KEY_RECORDS <= UINT16_MAX + 1, "the index is 16 bits wide");

struct entry {
    char tenant[LIMIT_NAME], project[LIMIT_NAME];
    uint8_t subject[UUID_BYTES];
    uint8_t public_key[crypto_box_PUBLICKEYBYTES];
    uint8_t id[DATA_KEY_ID_BYTES];
    uint64_t born_ns;
    uint32_t records;
    uint32_t chain;        /* the next entry of the bucket */
    uint32_t newer, older; /* by last use */
};

/* One guarded allocation: pages around it fault, it is locked and in no core file. */
struct secrets {
    uint8_t mac[32];
    uint8_t record_key[DATA_KEY_BYTES];
    uint8_t state[ENTRIES][DATA_KEY_BYTES]; /* k_i of each data key */
};

struct sealing {
    struct secrets *secret;
    bool have_writer;
    uint32_t writer;
    uint32_t used; /* entries */
    uint32_t newest, oldest;
    uint32_t bucket[BUCKETS];
    struct entry entry[ENTRIES];
};

int sealing_new(struct sealing **ret) {
    struct sealing *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->secret = sodium_malloc(sizeof *s->secret);
    if (!s->secret) {
        free(s);
        return ERR_NOMEM;
    }
    memset(s->secret, 0, sizeof *s->secret);
    memset(s->bucket, 0xff, sizeof s->bucket);
    s->newest = s->oldest = NONE;
    *ret = s;
    return 0;
}

void sealing_free(struct sealing *s) {
    if (!s)
        return;
    sodium_free(s->secret);
    free(s);
}

/* ---- the table ---- */

/* Subjects' ids are random and made by the vault: nobody outside chooses who collides. */
static uint32_t *bucket_of(struct sealing *s, const uint8_t subject[UUID_BYTES]) {
    return &s->bucket[get_u32(subject) % BUCKETS];
}

static uint32_t find(struct sealing *s, const struct context *ctx) {
    uint32_t i = *bucket_of(s, ctx->subject);
    while (i != NONE && (memcmp(s->entry[i].subject, ctx->subject, UUID_BYTES) != 0 ||
                         strncmp(s->entry[i].tenant, ctx->tenant, LIMIT_NAME) != 0 ||
                         strncmp(s->entry[i].project, ctx->project, LIMIT_NAME) != 0))
        i = s->entry[i].chain;
    return i;
}

static void unlink_use(struct sealing *s, uint32_t i) {
    struct entry *e = &s->entry[i];
    *(e->newer == NONE ? &s->newest : &s->entry[e->newer].older) = e->older;
    *(e->older == NONE ? &s->oldest : &s->entry[e->older].newer) = e->newer;
}

static void link_newest(struct sealing *s, uint32_t i) {
    struct entry *e = &s->entry[i];
    e->newer = NONE;
    e->older = s->newest;
    *(s->newest == NONE ? &s->oldest : &s->entry[s->newest].newer) = i;
    s->newest = i;
}

static void unlink_chain(struct sealing *s, uint32_t i) {
    uint32_t *at = bucket_of(s, s->entry[i].subject);
    while (*at != i)
        at = &s->entry[*at].chain;
    *at = s->entry[i].chain;
}

static void end_key(struct sealing *s, uint32_t i) {
    sodium_memzero(s->secret->state[i], DATA_KEY_BYTES);
    s->entry[i].records = LIMIT_DATA_KEY_RECORDS;
}

/* An entry for the context's subject, its data key not begun: a free one, or the oldest used. */
static uint32_t add_entry(struct sealing *s, const struct context *ctx) {
    uint32_t i = s->used;
    if (i < ENTRIES) {
        s->used++;
    } else {
        i = s->oldest;
        unlink_use(s, i);
        unlink_chain(s, i);
    }
    struct entry *e = &s->entry[i];
    uint32_t *bucket = bucket_of(s, ctx->subject);
    memcpy(e->tenant, ctx->tenant, LIMIT_NAME);
    memcpy(e->project, ctx->project, LIMIT_NAME);
    memcpy(e->subject, ctx->subject, UUID_BYTES);
    e->chain = *bucket;
    *bucket = i;
    link_newest(s, i);
    end_key(s, i);
    return i;
}

static uint32_t use_entry(struct sealing *s, const struct context *ctx) {
    uint32_t i = find(s, ctx);
    if (i == NONE)
        return add_entry(s, ctx);
    unlink_use(s, i);
    link_newest(s, i);
    return i;
}

/* ---- data keys ---- */

int sealing_writer(struct sealing *s, uint32_t writer, const uint8_t mac[32]) {
    for (uint32_t i = 0; i < s->used; i++)
        end_key(s, i);
    memcpy(s->secret->mac, mac, sizeof s->secret->mac);
    s->writer = writer;
    s->have_writer = true;
    return 0;
}

void sealing_forget(struct sealing *s, const struct context *ctx) {
    uint32_t i = find(s, ctx);
    if (i != NONE)
        end_key(s, i);
}

/* Entries stay in chain and list: what is left of them is the id, which the log has in clear. */
void sealing_forget_subject(struct sealing *s, const uint8_t subject[UUID_BYTES]) {
    for (uint32_t i = *bucket_of(s, subject); i != NONE; i = s->entry[i].chain) {
        struct entry *e = &s->entry[i];
        if (memcmp(e->subject, subject, UUID_BYTES) != 0)
            continue;
        end_key(s, i);
        memset(e->public_key, 0, sizeof e->public_key);
        memset(e->id, 0, sizeof e->id);
    }
}

static bool usable(const struct entry *e, const uint8_t public_key[32]) {
    return e->records < LIMIT_DATA_KEY_RECORDS &&
           clock_mono_ns() - e->born_ns < LIMIT_DATA_KEY_AGE_S * 1000000000ull &&
           memcmp(e->public_key, public_key, sizeof e->public_key) == 0;
}

static int begin_key(struct sealing *s, uint32_t i, const uint8_t public_key[32],
                     struct data_key_row *ret) {
    struct entry *e = &s->entry[i];
    uint8_t *k0 = s->secret->state[i], maced[DATA_KEY_MACED_MAX];
    struct data_key_row row = {.created_us = clock_wall_us(), .writer = s->writer};
    memcpy(row.tenant, e->tenant, sizeof row.tenant);
    memcpy(row.project, e->project, sizeof row.project);
    memcpy(row.subject, e->subject, sizeof row.subject);
    randombytes_buf(k0, DATA_KEY_BYTES);
    data_key_id(row.id, k0);
    if (crypto_box_seal(row.wrapped, k0, DATA_KEY_BYTES, public_key)) {
        end_key(s, i);
        return ERR_CORRUPT; /* no point of the curve that a secret belongs to */
    }
    size_t n = data_key_maced(maced, &row);
    crypto_generichash(row.mac, sizeof row.mac, maced, n, s->secret->mac, sizeof s->secret->mac);
    memcpy(e->id, row.id, sizeof e->id);
    memcpy(e->public_key, public_key, sizeof e->public_key);
    e->born_ns = clock_mono_ns();
    e->records = 0;
    *ret = row;
    return 0;
}

/* ---- records ---- */

/* Appends the envelope of the padded bytes, under the entry's next record key. */
static int encrypt(struct sealing *s, uint32_t i, const struct context *ctx, uint8_t dictionary,
                   const struct buf *padded, struct buf *envelope) {
    static const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    struct entry *e = &s->entry[i];
    uint8_t ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX];
    struct envelope_header h = {.suite = ENVELOPE_SUITE_CHACHA20POLY1305,
                                .dictionary = dictionary,
                                .padding = ENVELOPE_PADDING_PADME,
                                .index = (uint16_t)e->records};
    int rc = buf_reserve(envelope, ENVELOPE_OVERHEAD + padded->len);
    if (rc)
        return rc;
    memcpy(h.data_key, e->id, sizeof h.data_key);
    envelope_encode_header(ad, &h);
    size_t ad_len = ENVELOPE_HEADER_BYTES + context_encode(ad + ENVELOPE_HEADER_BYTES, ctx);
    data_key_step(s->secret->state[i], s->secret->record_key);
    e->records++;
    uint8_t *out = envelope->p + envelope->len;
    memcpy(out, ad, ENVELOPE_HEADER_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(out + ENVELOPE_HEADER_BYTES, NULL, padded->p,
                                              padded->len, ad, ad_len, NULL, nonce,
                                              s->secret->record_key);
    envelope->len += ENVELOPE_OVERHEAD + padded->len;
    sodium_memzero(s->secret->record_key, DATA_KEY_BYTES);
    return 0;
}

int sealing_record(struct sealing *s, const struct context *ctx, const uint8_t public_key[32],
                   uint8_t dictionary, struct buf *packed, struct buf *envelope,
                   struct data_key_row *ret_key, bool *ret_fresh) {
    if (!s->have_writer)
        return ERR_USAGE;
    uint32_t i = use_entry(s, ctx);
    bool fresh = !usable(&s->entry[i], public_key);
    int rc = fresh ? begin_key(s, i, public_key, ret_key) : 0;
    if (!rc)
        rc = padme_pad(packed);
    if (!rc)
        rc = encrypt(s, i, ctx, dictionary, packed, envelope);
    if (!rc && s->entry[i].records == LIMIT_DATA_KEY_RECORDS)
        end_key(s, i); /* nothing needs k_1024 */
    if (!rc)
        *ret_fresh = fresh;
    sodium_stackzero(STACK_BYTES);
    return rc;
}
