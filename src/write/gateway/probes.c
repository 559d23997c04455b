/*
 * What is asked about the gateway itself: is it alive, is it ready, what has it counted. None of
 * them needs a key; the counts are for this machine only. Runs in gateway workers.
 */
#include <arpa/inet.h>
#include <poll.h>

#include "base/clock.h"
#include "base/version.h"
#include "write/gateway/gateway.h"

#define LAG_NS (5ull * 1000000000u) /* a closed exchange that waits so long has no sealer */

ngx_int_t gateway_answer(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t type, ngx_str_t body) {
    ngx_chain_t out = {.next = NULL};
    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK)
        return rc;
    r->headers_out.status = status;
    r->headers_out.content_type = type;
    r->headers_out.content_type_len = type.len;
    r->headers_out.content_length_n = (off_t)body.len;
    rc = ngx_http_send_header(r);
    if (rc != NGX_OK || r->header_only)
        return rc;
    out.buf = ngx_calloc_buf(r->pool);
    if (!out.buf)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    out.buf->pos = body.data;
    out.buf->last = body.data + body.len;
    out.buf->memory = body.len > 0;
    out.buf->last_buf = out.buf->last_in_chain = 1;
    return ngx_http_output_filter(r, &out);
}

static bool is_read(const ngx_http_request_t *r) {
    return r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD);
}

ngx_int_t gateway_healthz(ngx_http_request_t *r) {
    if (!is_read(r))
        return NGX_HTTP_NOT_ALLOWED;
    return gateway_answer(r, NGX_HTTP_OK, GATEWAY_TEXT("text/plain"), GATEWAY_TEXT("ok\n"));
}

/* ---- ready ---- */

bool gateway_alive(void) {
    struct pollfd life = {.fd = gateway_worker.life_fd};
    return life.fd < 0 || poll(&life, 1, 0) == 0; /* POLLERR: the end that reads is closed */
}

ngx_int_t gateway_readyz(ngx_http_request_t *r) {
    static u_char text[256]; /* one request at a time, and sent from a copy */
    const struct gateway_worker *w = &gateway_worker;
    struct ring_usage ring = {0};
    if (!is_read(r))
        return NGX_HTTP_NOT_ALLOWED;
    bool serves = w->region != NULL, configured = serves && snapshot_version(w->snapshot) > 0;
    if (serves)
        ring_usage(w->ring, &ring);
    bool room = ring.slots_used < ring.slots - ring.slots / 16; /* before requests are refused */
    uint64_t now = clock_mono_ns();
    bool sealed = !ring.oldest_ready_ns || now < ring.oldest_ready_ns + LAG_NS;
    bool alive = gateway_alive(), ready = configured && room && sealed && alive;
    u_char *e = ngx_slprintf(text, text + sizeof text, "{\"ready\":%s,\"reasons\":[",
                             ready ? "true" : "false");
    const char *reasons[] = {configured ? NULL : "\"no configuration is in force\"",
                             !serves || room ? NULL : "\"the log has no room\"",
                             sealed ? NULL : "\"the log is not being sealed\"",
                             alive ? NULL : "\"safehouse up has ended\""};
    const char *comma = "";
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (!reasons[i])
            continue;
        e = ngx_slprintf(e, text + sizeof text, "%s%s", comma, reasons[i]);
        comma = ",";
    }
    e = ngx_slprintf(e, text + sizeof text, "]}\n");
    ngx_str_t body = {(size_t)(e - text), ngx_pnalloc(r->pool, sizeof text)};
    if (!body.data)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    memcpy(body.data, text, body.len);
    return gateway_answer(r, ready ? NGX_HTTP_OK : NGX_HTTP_SERVICE_UNAVAILABLE,
                          GATEWAY_TEXT("application/json"), body);
}

/* ---- metrics ---- */

static bool is_local(const ngx_connection_t *c) {
    const struct sockaddr *a = c->sockaddr;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)a;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

static void free_text(void *data) {
    buf_wipe(data);
}

ngx_int_t gateway_metrics(ngx_http_request_t *r) {
    const struct gateway_worker *w = &gateway_worker;
    struct ring_usage u;
    if (!is_read(r))
        return NGX_HTTP_NOT_ALLOWED;
    if (!is_local(r->connection))
        return NGX_HTTP_FORBIDDEN;
    if (!w->region)
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(r->pool, sizeof(struct buf));
    if (!c)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    struct buf *text = c->data;
    buf_init(text, METRICS_TEXT_MAX);
    c->handler = free_text;
    ring_usage(w->ring, &u);
    const struct metrics_ring ring = {.slots = u.slots,
                                      .slots_used = u.slots_used,
                                      .bytes = u.bytes,
                                      .bytes_used = u.bytes_used,
                                      .admitted = u.admitted,
                                      .refused = u.refused,
                                      .cut = u.cut,
                                      .oldest_ready_ns = u.oldest_ready_ns};
    const struct metrics_view view = {.ring = &ring,
                                      .health = w->health,
                                      .snapshot = w->snapshot,
                                      .version = SAFEHOUSE_VERSION,
                                      .now_us = gateway_now_us(),
                                      .now_ns = clock_mono_ns()};
    if (metrics_text(text, w->metrics, &view))
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return gateway_answer(r, NGX_HTTP_OK, GATEWAY_TEXT(METRICS_CONTENT_TYPE),
                          (ngx_str_t){text->len, text->p});
}
