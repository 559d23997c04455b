/*
 * The next generation: a new file with a new generation key, in which every subject's secret that is
 * left is sealed to that key. Then the old file is destroyed, and with it the key that opened what
 * may still lie about of it: in a journal's blocks, on flash.
 *
 * The file is built beside the one in use, in pieces, by version: what changes meanwhile has a higher
 * one and comes again. When nothing is left the rest follows in one transaction, and the files are
 * swapped. Whoever dies before that has lost nothing but the work.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/err_sqlite.h"
#include "read/subject/keys_int.h"

#define SLICE 64 /* subjects in one piece: their secrets are opened and sealed, about 10 ms */

/* ---- is it time? ---- */

bool keys_renew_due(struct keys *k, uint64_t *ret_since_us) {
    char sql[128];
    uint64_t count = 0;
    if (k->renewing)
        return true;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM erasures WHERE generation >= %u", k->generation);
    if (keys_number(k, sql, &count) || !count)
        return false;
    snprintf(sql, sizeof sql, "SELECT min(time) FROM erasures WHERE generation >= %u", k->generation);
    return keys_number(k, sql, ret_since_us) == 0;
}

/* ---- the file ---- */

void keys_renew_stop(struct keys *k) {
    if (!sqlite3_get_autocommit(k->sql))
        keys_exec(k, "ROLLBACK");
    keys_exec(k, "DETACH next"); /* or it was never attached */
    keys_destroy_file(k->dir, KEYS_FILE_NEXT);
    if (k->open)
        sodium_memzero(&k->open->next, sizeof k->open->next);
    k->renewing = false;
}

/* No journal: a file that is not whole is thrown away. */
static int begin(struct keys *k) {
    struct generation *g = &k->open->next;
    int rc = keys_fresh_file(k->dir, KEYS_FILE_NEXT);
    char *text = rc ? NULL : sqlite3_mprintf("ATTACH '%q/" KEYS_FILE_NEXT "' AS next", k->dir);
    if (!rc)
        rc = text ? keys_exec(k, text) : ERR_NOMEM;
    sqlite3_free(text);
    if (rc)
        return rc;
    k->renewing = true;
    k->renewed = 0;
    g->number = k->generation + 1;
    crypto_box_keypair(g->public_key, g->secret);
    rc = keys_exec(k, "PRAGMA next.journal_mode = OFF; PRAGMA next.synchronous = OFF;"
                      "PRAGMA next.secure_delete = ON; PRAGMA next.mmap_size = 0; BEGIN");
    if (!rc)
        rc = keys_schema(k, "next");
    return rc ? rc : keys_exec(k, "COMMIT");
}

/* ---- subjects ---- */

enum column { ID, PUBLIC, SECRET, GENERATION, VERSION };

static int seal_anew(struct keys *k, sqlite3_stmt *row, sqlite3_stmt *put) {
    uint8_t sealed[KEYS_BOX_SEALED_BYTES], secret[KEYS_SECRET_BYTES];
    int rc = keys_column(row, SECRET, sealed, sizeof sealed);
    if (!rc)
        rc = keys_open_secret(k, (uint32_t)sqlite3_column_int64(row, GENERATION), sealed, secret);
    if (!rc)
        rc = keys_seal(sealed, secret, k->open->next.public_key);
    sodium_memzero(secret, sizeof secret);
    if (rc)
        return rc;
    sqlite3_bind_blob64(put, 1, sealed, sizeof sealed, SQLITE_TRANSIENT);
    sqlite3_bind_int64(put, 2, (int64_t)k->open->next.number);
    sqlite3_bind_value(put, 3, sqlite3_column_value(row, ID));
    rc = err_from_sqlite(sqlite3_step(put));
    sqlite3_reset(put);
    sqlite3_clear_bindings(put);
    return rc;
}

/* Erased ones are only taken out, if they were there before: they come last, in an order that says
 * nothing. */
static int one(struct keys *k, sqlite3_stmt *row, sqlite3_stmt *put, sqlite3_stmt *drop) {
    k->renewed = (uint64_t)sqlite3_column_int64(row, VERSION);
    if (sqlite3_column_type(row, SECRET) != SQLITE_NULL)
        return seal_anew(k, row, put);
    sqlite3_bind_value(drop, 1, sqlite3_column_value(row, ID));
    int rc = err_from_sqlite(sqlite3_step(drop));
    sqlite3_reset(drop);
    sqlite3_clear_bindings(drop);
    return rc;
}

static int prepare(struct keys *k, const char *sql, sqlite3_stmt **ret) {
    return err_from_sqlite(sqlite3_prepare_v2(k->sql, sql, -1, ret, NULL));
}

/* *ret_n: how many subjects there were. */
static int some_subjects(struct keys *k, unsigned *ret_n) {
    sqlite3_stmt *rows = NULL, *put = NULL, *drop = NULL;
    int code = SQLITE_DONE;
    *ret_n = 0;
    int rc = prepare(k, "SELECT id, public, secret, generation, version FROM main.subjects"
                        " WHERE version > ? ORDER BY version LIMIT ?", &rows);
    if (!rc)
        rc = prepare(k, "INSERT OR REPLACE INTO next.subjects SELECT n, id, public, ?1, ?2, pepper,"
                        " tag, name, state, version, created FROM main.subjects WHERE id = ?3", &put);
    if (!rc)
        rc = prepare(k, "DELETE FROM next.subjects WHERE id = ?", &drop);
    if (!rc) {
        sqlite3_bind_int64(rows, 1, (int64_t)k->renewed);
        sqlite3_bind_int64(rows, 2, SLICE);
        while (!rc && (code = sqlite3_step(rows)) == SQLITE_ROW) {
            rc = one(k, rows, put, drop);
            ++*ret_n;
        }
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(put);
    sqlite3_finalize(drop);
    return rc || code == SQLITE_DONE ? rc : err_from_sqlite(code);
}

static int put_erased(struct keys *k) {
    char sql[512];
    uint64_t n = 0;
    int rc = keys_number(k, "SELECT count(*) FROM main.subjects WHERE state = 3", &n);
    snprintf(sql, sizeof sql,
             "INSERT INTO next.subjects SELECT (SELECT coalesce(max(n), 0) FROM main.subjects) +"
             " row_number() OVER (ORDER BY id), id, public, NULL, %u, NULL, NULL, NULL, 3,"
             " %llu + row_number() OVER (ORDER BY id), 0 FROM main.subjects WHERE state = 3",
             k->open->next.number, (unsigned long long)k->version);
    if (!rc && n)
        rc = keys_exec(k, sql);
    if (!rc)
        k->version += n;
    return rc;
}

/* ---- the rest ---- */

static int put_generation(struct keys *k) {
    const struct generation *g = &k->open->next;
    uint8_t sealed[KEYS_BOX_SEALED_BYTES];
    sqlite3_stmt *s = NULL;
    int rc = keys_seal(sealed, g->secret, k->opening_public);
    if (!rc)
        rc = prepare(k, "INSERT INTO next.generations VALUES(?, ?, ?, ?)", &s);
    if (!rc) {
        sqlite3_bind_int64(s, 1, g->number);
        sqlite3_bind_blob64(s, 2, g->public_key, sizeof g->public_key, SQLITE_STATIC);
        sqlite3_bind_blob64(s, 3, sealed, sizeof sealed, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (int64_t)++k->version);
        rc = err_from_sqlite(sqlite3_step(s));
    }
    sqlite3_finalize(s);
    return rc;
}

static int put_rest(struct keys *k) {
    char sql[160];
    int rc = put_generation(k);
    for (size_t t = 0; !rc && keys_tables[t]; t++) {
        if (!strcmp(keys_tables[t], "subjects") || !strcmp(keys_tables[t], "generations"))
            continue;
        snprintf(sql, sizeof sql, "INSERT INTO next.%s SELECT * FROM main.%s", keys_tables[t],
                 keys_tables[t]);
        rc = keys_exec(k, sql);
    }
    return rc ? rc : put_erased(k);
}

/* The new file is whole: it becomes the one. Without a connection in between, for a moment. */
static int take_over(struct keys *k) {
    int rc = keys_exec(k, "DETACH next");
    if (rc)
        return rc;
    k->renewing = false;
    keys_replicas_rest(k);
    keys_disconnect(k);
    const int swapped = keys_swap(k->dir);
    CHECK(keys_connect(k) == 0); /* without a database the process is nothing; it starts anew */
    rc = keys_reload(k);
    return rc ? rc : swapped;
}

bool keys_renewing(const struct keys *k) {
    return k->renewing;
}

int keys_renew(struct keys *k) {
    unsigned n = 0;
    if (!k->open)
        return ERR_LOCKED;
    int rc = k->renewing ? 0 : begin(k);
    if (!rc)
        rc = keys_exec(k, "BEGIN");
    if (!rc)
        rc = some_subjects(k, &n);
    if (!rc && n < SLICE)
        rc = put_rest(k);
    if (!rc)
        rc = keys_exec(k, "COMMIT");
    if (!rc && n == SLICE)
        return ERR_AGAIN;
    if (!rc)
        rc = take_over(k);
    if (rc) {
        k->version = k->sure_version;
        keys_renew_stop(k);
    }
    return rc;
}
