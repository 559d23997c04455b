/*
 * The request's body as the provider gets it: the client's own bytes but for a few members, which
 * are cut out and put in at their offsets (llm/splice.h). The ring has what the client wrote.
 *
 * The chain of buffers is made anew for each attempt; it points into the client's bytes, and what
 * is put in lies in the request's pool.
 */
#include <sodium.h>

#include "write/gateway/gateway.h"

#define PSEUDONYM_BYTES 16
#define PSEUDONYM_TEXT (sizeof "\"u-\"" - 1 + 2 * PSEUDONYM_BYTES)
#define USER_ID ",\"user_id\":"

/* ---- the chain ---- */

/* Where the client's bytes are being read. */
struct cursor {
    ngx_chain_t *at;
    size_t skip; /* of this buffer */
};

static ngx_buf_t *add_buf(ngx_http_request_t *r, ngx_chain_t ***end) {
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    ngx_buf_t *b = link ? ngx_calloc_buf(r->pool) : NULL;
    if (!b)
        return NULL;
    *link = (ngx_chain_t){.buf = b};
    **end = link;
    *end = &link->next;
    return b;
}

/* The next `len` of the client's bytes; to the new chain unless it is NULL. */
static ngx_int_t take(ngx_http_request_t *r, struct cursor *c, size_t len, ngx_chain_t ***end) {
    while (len && c->at) {
        ngx_buf_t *from = c->at->buf;
        size_t has = (size_t)(from->last - from->pos) - c->skip, n = has < len ? has : len;
        if (n && end) {
            ngx_buf_t *b = add_buf(r, end);
            if (!b)
                return NGX_ERROR;
            b->start = b->pos = from->pos + c->skip;
            b->end = b->last = b->pos + n;
            b->memory = 1;
        }
        len -= n;
        c->skip += n;
        if (n == has) {
            c->at = c->at->next;
            c->skip = 0;
        }
    }
    return len ? NGX_ERROR : NGX_OK;
}

static ngx_int_t put(ngx_http_request_t *r, const char *text, size_t len, ngx_chain_t ***end) {
    ngx_buf_t *b = len ? add_buf(r, end) : NULL;
    if (!b)
        return len ? NGX_ERROR : NGX_OK;
    b->start = b->pos = (u_char *)(uintptr_t)text;
    b->end = b->last = b->pos + len;
    b->memory = 1;
    return NGX_OK;
}

static ngx_int_t make_chain(ngx_http_request_t *r, const struct gateway_request *q,
                            const struct splice_list *l, ngx_chain_t **ret) {
    struct cursor c = {.at = q->body};
    ngx_chain_t **end = ret;
    size_t at = 0;
    *ret = NULL;
    for (size_t i = 0; i < l->count; i++) {
        const struct splice_edit *e = &l->edit[i];
        if (take(r, &c, e->at - at, &end) != NGX_OK || take(r, &c, e->cut, NULL) != NGX_OK ||
            put(r, e->text, e->len, &end) != NGX_OK)
            return NGX_ERROR;
        at = e->at + e->cut;
    }
    return take(r, &c, q->taken - at, &end);
}

/* ---- the model's name ---- */

/* As a JSON string. Names are the configuration's. */
static ngx_int_t model_json(ngx_http_request_t *r, const ngx_str_t *name, ngx_str_t *ret) {
    u_char *p = ngx_pnalloc(r->pool, 2 + 2 * name->len);
    if (!p)
        return NGX_ERROR;
    ret->data = p;
    *p++ = '"';
    for (size_t i = 0; i < name->len; i++) {
        if (name->data[i] == '"' || name->data[i] == '\\')
            *p++ = '\\';
        *p++ = name->data[i];
    }
    *p++ = '"';
    ret->len = (size_t)(p - ret->data);
    return NGX_OK;
}

/* ---- the person ---- */

/*
 * A person's pseudonym at one provider: a keyed hash of the tenant, the project and the name. The
 * key comes from the provider's first credential, which all workers of all hosts have and nobody
 * else, so that it is the same everywhere, and means nothing at another provider; a provider
 * without credentials gets one by the caller's own key.
 */
static void begin_pseudonym(const struct gateway_request *q, crypto_generichash_state *s) {
    static const char purpose[] = "safehouse pseudonym 1";
    char secret[SNAPSHOT_CREDENTIAL] = "";
    uint8_t key[crypto_generichash_KEYBYTES];
    bool keyed = q->target.first_key != HEALTH_NO_KEY &&
                 snapshot_credential(gateway_worker.snapshot, q->target.provider,
                                     q->target.first_key, secret) == 0;
    crypto_generichash(key, sizeof key, keyed ? (uint8_t *)secret : q->key.hash,
                       keyed ? strlen(secret) : sizeof q->key.hash, (const uint8_t *)purpose,
                       sizeof purpose - 1);
    crypto_generichash_init(s, key, sizeof key, PSEUDONYM_BYTES);
    crypto_generichash_update(s, (const uint8_t *)q->key.tenant, strlen(q->key.tenant) + 1);
    crypto_generichash_update(s, (const uint8_t *)q->key.project, strlen(q->key.project) + 1);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(key, sizeof key);
}

static ngx_int_t end_pseudonym(ngx_http_request_t *r, crypto_generichash_state *s, ngx_str_t *ret) {
    static const char head[] = {'"', 'u', '-'};
    uint8_t hash[PSEUDONYM_BYTES];
    crypto_generichash_final(s, hash, sizeof hash);
    sodium_memzero(s, sizeof *s);
    u_char *p = ngx_pnalloc(r->pool, PSEUDONYM_TEXT);
    if (!p)
        return NGX_ERROR;
    *ret = (ngx_str_t){PSEUDONYM_TEXT, p};
    p = ngx_hex_dump(ngx_cpymem(p, head, sizeof head), hash, sizeof hash);
    *p = '"';
    return NGX_OK;
}

/* Of what the client wrote for a member, as it stands there. */
static ngx_int_t pseudonym_of(ngx_http_request_t *r, const struct gateway_request *q,
                              const struct reqscan_value *v, ngx_str_t *ret) {
    crypto_generichash_state s;
    struct cursor c = {.at = q->body};
    size_t left = v->len;
    begin_pseudonym(q, &s);
    if (take(r, &c, v->at, NULL) != NGX_OK)
        return NGX_ERROR;
    while (left && c.at) {
        size_t has = (size_t)(c.at->buf->last - c.at->buf->pos) - c.skip;
        size_t n = has < left ? has : left;
        crypto_generichash_update(&s, c.at->buf->pos + c.skip, n);
        left -= n;
        c.at = c.at->next;
        c.skip = 0;
    }
    return end_pseudonym(r, &s, ret);
}

/* The person that nobody named: the caller's key. */
static ngx_int_t pseudonym_of_key(ngx_http_request_t *r, const struct gateway_request *q,
                                  ngx_str_t *ret) {
    crypto_generichash_state s;
    begin_pseudonym(q, &s);
    crypto_generichash_update(&s, (const uint8_t *)q->key.id, strlen(q->key.id));
    return end_pseudonym(r, &s, ret);
}

/* Wherever a person is named, the pseudonym stands. DeepSeek looks at `user_id` alone: it gets one
 * in any case. */
static ngx_int_t hide_person(ngx_http_request_t *r, const struct gateway_request *q,
                             struct splice_list *l) {
    static const enum reqscan_member members[] = {REQSCAN_USER, REQSCAN_SAFETY_IDENTIFIER,
                                                  REQSCAN_USER_ID, REQSCAN_METADATA_USER_ID};
    const struct reqscan *scan = &q->scan;
    ngx_str_t name = ngx_null_string;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct reqscan_value *v = &scan->value[members[i]];
        if (v->kind == REQSCAN_ABSENT || v->kind == REQSCAN_NULL)
            continue;
        if (pseudonym_of(r, q, v, &name) != NGX_OK)
            return NGX_ERROR;
        (void)splice_value(l, scan, members[i], (char *)name.data, name.len);
    }
    if (!q->target.deepseek || q->endpoint.row->dialect->family != FAMILY_OPENAI ||
        scan->value[REQSCAN_USER_ID].kind != REQSCAN_ABSENT)
        return NGX_OK;
    if (!name.len && pseudonym_of_key(r, q, &name) != NGX_OK)
        return NGX_ERROR;
    u_char *text = ngx_pnalloc(r->pool, sizeof USER_ID - 1 + name.len);
    if (!text)
        return NGX_ERROR;
    memcpy(ngx_cpymem(text, USER_ID, sizeof USER_ID - 1), name.data, name.len);
    l->edit[l->count++] = (struct splice_edit){
        .at = scan->end, .text = (char *)text, .len = sizeof USER_ID - 1 + name.len};
    return NGX_OK;
}

/* ---- all of it ---- */

static bool streams_usage(const struct dialect *d) {
    return d->shape == DIALECT_CHAT || d->shape == DIALECT_COMPLETIONS;
}

ngx_int_t gateway_edit(ngx_http_request_t *r, struct gateway_request *q) {
    struct splice_list l = {0};
    ngx_str_t json;
    const ngx_str_t *to = &q->target.model;
    if (!q->scanned)
        return NGX_OK;
    if (to->len != q->asked.len || memcmp(to->data, q->asked.data, to->len) != 0) {
        if (model_json(r, to, &json) != NGX_OK)
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        (void)splice_value(&l, &q->scan, REQSCAN_MODEL, (char *)json.data, json.len);
    }
    if (streams_usage(q->endpoint.row->dialect))
        q->asks_usage = splice_usage(&l, &q->scan);
    if (q->target.isolate_by_user && hide_person(r, q, &l) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    r->request_body->bufs = q->body;
    r->headers_in.content_length_n = (off_t)splice_length(&l, q->taken);
    return l.count && make_chain(r, q, &l, &r->request_body->bufs) != NGX_OK
               ? NGX_HTTP_INTERNAL_SERVER_ERROR
               : NGX_OK;
}
