/*
 * Replicas: whole copies of vault.db in other folders, so that the keys outlive the disk. A replica
 * is an ordinary vault.db: copying it to an empty vault folder restores the keys.
 *
 * Each is attached to the vault's own connection and gets what has a higher version than it knows,
 * in transactions of its own: a replica whose disk fails cannot fail a change of the vault. A
 * replica that belongs to another installation, or that knows more than vault.db does (then an old
 * vault.db was put back), is left alone.
 *
 * A replica of an older generation is not brought up to date but made anew beside itself, and
 * swapped, as vault.db was: its old file is destroyed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/err_sqlite.h"
#include "read/subject/keys_int.h"

#define SLICE 512    /* rows of a table in one transaction */
#define COPY_MS 200  /* between two copies, so that changes share them */
#define LOOK_MS 5000 /* between looks at one that is missing, or has everything */
#define SQL_BYTES 640
#define PATH_BYTES 4096

const char *const keys_tables[] = {"opening",     "generations", "peppers",  "fingerprints",
                                   "audit",       "writers",     "holds",    "erasures",
                                   "checkpoints", "people",      "reports",  "subjects",
                                   NULL};

int keys_replica_add(struct keys *k, const char *dir) {
    if (k->replica_count == KEYS_REPLICAS_MAX || strlen(dir) + sizeof "/" KEYS_FILE > PATH_BYTES)
        return ERR_LIMIT;
    struct replica *r = &k->replicas[k->replica_count];
    *r = (struct replica){.dir = strdup(dir)};
    if (!r->dir)
        return ERR_NOMEM;
    k->replica_count++;
    return 0;
}

void keys_replica_check_first(struct keys *k) {
    k->check_first = true;
}

bool keys_replica_unchecked(const struct keys *k) {
    for (size_t i = 0; i < k->replica_count; i++)
        if (k->replicas[i].attached && k->replicas[i].unchecked)
            return true;
    return false;
}

void keys_replica_checked(struct keys *k) {
    for (size_t i = 0; i < k->replica_count; i++) {
        k->replicas[i].unchecked = false;
        k->replicas[i].looked_ns = 0;
    }
}

const char *keys_replica_dir(const struct keys *k, size_t i) {
    return k->replicas[i].dir;
}

size_t keys_replica_count(const struct keys *k) {
    return k->replica_count;
}

enum keys_replica_state keys_replica_state(const struct keys *k, size_t i) {
    const struct replica *r = &k->replicas[i];
    return r->state == KEYS_REPLICA_CURRENT && r->version < k->sure_version ? KEYS_REPLICA_BEHIND
                                                                            : r->state;
}

static unsigned index_of(const struct keys *k, const struct replica *r) {
    return (unsigned)(r - k->replicas);
}

static void detach(struct keys *k, struct replica *r) {
    char sql[64];
    if (!r->attached)
        return;
    snprintf(sql, sizeof sql, "DETACH r%u", index_of(k, r));
    keys_exec(k, sql);
    r->attached = r->renewing = false;
}

void keys_replicas_rest(struct keys *k) {
    for (size_t i = 0; i < k->replica_count; i++) {
        struct replica *r = &k->replicas[i];
        detach(k, r);
        r->looked_ns = 0;
        r->more = false;
        if (r->state == KEYS_REPLICA_CURRENT)
            r->state = KEYS_REPLICA_BEHIND;
    }
}

int keys_checkpoint_of(struct keys *k, const char *name, char ret_note[KEYS_NOTE_MAX],
                       size_t *ret_len) {
    char sql[96];
    sqlite3_stmt *s = NULL;
    snprintf(sql, sizeof sql, "SELECT note FROM %s.checkpoints", name);
    int rc = err_from_sqlite(sqlite3_prepare_v2(k->sql, sql, -1, &s, NULL));
    int code = rc ? SQLITE_DONE : sqlite3_step(s);
    if (!rc && code != SQLITE_ROW)
        rc = code == SQLITE_DONE ? ERR_AGAIN : err_from_sqlite(code);
    const void *note = rc ? NULL : sqlite3_column_blob(s, 0);
    const int len = note ? sqlite3_column_bytes(s, 0) : 0;
    if (!rc && (len <= 0 || len > KEYS_NOTE_MAX))
        rc = ERR_CORRUPT;
    if (!rc) {
        memcpy(ret_note, note, (size_t)len);
        *ret_len = (size_t)len;
    }
    sqlite3_finalize(s);
    return rc;
}

/* The highest version that the replica knows, over all tables. */
static int version_of(struct keys *k, unsigned i, uint64_t *ret) {
    uint64_t one;
    char sql[SQL_BYTES];
    int rc = 0;
    *ret = 0;
    for (size_t t = 0; !rc && keys_tables[t]; t++) {
        snprintf(sql, sizeof sql, "SELECT coalesce(max(version), 0) FROM r%u.%s", i,
                 keys_tables[t]);
        rc = keys_number(k, sql, &one);
        if (!rc && one > *ret)
            *ret = one;
    }
    return rc;
}

/* Ours, and not ahead of us? An empty database becomes ours. */
static int examine(struct keys *k, struct replica *r, uint64_t *ret_generation) {
    const unsigned i = index_of(k, r);
    char sql[SQL_BYTES], name[8];
    uint64_t count, ours;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM r%u.sqlite_schema", i);
    int rc = keys_number(k, sql, &count);
    *ret_generation = 0;
    if (!rc && count == 0) {
        snprintf(name, sizeof name, "r%u", i);
        rc = keys_exec(k, "BEGIN");
        if (!rc)
            rc = keys_schema(k, name);
        return rc ? rc : keys_exec(k, "COMMIT");
    }
    /* A copy that was begun may have no row yet; one with a row has the opening key first. */
    snprintf(sql, sizeof sql,
             "SELECT NOT EXISTS (SELECT 1 FROM r%u.opening) OR (SELECT public FROM r%u.opening) ="
             " (SELECT public FROM main.opening)",
             i, i);
    if (!rc)
        rc = keys_number(k, sql, &ours);
    snprintf(name, sizeof name, "r%u", i);
    if (!rc && ours && keys_outdated(k, name)) /* a copy by an earlier version */
        rc = keys_schema(k, name);
    if (!rc && ours)
        rc = version_of(k, i, &r->version);
    if (!rc && ours && (rc = keys_checkpoint_of(k, name, r->note, &r->note_len)) == ERR_AGAIN)
        rc = 0;
    snprintf(sql, sizeof sql, "SELECT coalesce(max(n), 0) FROM r%u.generations", i);
    if (!rc)
        rc = keys_number(k, sql, ret_generation);
    if (rc)
        return rc;
    r->state = !ours                          ? KEYS_REPLICA_FOREIGN
               : r->version > k->sure_version || *ret_generation > k->generation
                   ? KEYS_REPLICA_NEWER
                   : KEYS_REPLICA_BEHIND;
    r->unchecked = k->check_first && ours;
    return 0;
}

/* SQLite makes no file that it attaches to a connection like ours. */
static int make_file(const struct replica *r) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/" KEYS_FILE, r->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    close(fd);
    return 0;
}

static int attach_file(struct keys *k, struct replica *r, const char *file, const char *mode) {
    const unsigned i = index_of(k, r);
    char sql[SQL_BYTES];
    char *text = sqlite3_mprintf("ATTACH '%q/%s' AS r%u", r->dir, file, i);
    int rc = text ? keys_exec(k, text) : ERR_NOMEM;
    sqlite3_free(text);
    if (rc)
        return rc;
    r->attached = true;
    snprintf(sql, sizeof sql,
             "PRAGMA r%u.journal_mode = %s; PRAGMA r%u.synchronous = FULL;"
             "PRAGMA r%u.secure_delete = ON; PRAGMA r%u.mmap_size = 0",
             i, mode, i, i, i);
    return keys_exec(k, sql);
}

/* In place of one of an older generation a whole new one; without a journal, for one that is not
 * whole is thrown away. */
static int begin_anew(struct keys *k, struct replica *r) {
    char name[8];
    detach(k, r);
    int rc = keys_fresh_file(r->dir, KEYS_FILE_NEXT);
    if (!rc)
        rc = attach_file(k, r, KEYS_FILE_NEXT, "OFF");
    if (rc)
        return rc;
    r->renewing = true;
    r->version = 0;
    snprintf(name, sizeof name, "r%u", index_of(k, r));
    rc = keys_exec(k, "BEGIN");
    if (!rc)
        rc = keys_schema(k, name);
    return rc ? rc : keys_exec(k, "COMMIT");
}

static int attach(struct keys *k, struct replica *r) {
    uint64_t generation;
    int rc = make_file(r);
    if (!rc)
        rc = keys_tidy(r->dir);
    if (!rc)
        rc = attach_file(k, r, KEYS_FILE, "TRUNCATE");
    r->state = KEYS_REPLICA_BEHIND;
    r->version = r->note_len = 0;
    if (!rc)
        rc = examine(k, r, &generation);
    r->old = generation && generation < k->generation;
    return rc;
}

/* What was made anew takes the place of the old one. */
static int take_place(struct keys *k, struct replica *r) {
    detach(k, r);
    int rc = keys_swap(r->dir);
    if (!rc)
        rc = attach(k, r);
    r->unchecked = false; /* we wrote it just now */
    return rc;
}

/* One slice of each table; *ret_more: one of them was full. */
static int copy_slices(struct keys *k, struct replica *r, bool *ret_more) {
    const unsigned i = index_of(k, r);
    char sql[SQL_BYTES];
    *ret_more = false;
    int rc = keys_exec(k, "BEGIN");
    for (size_t t = 0; !rc && keys_tables[t]; t++) {
        snprintf(sql, sizeof sql,
                 "INSERT OR REPLACE INTO r%u.%s SELECT * FROM main.%s WHERE version >"
                 " (SELECT coalesce(max(version), 0) FROM r%u.%s) ORDER BY version LIMIT %d",
                 i, keys_tables[t], keys_tables[t], i, keys_tables[t], SLICE);
        rc = keys_exec(k, sql);
        *ret_more = *ret_more || sqlite3_changes(k->sql) >= SLICE;
    }
    return rc ? rc : keys_exec(k, "COMMIT");
}

static bool left_alone(const struct replica *r) {
    return r->state == KEYS_REPLICA_FOREIGN || r->state == KEYS_REPLICA_NEWER;
}

static bool lacks(const struct keys *k, const struct replica *r) {
    return r->attached && r->version < k->sure_version;
}

static int step(struct keys *k, struct replica *r) {
    char path[PATH_BYTES], name[8];
    snprintf(name, sizeof name, "r%u", index_of(k, r));
    int rc = r->attached ? 0 : attach(k, r);
    r->more = false;
    if (rc || left_alone(r) || r->unchecked)
        return rc;
    if (r->old && !r->renewing)
        rc = begin_anew(k, r);
    if (rc)
        return rc;
    /* A file that was deleted goes on being written to, and nobody would ever read it. */
    snprintf(path, sizeof path, "%s/%s", r->dir, r->renewing ? KEYS_FILE_NEXT : KEYS_FILE);
    if (access(path, F_OK))
        return ERR_NOTFOUND;
    rc = copy_slices(k, r, &r->more);
    if (!rc && !r->more && r->renewing)
        rc = take_place(k, r);
    if (!rc && !r->more) {
        r->version = k->sure_version;
        r->state = KEYS_REPLICA_CURRENT;
        rc = keys_checkpoint_of(k, name, r->note, &r->note_len);
        rc = rc == ERR_AGAIN ? 0 : rc;
    }
    return rc;
}

/* How long ago the last look must be depends on what there is to do. */
static uint64_t due_ns(const struct keys *k, const struct replica *r) {
    unsigned ms = r->more ? 0 : lacks(k, r) ? COPY_MS : LOOK_MS;
    return r->looked_ns ? r->looked_ns + ms * 1000000ull : 0;
}

static void look(struct keys *k, struct replica *r, uint64_t now_ns) {
    r->looked_ns = now_ns;
    int rc = step(k, r);
    if (rc && !sqlite3_get_autocommit(k->sql))
        keys_exec(k, "ROLLBACK");
    if (rc || left_alone(r))
        detach(k, r);
    if (rc) {
        r->state = KEYS_REPLICA_MISSING;
        r->note_len = 0;
    }
}

int keys_replica_step(struct keys *k, uint64_t now_ns) {
    int ms = -1;
    for (size_t i = 0; i < k->replica_count; i++) {
        struct replica *r = &k->replicas[i];
        if (left_alone(r))
            continue;
        if (now_ns >= due_ns(k, r))
            look(k, r, now_ns);
        const uint64_t due = due_ns(k, r);
        const int wait = due > now_ns ? (int)((due - now_ns) / 1000000u) + 1 : 0;
        ms = ms < 0 || wait < ms ? wait : ms;
    }
    return ms;
}

void keys_replica_look(struct keys *k, uint64_t now_ns) {
    for (size_t i = 0; i < k->replica_count; i++)
        if (!left_alone(&k->replicas[i]))
            look(k, &k->replicas[i], now_ns);
}
