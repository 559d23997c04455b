#ifndef PEOPLE_PEOPLE_H
#define PEOPLE_PEOPLE_H
/*
 * People, their grants, machine tokens and sessions: who may do what. doc/people.md is the
 * specification. Kept by the unlocked vault alone: loaded from sealed records (struct people_store,
 * read/subject/keys.h) at an unlock and freed at a lock.
 *
 * A change is written to the store before it is in force here; the caller has a transaction around
 * each call that takes `p` without const and says "writes", and when that transaction cannot be
 * committed he loads everything anew. Who may ask for a change is checked here, from the actor.
 *
 * Times named _us are wall time (expiry, quotas, codes), those named _ns monotonic (sessions).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "read/people/approval.h"
#include "read/people/session.h"

#define PEOPLE_MAX 256
#define PEOPLE_GRANTS_MAX 1024
#define PEOPLE_GRANTS_EACH 16
#define PEOPLE_TOKENS_MAX 512
#define PEOPLE_TOKENS_EACH 16
#define PEOPLE_RECORD_MAX 1400
#define PEOPLE_CELLS_DEFAULT 10000u /* an hour, of a reader's grant */
#define PEOPLE_OWNER 0u             /* the id of the user who ran init */
#define PEOPLE_OWNER_NAME "owner"
#define PEOPLE_NOBODY UINT32_MAX

/* Numbers are in records and messages. */
enum people_role {
    PEOPLE_ANALYST = 1, /* metadata only */
    PEOPLE_READER = 2,  /* may open, for a reason, so many cells an hour, of some projects */
    PEOPLE_ADMIN = 3,   /* keys, people, configuration; no opening */
    PEOPLE_ERASER = 4,
    PEOPLE_AUDITOR = 5, /* the ledger */
    PEOPLE_ROLE_LAST = 5
};
const char *people_role_name(enum people_role r); /* "reader"; NULL: there is none */
/* A mask of roles. */
#define PEOPLE_BIT(role) (1u << (role))

struct people;

struct people_store {
    void *arg;
    /* Writes record *n (0: a new one, whose number it gets); p NULL: it is forgotten. */
    int (*put)(void *arg, uint32_t *n, const uint8_t *p, size_t len);
};

int people_new(struct people **ret, const struct people_store *store);
void people_free(struct people *p); /* NULL-safe; wipes */
/* One record, as it was put; then, when all were, people_loaded. ERR_CORRUPT, ERR_LIMIT. */
int people_take(struct people *p, uint32_t n, const uint8_t *record, size_t len);
int people_loaded(struct people *p);

/* Nobody but the owner has the role of reader or admin, or ever had: he may do everything. */
bool people_one_person(const struct people *p);
/* Puts it on record that it began. ERR_EXISTS: that is there, or that it has ended. */
int people_begin_mode(struct people *p);
bool people_name_valid(const char *name);
/* "a,b", "*": names of projects, or all. */
bool people_projects_valid(const char *projects);
/* ERR_NOTFOUND. */
int people_find(const struct people *p, const char *name, uint32_t *ret_id);
const char *people_name(const struct people *p, uint32_t id); /* "" when there is none */

/* ---- who asks ---- */

struct people_actor {
    uint32_t id;                /* PEOPLE_NOBODY: nobody is known */
    uint8_t session[UUID_BYTES]; /* zero: the unix user who ran init */
};
void people_owner(struct people_actor *ret);
/* ERR_UNAUTHENTICATED: no such session, or it is over. */
int people_session(struct people *p, const uint8_t token[SESSION_TOKEN_BYTES], uint64_t now_ns,
                   struct people_actor *ret);
/* Is the actor what it was? ERR_UNAUTHENTICATED. */
int people_still(struct people *p, const struct people_actor *a, uint64_t now_ns);
/* Roles in force, as a mask. */
unsigned people_roles(const struct people *p, uint32_t id, uint64_t now_us);

/* ---- signing in ---- */

struct password {
    bool set, by_other; /* somebody else chose it */
    uint64_t ops, mem;
    uint8_t salt[16], hash[32]; /* Argon2id 1.3 */
};
/* What the password's hash is made with: the person's, or for an unknown name one like it; ops and mem
 * are never larger than PASSWORD_OPS_MAX, PASSWORD_MEM_MAX. */
#define PASSWORD_OPS 3ull
#define PASSWORD_MEM (64ull << 20)
#define PASSWORD_OPS_MAX 8ull
#define PASSWORD_MEM_MAX (256ull << 20)
void people_hashing(const struct people *p, const char *name, struct password *ret);
/* A salt for a new one. */
void people_new_password(struct password *ret);

/* `hash` was made from what was typed. ERR_UNAUTHENTICATED: name, password or code is wrong, and nothing
 * says which. *ret_totp: a code was needed, and right. Writes. */
int people_check(struct people *p, const char *name, const uint8_t hash[32], const char *code,
                 size_t code_len, uint64_t now_us, uint32_t *ret_id, bool *ret_totp);
/* Whose machine token is it? ERR_UNAUTHENTICATED. */
int people_check_token(const struct people *p, const uint8_t token[32], uint64_t now_us,
                       uint32_t *ret_id);
/* After one of these: a session. */
int people_sign_in(struct people *p, uint32_t id, uint64_t now_ns,
                   uint8_t ret_token[SESSION_TOKEN_BYTES], struct people_actor *ret);
void people_sign_out(struct people *p, const struct people_actor *a);

/* ---- changes: ERR_DENIED when the actor may not; ERR_NOTFOUND, ERR_EXISTS, ERR_LIMIT, ERR_SYNTAX ----
 * Each ends the sessions and requests of the person that it is about. */

/* Would that be allowed? Nothing is changed: the ledger has it first. Every change checks it again. */
int people_may_change(const struct people *p, const struct people_actor *a, uint64_t now_us);

/* Writes. `password` NULL: none yet. */
int people_add(struct people *p, const struct people_actor *a, const char *name,
               const struct password *password, uint64_t now_us);
int people_remove(struct people *p, const struct people_actor *a, uint32_t id, uint64_t now_us);

struct people_grant {
    uint8_t role;
    uint32_t cells; /* an hour; readers' */
    uint64_t expires_us; /* 0: never */
    const char *projects;
};
/* Writes. *ret_waits: it waits for a second admin, who confirms ret_digest. */
int people_grant(struct people *p, const struct people_actor *a, uint32_t id,
                 const struct people_grant *g, uint64_t now_us, bool *ret_waits,
                 uint8_t ret_digest[APPROVAL_DIGEST_BYTES]);
/* Writes. All grants of a role, or the one of that number (role 0). */
int people_ungrant(struct people *p, const struct people_actor *a, uint32_t id, uint8_t role,
                   uint32_t number, uint64_t now_us);
/* A grant that waits, by its digest; NULL: none. Borrowed until the next call that writes. */
struct grant;
const struct grant *people_waiting(const struct people *p, const uint8_t digest[32], uint64_t now_us);
struct people_confirmed {
    uint32_t person, cells;
    uint8_t role;
    char projects[LIMIT_GRANT_PROJECTS + 1];
};
/* Writes. Puts it in force, or ends it; *ret (may be NULL): what it was. ERR_DENIED: not an admin, or the
 * one who proposed it. */
int people_confirm(struct people *p, const struct people_actor *a, const uint8_t digest[32],
                   bool yes, uint64_t now_us, struct people_confirmed *ret);

/* Writes. One's own, after people_check of the old one (`own`), or as admin another's. */
int people_set_password(struct people *p, const struct people_actor *a, uint32_t id, bool own,
                        const struct password *password, uint64_t now_us);
/* Writes. Makes a secret that is in force after people_totp_confirm, which needs one code of it. */
int people_totp_make(struct people *p, const struct people_actor *a, uint32_t id, uint64_t now_us,
                     uint8_t ret_secret[20]);
int people_totp_confirm(struct people *p, const struct people_actor *a, uint32_t id,
                        const char *code, size_t len, uint64_t now_us);
int people_totp_remove(struct people *p, const struct people_actor *a, uint32_t id, uint64_t now_us);
/* Writes. One's own, or as admin another's. */
int people_token_make(struct people *p, const struct people_actor *a, uint32_t id, const char *label,
                      uint64_t expires_us, uint64_t now_us, uint8_t ret_token[32]);
int people_token_revoke(struct people *p, const struct people_actor *a, uint32_t id,
                        const char *label, uint64_t now_us);

/* ---- opening ---- */

struct people_opener {
    uint32_t id;
    bool unlimited;      /* one-person mode: everything, and nobody counts */
    uint64_t cells;      /* an hour: the largest of the grants */
    struct buf projects; /* of all of them, "a,b,c", with a NUL; "*": all */
};
/* ERR_DENIED: the actor is no reader. opener_done after 0. */
int people_opener(const struct people *p, const struct people_actor *a, uint64_t now_us,
                  struct people_opener *ret);
void opener_done(struct people_opener *o);
bool opener_may(const struct people_opener *o, const char *project);

/* How many cells are left this hour. */
uint64_t people_left(struct people *p, const struct people_opener *o, uint64_t now_us);
/* How many of them were opened without anybody's approval. */
uint64_t people_alone(struct people *p, uint32_t id, uint64_t now_us);
/* Writes at times. ERR_QUOTA: that would be too many, and nothing is charged. */
int people_charge(struct people *p, const struct people_opener *o, uint32_t cells, bool approved,
                  uint64_t now_us);

struct approvals *people_approvals(struct people *p);

/* ---- for people to read: JSON objects, appended ---- */
int people_print_person(struct people *p, uint32_t id, uint64_t now_us, struct buf *out);
int people_print_actor(struct people *p, const struct people_actor *a, uint64_t now_us,
                       uint64_t now_ns, struct buf *out);
/* The ids of everybody, from *at = 0; false at the end. */
bool people_next(const struct people *p, size_t *at, uint32_t *ret_id);
/* Grants that wait, from *at = 0; false at the end. */
bool people_next_waiting(const struct people *p, size_t *at, uint64_t now_us, const struct grant **ret);
int people_print_waiting(const struct people *p, const struct grant *g, struct buf *out);
int people_print_approval(const struct people *p, const struct approval *a, uint64_t now_ns,
                          struct buf *out);

#endif
