/*
 * What the gateway answers by itself, in the shape and with the headers of the client's dialect
 * (llm/errors.h). Runs in gateway workers.
 *
 * A handler notes why and returns the status; nginx then makes its error page, and in the filters
 * the page becomes one of ours. So nginx's own refusals become JSON as well, and no path around a
 * handler gives HTML.
 */
#include <time.h>

#include "base/err.h"
#include "write/gateway/gateway.h"

ngx_int_t gateway_refuse(struct gateway_request *q, enum errors_code why) {
    q->why = why;
    q->refused = true;
    return errors_status(why);
}

/* For a status that nginx itself came to. */
static enum errors_code code_of(ngx_uint_t status) {
    static const struct {
        ngx_uint_t status;
        enum errors_code code;
    } table[] = {
        {401, ERRORS_BAD_KEY},     {404, ERRORS_NO_PATH},      {405, ERRORS_BAD_METHOD},
        {413, ERRORS_TOO_LARGE},   {414, ERRORS_URI_TOO_LONG}, {501, ERRORS_BAD_CODING},
        {502, ERRORS_BAD_GATEWAY}, {503, ERRORS_OVERLOADED},   {504, ERRORS_TIMEOUT},
        {505, ERRORS_BAD_REQUEST},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].code;
    return status < 500 ? ERRORS_BAD_REQUEST : ERRORS_INTERNAL;
}

/* ---- headers ---- */

ngx_int_t gateway_add_header(ngx_http_request_t *r, ngx_str_t name, ngx_str_t value) {
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (!h)
        return NGX_ERROR;
    *h = (ngx_table_elt_t){.hash = 1, .key = name, .value = value};
    return NGX_OK;
}

/* Decimal digits, as ngx_sprintf would write them, many times faster: two at a time, and no more
 * than NGX_INT64_LEN. */
static u_char *put_number(u_char *p, uint64_t n) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    u_char digits[NGX_INT64_LEN], *d = digits + sizeof digits;
    for (; n >= 10; n /= 100) {
        const char *pair = pairs + n % 100 * 2;
        *--d = (u_char)pair[1];
        *--d = (u_char)pair[0];
    }
    if (n || d == digits + sizeof digits)
        *--d = (u_char)('0' + n);
    return ngx_cpymem(p, d, (size_t)(digits + sizeof digits - d));
}

static ngx_int_t add_number(ngx_http_request_t *r, ngx_str_t name, uint64_t n) {
    u_char *p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (!p)
        return NGX_ERROR;
    size_t len = (size_t)(put_number(p, n) - p);
    return gateway_add_header(r, name, (ngx_str_t){len, p});
}

#define RESET_LEN 32

/* OpenAI says "6m0s", "1s", "250ms"; Anthropic the moment itself. At most RESET_LEN characters. */
static u_char *put_reset(u_char *p, bool moment, uint64_t ms) {
    uint64_t seconds = (ms + 999) / 1000u;
    if (moment) {
        struct tm t;
        time_t at = (time_t)((gateway_now_us() / 1000u + ms + 999) / 1000u);
        gmtime_r(&at, &t);
        return p + strftime((char *)p, RESET_LEN, "%Y-%m-%dT%H:%M:%SZ", &t);
    }
    if (ms < 1000)
        return ngx_cpymem(put_number(p, ms), "ms", 2);
    if (seconds >= 60)
        p = ngx_cpymem(put_number(p, seconds / 60), "m", 1);
    return ngx_cpymem(put_number(p, seconds % 60), "s", 1);
}

/* The header's value ends at `end`, where the next one's begins. */
static ngx_int_t add_up_to(ngx_http_request_t *r, ngx_str_t name, u_char **from, u_char *end) {
    ngx_str_t value = {(size_t)(end - *from), *from};
    *from = end;
    return gateway_add_header(r, name, value);
}

static const struct {
    ngx_str_t limit, remaining, reset;
} limit_names[2][2] = {
    [FAMILY_OPENAI] = {{ngx_string("x-ratelimit-limit-requests"),
                        ngx_string("x-ratelimit-remaining-requests"),
                        ngx_string("x-ratelimit-reset-requests")},
                       {ngx_string("x-ratelimit-limit-tokens"),
                        ngx_string("x-ratelimit-remaining-tokens"),
                        ngx_string("x-ratelimit-reset-tokens")}},
    [FAMILY_ANTHROPIC] = {{ngx_string("anthropic-ratelimit-requests-limit"),
                           ngx_string("anthropic-ratelimit-requests-remaining"),
                           ngx_string("anthropic-ratelimit-requests-reset")},
                          {ngx_string("anthropic-ratelimit-tokens-limit"),
                           ngx_string("anthropic-ratelimit-tokens-remaining"),
                           ngx_string("anthropic-ratelimit-tokens-reset")}},
};

/* What the provider says of its own account would contradict what holds for this key. */
static void hide_provider_limits(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    static const ngx_str_t beginnings[] = {ngx_string("x-ratelimit-"),
                                           ngx_string("anthropic-ratelimit-")};
    (void)r;
    (void)arg;
    for (size_t i = 0; i < 2; i++)
        if (h->key.len > beginnings[i].len &&
            ngx_strncasecmp(h->key.data, beginnings[i].data, beginnings[i].len) == 0)
            h->hash = 0;
}

ngx_int_t gateway_add_limits(ngx_http_request_t *r, const struct gateway_request *q) {
    const struct limits_left *const left[2] = {&q->left_of_key.requests, &q->left_of_key.tokens};
    enum dialect_family family = gateway_family(r, q);
    if (!left[0]->limit && !left[1]->limit)
        return NGX_OK;
    u_char *p = ngx_pnalloc(r->pool, 2 * (2 * NGX_INT64_LEN + RESET_LEN));
    if (!p)
        return NGX_ERROR;
    gateway_each_header(r, &r->headers_out.headers, hide_provider_limits, NULL);
    for (size_t i = 0; i < 2; i++) {
        if (!left[i]->limit)
            continue;
        if (add_up_to(r, limit_names[family][i].limit, &p, put_number(p, left[i]->limit)) !=
                NGX_OK ||
            add_up_to(r, limit_names[family][i].remaining, &p,
                      put_number(p, left[i]->remaining)) != NGX_OK ||
            add_up_to(r, limit_names[family][i].reset, &p,
                      put_reset(p, family == FAMILY_ANTHROPIC, left[i]->reset_ms)) != NGX_OK)
            return NGX_ERROR;
    }
    return NGX_OK;
}

static ngx_int_t add_retry(ngx_http_request_t *r, const struct gateway_request *q,
                           ngx_uint_t status) {
    enum errors_retry retry = q->never ? ERRORS_RETRY_NO : errors_retry(q->why);
    uint64_t ms = q->retry_after_ms ? q->retry_after_ms : status == 503 ? 1000 : 0;
    ngx_int_t rc = NGX_OK;
    if (retry != ERRORS_RETRY_UNSAID)
        rc = gateway_add_header(r, GATEWAY_TEXT("x-should-retry"),
                                retry == ERRORS_RETRY_YES ? GATEWAY_TEXT("true")
                                                          : GATEWAY_TEXT("false"));
    if (rc == NGX_OK && ms)
        rc = add_number(r, GATEWAY_TEXT("Retry-After"), (ms + 999) / 1000u);
    if (rc == NGX_OK && ms)
        rc = add_number(r, GATEWAY_TEXT("retry-after-ms"), ms);
    return rc;
}

static ngx_int_t add_advice(ngx_http_request_t *r, const struct gateway_request *q,
                            ngx_uint_t status) {
    struct endpoint e;
    const ngx_str_t *uri = &r->unparsed_uri;
    if (status == 401)
        return gateway_add_header(r, GATEWAY_TEXT("WWW-Authenticate"), GATEWAY_TEXT("Bearer"));
    if (status == 405) {
        const u_char *query = memchr(uri->data, '?', uri->len);
        size_t len = query ? (size_t)(query - uri->data) : uri->len;
        bool get = endpoint_find(&e, DIALECT_GET, (char *)uri->data, len) == 0;
        return gateway_add_header(r, GATEWAY_TEXT("Allow"),
                                  get ? GATEWAY_TEXT("GET, HEAD") : GATEWAY_TEXT("POST"));
    }
    return add_retry(r, q, status);
}

/* ---- head and body ---- */

/* What is left of a body is still on the connection, and must not be read as a request. nginx
 * leaves the connection open after some errors and closes it after others; where the whole body was
 * read, it can stay. */
static void settle_connection(ngx_http_request_t *r, const struct gateway_request *q) {
    bool body = r->headers_in.chunked || r->headers_in.content_length_n > 0;
    bool whole = r->request_body && r->request_body->rest == 0;
    if (q->keepalive && (q->body_refused || (q->refused && body && whole))) {
        r->keepalive = 1;
    } else if (q->body_refused || (body && r->request_body && !whole)) {
        r->keepalive = 0;
        r->lingering_close = 1;
    }
}

static ngx_int_t make_text(ngx_http_request_t *r, struct gateway_request *q, bool event,
                           enum errors_code code, ngx_str_t *ret) {
    char text[ERRORS_MAX];
    const struct errors_said said = {
        .code = code,
        .detail = (char *)q->detail.data,
        .detail_len = q->detail.len,
        .param = q->param,
        .request_id = q->admitted ? q->id : NULL,
    };
    enum dialect_family family = gateway_family(r, q);
    ret->len = event ? errors_event(text, family, &said) : errors_body(text, family, &said);
    ret->data = ngx_pnalloc(r->pool, ret->len);
    if (!ret->data)
        return NGX_ERROR;
    memcpy(ret->data, text, ret->len);
    return NGX_OK;
}

ngx_int_t gateway_cut_event(ngx_http_request_t *r, struct gateway_request *q, ngx_str_t *ret) {
    return make_text(r, q, true, ERRORS_CUT, ret);
}

static ngx_int_t add_request_id(ngx_http_request_t *r, const struct gateway_request *q) {
    if (!q->admitted)
        return NGX_OK;
    return gateway_add_header(r,
                              gateway_family(r, q) == FAMILY_ANTHROPIC
                                  ? GATEWAY_TEXT("request-id")
                                  : GATEWAY_TEXT("x-request-id"),
                              (ngx_str_t){UUID_TEXT, (u_char *)(uintptr_t)q->id});
}

ngx_int_t gateway_begin_refusal(ngx_http_request_t *r, struct gateway_request *q) {
    ngx_http_headers_out_t *out = &r->headers_out;
    bool of_nginx = r->err_status && (!q->refused || errors_status(q->why) != out->status);
    if (of_nginx) {
        q->detail = (ngx_str_t)ngx_null_string;
        q->param = NULL;
        (void)gateway_refuse(q, code_of(out->status));
    }
    if (make_text(r, q, false, q->why, &q->text) != NGX_OK)
        return NGX_ERROR;
    q->own = true;
    q->sent_status = (uint16_t)out->status;
    if (q->slot) {
        struct ring_meta *m = ring_meta(q->slot);
        m->status = (uint16_t)out->status;
        m->answer_body = RING_BODY_JSON;
        /* no room for the refusal's text: then the log has the status alone */
        (void)ring_append(gateway_worker.region, q->slot, RING_ANSWER, q->text.data, q->text.len);
        gateway_close(q, RING_REFUSED);
    }
    settle_connection(r, q);
    ngx_http_clear_content_length(r);
    out->content_type = GATEWAY_TEXT("application/json");
    out->content_type_len = out->content_type.len;
    out->content_type_lowcase = NULL;
    out->content_length_n = (off_t)q->text.len;
    ngx_int_t rc = add_request_id(r, q);
    if (rc == NGX_OK)
        rc = gateway_add_limits(r, q);
    return rc == NGX_OK ? add_advice(r, q, out->status) : rc;
}

/* The text in place of nginx's page, or of the provider's, whose bytes go nowhere. */
ngx_int_t gateway_send_refusal(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in) {
    ngx_chain_t out = {.next = NULL};
    for (ngx_chain_t *cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }
    if (!q->text.len)
        return NGX_OK;
    out.buf = ngx_calloc_buf(r->pool);
    if (!out.buf)
        return NGX_ERROR;
    out.buf->pos = q->text.data;
    out.buf->last = out.buf->pos + q->text.len;
    out.buf->memory = 1;
    out.buf->last_buf = 1;
    out.buf->last_in_chain = 1;
    q->text.len = 0;
    return gateway_next_body(r, &out);
}
