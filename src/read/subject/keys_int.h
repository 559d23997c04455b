#ifndef SUBJECT_KEYS_INT_H
#define SUBJECT_KEYS_INT_H
/* What the files of this folder share: the database, its statements, and what is open of it. */
#include <sqlite3.h>

#include "read/subject/keys.h"

#define KEYS_FILE "vault.db"
#define KEYS_FILE_NEXT "vault.db.next" /* a new generation, being built */
#define KEYS_FILE_OLD "vault.db.old"   /* the one before, being destroyed */
#define KEYS_FILE_INTENT "erasing"     /* who is being erased */
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
    uint8_t records[KEYS_SECRET_BYTES]; /* derived from the opening key */
    struct generation generations[KEYS_GENERATIONS_MAX];
    size_t generation_count;
    struct generation next; /* while it is built */
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
    KEYS_AUDIT_ADD,
    KEYS_AUDIT_GET,
    KEYS_WRITER_ADD,
    KEYS_WRITER_GET,
    KEYS_SUBJECT_ADD,
    KEYS_SUBJECT_BY_TAG,
    KEYS_SUBJECT_BY_ID,
    KEYS_SUBJECT_NAME,
    KEYS_SUBJECT_PENDING,
    KEYS_SUBJECT_OF_TAG,
    KEYS_SUBJECT_ERASE,
    KEYS_ERASURE_ADD,
    KEYS_ERASURE_GET,
    KEYS_HOLD_ADD,
    KEYS_HOLD_GET,
    KEYS_HOLD_END,
    KEYS_HELD,
    KEYS_CHECKPOINT_SET,
    KEYS_RECORD_ADD,
    KEYS_RECORD_SET,
    KEYS_RECORD_EACH,
    KEYS_REPORT_ADD,
    KEYS_REPORT_NOTED,
    KEYS_REPORT_GET,
    KEYS_REPORT_EACH,
    KEYS_REPORT_ANSWER,
    KEYS_REPORT_COUNT,
    KEYS_REPORT_ROOM,
    KEYS_STATEMENTS
};

struct replica {
    char *dir;
    bool attached;
    enum keys_replica_state state;
    uint64_t version;   /* that it has */
    uint64_t looked_ns; /* when, last; 0: never */
    bool more;          /* the last piece was not all */
    bool renewing;      /* what is attached is its next file, of our generation */
    bool old;           /* of an older generation: to be made anew */
    bool unchecked;     /* attached, and nobody has said yet that we are not older than it */
    char note[KEYS_NOTE_MAX]; /* the ledger's checkpoint that it has */
    size_t note_len;
};

/* The person who is being erased, as the file has it. */
struct keys_intent {
    bool there;
    uint8_t erasure[KEYS_ERASURE_BYTES];
    uint32_t pepper_number;
    uint8_t tag[KEYS_TAG_BYTES];
};

struct keys {
    char *dir;
    int intent_fd;
    struct keys_intent intent;
    sqlite3 *sql;
    sqlite3_stmt *statements[KEYS_STATEMENTS];
    uint64_t version, sure_version; /* last change's number, last committed one's */
    uint8_t opening_public[KEYS_PUBLIC_BYTES];
    uint8_t audit_public[KEYS_PUBLIC_BYTES];
    uint32_t generation; /* the newest: new secrets are sealed to it */
    uint8_t generation_public[KEYS_PUBLIC_BYTES];
    uint32_t pepper_number; /* the lasting one's */
    uint32_t temporary_number;
    uint32_t fingerprint_number, temporary_fingerprint; /* the lasting one's, the temporary one's */
    struct keys_open *open;           /* NULL: locked */
    struct keys_temporary *temporary; /* NULL: none was lent */
    struct keys_counts counts, sure_counts;
    bool renewing;          /* the next generation's file is attached as "next" */
    uint64_t renewed;       /* the version up to which subjects are in it */
    struct replica replicas[KEYS_REPLICAS_MAX];
    size_t replica_count;
    bool check_first; /* replicas are not copied to before keys_replica_checked */
};

/* ---- db.c ---- */
int keys_exec(struct keys *k, const char *sql);
/* Creates the tables in the database `name` ("main", "r0", ...), or those that it lacks. */
int keys_schema(struct keys *k, const char *name);
/* Was it made by an earlier version? */
bool keys_outdated(struct keys *k, const char *name);
/* The connection to k->dir's file, ended and begun again. */
int keys_connect(struct keys *k);
void keys_disconnect(struct keys *k);
/* SQLite syncs a folder for its journal's sake; a new file's entry is not to depend on that. */
int keys_sync_folder(const char *dir);
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
/* After another file has taken vault.db's place: what it says, in the state that we are in. */
int keys_reload(struct keys *k);
/* The rows that are there before anything else: opening key, generation, pepper. */
int keys_make(struct keys *k, const void *passphrase, size_t len, unsigned memory_mib);
/* Reads the public ones of them. */
int keys_load(struct keys *k);
/* Seals 32 bytes. */
int keys_seal(uint8_t out[KEYS_BOX_SEALED_BYTES], const uint8_t secret[KEYS_SECRET_BYTES],
              const uint8_t to[KEYS_PUBLIC_BYTES]);
/* Opens what was sealed to the opening key. ERR_LOCKED, ERR_CORRUPT. */
int keys_unseal(const struct keys *k, uint8_t *out, const uint8_t *sealed, size_t sealed_len);

/* ---- subjects.c ---- */
/* The lasting tag of an encoded name. ERR_LOCKED, ERR_SYNTAX. */
int keys_tag(const struct keys *k, const uint8_t *name, size_t len, uint8_t ret[KEYS_TAG_BYTES]);
/* Opens a subject's secret with the generation that its row names. ERR_CORRUPT. */
int keys_open_secret(const struct keys *k, uint32_t generation,
                     const uint8_t sealed[KEYS_BOX_SEALED_BYTES],
                     uint8_t ret_secret[KEYS_SECRET_BYTES]);

/* ---- renew.c ---- */
/* The next generation is not built after all. */
void keys_renew_stop(struct keys *k);

/* ---- intent.c ---- */
int keys_intent_open(struct keys *k);
void keys_intent_close(struct keys *k);

/* ---- files.c ---- */
/* Takes away what a vault that died left of a change of generations. */
int keys_tidy(const char *dir);
/* Overwrites, truncates, unlinks. 0 also if there is none. */
int keys_destroy_file(const char *dir, const char *name);
/* An empty file of our own, whatever was there. */
int keys_fresh_file(const char *dir, const char *name);
/* The next file takes the place of vault.db, which is destroyed. Nothing has either open. */
int keys_swap(const char *dir);

/* ---- replica.c ---- */
/* Every table that replicas have, in the order in which they are copied; NULL-ended. */
extern const char *const keys_tables[];
/* The checkpoint in the database `name`. ERR_AGAIN: it has none. */
int keys_checkpoint_of(struct keys *k, const char *name, char ret_note[KEYS_NOTE_MAX],
                       size_t *ret_len);
/* Lets all of them go, to be looked at anew. */
void keys_replicas_rest(struct keys *k);

/* ---- records.c ---- */
/* The records' key from the opening key. */
void keys_records_open(struct keys_open *open);

/* ---- lend.c ---- */
/* The lasting fingerprint key's number. ERR_NOTFOUND: none was made yet; then make one, in a
 * transaction of the caller. */
int keys_fingerprint_find(struct keys *k);
int keys_fingerprint_make(struct keys *k);

/* ---- audit.c ---- */
/* ERR_NOTFOUND: none was made yet; then make one, in a transaction of the caller. */
int keys_audit_find(struct keys *k);
int keys_audit_make(struct keys *k);

#endif
