/*
 * What a sealer is lent: a MAC key of its own for its data-key rows, a pepper for its tags, and a key
 * for the fingerprints of secrets.
 *
 * A MAC key is kept sealed to the opening key, so a locked vault can make one and an unlocked one
 * can check what was written under it, for as long as the rows live. Of a temporary pepper only the
 * number is kept: its tags mean something to this process alone, and numbers are never used twice.
 * A temporary fingerprint key is kept, sealed like a MAC key: what it marked has to be found later.
 */
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "read/subject/keys_int.h"

static int add_writer(struct keys *k, uint64_t sealer, const uint8_t mac[KEYS_SECRET_BYTES],
                      uint32_t *ret) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s;
    int rc = keys_seal(sealed, mac, k->opening_public);
    if (!rc)
        rc = keys_run(k, KEYS_WRITER_ADD, &s, "nbn", sealer, sealed, sizeof sealed, ++k->version);
    if (rc)
        return rc;
    *ret = (uint32_t)sqlite3_column_int64(s, 0);
    keys_done(s);
    return 0;
}

/* Keeps a fingerprint key, sealed; *ret is its number. */
static int add_fingerprint(struct keys *k, const uint8_t key[KEYS_SECRET_BYTES], bool lasting,
                           uint32_t *ret) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s;
    int rc = keys_seal(sealed, key, k->opening_public);
    if (!rc)
        rc = keys_run(k, KEYS_FINGERPRINT_ADD, &s, "bnn", sealed, sizeof sealed, (uint64_t)lasting,
                      ++k->version);
    if (rc)
        return rc;
    *ret = (uint32_t)sqlite3_column_int64(s, 0);
    keys_done(s);
    return 0;
}

int keys_fingerprint_find(struct keys *k) {
    uint64_t n = 0;
    int rc = keys_number(k, "SELECT n FROM fingerprints WHERE lasting = 1 ORDER BY n DESC LIMIT 1", &n);
    if (!rc)
        k->fingerprint_number = (uint32_t)n;
    return rc;
}

int keys_fingerprint_make(struct keys *k) {
    uint8_t *key = sodium_malloc(KEYS_SECRET_BYTES);
    if (!key)
        return ERR_NOMEM;
    randombytes_buf(key, KEYS_SECRET_BYTES);
    int rc = add_fingerprint(k, key, true, &k->fingerprint_number);
    sodium_free(key);
    return rc;
}

int keys_fingerprint(struct keys *k, uint32_t number, uint8_t ret_key[KEYS_SECRET_BYTES]) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s;
    int rc = k->open ? keys_run(k, KEYS_FINGERPRINT_GET, &s, "n", (uint64_t)number) : ERR_LOCKED;
    if (rc)
        return rc;
    rc = keys_column(s, 0, sealed, sizeof sealed);
    keys_done(s);
    return rc ? rc : keys_unseal(k, ret_key, sealed, sizeof sealed);
}

static int make_temporary(struct keys *k) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_PEPPER_ADD, &s, "bn", NULL, (size_t)0, ++k->version);
    if (rc)
        return rc;
    k->temporary_number = (uint32_t)sqlite3_column_int64(s, 0);
    keys_done(s);
    k->temporary = sodium_malloc(sizeof *k->temporary);
    if (!k->temporary)
        return ERR_NOMEM;
    randombytes_buf(k->temporary, sizeof *k->temporary);
    rc = add_fingerprint(k, k->temporary->fingerprint, false, &k->temporary_fingerprint);
    if (rc) { /* all of it or nothing */
        sodium_free(k->temporary);
        k->temporary = NULL;
    }
    return rc;
}

static void lend_shared(const struct keys *k, struct keys_loan *ret) {
    ret->fingerprint_number = k->open ? k->fingerprint_number : k->temporary_fingerprint;
    memcpy(ret->fingerprint, k->open ? k->open->fingerprint : k->temporary->fingerprint,
           sizeof ret->fingerprint);
    ret->pepper_number = k->open ? k->pepper_number : k->temporary_number;
    memcpy(ret->pepper, k->open ? k->open->pepper : k->temporary->pepper, sizeof ret->pepper);
}

int keys_lend(struct keys *k, uint64_t sealer, struct keys_loan *ret) {
    ret->fresh = !k->open && !k->temporary;
    int rc = ret->fresh ? make_temporary(k) : 0;
    if (rc)
        return rc;
    randombytes_buf(ret->mac, sizeof ret->mac);
    rc = add_writer(k, sealer, ret->mac, &ret->writer);
    if (!rc)
        lend_shared(k, ret);
    return rc;
}

int keys_writer(struct keys *k, uint32_t writer, uint8_t ret_mac[KEYS_SECRET_BYTES]) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_WRITER_GET, &s, "n", (uint64_t)writer);
    if (rc)
        return rc;
    rc = keys_column(s, 0, sealed, sizeof sealed);
    keys_done(s);
    return rc ? rc : keys_unseal(k, ret_mac, sealed, sizeof sealed);
}

int keys_lend_again(struct keys *k, uint32_t writer, struct keys_loan *ret) {
    if (!k->open)
        return ERR_LOCKED;
    ret->writer = writer;
    ret->fresh = false;
    int rc = keys_writer(k, writer, ret->mac);
    if (!rc)
        lend_shared(k, ret);
    return rc;
}
