#ifndef GATEWAY_KNOWN_H
#define GATEWAY_KNOWN_H
/*
 * API keys that this worker has already checked, so that a client's next request costs a short
 * keyed hash instead of SHA-256 and a search. What is kept of a secret is a SipHash-2-4 tag of 128
 * bits under a random key that only this process has; a tag counts for one version of the control
 * snapshot, so a revoked key is forgotten at once. Nothing is remembered of keys that did not
 * match.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/snapshot.h"

/* Once in a process, before the first use. */
void known_init(void);
/* The whole key as it was presented. Borrowed until the next known_add; NULL: not known, check it.
 */
const struct snapshot_key *known_find(uint64_t version, const char *text, size_t len);
/* This key was checked against this version of the snapshot. Returns what known_find would. */
const struct snapshot_key *known_add(uint64_t version, const char *text,
                                     const struct snapshot_key *key);

#endif
