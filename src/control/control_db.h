#ifndef CONTROL_CONTROL_DB_H
#define CONTROL_CONTROL_DB_H
/*
 * Control data: projects and API keys, in SQLite (D/control/control.db). The command line writes it,
 * the supervisor reads it and publishes what the gateways need (control/snapshot.h). No secret of a
 * key is in it, only its SHA-256. Deleted bytes are overwritten (secure_delete).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "control/snapshot.h"

#define CONTROL_DB_PATH "control/control.db" /* under the installation's folder */
#define CONTROL_TENANT "default"             /* the one tenant, until there are more */
#define CONTROL_PROJECT "default"            /* where keys go that name no project */

struct control_db;

struct control_key {
    char id[LIMIT_NAME];
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    uint64_t created_us;
    uint64_t expires_us; /* 0 = never */
    uint64_t revoked_us; /* 0 = not */
};

/* A new file (0600) with the tables and the default project. ERR_EXISTS. */
int control_db_create(const char *path);
/* ERR_NOTFOUND, ERR_CORRUPT (no such database), ERR_VERSION (made by a newer Safehouse), ERR_IO. */
int control_db_open(const char *path, bool write, struct control_db **ret);
void control_db_close(struct control_db *db); /* NULL-safe */

/* Letters, digits, '.', '_' and '-', 1..63 of them: it goes into clear columns and file names. */
bool control_name_valid(const char *name);

/* A new key of this project, which is made if it does not exist. ERR_USAGE: no valid project name,
 * ERR_FULL: LIMIT_KEYS reached. */
int control_db_key_add(struct control_db *db, const char *id,
                       const uint8_t hash[APIKEY_HASH_BYTES], const char *project,
                       uint64_t created_us, uint64_t expires_us);
/* ERR_NOTFOUND; revoking a revoked key again is fine and keeps the first time. */
int control_db_key_revoke(struct control_db *db, const char *id, uint64_t now_us);

/* Calls fn for each key, oldest first, of one project or (NULL) of all. A nonzero return ends it. */
typedef int control_key_fn(void *arg, const struct control_key *key);
int control_db_keys(struct control_db *db, const char *project, control_key_fn *fn, void *arg);

/* What a snapshot takes: keys neither revoked nor expired at now_us, sorted by id. Returns-owned
 * (free); NULL when there are none. */
int control_db_live_keys(struct control_db *db, uint64_t now_us, struct snapshot_key **ret,
                         uint32_t *ret_count);

#endif
