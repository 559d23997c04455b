/*
 * The prefix state of prefix.h. Owned by the sealer; the file is the supervisor's.
 *
 * What prefix_forget takes away is zeroed in the file.
 *
 * File: a header of 4 KiB, then buckets of eight entries of 128 bytes. A key can only be in the
 * bucket that its first bytes name; the entry of a full bucket that was not used for longest is
 * overwritten. Each entry carries a SipHash of itself, so one that a dying sealer half wrote counts
 * as empty.
 */
#include "write/turn/prefix.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/err.h"

#define MAGIC 0x3278666572706873u /* "shprefx2" */
#define HEADER_BYTES 4096
#define ENTRY_BYTES 128
#define OWNER_AT 102
#define CHECKED_BYTES 112
#define WAYS 8
#define PRIVATE_BYTES (16u << 20)
#define PENDING_MAX (256u << 10)
#define PENDING_HEADS 4096

struct header {
    uint64_t magic, buckets;
    uint8_t key[32];
    uint8_t check_key[crypto_shorthash_KEYBYTES];
    uint8_t check[crypto_shorthash_BYTES]; /* of all above */
    uint32_t clock;                        /* counts commits */
};

struct slot {
    uint8_t entry[CHECKED_BYTES];
    uint8_t check[crypto_shorthash_BYTES];
    uint32_t used; /* the clock when it was last added or asked for */
    uint8_t pad[4];
};
_Static_assert(sizeof(struct slot) == ENTRY_BYTES, "entry size");

struct pending {
    struct prefix_entry e;
    uint32_t next; /* in the list of its head, +1; 0 = end */
};

struct prefix {
    uint8_t *map;
    size_t map_len;
    struct header *head;
    struct slot *slots;
    struct pending *pending;
    uint32_t count, room, heads[PENDING_HEADS];
};

/* ---- the file ---- */

static void header_check(const struct header *h, uint8_t out[crypto_shorthash_BYTES]) {
    crypto_shorthash(out, (const uint8_t *)h, offsetof(struct header, check), h->check_key);
}

static bool header_good(const struct header *h, uint64_t buckets) {
    uint8_t check[crypto_shorthash_BYTES];
    header_check(h, check);
    return h->magic == MAGIC && h->buckets == buckets && !memcmp(check, h->check, sizeof check);
}

static void format(struct prefix *p, uint64_t buckets) {
    /* Given back rather than written: 64 MiB of zeros would be as much memory, and a quarter of a second. */
    if (madvise(p->map, p->map_len, MADV_REMOVE))
        memset(p->map, 0, p->map_len);
    p->head->buckets = buckets;
    randombytes_buf(p->head->key, sizeof p->head->key);
    randombytes_buf(p->head->check_key, sizeof p->head->check_key);
    p->head->magic = MAGIC;
    header_check(p->head, p->head->check);
}

int prefix_open(int fd, struct prefix **ret) {
    struct stat st = {0};
    struct prefix *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    if (fd >= 0 && (fstat(fd, &st) || st.st_size < HEADER_BYTES + WAYS * ENTRY_BYTES)) {
        free(p);
        return ERR_CORRUPT;
    }
    p->map_len = fd >= 0 ? (size_t)st.st_size : PRIVATE_BYTES;
    p->map = mmap(NULL, p->map_len, PROT_READ | PROT_WRITE,
                  fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    if (p->map == MAP_FAILED) {
        free(p);
        return ERR_NOMEM;
    }
    madvise(p->map, p->map_len, MADV_DONTDUMP);
    p->head = (struct header *)(void *)p->map;
    p->slots = (struct slot *)(void *)(p->map + HEADER_BYTES);
    uint64_t buckets = (p->map_len - HEADER_BYTES) / (WAYS * ENTRY_BYTES);
    if (!header_good(p->head, buckets))
        format(p, buckets);
    *ret = p;
    return 0;
}

void prefix_close(struct prefix *p) {
    if (!p)
        return;
    munmap(p->map, p->map_len);
    free(p->pending);
    free(p);
}

size_t prefix_capacity(const struct prefix *p) {
    return p->head->buckets * WAYS;
}

/* ---- entries ---- */

static void pack(uint8_t out[CHECKED_BYTES], const struct prefix_entry *e) {
    memset(out, 0, CHECKED_BYTES);
    memcpy(out, e->key, 16);
    memcpy(out + 16, e->conversation, 16);
    memcpy(out + 32, e->turn, 16);
    memcpy(out + 48, e->hash, 16);
    memcpy(out + 64, e->params, 16);
    memcpy(out + 80, e->tools, 16);
    put_u32(out + 96, e->position);
    out[100] = e->choice;
    out[101] = e->flags;
    memcpy(out + OWNER_AT, e->owner, PREFIX_OWNER);
}

static void unpack(struct prefix_entry *e, const uint8_t in[CHECKED_BYTES]) {
    memcpy(e->key, in, 16);
    memcpy(e->conversation, in + 16, 16);
    memcpy(e->turn, in + 32, 16);
    memcpy(e->hash, in + 48, 16);
    memcpy(e->params, in + 64, 16);
    memcpy(e->tools, in + 80, 16);
    e->position = get_u32(in + 96);
    e->choice = in[100];
    e->flags = in[101];
    memcpy(e->owner, in + OWNER_AT, PREFIX_OWNER);
}

static bool whole(const struct prefix *p, const struct slot *s) {
    uint8_t check[crypto_shorthash_BYTES];
    crypto_shorthash(check, s->entry, CHECKED_BYTES, p->head->check_key);
    return !memcmp(check, s->check, sizeof check);
}

static struct slot *bucket(struct prefix *p, const uint8_t key[PREFIX_DIGEST]) {
    return p->slots + get_u64(key) % p->head->buckets * WAYS;
}

static struct slot *lookup(struct prefix *p, const uint8_t key[PREFIX_DIGEST]) {
    struct slot *s = bucket(p, key);
    for (int i = 0; i < WAYS; i++)
        if (!memcmp(s[i].entry, key, PREFIX_DIGEST) && whole(p, &s[i]))
            return &s[i];
    return NULL;
}

static uint32_t *pending_head(struct prefix *p, const uint8_t key[PREFIX_DIGEST]) {
    return &p->heads[get_u32(key + 8) % PENDING_HEADS];
}

static struct prefix_entry *lookup_pending(struct prefix *p, const uint8_t key[PREFIX_DIGEST]) {
    for (uint32_t i = *pending_head(p, key); i; i = p->pending[i - 1].next)
        if (!memcmp(p->pending[i - 1].e.key, key, PREFIX_DIGEST))
            return &p->pending[i - 1].e;
    return NULL;
}

bool prefix_find(struct prefix *p, const uint8_t key[PREFIX_DIGEST], struct prefix_entry *ret) {
    struct prefix_entry *e = lookup_pending(p, key);
    if (e) {
        *ret = *e;
        return true;
    }
    struct slot *s = lookup(p, key);
    if (s) {
        s->used = p->head->clock;
        unpack(ret, s->entry);
    }
    return s != NULL;
}

void prefix_add(struct prefix *p, const struct prefix_entry *e) {
    struct slot *s = lookup(p, e->key);
    if (s) {
        s->used = p->head->clock;
        return;
    }
    if (lookup_pending(p, e->key) || p->count == PENDING_MAX)
        return;
    if (p->count == p->room) {
        uint32_t room = p->room ? p->room * 2 : 1024;
        struct pending *more = realloc(p->pending, room * sizeof *more);
        if (!more)
            return; /* the conversation is stored whole once more */
        p->pending = more;
        p->room = room;
    }
    uint32_t *head = pending_head(p, e->key);
    p->pending[p->count] = (struct pending){*e, *head};
    *head = ++p->count;
}

static void store(struct prefix *p, const struct prefix_entry *e) {
    struct slot *s = bucket(p, e->key), *place = s;
    for (int i = 0; i < WAYS; i++) {
        if (!whole(p, &s[i])) {
            place = &s[i];
            break;
        }
        if (p->head->clock - s[i].used > p->head->clock - place->used)
            place = &s[i];
    }
    pack(place->entry, e);
    crypto_shorthash(place->check, place->entry, CHECKED_BYTES, p->head->check_key);
    place->used = p->head->clock;
}

void prefix_commit(struct prefix *p) {
    for (uint32_t i = 0; i < p->count; i++)
        if (!sodium_is_zero(p->pending[i].e.key, PREFIX_DIGEST))
            store(p, &p->pending[i].e);
    p->head->clock++;
    prefix_drop(p);
}

void prefix_drop(struct prefix *p) {
    if (p->count)
        memset(p->heads, 0, sizeof p->heads);
    p->count = 0;
}

void prefix_forget(struct prefix *p, const uint8_t subject[UUID_BYTES]) {
    uint8_t owner[PREFIX_OWNER];
    prefix_owner(p, subject, owner);
    struct slot *end = p->slots + p->head->buckets * WAYS;
    for (struct slot *s = p->slots; s < end; s++)
        if (!memcmp(s->entry + OWNER_AT, owner, PREFIX_OWNER))
            memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < p->count; i++)
        if (!memcmp(p->pending[i].e.owner, owner, PREFIX_OWNER)) {
            /* Its place in the list stays; no digest is all zero. */
            memset(&p->pending[i].e, 0, sizeof p->pending[i].e);
        }
}

/* ---- digests ---- */

enum purpose { START, STEP, VALUE, REPEATED, SIGNIFICANT, OWNER };

static void digest_begin(const struct prefix *p, crypto_generichash_state *s, enum purpose what) {
    uint8_t tag = (uint8_t)what;
    crypto_generichash_init(s, p->head->key, sizeof p->head->key, PREFIX_DIGEST);
    crypto_generichash_update(s, &tag, 1);
}

static void digest_end(crypto_generichash_state *s, uint8_t ret[PREFIX_DIGEST]) {
    crypto_generichash_final(s, ret, PREFIX_DIGEST);
    sodium_memzero(s, sizeof *s); /* holds the last bytes of content */
}

static void feed(void *arg, const void *p, size_t len) {
    crypto_generichash_update(arg, p, len);
}

void prefix_start(const struct prefix *p, const char *tenant, const char *project,
                  const char *key_id, const uint8_t subject[UUID_BYTES], uint32_t partition,
                  uint8_t ret[PREFIX_DIGEST]) {
    crypto_generichash_state s;
    uint8_t number[4];
    digest_begin(p, &s, START);
    feed(&s, tenant, strlen(tenant) + 1);
    feed(&s, project, strlen(project) + 1);
    feed(&s, key_id, strlen(key_id) + 1);
    feed(&s, subject, UUID_BYTES);
    put_u32(number, partition);
    feed(&s, number, sizeof number);
    digest_end(&s, ret);
}

void prefix_owner(const struct prefix *p, const uint8_t subject[UUID_BYTES],
                  uint8_t ret[PREFIX_OWNER]) {
    crypto_generichash_state s;
    uint8_t digest[PREFIX_DIGEST];
    digest_begin(p, &s, OWNER);
    feed(&s, subject, UUID_BYTES);
    digest_end(&s, digest);
    memcpy(ret, digest, PREFIX_OWNER);
}

int prefix_value(const struct prefix *p, struct jv v, uint8_t ret[PREFIX_DIGEST]) {
    crypto_generichash_state s;
    if (!v.p) {
        memset(ret, 0, PREFIX_DIGEST);
        return 0;
    }
    digest_begin(p, &s, VALUE);
    int rc = jv_canonical(v, feed, &s);
    digest_end(&s, ret);
    return rc;
}

static void pair(const struct prefix *p, enum purpose what, const uint8_t a[PREFIX_DIGEST],
                 const uint8_t b[PREFIX_DIGEST], uint8_t ret[PREFIX_DIGEST]) {
    crypto_generichash_state s;
    digest_begin(p, &s, what);
    feed(&s, a, PREFIX_DIGEST);
    feed(&s, b, PREFIX_DIGEST);
    digest_end(&s, ret);
}

void prefix_step(const struct prefix *p, const uint8_t before[PREFIX_DIGEST],
                 const uint8_t message[PREFIX_DIGEST], uint8_t ret[PREFIX_DIGEST]) {
    pair(p, STEP, before, message, ret);
}

static const char *const significant[] = {"role",          "content", "tool_calls",
                                          "function_call", "refusal", "reasoning_content",
                                          "audio",         "name"};

bool prefix_is_significant(struct jv key) {
    for (size_t i = 0; i < sizeof significant / sizeof *significant; i++)
        if (jv_equals(key, significant[i]))
            return true;
    return false;
}

int prefix_significant(const struct prefix *p, const uint8_t before[PREFIX_DIGEST],
                       struct jv message, bool without_reasoning, uint8_t ret[PREFIX_DIGEST]) {
    crypto_generichash_state s;
    uint8_t form[PREFIX_DIGEST];
    int rc = 0;
    digest_begin(p, &s, SIGNIFICANT);
    for (size_t i = 0; i < sizeof significant / sizeof *significant && !rc; i++) {
        struct jv v = jv_get(message, significant[i]);
        if (jv_is_empty(v) || (without_reasoning && !strcmp(significant[i], "reasoning_content")))
            continue;
        feed(&s, significant[i], strlen(significant[i]) + 1);
        rc = jv_canonical(v, feed, &s);
    }
    digest_end(&s, form);
    pair(p, REPEATED, before, form, ret);
    return rc;
}
