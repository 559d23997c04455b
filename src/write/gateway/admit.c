/*
 * From a request's head to the last byte of its body. Runs in gateway workers.
 *
 * Access phase: method, API key, headers that go no further, then the ring slot: from here on every
 * way out closes the slot. While the body comes in, each piece is checked and copied into the ring;
 * nginx hands the request to the proxy module's upstream code only when the body is whole, so what
 * is refused here never reaches the provider.
 */
#include "base/clock.h"
#include "base/err.h"
#include "control/apikey.h"
#include "write/gateway/gateway.h"
#include "write/gateway/known.h"

#define CHUNKED_ROOM 65536 /* set aside for a body of unknown length */

/* Header names as nginx hashes them. */
static ngx_uint_t hash_api_key, hash_connection;
static u_char api_key_name[] = "x-api-key", connection_name[] = "connection", te_name[] = "te";

void gateway_admit_init(void) {
    hash_api_key = ngx_hash_key(api_key_name, sizeof api_key_name - 1);
    hash_connection = ngx_hash_key(connection_name, sizeof connection_name - 1);
}

static ngx_int_t refuse(struct gateway_request *q, enum refusal_name name) {
    q->refusal = refusal_get(name);
    return q->refusal->status;
}

struct gateway_request *gateway_request_new(ngx_http_request_t *r) {
    struct gateway_request *q = gateway_of(r);
    if (q)
        return q;
    q = ngx_pcalloc(r->pool, sizeof *q);
    if (!q)
        return NULL;
    q->left = -1;
    q->keepalive = r->keepalive;
    q->http_version = r->http_version;
    ngx_http_set_ctx(r, q, ngx_http_safehouse_module);
    return q;
}

/* ---- headers ---- */

static bool named(const ngx_table_elt_t *h, ngx_uint_t hash, const u_char *name, size_t len) {
    return h->hash == hash && h->key.len == len && ngx_memcmp(h->lowcase_key, name, len) == 0;
}

/* The proxy module passes no header that proxy_set_header names: this one gets such a name. */
static void strip(ngx_table_elt_t *h) {
    h->hash = ngx_hash_key(te_name, sizeof te_name - 1);
    h->key.data = h->lowcase_key = te_name;
    h->key.len = sizeof te_name - 1;
}

/* Calls fn for each header of the request. */
typedef void header_fn(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg);
static void each_header(ngx_http_request_t *r, header_fn *fn, void *arg) {
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            fn(r, &h[i], arg);
    }
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
            each_header(r, strip_if_named, &name);
        while (p < e && (*p == ',' || *p == ' ' || *p == '\t'))
            p++;
    }
}

static bool is_plain_connection(const ngx_str_t *v) {
    return (v->len == 10 && gateway_same(v->data, "keep-alive", 10)) ||
           (v->len == 5 && gateway_same(v->data, "close", 5));
}

static void inspect(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    ngx_str_t *key = arg;
    if (named(h, hash_api_key, api_key_name, sizeof api_key_name - 1)) {
        if (!key->len)
            *key = h->value;
    } else if (named(h, hash_connection, connection_name, sizeof connection_name - 1) &&
               !is_plain_connection(&h->value)) {
        strip_hop(r, &h->value);
    }
}

/* Authorization: Bearer KEY, else x-api-key: KEY. Empty: neither. */
static ngx_str_t presented_key(ngx_http_request_t *r) {
    ngx_str_t key = ngx_null_string;
    each_header(r, inspect, &key);
    const ngx_table_elt_t *h = r->headers_in.authorization;
    if (h && h->value.len > 7 && gateway_same(h->value.data, "Bearer ", 7)) {
        u_char *p = h->value.data + 7, *e = h->value.data + h->value.len;
        while (p < e && *p == ' ')
            p++;
        key = (ngx_str_t){.len = (size_t)(e - p), .data = p};
    }
    return key;
}

/* ---- who ---- */

static uint64_t now_us(void) {
    const ngx_time_t *t = ngx_timeofday();
    return (uint64_t)t->sec * 1000000u + (uint64_t)t->msec * 1000u;
}

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
static const struct snapshot_key *authenticate(const ngx_str_t *text) {
    uint64_t version = snapshot_version(gateway_worker.snapshot);
    const struct snapshot_key *key = known_find(version, (const char *)text->data, text->len);
    if (!key)
        key = check(version, text);
    return key && (!key->expires_us || key->expires_us > now_us()) ? key : NULL;
}

/* ---- room ---- */

static void fill_meta(struct ring_meta *m, const struct snapshot_key *key,
                      const struct snapshot_provider *provider, ngx_uint_t route) {
    static const char chat[] = "openai.chat", models[] = "openai.models";
    memcpy(m->tenant, key->tenant, sizeof m->tenant);
    memcpy(m->project, key->project, sizeof m->project);
    memcpy(m->key_id, key->id, sizeof m->key_id);
    memcpy(m->provider, provider->name, sizeof m->provider);
    if (route == GATEWAY_CHAT)
        memcpy(m->dialect, chat, sizeof chat);
    else
        memcpy(m->dialect, models, sizeof models);
}

static ngx_int_t take_credential(ngx_http_request_t *r, struct gateway_request *q,
                                 const char *credential) {
    q->credential.len = strlen(credential);
    if (!q->credential.len)
        return NGX_OK;
    q->credential.data = ngx_pnalloc(r->pool, q->credential.len);
    if (!q->credential.data)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    memcpy(q->credential.data, credential, q->credential.len);
    return NGX_OK;
}

static ngx_int_t admit(ngx_http_request_t *r, struct gateway_request *q,
                       const struct snapshot_key *key, ngx_uint_t route) {
    struct snapshot_provider provider;
    uint64_t room = r->headers_in.chunked ? CHUNKED_ROOM : 0;
    if (r->headers_in.content_length_n > 0)
        room = (uint64_t)r->headers_in.content_length_n;
    if (snapshot_provider(gateway_worker.snapshot, &provider))
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_int_t rc = take_credential(r, q, provider.credential);
    int full = rc == NGX_OK ? ring_admit(gateway_worker.region, room, &q->slot) : 0;
    if (rc == NGX_OK && !full) {
        char id[UUID_TEXT + 1];
        struct ring_meta *m = ring_meta(q->slot);
        fill_meta(m, key, &provider, route);
        uuid_format(id, m->id);
        memcpy(q->id, id, sizeof q->id);
        q->admitted = true;
        reqscan_init(&q->scan);
    }
    explicit_bzero(provider.credential, sizeof provider.credential);
    if (full)
        return refuse(q, full == ERR_LIMIT ? REFUSAL_SIZE : REFUSAL_FULL);
    return rc;
}

ngx_int_t gateway_access(ngx_http_request_t *r) {
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_safehouse_module);
    if (l->route == GATEWAY_NONE || !gateway_worker.region)
        return NGX_DECLINED;
    struct gateway_request *q = gateway_request_new(r);
    if (!q)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    bool body = r->headers_in.content_length_n > 0 || r->headers_in.chunked;
    if (l->route == GATEWAY_CHAT ? r->method != NGX_HTTP_POST
                                 : !(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)))
        return refuse(q, REFUSAL_METHOD);
    ngx_str_t text = presented_key(r);
    const struct snapshot_key *key = authenticate(&text);
    if (!key)
        return refuse(q, REFUSAL_KEY);
    if (body != (l->route == GATEWAY_CHAT))
        return refuse(q, body ? REFUSAL_BODY : REFUSAL_NO_BODY);
    /* Else an upstream that answers 101 would get a tunnel past the log. */
    r->headers_in.upgrade = NULL;
    ngx_int_t rc = admit(r, q, key, l->route);
    return rc == NGX_OK ? NGX_DECLINED : rc;
}

/* ---- the body ---- */

/* Takes a piece of the body; 0 or why not. */
static int take_piece(struct gateway_request *q, const u_char *p, size_t n) {
    int rc = reqscan_feed(&q->scan, p, n);
    int full = ring_append(gateway_worker.region, q->slot, RING_REQUEST, p, n);
    return rc ? rc : full;
}

static enum refusal_name why(struct gateway_request *q, int rc) {
    if (rc == ERR_FULL)
        return REFUSAL_FULL;
    if (rc == ERR_SYNTAX)
        return REFUSAL_JSON;
    return reqscan_feed(&q->scan, NULL, 0) == ERR_LIMIT ? REFUSAL_DEPTH : REFUSAL_SIZE;
}

/* Of a body with a length all is read, so that the connection can go on; after chunks, more than
 * the body may have been. */
static ngx_int_t refuse_body(ngx_http_request_t *r, struct gateway_request *q,
                             enum refusal_name name) {
    if (r->headers_in.chunked || r->request_body->rest != 0)
        q->keepalive = false;
    q->body_refused = true;
    return refuse(q, name);
}

/* nginx would now go on in a file. */
static bool is_full(const ngx_http_request_body_t *b) {
    return b->rest > 0 && b->buf && b->buf->last == b->buf->end;
}

static size_t chain_bytes(const ngx_chain_t *cl) {
    size_t n = 0;
    for (; cl; cl = cl->next)
        n += (size_t)(cl->buf->last - cl->buf->pos);
    return n;
}

static void move(ngx_buf_t *to, ngx_chain_t *cl) {
    for (; cl; cl = cl->next) {
        to->last = ngx_cpymem(to->last, cl->buf->pos, (size_t)(cl->buf->last - cl->buf->pos));
        cl->buf->pos = cl->buf->last;
    }
}

/*
 * What nginx has read since the last time moves into memory of just that size, and nginx, which
 * then has no buffer in use, reads on into the same one. So a large body takes the memory that it
 * needs, in whatever chunks it comes, and never a file.
 */
static ngx_int_t set_aside(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in) {
    ngx_http_request_body_t *body = r->request_body;
    const ngx_buf_tag_t of_nginx = (ngx_buf_tag_t)&ngx_http_read_client_request_body;
    ngx_chain_t **end = &body->bufs;
    while (*end && (*end)->buf->tag != of_nginx)
        end = &(*end)->next;
    size_t n = chain_bytes(*end) + chain_bytes(in);
    if (n == 0)
        return NGX_OK;
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    ngx_buf_t *b = ngx_create_temp_buf(r->pool, n);
    if (!link || !b)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    move(b, *end);
    move(b, in);
    *link = (ngx_chain_t){.buf = b};
    *end = link;
    q->set_aside = true;
    return NGX_OK;
}

ngx_int_t gateway_request_body(ngx_http_request_t *r, ngx_chain_t *in) {
    struct gateway_request *q = gateway_of(r);
    if (!q || !q->slot)
        return gateway_next_request_body(r, in);
    for (ngx_chain_t *cl = in; cl; cl = cl->next) {
        const ngx_buf_t *b = cl->buf;
        int rc = 0;
        if (b->last > b->pos)
            rc = take_piece(q, b->pos, (size_t)(b->last - b->pos));
        if (!rc && b->last_buf)
            rc = reqscan_done(&q->scan);
        if (rc)
            return refuse_body(r, q, why(q, rc));
    }
    if (is_full(r->request_body))
        return set_aside(r, q, in);
    return gateway_next_request_body(r, in);
}

/* The proxy module asks for it when it makes the head for the provider: the body is whole. */
ngx_int_t gateway_authorization(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                                uintptr_t data) {
    struct gateway_request *q = gateway_of(r);
    (void)data;
    if (!q || !q->slot) {
        v->not_found = 1;
        return NGX_OK;
    }
    ring_meta(q->slot)->sent_ns = clock_mono_ns();
    if (r->upstream && !q->finalize_request) {
        q->finalize_request = r->upstream->finalize_request;
        r->upstream->finalize_request = gateway_upstream_ended;
    }
    *v = (ngx_http_variable_value_t){
        .len = (unsigned)q->credential.len & 0xfffffff,
        .valid = 1,
        .data = q->credential.data,
    };
    return NGX_OK;
}
