/* Requests that wait for a second person (approval.h). */
#include "read/people/approval.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

static const char label[] = "safehouse opening request 1";

struct approvals {
    struct approval at[APPROVALS_MAX];
};

int approvals_new(struct approvals **ret) {
    struct approvals *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NOMEM;
    *ret = a;
    return 0;
}

void approvals_free(struct approvals *a) {
    if (a)
        sodium_memzero(a, sizeof *a);
    free(a);
}

static int compare(const void *x, const void *y) {
    return memcmp(x, y, 32);
}

static void put_text(crypto_generichash_state *h, const char *p, size_t len) {
    uint8_t n[2];
    put_u16(n, (uint16_t)len);
    crypto_generichash_update(h, n, sizeof n);
    crypto_generichash_update(h, (const uint8_t *)p, len);
}

void approval_digest(uint8_t out[APPROVAL_DIGEST_BYTES], uint32_t person, const char *reason,
                     size_t reason_len, const char *query, size_t query_len, uint8_t (*hashes)[32],
                     uint32_t cells) {
    crypto_generichash_state h;
    uint8_t head[8];
    if (cells)
        qsort(hashes, cells, 32, compare);
    put_u32(head, person);
    put_u32(head + 4, cells);
    crypto_generichash_init(&h, NULL, 0, APPROVAL_DIGEST_BYTES);
    crypto_generichash_update(&h, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&h, head, sizeof head);
    put_text(&h, reason, reason_len);
    put_text(&h, query, query_len);
    if (cells)
        crypto_generichash_update(&h, hashes[0], 32ull * cells);
    crypto_generichash_final(&h, out, APPROVAL_DIGEST_BYTES);
}

static void sweep(struct approvals *a, uint64_t now_ns) {
    for (size_t i = 0; i < APPROVALS_MAX; i++)
        if (a->at[i].used && now_ns - a->at[i].since_ns > APPROVAL_NS)
            sodium_memzero(&a->at[i], sizeof a->at[i]);
}

static struct approval *find(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES],
                             uint64_t now_ns) {
    sweep(a, now_ns);
    for (size_t i = 0; i < APPROVALS_MAX; i++)
        if (a->at[i].used && sodium_memcmp(a->at[i].digest, digest, APPROVAL_DIGEST_BYTES) == 0)
            return &a->at[i];
    return NULL;
}

/* Somebody who asks a lot pushes out his own; what was given is pushed out last. */
static struct approval *place_for(struct approvals *a, uint32_t person) {
    struct approval *spare = NULL, *own = NULL, *oldest = NULL;
    unsigned owns = 0;
    for (size_t i = 0; i < APPROVALS_MAX; i++) {
        struct approval *x = &a->at[i];
        if (!x->used) {
            spare = x;
            continue;
        }
        if (x->person == person) {
            owns++;
            if (!own || (!x->given && (own->given || x->since_ns < own->since_ns)))
                own = x;
        }
        if (!oldest || (!x->given && (oldest->given || x->since_ns < oldest->since_ns)))
            oldest = x;
    }
    return owns >= APPROVALS_PER_PERSON ? own : spare ? spare : oldest;
}

void approval_ask(struct approvals *a, const struct approval *request, uint64_t now_ns) {
    struct approval *x = find(a, request->digest, now_ns);
    if (x)
        return;
    x = place_for(a, request->person);
    *x = *request;
    x->used = true;
    x->given = false;
    x->since_ns = now_ns;
}

const struct approval *approval_find(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES],
                                     uint64_t now_ns) {
    return find(a, digest, now_ns);
}

int approval_give(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES], uint32_t by,
                  uint64_t now_ns) {
    struct approval *x = find(a, digest, now_ns);
    if (!x)
        return ERR_NOTFOUND;
    if (x->person == by)
        return ERR_DENIED;
    if (x->given)
        return ERR_EXISTS;
    x->given = true;
    x->by = by;
    x->since_ns = now_ns;
    return 0;
}

void approval_drop(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES]) {
    for (size_t i = 0; i < APPROVALS_MAX; i++)
        if (a->at[i].used && sodium_memcmp(a->at[i].digest, digest, APPROVAL_DIGEST_BYTES) == 0)
            sodium_memzero(&a->at[i], sizeof a->at[i]);
}

int approval_take(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES], uint32_t person,
                  uint64_t now_ns) {
    struct approval *x = find(a, digest, now_ns);
    if (!x || !x->given || x->person != person)
        return ERR_APPROVAL;
    sodium_memzero(x, sizeof *x);
    return 0;
}

const struct approval *approval_next(struct approvals *a, size_t *at, uint64_t now_ns) {
    sweep(a, now_ns);
    for (; *at < APPROVALS_MAX; (*at)++)
        if (a->at[*at].used && !a->at[*at].given)
            return &a->at[(*at)++];
    return NULL;
}

void approvals_end_person(struct approvals *a, uint32_t person) {
    for (size_t i = 0; i < APPROVALS_MAX; i++)
        if (a->at[i].used && (a->at[i].person == person || (a->at[i].given && a->at[i].by == person)))
            sodium_memzero(&a->at[i], sizeof a->at[i]);
}
