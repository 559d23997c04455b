/*
 * From the answer's head to its last byte: the header filter and the body filter. Runs in gateway
 * workers.
 *
 * The provider's bytes go on as they came, each of them after it is in the ring. The slot is closed
 * before the buffer goes on by which a client can know that the answer is whole: the one with the
 * last byte of Content-Length, or with the terminal event, else nginx's last buffer. An answer that
 * is not whole never ends like one that is.
 *
 * Refusals, ours and nginx's own, become JSON here, so that no path around a handler gives HTML.
 */
#include "base/clock.h"
#include "base/err.h"
#include "write/gateway/gateway.h"

#define TEXT(literal) ((ngx_str_t)ngx_string(literal))

static const ngx_str_t json_type = ngx_string("application/json"),
                       stream_type = ngx_string("text/event-stream");

/* ---- closing ---- */

void gateway_close(ngx_http_request_t *r, struct gateway_request *q, enum ring_outcome outcome) {
    if (!q->slot)
        return;
    if (r->upstream_states && r->upstream_states->nelts)
        ring_meta(q->slot)->attempts = (uint8_t)ngx_min(r->upstream_states->nelts, 255);
    ring_close(gateway_worker.region, q->slot, outcome);
    q->slot = NULL;
}

/* The client must not take what it has for the whole. Chunks and lengths show a missing end; where
 * the connection's end is the answer's end, only a reset does, which the caller lets happen at once
 * by NGX_ERROR. */
static ngx_int_t cut(ngx_http_request_t *r, struct gateway_request *q) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    gateway_close(r, q, RING_CUT);
    r->keepalive = 0;
    if (r->chunked || r->headers_out.content_length_n >= 0)
        return NGX_OK;
    (void)setsockopt(r->connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return NGX_ERROR;
}

/* 0, or the exchange cannot go on: it is cut for both sides. */
static int keep(struct gateway_request *q, const u_char *p, size_t n) {
    struct ring_meta *m = ring_meta(q->slot);
    if (!m->first_ns)
        m->first_ns = clock_mono_ns();
    return ring_append(gateway_worker.region, q->slot, RING_ANSWER, p, n);
}

/* ---- head ---- */

static ngx_int_t add_header(ngx_http_request_t *r, ngx_str_t name, ngx_str_t value) {
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (!h)
        return NGX_ERROR;
    *h = (ngx_table_elt_t){.hash = 1, .key = name, .value = value};
    return NGX_OK;
}

static ngx_int_t add_advice(ngx_http_request_t *r, const struct gateway_location *l,
                            ngx_uint_t status) {
    switch (status) {
    case 401:
        return add_header(r, TEXT("WWW-Authenticate"), TEXT("Bearer"));
    case 405:
        return l->route == GATEWAY_MODELS ? add_header(r, TEXT("Allow"), TEXT("GET, HEAD"))
                                          : add_header(r, TEXT("Allow"), TEXT("POST"));
    case 503:
        return add_header(r, TEXT("Retry-After"), TEXT("1"));
    default:
        return NGX_OK;
    }
}

/* What is left of a body is still on the connection, and must not be read as a request. nginx
 * leaves the connection open after some errors and closes it after others; where the whole body was
 * read, it can stay. */
static void settle_connection(ngx_http_request_t *r, const struct gateway_request *q) {
    bool body = r->headers_in.chunked || r->headers_in.content_length_n > 0;
    if (q->body_refused && q->keepalive) {
        r->keepalive = 1;
    } else if (q->body_refused || (body && r->request_body && r->request_body->rest != 0)) {
        r->keepalive = 0;
        r->lingering_close = 1;
    }
}

/* nginx answers by itself: its page becomes one of ours. */
static ngx_int_t begin_refusal(ngx_http_request_t *r, struct gateway_request *q) {
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_safehouse_module);
    ngx_http_headers_out_t *out = &r->headers_out;
    if (!q->refusal || q->refusal->status != out->status)
        q->refusal = refusal_of_status((unsigned)out->status);
    q->own = true;
    if (q->slot) {
        struct ring_meta *m = ring_meta(q->slot);
        m->status = (uint16_t)out->status;
        m->answer_body = RING_BODY_JSON;
        /* no room for the refusal's text: then the log has the status alone */
        (void)keep(q, (const u_char *)q->refusal->body, q->refusal->len);
        gateway_close(r, q, RING_REFUSED);
    }
    settle_connection(r, q);
    out->content_type = json_type;
    out->content_type_len = json_type.len;
    out->content_type_lowcase = NULL;
    ngx_http_clear_content_length(r);
    out->content_length_n = (off_t)q->refusal->len;
    return add_advice(r, l, out->status);
}

static bool is_type(const ngx_http_headers_out_t *out, const ngx_str_t *type) {
    return out->content_type_len == type->len &&
           gateway_same(out->content_type.data, (const char *)type->data, type->len);
}

static uint8_t body_kind(const ngx_http_headers_out_t *out) {
    if (is_type(out, &stream_type))
        return RING_BODY_SSE;
    return is_type(out, &json_type) ? RING_BODY_JSON : RING_BODY_OTHER;
}

/* As nginx's own header filter has it. */
static bool has_body(const ngx_http_request_t *r) {
    ngx_uint_t status = r->headers_out.status;
    return r->method != NGX_HTTP_HEAD && status != NGX_HTTP_NO_CONTENT &&
           status != NGX_HTTP_NOT_MODIFIED;
}

/* Bytes that are no HTTP answer, which nginx takes for HTTP/0.9, and a change of protocol: both
 * would reach the client without a head. */
static bool is_answer(const ngx_http_request_t *r) {
    return r->http_version >= NGX_HTTP_VERSION_10 && r->headers_out.status >= NGX_HTTP_OK;
}

static void begin_answer(ngx_http_request_t *r, struct gateway_request *q) {
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_safehouse_module);
    const ngx_http_upstream_t *u = r->upstream;
    ngx_http_headers_out_t *out = &r->headers_out;
    struct ring_meta *m = ring_meta(q->slot);
    m->status = (uint16_t)out->status;
    m->content_coded = out->content_encoding != NULL;
    m->answer_body = has_body(r) ? body_kind(out) : RING_BODY_NONE;
    q->left = out->content_length_n;
    if (!has_body(r) || q->left == 0) {
        gateway_close(r, q, RING_COMPLETE);
    } else if (m->answer_body == RING_BODY_SSE && l->route == GATEWAY_CHAT &&
               out->status == NGX_HTTP_OK && !m->content_coded) {
        q->stream = true;
        q->left = -1;
        ngx_http_clear_content_length(r); /* a cut must show, and an error event must fit */
        terminal_init(&q->terminal);
    } else if (m->answer_body == RING_BODY_JSON && q->left < 0 && !m->content_coded && u &&
               !u->headers_in.chunked) {
        q->scan_answer = true;
        reqscan_init_any(&q->scan);
    }
}

ngx_int_t gateway_header(ngx_http_request_t *r) {
    struct gateway_request *q = gateway_of(r);
    if (r != r->main)
        return gateway_next_header(r);
    if (r->err_status >= NGX_HTTP_BAD_REQUEST) {
        q = gateway_request_new(r);
        if (!q || begin_refusal(r, q) != NGX_OK)
            return NGX_ERROR;
    } else if (q && q->slot) {
        if (!is_answer(r)) {
            r->http_version = q->http_version;
            return NGX_HTTP_BAD_GATEWAY;
        }
        begin_answer(r, q);
    }
    if (q && q->admitted &&
        add_header(r, TEXT("x-safehouse-id"), (ngx_str_t){UUID_TEXT, (u_char *)q->id}) != NGX_OK)
        return NGX_ERROR;
    return gateway_next_header(r);
}

/* ---- body ---- */

/* The refusal's text in place of nginx's page. */
static ngx_int_t send_refusal(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in) {
    ngx_chain_t out = {.next = NULL};
    bool last = false;
    for (ngx_chain_t *cl = in; cl; cl = cl->next) {
        last = last || cl->buf->last_buf;
        cl->buf->pos = cl->buf->last;
    }
    if (!last)
        return NGX_OK;
    out.buf = ngx_calloc_buf(r->pool);
    if (!out.buf)
        return NGX_ERROR;
    out.buf->pos = (u_char *)(uintptr_t)q->refusal->body;
    out.buf->last = out.buf->pos + q->refusal->len;
    out.buf->memory = 1;
    out.buf->last_buf = 1;
    out.buf->last_in_chain = 1;
    return gateway_next_body(r, &out);
}

/* An answer that is not whole ends here: a stream between two events gets one that says so. */
static ngx_int_t send_cut(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in) {
    ngx_chain_t event = {.next = NULL}, **end = &in;
    for (; *end; end = &(*end)->next) {
        if ((*end)->buf->last_buf) {
            (*end)->buf->last_buf = 0;
            (*end)->buf->flush = 1;
        }
    }
    const u_char *text = (const u_char *)refusal_cut_event;
    if (q->stream && q->terminal.between && !keep(q, text, refusal_cut_event_len)) {
        event.buf = ngx_calloc_buf(r->pool);
        if (!event.buf)
            return NGX_ERROR;
        event.buf->pos = (u_char *)(uintptr_t)text;
        event.buf->last = event.buf->pos + refusal_cut_event_len;
        event.buf->memory = 1;
        event.buf->flush = 1;
        *end = &event;
    }
    ngx_int_t rc = cut(r, q), sent = gateway_next_body(r, in);
    return rc == NGX_OK ? sent : rc;
}

/* What follows the terminal event is in no log, so it does not go on; line ends are the event's. */
static void drop_rest(ngx_http_request_t *r, ngx_buf_t *b, u_char *from) {
    u_char *end = from + terminal_rest(from, (size_t)(b->last - from));
    if (end == b->last)
        return;
    b->last = end;
    r->keepalive = 0;
    if (b->pos == b->last) { /* nginx takes an empty buffer only if it is no memory */
        b->temporary = b->memory = b->mmap = 0;
        b->sync = 1;
    }
}

/* A piece of a stream. Closes the slot with the terminal event. */
static int take_event(ngx_http_request_t *r, struct gateway_request *q, ngx_buf_t *b) {
    size_t n = (size_t)(b->last - b->pos), end = terminal_feed(&q->terminal, b->pos, n);
    if (end)
        drop_rest(r, b, b->pos + end);
    int rc = keep(q, b->pos, (size_t)(b->last - b->pos));
    if (!rc && end)
        gateway_close(r, q, RING_COMPLETE);
    return rc;
}

/* A piece of any other answer. */
static int take_bytes(ngx_http_request_t *r, struct gateway_request *q, const ngx_buf_t *b) {
    size_t n = (size_t)(b->last - b->pos);
    int rc = keep(q, b->pos, n);
    if (q->scan_answer)
        (void)reqscan_feed(&q->scan, b->pos, n);
    if (!rc && q->left >= 0 && (q->left -= (off_t)n) <= 0)
        gateway_close(r, q, RING_COMPLETE);
    return rc;
}

static int take(ngx_http_request_t *r, struct gateway_request *q, ngx_buf_t *b) {
    if (!ngx_buf_in_memory(b) || b->pos == b->last)
        return 0;
    if (b->last > q->buffer_high)
        q->buffer_high = b->last;
    if (!q->slot) {
        drop_rest(r, b, b->pos);
        return 0;
    }
    return q->stream ? take_event(r, q, b) : take_bytes(r, q, b);
}

/* nginx says that this was the end. Was it? */
static bool is_whole(struct gateway_request *q) {
    return !q->stream && q->left <= 0 && !(q->scan_answer && reqscan_done(&q->scan));
}

ngx_int_t gateway_body(ngx_http_request_t *r, ngx_chain_t *in) {
    struct gateway_request *q = gateway_of(r);
    bool last = false;
    if (!q || r != r->main || !in || !(q->admitted || q->own))
        return gateway_next_body(r, in);
    if (q->own)
        return send_refusal(r, q, in);
    for (ngx_chain_t *cl = in; cl; cl = cl->next) {
        if (take(r, q, cl->buf)) {
            (void)cut(r, q);
            return NGX_ERROR;
        }
        last = last || cl->buf->last_buf;
    }
    if (!q->slot)
        return gateway_next_body(r, in);
    if (q->broken || (last && !is_whole(q)))
        return send_cut(r, q, in);
    if (last)
        gateway_close(r, q, RING_COMPLETE);
    return gateway_next_body(r, in);
}

void gateway_upstream_ended(ngx_http_request_t *r, ngx_int_t rc) {
    struct gateway_request *q = gateway_of(r);
    q->broken = rc >= NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_connection_t *c = r->upstream->peer.connection;
    gateway_wipe_tls(c);
    q->finalize_request(r, rc);
}
