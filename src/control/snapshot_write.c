/*
 * The writer of the snapshot, in the supervisor. It fills the area that no reader looks at, texts
 * and records one behind the other, and then makes it the newest.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/memfile.h"
#include "control/pattern.h"
#include "control/snapshot_int.h"

#define KNOWN_LISTS 64 /* lists of models that many keys share are written once */

struct builder {
    uint8_t *area;
    uint32_t used;
    int rc;                              /* the first error; later steps do nothing */
    uint32_t upstreams[LIMIT_PROVIDERS]; /* their records */
    struct {
        const char *text;
        struct snapshot_list list;
    } lists[KNOWN_LISTS];
    unsigned list_count;
};

int snapshot_create(int *ret_fd) {
    const uint64_t head[2] = {SNAPSHOT_MAGIC, sizeof(struct snapshot)};
    return memfile_new("safehouse-snapshot", sizeof(struct snapshot), head, sizeof head, ret_fd);
}

int snapshot_reader_fd(int fd, int *ret_fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    if (reader < 0)
        return err_from_errno(errno);
    *ret_fd = reader;
    return 0;
}

/* ---- building blocks ---- */

/* Room for `bytes`, zero; 0 when there is none (the area's head is at 0). */
static uint32_t room(struct builder *b, uint64_t bytes) {
    uint64_t at = (b->used + 7u) & ~7u;
    if (b->rc || bytes > SNAPSHOT_AREA_BYTES - at) {
        b->rc = b->rc ? b->rc : ERR_LIMIT;
        return 0;
    }
    b->used = (uint32_t)(at + bytes);
    return (uint32_t)at;
}

static struct snapshot_ref put_text(struct builder *b, const char *text, size_t len) {
    if (b->rc || len > SNAPSHOT_AREA_BYTES - b->used) {
        b->rc = b->rc ? b->rc : ERR_LIMIT;
        return (struct snapshot_ref){0, 0};
    }
    struct snapshot_ref ref = {b->used, (uint32_t)len};
    memcpy(b->area + b->used, text, len);
    b->used += (uint32_t)len;
    return ref;
}

static struct snapshot_ref put_string(struct builder *b, const char *text) {
    return put_text(b, text ? text : "", text ? strlen(text) : 0);
}

/* A table for at most `count` records. */
static void table_begin(struct builder *b, struct snapshot_table *t, uint32_t count) {
    uint32_t buckets = 4;
    while (buckets < 2 * count)
        buckets *= 2;
    t->buckets = room(b, (uint64_t)buckets * sizeof(struct snapshot_bucket));
    t->mask = buckets - 1;
    t->count = 0;
}

/* The bucket that has the record of this name, or the empty one where it belongs. */
static struct snapshot_bucket *bucket_of(const struct builder *b, const struct snapshot_table *t,
                                         const char *name, size_t len) {
    struct snapshot_bucket *buckets = (struct snapshot_bucket *)(void *)(b->area + t->buckets);
    uint64_t at = snapshot_hash(name, len) & t->mask;
    for (; buckets[at].record; at = (at + 1) & t->mask) {
        struct snapshot_ref other;
        memcpy(&other, b->area + buckets[at].record, sizeof other);
        if (other.len == len && memcmp(b->area + other.at, name, len) == 0)
            break;
    }
    return &buckets[at];
}

/* The record begins with its name. ERR_USAGE: the table has one of this name. Returns its place. */
static uint32_t table_put(struct builder *b, struct snapshot_table *t, const void *record,
                          size_t record_bytes) {
    struct snapshot_ref name;
    uint32_t at = room(b, record_bytes);
    if (b->rc)
        return 0;
    memcpy(&name, record, sizeof name);
    memcpy(b->area + at, record, record_bytes);
    const char *text = (const char *)b->area + name.at;
    struct snapshot_bucket *bucket = bucket_of(b, t, text, name.len);
    if (bucket->record)
        b->rc = ERR_USAGE;
    *bucket = (struct snapshot_bucket){at, (uint32_t)(snapshot_hash(text, name.len) >> 32)};
    t->count++;
    return at;
}

/* The record of this name; 0 = none. */
static uint32_t table_find(const struct builder *b, const struct snapshot_table *t,
                           const char *name, size_t len) {
    return b->rc ? 0 : bucket_of(b, t, name, len)->record;
}

/* "a,b*" -> refs. */
static struct snapshot_list put_models(struct builder *b, const char *text) {
    struct snapshot_list list = {0, 0};
    if (!text || !*text)
        return list;
    for (unsigned i = 0; i < b->list_count; i++)
        if (strcmp(b->lists[i].text, text) == 0)
            return b->lists[i].list;
    uint32_t count = 1;
    for (const char *p = text; *p; p++)
        count += *p == ',';
    if (count > LIMIT_ALLOWED_MODELS) {
        b->rc = b->rc ? b->rc : ERR_LIMIT;
        return list;
    }
    list.at = room(b, (uint64_t)count * sizeof(struct snapshot_ref));
    for (const char *p = text; !b->rc; p += strcspn(p, ",") + 1) {
        struct snapshot_ref ref = put_text(b, p, strcspn(p, ","));
        memcpy(b->area + list.at + list.count++ * sizeof ref, &ref, sizeof ref);
        if (!p[strcspn(p, ",")])
            break;
    }
    if (b->list_count < KNOWN_LISTS) {
        b->lists[b->list_count].text = text;
        b->lists[b->list_count++].list = list;
    }
    return list;
}

static struct snapshot_list put_tags(struct builder *b, const struct snapshot_pair *tags,
                                     uint32_t count) {
    struct snapshot_list list = {0, count};
    if (count > LIMIT_TAGS)
        b->rc = b->rc ? b->rc : ERR_LIMIT;
    list.at = room(b, (uint64_t)count * 2 * sizeof(struct snapshot_ref));
    for (uint32_t i = 0; i < count && !b->rc; i++) {
        struct snapshot_ref pair[2] = {put_string(b, tags[i].name), put_string(b, tags[i].text)};
        memcpy(b->area + list.at + i * sizeof pair, pair, sizeof pair);
    }
    return list;
}

/* ---- the parts ---- */

static void put_projects(struct builder *b, struct snapshot_table *t,
                         const struct snapshot_data *d) {
    table_begin(b, t, d->project_count);
    for (uint32_t i = 0; i < d->project_count && !b->rc; i++) {
        const struct snapshot_project *p = &d->projects[i];
        char name[2 * LIMIT_NAME];
        int n = snprintf(name, sizeof name, "%s%c%s", p->tenant, 0, p->name);
        struct snapshot_project_record r = {.name = put_text(b, name, (size_t)n),
                                            .models = put_models(b, p->models),
                                            .tags = put_tags(b, p->tags, p->tag_count),
                                            .entry = p->entry,
                                            .inspect = p->inspect,
                                            .limits = p->limits};
        table_put(b, t, &r, sizeof r);
    }
}

static void put_keys(struct builder *b, struct snapshot_area *head, const struct snapshot_data *d) {
    table_begin(b, &head->keys, d->key_count);
    for (uint32_t i = 0; i < d->key_count && !b->rc; i++) {
        const struct snapshot_key *k = &d->keys[i];
        char name[2 * LIMIT_NAME];
        int n = snprintf(name, sizeof name, "%s%c%s", k->tenant, 0, k->project);
        struct snapshot_key_record r = {
            .models = put_models(b, d->key_models ? d->key_models[i] : NULL),
            .expires_us = k->expires_us,
            .entry = k->entry,
            .project_record = table_find(b, &head->projects, name, (size_t)n),
            .limits = k->limits};
        r.name = put_string(b, k->id);
        r.tenant = put_string(b, k->tenant);
        r.project = put_string(b, k->project);
        memcpy(r.hash, k->hash, sizeof r.hash);
        table_put(b, &head->keys, &r, sizeof r);
    }
}

static void put_upstreams(struct builder *b, struct snapshot_area *head,
                          const struct snapshot_data *d) {
    table_begin(b, &head->upstreams, d->upstream_count);
    for (uint32_t i = 0; i < d->upstream_count && !b->rc; i++) {
        const struct snapshot_upstream *u = &d->upstreams[i];
        struct snapshot_upstream_record r = {.name = put_string(b, u->name),
                                             .host = put_string(b, u->host),
                                             .path = put_string(b, u->path),
                                             .dialects = u->dialects,
                                             .tls = u->tls,
                                             .isolate_by_user = u->isolate_by_user,
                                             .connect_ms = u->connect_ms,
                                             .first_byte_ms = u->first_byte_ms,
                                             .idle_ms = u->idle_ms,
                                             .total_ms = u->total_ms,
                                             .health = u->health};
        if (u->health.key_count > LIMIT_PROVIDER_KEYS || r.name.len >= LIMIT_NAME ||
            r.host.len >= SNAPSHOT_HOST || r.path.len >= SNAPSHOT_PATH)
            b->rc = b->rc ? b->rc : ERR_LIMIT;
        for (uint32_t k = 0; k < u->health.key_count && !b->rc; k++)
            r.credentials[k] = put_string(b, u->credentials[k]);
        b->upstreams[i] = table_put(b, &head->upstreams, &r, sizeof r);
    }
    head->first_upstream = d->upstream_count ? b->upstreams[0] : 0;
}

/* Counts the patterns with a star among `count` names, and notes their lengths. */
static uint32_t note_prefixes(struct snapshot_prefixes *p, const char *name, uint32_t so_far) {
    size_t len = strlen(name);
    if (!pattern_is_prefix(name, len))
        return so_far;
    p->lengths[(len - 1) / 64] |= 1ull << ((len - 1) % 64);
    return so_far + 1;
}

static void put_routes(struct builder *b, struct snapshot_area *head,
                       const struct snapshot_data *d) {
    uint32_t prefixes = 0;
    for (uint32_t i = 0; i < d->route_count; i++)
        prefixes = note_prefixes(&head->route_prefixes, d->routes[i].model, prefixes);
    table_begin(b, &head->routes, d->route_count - prefixes);
    table_begin(b, &head->route_prefixes.table, prefixes);
    for (uint32_t i = 0; i < d->route_count && !b->rc; i++) {
        const struct snapshot_route_data *route = &d->routes[i];
        size_t len = strlen(route->model);
        bool prefix = pattern_is_prefix(route->model, len);
        struct snapshot_route_record r = {.name = put_text(b, route->model, len - prefix),
                                          .target_count = route->target_count};
        r.targets = room(b, route->target_count * sizeof(struct snapshot_target_record));
        for (uint32_t k = 0; k < route->target_count && !b->rc; k++) {
            const struct snapshot_target_data *t = &route->targets[k];
            bool known = t->upstream < d->upstream_count;
            struct snapshot_target_record to = {put_string(b, t->model),
                                                known ? b->upstreams[t->upstream] : 0, t->weight};
            if (!known)
                b->rc = ERR_USAGE;
            memcpy(b->area + r.targets + k * sizeof to, &to, sizeof to);
        }
        table_put(b, prefix ? &head->route_prefixes.table : &head->routes, &r, sizeof r);
    }
}

static void put_prices(struct builder *b, struct snapshot_area *head,
                       const struct snapshot_data *d) {
    uint32_t prefixes = 0;
    for (uint32_t i = 0; i < d->price_count; i++)
        prefixes = note_prefixes(&head->price_prefixes, d->prices[i].model, prefixes);
    table_begin(b, &head->prices, d->price_count - prefixes);
    table_begin(b, &head->price_prefixes.table, prefixes);
    for (uint32_t i = 0; i < d->price_count && !b->rc; i++) {
        size_t len = strlen(d->prices[i].model);
        bool prefix = pattern_is_prefix(d->prices[i].model, len);
        struct snapshot_price_record r = {.name = put_text(b, d->prices[i].model, len - prefix),
                                          .price = d->prices[i].price};
        table_put(b, prefix ? &head->price_prefixes.table : &head->prices, &r, sizeof r);
    }
}

/* A name may come from several places: a second time is no error here. */
static void put_name(struct builder *b, struct snapshot_table *t, const char *name) {
    size_t len = strlen(name);
    struct snapshot_name_record r;
    if (pattern_is_prefix(name, len) || table_find(b, t, name, len))
        return;
    r.name = put_text(b, name, len);
    table_put(b, t, &r, sizeof r);
}

static void put_names(struct builder *b, struct snapshot_area *head,
                      const struct snapshot_data *d) {
    table_begin(b, &head->aliases, d->alias_count);
    for (uint32_t i = 0; i < d->alias_count && !b->rc; i++) {
        struct snapshot_alias_record r = {put_string(b, d->aliases[i].name),
                                          put_string(b, d->aliases[i].text)};
        table_put(b, &head->aliases, &r, sizeof r);
    }
    table_begin(b, &head->models,
                d->route_count + 2 * d->alias_count + d->price_count + d->model_count);
    for (uint32_t i = 0; i < d->route_count; i++)
        put_name(b, &head->models, d->routes[i].model);
    for (uint32_t i = 0; i < d->alias_count; i++) {
        put_name(b, &head->models, d->aliases[i].name);
        put_name(b, &head->models, d->aliases[i].text);
    }
    for (uint32_t i = 0; i < d->price_count; i++)
        put_name(b, &head->models, d->prices[i].model);
    for (uint32_t i = 0; i < d->model_count; i++)
        put_name(b, &head->models, d->models[i]);
}

/* ---- publication ---- */

static void wait_for_grace(const struct snapshot *s) {
    uint64_t last = atomic_load_explicit(&s->published_ns, memory_order_relaxed);
    uint64_t now = clock_mono_ns(), until = last + SNAPSHOT_GRACE_MS * 1000000ull;
    if (!last || now >= until)
        return;
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                         .tv_nsec = (long)(until % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static int check(const struct snapshot_data *d) {
    if (d->key_count > LIMIT_KEYS || d->project_count > LIMIT_PROJECTS ||
        d->upstream_count > LIMIT_PROVIDERS || d->route_count > LIMIT_ROUTES ||
        d->alias_count > LIMIT_ROUTES || d->price_count > 2 * LIMIT_PRICES ||
        (d->currency && strlen(d->currency) >= SNAPSHOT_CURRENCY))
        return ERR_LIMIT;
    for (uint32_t i = 0; i < d->route_count; i++)
        if (strlen(d->routes[i].model) >= LIMIT_MODEL ||
            d->routes[i].target_count > LIMIT_CANDIDATES)
            return ERR_LIMIT;
    for (uint32_t i = 0; i < d->price_count; i++)
        if (strlen(d->prices[i].model) >= LIMIT_MODEL)
            return ERR_LIMIT;
    for (uint32_t i = 1; i < d->key_count; i++)
        if (strcmp(d->keys[i - 1].id, d->keys[i].id) >= 0)
            return ERR_USAGE;
    return 0;
}

static int fill(uint8_t *area, const struct snapshot_data *d) {
    struct snapshot_area *head = (struct snapshot_area *)(void *)area;
    struct builder b = {.area = area, .used = sizeof *head};
    /* Old credentials go, and room() is zero. */
    sodium_memzero(area, head->used < SNAPSHOT_AREA_BYTES ? head->used : SNAPSHOT_AREA_BYTES);
    put_projects(&b, &head->projects, d);
    put_keys(&b, head, d);
    put_upstreams(&b, head, d);
    put_routes(&b, head, d);
    put_prices(&b, head, d);
    put_names(&b, head, d);
    if (d->log)
        head->log = *d->log;
    if (d->currency)
        memcpy(head->currency, d->currency, strlen(d->currency));
    if (d->mask_key) {
        memcpy(head->mask_key, d->mask_key, sizeof head->mask_key);
        head->has_mask_key = 1;
    }
    head->used = b.used;
    return b.rc;
}

int snapshot_publish(int fd, const struct snapshot_data *data) {
    struct snapshot *s;
    int rc = check(data);
    if (!rc)
        rc = snapshot_map_file(fd, PROT_READ | PROT_WRITE, &s);
    if (rc)
        return rc;
    wait_for_grace(s);
    uint64_t version = atomic_load_explicit(&s->version, memory_order_relaxed) + 1;
    rc = fill(s->areas[version % 2], data);
    if (!rc) {
        atomic_store_explicit(&s->published_ns, clock_mono_ns(), memory_order_relaxed);
        atomic_store_explicit(&s->version, version, memory_order_release);
    }
    munmap(s, sizeof *s);
    return rc;
}
