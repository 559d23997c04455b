/*
 * What a sealer is lent: a MAC key of its own for its data-key rows, and a pepper for its tags.
 *
 * A MAC key is kept sealed to the opening key, so a locked vault can make one and an unlocked one
 * can check what was written under it, for as long as the rows live. Of a temporary pepper only the
 * number is kept: its tags mean something to this process alone, and numbers are never used twice.
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
    randombytes_buf(k->temporary->pepper, sizeof k->temporary->pepper);
    return 0;
}

static void lend_pepper(const struct keys *k, struct keys_loan *ret) {
    ret->pepper_number = k->open ? k->pepper_number : k->temporary_number;
    memcpy(ret->pepper, k->open ? k->open->pepper : k->temporary->pepper, sizeof ret->pepper);
}

int keys_lend(struct keys *k, uint64_t sealer, struct keys_loan *ret) {
    int rc = k->open || k->temporary ? 0 : make_temporary(k);
    if (rc)
        return rc;
    randombytes_buf(ret->mac, sizeof ret->mac);
    rc = add_writer(k, sealer, ret->mac, &ret->writer);
    if (!rc)
        lend_pepper(k, ret);
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
    int rc = keys_writer(k, writer, ret->mac);
    if (!rc)
        lend_pepper(k, ret);
    return rc;
}
