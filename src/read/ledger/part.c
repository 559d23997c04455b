/* Sealed parts, opened by who holds the key: the vault. What comes out is plaintext of the ledger
 * (who, why, which cells), in the caller's buffer, which he wipes. */
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

static const char hint_key_label[] = "safehouse ledger hint key 2";

void ledger_hint_key(uint8_t out[32], const uint8_t subject_secret[32]) {
    crypto_generichash(out, 32, (const uint8_t *)hint_key_label, sizeof hint_key_label - 1,
                       subject_secret, 32);
}

int ledger_part_open(const struct ledger_part *p, enum ledger_which which,
                     const uint8_t public_key[32], const uint8_t secret[32], struct buf *out) {
    uint8_t hash[LEDGER_HASH_BYTES];
    if (!p->commitment || !p->sealed)
        return ERR_NOTFOUND;
    crypto_hash_sha256(hash, p->sealed, p->sealed_len);
    if (memcmp(hash, p->hash, sizeof hash) || p->sealed_len < LEDGER_SEAL_BYTES)
        return ERR_CORRUPT;
    const size_t n = p->sealed_len - crypto_box_SEALBYTES;
    buf_clear(out);
    int rc = buf_reserve(out, n);
    if (rc)
        return rc;
    if (crypto_box_seal_open(out->p, p->sealed, p->sealed_len, public_key, secret))
        return ERR_UNAUTHENTICATED;
    out->len = n;
    ledger_commitment(hash, which, out->p, out->p + LEDGER_SALT_BYTES, n - LEDGER_SALT_BYTES);
    if (memcmp(hash, p->commitment, sizeof hash)) {
        buf_clear(out);
        return ERR_CORRUPT;
    }
    return 0;
}

/* u32 uid | s8 person | 16 session | s16 reason | rest */
int ledger_who_decode(struct ledger_who_read *ret, const uint8_t *p, size_t len) {
    const size_t person = len < 5 ? 0 : p[4];
    if (len < 5 + person + 16 + 2)
        return ERR_SYNTAX;
    ret->uid = get_u32(p);
    memcpy(ret->person, p + 5, person);
    ret->person[person] = 0;
    ret->session = p + 5 + person;
    const uint8_t *reason = ret->session + 16;
    ret->reason_len = get_u16(reason);
    if (len - 5 - person - 18 < ret->reason_len)
        return ERR_SYNTAX;
    ret->reason = (const char *)reason + 2;
    ret->rest = reason + 2 + ret->reason_len;
    ret->rest_len = len - 5 - person - 18 - ret->reason_len;
    return 0;
}
