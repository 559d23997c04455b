/*
 * Services that speak HTTP, by a table: for each, what shows that it is this one (no proof of
 * anything), and which requests a locked server would refuse. Only requests that read; nothing that
 * makes a model work, starts a job or writes a file.
 *
 * A proof counts when the answer has the shape that is named (JSON, with that member), not for its
 * status: pages for people answer 200 to everything.
 */
#include <stdio.h>
#include <string.h>

#include "audit/probe/probe.h"
#include "llm/json.h"

enum shape {
    TEXT,   /* the body has this text */
    HEADER, /* this header is there (and has this value in it) */
    MEMBER, /* JSON with this member; a path with dots */
    EQUALS, /* the member has this value */
    ARRAY,  /* the member is an array; "" is the whole body */
    ROWS,   /* the same, and not an empty one */
};

struct want {
    enum shape shape;
    const char *member, *value;
};

struct ask {
    const char *path;
    const char *body; /* NULL: GET; else POST of this JSON */
    struct want want;
    enum audit_verdict verdict;
    char grade;
    const char *reason;
};

struct mark {
    const char *path, *body;
    struct want want;
};

struct http_service {
    const char *name;
    uint16_t ports[4];           /* where it is looked for first */
    struct mark fingerprints[3]; /* any one is enough */
    struct ask proofs[4];        /* each is asked */
    struct want version;         /* in the fingerprint's answer */
    int refused;         /* a status that means "asks for a credential", beside 401 and 403 */
    const char *refusal; /* and a text that must come with it; NULL: none */
};

#define LIST(path, member, reason)                                                                 \
    { path, NULL, {ARRAY, member, NULL}, AUDIT_OPEN, 'D', reason }
#define FULL(path, member, reason)                                                                 \
    { path, NULL, {ROWS, member, NULL}, AUDIT_OPEN, 'E', reason }

static const struct http_service services[] = {
    {"elasticsearch",
     {9200, 9300},
     {{"/", NULL, {TEXT, "You Know, for Search", NULL}},
      {"/", NULL, {HEADER, "x-elastic-product", NULL}},
      {"/", NULL, {TEXT, "opensearch.org", NULL}}},
     {LIST("/_cat/indices?format=json&h=index,docs.count", "", "indices are listed to strangers"),
      FULL("/_cat/indices?format=json&h=index,docs.count", "",
           "indices and their documents are readable to strangers")},
     {MEMBER, "version.number", NULL},
     0,
     NULL},
    {"couchdb",
     {5984},
     {{"/", NULL, {EQUALS, "couchdb", "Welcome"}}},
     {LIST("/_all_dbs", "", "databases are listed to strangers"),
      {"/_session",
       NULL,
       {TEXT, "\"_admin\"", NULL},
       AUDIT_OPEN,
       'F',
       "every stranger is administrator (admin party)"}},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"influxdb",
     {8086},
     {{"/ping", NULL, {HEADER, "x-influxdb-version", NULL}}},
     {{"/query?q=SHOW%20DATABASES",
       NULL,
       {ARRAY, "results", NULL},
       AUDIT_OPEN,
       'E',
       "queries work without a password"}},
     {HEADER, "x-influxdb-version", NULL},
     0,
     NULL},
    {"etcd",
     {2379, 2380},
     {{"/version", NULL, {MEMBER, "etcdserver", NULL}}},
     {{"/v3/kv/range",
       "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"count_only\":true}",
       {MEMBER, "header.cluster_id", NULL},
       AUDIT_OPEN,
       'E',
       "every key is readable to strangers (a cluster's secrets, if it is Kubernetes')"},
      {"/v3beta/kv/range",
       "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"count_only\":true}",
       {MEMBER, "header.cluster_id", NULL},
       AUDIT_OPEN,
       'E',
       "every key is readable to strangers"}},
     {MEMBER, "etcdserver", NULL},
     400,
     "user name is empty"},
    {"docker",
     {2375, 2376},
     {{"/_ping", NULL, {HEADER, "api-version", NULL}},
      {"/version", NULL, {MEMBER, "ApiVersion", NULL}}},
     {{"/version",
       NULL,
       {MEMBER, "ApiVersion", NULL},
       AUDIT_OPEN,
       'D',
       "the engine answers strangers"},
      {"/containers/json?limit=1",
       NULL,
       {ARRAY, "", NULL},
       AUDIT_OPEN,
       'F',
       "a stranger may start containers, and so is root on the host"}},
     {HEADER, "api-version", NULL},
     0,
     NULL},
    {"ollama",
     {11434},
     {{"/", NULL, {TEXT, "Ollama is running", NULL}},
      {"/api/version", NULL, {MEMBER, "version", NULL}}},
     {LIST("/api/tags", "models",
           "models are listed, and may be used, pulled and deleted, by strangers")},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"litellm",
     {4000},
     {{"/health/liveliness", NULL, {TEXT, "I'm alive!", NULL}}},
     {LIST("/v1/models", "data", "models are listed to, and may be used by, strangers")},
     {TEXT, "", NULL},
     0,
     NULL},
    {"qdrant",
     {6333},
     {{"/", NULL, {TEXT, "qdrant - vector search engine", NULL}}},
     {LIST("/collections", "result.collections", "collections are listed to strangers"),
      FULL("/collections", "result.collections", "collections are readable to strangers")},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"weaviate",
     {8080},
     {{"/v1/meta", NULL, {MEMBER, "modules", NULL}},
      {"/v1", NULL, {TEXT, "/v1/schema", NULL}},
      {"/v1/meta", NULL, {TEXT, "anonymous access not enabled", NULL}}},
     {{"/v1/meta",
       NULL,
       {MEMBER, "version", NULL},
       AUDIT_OPEN_LIMITED,
       'C',
       "it tells strangers about itself"},
      LIST("/v1/schema", "classes", "classes are listed to strangers"),
      FULL("/v1/schema", "classes", "classes and their objects are readable to strangers")},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"chroma",
     {8000},
     {{"/api/v2/heartbeat", NULL, {MEMBER, "nanosecond heartbeat", NULL}},
      {"/api/v1/heartbeat", NULL, {MEMBER, "nanosecond heartbeat", NULL}}},
     {LIST("/api/v2/tenants/default_tenant/databases/default_database/collections?limit=1", "",
           "collections are listed to strangers"),
      LIST("/api/v1/collections", "", "collections are listed to strangers"),
      FULL("/api/v2/tenants/default_tenant/databases/default_database/collections?limit=1", "",
           "collections are readable to strangers")},
     {TEXT, "", NULL},
     0,
     NULL},
    {"milvus",
     {19530, 9091},
     {{"/v2/vectordb/collections/list", "{}", {MEMBER, "code", NULL}}},
     {{"/v2/vectordb/collections/list",
       "{}",
       {ARRAY, "data", NULL},
       AUDIT_OPEN,
       'D',
       "collections are listed to strangers"}},
     {TEXT, "", NULL},
     200,
     "\"code\":1800"},
    {"jupyter",
     {8888, 8889, 8890},
     {{"/api", NULL, {HEADER, "server", "TornadoServer"}}},
     {{"/api/status",
       NULL,
       {MEMBER, "kernels", NULL},
       AUDIT_OPEN,
       'F',
       "a stranger may run programs in it"},
      {"/api/contents?content=0",
       NULL,
       {MEMBER, "path", NULL},
       AUDIT_OPEN,
       'E',
       "files are listed to strangers"}},
     {MEMBER, "version", NULL},
     302,
     "/login"},
    {"ray",
     {8265},
     {{"/api/version", NULL, {MEMBER, "ray_version", NULL}}},
     {{"/api/jobs/",
       NULL,
       {ARRAY, "", NULL},
       AUDIT_OPEN,
       'F',
       "a stranger may submit jobs, which are programs"}},
     {MEMBER, "ray_version", NULL},
     0,
     NULL},
    {"mlflow",
     {5000},
     {{"/ajax-api/2.0/mlflow/experiments/search?max_results=1",
       NULL,
       {MEMBER, "experiments", NULL}},
      {"/ajax-api/2.0/mlflow/experiments/search?max_results=1",
       NULL,
       {TEXT, "You are not authenticated", NULL}}},
     {LIST("/ajax-api/2.0/mlflow/experiments/search?max_results=1", "experiments",
           "experiments are listed to strangers")},
     {TEXT, "", NULL},
     0,
     NULL},
    {"langfuse",
     {3000},
     {{"/api/public/health", NULL, {MEMBER, "version", NULL}}},
     {FULL("/api/public/traces?limit=1", "data",
           "traces (prompts and answers) are readable to strangers")},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"phoenix",
     {6006},
     {{"/arize_phoenix_version", NULL, {HEADER, "content-type", "text/plain"}}},
     {LIST("/v1/projects", "data", "projects (with prompts and answers) are listed to strangers")},
     {TEXT, "", NULL},
     0,
     NULL},
    {"open-webui",
     {3000, 8080},
     {{"/api/config", NULL, {MEMBER, "features", NULL}}},
     {{"/api/config",
       NULL,
       {EQUALS, "features.auth", "false"},
       AUDIT_OPEN,
       'E',
       "it asks for no sign-in"},
      {"/api/config",
       NULL,
       {EQUALS, "features.enable_signup", "true"},
       AUDIT_OPEN_LIMITED,
       'C',
       "anyone may make an account"},
      {"/api/config",
       NULL,
       {EQUALS, "features.auth", "true"},
       AUDIT_AUTH_REQUIRED,
       'B',
       "it asks for a sign-in"}},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"minio",
     {9000, 9001},
     {{"/", NULL, {HEADER, "server", "MinIO"}}},
     {{"/",
       NULL,
       {TEXT, "ListAllMyBucketsResult", NULL},
       AUDIT_OPEN,
       'D',
       "buckets are listed to strangers"},
      {"/",
       NULL,
       {TEXT, "ListBucketResult", NULL},
       AUDIT_OPEN,
       'E',
       "objects are listed to strangers"}},
     {TEXT, "", NULL},
     0,
     NULL},
    {"grafana",
     {3000},
     {{"/api/health", NULL, {MEMBER, "database", NULL}}},
     {{"/api/org",
       NULL,
       {MEMBER, "name", NULL},
       AUDIT_OPEN,
       'D',
       "strangers are let in (anonymous access)"}},
     {MEMBER, "version", NULL},
     0,
     NULL},
    {"prometheus",
     {9090},
     {{"/-/healthy", NULL, {TEXT, "Prometheus", NULL}},
      {"/api/v1/status/buildinfo", NULL, {EQUALS, "status", "success"}}},
     {{"/api/v1/status/buildinfo",
       NULL,
       {EQUALS, "status", "success"},
       AUDIT_OPEN,
       'C',
       "metrics are readable to strangers"},
      {"/api/v1/targets?state=active",
       NULL,
       {ARRAY, "data.activeTargets", NULL},
       AUDIT_OPEN,
       'D',
       "targets, a map of the inside, are listed to strangers"}},
     {MEMBER, "data.version", NULL},
     0,
     NULL},
    {"rabbitmq-management",
     {15672},
     {{"/", NULL, {TEXT, "RabbitMQ Management", NULL}}},
     {{"/api/overview",
       NULL,
       {MEMBER, "rabbitmq_version", NULL},
       AUDIT_OPEN,
       'D',
       "the management interface answers strangers"}},
     {TEXT, "", NULL},
     0,
     NULL},
    {"docker-registry",
     {5000},
     {{"/v2/", NULL, {HEADER, "docker-distribution-api-version", NULL}}},
     {LIST("/v2/_catalog?n=1", "repositories", "images are listed to strangers")},
     {TEXT, "", NULL},
     0,
     NULL},
    {"openai-compatible",
     {8000, 1234, 30000},
     {{"/v1/models", NULL, {EQUALS, "object", "list"}},
      {"/v1/models", NULL, {MEMBER, "error", NULL}}},
     {LIST("/v1/models", "data", "models are listed to, and may be used by, strangers")},
     {TEXT, "", NULL},
     0,
     NULL},
    {"metrics",
     {9100, 9121, 9363},
     {{"/metrics", NULL, {TEXT, "# TYPE ", NULL}}},
     {{"/metrics",
       NULL,
       {TEXT, "# TYPE ", NULL},
       AUDIT_OPEN,
       'C',
       "metrics are readable to strangers"}},
     {TEXT, "", NULL},
     0,
     NULL},
};

/* ---- shapes ---- */

/* The member at a path with dots; whole is the value itself for "". */
static struct jv member_at(struct jv whole, const char *path) {
    char name[64];
    while (*path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof name)
            return (struct jv){0};
        memcpy(name, path, n);
        name[n] = 0;
        whole = jv_get(whole, name);
        path += n + (path[n] == '.');
    }
    return whole;
}

static bool has_value(struct jv v, const char *value) {
    return jv_is_string(v) ? jv_equals(v, value)
                           : v.len == strlen(value) && !memcmp(v.p, value, v.len);
}

/* An answer that was cut at the ceiling is no whole JSON: that the array begins has to do. */
static bool begins_array(const struct http_answer *a, const char *path) {
    char key[64];
    const char *dot = strrchr(path, '.');
    if (!*path)
        return a->body[0] == '[';
    snprintf(key, sizeof key, "\"%s\":[", dot ? dot + 1 : path);
    return a->body[0] == '{' && strstr(a->body, key);
}

static bool matches(const struct http_answer *a, const struct want *w) {
    char value[128];
    struct jv whole, v;
    if (w->shape == TEXT)
        return memmem(a->body, a->body_len, w->member, strlen(w->member)) != NULL;
    if (w->shape == HEADER)
        return http_header(a, w->member, value, sizeof value) &&
               (!w->value || strstr(value, w->value));
    if (a->truncated)
        return (w->shape == ARRAY || w->shape == ROWS) && begins_array(a, w->member);
    if (jv_parse(&whole, a->body, a->body_len))
        return false;
    v = member_at(whole, w->member);
    switch (w->shape) {
    case MEMBER:
        return v.p && !jv_is_null(v);
    case EQUALS:
        return v.p && has_value(v, w->value);
    case ARRAY:
        return jv_is_array(v);
    default:
        return jv_is_array(v) && jv_count(v) > 0;
    }
}

/* ---- asking ---- */

/* NULL: no answer. What GET / gives is known from the first look. */
static const struct http_answer *ask(struct probe *p, const char *path, const char *body) {
    if (!body && strcmp(path, "/") == 0)
        return p->root->status ? p->root : NULL;
    const struct http_request r = {.method = body ? "POST" : "GET", .path = path, .body = body};
    return probe_http(p, path, &r) ? p->http : NULL;
}

static bool refuses(const struct http_service *s, const struct http_answer *a) {
    char to[256] = "";
    if (a->status == 401 || a->status == 403)
        return true;
    if (!s->refused || a->status != s->refused)
        return false;
    http_header(a, "location", to, sizeof to);
    return strstr(to, s->refusal) || memmem(a->body, a->body_len, s->refusal, strlen(s->refusal));
}

static void take_version(struct probe *p, const struct http_answer *a, const struct want *w) {
    char value[64];
    struct jv whole;
    if (w->shape == HEADER && http_header(a, w->member, value, sizeof value))
        probe_version(p, value, strlen(value));
    if (w->shape == MEMBER && !jv_parse(&whole, a->body, a->body_len)) {
        struct jv v = member_at(whole, w->member);
        if (jv_is_string(v) && jv_text_fits(v, value, sizeof value))
            probe_version(p, value, strlen(value));
    }
}

static void prove(struct probe *p, const struct http_service *s) {
    bool refused = false, proved = false;
    const struct http_answer *a = NULL;
    const char *last = "";
    for (const struct ask *q = s->proofs; q < s->proofs + 4 && q->path; q++) {
        if (strcmp(last, q->path) != 0) /* else another reading of the same answer */
            a = ask(p, q->path, q->body);
        last = q->path;
        if (!a)
            continue;
        if (a->status == 200 && matches(a, &q->want)) {
            probe_say(p, q->verdict, q->grade, "%s", q->reason);
            proved = true;
        } else {
            refused |= refuses(s, a);
        }
    }
    if (refused && p->result->verdict != AUDIT_OPEN) {
        if (proved)
            probe_say(p, AUDIT_OPEN_LIMITED, 'C',
                      "some of it answers strangers, the rest asks for a credential");
        else
            probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a credential");
    } else if (!proved) {
        probe_say(p, AUDIT_UNKNOWN, 'C', "it is there, and answers the proof with something else");
    }
}

/* A page of which only the status is of use proves nothing: shapes count with success or a refusal.
 */
static bool recognise(struct probe *p, const struct http_service *s) {
    for (const struct mark *q = s->fingerprints; q < s->fingerprints + 3 && q->path; q++) {
        const struct http_answer *a = ask(p, q->path, q->body);
        if (a && (a->status < 300 || a->status == 401 || a->status == 403) &&
            matches(a, &q->want)) {
            take_version(p, a, &s->version);
            return true;
        }
    }
    return false;
}

static bool usual(const struct http_service *s, uint16_t port) {
    for (size_t i = 0; i < 4; i++)
        if (s->ports[i] == port)
            return true;
    return false;
}

bool probe_http_services(struct probe *p) {
    for (int usual_ones = 1; usual_ones >= 0; usual_ones--) {
        for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
            if (usual(&services[i], p->pair.port) != usual_ones || !recognise(p, &services[i]))
                continue;
            p->result->service = services[i].name;
            prove(p, &services[i]);
            return true;
        }
    }
    return false;
}
