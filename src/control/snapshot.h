#ifndef CONTROL_SNAPSHOT_H
#define CONTROL_SNAPSHOT_H
/*
 * The control snapshot: what gateway workers must know to admit and route a request (API-key hashes,
 * providers with their credentials, known model names), published by the supervisor in a memory file
 * and mapped read-only by the workers. A new version is in force at the next request: a revoked key
 * stops at once, without a reload.
 *
 * Two areas of equal size and a version number in the header: version v lives in area v % 2. The
 * writer fills the other area, then stores the new version with release order. A reader loads the
 * version, copies what it needs out of the area, and loads the version again: unchanged, the copy is
 * whole; changed, it copies again. The writer waits at least SNAPSHOT_GRACE_MS between two
 * publications, so a second copy does. No reader keeps a pointer into the file.
 *
 * The file holds credentials: it is never on a disk, is left out of core files, and only the
 * supervisor and the gateway have its descriptor.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "control/apikey.h" /* what an admission needs beside it */

#define SNAPSHOT_GRACE_MS 100

#define SNAPSHOT_CREDENTIAL 512

struct snapshot_key {
    char id[LIMIT_NAME];    /* as in the clear columns: the public id */
    uint8_t hash[32];       /* SHA-256 of the secret part's characters */
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    uint64_t expires_us;    /* 0 = never */
};

struct snapshot_provider {
    char name[LIMIT_NAME];       /* as in the clear columns */
    char credential[SNAPSHOT_CREDENTIAL]; /* the value of Authorization, "" = send none */
};

/* What the supervisor publishes. Arrays are borrowed for the call; keys sorted by id (strcmp). */
struct snapshot_data {
    const struct snapshot_key *keys;
    uint32_t key_count;
    struct snapshot_provider provider; /* the one upstream of this version */
};

struct snapshot;

/* ---- supervisor ---- */
int snapshot_create(int *ret_fd);
/* The next version. Sleeps for what is left of the grace after the version before. ERR_LIMIT: more
 * than LIMIT_KEYS keys; ERR_USAGE: keys not sorted or not distinct. */
int snapshot_publish(int fd, const struct snapshot_data *data);
/* A descriptor of the same file that cannot be mapped for writing, to hand to the gateway. */
int snapshot_reader_fd(int fd, int *ret_fd);

/* ---- gateway worker ---- */
/* Maps it read-only; ERR_VERSION or ERR_CORRUPT when it is no snapshot. Lives as long as the worker. */
int snapshot_map(int fd, const struct snapshot **ret);
/* The key of this public id in the newest version, copied out; ERR_NOTFOUND. Expiry and hash are the
 * caller's to check. ERR_AGAIN: versions changed all the while, which a writer's grace rules out. */
int snapshot_find_key(const struct snapshot *s, const char *id, size_t len,
                      struct snapshot_key *ret);
/* The provider of the newest version, copied out (the caller wipes it). */
int snapshot_provider(const struct snapshot *s, struct snapshot_provider *ret);
/* 0 = nothing was published yet. */
uint64_t snapshot_version(const struct snapshot *s);

#endif
