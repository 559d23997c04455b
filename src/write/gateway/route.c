/*
 * From the whole body to a provider, and to the next one after a failure. Runs in gateway workers.
 *
 * The model says which providers there are, the key whether it may use the model, the limits
 * whether now, the health table which provider and which of its keys. Then the request goes on in
 * that provider's location, without a walk through nginx's phases: its connections, Host and TLS
 * name are written there, while path, body and credential are of this attempt.
 *
 * A failure before the answer's head went to the client (no connection, time-out, or a status that
 * another provider may do better than) leads back here by the location's error_page. A POST that
 * may have reached a provider without an answer is not sent again: it would be paid for twice.
 */
#include "base/clock.h"
#include "base/err.h"
#include "control/cost.h"
#include "control/dialect.h"
#include "write/gateway/gateway.h"
#include "write/gateway/plan.h"

#define OUTPUT_GUESS 1024u /* tokens of an answer, where the request names no ceiling */

/* ---- the model ---- */

static uint32_t dialects_of(const struct endpoint *e) {
    return e->row->dialect->family == FAMILY_ANTHROPIC ? DIALECT_ANTHROPIC
                                                       : DIALECT_OPENAI | DIALECT_DEEPSEEK;
}

/* A key that may use only some models may use no endpoint that does not say which: no model has
 * this name, so only a list that allows everything allows it. */
static bool may_use_any(const struct gateway_request *q) {
    return snapshot_may_use(gateway_worker.snapshot, &q->key, "\x7f", 1) == 0;
}

static ngx_int_t check_model(struct gateway_request *q) {
    const struct dialect *d = q->endpoint.row->dialect;
    if (q->scanned && q->scan.has_model) {
        q->asked = (ngx_str_t){strlen(q->scan.model), (u_char *)q->scan.model};
        q->model = q->asked;
        q->param = "model";
        q->detail = q->asked;
        if (q->scan.model_cut || !q->asked.len)
            return gateway_refuse(q, ERRORS_UNKNOWN_MODEL);
        return snapshot_may_use(gateway_worker.snapshot, &q->key, q->scan.model, q->asked.len)
                   ? gateway_refuse(q, ERRORS_MODEL_DENIED)
                   : NGX_OK;
    }
    if (q->endpoint.id) { /* of one model: whoever has it tells of it */
        q->asked = q->model = (ngx_str_t){q->endpoint.id_len, (u_char *)(uintptr_t)q->endpoint.id};
        return NGX_OK;
    }
    if (q->scanned && d->shape != DIALECT_PLAIN) {
        q->param = "model";
        return gateway_refuse(q, ERRORS_NO_MODEL);
    }
    return q->endpoint.row->body == DIALECT_BODY_NONE || may_use_any(q)
               ? NGX_OK
               : gateway_refuse(q, ERRORS_ENDPOINT_DENIED);
}

/* ---- candidates ---- */

/* Where a provider has the endpoint. A path that the client wrote as DeepSeek's documentation has
 * it leads to the same place there; elsewhere each API has its own. */
static int provider_path(const ngx_http_request_t *r, const struct gateway_request *q,
                         const struct snapshot_target *t, char *out, size_t size) {
    static const struct {
        uint32_t bit;
        enum dialect_at at;
    } places[] = {{DIALECT_DEEPSEEK, DIALECT_AT_DEEPSEEK},
                  {DIALECT_OPENAI, DIALECT_AT_OPENAI},
                  {DIALECT_ANTHROPIC, DIALECT_AT_ANTHROPIC},
                  {DIALECT_DEEPSEEK, DIALECT_AT_DEEPSEEK}};
    const ngx_str_t *uri = &r->unparsed_uri;
    bool own = uri->len < 4 || memcmp(uri->data, "/v1/", 4) != 0 ||
               strcmp(t->host, "api.deepseek.com") == 0;
    int n = ERR_NOTFOUND;
    for (size_t i = own ? 0 : 1; i < sizeof places / sizeof *places && n == ERR_NOTFOUND; i++)
        if (t->dialects & places[i].bit)
            n = endpoint_upstream(&q->endpoint, places[i].at, out, size);
    return n;
}

/* The provider's base path goes before; one that ends in /v1, as clients' base URLs do, has the
 * endpoint's /v1 in it already. */
static int make_uri(const ngx_http_request_t *r, const struct gateway_request *q,
                    const struct snapshot_target *t, ngx_str_t *ret) {
    char path[512];
    int n = provider_path(r, q, t, path, sizeof path);
    if (n < 0)
        return n;
    size_t base = strlen(t->path), query = r->args.len ? r->args.len + 1 : 0, cut = 0;
    if (base >= 3 && memcmp(t->path + base - 3, "/v1", 3) == 0 && memcmp(path, "/v1/", 4) == 0)
        cut = 3;
    size_t len = (size_t)n - cut;
    u_char *p = ngx_pnalloc(r->pool, base + len + query);
    if (!p)
        return ERR_NOMEM;
    *ret = (ngx_str_t){base + len + query, p};
    p = ngx_cpymem(p, t->path, base);
    p = ngx_cpymem(p, path + cut, len);
    if (query) {
        *p++ = '?';
        memcpy(p, r->args.data, r->args.len);
    }
    return 0;
}

static int find_plan(const struct gateway_request *q, const struct plan **ret) {
    return plan_find(gateway_worker.snapshot, dialects_of(&q->endpoint), (char *)q->asked.data,
                     q->asked.len, ret);
}

/* Those that were tried, and those that have no such endpoint, as bits. */
static uint32_t not_to_try(const struct gateway_request *q, const struct snapshot_route *route) {
    uint32_t bits = 0;
    char path[512];
    for (uint32_t i = 0; i < route->count; i++) {
        for (uint8_t k = 0; k < q->attempts; k++)
            if (q->tried[k] == route->pick[i].provider)
                bits |= 1u << i;
        if (!(bits >> i & 1) && provider_path(q->r, q, &route->to[i], path, sizeof path) < 0)
            bits |= 1u << i;
    }
    return bits;
}

static int copy_text(ngx_pool_t *pool, const char *from, ngx_str_t *ret) {
    size_t len = strlen(from);
    if (ret->len == len && memcmp(ret->data, from, len) == 0)
        return 0;
    u_char *p = ngx_pnalloc(pool, len + 1);
    if (!p)
        return ERR_NOMEM;
    memcpy(p, from, len + 1);
    *ret = (ngx_str_t){len, p};
    return 0;
}

static int take_target(struct gateway_request *q, const struct snapshot_route *route, uint32_t i,
                       struct gateway_target *ret) {
    const struct snapshot_target *t = &route->to[i];
    const struct health_candidate *c = &route->pick[i];
    *ret = (struct gateway_target){.model = q->asked,
                                   .total_ms = t->total_ms,
                                   .first_key = c->key_count ? c->keys[0] : HEALTH_NO_KEY,
                                   .isolate_by_user = t->isolate_by_user,
                                   .deepseek = t->dialects & DIALECT_DEEPSEEK};
    memcpy(ret->provider, t->provider, sizeof ret->provider);
    int rc = make_uri(q->r, q, t, &ret->uri);
    if (!rc && q->asked.len)
        rc = copy_text(q->r->pool, t->model, &ret->model);
    return rc;
}

static void note_plan(struct gateway_request *q, const struct plan *p, uint32_t i) {
    q->planned = true;
    q->asked_known = p->known;
    q->sent_known = p->target[i].known;
    q->priced = p->target[i].priced;
    q->price = p->target[i].price;
}

static int choose(struct gateway_request *q, const struct plan *p, struct gateway_target *ret,
                  struct health_ticket *ret_ticket, uint64_t *ret_retry_ms) {
    const struct snapshot_route *route = &p->route;
    uint32_t skip = not_to_try(q, route);
    int rc = 0;
    if (skip == (1u << route->count) - 1)
        return q->attempts ? ERR_NOTFOUND : ERR_UNSUPPORTED;
    if (q->asked.len && !q->attempts)
        rc = copy_text(q->r->pool, route->model, &q->model);
    if (!rc)
        rc = health_choose(gateway_worker.health, route->pick, route->count, skip, gateway_now_us(),
                           ret_ticket, ret_retry_ms);
    if (rc)
        return rc;
    rc = take_target(q, route, ret_ticket->candidate, ret);
    if (rc)
        health_done(gateway_worker.health, ret_ticket, HEALTH_CANCELLED, 0, gateway_now_us());
    else
        note_plan(q, p, ret_ticket->candidate);
    return rc;
}

int gateway_choose(struct gateway_request *q, struct gateway_target *ret,
                   struct health_ticket *ret_ticket, uint64_t *ret_retry_ms) {
    const struct plan *p = NULL;
    int rc = find_plan(q, &p);
    if (!rc)
        rc = choose(q, p, ret, ret_ticket, ret_retry_ms);
    plan_done(p);
    return rc;
}

bool gateway_choose_again(struct gateway_request *q, int status, uint64_t retry_after_ms) {
    struct gateway_target target;
    struct health_ticket ticket;
    uint64_t retry_ms;
    if (q->attempts >= GATEWAY_ATTEMPTS || !health_worth_fallback(status) ||
        gateway_choose(q, &target, &ticket, &retry_ms))
        return false;
    metrics_fallback(gateway_worker.metrics, q->target.provider);
    gateway_attempt_done(q, status, retry_after_ms);
    q->target = target;
    q->attempt = ticket;
    q->chosen = true;
    return true;
}

/* ---- limits ---- */

static uint64_t output_ceiling(const struct reqscan *s) {
    static const enum reqscan_member members[] = {REQSCAN_MAX_COMPLETION_TOKENS,
                                                  REQSCAN_MAX_OUTPUT_TOKENS, REQSCAN_MAX_TOKENS};
    uint64_t n = OUTPUT_GUESS, times = 1;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct reqscan_value *v = &s->value[members[i]];
        if (v->kind == REQSCAN_NUMBER && v->number != REQSCAN_NO_NUMBER) {
            n = v->number;
            break;
        }
    }
    const struct reqscan_value *v = &s->value[REQSCAN_N];
    if (v->kind == REQSCAN_NUMBER && v->number > 0 && v->number <= LIMIT_CHOICES)
        times = v->number;
    return n * times;
}

static void estimate(const struct gateway_request *q, struct cost_tokens *ret) {
    const struct dialect *d = q->endpoint.row->dialect;
    *ret = (struct cost_tokens){0};
    if (!d->content || !q->scanned)
        return;
    ret->input = q->taken / 4;
    if (d->shape != DIALECT_PLAIN)
        ret->output = output_ceiling(&q->scan);
}

static enum errors_code limit_code(enum limits_refusal r) {
    switch (r) {
    case LIMITS_REQUESTS:
        return ERRORS_RATE_REQUESTS;
    case LIMITS_TOKENS:
    case LIMITS_TOKENS_EVER:
        return ERRORS_RATE_TOKENS;
    case LIMITS_CONCURRENCY:
        return ERRORS_CONCURRENCY;
    default:
        return ERRORS_BUDGET;
    }
}

static ngx_int_t check_limits(struct gateway_request *q) {
    struct cost_tokens tokens;
    estimate(q, &tokens);
    const struct limits_ask ask = {
        .key = q->key.entry,
        .project = q->key.project_entry,
        .key_limits = &q->key.limits,
        .project_limits = &q->key.project_limits,
        .tokens = tokens.input + tokens.output,
        .cost = q->priced ? cost_of(&q->price, &tokens) : 0,
        .now_us = gateway_now_us(),
    };
    enum limits_refusal r = limits_admit(gateway_worker.limits, &ask, &q->ticket, &q->left_of_key);
    if (r == LIMITS_ADMITTED)
        return NGX_OK;
    const char *name = limits_refusal_name(r);
    q->detail = (ngx_str_t){strlen(name), (u_char *)(uintptr_t)name};
    q->param = NULL;
    q->retry_after_ms = q->left_of_key.retry_after_ms;
    q->never = !q->retry_after_ms;
    return gateway_refuse(q, limit_code(r));
}

/* ---- the attempt ---- */

static struct gateway_location *location_of(ngx_http_request_t *r, const char *provider) {
    const struct gateway_main *m = ngx_http_get_module_main_conf(r, ngx_http_safehouse_module);
    for (ngx_uint_t i = 0; i < m->provider_count; i++)
        if (strcmp((char *)m->providers[i]->name.data, provider) == 0)
            return m->providers[i];
    return NULL;
}

/* "Bearer " and the credential, for whichever header it goes into. */
static ngx_int_t take_credential(ngx_http_request_t *r, struct gateway_request *q) {
    static const char bearer[] = "Bearer ";
    q->credential = (ngx_str_t)ngx_null_string;
    if (q->attempt.key == HEALTH_NO_KEY)
        return NGX_OK;
    u_char *p = ngx_pnalloc(r->pool, sizeof bearer - 1 + SNAPSHOT_CREDENTIAL);
    if (!p)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    char *text = (char *)ngx_cpymem(p, bearer, sizeof bearer - 1);
    if (snapshot_credential(gateway_worker.snapshot, q->target.provider, q->attempt.key, text))
        return NGX_HTTP_SERVICE_UNAVAILABLE; /* it was taken away a moment ago */
    q->credential = (ngx_str_t){sizeof bearer - 1 + strlen(text), p};
    return NGX_OK;
}

static ngx_int_t attempt(ngx_http_request_t *r, struct gateway_request *q) {
    const struct gateway_location *l = location_of(r, q->target.provider);
    q->tried[q->attempts++] = q->attempt.provider;
    q->chosen = q->broken = q->sent = false;
    q->begun_ms = ngx_current_msec;
    ngx_int_t rc = l ? take_credential(r, q) : NGX_HTTP_SERVICE_UNAVAILABLE;
    if (rc == NGX_OK)
        rc = gateway_edit(r, q);
    if (rc != NGX_OK) {
        gateway_attempt_done(q, HEALTH_CANCELLED, 0);
        return rc == NGX_HTTP_SERVICE_UNAVAILABLE ? gateway_refuse(q, ERRORS_NO_PROVIDER) : rc;
    }
    r->unparsed_uri = q->target.uri;
    r->valid_unparsed_uri = 1;
    r->loc_conf = l->loc_conf;
    ngx_http_update_location_config(r);
    r->write_event_handler = ngx_http_request_empty_handler;
    return r->content_handler(r);
}

/* Why nobody can be asked. */
static ngx_int_t refuse_choice(struct gateway_request *q, int rc, uint64_t retry_ms) {
    if (rc == ERR_NOMEM)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (rc == ERR_UNSUPPORTED || (rc == ERR_NOTFOUND && q->asked.len)) {
        return gateway_refuse(q, q->asked.len ? ERRORS_UNKNOWN_MODEL : ERRORS_NO_PATH);
    }
    q->param = NULL;
    q->retry_after_ms = rc == ERR_FULL ? retry_ms : 0;
    return gateway_refuse(q, ERRORS_NO_PROVIDER);
}

/* Is it a list of models, which no provider has all of? */
static bool is_list_of_many(const struct gateway_request *q) {
    const struct endpoint_row *row = q->endpoint.row;
    const struct plan *p;
    return row->body == DIALECT_BODY_NONE && !row->by_id && strcmp(row->name, "models") == 0 &&
           find_plan(q, &p) == 0 && p->route.count > 1;
}

static ngx_int_t begin(ngx_http_request_t *r, struct gateway_request *q) {
    uint64_t retry_ms = 0;
    q->body = r->request_body->bufs;
    if (q->scanned && q->scan.repeated)
        return gateway_refuse(q, ERRORS_REPEATED_MEMBER);
    if (gateway_labels(r, q)) /* first, so that refusals have them too */
        return gateway_refuse(q, ERRORS_OVERLOADED);
    ngx_int_t status = check_model(q);
    if (status != NGX_OK)
        return status;
    if (is_list_of_many(q)) {
        status = check_limits(q);
        return status == NGX_OK ? gateway_list_models(r, q, dialects_of(&q->endpoint)) : status;
    }
    int rc = gateway_choose(q, &q->target, &q->attempt, &retry_ms);
    if (rc)
        return refuse_choice(q, rc, retry_ms);
    status = check_limits(q);
    if (status != NGX_OK) {
        gateway_attempt_done(q, HEALTH_CANCELLED, 0);
        return status;
    }
    q->detail = (ngx_str_t)ngx_null_string;
    q->param = NULL;
    if (q->key.inspect && (status = gateway_inspect(r, q)) != NGX_OK) {
        gateway_attempt_done(q, HEALTH_CANCELLED, 0);
        return status;
    }
    return attempt(r, q);
}

void gateway_route(ngx_http_request_t *r) {
    ngx_http_finalize_request(r, begin(r, gateway_find(r)));
}

ngx_int_t gateway_next(ngx_http_request_t *r) {
    struct gateway_request *q = gateway_find(r);
    if (!q || !q->slot)
        return NGX_HTTP_BAD_GATEWAY;
    ngx_http_clean_header(r); /* of an answer that does not count */
    bool paid = q->sent && r->method == NGX_HTTP_POST;
    if (q->chosen || (!paid && gateway_choose_again(q, HEALTH_NO_ANSWER, 0)))
        return attempt(r, q);
    gateway_attempt_done(q, HEALTH_NO_ANSWER, 0);
    return gateway_refuse(q, q->failed == NGX_HTTP_GATEWAY_TIME_OUT ? ERRORS_TIMEOUT
                                                                    : ERRORS_BAD_GATEWAY);
}

/* ---- the head for the provider ---- */

/* The proxy module asks for it when it makes the head: from here on the provider has the word. */
ngx_int_t gateway_authorization(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                                uintptr_t data) {
    struct gateway_request *q = gateway_of(r);
    (void)data;
    v->not_found = 1;
    if (!q || !q->slot)
        return NGX_OK;
    ring_meta(q->slot)->sent_ns = clock_mono_ns();
    if (r->upstream && r->upstream->finalize_request != gateway_upstream_ended) {
        q->finalize_request = r->upstream->finalize_request;
        r->upstream->finalize_request = gateway_upstream_ended;
    }
    if (q->credential.len && q->endpoint.row->dialect->family == FAMILY_OPENAI)
        *v = (ngx_http_variable_value_t){
            .len = (unsigned)q->credential.len & 0xfffffff,
            .valid = 1,
            .data = q->credential.data,
        };
    return NGX_OK;
}

ngx_int_t gateway_api_key(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
    const struct gateway_request *q = gateway_of(r);
    const size_t bearer = sizeof "Bearer " - 1;
    (void)data;
    v->not_found = 1;
    if (q && q->slot && q->credential.len && q->endpoint.row->dialect->family == FAMILY_ANTHROPIC)
        *v = (ngx_http_variable_value_t){
            .len = (unsigned)(q->credential.len - bearer) & 0xfffffff,
            .valid = 1,
            .data = q->credential.data + bearer,
        };
    return NGX_OK;
}
