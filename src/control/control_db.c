/*
 * Control data in SQLite. Runs in the command line (which writes) and in the supervisor (which
 * reads, at the start and when it is told to). Connections live for one piece of work.
 *
 * A rollback journal that is truncated, not a write-ahead log: one file, nothing of a revoked key's
 * row left beside it, and a reader needs no shared memory file.
 */
#include "control/control_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/err_sqlite.h"

#define SCHEMA_VERSION 2
#define BUSY_MS 5000

struct control_db {
    sqlite3 *sql;
};

/* What a key or a project may do; NULL = as the configuration says. The limits' names and order are
 * those of limits_fields. */
#define TERMS                                                                                      \
    "models, requests_per_minute, tokens_per_minute, concurrency, budget_day, budget_month,"       \
    " tokens_day, tokens_month"
#define TERM_COLUMNS (1 + LIMITS_FIELDS)
#define ADD_TERMS(table)                                                                           \
    "ALTER TABLE " table " ADD COLUMN models TEXT;"                                                \
    "ALTER TABLE " table " ADD COLUMN requests_per_minute INTEGER;"                                \
    "ALTER TABLE " table " ADD COLUMN tokens_per_minute INTEGER;"                                  \
    "ALTER TABLE " table " ADD COLUMN concurrency INTEGER;"                                        \
    "ALTER TABLE " table " ADD COLUMN budget_day INTEGER;"                                         \
    "ALTER TABLE " table " ADD COLUMN budget_month INTEGER;"                                       \
    "ALTER TABLE " table " ADD COLUMN tokens_day INTEGER;"                                         \
    "ALTER TABLE " table " ADD COLUMN tokens_month INTEGER;"

static const char schema_1[] =
    "CREATE TABLE projects(tenant TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER NOT NULL,"
    " PRIMARY KEY(tenant, name)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE keys(id TEXT PRIMARY KEY, hash BLOB NOT NULL, tenant TEXT NOT NULL,"
    " project TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
    " revoked_us INTEGER NOT NULL,"
    " FOREIGN KEY(tenant, project) REFERENCES projects(tenant, name)) WITHOUT ROWID, STRICT;"
    "PRAGMA application_id = 1399350119;"; /* "Shcg", so that file(1) and we know it */
static const char schema_2[] = ADD_TERMS("projects") ADD_TERMS("keys") "PRAGMA user_version = 2;";

static int run(struct control_db *db, const char *sql) {
    return err_from_sqlite(sqlite3_exec(db->sql, sql, NULL, NULL, NULL));
}

/* The first column of the first row, as a number. */
static int ask_number(struct control_db *db, const char *sql, int64_t *ret) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    int rc = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? ERR_NOTFOUND : err_from_sqlite(code);
    sqlite3_finalize(s);
    return rc;
}

static int open_file(const char *path, int flags, struct control_db **ret) {
    struct control_db *db = calloc(1, sizeof *db);
    if (!db)
        return ERR_NOMEM;
    int rc = err_from_sqlite(sqlite3_open_v2(path, &db->sql, flags | SQLITE_OPEN_NOFOLLOW, NULL));
    if (!rc) {
        sqlite3_busy_timeout(db->sql, BUSY_MS);
        sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        rc = run(db, "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;"
                     "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL;");
    }
    if (rc) {
        control_db_close(db);
        return rc;
    }
    *ret = db;
    return 0;
}

/* Version 1 -> 2, by whoever opens the file first. A second one finds it done. */
static int migrate(const char *path) {
    struct control_db *db;
    int64_t version = 0;
    int rc = open_file(path, SQLITE_OPEN_READWRITE, &db);
    if (rc)
        return rc;
    rc = run(db, "BEGIN IMMEDIATE");
    if (!rc)
        rc = ask_number(db, "PRAGMA user_version", &version);
    if (!rc && version == 1)
        rc = run(db, schema_2);
    rc = rc ? rc : run(db, "COMMIT");
    control_db_close(db); /* rolls back what is not committed */
    return rc;
}

int control_db_create(const char *path) {
    /* SQLite would make the file with the umask's mode. */
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    close(fd);
    struct control_db *db = NULL;
    int rc = open_file(path, SQLITE_OPEN_READWRITE, &db);
    if (!rc)
        rc = run(db, "BEGIN IMMEDIATE");
    if (!rc)
        rc = run(db, schema_1);
    if (!rc)
        rc = run(db, schema_2);
    if (!rc)
        rc = run(db, "COMMIT");
    control_db_close(db);
    if (rc)
        unlink(path);
    return rc;
}

int control_db_open(const char *path, bool write, struct control_db **ret) {
    struct control_db *db;
    if (access(path, F_OK))
        return err_from_errno(errno);
    int64_t version = 0;
    for (bool migrated = false;; migrated = true) {
        int rc = open_file(path, write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, &db);
        if (rc)
            return rc;
        rc = ask_number(db, "PRAGMA user_version", &version);
        if (!rc && version == SCHEMA_VERSION)
            break;
        control_db_close(db);
        if (rc)
            return rc;
        if (version != 1 || migrated)
            return version > SCHEMA_VERSION ? ERR_VERSION : ERR_CORRUPT;
        rc = migrate(path);
        if (rc)
            return rc == ERR_DENIED ? ERR_VERSION : rc;
    }
    *ret = db;
    return 0;
}

void control_db_close(struct control_db *db) {
    if (!db)
        return;
    sqlite3_close(db->sql);
    free(db);
}

/* ---- writing ---- */

static int bind_terms(sqlite3_stmt *s, int first, const struct control_terms *t) {
    struct limits_set limits = t->limits;
    int code = t->models_set ? sqlite3_bind_text(s, first, t->models, -1, SQLITE_TRANSIENT)
                             : sqlite3_bind_null(s, first);
    for (int i = 0; i < LIMITS_FIELDS && code == SQLITE_OK; i++) {
        uint64_t v = *limits_field_of(&limits, (size_t)i);
        code = v == LIMITS_INHERIT ? sqlite3_bind_null(s, first + 1 + i)
                                   : sqlite3_bind_int64(s, first + 1 + i, (int64_t)v);
    }
    return code;
}

/* Binds texts, numbers, hashes and terms in order ("t", "n", "h", "*"), steps once, finalizes. */
static int change(struct control_db *db, const char *sql, const char *kinds, ...) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL), at = 1;
    va_list ap;
    va_start(ap, kinds);
    for (; code == SQLITE_OK && *kinds; kinds++) {
        if (*kinds == 't')
            code = sqlite3_bind_text(s, at++, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
        else if (*kinds == 'n')
            code = sqlite3_bind_int64(s, at++, (int64_t)va_arg(ap, uint64_t));
        else if (*kinds == 'h')
            code = sqlite3_bind_blob(s, at++, va_arg(ap, const uint8_t *), APIKEY_HASH_BYTES,
                                     SQLITE_TRANSIENT);
        else {
            code = bind_terms(s, at, va_arg(ap, const struct control_terms *));
            at += TERM_COLUMNS;
        }
    }
    va_end(ap);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    sqlite3_finalize(s);
    return err_from_sqlite(code);
}

/* In a transaction: the project exists afterwards. */
static int need_project(struct control_db *db, const char *project, uint64_t now_us) {
    int64_t count = 0;
    int rc = change(db,
                    "INSERT INTO projects(tenant, name, created_us) VALUES(?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    "ttn", CONTROL_TENANT, project, now_us);
    if (!rc)
        rc = ask_number(db, "SELECT count(*) FROM projects", &count);
    return rc ? rc : count > LIMIT_PROJECTS ? ERR_FULL : 0;
}

static int end_transaction(struct control_db *db, int rc) {
    if (!rc)
        rc = run(db, "COMMIT");
    if (rc)
        run(db, "ROLLBACK");
    return rc;
}

int control_db_key_create(struct control_db *db, const char *id,
                          const uint8_t hash[APIKEY_HASH_BYTES], const char *project,
                          uint64_t created_us, const struct control_terms *terms) {
    int64_t count = 0;
    if (!control_name_valid(project) || !control_models_valid(terms->models))
        return ERR_USAGE;
    int rc = run(db, "BEGIN IMMEDIATE");
    if (rc)
        return rc;
    rc = ask_number(db, "SELECT count(*) FROM keys WHERE revoked_us = 0", &count);
    if (!rc && count >= LIMIT_KEYS)
        rc = ERR_FULL;
    if (!rc)
        rc = need_project(db, project, created_us);
    if (!rc)
        rc = change(db,
                    "INSERT INTO keys(id, hash, tenant, project, created_us, expires_us,"
                    " revoked_us, " TERMS ") VALUES(?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "thttnn*", id, hash, CONTROL_TENANT, project, created_us, terms->expires_us,
                    terms);
    return end_transaction(db, rc);
}

int control_db_key_add(struct control_db *db, const char *id, const uint8_t hash[APIKEY_HASH_BYTES],
                       const char *project, uint64_t created_us, uint64_t expires_us) {
    struct control_terms terms;
    control_terms_init(&terms);
    terms.expires_us = expires_us;
    return control_db_key_create(db, id, hash, project, created_us, &terms);
}

int control_db_key_update(struct control_db *db, const char *id,
                          const struct control_terms *terms) {
    if (!control_models_valid(terms->models))
        return ERR_USAGE;
    int rc = change(db,
                    "UPDATE keys SET expires_us = ?, (" TERMS ") = (?, ?, ?, ?, ?, ?, ?, ?)"
                    " WHERE id = ? AND revoked_us = 0",
                    "n*t", terms->expires_us, terms, id);
    if (!rc && sqlite3_changes(db->sql) == 0)
        rc = ERR_NOTFOUND;
    return rc;
}

int control_db_project_update(struct control_db *db, const char *project, uint64_t now_us,
                              const struct control_terms *terms) {
    if (!control_name_valid(project) || !control_models_valid(terms->models))
        return ERR_USAGE;
    int rc = run(db, "BEGIN IMMEDIATE");
    if (rc)
        return rc;
    rc = need_project(db, project, now_us);
    if (!rc)
        rc = change(db,
                    "UPDATE projects SET (" TERMS ") = (?, ?, ?, ?, ?, ?, ?, ?)"
                    " WHERE tenant = ? AND name = ?",
                    "*tt", terms, CONTROL_TENANT, project);
    return end_transaction(db, rc);
}

int control_db_key_revoke(struct control_db *db, const char *id, uint64_t now_us) {
    int rc =
        change(db, "UPDATE keys SET revoked_us = iif(revoked_us = 0, ?, revoked_us) WHERE id = ?",
               "nt", now_us, id);
    if (!rc && sqlite3_changes(db->sql) == 0)
        rc = ERR_NOTFOUND;
    return rc;
}

/* ---- reading ---- */

/* A column's text into a field; a text that does not fit was not written by us. */
static int column_text(sqlite3_stmt *s, int column, char *out, size_t room) {
    const unsigned char *text = sqlite3_column_text(s, column);
    int n = sqlite3_column_bytes(s, column);
    if (!text || n < 0 || (size_t)n >= room)
        return ERR_CORRUPT;
    memset(out, 0, room);
    memcpy(out, text, (size_t)n);
    return 0;
}

static int column_name(sqlite3_stmt *s, int column, char out[LIMIT_NAME]) {
    int rc = column_text(s, column, out, LIMIT_NAME);
    return rc ? rc : out[0] ? 0 : ERR_CORRUPT;
}

static int column_terms(sqlite3_stmt *s, int first, struct control_terms *t) {
    control_terms_init(t);
    t->models_set = sqlite3_column_type(s, first) != SQLITE_NULL;
    if (t->models_set &&
        (column_text(s, first, t->models, sizeof t->models) || !control_models_valid(t->models)))
        return ERR_CORRUPT;
    for (int i = 0; i < LIMITS_FIELDS; i++) {
        if (sqlite3_column_type(s, first + 1 + i) == SQLITE_NULL)
            continue;
        int64_t v = sqlite3_column_int64(s, first + 1 + i);
        if (v < 0 || (uint64_t)v > limits_fields[i].max)
            return ERR_CORRUPT;
        *limits_field_of(&t->limits, (size_t)i) = (uint64_t)v;
    }
    return 0;
}

#define KEY_COLUMNS                                                                                \
    "SELECT id, tenant, project, created_us, expires_us, revoked_us, hash, " TERMS " FROM keys"

static int take_key(sqlite3_stmt *s, struct control_key *k) {
    const void *hash = sqlite3_column_blob(s, 6);
    if (!hash || sqlite3_column_bytes(s, 6) != sizeof k->hash || column_name(s, 0, k->id) ||
        column_name(s, 1, k->tenant) || column_name(s, 2, k->project) ||
        column_terms(s, 7, &k->terms))
        return ERR_CORRUPT;
    memcpy(k->hash, hash, sizeof k->hash);
    k->created_us = (uint64_t)sqlite3_column_int64(s, 3);
    k->expires_us = k->terms.expires_us = (uint64_t)sqlite3_column_int64(s, 4);
    k->revoked_us = (uint64_t)sqlite3_column_int64(s, 5);
    return 0;
}

/* Runs fn over the rows of a statement that gives KEY_COLUMNS; finalizes it. */
static int each_key(sqlite3_stmt *s, int code, control_key_fn *fn, void *arg) {
    int rc = 0;
    while (!rc && code == SQLITE_OK) {
        struct control_key k;
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            break;
        code = SQLITE_OK;
        rc = take_key(s, &k);
        if (!rc)
            rc = fn(arg, &k);
    }
    sqlite3_finalize(s);
    return rc ? rc : err_from_sqlite(code);
}

int control_db_keys(struct control_db *db, const char *project, control_key_fn *fn, void *arg) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql,
                                  KEY_COLUMNS " WHERE ?1 IS NULL OR project = ?1"
                                              " ORDER BY created_us, id",
                                  -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(s, 1, project, -1, SQLITE_TRANSIENT);
    return each_key(s, code, fn, arg);
}

int control_db_each_live_key(struct control_db *db, uint64_t now_us, control_key_fn *fn,
                             void *arg) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql,
                                  KEY_COLUMNS " WHERE revoked_us = 0"
                                              " AND (expires_us = 0 OR expires_us > ?)"
                                              " ORDER BY id", /* BINARY: the order of strcmp */
                                  -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(s, 1, (int64_t)now_us);
    return each_key(s, code, fn, arg);
}

static int copy_key(void *arg, const struct control_key *key) {
    *(struct control_key *)arg = *key;
    return 0;
}

int control_db_key(struct control_db *db, const char *id, struct control_key *ret) {
    sqlite3_stmt *s = NULL;
    struct control_key found = {0};
    int code = sqlite3_prepare_v2(db->sql, KEY_COLUMNS " WHERE id = ?", -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(s, 1, id, -1, SQLITE_TRANSIENT);
    int rc = each_key(s, code, copy_key, &found);
    if (!rc && !found.id[0])
        rc = ERR_NOTFOUND;
    if (!rc)
        *ret = found;
    return rc;
}

int control_db_projects(struct control_db *db, control_project_fn *fn, void *arg) {
    sqlite3_stmt *s = NULL;
    int rc = 0, code = sqlite3_prepare_v2(db->sql,
                                          "SELECT tenant, name, created_us, " TERMS
                                          " FROM projects ORDER BY tenant, name",
                                          -1, &s, NULL);
    while (!rc && code == SQLITE_OK) {
        struct control_project p;
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            break;
        code = SQLITE_OK;
        p.created_us = (uint64_t)sqlite3_column_int64(s, 2);
        if (column_name(s, 0, p.tenant) || column_name(s, 1, p.name) ||
            column_terms(s, 3, &p.terms))
            rc = ERR_CORRUPT;
        else
            rc = fn(arg, &p);
    }
    sqlite3_finalize(s);
    return rc ? rc : err_from_sqlite(code);
}
