#ifndef SUBJECT_KEYS_H
#define SUBJECT_KEYS_H
/*
 * The vault's keys: opening key, generation key, subjects, peppers, writers, and their replicas;
 * one SQLite file, DIR/vault.db. doc/keys.md says what each is for and how long it lives.
 *
 * On disk every secret is sealed: the opening key's by the passphrase, all others to its public
 * half (subjects' to the generation's). Unlocked, the opening key, the generations' secrets, the
 * pepper and the fingerprint key are in guarded memory; keys_lock wipes them. What needs them says ERR_LOCKED.
 *
 * Changes are made between keys_begin and keys_commit; only after the commit may an answer leave.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "record/subject.h"

#define KEYS_TAG_BYTES 32
#define KEYS_PUBLIC_BYTES 32
#define KEYS_SECRET_BYTES 32
#define KEYS_REPLICAS_MAX 8
#define KEYS_POOL_UNASSIGNED_MAX 262144 /* pairs given out that nobody got */
#define KEYS_NAME_SEALED_MAX (SUBJECT_NAME_MAX + 48)

struct keys;

/* Makes everything new, durable. ERR_EXISTS when there is a vault.db. */
int keys_create(const char *dir, const void *passphrase, size_t len);
/* ERR_NOTFOUND, ERR_CORRUPT, ERR_VERSION, ERR_AGAIN (another process has it). Locked. */
int keys_open(const char *dir, struct keys **ret);
void keys_close(struct keys *k); /* NULL-safe; wipes */

bool keys_locked(const struct keys *k);
/* Takes about half a second. ERR_UNAUTHENTICATED: wrong passphrase. ERR_CORRUPT: the passphrase is
 * right and something that was sealed to the opening key is not what it should be. */
int keys_unlock(struct keys *k, const void *passphrase, size_t len);
void keys_lock(struct keys *k);
void keys_opening_public(const struct keys *k, uint8_t out[KEYS_PUBLIC_BYTES]);

int keys_begin(struct keys *k);
/* After an error everything since keys_begin is undone. */
int keys_commit(struct keys *k);
void keys_rollback(struct keys *k);

/* ---- lending to a sealer ---- */

struct keys_loan {
    uint32_t writer, pepper_number, fingerprint_number;
    uint8_t pepper[32];
    uint8_t mac[KEYS_SECRET_BYTES];
    uint8_t fingerprint[KEYS_SECRET_BYTES];
};
/* A new writer's MAC key, and pepper and fingerprint key: the lasting ones, or while locked
 * temporary ones of this process. The caller wipes *ret. */
int keys_lend(struct keys *k, uint64_t sealer, struct keys_loan *ret);
/* The same writer's key again, with the lasting pepper and fingerprint key. ERR_LOCKED. */
int keys_lend_again(struct keys *k, uint32_t writer, struct keys_loan *ret);
/* A writer's MAC key. ERR_LOCKED, ERR_NOTFOUND, ERR_CORRUPT. */
int keys_writer(struct keys *k, uint32_t writer, uint8_t ret_mac[KEYS_SECRET_BYTES]);

/* A fingerprint key that was lent at any time. ERR_LOCKED, ERR_NOTFOUND, ERR_CORRUPT. The caller
 * wipes. */
int keys_fingerprint(struct keys *k, uint32_t number, uint8_t ret_key[KEYS_SECRET_BYTES]);

/* ---- subjects ---- */

/* As a sealer asks: a tag under a numbered pepper, and the name sealed to the opening key. */
struct keys_question {
    uint32_t pepper_number;
    const uint8_t *tag;
    const uint8_t *name; /* sealed */
    size_t name_len;
};
struct keys_subject {
    uint8_t id[UUID_BYTES];
    uint8_t public_key[KEYS_PUBLIC_BYTES];
};
/* The person's subject, made if need be. ERR_CORRUPT: the name does not open, or is not the tag's.
 */
int keys_subject(struct keys *k, const struct keys_question *q, struct keys_subject *ret);
/* A pair for later. ERR_FULL: too many were never assigned. */
int keys_pool(struct keys *k, struct keys_subject *ret);
/* This pair is that person's, who may have others as well. Again with the same question: the same
 * answer. ERR_NOTFOUND: no such pair; ERR_EXISTS: it is another person's. */
int keys_assign(struct keys *k, const uint8_t id[UUID_BYTES], const struct keys_question *q,
                struct keys_subject *ret);
/* Gives up to `max` subjects whose lasting tag is not known yet theirs, in a transaction of the
 * caller. *ret_left: more are left. ERR_LOCKED. */
int keys_join(struct keys *k, unsigned max, bool *ret_left);
/* The pair of a subject. ERR_LOCKED, ERR_NOTFOUND, ERR_ERASED, ERR_CORRUPT. The caller wipes. */
int keys_subject_secret(struct keys *k, const uint8_t id[UUID_BYTES],
                        uint8_t ret_public[KEYS_PUBLIC_BYTES],
                        uint8_t ret_secret[KEYS_SECRET_BYTES]);

struct keys_counts {
    uint64_t subjects;   /* ids that are somebody's */
    uint64_t pool;       /* pairs that are nobody's yet */
    uint64_t pending;    /* of subjects: the lasting tag is not known yet */
    uint64_t unreadable; /* of subjects: the name does not open */
    uint32_t generation;
};
void keys_counts(const struct keys *k, struct keys_counts *ret);

/* ---- replicas: copies of vault.db in other folders ---- */

enum keys_replica_state {
    KEYS_REPLICA_BEHIND, /* being copied */
    KEYS_REPLICA_CURRENT,
    KEYS_REPLICA_MISSING, /* its folder or disk does not answer; tried again */
    KEYS_REPLICA_FOREIGN, /* of another installation: left alone */
    KEYS_REPLICA_NEWER,   /* knows more than vault.db, which was put back: left alone */
};
/* ERR_LIMIT, ERR_NOMEM. */
int keys_replica_add(struct keys *k, const char *dir);
size_t keys_replica_count(const struct keys *k);
enum keys_replica_state keys_replica_state(const struct keys *k, size_t i);
/* A bounded piece of copying, outside of a transaction. Returns in how many ms to come again, at
 * the latest when something was committed; -1: only then. `now_ns` is monotonic time. */
int keys_replica_step(struct keys *k, uint64_t now_ns);

#endif
