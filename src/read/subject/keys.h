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

#include "base/buf.h"
#include "base/uuid.h"
#include "record/subject.h"

#define KEYS_TAG_BYTES 32
#define KEYS_PUBLIC_BYTES 32
#define KEYS_SECRET_BYTES 32
#define KEYS_REPLICAS_MAX 8
#define KEYS_POOL_UNASSIGNED_MAX 262144 /* pairs given out that nobody got */
#define KEYS_NAME_SEALED_MAX (SUBJECT_NAME_MAX + 48)

struct keys;

/* Makes everything new, durable. Hashing the passphrase takes memory_mib, at each unlock too: see
 * LIMIT_PASSPHRASE_MIB. ERR_EXISTS when there is a vault.db; ERR_USAGE: too little or too much memory. */
int keys_create(const char *dir, const void *passphrase, size_t len, unsigned memory_mib);
/* ERR_NOTFOUND, ERR_CORRUPT, ERR_VERSION, ERR_AGAIN (another process has it). Locked. */
int keys_open(const char *dir, struct keys **ret);
void keys_close(struct keys *k); /* NULL-safe; wipes */

bool keys_locked(const struct keys *k);
/* Takes about half a second with LIMIT_PASSPHRASE_MIB. ERR_UNAUTHENTICATED: wrong passphrase. ERR_CORRUPT: the passphrase is
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
    bool fresh; /* pepper and fingerprint key are temporary ones that were made for this loan */
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

/* ---- the ledger's readers ---- */

/* The audit key: parts of the ledger's entries are sealed to it, locked or not. */
void keys_audit_public(const struct keys *k, uint8_t out[KEYS_PUBLIC_BYTES]);
/* ERR_LOCKED, ERR_CORRUPT. The caller wipes. */
int keys_audit_secret(struct keys *k, uint8_t ret_secret[KEYS_SECRET_BYTES]);

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

/* ---- one person: find, hold, erase ---- */

/* The ids of one person, a row of KEYS_ID_ROW bytes each: 16 id | u64 when it was made (µs, 0: not
 * known); the oldest first. `tag` is the person's, under the lasting pepper. */
#define KEYS_ID_ROW (UUID_BYTES + 8)
struct keys_person {
    uint8_t tag[KEYS_TAG_BYTES];
    struct buf ids;         /* the caller's, to be buf_wiped */
    uint64_t held_since_us; /* 0: not held */
    char reason[LIMIT_REASON + 1];
};
/* By the encoded name (record/subject.h). ERR_LOCKED; ERR_SYNTAX; ERR_NOTFOUND; ERR_AGAIN: subjects
 * are still without their lasting tag, so ids may be missing. */
int keys_person(struct keys *k, const uint8_t *name, size_t len, struct keys_person *ret);

/* A person who is held is not erased, and what is about him outlives retention. In a transaction of
 * the caller. ERR_EXISTS: is held already. */
int keys_hold(struct keys *k, const struct keys_person *p, const char *reason, size_t len,
              uint64_t now_us);
int keys_release(struct keys *k, const struct keys_person *p); /* ERR_NOTFOUND: is not held */
/* Appends the ids of everybody who is held, UUID_BYTES each. Locked, too. */
int keys_held(struct keys *k, struct buf *out);

/*
 * An erasure has three steps, and the ledger's entry comes before the last: keys_erase_intend, durable;
 * the entry, durable; keys_erase_finish, durable. Then keys_erase_forget takes away the intention. What
 * was intended is found at the next start (keys_erase_unfinished): with its entry it is finished if
 * keys_erasure does not know it yet, without one it is called off. One at a time.
 */
#define KEYS_ERASURE_BYTES 16
/* ERR_DENIED: the person is held; ERR_EXISTS: somebody else is being erased. */
int keys_erase_intend(struct keys *k, const uint8_t erasure[KEYS_ERASURE_BYTES],
                      const struct keys_person *p);
/* In a transaction of the caller. Locked, too. Appends the ids to `ids`, UUID_BYTES each. */
int keys_erase_finish(struct keys *k, const uint8_t erasure[KEYS_ERASURE_BYTES], uint64_t time_us,
                      struct buf *ids);
/* It is done, or called off. Durable. */
int keys_erase_forget(struct keys *k);
/* ERR_NOTFOUND: nothing is. */
int keys_erase_unfinished(const struct keys *k, uint8_t ret_erasure[KEYS_ERASURE_BYTES]);
/* Was it finished here? ERR_NOTFOUND: this vault.db is older than it. */
int keys_erasure(struct keys *k, const uint8_t erasure[KEYS_ERASURE_BYTES]);

/*
 * Generations. After an erasure the secrets of all others are sealed anew, to a new generation key, in
 * a new file; the old file and its key are destroyed. keys_renew_due: an erasure waits for that, the
 * oldest since *ret_since_us. keys_renew does a piece outside of a transaction: ERR_AGAIN: come again;
 * 0: done. ERR_LOCKED.
 */
bool keys_renew_due(struct keys *k, uint64_t *ret_since_us);
int keys_renew(struct keys *k);
bool keys_renewing(const struct keys *k);

/* The ledger's newest checkpoint, a signed note, as it is known outside of it: kept here and in the
 * replicas. In a transaction of the caller. */
#define KEYS_NOTE_MAX 1024
int keys_checkpoint_set(struct keys *k, const void *note, size_t len);
/* The i-th that is known: 0 is vault.db's own, 1... the replicas'. ERR_NOTFOUND: there are no more;
 * ERR_AGAIN: this one is not there now. */
int keys_checkpoint(struct keys *k, size_t i, char ret_note[KEYS_NOTE_MAX], size_t *ret_len);

struct keys_counts {
    uint64_t subjects;   /* ids that are somebody's */
    uint64_t pool;       /* pairs that are nobody's yet */
    uint64_t pending;    /* of subjects: the lasting tag is not known yet */
    uint64_t unreadable; /* of subjects: the name does not open */
    uint32_t generation;
    uint64_t holds, erasures;
};
void keys_counts(const struct keys *k, struct keys_counts *ret);

/* ---- records: what another module keeps in vault.db (read/people) ---- */

#define KEYS_RECORD_MAX 2048
/* A record by its number; *n 0: a new one, which gets the next number. p NULL: it is forgotten, and its
 * number is not used again. In a transaction of the caller. ERR_LOCKED. */
int keys_record_put(struct keys *k, uint32_t *n, const uint8_t *p, size_t len);
/* Each one that is there, in order; not 0 ends it. `p` is wiped after the call. ERR_LOCKED,
 * ERR_CORRUPT: a record was not written by a vault with this opening key. */
typedef int keys_record_fn(void *arg, uint32_t n, const uint8_t *p, size_t len);
int keys_record_each(struct keys *k, keys_record_fn *fn, void *arg);

/* ---- reports from outside (doc/disclosure.md) ---- */

#define KEYS_REPORT_NUMBER 8
struct keys_report {
    uint8_t number[KEYS_REPORT_NUMBER];
    uint64_t came_us, answered_us; /* 0: not answered */
    uint32_t bytes;
    uint8_t hash[32]; /* SHA-256 of them */
    bool noted;       /* the ledger is known to have it */
};
/* Keeps one that is sealed to the opening key; locked, too. In a transaction of the caller, as all
 * that change something here. ERR_EXISTS: this number is there; ERR_FULL: LIMIT_REPORTS of them
 * wait for an answer (answered ones make room, the oldest first). */
int keys_report_add(struct keys *k, const struct keys_report *r, const uint8_t *box, size_t len);
int keys_report_noted(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER]);
/* ERR_NOTFOUND. */
int keys_report_get(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER],
                    struct keys_report *ret);
/* What was sealed, appended to `text`, and to `answer` (may be NULL) what was answered. The caller
 * wipes. ERR_LOCKED, ERR_NOTFOUND, ERR_CORRUPT. */
int keys_report_open(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER], struct buf *text,
                     struct buf *answer);
/* ERR_NOTFOUND; ERR_EXISTS: it was answered. */
int keys_report_answer(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER], const char *answer,
                       size_t len, uint64_t now_us);
/* Each, the oldest first; not 0 ends it. */
typedef int keys_report_fn(void *arg, const struct keys_report *r);
int keys_report_each(struct keys *k, keys_report_fn *fn, void *arg);
/* How many wait for an answer, and since when the oldest does (us; 0: none). */
int keys_report_waiting(struct keys *k, uint32_t *ret_count, uint64_t *ret_since_us);

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
const char *keys_replica_dir(const struct keys *k, size_t i);
/* From now on nothing is copied to a replica that came (back) before the caller has compared its
 * checkpoint with the ledger, and said so: an old vault must not overwrite what knows more. */
void keys_replica_check_first(struct keys *k);
bool keys_replica_unchecked(const struct keys *k);
void keys_replica_checked(struct keys *k);
enum keys_replica_state keys_replica_state(const struct keys *k, size_t i);
/* A bounded piece of copying, outside of a transaction. Returns in how many ms to come again, at
 * the latest when something was committed; -1: only then. `now_ns` is monotonic time. */
int keys_replica_step(struct keys *k, uint64_t now_ns);
/* Looks at all of them now, whatever the time. */
void keys_replica_look(struct keys *k, uint64_t now_ns);

#endif
