#ifndef PEOPLE_SESSION_H
#define PEOPLE_SESSION_H
/*
 * Sessions of people who signed in: random tokens, of which only the hashes are kept, in memory alone:
 * they end with the process, with a lock, with the person's next change, by idleness and by age.
 * Times are monotonic ns, the caller's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

#define SESSION_TOKEN_BYTES 32
#define SESSION_IDLE_NS (1800ull * 1000000000u)
#define SESSION_AGE_NS (43200ull * 1000000000u)
#define SESSIONS_MAX 1024
#define SESSIONS_PER_PERSON 32 /* one more ends the one that was idle for the longest */

struct session {
    bool used;
    uint8_t hash[32];      /* BLAKE2b-256 of the token */
    uint8_t id[UUID_BYTES]; /* random; what the ledger calls it */
    uint32_t person, epoch; /* the person's state that it was made for */
    uint64_t began_ns, seen_ns;
};

struct sessions;

int sessions_new(struct sessions **ret);
void sessions_free(struct sessions *s); /* NULL-safe */

/* ERR_FULL: all places are taken by other people. *ret is borrowed until the session ends. */
int session_begin(struct sessions *s, uint32_t person, uint32_t epoch, uint64_t now_ns,
                  uint8_t ret_token[SESSION_TOKEN_BYTES], const struct session **ret);
/* NULL: no such session now. It counts as used. */
const struct session *session_find(struct sessions *s, const uint8_t token[SESSION_TOKEN_BYTES],
                                   uint64_t now_ns);
/* By what the ledger calls it; does not count as used. NULL: none. */
const struct session *session_by_id(struct sessions *s, const uint8_t id[UUID_BYTES], uint64_t now_ns);
void session_end(struct sessions *s, const struct session *of);
/* All of a person, or all but one; they return how many there were. */
unsigned sessions_end_person(struct sessions *s, uint32_t person);
unsigned sessions_end_others(struct sessions *s, uint32_t person, const uint8_t but[UUID_BYTES]);
size_t sessions_count(struct sessions *s, uint64_t now_ns);

#endif
