/*
 * A request's head. Runs in gateway workers.
 *
 * Endpoint, API key, headers that go no further, then the ring slot: from here on every way out
 * closes the slot. What is refused here never reaches a provider, and costs no key anything.
 */
#include "base/clock.h"
#include "base/err.h"
#include "control/apikey.h"
#include "write/gateway/gateway.h"
#include "write/gateway/known.h"

#define CHUNKED_ROOM 65536 /* set aside for a body of unknown length */

/* Header names as nginx hashes them. */
static ngx_uint_t hash_api_key, hash_connection, hash_encoding;
static u_char api_key_name[] = "x-api-key", connection_name[] = "connection", te_name[] = "te",
              encoding_name[] = "content-encoding";

void gateway_admit_init(void) {
    hash_api_key = ngx_hash_key(api_key_name, sizeof api_key_name - 1);
    hash_connection = ngx_hash_key(connection_name, sizeof connection_name - 1);
    hash_encoding = ngx_hash_key(encoding_name, sizeof encoding_name - 1);
}

/* ---- the request's own ---- */

/* Of the pool: for requests whose context is lost, and for what is not of the pool. */
static void forget(void *data) {
    struct gateway_request *q = data;
    gateway_settle(q);
    gateway_drop_pieces(q);
    if (q->strip)
        splice_strip_done(q->strip);
    gateway_masked_done(q->masked);
    q->masked = NULL;
}

struct gateway_request *gateway_find(ngx_http_request_t *r) {
    struct gateway_request *q = gateway_of(r);
    for (ngx_pool_cleanup_t *c = r->pool->cleanup; c && !q; c = c->next)
        if (c->handler == forget)
            q = c->data;
    if (q)
        ngx_http_set_ctx(r, q, ngx_http_safehouse_module);
    return q;
}

struct gateway_request *gateway_request_new(ngx_http_request_t *r) {
    struct gateway_request *q = gateway_find(r);
    if (q)
        return q;
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(r->pool, sizeof *q);
    if (!c)
        return NULL;
    q = c->data;
    ngx_memzero(q, sizeof *q);
    c->handler = forget;
    q->r = r;
    q->left = -1;
    q->keepalive = r->keepalive;
    q->http_version = r->http_version;
    q->begin_ns = clock_mono_ns();
    q->measured = true;
    metrics_begin(gateway_worker.metrics);
    ngx_http_set_ctx(r, q, ngx_http_safehouse_module);
    return q;
}

/* ---- headers ---- */

void gateway_each_header(ngx_http_request_t *r, ngx_list_t *list, gateway_header_fn *fn,
                         void *arg) {
    for (ngx_list_part_t *part = &list->part; part; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            fn(r, &h[i], arg);
    }
}

static bool named(const ngx_table_elt_t *h, ngx_uint_t hash, const u_char *name, size_t len) {
    return h->hash == hash && h->key.len == len && ngx_memcmp(h->lowcase_key, name, len) == 0;
}

/* The proxy module passes no header that proxy_set_header names: this one gets such a name. */
static void strip(ngx_table_elt_t *h) {
    h->hash = ngx_hash_key(te_name, sizeof te_name - 1);
    h->key.data = h->lowcase_key = te_name;
    h->key.len = sizeof te_name - 1;
}

static void strip_if_named(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    const ngx_str_t *name = arg;
    (void)r;
    if (h->key.len == name->len && ngx_strncasecmp(h->key.data, name->data, name->len) == 0)
        strip(h);
}

/* RFC 9110 section 7.6.1: what Connection names is for this hop only. */
static void strip_hop(ngx_http_request_t *r, const ngx_str_t *value) {
    u_char *p = value->data, *e = p + value->len;
    while (p < e) {
        u_char *from = p;
        while (p < e && *p != ',' && *p != ' ' && *p != '\t')
            p++;
        ngx_str_t name = {.len = (size_t)(p - from), .data = from};
        if (name.len)
            gateway_each_header(r, &r->headers_in.headers, strip_if_named, &name);
        while (p < e && (*p == ',' || *p == ' ' || *p == '\t'))
            p++;
    }
}

static bool is_plain_connection(const ngx_str_t *v) {
    return (v->len == 10 && gateway_same(v->data, "keep-alive", 10)) ||
           (v->len == 5 && gateway_same(v->data, "close", 5));
}

/* What one walk over the headers finds. */
struct found {
    ngx_str_t key;
    bool coded; /* the body has a Content-Encoding */
};

static void inspect(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    struct found *f = arg;
    if (named(h, hash_api_key, api_key_name, sizeof api_key_name - 1)) {
        if (!f->key.len)
            f->key = h->value;
    } else if (named(h, hash_connection, connection_name, sizeof connection_name - 1)) {
        if (!is_plain_connection(&h->value))
            strip_hop(r, &h->value);
    } else if (named(h, hash_encoding, encoding_name, sizeof encoding_name - 1)) {
        f->coded = f->coded || h->value.len != 8 || !gateway_same(h->value.data, "identity", 8);
    }
}

/* Authorization: Bearer KEY, else x-api-key: KEY. Empty: neither. */
static void look_at_headers(ngx_http_request_t *r, struct found *f) {
    gateway_each_header(r, &r->headers_in.headers, inspect, f);
    const ngx_table_elt_t *h = r->headers_in.authorization;
    if (h && h->value.len > 7 && gateway_same(h->value.data, "Bearer ", 7)) {
        u_char *p = h->value.data + 7, *e = h->value.data + h->value.len;
        while (p < e && *p == ' ')
            p++;
        f->key = (ngx_str_t){.len = (size_t)(e - p), .data = p};
    }
}

/* ---- who ---- */

/* Against the snapshot. An unknown id costs as much time as a wrong secret. */
static const struct snapshot_key *check(uint64_t version, const ngx_str_t *text) {
    const char *id, *secret, *whole = (const char *)text->data;
    size_t id_len, secret_len;
    struct snapshot_key key;
    if (!apikey_split(whole, text->len, &id, &id_len, &secret, &secret_len))
        return NULL;
    bool found = snapshot_find_key(gateway_worker.snapshot, id, id_len, &key) == 0;
    if (!found)
        key = (struct snapshot_key){0};
    if (!apikey_matches(key.hash, secret, secret_len) || !found)
        return NULL;
    return known_add(version, whole, &key);
}

/* The version is read first: a key that was looked up in a later one counts as checked in the
 * earlier one only, and so not at all. */
static ngx_int_t authenticate(struct gateway_request *q, const ngx_str_t *text) {
    uint64_t version = snapshot_version(gateway_worker.snapshot);
    const struct snapshot_key *key = known_find(version, (const char *)text->data, text->len);
    if (!text->len)
        return gateway_refuse(q, ERRORS_NO_KEY);
    if (!key)
        key = check(version, text);
    if (!key)
        return gateway_refuse(q, ERRORS_BAD_KEY);
    if (key->expires_us && key->expires_us <= gateway_now_us())
        return gateway_refuse(q, ERRORS_KEY_EXPIRED);
    q->key = *key;
    return NGX_OK;
}

/* ---- what ---- */

static enum dialect_method method_of(const ngx_http_request_t *r) {
    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))
        return DIALECT_GET;
    return r->method == NGX_HTTP_POST ? DIALECT_POST : DIALECT_OTHER_METHOD;
}

static size_t path_length(const ngx_str_t *uri) {
    const u_char *query = memchr(uri->data, '?', uri->len);
    return query ? (size_t)(query - uri->data) : uri->len;
}

enum dialect_family gateway_family(const ngx_http_request_t *r, const struct gateway_request *q) {
    if (q->endpoint.row)
        return q->endpoint.row->dialect->family;
    return endpoint_family((const char *)r->unparsed_uri.data, path_length(&r->unparsed_uri));
}

static ngx_int_t find_endpoint(ngx_http_request_t *r, struct gateway_request *q) {
    int rc = endpoint_find(&q->endpoint, method_of(r), (const char *)r->unparsed_uri.data,
                           path_length(&r->unparsed_uri));
    if (rc)
        return gateway_refuse(q, rc == ERR_UNSUPPORTED ? ERRORS_BAD_METHOD : ERRORS_NO_PATH);
    return NGX_OK;
}

static ngx_int_t check_body(ngx_http_request_t *r, struct gateway_request *q, bool coded) {
    bool body = r->headers_in.content_length_n > 0 || r->headers_in.chunked;
    enum dialect_body wanted = q->endpoint.row->body;
    if (body != (wanted != DIALECT_BODY_NONE))
        return gateway_refuse(q, body ? ERRORS_UNEXPECTED_BODY : ERRORS_NO_BODY);
    if (body && coded) {
        q->detail = GATEWAY_TEXT("Send the body without a Content-Encoding.");
        return gateway_refuse(q, ERRORS_BAD_TYPE);
    }
    q->scanned = wanted == DIALECT_BODY_JSON;
    return NGX_OK;
}

/* ---- room ---- */

static void fill_meta(struct ring_meta *m, const struct gateway_request *q) {
    memcpy(m->tenant, q->key.tenant, sizeof m->tenant);
    memcpy(m->project, q->key.project, sizeof m->project);
    memcpy(m->key_id, q->key.id, sizeof m->key_id);
    memcpy(m->dialect, q->endpoint.row->dialect->name, strlen(q->endpoint.row->dialect->name) + 1);
}

static ngx_int_t admit(ngx_http_request_t *r, struct gateway_request *q) {
    uint64_t room = r->headers_in.chunked ? CHUNKED_ROOM : 0;
    if (r->headers_in.content_length_n > 0)
        room = (uint64_t)r->headers_in.content_length_n;
    if (!gateway_alive() || !gateway_hold(q, room))
        return gateway_refuse(q, ERRORS_OVERLOADED);
    int rc = ring_admit(gateway_worker.region, room, q->begin_ns, &q->slot);
    if (rc)
        return gateway_refuse(q, rc == ERR_LIMIT ? ERRORS_TOO_LARGE : ERRORS_OVERLOADED);
    struct ring_meta *m = ring_meta(q->slot);
    fill_meta(m, q);
    uuid_format(q->id, m->id);
    q->admitted = true;
    if (q->scanned)
        reqscan_init(&q->scan);
    return NGX_OK;
}

ngx_int_t gateway_handler(ngx_http_request_t *r) {
    struct found found = {0};
    if (!gateway_worker.region)
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    struct gateway_request *q = gateway_request_new(r);
    if (!q)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_int_t rc = find_endpoint(r, q);
    if (rc != NGX_OK)
        return rc;
    look_at_headers(r, &found);
    rc = authenticate(q, &found.key);
    if (rc == NGX_OK)
        rc = check_body(r, q, found.coded);
    if (rc == NGX_OK)
        rc = admit(r, q);
    if (rc != NGX_OK)
        return rc;
    /* Else an upstream that answers 101 would get a tunnel past the log. */
    r->headers_in.upgrade = NULL;
    rc = ngx_http_read_client_request_body(r, gateway_route);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}
