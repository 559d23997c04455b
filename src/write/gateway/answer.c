/*
 * From the answer's head to its last byte: the header filter and the body filter. Runs in gateway
 * workers.
 *
 * A provider's head that another provider may do better than is dropped, and route.c begins the
 * next attempt. The last one's answer goes on as it came, each byte of it after it is in the ring.
 * The slot is closed before the buffer goes on by which a client can know that the answer is whole:
 * the one with the last byte of Content-Length, or with the terminal event, else nginx's last
 * buffer. An answer that is not whole never ends like one that is.
 */
#include "base/clock.h"
#include "base/err.h"
#include "write/gateway/gateway.h"

static const ngx_str_t json_type = ngx_string("application/json"),
                       stream_type = ngx_string("text/event-stream");

/* ---- closing ---- */

/* The client must not take what it has for the whole. Chunks and lengths show a missing end; where
 * the connection's end is the answer's end, only a reset does, which the caller lets happen at once
 * by NGX_ERROR. */
static ngx_int_t cut(ngx_http_request_t *r, struct gateway_request *q) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    gateway_close(q, RING_CUT);
    r->keepalive = 0;
    if (r->chunked || r->headers_out.content_length_n >= 0)
        return NGX_OK;
    (void)setsockopt(r->connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return NGX_ERROR;
}

/* Blank lines before a body that is no stream say that the provider still waits. */
static bool says_something(const struct gateway_request *q, const u_char *p, size_t n) {
    if (q->stream || q->body_kind != RING_BODY_JSON)
        return true;
    while (n && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
        n--;
    }
    return n > 0;
}

/* 0, or the exchange cannot go on: it is cut for both sides. */
static int keep(struct gateway_request *q, const u_char *p, size_t n) {
    struct ring_meta *m = ring_meta(q->slot);
    if (!m->first_ns && says_something(q, p, n))
        m->first_ns = clock_mono_ns();
    q->bytes += n;
    return ring_append(gateway_worker.region, q->slot, RING_ANSWER, p, n);
}

/* ---- head ---- */

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

static void read_retry(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    struct gateway_request *q = arg;
    (void)r;
    bool ms = h->key.len == 14 && gateway_same(h->key.data, "retry-after-ms", 14);
    if (!h->hash || (!ms && (h->key.len != 11 || !gateway_same(h->key.data, "retry-after", 11))))
        return;
    ngx_int_t n = ngx_atoi(h->value.data, h->value.len);
    if (n > 0 && n <= (ngx_int_t)HEALTH_RETRY_MAX_MS && (ms || !q->provider_retry_ms))
        q->provider_retry_ms = (uint64_t)n * (ms ? 1u : 1000u);
}

/* Of a provider's answer that goes to no client, or not as it is: what becomes of it. */
enum verdict {
    PASSES,
    NEXT,    /* another provider is chosen */
    REPLACE, /* one of ours takes its place, with this status */
};

static enum verdict judge(ngx_http_request_t *r, struct gateway_request *q) {
    ngx_uint_t status = r->headers_out.status;
    q->status = (uint16_t)status;
    q->provider_retry_ms = 0;
    if (status < NGX_HTTP_BAD_REQUEST)
        return PASSES;
    gateway_each_header(r, &r->headers_out.headers, read_retry, q);
    if (gateway_choose_again(q, (int)status, q->provider_retry_ms))
        return NEXT;
    /* It tells of our key, perhaps with some of its characters, and the client has none there. */
    if (status == NGX_HTTP_UNAUTHORIZED && q->attempt.key != HEALTH_NO_KEY) {
        (void)gateway_refuse(q, ERRORS_NO_PROVIDER);
        r->headers_out.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return REPLACE;
    }
    if (status < 500 || is_type(&r->headers_out, &json_type) ||
        is_type(&r->headers_out, &stream_type))
        return PASSES;
    (void)gateway_refuse(q, status == 504                    ? ERRORS_TIMEOUT
                            : status == 503 || status == 529 ? ERRORS_NO_PROVIDER
                                                             : ERRORS_BAD_GATEWAY);
    return REPLACE;
}

/* nginx keeps this one in the list only. */
static void forget_challenge(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    (void)r;
    (void)arg;
    if (h->key.len == 16 && gateway_same(h->key.data, "www-authenticate", 16))
        h->hash = 0;
}

/* What the provider said of its own page does not hold for ours. */
static void forget_page(ngx_http_request_t *r) {
    ngx_http_headers_out_t *out = &r->headers_out;
    if (out->content_encoding) {
        out->content_encoding->hash = 0;
        out->content_encoding = NULL;
    }
    gateway_each_header(r, &out->headers, forget_challenge, NULL);
    ngx_http_clear_etag(r);
    ngx_http_clear_last_modified(r);
    r->headers_out.status_line.len = 0;
}

/* Proxies between here and the client are not to hold or keep a stream, unless the provider said
 * otherwise. (nginx takes its X-Accel-Buffering for itself.) */
static ngx_int_t ask_for_flow(ngx_http_request_t *r) {
    ngx_int_t rc = NGX_OK;
    if (!r->headers_out.cache_control.nelts)
        rc = gateway_add_header(r, GATEWAY_TEXT("Cache-Control"), GATEWAY_TEXT("no-cache"));
    return rc == NGX_OK
               ? gateway_add_header(r, GATEWAY_TEXT("X-Accel-Buffering"), GATEWAY_TEXT("no"))
               : rc;
}

static ngx_int_t begin_stream(ngx_http_request_t *r, struct gateway_request *q) {
    const struct dialect *d = q->endpoint.row->dialect;
    if (d->end == DIALECT_END_NONE || d->end == DIALECT_END_BODY)
        return NGX_OK;
    q->stream = true;
    q->left = -1;
    q->data_at = ngx_current_msec;
    ngx_http_clear_content_length(r); /* a cut must show, and an error event must fit */
    terminal_init(&q->terminal);
    return ask_for_flow(r);
}

static int strip_emit(void *arg, const uint8_t *p, size_t n);

/* Does the client get other bytes than the provider sent? */
static bool is_edited(const struct gateway_request *q) {
    return q->strip || q->unmask;
}

/* It lies there in one attempt only, and no other one follows: an answer may go on for long. */
static void drop_request(struct gateway_request *q) {
    gateway_drop_body(q);
    if (q->masked)
        gateway_masked_sent(q);
}

static ngx_int_t begin_answer(ngx_http_request_t *r, struct gateway_request *q) {
    struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_safehouse_module);
    ngx_http_upstream_t *u = r->upstream;
    ngx_http_headers_out_t *out = &r->headers_out;
    struct ring_meta *m = ring_meta(q->slot);
    q->sent_status = m->status = (uint16_t)out->status;
    m->content_coded = out->content_encoding != NULL;
    m->answer_body = q->body_kind = has_body(r) ? body_kind(out) : RING_BODY_NONE;
    q->left = out->content_length_n;
    if (u && u->request_body_sent && q->body)
        drop_request(q);
    if (l->kind == GATEWAY_PROVIDER && u) { /* from here on another time-out holds */
        if (!l->later.buffer_size) {
            l->later = *u->conf;
            l->later.read_timeout = l->idle;
        }
        u->conf = &l->later;
    }
    if (!has_body(r) || (q->left == 0 && m->answer_body != RING_BODY_SSE)) {
        gateway_close(q, RING_COMPLETE);
        return NGX_OK;
    }
    q->count = out->status < 300 && !m->content_coded && q->endpoint.row->dialect->content;
    if (m->answer_body == RING_BODY_SSE && out->status == NGX_HTTP_OK && !m->content_coded &&
        begin_stream(r, q) != NGX_OK)
        return NGX_ERROR;
    if (q->masked)
        gateway_unmask_begin(r, q);
    if (q->count)
        usage_scan_init(&q->usage, q->endpoint.row->dialect, m->answer_body == RING_BODY_SSE);
    if (q->stream && q->asks_usage) {
        q->strip = ngx_palloc(r->pool, sizeof *q->strip);
        if (!q->strip)
            return NGX_ERROR;
        splice_strip_init(q->strip, strip_emit, q);
    } else if (m->answer_body == RING_BODY_JSON && q->left < 0 && !m->content_coded && u &&
               !u->headers_in.chunked) {
        q->answer_scan = ngx_palloc(r->pool, sizeof *q->answer_scan);
        if (!q->answer_scan)
            return NGX_ERROR;
        reqscan_init_any(q->answer_scan);
    }
    return NGX_OK;
}

static ngx_int_t provider_header(ngx_http_request_t *r, struct gateway_request *q) {
    if (!is_answer(r)) {
        r->http_version = q->http_version;
        return NGX_HTTP_BAD_GATEWAY;
    }
    switch (judge(r, q)) {
    case NEXT:
        return NGX_HTTP_BAD_GATEWAY; /* error_page leads to route.c */
    case REPLACE:
        forget_page(r);
        return gateway_begin_refusal(r, q);
    default:
        break;
    }
    ngx_int_t rc = begin_answer(r, q);
    return rc == NGX_OK ? gateway_add_limits(r, q) : rc;
}

ngx_int_t gateway_header(ngx_http_request_t *r) {
    struct gateway_request *q = gateway_of(r);
    ngx_int_t rc = NGX_OK;
    if (r != r->main || !gateway_worker.region)
        return gateway_next_header(r);
    if (r->err_status >= NGX_HTTP_BAD_REQUEST) {
        q = gateway_request_new(r);
        rc = q ? gateway_begin_refusal(r, q) : NGX_ERROR;
    } else if (q && q->slot) {
        rc = provider_header(r, q);
    }
    if (ngx_exiting) /* nginx closes it then; this way the client knows */
        r->keepalive = 0;
    if (rc == NGX_OK && q && q->admitted)
        rc = gateway_add_header(r, GATEWAY_TEXT("x-safehouse-id"),
                                (ngx_str_t){UUID_TEXT, (u_char *)q->id});
    return rc == NGX_OK ? gateway_next_header(r) : rc;
}

/* ---- a stream's bytes on their way ---- */

/* Where this buffer's terminal event ends, which the scan found: once more, event by event. */
static size_t find_end(struct usage_scan *before, const u_char *p, size_t n) {
    struct sse_cut cut = before->cut;
    size_t at = 0;
    while (at < n && !before->ended) {
        enum sse_piece piece;
        size_t used = sse_cut(&cut, p + at, n - at, &piece);
        usage_scan_feed(before, p + at, used);
        at += used;
    }
    return at;
}

/* Reads a piece as the provider sent it; the number of bytes up to the end of its terminal event,
 * where only the scan knows that, else 0. */
static size_t scan_events(struct gateway_request *q, const u_char *p, size_t n) {
    bool by_scan = q->endpoint.row->dialect->end != DIALECT_END_DONE;
    struct usage_scan before;
    if (by_scan)
        before = q->usage;
    usage_scan_feed(&q->usage, p, n);
    return by_scan && q->usage.ended ? find_end(&before, p, n) : 0;
}

/* Puts a piece into the log; how many bytes of it go on. What follows the terminal event is in no
 * log, so it does not go on; line ends are the event's. Closes the slot with that event. */
static int pass(struct gateway_request *q, const u_char *p, size_t n, size_t end, size_t *ret) {
    if (!q->slot) {
        *ret = terminal_rest(p, n);
        if (*ret < n)
            q->r->keepalive = 0;
        return 0;
    }
    if (q->endpoint.row->dialect->end == DIALECT_END_DONE)
        end = terminal_feed(&q->terminal, p, n);
    *ret = end ? end + terminal_rest(p + end, n - end) : n;
    if (*ret < n)
        q->r->keepalive = 0;
    int rc = keep(q, p, *ret);
    if (!rc && end)
        gateway_close(q, RING_COMPLETE);
    return rc;
}

/* ---- a stream without what the client did not ask for ---- */

/* A copy, for bytes that lie in no buffer of nginx. */
static int put_copy(struct gateway_request *q, const u_char *p, size_t n) {
    ngx_chain_t *link = q->strip_free, **end = &q->strip_out;
    if (link && (size_t)(link->buf->end - link->buf->start) >= n) {
        q->strip_free = link->next;
        link->buf->pos = link->buf->last = link->buf->start;
    } else {
        link = ngx_alloc_chain_link(q->r->pool);
        ngx_buf_t *b = link ? ngx_create_temp_buf(q->r->pool, n < 4096 ? 4096 : n) : NULL;
        if (!b)
            return ERR_NOMEM;
        b->tag = (ngx_buf_tag_t)&ngx_http_safehouse_module;
        link->buf = b;
    }
    link->buf->last = ngx_cpymem(link->buf->last, p, n);
    link->buf->flush = 1;
    link->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = link;
    return 0;
}

int gateway_put(struct gateway_request *q, const u_char *p, size_t n, bool end) {
    size_t kept = n;
    int rc = q->stream ? pass(q, p, n, end ? n : 0, &kept) : keep(q, p, n);
    return rc || !kept ? rc : put_copy(q, p, kept);
}

/* What stays moves together within nginx's buffer. What was held of an event that came in several
 * buffers is not in it, and always comes first. */
static int strip_emit(void *arg, const uint8_t *p, size_t n) {
    struct gateway_request *q = arg;
    size_t kept;
    if (q->unmask && q->slot)
        return gateway_unmask(q, p, n, false);
    int rc = pass(q, p, n, 0, &kept);
    if (rc || !kept)
        return rc;
    const ngx_buf_t *b = q->strip_in;
    if (!b || p < b->pos || p >= b->last)
        return put_copy(q, p, kept);
    if (q->strip_to != p)
        memmove(q->strip_to, p, kept);
    q->strip_to += kept;
    return 0;
}

static void set_end(ngx_buf_t *b, u_char *end) {
    b->last = end;
    if (b->pos == b->last) { /* nginx takes an empty buffer only if it is no memory */
        b->temporary = b->memory = b->mmap = 0;
        b->sync = 1;
    }
}

static int take_stripped(struct gateway_request *q, ngx_buf_t *b, bool last) {
    int rc = 0;
    q->strip_in = b;
    q->strip_to = b->pos;
    if (b->last > b->pos) {
        rc = splice_strip_feed(q->strip, b->pos, (size_t)(b->last - b->pos));
        set_end(b, q->strip_to);
    }
    q->strip_in = NULL;
    return !rc && last ? splice_strip_finish(q->strip) : rc;
}

/* What was held goes before the buffer that completed it. */
static ngx_int_t weave(struct gateway_request *q, ngx_chain_t ***end, ngx_buf_t *b) {
    **end = q->strip_out;
    while (**end)
        *end = &(**end)->next;
    q->strip_out = NULL;
    ngx_chain_t *link = ngx_alloc_chain_link(q->r->pool);
    if (!link)
        return NGX_ERROR;
    *link = (ngx_chain_t){.buf = b};
    **end = link;
    *end = &link->next;
    return NGX_OK;
}

/* ---- body ---- */

/* Comments keep a connection open, but the provider's time runs on. */
static bool is_late(ngx_http_request_t *r, struct gateway_request *q, const ngx_buf_t *b) {
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_safehouse_module);
    size_t n = (size_t)(b->last - b->pos);
    bool data = !q->stream || n > 256 || (*b->pos != ':' && *b->pos != '\n' && *b->pos != '\r') ||
                memmem(b->pos, n, "data", 4);
    ngx_msec_t now = ngx_current_msec, since = q->data_at ? q->data_at : now;
    if (data)
        q->data_at = now;
    return (l->idle && now - since > l->idle) ||
           (q->target.total_ms && now - q->begun_ms > q->target.total_ms);
}

/* A piece of a stream, up to `end`, as scan_events has it. */
static int take_masked(struct gateway_request *q, ngx_buf_t *b, size_t end) {
    const size_t n = (size_t)(b->last - b->pos);
    const size_t kept = end ? end + terminal_rest(b->pos + end, n - end) : n;
    int rc = gateway_unmask(q, b->pos, kept, end != 0);
    if (kept < n)
        q->r->keepalive = 0;
    set_end(b, b->pos);
    return rc;
}

/* A piece of a stream. */
static int take_events(struct gateway_request *q, ngx_buf_t *b) {
    size_t n = (size_t)(b->last - b->pos), end = 0, kept;
    if (q->slot)
        end = scan_events(q, b->pos, n);
    if (q->strip)
        return take_stripped(q, b, b->last_buf);
    if (q->unmask && q->slot)
        return take_masked(q, b, end);
    int rc = pass(q, b->pos, n, end, &kept);
    if (kept < n)
        set_end(b, b->pos + kept);
    return rc;
}

/* A piece of any other answer. */
static int take_bytes(struct gateway_request *q, const ngx_buf_t *b) {
    size_t n = (size_t)(b->last - b->pos);
    bool whole = !q->bytes && q->left == (off_t)n;
    int rc = q->unmask ? gateway_unmask(q, b->pos, n, false) : keep(q, b->pos, n);
    if (q->count && whole)
        usage_scan_whole(&q->usage, b->pos, n);
    else if (q->count)
        usage_scan_feed(&q->usage, b->pos, n);
    if (q->answer_scan)
        (void)reqscan_feed(q->answer_scan, b->pos, n);
    if (!rc && q->left >= 0 && (q->left -= (off_t)n) <= 0) {
        uint64_t first_ns = ring_meta(q->slot)->first_ns;
        if (q->unmask)
            rc = gateway_unmask_end(q);
        /* of a whole answer the first piece was the last, just now */
        gateway_close_at(q, RING_COMPLETE, whole && first_ns ? first_ns : clock_mono_ns());
    }
    return rc;
}

/* The end, if nothing said so before. */
static int take_last(struct gateway_request *q, ngx_buf_t *b) {
    int rc = q->strip ? take_stripped(q, b, true) : 0;
    return !rc && q->unmask && q->slot ? gateway_unmask_end(q) : rc;
}

static int take_piece(struct gateway_request *q, ngx_buf_t *b) {
    if (q->stream)
        return take_events(q, b);
    const bool passes = q->slot && !q->unmask;
    int rc = q->slot ? take_bytes(q, b) : 0;
    if (!passes)
        set_end(b, b->pos);
    return rc;
}

static int take(ngx_http_request_t *r, struct gateway_request *q, ngx_buf_t *b) {
    bool bytes = ngx_buf_in_memory(b) && b->pos < b->last;
    if (bytes && b->last > q->buffer_high)
        q->buffer_high = b->last;
    if (!bytes)
        return b->last_buf && q->slot ? take_last(q, b) : 0;
    if (q->slot && is_late(r, q, b)) {
        q->broken = q->late = true;
        set_end(b, b->pos);
        return 0;
    }
    int rc = take_piece(q, b);
    return !rc && b->last_buf && q->unmask && q->slot ? gateway_unmask_end(q) : rc;
}

/* nginx says that this was the end. Was it? */
static bool is_whole(struct gateway_request *q) {
    if (q->stream) {
        if (q->endpoint.row->dialect->end == DIALECT_END_DONE)
            return false;
        usage_scan_done(&q->usage);
        return q->usage.ended;
    }
    return q->left <= 0 && !(q->answer_scan && reqscan_done(q->answer_scan));
}

/* An answer that is not whole ends here: a stream between two events gets one that says so. */
static ngx_int_t send_cut(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in) {
    ngx_chain_t event = {.next = NULL}, **end = &in;
    ngx_str_t text;
    for (; *end; end = &(*end)->next) {
        if ((*end)->buf->last_buf) {
            (*end)->buf->last_buf = 0;
            (*end)->buf->flush = 1;
        }
    }
    bool between = !q->usage.cut.open || (q->strip && q->strip->held.len) || q->unmask;
    if (q->stream && between && gateway_cut_event(r, q, &text) == NGX_OK &&
        !keep(q, text.data, text.len)) {
        event.buf = ngx_calloc_buf(r->pool);
        if (!event.buf)
            return NGX_ERROR;
        event.buf->pos = text.data;
        event.buf->last = text.data + text.len;
        event.buf->memory = 1;
        event.buf->flush = 1;
        *end = &event;
    }
    ngx_int_t rc = cut(r, q), sent = gateway_next_body(r, in);
    if (q->late) /* nobody but us ends this one */
        return NGX_ERROR;
    return rc == NGX_OK ? sent : rc;
}

/* nginx reads from the provider as soon as its own buffers are out. Copies that the client has not
 * taken are to hold it back as well: the last of them stands among its busy buffers until it is
 * sent, and then goes by its tag. */
static ngx_int_t hold_provider(ngx_http_request_t *r, struct gateway_request *q) {
    const ngx_buf_tag_t mine = (ngx_buf_tag_t)&ngx_http_safehouse_module;
    ngx_http_upstream_t *u = r->upstream;
    ngx_chain_t *last = q->strip_busy;
    if (!last || !u || (u->busy_bufs && u->busy_bufs->buf->tag == mine))
        return NGX_OK;
    while (last->next)
        last = last->next;
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    if (!link)
        return NGX_ERROR;
    *link = (ngx_chain_t){.buf = last->buf, .next = u->busy_bufs};
    u->busy_bufs = link;
    return NGX_OK;
}

static ngx_int_t send_stripped(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *out) {
    ngx_int_t rc = gateway_next_body(r, out);
    ngx_chain_update_chains(r->pool, &q->strip_free, &q->strip_busy, &out,
                            (ngx_buf_tag_t)&ngx_http_safehouse_module);
    ngx_int_t held = hold_provider(r, q);
    return rc == NGX_ERROR || held == NGX_OK ? rc : held;
}

ngx_int_t gateway_body(ngx_http_request_t *r, ngx_chain_t *in) {
    struct gateway_request *q = gateway_of(r);
    ngx_chain_t *out = NULL, **end = &out;
    bool last = false;
    if (!q || r != r->main || !in || !(q->admitted || q->own))
        return gateway_next_body(r, in);
    if (q->own)
        return gateway_send_refusal(r, q, in);
    for (ngx_chain_t *cl = in; cl; cl = cl->next) {
        if (take(r, q, cl->buf) || (is_edited(q) && weave(q, &end, cl->buf) != NGX_OK)) {
            (void)cut(r, q);
            return NGX_ERROR;
        }
        last = last || cl->buf->last_buf;
    }
    if (is_edited(q))
        in = out;
    if (q->slot && (q->broken || (last && !is_whole(q))))
        return send_cut(r, q, in);
    if (q->slot && last)
        gateway_close(q, RING_COMPLETE);
    return is_edited(q) ? send_stripped(r, q, in) : gateway_next_body(r, in);
}

void gateway_upstream_ended(ngx_http_request_t *r, ngx_int_t rc) {
    struct gateway_request *q = gateway_of(r);
    q->broken = rc >= NGX_HTTP_INTERNAL_SERVER_ERROR;
    q->failed = rc;
    q->sent = r->upstream->request_sent;
    gateway_wipe_tls(r->upstream->peer.connection);
    q->finalize_request(r, rc);
}
