/*
 * Reads the ledger's file (ledger_int.h has the format): every byte is checked before it is
 * believed. Used when the vault starts, and by whoever reads a ledger without writing it.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

static const char head_label[] = "safehouse ledger 1";
static const char entry_label[] = "safehouse ledger entry 1";

void ledger_head_hash(uint8_t out[LEDGER_HASH_BYTES], const uint8_t head[LEDGER_HEAD_BYTES]) {
    crypto_hash_sha256_state s;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, (const uint8_t *)head_label, sizeof head_label - 1);
    crypto_hash_sha256_update(&s, head, LEDGER_HEAD_BYTES);
    crypto_hash_sha256_final(&s, out);
}

void ledger_entry_check(uint8_t out[8], const uint8_t fixed[LEDGER_FIXED_BYTES]) {
    uint8_t hash[crypto_generichash_BYTES_MIN];
    crypto_generichash(hash, sizeof hash, fixed, LEDGER_FIXED_BYTES - 8, NULL, 0);
    memcpy(out, hash, 8);
}

void ledger_entry_hash(uint8_t out[LEDGER_HASH_BYTES], const uint8_t before[LEDGER_HASH_BYTES],
                       const uint8_t *entry, size_t len) {
    crypto_hash_sha256_state s;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, (const uint8_t *)entry_label, sizeof entry_label - 1);
    crypto_hash_sha256_update(&s, before, LEDGER_HASH_BYTES);
    crypto_hash_sha256_update(&s, entry, len);
    crypto_hash_sha256_final(&s, out);
}

void ledger_put_batch(uint8_t out[LEDGER_BATCH_BYTES], const struct batch_head *h,
                      const uint8_t commitment[BATCH_HASH_BYTES]) {
    put_u64(out, h->sealer);
    put_u64(out + 8, h->number);
    put_u32(out + 16, h->rows);
    memcpy(out + 20, h->previous, BATCH_HASH_BYTES);
    memcpy(out + 52, h->root, BATCH_HASH_BYTES);
    memcpy(out + 84, commitment, BATCH_HASH_BYTES);
}

void ledger_get_batch(const uint8_t p[LEDGER_BATCH_BYTES], struct batch_head *h,
                      uint8_t commitment[BATCH_HASH_BYTES]) {
    h->sealer = get_u64(p);
    h->number = get_u64(p + 8);
    h->rows = get_u32(p + 16);
    memcpy(h->previous, p + 20, BATCH_HASH_BYTES);
    memcpy(h->root, p + 52, BATCH_HASH_BYTES);
    memcpy(commitment, p + 84, BATCH_HASH_BYTES);
}

/* ---- the walk ---- */

#define WINDOW (4u << 20)
_Static_assert(WINDOW >= LEDGER_FIXED_BYTES + LEDGER_PAYLOAD_MAX + LEDGER_HASH_BYTES, "an entry");

struct walk {
    int fd;
    uint8_t *p;       /* the window */
    size_t len, used; /* of the window: read, gone */
    bool ended;       /* the file has no more */
    struct ledger_end end;
};

/* At least `need` bytes in the window, unless the file ends before. */
static int fill(struct walk *w, size_t need) {
    if (w->len - w->used >= need || w->ended)
        return 0;
    memmove(w->p, w->p + w->used, w->len - w->used);
    w->len -= w->used;
    w->used = 0;
    while (w->len < need && !w->ended) {
        ssize_t n = pread(w->fd, w->p + w->len, WINDOW - w->len, (off_t)(w->end.bytes + w->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        w->len += (size_t)n;
        w->ended = n == 0;
    }
    return 0;
}

static bool payload_fits(uint8_t kind, uint32_t n) {
    return kind == LEDGER_BATCH ? n == LEDGER_BATCH_BYTES : n <= LEDGER_PAYLOAD_MAX;
}

/* The entry's fixed part at p, when its check is right. */
static int read_fixed(const struct walk *w, const uint8_t *p, struct ledger_entry *ret) {
    uint8_t check[8];
    ledger_entry_check(check, p);
    *ret = (struct ledger_entry){.number = get_u64(p + 8),
                                 .time_us = get_u64(p + 16),
                                 .at = w->end.bytes,
                                 .kind = p[4],
                                 .len = get_u32(p)};
    if (memcmp(check, p + 24, sizeof check) || p[5] || p[6] || p[7] ||
        ret->number != w->end.entries + 1 || ret->time_us < w->end.time_us)
        return ERR_CORRUPT;
    if (ret->kind < LEDGER_BATCH || ret->kind > LEDGER_KIND_LAST)
        return ERR_VERSION;
    return payload_fits(ret->kind, ret->len) ? 0 : ERR_CORRUPT;
}

/* Nothing but zeros up to the file's end: some file systems leave that of a write that a crash cut
 * short. No entry begins so. */
static bool only_zeros(struct walk *w) {
    if (fill(w, WINDOW) || !w->ended)
        return false;
    return sodium_is_zero(w->p + w->used, w->len - w->used);
}

/* ERR_AGAIN: the file ends within this entry, or before it. */
static int next_entry(struct walk *w, struct ledger_entry *ret) {
    int rc = fill(w, LEDGER_FIXED_BYTES);
    if (rc || w->len - w->used < LEDGER_FIXED_BYTES)
        return rc ? rc : ERR_AGAIN;
    rc = read_fixed(w, w->p + w->used, ret);
    if (rc)
        return only_zeros(w) ? ERR_AGAIN : rc;
    const size_t hashed = LEDGER_FIXED_BYTES + ret->len, whole = hashed + LEDGER_HASH_BYTES;
    rc = fill(w, whole);
    if (rc || w->len - w->used < whole)
        return rc ? rc : ERR_AGAIN;
    const uint8_t *entry = w->p + w->used;
    ledger_entry_hash(ret->hash, w->end.hash, entry, hashed);
    if (memcmp(ret->hash, entry + hashed, LEDGER_HASH_BYTES))
        return ERR_CORRUPT;
    ret->payload = entry + LEDGER_FIXED_BYTES;
    w->used += whole;
    w->end.bytes += whole;
    return 0;
}

static int read_head(struct walk *w) {
    static const uint8_t zero[8];
    int rc = fill(w, LEDGER_HEAD_BYTES);
    if (rc)
        return rc;
    if (w->len < LEDGER_HEAD_BYTES || memcmp(w->p, "shledgr", 7) || memcmp(w->p + 24, zero, 8))
        return ERR_CORRUPT;
    if (w->p[7] != '1')
        return ERR_VERSION;
    ledger_head_hash(w->end.hash, w->p);
    w->used = w->end.bytes = LEDGER_HEAD_BYTES;
    return 0;
}

int ledger_walk(int fd, ledger_fn *fn, void *arg, struct ledger_end *ret_end) {
    struct walk w = {.fd = fd, .p = malloc(WINDOW)};
    struct ledger_entry e;
    int rc = w.p ? read_head(&w) : ERR_NOMEM;
    while (!rc && (rc = next_entry(&w, &e)) == 0) {
        w.end.entries = e.number;
        w.end.time_us = e.time_us;
        memcpy(w.end.hash, e.hash, LEDGER_HASH_BYTES);
        rc = fn ? fn(arg, &e) : 0;
    }
    free(w.p);
    if (rc != ERR_AGAIN)
        return rc;
    *ret_end = w.end;
    return 0;
}
