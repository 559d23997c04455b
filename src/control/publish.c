/*
 * Makes a snapshot's data out of configuration and control data (publish.h), in the supervisor. All
 * of it lives in one struct for the length of the call; the providers' keys are only pointed to.
 */
#include "control/publish.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/config_int.h" /* config_array_add */
#include "control/prices.h"

/* Keys that expired lately stay known, so that their owners are told so; the gateway lets none in. */
#define EXPIRED_KEPT_US (30ull * 86400 * 1000000)

struct publication {
    const struct control_publisher *to;
    const struct config *config;
    uint64_t now_us;
    struct snapshot_data data;
    struct {
        void **at;
        size_t count;
    } pool; /* what was made for this publication, and goes with it */
    struct {
        struct snapshot_key *at;
        size_t count;
    } keys;
    struct {
        const char **at;
        size_t count;
    } key_models, models;
    struct {
        struct snapshot_project *at;
        size_t count;
    } projects;
    struct {
        struct snapshot_pair *at;
        size_t count;
    } aliases;
    struct {
        struct snapshot_price_data *at;
        size_t count;
    } prices;
    char *key_default_models;
    struct snapshot_upstream upstreams[LIMIT_PROVIDERS];
    char hosts[LIMIT_PROVIDERS][SNAPSHOT_HOST], paths[LIMIT_PROVIDERS][SNAPSHOT_PATH];
    const char *credentials[LIMIT_PROVIDERS][LIMIT_PROVIDER_KEYS];
    struct snapshot_route_data routes[LIMIT_ROUTES];
    struct snapshot_target_data targets[LIMIT_ROUTES][LIMIT_CANDIDATES];
    struct snapshot_log log;
};

#define ADD(array, item)                                                                           \
    config_array_add((struct config_array *)(void *)&(array), sizeof *(array).at, (item))

/* ---- memory that lives as long as the publication ---- */

/* Takes what was allocated; NULL without memory. */
static void *keep(struct publication *p, void *memory) {
    void *slot;
    if (!memory || ADD(p->pool, &slot)) {
        free(memory);
        return NULL;
    }
    *(void **)slot = memory;
    return memory;
}

static char *keep_text(struct publication *p, const char *text) {
    return keep(p, strdup(text));
}

/* "a,b*" */
static char *join(struct publication *p, const struct config_names *names) {
    char text[LIMIT_ALLOWED_MODELS * LIMIT_MODEL] = "";
    size_t len = 0;
    CHECK(names->count <= LIMIT_ALLOWED_MODELS);
    for (size_t i = 0; i < names->count; i++) {
        if (i)
            text[len++] = ',';
        memcpy(text + len, names->at[i].text, strlen(names->at[i].text) + 1);
        len += strlen(names->at[i].text);
    }
    return keep_text(p, text);
}

/* ---- projects and keys ---- */

static const struct config_project *configured(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->projects.count; i++)
        if (strcmp(c->projects.at[i].name, name) == 0)
            return &c->projects.at[i];
    return NULL;
}

static int set_tags(struct publication *p, struct snapshot_project *project,
                    const struct config_project *c) {
    struct snapshot_pair *tags = keep(p, calloc(c->tags.count + 1, sizeof *tags));
    if (!tags)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->tags.count; i++)
        tags[i] = (struct snapshot_pair){c->tags.at[i].name, c->tags.at[i].text};
    project->tags = tags;
    project->tag_count = (uint32_t)c->tags.count;
    return 0;
}

static int add_project(void *arg, const struct control_project *own) {
    static const struct limits_set none;
    struct publication *p = arg;
    const struct config_project *c = configured(p->config, own->name);
    void *item;
    if (ADD(p->projects, &item))
        return ERR_NOMEM;
    struct snapshot_project *s = item;
    struct limits_set limits = own->terms.limits;
    s->tenant = keep_text(p, own->tenant);
    s->name = keep_text(p, own->name);
    s->models = own->terms.models_set ? keep_text(p, own->terms.models)
                : c                   ? join(p, &c->models)
                                      : "";
    if (!s->tenant || !s->name || !s->models)
        return ERR_NOMEM;
    if (c)
        limits_inherit(&limits, &c->limits);
    limits_inherit(&limits, &none);
    s->limits = limits;
    s->inspect = config_inspects(p->config, own->name);
    int rc = c ? set_tags(p, s, c) : 0;
    return rc ? rc
              : limits_entry(p->to->limits, LIMITS_PROJECT, own->tenant, own->name, p->now_us,
                             &s->entry);
}

static int add_key(void *arg, const struct control_key *own) {
    struct publication *p = arg;
    void *key, *models;
    if (ADD(p->keys, &key) || ADD(p->key_models, &models))
        return ERR_NOMEM;
    struct snapshot_key *k = key;
    const char **m = models;
    memcpy(k->id, own->id, sizeof k->id);
    memcpy(k->hash, own->hash, sizeof k->hash);
    memcpy(k->tenant, own->tenant, sizeof k->tenant);
    memcpy(k->project, own->project, sizeof k->project);
    k->expires_us = own->expires_us;
    k->limits = own->terms.limits;
    limits_inherit(&k->limits, &p->config->keys.limits);
    *m = own->terms.models_set ? keep_text(p, own->terms.models) : p->key_default_models;
    if (!*m)
        return ERR_NOMEM;
    return limits_entry(p->to->limits, LIMITS_KEY, own->tenant, own->id, p->now_us, &k->entry);
}

/* ---- providers and routes ---- */

static int add_upstream(struct publication *p, const struct config_credentials *credentials,
                        size_t i) {
    const struct config_provider *c = &p->config->providers.at[i];
    struct snapshot_upstream *u = &p->upstreams[i];
    if (!config_url_split(c->url, &u->tls, p->hosts[i], p->paths[i]))
        return ERR_USAGE;
    u->name = c->name;
    u->host = p->hosts[i];
    u->path = p->paths[i];
    u->isolate_by_user = c->isolate_by_user;
    u->dialects = c->dialects;
    u->connect_ms = (uint32_t)c->timeouts.connect_ms;
    u->first_byte_ms = (uint32_t)c->timeouts.first_byte_ms;
    u->idle_ms = (uint32_t)c->timeouts.idle_ms;
    u->total_ms = (uint32_t)c->timeouts.total_ms;
    u->health.max_concurrency = (uint32_t)c->max_concurrency;
    u->health.eject_after = (uint32_t)c->eject_after;
    u->health.eject_for_ms = (uint32_t)c->eject_for_ms;
    u->credentials = p->credentials[i];
    int rc = health_provider(p->to->health, c->name, &u->health.provider);
    for (size_t k = 0; k < c->keys.count && !rc; k++) {
        p->credentials[i][k] = config_credential(credentials, i, k);
        rc = p->credentials[i][k] ? health_key(p->to->health, u->health.provider,
                                               p->credentials[i][k], &u->health.keys[k])
                                  : ERR_USAGE;
        u->health.key_count++;
    }
    return rc;
}

static int provider_index(const struct config *c, const char *name, uint32_t *ret) {
    for (size_t i = 0; i < c->providers.count; i++) {
        if (strcmp(c->providers.at[i].name, name) == 0) {
            *ret = (uint32_t)i;
            return 0;
        }
    }
    return ERR_USAGE;
}

static int add_route(struct publication *p, size_t i) {
    const struct config_route *c = &p->config->routes.at[i];
    struct snapshot_target_data *t = p->targets[i];
    uint32_t n = 0;
    int rc = 0;
    if (c->providers.count + c->fallback.count > LIMIT_CANDIDATES)
        return ERR_LIMIT;
    for (size_t k = 0; k < c->providers.count && !rc; k++, n++) {
        rc = provider_index(p->config, c->providers.at[k].name, &t[n].upstream);
        t[n].weight = (uint16_t)c->providers.at[k].weight;
        t[n].model = c->providers.at[k].model;
    }
    for (size_t k = 0; k < c->fallback.count && !rc; k++, n++)
        rc = provider_index(p->config, c->fallback.at[k].text, &t[n].upstream);
    p->routes[i] = (struct snapshot_route_data){c->model, t, n};
    return rc;
}

static int add_names(struct publication *p) {
    const struct config *c = p->config;
    void *item;
    for (size_t i = 0; i < c->aliases.count; i++) {
        if (ADD(p->aliases, &item))
            return ERR_NOMEM;
        *(struct snapshot_pair *)item =
            (struct snapshot_pair){c->aliases.at[i].name, c->aliases.at[i].text};
    }
    for (size_t i = 0; i < c->providers.count; i++) {
        for (size_t k = 0; k < c->providers.at[i].models.count; k++) {
            if (ADD(p->models, &item))
                return ERR_NOMEM;
            *(const char **)item = c->providers.at[i].models.at[k].text;
        }
    }
    return 0;
}

/* ---- prices ---- */

static int add_price(struct publication *p, const char *model, struct cost_price price) {
    void *item;
    if (ADD(p->prices, &item))
        return ERR_NOMEM;
    if (price.cached_input == CONFIG_PRICE_INPUT)
        price.cached_input = price.input;
    if (price.cache_write == CONFIG_PRICE_INPUT)
        price.cache_write = price.input;
    *(struct snapshot_price_data *)item = (struct snapshot_price_data){model, price};
    return 0;
}

static bool priced(const struct config *c, const char *model) {
    for (size_t i = 0; i < c->prices.models.count; i++)
        if (strcmp(c->prices.models.at[i].name, model) == 0)
            return true;
    return false;
}

static int add_prices(struct publication *p) {
    const struct config *c = p->config;
    int rc = 0;
    for (size_t i = 0; i < c->prices.models.count && !rc; i++)
        rc = add_price(p, c->prices.models.at[i].name, c->prices.models.at[i].price);
    /* The public prices are in their own currency: with another one they would be wrong. */
    if (!c->prices.defaults || strcmp(c->prices.currency, PRICES_CURRENCY) != 0)
        return rc;
    for (size_t i = 0; i < prices_default_count && !rc; i++)
        if (!priced(c, prices_default[i].model))
            rc = add_price(p, prices_default[i].model, prices_default[i].price);
    return rc;
}

/* ---- log ---- */

static struct snapshot_source source(const char *name, const struct config_source *c) {
    struct snapshot_source s = {.from = c->header[0]     ? SNAPSHOT_HEADER
                                        : c->metadata[0] ? SNAPSHOT_METADATA
                                                         : SNAPSHOT_NOWHERE};
    memcpy(s.name, name, strnlen(name, sizeof s.name - 1));
    memcpy(s.key, c->header[0] ? c->header : c->metadata, sizeof s.key);
    for (char *k = s.key; *k && s.from == SNAPSHOT_HEADER; k++)
        *k = (char)tolower((unsigned char)*k);
    return s;
}

static void set_log(struct publication *p) {
    const struct config *c = p->config;
    p->log.session_id = source("", &c->log.session_id);
    p->log.trace_id = source("", &c->log.trace_id);
    for (size_t i = 0; i < c->log.tags.count && i < LIMIT_TAGS; i++)
        p->log.tags[p->log.tag_count++] = source(c->log.tags.at[i].name, &c->log.tags.at[i].source);
}

/* ---- all of it ---- */

static int collect(struct publication *p, const struct config_credentials *credentials,
                   struct control_db *db) {
    const struct config *c = p->config;
    int rc = c->providers.count > LIMIT_PROVIDERS || c->routes.count > LIMIT_ROUTES ? ERR_LIMIT : 0;
    p->key_default_models = join(p, &c->keys.models);
    if (!p->key_default_models)
        return ERR_NOMEM;
    if (!rc)
        rc = control_db_projects(db, add_project, p);
    if (!rc)
        rc = control_db_each_live_key(
            db, p->now_us > EXPIRED_KEPT_US ? p->now_us - EXPIRED_KEPT_US : 0, add_key, p);
    for (size_t i = 0; i < c->providers.count && !rc; i++)
        rc = add_upstream(p, credentials, i);
    for (size_t i = 0; i < c->routes.count && !rc; i++)
        rc = add_route(p, i);
    if (!rc)
        rc = add_names(p);
    if (!rc)
        rc = add_prices(p);
    set_log(p);
    return rc;
}

static void arrange(struct publication *p) {
    p->data = (struct snapshot_data){.keys = p->keys.at,
                                     .key_count = (uint32_t)p->keys.count,
                                     .key_models = p->key_models.at,
                                     .projects = p->projects.at,
                                     .project_count = (uint32_t)p->projects.count,
                                     .upstreams = p->upstreams,
                                     .upstream_count = (uint32_t)p->config->providers.count,
                                     .routes = p->routes,
                                     .route_count = (uint32_t)p->config->routes.count,
                                     .aliases = p->aliases.at,
                                     .alias_count = (uint32_t)p->aliases.count,
                                     .prices = p->prices.at,
                                     .price_count = (uint32_t)p->prices.count,
                                     .models = p->models.at,
                                     .model_count = (uint32_t)p->models.count,
                                     .currency = p->config->prices.currency,
                                     .log = &p->log,
                                     .mask_key = p->to->mask_key};
}

static void publication_free(struct publication *p) {
    for (size_t i = 0; i < p->pool.count; i++)
        free(p->pool.at[i]);
    free(p->pool.at);
    free(p->keys.at);
    free(p->key_models.at);
    free(p->models.at);
    free(p->projects.at);
    free(p->aliases.at);
    free(p->prices.at);
    free(p);
}

int control_publish(const struct control_publisher *to, const struct config *c,
                    const struct config_credentials *credentials, struct control_db *db,
                    uint64_t now_us) {
    struct publication *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->to = to;
    p->config = c;
    p->now_us = now_us;
    limits_begin(to->limits);
    health_begin(to->health);
    int rc = collect(p, credentials, db);
    if (!rc) {
        arrange(p);
        rc = snapshot_publish(to->snapshot_fd, &p->data);
    }
    if (!rc)
        limits_end(to->limits, now_us);
    publication_free(p);
    return rc;
}
