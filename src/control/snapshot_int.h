#ifndef CONTROL_SNAPSHOT_INT_H
#define CONTROL_SNAPSHOT_INT_H
/*
 * The layout of the snapshot's memory file, for snapshot.c (readers) and snapshot_write.c.
 *
 * A page of header, then two areas. An area begins with its tables; records, hash buckets and texts
 * lie behind, by offsets from the area's beginning (0 = none). Every record begins with its name,
 * and its texts lie right before it, so that looking one up touches two places: its bucket and it.
 * The file is sparse: what is not filled costs nothing.
 */
#include <stdatomic.h>

#include "control/snapshot.h"

#define SNAPSHOT_MAGIC 0x3270616e73736873ull /* "shssnap2" */
#define SNAPSHOT_HEADER_BYTES 4096
#define SNAPSHOT_AREA_BYTES (64u << 20)

struct snapshot_ref { /* a text, not ended by NUL */
    uint32_t at, len;
};
struct snapshot_list { /* of snapshot_ref */
    uint32_t at, count;
};
struct snapshot_bucket {
    uint32_t record; /* 0 = empty */
    uint32_t tag;    /* the hash's upper half: most strangers are passed without a look at them */
};
struct snapshot_table {
    uint32_t count;
    uint32_t buckets, mask; /* mask + 1 buckets, a power of two */
};

struct snapshot_key_record {
    struct snapshot_ref name, tenant, project;
    struct snapshot_list models;
    uint64_t expires_us;
    uint32_t entry, project_record; /* 0 = none */
    struct limits_set limits;
    uint8_t hash[32];
};
struct snapshot_project_record {
    struct snapshot_ref name;          /* tenant NUL project */
    struct snapshot_list models, tags; /* tags: name, text, name, text, ... */
    uint32_t entry, inspect;
    struct limits_set limits;
};
struct snapshot_upstream_record {
    struct snapshot_ref name, host, path;
    uint32_t dialects, tls, isolate_by_user;
    uint32_t connect_ms, first_byte_ms, idle_ms, total_ms;
    struct health_candidate health;
    struct snapshot_ref credentials[LIMIT_PROVIDER_KEYS];
};
struct snapshot_route_record {
    struct snapshot_ref name; /* without the star */
    uint32_t targets, target_count;
};
struct snapshot_target_record {
    struct snapshot_ref model;
    uint32_t upstream, weight; /* the upstream's record */
};
struct snapshot_alias_record {
    struct snapshot_ref name, model;
};
struct snapshot_price_record {
    struct snapshot_ref name; /* without the star */
    struct cost_price price;
};
struct snapshot_name_record {
    struct snapshot_ref name;
};

/* Patterns with a star: by their beginnings, and which lengths these have. */
struct snapshot_prefixes {
    struct snapshot_table table;
    uint64_t lengths[LIMIT_MODEL / 64];
};

struct snapshot_area {
    uint32_t used;           /* bytes, this included */
    uint32_t first_upstream; /* a record */
    struct snapshot_table keys, projects, upstreams, routes, aliases, prices, models;
    struct snapshot_prefixes route_prefixes, price_prefixes;
    struct snapshot_log log;
    char currency[SNAPSHOT_CURRENCY];
    uint32_t has_mask_key;
    uint8_t mask_key[SNAPSHOT_MASK_KEY];
};

struct snapshot {
    uint64_t magic;
    uint64_t bytes; /* of the whole file: another build's layout is refused */
    _Atomic uint64_t version;
    _Atomic uint64_t published_ns; /* monotonic */
    uint8_t pad_[SNAPSHOT_HEADER_BYTES - 32];
    uint8_t areas[2][SNAPSHOT_AREA_BYTES];
};

/* FNV-1a, step by step: on the way to a name's hash are those of all its beginnings. */
#define SNAPSHOT_HASH_BEGIN 0xcbf29ce484222325ull
static inline uint64_t snapshot_hash_step(uint64_t h, char c) {
    return (h ^ (uint8_t)c) * 0x100000001b3ull;
}
/* FNV's upper bits are the better ones for short names after one more multiplication. */
static inline uint64_t snapshot_hash_end(uint64_t h) {
    h *= 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}
static inline uint64_t snapshot_hash(const char *name, size_t len) {
    uint64_t h = SNAPSHOT_HASH_BEGIN;
    for (size_t i = 0; i < len; i++)
        h = snapshot_hash_step(h, name[i]);
    return snapshot_hash_end(h);
}

/* snapshot.c: maps it, left out of core files. */
int snapshot_map_file(int fd, int prot, struct snapshot **ret);

#endif
