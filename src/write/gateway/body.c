/*
 * A request's body and its memory. Runs in gateway workers.
 *
 * While it comes in, each piece is checked and copied into the ring; route.c goes on when it is
 * whole, so what is refused here never reaches a provider. It lies in memory only: in what nginx
 * read of it with the head, in nginx's buffer, then in pieces (pieces.h). What a worker holds of
 * bodies is counted, and has a ceiling.
 *
 * It is needed for as long as a provider may have to be sent it: when one has taken all of it and
 * begins to answer, all that is given back, however long the answer goes on.
 */
#include <malloc.h>

#include "base/err.h"
#include "write/gateway/gateway.h"

#define TAKE_BYTES 16384u /* of a body at once */

/* ---- memory ---- */

bool gateway_fits(uint64_t bytes) {
    return bytes <= gateway_worker.bodies_max - gateway_worker.bodies;
}

bool gateway_hold(struct gateway_request *q, uint64_t bytes) {
    if (!gateway_fits(bytes))
        return false;
    gateway_worker.bodies += bytes;
    q->held += bytes;
    return true;
}

void gateway_drop_pieces(struct gateway_request *q) {
    const ngx_http_request_body_t *body = q->r->request_body;
    pieces_give(q->pieces, body && body->buf ? body->buf->last : NULL);
    q->pieces = NULL;
}

/* A buffer that nginx made for it is one of the pool's large pieces. */
static void free_large(ngx_pool_t *pool, const u_char *start) {
    for (ngx_pool_large_t *l = pool->large; l; l = l->next) {
        if (l->alloc && l->alloc == start) {
            explicit_bzero(l->alloc, malloc_usable_size(l->alloc));
            ngx_free(l->alloc);
            l->alloc = NULL;
        }
    }
}

void gateway_drop_body(struct gateway_request *q) {
    ngx_http_request_body_t *body = q->r->request_body;
    gateway_drop_pieces(q);
    for (const ngx_chain_t *cl = q->body; cl; cl = cl->next)
        free_large(q->r->pool, cl->buf->start);
    body->bufs = q->body = NULL;
    body->buf = NULL;
    gateway_worker.bodies -= q->held;
    q->held = 0;
}

/* ---- in ---- */

/* Takes a few bytes of the body; 0 or why not. */
static int take_some(struct gateway_request *q, const u_char *p, size_t n) {
    int rc = q->scanned ? reqscan_feed(&q->scan, p, n) : 0;
    int full = ring_append(gateway_worker.region, q->slot, RING_REQUEST, p, n);
    q->taken += n;
    if (!full && q->taken > q->held && !gateway_hold(q, n))
        full = ERR_FULL;
    return rc ? rc : full;
}

/* What was just looked at is copied while the nearest cache still has it. */
static int take_all(struct gateway_request *q, const u_char *p, size_t n) {
    int rc = 0;
    for (size_t some; n && !rc; p += some, n -= some) {
        some = n < TAKE_BYTES ? n : TAKE_BYTES;
        rc = take_some(q, p, some);
    }
    return rc;
}

static enum errors_code why(struct gateway_request *q, int rc) {
    if (rc == ERR_FULL)
        return ERRORS_OVERLOADED;
    if (rc == ERR_SYNTAX)
        return ERRORS_BAD_JSON;
    return q->scanned && reqscan_feed(&q->scan, NULL, 0) == ERR_LIMIT ? ERRORS_TOO_DEEP
                                                                      : ERRORS_TOO_LARGE;
}

/* Of a body with a length all is read, so that the connection can go on; after chunks, more than
 * the body may have been. */
static ngx_int_t refuse_body(ngx_http_request_t *r, struct gateway_request *q,
                             enum errors_code code) {
    if (r->headers_in.chunked || r->request_body->rest != 0)
        q->keepalive = false;
    q->body_refused = true;
    return gateway_refuse(q, code);
}

/* nginx would now go on in a file. */
static bool is_full(const ngx_http_request_body_t *b) {
    return b->rest > 0 && b->buf && b->buf->last == b->buf->end;
}

static bool lies_in(const ngx_buf_t *b, const ngx_buf_t *memory) {
    return b->pos >= memory->start && b->last <= memory->end;
}

static ngx_buf_t *add_own(ngx_http_request_t *r, u_char *at, ngx_chain_t ***end) {
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    ngx_buf_t *b = link ? ngx_calloc_buf(r->pool) : NULL;
    if (!b)
        return NULL;
    b->tag = (ngx_buf_tag_t)&ngx_http_safehouse_module;
    b->temporary = 1;
    b->start = b->pos = b->last = at;
    *link = (ngx_chain_t){.buf = b};
    **end = link;
    *end = &link->next;
    return b;
}

/*
 * Adds buffers of our own for what is in nginx's: one for all that lies in the memory that it reads
 * into, where the framing between chunks is moved over. nginx then has no buffer in use.
 */
static ngx_int_t take_over(ngx_http_request_t *r, ngx_chain_t *from, ngx_chain_t **end) {
    const ngx_buf_t *memory = r->request_body->buf;
    ngx_buf_t *to = NULL;
    for (; from; from = from->next) {
        ngx_buf_t *b = from->buf;
        size_t n = (size_t)(b->last - b->pos);
        if (n == 0)
            continue;
        if (!to || !lies_in(to, memory) || !lies_in(b, memory))
            to = add_own(r, b->pos, &end);
        if (!to)
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        if (to->last != b->pos)
            memmove(to->last, b->pos, n);
        to->end = to->last += n;
        b->pos = b->last;
    }
    return NGX_OK;
}

/*
 * The memory that nginx has filled stays where it is, and nginx reads on into a new piece. So a
 * large body takes the memory that it needs, in whatever chunks it comes, and never a file.
 */
static ngx_int_t read_on(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in) {
    ngx_http_request_body_t *body = r->request_body;
    ngx_chain_t **own = &body->bufs;
    while (*own && (*own)->buf->tag == (ngx_buf_tag_t)&ngx_http_safehouse_module)
        own = &(*own)->next;
    ngx_chain_t *of_nginx = *own, **last = &of_nginx;
    *own = NULL;
    while (*last)
        last = &(*last)->next;
    *last = in;
    struct piece *p = pieces_take();
    if (!p)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    p->next = q->pieces;
    q->pieces = p;
    if (take_over(r, of_nginx, own) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    body->buf->start = body->buf->pos = body->buf->last = p->bytes;
    body->buf->end = p->bytes + sizeof p->bytes;
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
            rc = take_all(q, b->pos, (size_t)(b->last - b->pos));
        if (!rc && b->last_buf && q->scanned)
            rc = reqscan_done(&q->scan);
        if (rc)
            return refuse_body(r, q, why(q, rc));
    }
    if (is_full(r->request_body))
        return read_on(r, q, in);
    return gateway_next_request_body(r, in);
}
