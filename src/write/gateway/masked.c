/*
 * The answer to a request whose values were masked: they are put back in it, on the way to the log and
 * to the client, so that both have what the client would have got without masking (doc/policy.md). Runs
 * in gateway workers.
 *
 * What is counted (usage, the provider's Content-Length, whether the answer is whole) is counted of the
 * provider's own bytes, before.
 */
#include "base/err.h"
#include "write/gateway/gateway.h"

/* JSON with another status has the request's words in it, too. Other bodies pass as they are. */
void gateway_unmask_begin(ngx_http_request_t *r, struct gateway_request *q) {
    struct gateway_masked *m = q->masked;
    if (r->headers_out.content_encoding ||
        (q->body_kind != RING_BODY_SSE && q->body_kind != RING_BODY_JSON))
        return;
    unmask_init(&m->unmask, &m->mask,
                q->body_kind == RING_BODY_SSE ? UNMASK_EVENTS : UNMASK_JSON);
    buf_init(&m->out, LIMIT_ANSWER_BODY);
    q->unmask = true;
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
}

static int put(struct gateway_request *q, int rc, bool end) {
    struct buf *out = &q->masked->out;
    if (!rc && out->len)
        rc = gateway_put(q, out->p, out->len, end);
    buf_clear(out);
    return rc;
}

int gateway_unmask(struct gateway_request *q, const u_char *p, size_t n, bool end) {
    return put(q, unmask_feed(&q->masked->unmask, p, n, &q->masked->out), end);
}

int gateway_unmask_end(struct gateway_request *q) {
    return put(q, unmask_finish(&q->masked->unmask, &q->masked->out), false);
}

void gateway_masked_sent(struct gateway_request *q) {
    buf_wipe(&q->masked->body);
    (void)gateway_hold(q, q->masked->mask.plain.cap); /* less than was just given back */
}

void gateway_masked_done(struct gateway_masked *m) {
    if (!m)
        return;
    unmask_done(&m->unmask);
    mask_done(&m->mask);
    buf_wipe(&m->body);
    buf_wipe(&m->out);
}
