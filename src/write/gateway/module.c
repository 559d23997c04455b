/*
 * The module: its directives, its places in nginx's phases and filters, and what a worker takes up
 * when it starts (the ring's region, the shared tables, the sandbox) and gives back.
 *
 *   http:      safehouse_connect_port PORT;     a port that workers may connect to; repeatable
 *              safehouse_body_memory BYTES;     of bodies that a worker holds at one time
 *   location:  safehouse on;                    every endpoint (llm/dialect.h)
 *              safehouse next;                  where an attempt that failed comes back to
 *              safehouse healthz | readyz | metrics;
 *              safehouse security_txt;         its lines: safehouse_security_txt LINE; repeatable
 *              safehouse report;               the form for reports from outside
 *              safehouse_provider NAME IDLE;    this provider's; a proxy_pass without URI goes with
 * it variables: $safehouse_authorization, $safehouse_api_key    the provider's credential
 */
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "write/gateway/confine.h"
#include "write/gateway/gateway.h"
#include "write/gateway/known.h"

#define KEPT_BYTES (4 << 20)
#define PAD_BYTES (256 << 10) /* that the heap grows by at once */

struct gateway_worker gateway_worker;
ngx_http_output_header_filter_pt gateway_next_header;
ngx_http_output_body_filter_pt gateway_next_body;
ngx_http_request_body_filter_pt gateway_next_request_body;

/* ---- configuration ---- */

static void *create_main(ngx_conf_t *cf) {
    struct gateway_main *m = ngx_pcalloc(cf->pool, sizeof *m);
    if (m)
        m->body_memory = LIMIT_BODY_MEMORY;
    return m;
}

static void *create_location(ngx_conf_t *cf) {
    return ngx_pcalloc(cf->pool, sizeof(struct gateway_location));
}

static char *set_port(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    struct gateway_main *m = conf;
    const ngx_str_t *word = cf->args->elts;
    ngx_int_t port = ngx_atoi(word[1].data, word[1].len);
    (void)cmd;
    if (port < 1 || port > 65535)
        return "takes a port";
    for (ngx_uint_t i = 0; i < m->connect_count; i++)
        if (m->connect_ports[i] == port)
            return NGX_CONF_OK;
    if (m->connect_count == LIMIT_PROVIDERS)
        return "is given too often";
    m->connect_ports[m->connect_count++] = (uint16_t)port;
    return NGX_CONF_OK;
}

static char *set_body_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    struct gateway_main *m = conf;
    ngx_str_t *word = cf->args->elts;
    off_t bytes = ngx_parse_offset(&word[1]);
    (void)cmd;
    if (bytes < (off_t)LIMIT_REQUEST_BODY)
        return "takes bytes, as many as the largest body has at least";
    m->body_memory = (uint64_t)bytes;
    return NGX_CONF_OK;
}

static const struct {
    const char *word;
    enum gateway_kind kind;
    ngx_http_handler_pt handler;
} kinds[] = {
    {"on", GATEWAY_ON, gateway_handler},           {"next", GATEWAY_NEXT, gateway_next},
    {"healthz", GATEWAY_HEALTHZ, gateway_healthz}, {"readyz", GATEWAY_READYZ, gateway_readyz},
    {"metrics", GATEWAY_METRICS, gateway_metrics}, {"report", GATEWAY_REPORT, gateway_report},
    {"security_txt", GATEWAY_SECURITY_TXT, gateway_security_txt},
};

static char *set_kind(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    struct gateway_location *l = conf;
    struct gateway_main *m = ngx_http_conf_get_module_main_conf(cf, ngx_http_safehouse_module);
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    const ngx_str_t *word = cf->args->elts;
    (void)cmd;
    if (l->kind != GATEWAY_NONE)
        return "is duplicate";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (ngx_strcmp(word[1].data, kinds[i].word) == 0) {
            l->kind = kinds[i].kind;
            core->handler = kinds[i].handler;
            m->used = 1;
            return NGX_CONF_OK;
        }
    }
    return "takes \"on\", \"next\", \"healthz\", \"readyz\", \"metrics\", \"security_txt\" or "
           "\"report\"";
}

static char *add_line(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    struct gateway_location *l = conf;
    const ngx_str_t *word = cf->args->elts;
    (void)cmd;
    if (!l->lines)
        l->lines = ngx_array_create(cf->pool, 8, sizeof(ngx_str_t));
    ngx_str_t *line = l->lines ? ngx_array_push(l->lines) : NULL;
    if (!line)
        return "finds no memory";
    *line = word[1];
    return NGX_CONF_OK;
}

static char *set_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    struct gateway_location *l = conf;
    struct gateway_main *m = ngx_http_conf_get_module_main_conf(cf, ngx_http_safehouse_module);
    ngx_str_t *word = cf->args->elts;
    ngx_int_t idle = ngx_parse_time(&word[2], 0);
    (void)cmd;
    if (l->kind != GATEWAY_NONE)
        return "is duplicate";
    if (word[1].len >= LIMIT_NAME || idle == NGX_ERROR)
        return "takes a provider's name and a time";
    if (m->provider_count == LIMIT_PROVIDERS)
        return "is given too often";
    l->kind = GATEWAY_PROVIDER;
    l->name = word[1];
    l->idle = (ngx_msec_t)idle;
    l->loc_conf = ((ngx_http_conf_ctx_t *)cf->ctx)->loc_conf;
    m->providers[m->provider_count++] = l;
    return NGX_CONF_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("safehouse_connect_port"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_port,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("safehouse_body_memory"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_body_memory,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("safehouse"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_kind,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("safehouse_provider"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE2, set_provider,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("safehouse_security_txt"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, add_line,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command,
};

static ngx_int_t add_variables(ngx_conf_t *cf) {
    ngx_str_t names[] = {ngx_string("safehouse_authorization"), ngx_string("safehouse_api_key")};
    const ngx_http_get_variable_pt handlers[] = {gateway_authorization, gateway_api_key};
    for (size_t i = 0; i < 2; i++) {
        /* each attempt has its own */
        ngx_http_variable_t *v = ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOCACHEABLE);
        if (!v)
            return NGX_ERROR;
        v->get_handler = handlers[i];
    }
    return NGX_OK;
}

/* Said here, a reload into it leaves what runs alone; workers of another user than their master's
 * could not end it. Tests and signals come without. */
static bool is_attached(ngx_conf_t *cf) {
    const struct gateway_main *m =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_safehouse_module);
    if (!m->used || ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER || getenv("SH_RING_FD"))
        return true;
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "safehouse: nothing to log into; start nginx with \"safehouse attach\"");
    return false;
}

static ngx_int_t place(ngx_conf_t *cf) {
    if (!is_attached(cf))
        return NGX_ERROR;
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *log = ngx_array_push(&core->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (!log)
        return NGX_ERROR;
    *log = gateway_log;
    gateway_admit_init();
    gateway_next_header = ngx_http_top_header_filter;
    ngx_http_top_header_filter = gateway_header;
    gateway_next_body = ngx_http_top_body_filter;
    ngx_http_top_body_filter = gateway_body;
    gateway_next_request_body = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = gateway_request_body;
    return NGX_OK;
}

/* ---- the worker ---- */

int gateway_env_fd(const char *name) {
    const char *text = getenv(name);
    ngx_int_t fd = text ? ngx_atoi((u_char *)(uintptr_t)text, strlen(text)) : NGX_ERROR;
    return fd > INT32_MAX ? -1 : (int)fd;
}

static int map_all(struct gateway_worker *w) {
    int ring = gateway_env_fd("SH_RING_FD"), snapshot = gateway_env_fd("SH_SNAPSHOT_FD");
    int usage = gateway_env_fd("SH_USAGE_FD"), live = gateway_env_fd("SH_LIVE_FD");
    int health = gateway_env_fd("SH_HEALTH_FD"), metrics = gateway_env_fd("SH_METRICS_FD");
    if (ring < 0 || snapshot < 0 || usage < 0 || live < 0 || health < 0 || metrics < 0)
        return ERR_USAGE;
    int rc = snapshot_map(snapshot, &w->snapshot);
    if (!rc)
        rc = ring_map(ring, &w->ring);
    if (!rc)
        rc = limits_map(usage, live, &w->limits);
    if (!rc)
        rc = health_map(health, &w->health);
    if (!rc)
        rc = metrics_map(metrics, w->snapshot, &w->metrics);
    return rc;
}

static int claim_all(struct gateway_worker *w) {
    int rc = limits_claim(w->limits);
    if (!rc)
        rc = health_claim(w->health);
    if (!rc)
        rc = metrics_claim(w->metrics);
    return rc ? rc : ring_claim(w->ring, &w->region);
}

/*
 * malloc gives what is free at the heap's end back to the system above 128 KiB, and takes it again,
 * zeroed and page by page, for the next requests: so many bytes come and go with a few of them.
 * Large blocks still are mapped by themselves.
 */
static void keep_memory(void) {
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_TOP_PAD, PAD_BYTES);
}

static int take_up(const struct gateway_main *m) {
    struct gateway_worker *w = &gateway_worker;
    int ready_fd = gateway_env_fd("SH_READY_FD");
    uint8_t state[2];
    int rc = map_all(w);
    if (rc)
        return rc;
    ring_set_wake_fd(w->ring, gateway_env_fd("SH_WAKE_FD"));
    w->life_fd = gateway_env_fd("SH_LIFE_FD");
    w->report_fd = gateway_env_fd("SH_REPORT_FD");
    w->bodies_max = m->body_memory;
    known_init();
    keep_memory();
    rc = claim_all(w);
    if (!rc)
        rc = gateway_inspect_init();
    if (!rc)
        rc = gateway_confine(m->connect_ports, state);
    if (rc)
        return rc;
    if (ready_fd >= 0 && write(ready_fd, state, sizeof state) != (ssize_t)sizeof state)
        return ERR_PEER;
    w->traces.handler = gateway_wipe_traces;
    w->traces.log = ngx_cycle->log;
    w->traces.data = w; /* nginx logs by it in debug builds */
    w->traces.cancelable = 1;
    return 0;
}

static ngx_int_t init_module(ngx_cycle_t *cycle) {
    const struct gateway_main *m =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_safehouse_module);
    if (m && m->used && !ngx_test_config)
        gateway_inspect_prepare(cycle);
    return NGX_OK; /* else nginx would end, with all its other servers */
}

/* A master whose workers cannot start would look alive and serve nobody: it ends with them. */
static ngx_int_t init_process(ngx_cycle_t *cycle) {
    const struct gateway_main *m =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_safehouse_module);
    if (!m || !m->used)
        return NGX_OK;
    pid_t master = getppid();
    int rc = take_up(m);
    if (!rc)
        return NGX_OK;
    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "safehouse: a worker cannot start: %s",
                  err_name(rc));
    if (ngx_process == NGX_PROCESS_WORKER)
        kill(master, SIGTERM);
    return NGX_ERROR;
}

static void exit_process(ngx_cycle_t *cycle) {
    (void)cycle;
    ring_unclaim(gateway_worker.region);
    gateway_worker.region = NULL;
}

static ngx_http_module_t context = {
    .preconfiguration = add_variables,
    .postconfiguration = place,
    .create_main_conf = create_main,
    .create_loc_conf = create_location,
};

ngx_module_t ngx_http_safehouse_module = {
    NGX_MODULE_V1,
    .ctx = &context,
    .commands = commands,
    .type = NGX_HTTP_MODULE,
    .init_module = init_module,
    .init_process = init_process,
    .exit_process = exit_process,
};

/* ---- what nginx looks for in the file ---- */

#define EXPORT __attribute__((visibility("default")))

EXPORT extern ngx_module_t *ngx_modules[];
EXPORT extern char *ngx_module_names[], *ngx_module_order[];

ngx_module_t *ngx_modules[] = {&ngx_http_safehouse_module, NULL};
static char own_name[] = "ngx_http_safehouse_module", before[] = "ngx_http_copy_filter_module";
char *ngx_module_names[] = {own_name, NULL};
/* Before the copy filter in nginx's list means: right after it in the chain of filters, where the
 * answer's bytes are in memory and not yet framed. */
char *ngx_module_order[] = {own_name, before, NULL};
