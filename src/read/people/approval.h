#ifndef PEOPLE_APPROVAL_H
#define PEOPLE_APPROVAL_H
/*
 * Openings that are too large for one person: a request is known by the digest of who, why and exactly
 * which cells, waits for somebody else, and then passes once. In memory alone: a restart or a lock ends
 * all of them. Times are monotonic ns, the caller's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define APPROVAL_DIGEST_BYTES 32
#define APPROVAL_NS (3600ull * 1000000000u) /* that it waits, and that it then may be used */
#define APPROVALS_MAX 64  /* the oldest that waits makes room */
#define APPROVALS_PER_PERSON 8

struct approval {
    bool used, given;
    uint8_t digest[APPROVAL_DIGEST_BYTES];
    uint32_t person, by, cells;
    uint64_t since_ns; /* asked, or given */
    size_t reason_len, query_len;
    char reason[LIMIT_REASON], query[LIMIT_PLAN_QUERY]; /* as they came: any bytes */
};

struct approvals;

int approvals_new(struct approvals **ret);
void approvals_free(struct approvals *a); /* NULL-safe; wipes */

/*
 * BLAKE2b-256 (no key) of "safehouse opening request 1" | u32 person | u32 cells | s16 reason | s16 query
 * | the cells' hashes, sorted, 32 bytes each. Sorts `hashes` in place.
 */
void approval_digest(uint8_t out[APPROVAL_DIGEST_BYTES], uint32_t person, const char *reason,
                     size_t reason_len, const char *query, size_t query_len, uint8_t (*hashes)[32],
                     uint32_t cells);

/* It was asked for: waits from now on (again and again is one request). */
void approval_ask(struct approvals *a, const struct approval *request, uint64_t now_ns);
/* NULL: none, or no longer. */
const struct approval *approval_find(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES],
                                     uint64_t now_ns);
/* ERR_NOTFOUND; ERR_DENIED: one's own; ERR_EXISTS: it was given. */
int approval_give(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES], uint32_t by,
                  uint64_t now_ns);
void approval_drop(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES]);
/* Uses it up: 0 once, then ERR_APPROVAL. */
int approval_take(struct approvals *a, const uint8_t digest[APPROVAL_DIGEST_BYTES], uint32_t person,
                  uint64_t now_ns);
/* Those that wait, one after the other, from *at = 0; NULL at the end. */
const struct approval *approval_next(struct approvals *a, size_t *at, uint64_t now_ns);
/* What this person asked or gave ends: it was changed or removed. */
void approvals_end_person(struct approvals *a, uint32_t person);

#endif
