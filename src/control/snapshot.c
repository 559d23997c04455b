/*
 * The readers of snapshot.h, in gateway workers (linked into the nginx module: libsodium and libc
 * only).
 *
 * An area may be rewritten while it is read. So nothing of it is trusted before the version was
 * compared again: records are copied out first and used from the copy, offsets are checked against
 * the area at every step, loops end, strings are ended in the copy. What came of it is thrown away
 * when the version changed meanwhile.
 */
#include "control/snapshot.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/err.h"
#include "control/pattern.h"
#include "control/snapshot_int.h"

#define READ_TRIES 16
#define PROBES 65536 /* no table that was published needs as many; one half written might */

int snapshot_map_file(int fd, int prot, struct snapshot **ret) {
    struct stat st;
    if (fstat(fd, &st))
        return err_from_errno(errno);
    if (st.st_size != (off_t)sizeof(struct snapshot))
        return ERR_VERSION;
    struct snapshot *s = mmap(NULL, sizeof *s, prot, MAP_SHARED, fd, 0);
    if (s == MAP_FAILED)
        return err_from_errno(errno);
    madvise(s, sizeof *s, MADV_DONTDUMP);
    if (s->magic != SNAPSHOT_MAGIC || s->bytes != sizeof *s) {
        munmap(s, sizeof *s);
        return ERR_CORRUPT;
    }
    *ret = s;
    return 0;
}

int snapshot_map(int fd, const struct snapshot **ret) {
    struct snapshot *s = NULL;
    int rc = snapshot_map_file(fd, PROT_READ, &s);
    if (!rc)
        *ret = s;
    return rc;
}

void snapshot_unmap(const struct snapshot *s) {
    munmap((void *)(uintptr_t)s, sizeof *s);
}

uint64_t snapshot_version(const struct snapshot *s) {
    return atomic_load_explicit(&s->version, memory_order_acquire);
}

/* ---- one look into an area that may be rewritten meanwhile ---- */

static const uint8_t *within(const uint8_t *area, uint64_t at, uint64_t bytes) {
    return at <= SNAPSHOT_AREA_BYTES && bytes <= SNAPSHOT_AREA_BYTES - at ? area + at : NULL;
}

/* Copies out; afterwards the compiler may not look at the original again. */
static bool get(const uint8_t *area, uint64_t at, void *out, size_t bytes) {
    const uint8_t *from = within(area, at, bytes);
    if (!from)
        return false;
    memcpy(out, from, bytes);
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

#define GET_HEAD(area, member, out)                                                                \
    get((area), offsetof(struct snapshot_area, member), (out), sizeof *(out))

static bool same(const uint8_t *area, struct snapshot_ref ref, const char *text, size_t len) {
    const uint8_t *p = ref.len == len ? within(area, ref.at, len) : NULL;
    return p && memcmp(p, text, len) == 0;
}

/* Into a string of `room` bytes; what does not fit was not published. */
static bool text_out(const uint8_t *area, struct snapshot_ref ref, char *out, size_t room) {
    if (ref.len >= room || !get(area, ref.at, out, ref.len))
        return false;
    out[ref.len] = 0;
    return true;
}

/* Finds the record of this name by its hash and copies it out. */
static bool find(const uint8_t *area, const struct snapshot_table *t, uint64_t hash,
                 const char *name, size_t len, void *out, size_t record_bytes) {
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint64_t probe = 0; t->count && probe <= t->mask && probe < PROBES; probe++) {
        struct snapshot_bucket b;
        struct snapshot_ref ref;
        if (!get(area, t->buckets + ((hash + probe) & t->mask) * sizeof b, &b, sizeof b) ||
            !b.record)
            return false;
        if (b.tag != tag)
            continue;
        /* The record and its texts come together, while its name is compared. */
        __builtin_prefetch(area + b.record - 64);
        for (size_t line = 64; line < record_bytes; line += 64)
            __builtin_prefetch(area + b.record + line);
        if (get(area, b.record, &ref, sizeof ref) && same(area, ref, name, len))
            return get(area, b.record, out, record_bytes);
    }
    return false;
}

static bool find_prefix(const uint8_t *area, const struct snapshot_prefixes *p, const char *name,
                        size_t len, void *out, size_t record_bytes) {
    uint64_t hashes[LIMIT_MODEL], h = SNAPSHOT_HASH_BEGIN;
    if (len >= LIMIT_MODEL)
        return false;
    for (size_t i = 0; i <= len; i++) {
        hashes[i] = h;
        if (i < len)
            h = snapshot_hash_step(h, name[i]);
    }
    for (size_t n = len + 1; n-- > 0;)
        if (p->lengths[n / 64] >> (n % 64) & 1 &&
            find(area, &p->table, snapshot_hash_end(hashes[n]), name, n, out, record_bytes))
            return true;
    return false;
}

/* An empty list allows everything. */
static bool allows(const uint8_t *area, struct snapshot_list list, const char *const names[2],
                   const size_t lens[2]) {
    if (!list.count)
        return true;
    for (uint32_t i = 0; i < list.count && i < LIMIT_ALLOWED_MODELS; i++) {
        struct snapshot_ref ref;
        if (!get(area, list.at + (uint64_t)i * sizeof ref, &ref, sizeof ref))
            return false;
        const char *pattern = (const char *)within(area, ref.at, ref.len);
        for (int k = 0; pattern && k < 2; k++)
            if (pattern_matches(pattern, ref.len, names[k], lens[k]))
                return true;
    }
    return false;
}

/* ---- reading a version whole ---- */

typedef int look_fn(const uint8_t *area, const void *ask, void *ret);

/* Looks until nobody published meanwhile. */
static int look(const struct snapshot *s, look_fn *fn, const void *ask, void *ret) {
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t v = snapshot_version(s);
        if (v == 0)
            return ERR_NOTFOUND;
        int rc = fn(s->areas[v % 2], ask, ret);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&s->version, memory_order_relaxed) == v)
            return rc;
    }
    return ERR_AGAIN;
}

struct name {
    const char *text;
    size_t len;
};

static bool find_key(const uint8_t *area, const char *id, size_t len,
                     struct snapshot_key_record *ret) {
    struct snapshot_table t;
    return GET_HEAD(area, keys, &t) &&
           find(area, &t, snapshot_hash(id, len), id, len, ret, sizeof *ret);
}

static bool project_of(const uint8_t *area, const struct snapshot_key_record *k,
                       struct snapshot_project_record *ret) {
    return k->project_record && get(area, k->project_record, ret, sizeof *ret);
}

static int look_key(const uint8_t *area, const void *ask, void *out) {
    const struct name *id = ask;
    struct snapshot_key *ret = out;
    struct snapshot_key_record k;
    struct snapshot_project_record p;
    if (!find_key(area, id->text, id->len, &k))
        return ERR_NOTFOUND;
    memset(ret, 0, sizeof *ret);
    if (!text_out(area, k.name, ret->id, sizeof ret->id) ||
        !text_out(area, k.tenant, ret->tenant, sizeof ret->tenant) ||
        !text_out(area, k.project, ret->project, sizeof ret->project))
        return ERR_NOTFOUND;
    memcpy(ret->hash, k.hash, sizeof ret->hash);
    ret->expires_us = k.expires_us;
    ret->entry = k.entry;
    ret->limits = k.limits;
    ret->any_model = k.models.count == 0;
    ret->no_tags = true;
    if (project_of(area, &k, &p)) {
        ret->project_entry = p.entry;
        ret->project_limits = p.limits;
        ret->any_model = ret->any_model && p.models.count == 0;
        ret->no_tags = p.tags.count == 0;
        ret->inspect = p.inspect != 0;
    }
    return 0;
}

int snapshot_find_key(const struct snapshot *s, const char *id, size_t len,
                      struct snapshot_key *ret) {
    struct snapshot_key found;
    if (len == 0 || len >= LIMIT_NAME)
        return ERR_NOTFOUND;
    int rc = look(s, look_key, &(struct name){id, len}, &found);
    if (!rc)
        *ret = found;
    return rc;
}

/* The model's name after aliases, into `out`. */
static void resolve(const uint8_t *area, const struct name *model, char out[LIMIT_MODEL],
                    size_t *ret_len) {
    struct snapshot_table t;
    struct snapshot_alias_record a;
    if (GET_HEAD(area, aliases, &t) &&
        find(area, &t, snapshot_hash(model->text, model->len), model->text, model->len, &a,
             sizeof a) &&
        text_out(area, a.model, out, LIMIT_MODEL)) {
        *ret_len = a.model.len;
        return;
    }
    memcpy(out, model->text, model->len);
    out[model->len] = 0;
    *ret_len = model->len;
}

struct use {
    const struct snapshot_key *key;
    struct name model;
};

static int look_use(const uint8_t *area, const void *ask, void *out) {
    const struct use *u = ask;
    struct snapshot_key_record k;
    struct snapshot_project_record p;
    char resolved[LIMIT_MODEL];
    size_t resolved_len;
    (void)out;
    if (!find_key(area, u->key->id, strlen(u->key->id), &k))
        return ERR_NOTFOUND;
    resolve(area, &u->model, resolved, &resolved_len);
    const char *const names[2] = {u->model.text, resolved};
    const size_t lens[2] = {u->model.len, resolved_len};
    if (!allows(area, k.models, names, lens))
        return ERR_DENIED;
    if (project_of(area, &k, &p) && !allows(area, p.models, names, lens))
        return ERR_DENIED;
    return 0;
}

int snapshot_may_use(const struct snapshot *s, const struct snapshot_key *key, const char *model,
                     size_t len) {
    if (len == 0 || len >= LIMIT_MODEL)
        return ERR_DENIED;
    if (key->any_model)
        return 0;
    return look(s, look_use, &(struct use){key, {model, len}}, NULL);
}

struct tags {
    struct snapshot_source *out;
    uint32_t *count;
};

static int look_tags(const uint8_t *area, const void *ask, void *out) {
    const struct snapshot_key *key = ask;
    struct tags *ret = out;
    struct snapshot_key_record k;
    struct snapshot_project_record p;
    *ret->count = 0;
    if (!find_key(area, key->id, strlen(key->id), &k))
        return ERR_NOTFOUND;
    if (!project_of(area, &k, &p))
        return 0;
    for (uint32_t i = 0; i < p.tags.count && i < LIMIT_TAGS; i++) {
        struct snapshot_ref pair[2];
        if (!get(area, p.tags.at + (uint64_t)i * sizeof pair, pair, sizeof pair) ||
            !text_out(area, pair[0], ret->out[i].name, sizeof ret->out[i].name) ||
            !text_out(area, pair[1], ret->out[i].key, sizeof ret->out[i].key))
            break;
        ret->out[i].from = SNAPSHOT_NOWHERE;
        *ret->count = i + 1;
    }
    return 0;
}

int snapshot_project_tags(const struct snapshot *s, const struct snapshot_key *key,
                          struct snapshot_source ret[LIMIT_TAGS], uint32_t *ret_count) {
    *ret_count = 0;
    if (key->no_tags)
        return 0;
    return look(s, look_tags, key, &(struct tags){ret, ret_count});
}

/* ---- routes ---- */

struct wanted {
    struct name model;
    uint32_t dialect;
};

static bool target_out(const uint8_t *area, const struct snapshot_target_record *t,
                       const struct snapshot_upstream_record *u, struct snapshot_route *ret) {
    struct snapshot_target *to = &ret->to[ret->count];
    if (!text_out(area, u->name, to->provider, sizeof to->provider) ||
        !text_out(area, u->host, to->host, sizeof to->host) ||
        !text_out(area, u->path, to->path, sizeof to->path))
        return false;
    if (t->model.len == 0)
        memcpy(to->model, ret->model, strlen(ret->model) + 1);
    else if (!text_out(area, t->model, to->model, sizeof to->model))
        return false;
    to->tls = u->tls;
    to->isolate_by_user = u->isolate_by_user;
    to->dialects = u->dialects;
    to->connect_ms = u->connect_ms;
    to->first_byte_ms = u->first_byte_ms;
    to->idle_ms = u->idle_ms;
    to->total_ms = u->total_ms;
    ret->pick[ret->count] = u->health;
    ret->pick[ret->count].weight = (uint16_t)t->weight;
    ret->count++;
    return true;
}

static int look_route(const uint8_t *area, const void *ask, void *out) {
    const struct wanted *w = ask;
    struct snapshot_route *ret = out;
    struct snapshot_route_record r;
    struct snapshot_table routes;
    struct snapshot_prefixes prefixes;
    size_t len;
    ret->count = 0;
    resolve(area, &w->model, ret->model, &len);
    if (!GET_HEAD(area, routes, &routes) || !GET_HEAD(area, route_prefixes, &prefixes))
        return ERR_NOTFOUND;
    if (!find(area, &routes, snapshot_hash(ret->model, len), ret->model, len, &r, sizeof r) &&
        !find_prefix(area, &prefixes, ret->model, len, &r, sizeof r))
        return ERR_NOTFOUND;
    for (uint32_t i = 0; i < r.target_count && ret->count < LIMIT_CANDIDATES; i++) {
        struct snapshot_target_record t;
        struct snapshot_upstream_record u;
        if (!get(area, r.targets + (uint64_t)i * sizeof t, &t, sizeof t) ||
            !get(area, t.upstream, &u, sizeof u))
            break;
        if (u.dialects & w->dialect && !target_out(area, &t, &u, ret))
            break;
    }
    return ret->count ? 0 : ERR_UNSUPPORTED;
}

int snapshot_route(const struct snapshot *s, const char *model, size_t len, uint32_t dialect,
                   struct snapshot_route *ret) {
    if (len == 0 || len >= LIMIT_MODEL)
        return ERR_NOTFOUND;
    return look(s, look_route, &(struct wanted){{model, len}, dialect}, ret);
}

/* One more candidate; a record that is torn ends the look. */
static bool speaker_out(const uint8_t *area, uint32_t record, uint32_t dialect,
                        struct snapshot_route *ret) {
    struct snapshot_upstream_record u;
    const struct snapshot_target_record t = {.weight = ret->count == 0};
    return get(area, record, &u, sizeof u) &&
           (!(u.dialects & dialect) || target_out(area, &t, &u, ret));
}

static int look_speakers(const uint8_t *area, const void *ask, void *out) {
    const uint32_t *dialect = ask;
    struct snapshot_route *ret = out;
    struct snapshot_table t;
    uint32_t first;
    ret->count = 0;
    ret->model[0] = 0;
    if (!GET_HEAD(area, upstreams, &t) || !GET_HEAD(area, first_upstream, &first) || !first ||
        !speaker_out(area, first, *dialect, ret))
        return ERR_UNSUPPORTED;
    for (uint64_t i = 0; i <= t.mask && i < PROBES && ret->count < LIMIT_CANDIDATES; i++) {
        struct snapshot_bucket b;
        if (!get(area, t.buckets + i * sizeof b, &b, sizeof b))
            break;
        if (b.record && b.record != first && !speaker_out(area, b.record, *dialect, ret))
            break;
    }
    return ret->count ? 0 : ERR_UNSUPPORTED;
}

int snapshot_speakers(const struct snapshot *s, uint32_t dialect, struct snapshot_route *ret) {
    return look(s, look_speakers, &dialect, ret);
}

struct listing {
    char *out;
    size_t room, len;
};

static void list_names(const uint8_t *area, const struct snapshot_table *t, struct listing *l) {
    for (uint64_t i = 0; t->count && i <= t->mask && i < PROBES; i++) {
        struct snapshot_bucket b;
        struct snapshot_ref name;
        if (!get(area, t->buckets + i * sizeof b, &b, sizeof b))
            return;
        if (!b.record || !get(area, b.record, &name, sizeof name))
            continue;
        if (name.len && text_out(area, name, l->out + l->len, l->room - l->len))
            l->len += name.len + 1u;
    }
}

static int look_models(const uint8_t *area, const void *ask, void *out) {
    struct listing *l = out;
    struct snapshot_table routes, aliases;
    (void)ask;
    l->len = 0;
    if (!GET_HEAD(area, routes, &routes) || !GET_HEAD(area, aliases, &aliases))
        return ERR_NOTFOUND;
    list_names(area, &routes, l);
    list_names(area, &aliases, l);
    return 0;
}

int snapshot_list_models(const struct snapshot *s, char *out, size_t room, size_t *ret_len) {
    struct listing l = {out, room, 0};
    int rc = look(s, look_models, NULL, &l);
    if (!rc)
        *ret_len = l.len;
    return rc;
}

struct wanted_credential {
    struct name provider;
    uint8_t key;
};

static int look_credential(const uint8_t *area, const void *ask, void *out) {
    const struct wanted_credential *w = ask;
    struct snapshot_table t;
    struct snapshot_upstream_record u;
    if (!GET_HEAD(area, upstreams, &t) ||
        !find(area, &t, snapshot_hash(w->provider.text, w->provider.len), w->provider.text,
              w->provider.len, &u, sizeof u))
        return ERR_NOTFOUND;
    for (uint32_t i = 0; i < u.health.key_count && i < LIMIT_PROVIDER_KEYS; i++)
        if (u.health.keys[i] == w->key)
            return text_out(area, u.credentials[i], out, SNAPSHOT_CREDENTIAL) ? 0 : ERR_NOTFOUND;
    return ERR_NOTFOUND;
}

int snapshot_credential(const struct snapshot *s, const char *provider, uint8_t key,
                        char ret[SNAPSHOT_CREDENTIAL]) {
    struct wanted_credential w = {{provider, strlen(provider)}, key};
    int rc = look(s, look_credential, &w, ret);
    if (rc)
        sodium_memzero(ret, SNAPSHOT_CREDENTIAL);
    return rc;
}

/* ---- prices and names ---- */

static bool digits(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

/* The length without a date at the end; len itself if there is none. */
static size_t undated(const char *name, size_t len) {
    const char *end = name + len;
    if (len > 7 && memcmp(end - 7, "-latest", 7) == 0)
        return len - 7;
    if (len > 9 && end[-9] == '-' && digits(end - 8, 8))
        return len - 9;
    if (len > 11 && end[-11] == '-' && digits(end - 10, 4) && end[-6] == '-' &&
        digits(end - 5, 2) && end[-3] == '-' && digits(end - 2, 2))
        return len - 11;
    return len;
}

static int look_price(const uint8_t *area, const void *ask, void *out) {
    const struct name *model = ask;
    struct snapshot_table t;
    struct snapshot_prefixes prefixes;
    struct snapshot_price_record p;
    size_t shorter = undated(model->text, model->len);
    if (!GET_HEAD(area, prices, &t) || !GET_HEAD(area, price_prefixes, &prefixes))
        return ERR_NOTFOUND;
    if (!find(area, &t, snapshot_hash(model->text, model->len), model->text, model->len, &p,
              sizeof p) &&
        !find(area, &t, snapshot_hash(model->text, shorter), model->text, shorter, &p, sizeof p) &&
        !find_prefix(area, &prefixes, model->text, model->len, &p, sizeof p))
        return ERR_NOTFOUND;
    *(struct cost_price *)out = p.price;
    return 0;
}

int snapshot_price(const struct snapshot *s, const char *model, size_t len,
                   struct cost_price *ret) {
    return look(s, look_price, &(struct name){model, len}, ret);
}

static int look_currency(const uint8_t *area, const void *ask, void *out) {
    char *ret = out;
    (void)ask;
    get(area, offsetof(struct snapshot_area, currency), ret, SNAPSHOT_CURRENCY);
    ret[SNAPSHOT_CURRENCY - 1] = 0;
    return 0;
}

int snapshot_currency(const struct snapshot *s, char ret[SNAPSHOT_CURRENCY]) {
    return look(s, look_currency, NULL, ret);
}

static int look_mask_key(const uint8_t *area, const void *ask, void *out) {
    uint32_t has;
    (void)ask;
    return GET_HEAD(area, has_mask_key, &has) && has &&
                   get(area, offsetof(struct snapshot_area, mask_key), out, SNAPSHOT_MASK_KEY)
               ? 0
               : ERR_NOTFOUND;
}

int snapshot_mask_key(const struct snapshot *s, uint8_t ret[SNAPSHOT_MASK_KEY]) {
    return look(s, look_mask_key, NULL, ret);
}

static int look_model(const uint8_t *area, const void *ask, void *out) {
    const struct name *model = ask;
    struct snapshot_table t;
    struct snapshot_name_record r;
    (void)out;
    return GET_HEAD(area, models, &t) && find(area, &t, snapshot_hash(model->text, model->len),
                                              model->text, model->len, &r, sizeof r)
               ? 0
               : ERR_NOTFOUND;
}

bool snapshot_model_known(const struct snapshot *s, const char *model, size_t len) {
    return len > 0 && look(s, look_model, &(struct name){model, len}, NULL) == 0;
}

static void end_source(struct snapshot_source *s) {
    s->name[sizeof s->name - 1] = s->key[sizeof s->key - 1] = 0;
}

static int look_log(const uint8_t *area, const void *ask, void *out) {
    struct snapshot_log *ret = out;
    (void)ask;
    GET_HEAD(area, log, ret);
    end_source(&ret->session_id);
    end_source(&ret->trace_id);
    ret->tag_count = ret->tag_count < LIMIT_TAGS ? ret->tag_count : LIMIT_TAGS;
    for (uint32_t i = 0; i < ret->tag_count; i++)
        end_source(&ret->tags[i]);
    return 0;
}

int snapshot_log(const struct snapshot *s, struct snapshot_log *ret) {
    return look(s, look_log, NULL, ret);
}
