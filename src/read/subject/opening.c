/*
 * The opening key, what is sealed to it, and the two states of the vault. Secrets are in guarded
 * memory from the moment they exist to the moment they are sealed or wiped.
 *
 * The opening key's wrapping: Argon2id (parameters in the row) gives a key for XChaCha20-Poly1305,
 * whose associated data are a label, the public half and the parameters.
 */
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/err_sqlite.h"
#include "read/subject/keys_int.h"

#define OPS 3
/* A row that asks for more was not written by us. */
#define OPS_MAX 16
#define MEM_MAX ((uint64_t)LIMIT_PASSPHRASE_MIB_MAX << 20)
#define WRAPPED_BYTES (KEYS_SECRET_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SALT_BYTES crypto_pwhash_SALTBYTES

static const char wrap_label[] = "safehouse opening key 1";
#define AD_BYTES (sizeof wrap_label - 1 + KEYS_PUBLIC_BYTES + SALT_BYTES + 16)

struct opening_row {
    uint8_t public_key[KEYS_PUBLIC_BYTES];
    uint8_t salt[SALT_BYTES];
    uint64_t ops, mem;
    uint8_t nonce[NONCE_BYTES];
    uint8_t wrapped[WRAPPED_BYTES];
};

int keys_seal(uint8_t out[KEYS_BOX_SEALED_BYTES], const uint8_t secret[KEYS_SECRET_BYTES],
              const uint8_t to[KEYS_PUBLIC_BYTES]) {
    return crypto_box_seal(out, secret, KEYS_SECRET_BYTES, to) ? ERR_CORRUPT : 0;
}

int keys_unseal(const struct keys *k, uint8_t *out, const uint8_t *sealed, size_t sealed_len) {
    if (!k->open)
        return ERR_LOCKED;
    if (sealed_len < crypto_box_SEALBYTES ||
        crypto_box_seal_open(out, sealed, sealed_len, k->opening_public, k->open->opening))
        return ERR_CORRUPT;
    return 0;
}

/* ---- wrapping ---- */

static void associated_data(uint8_t out[AD_BYTES], const struct opening_row *r) {
    uint8_t *p = out;
    memcpy(p, wrap_label, sizeof wrap_label - 1);
    p += sizeof wrap_label - 1;
    memcpy(p, r->public_key, KEYS_PUBLIC_BYTES);
    memcpy(p + KEYS_PUBLIC_BYTES, r->salt, SALT_BYTES);
    put_u64(p + KEYS_PUBLIC_BYTES + SALT_BYTES, r->ops);
    put_u64(p + KEYS_PUBLIC_BYTES + SALT_BYTES + 8, r->mem);
}

static int derive(uint8_t key[32], const struct opening_row *r, const void *passphrase,
                  size_t len) {
    return crypto_pwhash(key, 32, passphrase, len, r->salt, r->ops, (size_t)r->mem,
                         crypto_pwhash_ALG_ARGON2ID13)
               ? ERR_NOMEM
               : 0;
}

/* With r->mem; `key` is 32 bytes of guarded memory to work in. */
static int wrap(struct opening_row *r, const uint8_t secret[KEYS_SECRET_BYTES],
                const void *passphrase, size_t len, uint8_t *key) {
    uint8_t ad[AD_BYTES];
    r->ops = OPS;
    randombytes_buf(r->salt, sizeof r->salt);
    randombytes_buf(r->nonce, sizeof r->nonce);
    associated_data(ad, r);
    int rc = derive(key, r, passphrase, len);
    if (!rc)
        crypto_aead_xchacha20poly1305_ietf_encrypt(r->wrapped, NULL, secret, KEYS_SECRET_BYTES, ad,
                                                   sizeof ad, NULL, r->nonce, key);
    sodium_memzero(key, 32);
    return rc;
}

static int unwrap(const struct opening_row *r, uint8_t ret_secret[KEYS_SECRET_BYTES],
                  const void *passphrase, size_t len, uint8_t *key) {
    uint8_t ad[AD_BYTES], public_key[KEYS_PUBLIC_BYTES];
    if (r->ops > OPS_MAX || r->mem > MEM_MAX)
        return ERR_CORRUPT;
    associated_data(ad, r);
    int rc = derive(key, r, passphrase, len);
    if (!rc &&
        crypto_aead_xchacha20poly1305_ietf_decrypt(ret_secret, NULL, NULL, r->wrapped,
                                                   sizeof r->wrapped, ad, sizeof ad, r->nonce, key))
        rc = ERR_UNAUTHENTICATED;
    sodium_memzero(key, 32);
    if (!rc && (crypto_scalarmult_base(public_key, ret_secret) ||
                memcmp(public_key, r->public_key, sizeof public_key)))
        rc = ERR_CORRUPT;
    return rc;
}

/* ---- rows ---- */

/* A statement that is used once: blobs, and behind them the next version. */
static int insert(struct keys *k, const char *sql, const uint8_t *const *blobs, const size_t *lens,
                  int count) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(k->sql, sql, -1, &s, NULL);
    for (int i = 0; code == SQLITE_OK && i < count; i++)
        code = sqlite3_bind_blob64(s, i + 1, blobs[i], lens[i], SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(s, count + 1, (int64_t)++k->version);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    sqlite3_finalize(s);
    return err_from_sqlite(code);
}

/* Opening key, first generation, lasting pepper; `m` is guarded memory to work in. */
struct making {
    uint8_t opening[KEYS_SECRET_BYTES], generation[KEYS_SECRET_BYTES], pepper[32], key[32];
};

static int make_opening(struct keys *k, struct making *m, const void *passphrase, size_t len,
                        unsigned memory_mib) {
    struct opening_row r = {.mem = (uint64_t)memory_mib << 20};
    char sql[128];
    crypto_box_keypair(r.public_key, m->opening);
    memcpy(k->opening_public, r.public_key, KEYS_PUBLIC_BYTES);
    int rc = wrap(&r, m->opening, passphrase, len, m->key);
    sqlite3_snprintf(sizeof sql, sql, "INSERT INTO opening VALUES(1, ?, ?, %llu, %llu, ?, ?, ?)",
                     (unsigned long long)r.ops, (unsigned long long)r.mem);
    const uint8_t *const blobs[] = {r.public_key, r.salt, r.nonce, r.wrapped};
    const size_t lens[] = {sizeof r.public_key, sizeof r.salt, sizeof r.nonce, sizeof r.wrapped};
    return rc ? rc : insert(k, sql, blobs, lens, 4);
}

static int make_rest(struct keys *k, struct making *m) {
    uint8_t public_key[KEYS_PUBLIC_BYTES], sealed[KEYS_BOX_SEALED_BYTES];
    crypto_box_keypair(public_key, m->generation);
    randombytes_buf(m->pepper, sizeof m->pepper);
    int rc = keys_seal(sealed, m->generation, k->opening_public);
    const uint8_t *const pair[] = {public_key, sealed};
    const size_t lens[] = {sizeof public_key, sizeof sealed};
    if (!rc)
        rc = insert(k, "INSERT INTO generations VALUES(1, ?, ?, ?)", pair, lens, 2);
    if (!rc)
        rc = keys_seal(sealed, m->pepper, k->opening_public);
    return rc ? rc : insert(k, "INSERT INTO peppers VALUES(1, ?, ?)", pair + 1, lens + 1, 1);
}

int keys_make(struct keys *k, const void *passphrase, size_t len, unsigned memory_mib) {
    struct making *m = sodium_malloc(sizeof *m);
    if (!m)
        return ERR_NOMEM;
    int rc = make_opening(k, m, passphrase, len, memory_mib);
    if (!rc)
        rc = make_rest(k, m);
    sodium_free(m);
    return rc;
}

static int read_opening(struct keys *k, struct opening_row *r) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(
        k->sql, "SELECT public, salt, nonce, wrapped, ops, mem FROM opening", -1, &s, NULL);
    int rc = err_from_sqlite(code);
    if (!rc) {
        code = sqlite3_step(s);
        rc = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? ERR_CORRUPT : err_from_sqlite(code);
    }
    if (!rc)
        rc = keys_column(s, 0, r->public_key, sizeof r->public_key);
    if (!rc)
        rc = keys_column(s, 1, r->salt, sizeof r->salt);
    if (!rc)
        rc = keys_column(s, 2, r->nonce, sizeof r->nonce);
    if (!rc)
        rc = keys_column(s, 3, r->wrapped, sizeof r->wrapped);
    if (!rc) {
        r->ops = (uint64_t)sqlite3_column_int64(s, 4);
        r->mem = (uint64_t)sqlite3_column_int64(s, 5);
    }
    sqlite3_finalize(s);
    return rc;
}

/* The generations, newest last; their secrets too when `open` is there. */
static int read_generations(struct keys *k, struct keys_open *open) {
    sqlite3_stmt *s = NULL;
    uint8_t sealed[KEYS_BOX_SEALED_BYTES], right[KEYS_PUBLIC_BYTES];
    int rc = err_from_sqlite(sqlite3_prepare_v2(
        k->sql, "SELECT n, public, secret FROM generations ORDER BY n", -1, &s, NULL));
    int code = SQLITE_DONE;
    k->generation = 0;
    if (open)
        open->generation_count = 0;
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW) {
        k->generation = (uint32_t)sqlite3_column_int64(s, 0);
        rc = keys_column(s, 1, k->generation_public, KEYS_PUBLIC_BYTES);
        if (rc || !open)
            continue;
        struct generation *g = &open->generations[open->generation_count];
        rc = open->generation_count == KEYS_GENERATIONS_MAX
                 ? ERR_LIMIT
                 : keys_column(s, 2, sealed, sizeof sealed);
        if (rc)
            break;
        g->number = k->generation;
        memcpy(g->public_key, k->generation_public, KEYS_PUBLIC_BYTES);
        if (crypto_box_seal_open(g->secret, sealed, sizeof sealed, k->opening_public,
                                 open->opening) ||
            crypto_scalarmult_base(right, g->secret) || memcmp(right, g->public_key, sizeof right))
            rc = ERR_CORRUPT;
        open->generation_count++;
    }
    sqlite3_finalize(s);
    if (!rc && code != SQLITE_DONE)
        rc = err_from_sqlite(code);
    return rc ? rc : k->generation ? 0 : ERR_CORRUPT;
}

/* The lasting pepper is the newest that was kept. */
static int read_pepper(struct keys *k, struct keys_open *open) {
    sqlite3_stmt *s = NULL;
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    int rc = err_from_sqlite(sqlite3_prepare_v2(
        k->sql, "SELECT n, pepper FROM peppers WHERE pepper IS NOT NULL ORDER BY n DESC LIMIT 1",
        -1, &s, NULL));
    if (!rc)
        rc = sqlite3_step(s) == SQLITE_ROW ? 0 : ERR_CORRUPT;
    if (!rc) {
        k->pepper_number = (uint32_t)sqlite3_column_int64(s, 0);
        rc = keys_column(s, 1, sealed, sizeof sealed);
    }
    if (!rc && open &&
        crypto_box_seal_open(open->pepper, sealed, sizeof sealed, k->opening_public, open->opening))
        rc = ERR_CORRUPT;
    sqlite3_finalize(s);
    return rc;
}

/* By the number that is known since the vault was opened. */
static int read_fingerprint(struct keys *k, struct keys_open *open) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_FINGERPRINT_GET, &s, "n", (uint64_t)k->fingerprint_number);
    if (rc)
        return rc == ERR_NOTFOUND ? ERR_CORRUPT : rc;
    rc = keys_column(s, 0, sealed, sizeof sealed);
    keys_done(s);
    if (!rc && crypto_box_seal_open(open->fingerprint, sealed, sizeof sealed, k->opening_public,
                                    open->opening))
        rc = ERR_CORRUPT;
    return rc;
}

int keys_load(struct keys *k) {
    struct opening_row r;
    int rc = read_opening(k, &r);
    if (rc)
        return rc;
    memcpy(k->opening_public, r.public_key, KEYS_PUBLIC_BYTES);
    rc = read_generations(k, NULL);
    return rc ? rc : read_pepper(k, NULL);
}

int keys_reload(struct keys *k) {
    if (k->open) {
        sodium_memzero(k->open->generations, sizeof k->open->generations);
        sodium_memzero(&k->open->next, sizeof k->open->next);
    }
    int rc = read_generations(k, k->open);
    k->counts.generation = k->generation;
    k->sure_counts = k->counts;
    k->sure_version = k->version;
    return rc;
}

/* ---- the two states ---- */

bool keys_locked(const struct keys *k) {
    return !k->open;
}

void keys_opening_public(const struct keys *k, uint8_t out[KEYS_PUBLIC_BYTES]) {
    memcpy(out, k->opening_public, KEYS_PUBLIC_BYTES);
}

int keys_unlock(struct keys *k, const void *passphrase, size_t len) {
    struct opening_row r;
    struct keys_open *open = sodium_malloc(sizeof *open);
    if (!open)
        return ERR_NOMEM;
    sodium_memzero(open, sizeof *open);
    int rc = read_opening(k, &r);
    if (!rc)
        rc = unwrap(&r, open->opening, passphrase, len, open->pepper);
    if (!rc)
        rc = read_generations(k, open);
    if (!rc)
        rc = read_pepper(k, open);
    if (!rc)
        rc = read_fingerprint(k, open);
    if (!rc)
        keys_records_open(open);
    if (rc) {
        sodium_free(open);
        return rc;
    }
    keys_lock(k);
    k->open = open;
    return 0;
}

void keys_lock(struct keys *k) {
    if (k->renewing)
        keys_renew_stop(k);
    sodium_free(k->open);
    sodium_free(k->temporary);
    k->open = NULL;
    k->temporary = NULL;
}
