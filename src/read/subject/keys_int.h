#ifndef SUBJECT_KEYS_INT_H
#define SUBJECT_KEYS_INT_H
/* What the files of this folder share: the database, its statements, and what is open of it. */
#include <sqlite3.h>

#include "read/subject/keys.h"

#define KEYS_FILE "vault.db"
#define KEYS_GENERATIONS_MAX 8
#define KEYS_BOX_SEALED_BYTES (KEYS_SECRET_BYTES + 48) /* crypto_box_seal of one secret */

struct generation {
    uint32_t number;
    uint8_t public_key[KEYS_PUBLIC_BYTES];
    uint8_t secret[KEYS_SECRET_BYTES];
};

/* Unlocked: one piece of guarded memory. */
struct keys_open {
    uint8_t opening[KEYS_SECRET_BYTES];
    uint8_t pepper[32];
    uint8_t fingerprint[KEYS_SECRET_BYTES];
    struct generation generations[KEYS_GENERATIONS_MAX];
    size_t generation_count;
};

/* Locked: pepper and fingerprint key of this process, in guarded memory. */
struct keys_temporary {
    uint8_t pepper[32];
    uint8_t fingerprint[KEYS_SECRET_BYTES];
};

enum keys_statement {
    KEYS_BEGIN,
    KEYS_COMMIT,
    KEYS_ROLLBACK,
    KEYS_PEPPER_ADD,
    KEYS_FINGERPRINT_ADD,
    KEYS_FINGERPRINT_GET,
    KEYS_WRITER_ADD,
    KEYS_WRITER_GET,
    KEYS_SUBJECT_ADD,
    KEYS_SUBJECT_BY_TAG,
    KEYS_SUBJECT_BY_ID,
    KEYS_SUBJECT_NAME,
    KEYS_SUBJECT_PENDING,
    KEYS_STATEMENTS
};

struct replica {
    char *dir;
    bool attached;
    enum keys_replica_state state;
    uint64_t version;   /* that it has */
    uint64_t looked_ns; /* when, last; 0: never */
    bool more;          /* the last piece was not all */
};

struct keys {
    sqlite3 *sql;
    sqlite3_stmt *statements[KEYS_STATEMENTS];
    uint64_t version, sure_version; /* last change's number, last committed one's */
    uint8_t opening_public[KEYS_PUBLIC_BYTES];
    uint32_t generation; /* the newest: new secrets are sealed to it */
    uint8_t generation_public[KEYS_PUBLIC_BYTES];
    uint32_t pepper_number; /* the lasting one's */
    uint32_t temporary_number;
    uint32_t fingerprint_number, temporary_fingerprint; /* the lasting one's, the temporary one's */
    struct keys_open *open;           /* NULL: locked */
    struct keys_temporary *temporary; /* NULL: none was lent */
    struct keys_counts counts, sure_counts;
    struct replica replicas[KEYS_REPLICAS_MAX];
    size_t replica_count;
};

/* ---- db.c ---- */
int keys_translate(int sqlite_code);
int keys_exec(struct keys *k, const char *sql);
/* Creates the tables in the database `name` ("main", "r0", ...). */
int keys_schema(struct keys *k, const char *name);
int keys_open_file(const char *dir, bool create, struct keys **ret);
/*
 * Runs a statement with its parameters in order: "n" uint64_t, "b" const uint8_t * and size_t (NULL
 * pointer: NULL). 0 with a row: *ret is at it, and the caller ends with keys_done; 0 without one or
 * with ret NULL: done. ERR_NOTFOUND: a row was wanted (ret), there is none.
 */
int keys_run(struct keys *k, enum keys_statement which, sqlite3_stmt **ret, const char *kinds, ...);
void keys_done(sqlite3_stmt *s);
/* A column of exactly that length. ERR_CORRUPT. */
int keys_column(sqlite3_stmt *s, int column, uint8_t *out, size_t len);
/* First column of the first row of an ad-hoc statement. */
int keys_number(struct keys *k, const char *sql, uint64_t *ret);

/* ---- opening.c ---- */
/* The rows that are there before anything else: opening key, generation, pepper. */
int keys_make(struct keys *k, const void *passphrase, size_t len);
/* Reads the public ones of them. */
int keys_load(struct keys *k);
/* Seals 32 bytes. */
int keys_seal(uint8_t out[KEYS_BOX_SEALED_BYTES], const uint8_t secret[KEYS_SECRET_BYTES],
              const uint8_t to[KEYS_PUBLIC_BYTES]);
/* Opens what was sealed to the opening key. ERR_LOCKED, ERR_CORRUPT. */
int keys_unseal(const struct keys *k, uint8_t *out, const uint8_t *sealed, size_t sealed_len);

/* ---- lend.c ---- */
/* The lasting fingerprint key's number. ERR_NOTFOUND: none was made yet; then make one, in a
 * transaction of the caller. */
int keys_fingerprint_find(struct keys *k);
int keys_fingerprint_make(struct keys *k);

#endif
