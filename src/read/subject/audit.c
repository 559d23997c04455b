/*
 * The audit key: the part of a ledger entry that says who and why is sealed to it. Its secret half
 * lies sealed to the opening key, so that a locked vault writes the ledger and an unlocked one
 * reads it.
 */
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "read/subject/keys_int.h"

int keys_audit_find(struct keys *k) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_AUDIT_GET, &s, "");
    if (rc)
        return rc;
    rc = keys_column(s, 0, k->audit_public, KEYS_PUBLIC_BYTES);
    keys_done(s);
    return rc;
}

int keys_audit_make(struct keys *k) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES], *secret = sodium_malloc(KEYS_SECRET_BYTES);
    if (!secret)
        return ERR_NOMEM;
    crypto_box_keypair(k->audit_public, secret);
    int rc = keys_seal(sealed, secret, k->opening_public);
    sodium_free(secret);
    return rc ? rc
              : keys_run(k, KEYS_AUDIT_ADD, NULL, "bbn", k->audit_public, (size_t)KEYS_PUBLIC_BYTES,
                         sealed, sizeof sealed, ++k->version);
}

void keys_audit_public(const struct keys *k, uint8_t out[KEYS_PUBLIC_BYTES]) {
    memcpy(out, k->audit_public, KEYS_PUBLIC_BYTES);
}

int keys_audit_secret(struct keys *k, uint8_t ret_secret[KEYS_SECRET_BYTES]) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES], right[KEYS_PUBLIC_BYTES];
    sqlite3_stmt *s;
    int rc = k->open ? keys_run(k, KEYS_AUDIT_GET, &s, "") : ERR_LOCKED;
    if (rc)
        return rc;
    rc = keys_column(s, 1, sealed, sizeof sealed);
    keys_done(s);
    if (!rc)
        rc = keys_unseal(k, ret_secret, sealed, sizeof sealed);
    if (!rc &&
        (crypto_scalarmult_base(right, ret_secret) || memcmp(right, k->audit_public, sizeof right)))
        rc = ERR_CORRUPT;
    return rc;
}
