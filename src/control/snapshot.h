#ifndef CONTROL_SNAPSHOT_H
#define CONTROL_SNAPSHOT_H
/*
 * The control snapshot: what gateway workers must know to admit, route and price a request (API-key
 * hashes and limits, projects, providers with their credentials, routes, prices, what may be
 * logged), published by the supervisor in a memory file and mapped read-only by the workers. A new
 * version is in force at the next request: a revoked key stops at once, without a reload.
 *
 * Two areas of equal size and a version number in the header: version v lives in area v % 2. The
 * writer fills the other area, then stores the new version with release order. A reader loads the
 * version, copies what it needs out of the area, and loads the version again: unchanged, the copy
 * is whole; changed, it copies again. The writer waits at least SNAPSHOT_GRACE_MS between two
 * publications, so a second copy does. No reader keeps a pointer into the file.
 *
 * The file holds credentials: it is never on a disk, is left out of core files, and only the
 * supervisor and the gateway have its descriptor.
 *
 * A request in the gateway:
 *   snapshot_find_key -> hash and expiry -> snapshot_may_use -> limits_admit (control/limits.h,
 * with the key's entries and limits; snapshot_price for the estimate) -> snapshot_route ->
 *   health_choose over route.pick (control/health.h) -> snapshot_credential of the ticket's key ->
 *   the attempt -> health_done, and health_choose again for a fallback -> limits_settle with
 *   cost_of(snapshot_price) -> limits_release.
 *
 * snapshot_publish is in snapshot_write.c, which the gateway does not link.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "control/apikey.h" /* what an admission needs beside it */
#include "control/cost.h"
#include "control/health.h"
#include "control/limits.h"

#define SNAPSHOT_GRACE_MS 100

#define SNAPSHOT_CREDENTIAL LIMIT_CREDENTIAL
#define SNAPSHOT_HOST 256
#define SNAPSHOT_PATH 256
#define SNAPSHOT_CURRENCY 8
#define SNAPSHOT_MASK_KEY 32

struct snapshot_key {
    char id[LIMIT_NAME]; /* as in the clear columns: the public id */
    uint8_t hash[32];    /* SHA-256 of the secret part's characters */
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    uint64_t expires_us; /* 0 = never */
    uint32_t entry;      /* of limits_entry; 0 = not counted */
    struct limits_set limits;
    uint32_t project_entry; /* read only: filled from the project */
    struct limits_set project_limits;
    bool any_model, no_tags; /* read only: there is nothing to look up of that kind */
    bool inspect;            /* read only: its project's requests are inspected before they go on */
};

/* A name and a text: a tag, an alias. */
struct snapshot_pair {
    const char *name, *text;
};

/* Where a clear column comes from. */
enum snapshot_from { SNAPSHOT_NOWHERE, SNAPSHOT_HEADER, SNAPSHOT_METADATA };
struct snapshot_source {
    char name[LIMIT_NAME]; /* the tag's; "" for session and trace */
    char key[LIMIT_NAME];  /* the header's name in lower case, or the member of `metadata` */
    uint32_t from;         /* enum snapshot_from */
};
struct snapshot_log {
    struct snapshot_source session_id, trace_id;
    struct snapshot_source tags[LIMIT_TAGS];
    uint32_t tag_count;
};

/* ---- supervisor: what it publishes; everything is borrowed for the call ---- */

struct snapshot_project {
    const char *tenant, *name;
    uint32_t entry;
    struct limits_set limits;
    const char *models; /* "a,b*": what its keys may use; NULL or "" = everything */
    const struct snapshot_pair *tags;
    uint32_t tag_count;
    bool inspect; /* some class is to be blocked or masked */
};

struct snapshot_upstream {
    const char *name, *host,
        *path; /* host with ":port" if not the scheme's; path without last '/' */
    bool tls, isolate_by_user;
    uint32_t dialects;
    uint32_t connect_ms, first_byte_ms, idle_ms, total_ms;
    struct health_candidate health; /* weight is the route's; keys[i] is of credentials[i] */
    const char *const *credentials; /* health.key_count of them, as the provider issued them */
};

struct snapshot_target_data {
    uint32_t upstream; /* index in snapshot_data.upstreams */
    uint16_t weight;   /* 0 = a fallback */
    const char
        *model; /* the name that the provider knows it by; NULL or "" = as it was asked for */
};
struct snapshot_route_data {
    const char *model; /* control/pattern.h */
    const struct snapshot_target_data *targets;
    uint32_t target_count;
};
struct snapshot_price_data {
    const char *model; /* control/pattern.h */
    struct cost_price price;
};

struct snapshot_data {
    const struct snapshot_key *keys; /* sorted by id (strcmp) */
    uint32_t key_count;
    const char *const *key_models; /* NULL, or as snapshot_project.models for each key */
    const struct snapshot_project *projects;
    uint32_t project_count;
    const struct snapshot_upstream *upstreams;
    uint32_t upstream_count;
    const struct snapshot_route_data *routes;
    uint32_t route_count;
    const struct snapshot_pair *aliases;
    uint32_t alias_count;
    const struct snapshot_price_data *prices;
    uint32_t price_count;
    const char *const *models; /* more names that may stand in clear columns */
    uint32_t model_count;
    const char *currency;           /* of prices and budgets; NULL = "" */
    const struct snapshot_log *log; /* NULL = log nothing of that kind */
    const uint8_t *mask_key;        /* SNAPSHOT_MASK_KEY; NULL = nothing is masked */
};

struct snapshot;

int snapshot_create(int *ret_fd);
/* The next version. Sleeps for what is left of the grace after the version before. ERR_LIMIT: more
 * than LIMIT_KEYS keys, or more than fits; ERR_USAGE: keys not sorted or not distinct, or a
 * reference that leads nowhere. The version before stays in force then. */
int snapshot_publish(int fd, const struct snapshot_data *data);
/* A descriptor of the same file that cannot be mapped for writing, to hand to the gateway. */
int snapshot_reader_fd(int fd, int *ret_fd);

/* ---- gateway worker ---- */
/* Maps it read-only; ERR_VERSION or ERR_CORRUPT when it is no snapshot. Lives as long as the
 * worker. */
int snapshot_map(int fd, const struct snapshot **ret);
void snapshot_unmap(const struct snapshot *s);
/* 0 = nothing was published yet. */
uint64_t snapshot_version(const struct snapshot *s);

/*
 * All of these read the newest version and copy out; ERR_NOTFOUND when there is no such thing. None
 * makes a system call. ERR_AGAIN: versions changed all the while, which a writer's grace rules out.
 */

/* The key of this public id. Expiry and hash are the caller's to check. */
int snapshot_find_key(const struct snapshot *s, const char *id, size_t len,
                      struct snapshot_key *ret);
/* May this key, as its project's, ask for this model, under this name or the one it is an alias of?
 * ERR_DENIED; ERR_NOTFOUND: the key was revoked meanwhile. */
int snapshot_may_use(const struct snapshot *s, const struct snapshot_key *key, const char *model,
                     size_t len);
/* The project's fixed tags, at most LIMIT_TAGS, as names (source.name) and texts (source.key). */
int snapshot_project_tags(const struct snapshot *s, const struct snapshot_key *key,
                          struct snapshot_source ret[LIMIT_TAGS], uint32_t *ret_count);

struct snapshot_target {
    char provider[LIMIT_NAME]; /* as in the clear columns; nginx's upstream is named by it */
    char host[SNAPSHOT_HOST];  /* Host; without its port the TLS name */
    char path[SNAPSHOT_PATH];  /* goes before the request's own path */
    char model[LIMIT_MODEL];   /* to ask for; differs from the client's: splice it into the body */
    bool tls, isolate_by_user; /* the second: send the subject's pseudonym as `user` */
    uint32_t dialects;
    uint32_t connect_ms, first_byte_ms, idle_ms, total_ms;
};
struct snapshot_route { /* large: the caller's request memory, not a stack that is deep already */
    char model[LIMIT_MODEL]; /* after aliases: for the log and the price */
    uint32_t count;
    struct health_candidate pick[LIMIT_CANDIDATES]; /* for health_choose */
    struct snapshot_target to[LIMIT_CANDIDATES];    /* to[ticket.candidate] */
};
/* Where a request for this model in this dialect (a bit of control/dialect.h) may go: an alias
 * first, then the route of the whole name, then the one of the longest beginning. ERR_NOTFOUND: no
 * route (404, model_not_found); ERR_UNSUPPORTED: a route, but no provider of it speaks this
 * dialect. */
int snapshot_route(const struct snapshot *s, const char *model, size_t len, uint32_t dialect,
                   struct snapshot_route *ret);
/* For what names no model: the providers that speak one of these dialects, the configuration's first
 * one first, the others to fall back to; without models. ERR_UNSUPPORTED: there is none. */
int snapshot_speakers(const struct snapshot *s, uint32_t dialect, struct snapshot_route *ret);
/* The names that clients can ask for as they stand, of routes and aliases: one after another, each
 * ended by NUL, as many as fit. Returns the length in *ret_len. */
int snapshot_list_models(const struct snapshot *s, char *out, size_t room, size_t *ret_len);
/* The credential itself; the caller puts it into the dialect's header ("Authorization: Bearer ..."
 * or "x-api-key: ...") and wipes it. `key` is ticket.key of health_choose. */
int snapshot_credential(const struct snapshot *s, const char *provider, uint8_t key,
                        char ret[SNAPSHOT_CREDENTIAL]);
/* By the whole name, then without a date at its end ("-2026-01-31", "-20260131", "-latest"), then
 * by the longest beginning. */
int snapshot_price(const struct snapshot *s, const char *model, size_t len, struct cost_price *ret);
int snapshot_currency(const struct snapshot *s, char ret[SNAPSHOT_CURRENCY]);
/* May this name stand in clear columns (it is in the configuration or the price table)? */
bool snapshot_model_known(const struct snapshot *s, const char *model, size_t len);
/* What of headers and metadata goes into clear columns. Read it once a version. */
int snapshot_log(const struct snapshot *s, struct snapshot_log *ret);
/* The key of the placeholders that providers see; the caller wipes it. ERR_NOTFOUND: none. */
int snapshot_mask_key(const struct snapshot *s, uint8_t ret[SNAPSHOT_MASK_KEY]);


#endif
