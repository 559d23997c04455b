/*
 * The vault's database: file, tables, statements, transactions. Only sealed secrets, public keys,
 * random ids and keyed tags pass through here.
 *
 * A rollback journal that is truncated at each commit, not a write-ahead log: between transactions
 * one file holds everything, and nothing of an erased row is left beside it in a file that lives
 * on. Locking mode EXCLUSIVE: no shared memory file, and no second vault on the same folder.
 *
 * Every change of a row draws the next `version`, one sequence over all tables: what a replica
 * lacks is what has a higher one than it knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/err_sqlite.h"
#include "read/subject/keys_int.h"

#define SCHEMA_VERSION 3
#define PATH_BYTES 4096

static const struct {
    const char *kind, *name, *rest;
} schema[] = {
    {"TABLE", "opening",
     "(n INTEGER PRIMARY KEY CHECK (n = 1), public BLOB NOT NULL, salt BLOB NOT NULL,"
     " ops INTEGER NOT NULL, mem INTEGER NOT NULL, nonce BLOB NOT NULL, wrapped BLOB NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "generations",
     "(n INTEGER PRIMARY KEY, public BLOB NOT NULL, secret BLOB NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "peppers", "(n INTEGER PRIMARY KEY, pepper BLOB, version INTEGER NOT NULL) STRICT"},
    {"TABLE", "fingerprints",
     "(n INTEGER PRIMARY KEY, key BLOB NOT NULL, lasting INTEGER NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "audit",
     "(n INTEGER PRIMARY KEY, public BLOB NOT NULL, secret BLOB NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "writers",
     "(n INTEGER PRIMARY KEY, sealer INTEGER NOT NULL, mac BLOB NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "subjects",
     "(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, public BLOB NOT NULL, secret BLOB,"
     " generation INTEGER NOT NULL, pepper INTEGER, tag BLOB, name BLOB, state INTEGER NOT NULL,"
     " version INTEGER NOT NULL, created INTEGER NOT NULL DEFAULT 0) STRICT"},
    {"TABLE", "holds",
     "(n INTEGER PRIMARY KEY, tag BLOB, reason BLOB, since INTEGER NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "erasures",
     "(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, time INTEGER NOT NULL,"
     " generation INTEGER NOT NULL, version INTEGER NOT NULL) STRICT"},
    {"TABLE", "checkpoints",
     "(n INTEGER PRIMARY KEY CHECK (n = 1), note BLOB NOT NULL,"
     " version INTEGER NOT NULL) STRICT"},
    {"TABLE", "people", "(n INTEGER PRIMARY KEY, box BLOB, version INTEGER NOT NULL) STRICT"},
    /* Reports from outside: sealed to the opening key, like the answers. */
    {"TABLE", "reports",
     "(n INTEGER PRIMARY KEY, number BLOB NOT NULL UNIQUE, came INTEGER NOT NULL,"
     " bytes INTEGER NOT NULL, hash BLOB NOT NULL, box BLOB NOT NULL, noted INTEGER NOT NULL,"
     " answered INTEGER NOT NULL, answer BLOB, version INTEGER NOT NULL) STRICT"},
    {"INDEX", "reports_open", "ON reports(came) WHERE answered = 0"},
    {"INDEX", "subjects_tag", "ON subjects(pepper, tag) WHERE tag IS NOT NULL"},
    {"INDEX", "subjects_pending", "ON subjects(n) WHERE state = 1"},
    {"INDEX", "subjects_version", "ON subjects(version)"},
    {"INDEX", "subjects_erased", "ON subjects(id) WHERE state = 3"},
    {"INDEX", "holds_tag", "ON holds(tag) WHERE tag IS NOT NULL"},
};

static const char *const statements[KEYS_STATEMENTS] = {
    [KEYS_BEGIN] = "BEGIN IMMEDIATE",
    [KEYS_COMMIT] = "COMMIT",
    [KEYS_ROLLBACK] = "ROLLBACK",
    [KEYS_PEPPER_ADD] = "INSERT INTO peppers VALUES(NULL, ?, ?) RETURNING n",
    [KEYS_FINGERPRINT_ADD] = "INSERT INTO fingerprints VALUES(NULL, ?, ?, ?) RETURNING n",
    [KEYS_FINGERPRINT_GET] = "SELECT key FROM fingerprints WHERE n = ?",
    [KEYS_AUDIT_ADD] = "INSERT INTO audit VALUES(NULL, ?, ?, ?)",
    [KEYS_AUDIT_GET] = "SELECT public, secret FROM audit ORDER BY n DESC LIMIT 1",
    [KEYS_WRITER_ADD] = "INSERT INTO writers VALUES(NULL, ?, ?, ?) RETURNING n",
    [KEYS_WRITER_GET] = "SELECT mac FROM writers WHERE n = ?",
    [KEYS_SUBJECT_ADD] = "INSERT INTO subjects VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [KEYS_SUBJECT_BY_TAG] = "SELECT id, public FROM subjects WHERE pepper = ? AND tag = ?"
                            " ORDER BY n LIMIT 1",
    [KEYS_SUBJECT_BY_ID] = "SELECT public, secret, generation, state, tag, name FROM subjects"
                           " WHERE id = ?",
    [KEYS_SUBJECT_NAME] = "UPDATE subjects SET pepper = ?, tag = ?, name = ?, state = ?,"
                          " version = ? WHERE id = ?",
    [KEYS_SUBJECT_PENDING] = "SELECT id, name, pepper, tag FROM subjects WHERE state = 1 ORDER BY n"
                             " LIMIT 1",
    [KEYS_SUBJECT_OF_TAG] = "SELECT id, created FROM subjects WHERE pepper = ? AND tag = ?"
                            " ORDER BY n",
    [KEYS_SUBJECT_ERASE] = "UPDATE subjects SET public = zeroblob(32), secret = NULL, pepper = NULL,"
                           " tag = NULL, name = NULL, created = 0, state = 3, version = ?"
                           " WHERE id = ?",
    [KEYS_ERASURE_ADD] = "INSERT INTO erasures VALUES(NULL, ?, ?, ?, ?)",
    [KEYS_ERASURE_GET] = "SELECT n FROM erasures WHERE id = ?",
    [KEYS_HOLD_ADD] = "INSERT INTO holds VALUES(NULL, ?, ?, ?, ?)",
    [KEYS_HOLD_GET] = "SELECT reason, since FROM holds WHERE tag = ?",
    [KEYS_HOLD_END] = "UPDATE holds SET tag = NULL, reason = NULL, version = ? WHERE tag = ?",
    [KEYS_HELD] = "SELECT s.id FROM holds h JOIN subjects s ON s.pepper = ? AND s.tag = h.tag"
                  " WHERE h.tag IS NOT NULL",
    [KEYS_CHECKPOINT_SET] = "INSERT OR REPLACE INTO checkpoints VALUES(1, ?, ?)",
    [KEYS_RECORD_ADD] = "INSERT INTO people VALUES(NULL, NULL, ?) RETURNING n",
    [KEYS_RECORD_SET] = "UPDATE people SET box = ?, version = ? WHERE n = ?",
    [KEYS_REPORT_ADD] = "INSERT INTO reports VALUES(NULL, ?, ?, ?, ?, ?, 0, 0, NULL, ?)",
    [KEYS_REPORT_NOTED] = "UPDATE reports SET noted = 1, version = ? WHERE number = ?",
    [KEYS_REPORT_GET] = "SELECT noted, came, bytes, hash, answered, box, answer FROM reports"
                        " WHERE number = ?",
    [KEYS_REPORT_EACH] = "SELECT n, number, came, bytes, hash, answered FROM reports WHERE n > ?"
                         " ORDER BY n LIMIT 1",
    [KEYS_REPORT_ANSWER] = "UPDATE reports SET answered = ?, answer = ?, version = ?"
                           " WHERE number = ? AND answered = 0",
    [KEYS_REPORT_COUNT] = "SELECT count(*), sum(answered = 0), coalesce(min(CASE answered WHEN 0"
                          " THEN came END), 0) FROM reports",
    [KEYS_REPORT_ROOM] = "DELETE FROM reports WHERE n = (SELECT min(n) FROM reports"
                         " WHERE answered > 0)",
    [KEYS_RECORD_EACH] = "SELECT n, version, box FROM people WHERE n > ? AND box IS NOT NULL"
                         " ORDER BY n LIMIT 1",
};

int keys_exec(struct keys *k, const char *sql) {
    return err_from_sqlite(sqlite3_exec(k->sql, sql, NULL, NULL, NULL));
}

int keys_schema(struct keys *k, const char *name) {
    char sql[640];
    uint64_t version = 0;
    snprintf(sql, sizeof sql, "PRAGMA %s.user_version", name);
    int rc = keys_number(k, sql, &version);
    snprintf(sql, sizeof sql, "ALTER TABLE %s.subjects ADD COLUMN created INTEGER NOT NULL DEFAULT 0", name);
    if (!rc && version == 1)
        rc = keys_exec(k, sql);
    for (size_t i = 0; !rc && i < sizeof schema / sizeof schema[0]; i++) {
        snprintf(sql, sizeof sql, "CREATE %s IF NOT EXISTS %s.%s %s", schema[i].kind, name, schema[i].name,
                 schema[i].rest);
        rc = keys_exec(k, sql);
    }
    snprintf(sql, sizeof sql,
             "PRAGMA %s.application_id = 1399353972;" /* "Shvt", so that file(1) and we know it */
             "PRAGMA %s.user_version = %d",
             name, name, SCHEMA_VERSION);
    return rc ? rc : keys_exec(k, sql);
}

/* ---- statements ---- */

static int bind(sqlite3_stmt *s, const char *kinds, va_list ap) {
    int code = SQLITE_OK;
    for (int i = 1; code == SQLITE_OK && kinds[i - 1]; i++) {
        if (kinds[i - 1] == 'n') {
            code = sqlite3_bind_int64(s, i, (int64_t)va_arg(ap, uint64_t));
        } else {
            const uint8_t *p = va_arg(ap, const uint8_t *);
            size_t len = va_arg(ap, size_t);
            code = sqlite3_bind_blob64(s, i, p, len, SQLITE_STATIC); /* NULL p binds NULL */
        }
    }
    return code;
}

int keys_run(struct keys *k, enum keys_statement which, sqlite3_stmt **ret, const char *kinds,
             ...) {
    sqlite3_stmt **s = &k->statements[which];
    int code = SQLITE_OK;
    va_list ap;
    if (!*s)
        code =
            sqlite3_prepare_v3(k->sql, statements[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    va_start(ap, kinds);
    if (code == SQLITE_OK)
        code = bind(*s, kinds, ap);
    va_end(ap);
    if (code == SQLITE_OK)
        code = sqlite3_step(*s);
    if (code == SQLITE_ROW && ret) {
        *ret = *s;
        return 0;
    }
    keys_done(*s);
    return code == SQLITE_DONE && ret ? ERR_NOTFOUND : err_from_sqlite(code);
}

void keys_done(sqlite3_stmt *s) {
    sqlite3_reset(s);
    sqlite3_clear_bindings(s); /* they point into the caller's memory */
}

int keys_column(sqlite3_stmt *s, int column, uint8_t *out, size_t len) {
    const void *p = sqlite3_column_blob(s, column);
    if (!p || sqlite3_column_bytes(s, column) != (int)len)
        return ERR_CORRUPT;
    memcpy(out, p, len);
    return 0;
}

int keys_number(struct keys *k, const char *sql, uint64_t *ret) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(k->sql, sql, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *ret = (uint64_t)sqlite3_column_int64(s, 0);
    int rc = code == SQLITE_DONE ? ERR_NOTFOUND : err_from_sqlite(code);
    sqlite3_finalize(s);
    return rc;
}

/* ---- transactions ---- */

int keys_begin(struct keys *k) {
    return keys_run(k, KEYS_BEGIN, NULL, "");
}

int keys_commit(struct keys *k) {
    int rc = keys_run(k, KEYS_COMMIT, NULL, "");
    if (rc) {
        keys_rollback(k);
        return rc;
    }
    k->sure_version = k->version;
    k->sure_counts = k->counts;
    return 0;
}

void keys_rollback(struct keys *k) {
    if (!sqlite3_get_autocommit(k->sql)) /* some failures have rolled back already */
        keys_run(k, KEYS_ROLLBACK, NULL, "");
    k->version = k->sure_version;
    k->counts = k->sure_counts;
    if (!k->open && k->temporary) { /* its number was perhaps not kept */
        sodium_free(k->temporary);
        k->temporary = NULL;
    }
}

/* ---- the file ---- */

static int configure(struct keys *k) {
    sqlite3_extended_result_codes(k->sql, 1);
    /* What SQLite is done with goes through free(), which overwrites it (base/traces.h). */
    sqlite3_db_config(k->sql, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    sqlite3_db_config(k->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(k->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(k->sql, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(k->sql, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    /* The first transaction takes the lock and keeps it. */
    return keys_exec(k, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE;"
                        "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                        "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;"
                        "PRAGMA cell_size_check = ON; BEGIN EXCLUSIVE; COMMIT");
}

static int check_version(struct keys *k) {
    uint64_t version = 0;
    int rc = keys_number(k, "PRAGMA user_version", &version);
    if (!rc && (version == 0 || version > SCHEMA_VERSION))
        rc = version ? ERR_VERSION : ERR_CORRUPT;
    return rc;
}

int keys_connect(struct keys *k) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/" KEYS_FILE, k->dir);
    int rc = err_from_sqlite(
        sqlite3_open_v2(path, &k->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    return rc ? rc : configure(k);
}

void keys_disconnect(struct keys *k) {
    for (int i = 0; i < KEYS_STATEMENTS; i++) {
        sqlite3_finalize(k->statements[i]);
        k->statements[i] = NULL;
    }
    sqlite3_close(k->sql);
    k->sql = NULL;
}

int keys_open_file(const char *dir, bool create, struct keys **ret) {
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/" KEYS_FILE_OLD "-journal", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return ERR_LIMIT;
    snprintf(path, sizeof path, "%s/" KEYS_FILE, dir);
    /* SQLite would make the file with the umask's mode, and follow a link. */
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0)
        return err_from_errno(errno);
    close(fd);
    struct keys *k = calloc(1, sizeof *k);
    if (!k || !(k->dir = strdup(dir))) {
        free(k);
        return ERR_NOMEM;
    }
    k->intent_fd = -1;
    int rc = keys_connect(k);
    if (!rc && !create)
        rc = check_version(k);
    if (rc) {
        keys_close(k);
        return rc;
    }
    *ret = k;
    return 0;
}

int keys_sync_folder(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    int rc = fsync(fd) ? err_from_errno(errno) : 0;
    close(fd);
    return rc;
}

static void remove_file(const char *dir) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/" KEYS_FILE, dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/" KEYS_FILE "-journal", dir);
    unlink(path);
}

int keys_create(const char *dir, const void *passphrase, size_t len, unsigned memory_mib) {
    struct keys *k = NULL;
    if (memory_mib < LIMIT_PASSPHRASE_MIB_MIN || memory_mib > LIMIT_PASSPHRASE_MIB_MAX)
        return ERR_USAGE;
    int rc = keys_open_file(dir, true, &k);
    if (rc)
        return rc;
    rc = keys_begin(k);
    if (!rc)
        rc = keys_schema(k, "main");
    if (!rc)
        rc = keys_make(k, passphrase, len, memory_mib);
    if (!rc)
        rc = keys_commit(k);
    keys_close(k);
    if (!rc)
        rc = keys_sync_folder(dir);
    if (rc)
        remove_file(dir);
    return rc;
}

static int count(struct keys *k) {
    struct keys_counts *c = &k->counts;
    int rc = keys_number(k, "SELECT count(*) FROM subjects WHERE name IS NOT NULL", &c->subjects);
    if (!rc)
        rc = keys_number(k,
                         "SELECT count(*) FROM subjects WHERE state = 0 AND name IS NULL"
                         " AND secret IS NOT NULL",
                         &c->pool);
    if (!rc)
        rc = keys_number(k, "SELECT count(*) FROM subjects WHERE state = 1", &c->pending);
    if (!rc)
        rc = keys_number(k, "SELECT count(*) FROM subjects WHERE state = 2", &c->unreadable);
    if (!rc)
        rc = keys_number(k, "SELECT count(*) FROM holds WHERE tag IS NOT NULL", &c->holds);
    if (!rc)
        rc = keys_number(k, "SELECT count(*) FROM erasures", &c->erasures);
    if (!rc)
        rc = keys_number(k,
                         "SELECT max((SELECT max(version) FROM opening),"
                         " (SELECT max(version) FROM generations),"
                         " (SELECT max(version) FROM peppers),"
                         " (SELECT coalesce(max(version), 0) FROM fingerprints),"
                         " (SELECT coalesce(max(version), 0) FROM audit),"
                         " (SELECT coalesce(max(version), 0) FROM writers),"
                         " (SELECT coalesce(max(version), 0) FROM holds),"
                         " (SELECT coalesce(max(version), 0) FROM erasures),"
                         " (SELECT coalesce(max(version), 0) FROM checkpoints),"
                         " (SELECT coalesce(max(version), 0) FROM subjects),"
                         " (SELECT coalesce(max(version), 0) FROM people))",
                         &k->version);
    k->sure_version = k->version;
    return rc;
}

bool keys_outdated(struct keys *k, const char *name) {
    char sql[160];
    uint64_t version, there;
    snprintf(sql, sizeof sql, "PRAGMA %s.user_version", name);
    if (keys_number(k, sql, &version) == 0 && version < SCHEMA_VERSION)
        return true;
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM %s.sqlite_schema WHERE name IN ('fingerprints', 'audit')", name);
    return keys_number(k, sql, &there) == 0 && there < 2;
}

/* A vault.db of an earlier version lacks tables. */
static int add_tables(struct keys *k) {
    if (!keys_outdated(k, "main"))
        return 0;
    int rc = keys_begin(k);
    if (!rc)
        rc = keys_schema(k, "main");
    if (!rc)
        return keys_commit(k);
    keys_rollback(k);
    return rc;
}

/* The lasting fingerprint key and the audit key are made when the vault first opens its folder:
 * sealing them takes the public half only. */
static int complete(struct keys *k) {
    const int fingerprint = keys_fingerprint_find(k), audit = keys_audit_find(k);
    int rc = fingerprint && fingerprint != ERR_NOTFOUND ? fingerprint
             : audit && audit != ERR_NOTFOUND           ? audit
                                                        : 0;
    if (rc || (!fingerprint && !audit))
        return rc;
    rc = keys_begin(k);
    if (!rc && fingerprint)
        rc = keys_fingerprint_make(k);
    if (!rc && audit)
        rc = keys_audit_make(k);
    if (!rc)
        rc = keys_commit(k);
    if (rc)
        keys_rollback(k);
    return rc;
}

int keys_open(const char *dir, struct keys **ret) {
    struct keys *k;
    int rc = keys_open_file(dir, false, &k);
    if (rc)
        return rc;
    rc = keys_tidy(dir); /* with the lock held */
    if (!rc)
        rc = add_tables(k);
    if (!rc)
        rc = keys_load(k);
    if (!rc)
        rc = count(k);
    if (!rc)
        rc = complete(k);
    if (!rc)
        rc = keys_intent_open(k);
    k->counts.generation = k->generation;
    k->sure_counts = k->counts;
    if (rc) {
        keys_close(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void keys_close(struct keys *k) {
    if (!k)
        return;
    keys_lock(k);
    keys_disconnect(k);
    keys_intent_close(k);
    free(k->dir);
    for (size_t i = 0; i < k->replica_count; i++)
        free(k->replicas[i].dir);
    free(k);
}

void keys_counts(const struct keys *k, struct keys_counts *ret) {
    *ret = k->sure_counts;
}
