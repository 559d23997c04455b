#ifndef CONTROL_CONTROL_DB_H
#define CONTROL_CONTROL_DB_H
/*
 * Control data: projects and API keys, in SQLite (D/control/control.db). The command line writes
 * it, the supervisor reads it and publishes what the gateways need (control/publish.h). No secret
 * of a key is in it, only its SHA-256. Deleted bytes are overwritten (secure_delete).
 *
 * A file of schema version 1 (before limits) is brought to version 2 when it is opened.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "control/limits.h"
#include "control/snapshot.h"

#define CONTROL_DB_PATH "control/control.db" /* under the installation's folder */
#define CONTROL_TENANT "default"             /* the one tenant, until there are more */
#define CONTROL_PROJECT "default"            /* where keys go that name no project */
#define CONTROL_MODELS 4096                  /* room for a list of allowed models, with NUL */

struct control_db;

/* What a key or a project may do. */
struct control_terms {
    uint64_t expires_us;         /* of a key; 0 = never */
    bool models_set;             /* false: as the configuration says */
    char models[CONTROL_MODELS]; /* "a,b*"; "" = every model */
    struct limits_set limits;    /* LIMITS_INHERIT = as the configuration says, 0 = no limit */
};
void control_terms_init(struct control_terms *t); /* nothing said */
/* Is it "a,b*": at most LIMIT_ALLOWED_MODELS names, a star only at the end of one? */
bool control_models_valid(const char *models);

struct control_key {
    char id[LIMIT_NAME];
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    uint64_t created_us;
    uint64_t expires_us; /* 0 = never; the same as terms.expires_us */
    uint64_t revoked_us; /* 0 = not */
    uint8_t hash[APIKEY_HASH_BYTES];
    struct control_terms terms;
};
struct control_project {
    char tenant[LIMIT_NAME];
    char name[LIMIT_NAME];
    uint64_t created_us;
    struct control_terms terms; /* expires_us is 0 */
};

/* A new file (0600) with the tables and the default project. ERR_EXISTS. */
int control_db_create(const char *path);
/* ERR_NOTFOUND, ERR_CORRUPT (no such database), ERR_VERSION (made by a newer Safehouse, or by an
 * older one and it cannot be written), ERR_IO. */
int control_db_open(const char *path, bool write, struct control_db **ret);
void control_db_close(struct control_db *db); /* NULL-safe */

/* Letters, digits, '.', '_' and '-', 1..63 of them: it goes into clear columns and file names. */
bool control_name_valid(const char *name);

/* A new key of this project, which is made if it does not exist. ERR_USAGE: no valid project name
 * or list of models, ERR_FULL: LIMIT_KEYS or LIMIT_PROJECTS reached. */
int control_db_key_create(struct control_db *db, const char *id,
                          const uint8_t hash[APIKEY_HASH_BYTES], const char *project,
                          uint64_t created_us, const struct control_terms *terms);
/* The same, with nothing said but its expiry. */
int control_db_key_add(struct control_db *db, const char *id, const uint8_t hash[APIKEY_HASH_BYTES],
                       const char *project, uint64_t created_us, uint64_t expires_us);
/* Replaces what was said. ERR_NOTFOUND: no such key, or it was revoked. */
int control_db_key_update(struct control_db *db, const char *id, const struct control_terms *terms);
/* The same for a project, which is made if it does not exist. */
int control_db_project_update(struct control_db *db, const char *project, uint64_t now_us,
                              const struct control_terms *terms);
/* ERR_NOTFOUND; revoking a revoked key again is fine and keeps the first time. */
int control_db_key_revoke(struct control_db *db, const char *id, uint64_t now_us);

/* Calls fn for each key, oldest first, of one project or (NULL) of all. Nonzero ends it. */
typedef int control_key_fn(void *arg, const struct control_key *key);
int control_db_keys(struct control_db *db, const char *project, control_key_fn *fn, void *arg);
/* ERR_NOTFOUND. */
int control_db_key(struct control_db *db, const char *id, struct control_key *ret);
/* The same for keys neither revoked nor expired at now_us, by id (strcmp's order). */
int control_db_each_live_key(struct control_db *db, uint64_t now_us, control_key_fn *fn, void *arg);
/* Calls fn for each project, by name. */
typedef int control_project_fn(void *arg, const struct control_project *project);
int control_db_projects(struct control_db *db, control_project_fn *fn, void *arg);

#endif
