/* A leaf's form (leaf.h), and what the file's frames have in common with it. No key, no memory. */
#include "read/ledger/leaf.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

static const char frame_label[] = "safehouse ledger frame 2";
static const char part_label[] = "safehouse ledger part 2";
static const char hint_label[] = "safehouse ledger hint 2";

static const char *const kind_names[] = {
    [LEDGER_BATCH] = "batch",
    [LEDGER_OPENED] = "opened",
    [LEDGER_ASKED] = "asked",
    [LEDGER_EXPORTED] = "exported",
    [LEDGER_ERASED] = "erased",
    [LEDGER_HELD] = "held",
    [LEDGER_RELEASED] = "released",
    [LEDGER_RETENTION] = "retention",
    [LEDGER_GRANT] = "grant",
    [LEDGER_APPROVAL] = "approval",
    [LEDGER_KEY_ROTATED] = "key rotated",
    [LEDGER_SIGN_IN] = "sign-in",
    [LEDGER_CONFIGURATION] = "configuration",
    [LEDGER_REPORT] = "report received",
    [LEDGER_HIGH_WATER] = "high-water mark",
    [LEDGER_CANARY] = "canary",
    [LEDGER_ANSWERED] = "report answered",
};
_Static_assert(sizeof kind_names / sizeof kind_names[0] == LEDGER_KIND_LAST + 1, "each has a name");

const char *ledger_kind_name(unsigned kind) {
    return kind <= LEDGER_KIND_LAST ? kind_names[kind] : NULL;
}

/* ---- frames ---- */

void ledger_frame_head(uint8_t out[LEDGER_FRAME_BYTES], uint64_t at, enum ledger_frame type,
                       const uint8_t *body, uint32_t n) {
    crypto_hash_sha256_state s;
    uint8_t offset[8], hash[crypto_hash_sha256_BYTES];
    put_u32(out, n);
    out[4] = (uint8_t)type;
    memset(out + 5, 0, 3);
    put_u64(offset, at);
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, (const uint8_t *)frame_label, sizeof frame_label - 1);
    crypto_hash_sha256_update(&s, offset, sizeof offset);
    crypto_hash_sha256_update(&s, out, 8);
    if (type == LEDGER_FRAME_CHECKPOINT)
        crypto_hash_sha256_update(&s, body, n);
    crypto_hash_sha256_final(&s, hash);
    memcpy(out + 8, hash, 8);
}

int ledger_make_key(struct note_key *ret, const uint8_t id[LEDGER_ID_BYTES],
                    const uint8_t public_key[NOTE_PUBLIC_BYTES]) {
    char origin[sizeof LEDGER_ORIGIN + 2 * LEDGER_ID_BYTES] = LEDGER_ORIGIN;
    hex_encode(origin + sizeof LEDGER_ORIGIN - 1, id, LEDGER_ID_BYTES);
    return note_key_make(ret, origin, NOTE_ED25519, public_key);
}

int ledger_note(struct buf *out, const struct note_key *key, const struct checkpoint *c,
                const uint8_t signature[NOTE_SIGNATURE_BYTES]) {
    int rc = checkpoint_format(out, c);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    return rc ? rc : note_put_signature(out, key, signature, NOTE_SIGNATURE_BYTES);
}

/* ---- leaves ---- */

/* 32 commitment | 32 hash */
static const uint8_t *take_part(struct ledger_part *p, const uint8_t *at) {
    p->commitment = at;
    p->hash = at + LEDGER_HASH_BYTES;
    return at + 2 * LEDGER_HASH_BYTES;
}

int ledger_leaf_decode(struct ledger_entry *ret, const uint8_t *leaf, size_t len) {
    struct ledger_entry e = {.leaf = leaf, .leaf_len = len};
    if (len > LEDGER_LEAF_MAX)
        return ERR_SYNTAX;
    if (len < LEDGER_LEAF_FIXED)
        return len && leaf[0] != 2 ? ERR_VERSION : ERR_SYNTAX;
    e.kind = leaf[1];
    e.parts = leaf[2];
    if (leaf[0] != 2 || !ledger_kind_name(e.kind) || leaf[3] ||
        e.parts > (LEDGER_HAS_WHO | LEDGER_HAS_ABOUT | LEDGER_ABOUT_AUDIT))
        return ERR_VERSION;
    if ((e.parts & LEDGER_ABOUT_AUDIT) && !(e.parts & LEDGER_HAS_ABOUT))
        return ERR_SYNTAX;
    e.index = get_u64(leaf + 4);
    e.time_us = get_u64(leaf + 12);
    e.fields = leaf + LEDGER_LEAF_FIXED;
    e.fields_len = get_u16(leaf + 20);
    const size_t parts = (e.parts & LEDGER_HAS_WHO ? 2u * LEDGER_HASH_BYTES : 0) +
                         (e.parts & LEDGER_HAS_ABOUT ? 8 + 2u * LEDGER_HASH_BYTES : 0);
    if (len != LEDGER_LEAF_FIXED + e.fields_len + parts)
        return ERR_SYNTAX;
    const uint8_t *at = e.fields + e.fields_len;
    if (e.parts & LEDGER_HAS_WHO)
        at = take_part(&e.who, at);
    if (e.parts & LEDGER_HAS_ABOUT) {
        e.hint = at;
        take_part(&e.about, at + 8);
    }
    merkle_leaf(e.leaf_hash, leaf, len);
    *ret = e;
    return 0;
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

int ledger_get_batch(const struct ledger_entry *e, struct batch_head *h,
                     uint8_t commitment[BATCH_HASH_BYTES]) {
    const uint8_t *p = e->fields;
    if (e->kind != LEDGER_BATCH || e->fields_len < LEDGER_BATCH_BYTES)
        return ERR_SYNTAX;
    h->sealer = get_u64(p);
    h->number = get_u64(p + 8);
    h->rows = get_u32(p + 16);
    memcpy(h->previous, p + 20, BATCH_HASH_BYTES);
    memcpy(h->root, p + 52, BATCH_HASH_BYTES);
    memcpy(commitment, p + 84, BATCH_HASH_BYTES);
    return 0;
}

/* ---- parts ---- */

void ledger_commitment(uint8_t out[LEDGER_HASH_BYTES], enum ledger_which which,
                       const uint8_t salt[LEDGER_SALT_BYTES], const void *part, size_t len) {
    crypto_hash_sha256_state s;
    const uint8_t byte = (uint8_t)which;
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, (const uint8_t *)part_label, sizeof part_label - 1);
    crypto_hash_sha256_update(&s, &byte, 1);
    crypto_hash_sha256_update(&s, salt, LEDGER_SALT_BYTES);
    crypto_hash_sha256_update(&s, part, len);
    crypto_hash_sha256_final(&s, out);
}

void ledger_hint(uint8_t out[8], const uint8_t hint_key[32], uint64_t index) {
    uint8_t message[sizeof hint_label - 1 + 8], hash[32];
    memcpy(message, hint_label, sizeof hint_label - 1);
    put_u64(message + sizeof hint_label - 1, index);
    crypto_generichash(hash, sizeof hash, message, sizeof message, hint_key, 32);
    memcpy(out, hash, 8);
}
