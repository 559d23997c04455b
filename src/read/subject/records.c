/*
 * Sealed records of another module, in the table `people`: XChaCha20-Poly1305 under a key that is
 * derived from the opening key, with the record's number and version as associated data. Not a sealed
 * box, as everything else here is: a box could be made by whoever can write the file, and these
 * records say who may do what. Only an unlocked vault reads or writes them.
 */
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/subject/keys_int.h"

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define BOX_EXTRA (NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)

static const char key_label[] = "safehouse people key 1", label[] = "safehouse people record 1";
#define AD_BYTES (sizeof label - 1 + 16)

void keys_records_open(struct keys_open *open) {
    crypto_generichash(open->records, sizeof open->records, (const uint8_t *)key_label,
                       sizeof key_label - 1, open->opening, sizeof open->opening);
}

static void associated_data(uint8_t out[AD_BYTES], uint32_t n, uint64_t version) {
    memcpy(out, label, sizeof label - 1);
    put_u64(out + sizeof label - 1, n);
    put_u64(out + sizeof label - 1 + 8, version);
}

static int number_of_new(struct keys *k, uint32_t *n) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_RECORD_ADD, &s, "n", ++k->version);
    if (rc)
        return rc;
    *n = (uint32_t)sqlite3_column_int64(s, 0);
    keys_done(s);
    return 0;
}

int keys_record_put(struct keys *k, uint32_t *n, const uint8_t *p, size_t len) {
    uint8_t box[KEYS_RECORD_MAX + BOX_EXTRA], ad[AD_BYTES];
    uint32_t number = *n;
    if (!k->open)
        return ERR_LOCKED;
    if (len > KEYS_RECORD_MAX)
        return ERR_LIMIT;
    int rc = number ? 0 : number_of_new(k, &number);
    if (rc)
        return rc;
    const uint64_t version = ++k->version;
    associated_data(ad, number, version);
    randombytes_buf(box, NONCE_BYTES);
    if (p)
        crypto_aead_xchacha20poly1305_ietf_encrypt(box + NONCE_BYTES, NULL, p, len, ad, sizeof ad,
                                                   NULL, box, k->open->records);
    rc = keys_run(k, KEYS_RECORD_SET, NULL, "bnn", p ? box : NULL, p ? len + BOX_EXTRA : 0, version,
                  (uint64_t)number);
    if (!rc)
        *n = number;
    return rc;
}

/* The one after *n. ERR_NOTFOUND: there is none. */
static int next_record(struct keys *k, uint32_t *n, uint8_t out[KEYS_RECORD_MAX], size_t *ret_len) {
    sqlite3_stmt *s;
    uint8_t ad[AD_BYTES];
    int rc = keys_run(k, KEYS_RECORD_EACH, &s, "n", (uint64_t)*n);
    if (rc)
        return rc;
    const uint8_t *box = sqlite3_column_blob(s, 2);
    const size_t len = (size_t)sqlite3_column_bytes(s, 2);
    *n = (uint32_t)sqlite3_column_int64(s, 0);
    associated_data(ad, *n, (uint64_t)sqlite3_column_int64(s, 1));
    if (!box || len < BOX_EXTRA || len > KEYS_RECORD_MAX + BOX_EXTRA ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, box + NONCE_BYTES,
                                                   len - NONCE_BYTES, ad, sizeof ad, box,
                                                   k->open->records))
        rc = ERR_CORRUPT;
    *ret_len = len - BOX_EXTRA;
    keys_done(s);
    return rc;
}

int keys_record_each(struct keys *k, keys_record_fn *fn, void *arg) {
    uint8_t record[KEYS_RECORD_MAX];
    uint32_t n = 0;
    size_t len = 0;
    int rc = k->open ? 0 : ERR_LOCKED;
    while (!rc && (rc = next_record(k, &n, record, &len)) == 0)
        rc = fn(arg, n, record, len);
    sodium_memzero(record, sizeof record);
    return rc == ERR_NOTFOUND ? 0 : rc;
}
