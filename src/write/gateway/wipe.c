/*
 * A request's end. Runs in gateway workers.
 *
 * nginx runs the log phase for every request, however it ended, right before it destroys the
 * request's pool; so this is where a slot that is still open is closed, and where the overwriting
 * is arranged: of the pool's blocks and large pieces, of the connection's header buffers (they
 * outlive the request on a kept-alive connection; what was read of a next request stays), and of
 * OpenSSL's buffers as far as nginx owns them. What is on the stack and in registers is overwritten
 * by a timer a moment later: that costs more than a request, and once is enough for all that ended
 * meanwhile.
 */
#include <malloc.h>

#include "base/traces.h"
#include "write/gateway/gateway.h"

#define TRACES_MS 200

static void wipe(u_char *from, const u_char *to) {
    if (from && to > from)
        explicit_bzero(from, (size_t)(to - from));
}

void gateway_wipe_tls(ngx_connection_t *c) {
#if (NGX_HTTP_SSL)
    if (c && c->ssl && c->ssl->buf)
        wipe(c->ssl->buf->start, c->ssl->buf->end);
#else
    (void)c;
#endif
}

/* Of the buffer that a next request begins in, what belongs to this one. */
static void wipe_header_buffer(ngx_buf_t *b, const ngx_buf_t *current) {
    wipe(b->start, b == current ? b->pos : b->last);
}

static void wipe_connection(const ngx_http_request_t *r) {
    ngx_connection_t *c = r->connection;
    const ngx_http_connection_t *hc = r->http_connection;
    if (c->buffer)
        wipe_header_buffer(c->buffer, r->header_in);
    for (ngx_chain_t *cl = hc->busy; cl; cl = cl->next)
        wipe_header_buffer(cl->buf, r->header_in);
    for (ngx_chain_t *cl = hc->free; cl; cl = cl->next)
        wipe(cl->buf->start, cl->buf->end);
    gateway_wipe_tls(c);
}

/* How much of a large piece was written to: a body's buffer may be far larger than its body. */
static size_t used_of(const ngx_http_request_t *r, u_char *p) {
    const struct gateway_request *q = gateway_of(r);
    const ngx_http_request_body_t *body = r->request_body;
    const ngx_http_upstream_t *u = r->upstream;
    size_t size = malloc_usable_size(p);
    u_char *high = NULL;
    if (body && body->buf && body->buf->start == p)
        high = body->buf->last;
    else if (q && u && u->buffer.start == p)
        high = q->buffer_high;
    return high > p && (size_t)(high - p) < size ? (size_t)(high - p) : size;
}

/* A cleanup at the end of the list: nginx runs them from its beginning, where new ones are added.
 */
static void *add_last(ngx_pool_t *pool, void (*handler)(void *), size_t size) {
    ngx_pool_cleanup_t **end = &pool->cleanup, *mine = ngx_pcalloc(pool, sizeof *mine);
    void *data = ngx_palloc(pool, size);
    if (!mine || !data)
        return NULL;
    while (*end)
        end = &(*end)->next;
    mine->handler = handler;
    mine->data = data;
    *end = mine;
    return data;
}

/* ---- the request ---- */

struct ending {
    ngx_http_request_t *r;
    ngx_pool_t *pool;
};

/*
 * Runs after every other cleanup of the request, when nothing looks at its memory any more. The
 * list of large pieces lies in the blocks, so the pieces are freed here. This cleanup's own entry
 * is wiped as well, which nginx reads as the end of its list.
 */
static void wipe_request(void *data) {
    const struct ending e = *(struct ending *)data;
    wipe_connection(e.r);
    for (ngx_pool_large_t *l = e.pool->large; l; l = l->next) {
        if (l->alloc) {
            wipe(l->alloc, (u_char *)l->alloc + used_of(e.r, l->alloc));
            ngx_free(l->alloc);
        }
    }
    e.pool->large = NULL;
    wipe((u_char *)e.pool + sizeof(ngx_pool_t), e.pool->d.last);
    for (ngx_pool_t *p = e.pool->d.next; p; p = p->d.next)
        wipe((u_char *)p + sizeof(ngx_pool_data_t), p->d.last);
}

/* ---- the connection: what came after its last request ---- */

struct leaving {
    ngx_connection_t *c;
    ngx_http_connection_t *hc;
};

static void wipe_leaving(void *data) {
    const struct leaving *l = data;
    if (l->c->buffer && l->c->buffer->pos)
        wipe(l->c->buffer->start, l->c->buffer->end);
    for (ngx_chain_t *cl = l->hc->busy; cl; cl = cl->next)
        wipe(cl->buf->start, cl->buf->end);
}

static void arrange_leaving(const ngx_http_request_t *r) {
    ngx_pool_t *pool = r->connection->pool;
    for (const ngx_pool_cleanup_t *c = pool->cleanup; c; c = c->next)
        if (c->handler == wipe_leaving)
            return;
    struct leaving *l = add_last(pool, wipe_leaving, sizeof *l);
    if (l)
        *l = (struct leaving){r->connection, r->http_connection};
}

/* ---- nginx's calls ---- */

ngx_int_t gateway_log(ngx_http_request_t *r) {
    if (!gateway_worker.region)
        return NGX_OK;
    struct gateway_request *q = gateway_find(r);
    if (q)
        gateway_settle(q);
    arrange_leaving(r);
    struct ending *e = add_last(r->pool, wipe_request, sizeof *e);
    if (e)
        *e = (struct ending){r, r->pool};
    if (!gateway_worker.traces.timer_set)
        ngx_add_timer(&gateway_worker.traces, TRACES_MS);
    return NGX_OK;
}

void gateway_wipe_traces(ngx_event_t *ev) {
    (void)ev;
    traces_wipe();
}
