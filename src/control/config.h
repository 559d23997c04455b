#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H
/*
 * The configuration: one YAML file, read strictly. An unknown or repeated field, a value of the
 * wrong kind or out of range, a reference that leads nowhere is an error with line and column, and
 * names the nearest that exists. doc/configuration.md says what each field means,
 * examples/full.yaml shows them.
 *
 *   config_new, config_load, then what the command line says instead (into `upstream`, `listen`,
 * ...), then config_complete; config_credentials_load where the providers' keys are needed (the
 * supervisor only, control/config_credentials.h); control_publish (control/publish.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "control/cost.h"
#include "control/limits.h"
#include "control/snapshot.h"

#define CONFIG_ADDRESS 128
#define CONFIG_URL 1024
#define CONFIG_PATH 4096
#define CONFIG_APPROVAL_ABOVE 1000
#define CONFIG_REMIND_DAYS 3
#define CONFIG_LIST 64 /* entries of `models` and `replica` */

enum config_rule { CONFIG_STRICT, CONFIG_LENIENT };

/* Where something stands in the file, from 1; zero = it does not. */
struct config_mark {
    uint32_t line, column;
};

/* Lists grow on the heap and belong to the struct config; `at` is NULL while count is 0. */
struct config_name {
    char text[LIMIT_MODEL];
    struct config_mark mark;
};
struct config_names {
    struct config_name *at;
    size_t count;
};
struct config_pair {
    char name[LIMIT_MODEL], text[LIMIT_MODEL];
    struct config_mark mark;
};
struct config_pairs {
    struct config_pair *at;
    size_t count;
};

struct config_key_source { /* exactly one is not "" */
    char env[LIMIT_NAME], file[CONFIG_PATH], credential[LIMIT_NAME];
    struct config_mark mark;
};
struct config_provider {
    char name[LIMIT_NAME];
    struct config_mark mark;
    uint32_t dialects; /* control/dialect.h */
    char url[CONFIG_URL];
    struct {
        struct config_key_source *at;
        size_t count;
    } keys;
    struct config_names models; /* what it serves; none = not said */
    uint64_t max_concurrency;   /* 0 = no limit */
    bool isolate_by_user;
    struct {
        uint64_t connect_ms, first_byte_ms, idle_ms, total_ms;
    } timeouts;
    uint64_t eject_after; /* failures in a row, 0 = never */
    uint64_t eject_for_ms;
};

struct config_target {
    char name[LIMIT_NAME];   /* of the provider */
    char model[LIMIT_MODEL]; /* as the provider knows it; "" = as it was asked for */
    uint64_t weight;
    struct config_mark mark;
};
struct config_route {
    char model[LIMIT_MODEL];
    struct config_mark mark;
    struct {
        struct config_target *at;
        size_t count;
    } providers;
    struct config_names fallback;
};

struct config_project {
    char name[LIMIT_NAME];
    struct config_mark mark;
    struct config_names models;
    struct limits_set limits; /* LIMITS_INHERIT = not said */
    struct config_pairs tags;
};

#define CONFIG_PRICE_INPUT UINT64_MAX /* not said: the same as `input` */
struct config_price {
    char name[LIMIT_MODEL];
    struct config_mark mark;
    struct cost_price price; /* nano for a million tokens */
};

struct config_source { /* at most one is not "" */
    char header[LIMIT_NAME], metadata[LIMIT_NAME];
    struct config_mark mark;
};
struct config_tag {
    char name[LIMIT_NAME];
    struct config_mark mark;
    struct config_source source;
};

struct config_detected {
    char name[LIMIT_NAME]; /* of the project */
    struct config_mark mark;
    struct config_pairs classes;
};

struct config {
    char listen[CONFIG_ADDRESS]; /* "address:port", "" = not set */
    char console[CONFIG_ADDRESS];
    struct {
        char url[CONFIG_URL];            /* "" = not set */
        char name[LIMIT_NAME];           /* as in the clear columns */
        char credential_env[LIMIT_NAME]; /* the variable that holds the provider's key */
        char credential_file[CONFIG_PATH];
        char models[CONFIG_LIST][LIMIT_MODEL]; /* names that may stand in clear columns */
        size_t model_count;
    } upstream; /* short for one provider that gets everything; config_complete makes it one */
    struct {
        char certificate[CONFIG_PATH];
        char key[CONFIG_PATH];
    } tls;
    bool behind_tls_proxy;
    enum config_rule sandbox;          /* strict = required, lenient = best-effort */
    enum config_rule unencrypted_swap; /* strict = refuse, lenient = accept */
    struct {
        uint64_t workers;       /* 0 = as many as processors */
        uint64_t max_body;      /* bytes of a request's body */
        uint64_t body_memory;   /* bytes of bodies that a worker holds at one time */
        uint64_t ring_size;     /* bytes of the exchange ring, 0 = default */
        enum config_rule nginx; /* strict = started with the rest, lenient = someone's own */
    } gateway;
    struct {
        char replica[CONFIG_LIST][CONFIG_PATH];
        size_t replica_count;
        uint64_t approval_above; /* cells an hour that one person opens alone */
    } vault;
    struct {
        struct config_provider *at;
        size_t count;
    } providers;
    struct {
        struct config_route *at;
        size_t count;
    } routes;
    struct config_pairs aliases;
    struct {
        struct config_project *at;
        size_t count;
    } projects;
    struct {
        struct config_names models;
        struct limits_set limits;
    } keys; /* what holds for a key that says nothing else */
    struct {
        char currency[SNAPSHOT_CURRENCY];
        char as_of[16]; /* "2026-01-31": when somebody last looked them up */
        struct config_mark mark;
        bool defaults; /* the public prices of control/prices.h where nothing else is said */
        struct {
            struct config_price *at;
            size_t count;
        } models;
    } prices;
    struct {
        struct config_source session_id, trace_id;
        struct {
            struct config_tag *at;
            size_t count;
        } tags;
    } log;
    struct {
        uint64_t content_days, metadata_days; /* that rows are kept; 0 = for ever */
    } retention;
    struct {
        char webhook_file[CONFIG_PATH]; /* its first line is the URL; "" = no webhook */
    } alarms;
    struct { /* what a record of processing says; "" = not stated */
        char controller[512], contact[256], representative[256], officer[256], transfers[512];
        struct config_names purposes, categories_people, categories_data, recipients, measures,
            legal_bases;
    } processing;
    struct { /* from outside (doc/disclosure.md); "" = not said */
        bool enabled;
        struct config_mark mark;
        struct config_names contact;
        char expires[64], policy[256], acknowledgments[256], encryption[256], canonical[256];
        char languages[128];
        char file[CONFIG_PATH]; /* a security.txt of one's own, signed perhaps */
        uint64_t remind_days;   /* that a report may wait; 0 = nobody is reminded */
    } reports;
    struct {
        bool enabled;
        struct config_pairs classes; /* "fingerprint", "seal", "allow", "block", "mask" */
        struct {
            struct config_detected *at;
            size_t count;
        } projects;               /* what differs there */
        char rules[CONFIG_PATH];  /* "" = none of one's own */
        struct config_names mute; /* rules and classes */
    } detect;
};

#define CONFIG_WHY 512

/* Large: on the heap. Every field at its default. NULL without memory. */
struct config *config_new(void);
void config_free(struct config *c); /* NULL-safe */

/*
 * Reads the file into c, over what is there. On failure `why` has "FILE:LINE:COLUMN: sentence" and
 * c is in no useful state. ERR_NOTFOUND: no such file; ERR_SYNTAX; ERR_LIMIT: larger than 1 MiB;
 * ERR_IO.
 */
int config_load(struct config *c, const char *path, char why[CONFIG_WHY]);
/* The same from memory; `name` stands for the file in `why`. */
int config_parse(struct config *c, const char *name, const void *text, size_t len,
                 char why[CONFIG_WHY]);

/*
 * Writes out what is implied: `upstream` becomes the one provider with a route for every model (and
 * is empty afterwards), and without `routes` each provider gets those of its models (without
 * models: everything else). Once, after the command line had its say. ERR_USAGE with `why`:
 * upstream and providers, or a bad URL.
 */
int config_complete(struct config *c, char why[CONFIG_WHY]);

/* A URL's parts: host with its port if that is not the scheme's, path without the last '/'. False
 * when it is no http or https URL, or has more in it (a user, a query). */
bool config_url_split(const char *url, bool *ret_tls, char host[SNAPSHOT_HOST],
                      char path[SNAPSHOT_PATH]);

/* Is this action of `detect` one for the gateway, before it forwards: block or mask? */
bool config_is_inspection(const char *action);
/* Has the project such a class (NULL: any project), so that its requests are inspected? */
bool config_inspects(const struct config *c, const char *project);

/* The effective configuration as YAML that config_parse reads again. No secret is in it: keys are
 * named by where they come from. */
int config_describe(const struct config *c, struct buf *out);

#endif
