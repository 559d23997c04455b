/*
 * The tables of all fields of the configuration (config_int.h), and what holds without a file. What
 * is not in a table is not accepted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/config_int.h"
#include "control/dialect.h"

#define SECOND_MS 1000ull
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

/* Each table is for one struct, named by TYPE while it is written. */
#define AT(member) offsetof(TYPE, member)
#define ROOM(member) sizeof(((TYPE *)0)->member)
#define TEXT(label, member)                                                                        \
    { .name = label, .kind = CONFIG_TEXT, .offset = AT(member), .room = ROOM(member) }
#define FLAG(label, member)                                                                        \
    { .name = label, .kind = CONFIG_FLAG, .offset = AT(member) }
#define NUMBER(label, member, low, high)                                                           \
    { .name = label, .kind = CONFIG_NUMBER, .offset = AT(member), .min = low, .max = high }
#define SIZE(label, member, low, high)                                                             \
    { .name = label, .kind = CONFIG_SIZE, .offset = AT(member), .min = low, .max = high }
#define TIME(label, member, low, high)                                                             \
    { .name = label, .kind = CONFIG_DURATION, .offset = AT(member), .min = low, .max = high }
#define MONEY(label, member)                                                                       \
    { .name = label, .kind = CONFIG_MONEY, .offset = AT(member), .max = PRICE_MAX }
#define RULE(label, member, strict, lenient)                                                       \
    {                                                                                              \
        .name = label, .kind = CONFIG_RULE, .offset = AT(member), .words = { strict, lenient }     \
    }
#define DAYS(label, member)                                                                        \
    {                                                                                              \
        .name = label, .kind = CONFIG_NUMBER, .offset = AT(member), .min = 1, .max = DAYS_MAX      \
    }
#define TEXTS(label, member, counter)                                                              \
    {                                                                                              \
        .name = label, .kind = CONFIG_TEXTS, .offset = AT(member), .room = ROOM(member[0]),        \
        .count_offset = AT(counter)                                                                \
    }
#define NAMES(label, member, most)                                                                 \
    { .name = label, .kind = CONFIG_NAMES, .offset = AT(member), .room = most }
#define PAIRS(label, member, most)                                                                 \
    { .name = label, .kind = CONFIG_PAIRS, .offset = AT(member), .room = most }
#define ITEMS(label, member, most, schema)                                                         \
    { .name = label, .kind = CONFIG_ITEMS, .offset = AT(member), .room = most, .sub = schema }
#define MAP(label, member, most, schema)                                                           \
    { .name = label, .kind = CONFIG_MAP, .offset = AT(member), .room = most, .sub = schema }
#define SECTION(label, member, schema)                                                             \
    { .name = label, .kind = CONFIG_SECTION, .offset = AT(member), .sub = schema }
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define PRICE_MAX (1000000ull * 1000000000) /* a million units for a million tokens */

/* ---- limits: the same names as everywhere (control/limits.h) ---- */
#define TYPE struct limits_set
#define LIMIT(member, type, most)                                                                  \
    { .name = #member, .kind = type, .offset = AT(member), .min = 1, .max = most, .none = true }
static const struct config_field limits_table[] = {
    LIMIT(requests_per_minute, CONFIG_NUMBER, LIMITS_MINUTE_MAX),
    LIMIT(tokens_per_minute, CONFIG_NUMBER, LIMITS_MINUTE_MAX),
    LIMIT(concurrency, CONFIG_NUMBER, UINT16_MAX),
    LIMIT(budget_day, CONFIG_MONEY, LIMITS_SPENT_MAX),
    LIMIT(budget_month, CONFIG_MONEY, LIMITS_SPENT_MAX),
    LIMIT(tokens_day, CONFIG_NUMBER, LIMITS_SPENT_MAX),
    LIMIT(tokens_month, CONFIG_NUMBER, LIMITS_SPENT_MAX),
};
static const struct config_schema limits_schema = {
    "limits", limits_table, COUNT(limits_table), 0, 0, 0, NULL};
#undef TYPE

/* ---- providers ---- */
#define TYPE struct config_key_source
static const struct config_field key_source_table[] = {
    TEXT("env", env),
    TEXT("file", file),
    TEXT("credential", credential),
};
static const struct config_schema key_source_schema = {
    "keys", key_source_table, COUNT(key_source_table), sizeof(TYPE), 0, AT(mark), NULL};
#undef TYPE

#define TYPE struct config_provider
static const struct config_field timeouts_table[] = {
    TIME("connect", timeouts.connect_ms, 10, 5 * MINUTE_MS),
    TIME("first_byte", timeouts.first_byte_ms, 10, 24 * HOUR_MS),
    TIME("idle", timeouts.idle_ms, 10, 24 * HOUR_MS),
    TIME("total", timeouts.total_ms, 10, 24 * HOUR_MS),
};
static const struct config_schema timeouts_schema = {
    "timeouts", timeouts_table, COUNT(timeouts_table), 0, 0, 0, NULL};
static const struct config_field provider_table[] = {
    {.name = "dialect", .kind = CONFIG_DIALECTS, .offset = AT(dialects)},
    TEXT("url", url),
    ITEMS("keys", keys, LIMIT_PROVIDER_KEYS, &key_source_schema),
    NAMES("models", models, LIMIT_ROUTES),
    NUMBER("max_concurrency", max_concurrency, 1, 1000000),
    FLAG("isolate_by_user", isolate_by_user),
    {.name = "timeouts", .kind = CONFIG_SECTION, .offset = 0, .sub = &timeouts_schema},
    NUMBER("eject_after", eject_after, 0, 10000),
    TIME("eject_for", eject_for_ms, SECOND_MS, HOUR_MS),
};
static const struct config_schema provider_schema = {
    "providers", provider_table, COUNT(provider_table),   sizeof(TYPE),
    ROOM(name),  AT(mark),       config_provider_defaults};
#undef TYPE

void config_provider_defaults(void *item) {
    struct config_provider *p = item;
    p->dialects = DIALECT_OPENAI;
    p->timeouts.connect_ms = 10 * SECOND_MS;
    p->timeouts.first_byte_ms = 10 * MINUTE_MS; /* a model may think that long */
    p->timeouts.idle_ms = 10 * MINUTE_MS;
    p->timeouts.total_ms = HOUR_MS;
    p->eject_after = 5;
    p->eject_for_ms = 30 * SECOND_MS;
}

/* ---- routes ---- */
#define TYPE struct config_target
static const struct config_field target_table[] = {
    TEXT("name", name),
    TEXT("model", model),
    NUMBER("weight", weight, 1, 10000),
};
static void target_defaults(void *item) {
    ((struct config_target *)item)->weight = 1;
}
static const struct config_schema target_schema = {
    "providers", target_table, COUNT(target_table), sizeof(TYPE), 0, AT(mark), target_defaults};
#undef TYPE

#define TYPE struct config_route
static const struct config_field route_table[] = {
    TEXT("model", model),
    ITEMS("providers", providers, LIMIT_CANDIDATES, &target_schema),
    NAMES("fallback", fallback, LIMIT_CANDIDATES),
};
static const struct config_schema route_schema = {
    "routes", route_table, COUNT(route_table), sizeof(TYPE), 0, AT(mark), NULL};
#undef TYPE

/* ---- projects and keys ---- */
#define TYPE struct config_project
static const struct config_field project_table[] = {
    NAMES("models", models, LIMIT_ALLOWED_MODELS),
    SECTION("limits", limits, &limits_schema),
    PAIRS("tags", tags, LIMIT_TAGS),
};
static void project_defaults(void *item) {
    ((struct config_project *)item)->limits = LIMITS_SET_INHERIT;
}
static const struct config_schema project_schema = {
    "projects", project_table, COUNT(project_table), sizeof(TYPE),
    ROOM(name), AT(mark),      project_defaults};
#undef TYPE

/* ---- detect ---- */
#define DETECT_CLASSES 512
#define TYPE struct config_detected
static const struct config_field detected_table[] = {
    PAIRS("classes", classes, DETECT_CLASSES),
};
static const struct config_schema detected_schema = {
    "detect.projects", detected_table, COUNT(detected_table), sizeof(TYPE), ROOM(name), AT(mark), NULL};
#undef TYPE

/* ---- prices ---- */
#define TYPE struct config_price
static const struct config_field price_table[] = {
    MONEY("input", price.input),
    MONEY("cached_input", price.cached_input),
    MONEY("cache_write", price.cache_write),
    MONEY("output", price.output),
};
static void price_defaults(void *item) {
    struct config_price *p = item;
    p->price.cached_input = p->price.cache_write = CONFIG_PRICE_INPUT;
}
static const struct config_schema price_schema = {
    "models", price_table, COUNT(price_table), sizeof(TYPE), ROOM(name), AT(mark), price_defaults};
#undef TYPE

/* ---- log ---- */
#define TYPE struct config_source
static const struct config_field source_table[] = {
    TEXT("header", header),
    TEXT("metadata", metadata),
};
static const struct config_schema session_schema = {
    "session_id", source_table, COUNT(source_table), 0, 0, AT(mark), NULL};
static const struct config_schema trace_schema = {
    "trace_id", source_table, COUNT(source_table), 0, 0, AT(mark), NULL};
#undef TYPE
#define TYPE struct config_tag
static const struct config_field tag_table[] = {
    TEXT("header", source.header),
    TEXT("metadata", source.metadata),
};
static const struct config_schema tag_schema = {
    "tags", tag_table, COUNT(tag_table), sizeof(TYPE), ROOM(name), AT(mark), NULL};
#undef TYPE

/* ---- the file ---- */
#define TYPE struct config
static const struct config_field upstream_table[] = {
    TEXT("url", upstream.url),
    TEXT("name", upstream.name),
    TEXT("credential_env", upstream.credential_env),
    TEXT("credential_file", upstream.credential_file),
    TEXTS("models", upstream.models, upstream.model_count),
};
static const struct config_field tls_table[] = {
    TEXT("certificate", tls.certificate),
    TEXT("key", tls.key),
};
static const struct config_field gateway_table[] = {
    NUMBER("workers", gateway.workers, 1, 64),
    SIZE("max_body", gateway.max_body, 1024, LIMIT_REQUEST_BODY),
    SIZE("body_memory", gateway.body_memory, LIMIT_REQUEST_BODY, 1ull << 36),
    SIZE("ring_size", gateway.ring_size, 16u << 20, 1ull << 36),
    RULE("nginx", gateway.nginx, "started", "own"),
};
static const struct config_field vault_table[] = {
    TEXTS("replica", vault.replica, vault.replica_count),
    NUMBER("approval_above", vault.approval_above, 0, 1000000000),
};
static const struct config_field keys_table[] = {
    NAMES("models", keys.models, LIMIT_ALLOWED_MODELS),
    SECTION("limits", keys.limits, &limits_schema),
};
static const struct config_field prices_table[] = {
    TEXT("currency", prices.currency),
    TEXT("as_of", prices.as_of),
    FLAG("defaults", prices.defaults),
    MAP("models", prices.models, LIMIT_PRICES, &price_schema),
};
static const struct config_field log_table[] = {
    SECTION("session_id", log.session_id, &session_schema),
    SECTION("trace_id", log.trace_id, &trace_schema),
    MAP("tags", log.tags, LIMIT_TAGS, &tag_schema),
};
#define DAYS_MAX 36500
#define STATED_MAX 64
static const struct config_field retention_table[] = {
    DAYS("content_days", retention.content_days),
    DAYS("metadata_days", retention.metadata_days),
};
static const struct config_field processing_table[] = {
    TEXT("controller", processing.controller),
    TEXT("contact", processing.contact),
    TEXT("representative", processing.representative),
    TEXT("data_protection_officer", processing.officer),
    NAMES("purposes", processing.purposes, STATED_MAX),
    NAMES("legal_bases", processing.legal_bases, STATED_MAX),
    NAMES("people", processing.categories_people, STATED_MAX),
    NAMES("data", processing.categories_data, STATED_MAX),
    NAMES("recipients", processing.recipients, STATED_MAX),
    TEXT("transfers", processing.transfers),
    NAMES("measures", processing.measures, STATED_MAX),
};
#define CONTACTS_MAX 8
static const struct config_field reports_table[] = {
    FLAG("enabled", reports.enabled),
    NAMES("contact", reports.contact, CONTACTS_MAX),
    TEXT("expires", reports.expires),
    TEXT("policy", reports.policy),
    TEXT("acknowledgments", reports.acknowledgments),
    TEXT("encryption", reports.encryption),
    TEXT("canonical", reports.canonical),
    TEXT("languages", reports.languages),
    TEXT("file", reports.file),
    {.name = "remind_days",
     .kind = CONFIG_NUMBER,
     .offset = AT(reports.remind_days),
     .min = 1,
     .max = 365,
     .none = true},
};
static const struct config_field alarms_table[] = {
    TEXT("webhook_file", alarms.webhook_file),
};
static const struct config_field detect_table[] = {
    FLAG("enabled", detect.enabled),
    PAIRS("classes", detect.classes, DETECT_CLASSES),
    MAP("projects", detect.projects, LIMIT_PROJECTS, &detected_schema),
    TEXT("rules", detect.rules),
    NAMES("mute", detect.mute, DETECT_CLASSES),
};
#define PART(word, table)                                                                          \
    { word, table, COUNT(table), 0, 0, 0, NULL }
static const struct config_schema upstream_schema = PART("upstream", upstream_table);
static const struct config_schema tls_schema = PART("tls", tls_table);
static const struct config_schema gateway_schema = PART("gateway", gateway_table);
static const struct config_schema vault_schema = PART("vault", vault_table);
static const struct config_schema keys_schema = PART("keys", keys_table);
static const struct config_schema prices_schema = {
    "prices", prices_table, COUNT(prices_table), 0, 0, AT(prices.mark), NULL};
static const struct config_schema log_schema = PART("log", log_table);
static const struct config_schema detect_schema = PART("detect", detect_table);
static const struct config_schema reports_schema = {
    "reports", reports_table, COUNT(reports_table), 0, 0, AT(reports.mark), NULL};
static const struct config_schema retention_schema = PART("retention", retention_table);
static const struct config_schema alarms_schema = PART("alarms", alarms_table);
static const struct config_schema processing_schema = PART("processing", processing_table);

/* These tables are for struct config itself, so they begin at its beginning. */
#define OWN(label, schema)                                                                         \
    { .name = label, .kind = CONFIG_SECTION, .offset = 0, .sub = schema }
static const struct config_field top_table[] = {
    TEXT("listen", listen),
    TEXT("console", console),
    FLAG("behind_tls_proxy", behind_tls_proxy),
    RULE("sandbox", sandbox, "required", "best-effort"),
    RULE("unencrypted_swap", unencrypted_swap, "refuse", "accept"),
    OWN("upstream", &upstream_schema),
    MAP("providers", providers, LIMIT_PROVIDERS, &provider_schema),
    ITEMS("routes", routes, LIMIT_ROUTES, &route_schema),
    PAIRS("aliases", aliases, LIMIT_ROUTES),
    MAP("projects", projects, LIMIT_PROJECTS, &project_schema),
    OWN("keys", &keys_schema),
    OWN("prices", &prices_schema),
    OWN("log", &log_schema),
    OWN("detect", &detect_schema),
    OWN("reports", &reports_schema),
    OWN("retention", &retention_schema),
    OWN("processing", &processing_schema),
    OWN("alarms", &alarms_schema),
    OWN("tls", &tls_schema),
    OWN("gateway", &gateway_schema),
    OWN("vault", &vault_schema),
};
#undef TYPE
const struct config_schema config_schema = PART("", top_table);

/* ---- the struct ---- */

struct config *config_new(void) {
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->gateway.max_body = LIMIT_REQUEST_BODY;
    c->gateway.body_memory = LIMIT_BODY_MEMORY;
    c->vault.approval_above = CONFIG_APPROVAL_ABOVE;
    memcpy(c->prices.currency, "USD", 4);
    c->prices.defaults = true;
    c->detect.enabled = true;
    c->reports.enabled = true;
    c->reports.remind_days = CONFIG_REMIND_DAYS;
    return c;
}

int config_array_add(struct config_array *a, size_t bytes, void **ret) {
    /* Powers of two: the room follows from the count. */
    if ((a->count & (a->count - 1)) == 0) {
        void *more = reallocarray(a->at, a->count ? 2 * a->count : 1, bytes);
        if (!more)
            return ERR_NOMEM;
        a->at = more;
    }
    *ret = (char *)a->at + a->count++ * bytes;
    memset(*ret, 0, bytes);
    return 0;
}

static void free_lists(const struct config_schema *schema, char *base) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct config_field *f = &schema->fields[i];
        struct config_array *a = (struct config_array *)(void *)(base + f->offset);
        switch (f->kind) {
        case CONFIG_SECTION:
            free_lists(f->sub, base + f->offset);
            break;
        case CONFIG_ITEMS:
        case CONFIG_MAP:
            for (size_t k = 0; k < a->count; k++)
                free_lists(f->sub, (char *)a->at + k * f->sub->bytes);
            free(a->at);
            break;
        case CONFIG_NAMES:
        case CONFIG_PAIRS:
            free(a->at);
            break;
        default:
            break;
        }
    }
}

void config_free(struct config *c) {
    if (!c)
        return;
    free_lists(&config_schema, (char *)c);
    free(c);
}
