/*
 * Control data in SQLite. Runs in the command line (which writes) and in the supervisor (which reads,
 * at the start and when it is told to). Connections live for one piece of work.
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

#define SCHEMA_VERSION 1
#define BUSY_MS 5000

struct control_db {
    sqlite3 *sql;
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE projects(tenant TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER NOT NULL,"
    " PRIMARY KEY(tenant, name)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE keys(id TEXT PRIMARY KEY, hash BLOB NOT NULL, tenant TEXT NOT NULL,"
    " project TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
    " revoked_us INTEGER NOT NULL,"
    " FOREIGN KEY(tenant, project) REFERENCES projects(tenant, name)) WITHOUT ROWID, STRICT;"
    "PRAGMA application_id = 1399350119;" /* "Shcg", so that file(1) and we know it */
    "PRAGMA user_version = 1;"
    "COMMIT;";

static int translate(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_AGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return ERR_IO;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    default:
        return ERR_INTERNAL;
    }
}

static int run(struct control_db *db, const char *sql) {
    return translate(sqlite3_exec(db->sql, sql, NULL, NULL, NULL));
}

/* The first column of the first row, as a number. */
static int ask_number(struct control_db *db, const char *sql, int64_t *ret) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    int rc = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? ERR_NOTFOUND : translate(code);
    sqlite3_finalize(s);
    return rc;
}

static int open_file(const char *path, int flags, struct control_db **ret) {
    struct control_db *db = calloc(1, sizeof *db);
    if (!db)
        return ERR_NOMEM;
    int rc = translate(sqlite3_open_v2(path, &db->sql, flags | SQLITE_OPEN_NOFOLLOW, NULL));
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

int control_db_create(const char *path) {
    /* SQLite would make the file with the umask's mode. */
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    close(fd);
    struct control_db *db = NULL;
    int rc = open_file(path, SQLITE_OPEN_READWRITE, &db);
    if (!rc)
        rc = run(db, schema);
    control_db_close(db);
    if (rc)
        unlink(path);
    return rc;
}

int control_db_open(const char *path, bool write, struct control_db **ret) {
    struct control_db *db;
    if (access(path, F_OK))
        return err_from_errno(errno);
    int rc = open_file(path, write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, &db);
    if (rc)
        return rc;
    int64_t version = 0;
    rc = ask_number(db, "PRAGMA user_version", &version);
    if (!rc && version != SCHEMA_VERSION)
        rc = version > SCHEMA_VERSION ? ERR_VERSION : ERR_CORRUPT;
    if (rc) {
        control_db_close(db);
        return rc;
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

bool control_name_valid(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n < LIMIT_NAME && name[n] == 0 && name[0] != '.';
}

/* Binds texts and numbers in order ("t" text, "n" number, "h" hash), steps once, finalizes. */
static int change(struct control_db *db, const char *sql, const char *kinds, ...) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL);
    va_list ap;
    va_start(ap, kinds);
    for (int i = 1; code == SQLITE_OK && kinds[i - 1]; i++) {
        if (kinds[i - 1] == 't')
            code = sqlite3_bind_text(s, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
        else if (kinds[i - 1] == 'n')
            code = sqlite3_bind_int64(s, i, (int64_t)va_arg(ap, uint64_t));
        else
            code = sqlite3_bind_blob(s, i, va_arg(ap, const uint8_t *), APIKEY_HASH_BYTES,
                                     SQLITE_TRANSIENT);
    }
    va_end(ap);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    sqlite3_finalize(s);
    return translate(code);
}

int control_db_key_add(struct control_db *db, const char *id,
                       const uint8_t hash[APIKEY_HASH_BYTES], const char *project,
                       uint64_t created_us, uint64_t expires_us) {
    int64_t count = 0;
    if (!control_name_valid(project))
        return ERR_USAGE;
    int rc = run(db, "BEGIN IMMEDIATE");
    if (rc)
        return rc;
    rc = ask_number(db, "SELECT count(*) FROM keys WHERE revoked_us = 0", &count);
    if (!rc && count >= LIMIT_KEYS)
        rc = ERR_FULL;
    if (!rc)
        rc = change(db, "INSERT INTO projects VALUES(?, ?, ?) ON CONFLICT DO NOTHING", "ttn",
                    CONTROL_TENANT, project, created_us);
    if (!rc)
        rc = change(db, "INSERT INTO keys VALUES(?, ?, ?, ?, ?, ?, 0)", "thttnn", id, hash,
                    CONTROL_TENANT, project, created_us, expires_us);
    if (!rc)
        rc = run(db, "COMMIT");
    if (rc)
        run(db, "ROLLBACK");
    return rc;
}

int control_db_key_revoke(struct control_db *db, const char *id, uint64_t now_us) {
    int rc = change(db, "UPDATE keys SET revoked_us = iif(revoked_us = 0, ?, revoked_us) WHERE id = ?",
                    "nt", now_us, id);
    if (!rc && sqlite3_changes(db->sql) == 0)
        rc = ERR_NOTFOUND;
    return rc;
}

/* A column's text into a name field; a text that does not fit was not written by us. */
static int column_name(sqlite3_stmt *s, int column, char out[LIMIT_NAME]) {
    const unsigned char *text = sqlite3_column_text(s, column);
    int n = sqlite3_column_bytes(s, column);
    if (!text || n <= 0 || n >= LIMIT_NAME)
        return ERR_CORRUPT;
    memset(out, 0, LIMIT_NAME);
    memcpy(out, text, (size_t)n);
    return 0;
}

int control_db_keys(struct control_db *db, const char *project, control_key_fn *fn, void *arg) {
    sqlite3_stmt *s = NULL;
    int rc = 0;
    int code = sqlite3_prepare_v2(db->sql,
                                  "SELECT id, tenant, project, created_us, expires_us, revoked_us"
                                  " FROM keys WHERE ?1 IS NULL OR project = ?1"
                                  " ORDER BY created_us, id",
                                  -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(s, 1, project, -1, SQLITE_TRANSIENT);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            break;
        struct control_key k = {.created_us = (uint64_t)sqlite3_column_int64(s, 3),
                                .expires_us = (uint64_t)sqlite3_column_int64(s, 4),
                                .revoked_us = (uint64_t)sqlite3_column_int64(s, 5)};
        if (column_name(s, 0, k.id) || column_name(s, 1, k.tenant) || column_name(s, 2, k.project))
            rc = ERR_CORRUPT;
        else
            rc = fn(arg, &k);
        if (rc)
            break;
    }
    if (!rc)
        rc = translate(code);
    sqlite3_finalize(s);
    return rc;
}

static int take_live_key(sqlite3_stmt *s, struct snapshot_key *k) {
    memset(k, 0, sizeof *k);
    const void *hash = sqlite3_column_blob(s, 1);
    if (!hash || sqlite3_column_bytes(s, 1) != sizeof k->hash || column_name(s, 0, k->id) ||
        column_name(s, 2, k->tenant) || column_name(s, 3, k->project))
        return ERR_CORRUPT;
    memcpy(k->hash, hash, sizeof k->hash);
    k->expires_us = (uint64_t)sqlite3_column_int64(s, 4);
    return 0;
}

int control_db_live_keys(struct control_db *db, uint64_t now_us, struct snapshot_key **ret,
                         uint32_t *ret_count) {
    sqlite3_stmt *s = NULL;
    struct snapshot_key *keys = NULL;
    uint32_t n = 0, room = 0;
    int rc = 0;
    int code = sqlite3_prepare_v2(db->sql,
                                  "SELECT id, hash, tenant, project, expires_us FROM keys"
                                  " WHERE revoked_us = 0 AND (expires_us = 0 OR expires_us > ?)"
                                  " ORDER BY id", /* BINARY collation: the order of strcmp */
                                  -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(s, 1, (int64_t)now_us);
    while (!rc && (code == SQLITE_OK || code == SQLITE_ROW)) {
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            break;
        if (n == room) {
            room = room ? room * 2 : 64;
            struct snapshot_key *more = room <= 2 * LIMIT_KEYS
                                            ? reallocarray(keys, room, sizeof *keys)
                                            : NULL;
            if (!more) {
                rc = ERR_NOMEM;
                break;
            }
            keys = more;
        }
        rc = take_live_key(s, &keys[n++]);
    }
    if (!rc)
        rc = translate(code);
    sqlite3_finalize(s);
    if (rc) {
        free(keys);
        return rc;
    }
    *ret = keys;
    *ret_count = n;
    return 0;
}
