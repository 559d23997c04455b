/*
 * Whom does somebody write to who found a door open? security.txt (RFC 9116), a form, and where it
 * goes. Needs no key and no JavaScript. Runs in gateway workers.
 *
 *   location = /.well-known/security.txt   safehouse security_txt; safehouse_security_txt LINE; ...
 *   location = /report                     safehouse report;
 *
 * A report is not looked into here: its bytes and their content type go, with a number that is
 * drawn for it, as one datagram to the sealer, which seals them. What the sender gets is that
 * number, at once. nginx limits how many an address may send (limit_req), and how large they are.
 */
#include <errno.h>
#include <sodium.h>
#include <sys/socket.h>
#include <time.h>

#include "base/bytes.h"
#include "write/gateway/gateway.h"

#define NUMBER_BYTES 8
#define HEAD_BYTES (1 + NUMBER_BYTES + 8 + 1)
#define EXPIRES_S (60 * 86400) /* that an answer may be kept, where no time is configured */
#define HOST_MAX 256
#define PAGE_BYTES 1024

static const char page_head[] = "<!doctype html><html lang=\"en\"><meta "
                                "charset=\"utf-8\"><title>Report a security problem</title>"
                                "<meta name=\"viewport\" content=\"width=device-width\">";
static const char page_form[] =
    "<h1>Report a security problem</h1>"
    "<p>What you write is encrypted when it arrives; only the people who answer such reports can "
    "read "
    "it. You need no account, and may stay unnamed. Please do not send passwords or other people's "
    "data: say where they are.</p>"
    "<form method=\"post\" action=\"/report\" accept-charset=\"utf-8\">"
    "<p><label>What did you find?<br><textarea name=\"report\" rows=\"16\" cols=\"80\" required "
    "maxlength=\"20000\"></textarea></label></p>"
    "<p><label>Where can you be reached? (if you want an answer)<br>"
    "<input name=\"contact\" size=\"60\" maxlength=\"300\"></label></p>"
    "<p><button>Send</button></p></form></html>\n";

/* ---- answers ---- */

/* Nothing on these pages loads, runs or frames anything. */
static ngx_int_t add_headers(ngx_http_request_t *r) {
    static const struct {
        ngx_str_t name, value;
    } list[] = {
        {ngx_string("Content-Security-Policy"),
         ngx_string("default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri "
                    "'none'")},
        {ngx_string("X-Content-Type-Options"), ngx_string("nosniff")},
        {ngx_string("Referrer-Policy"), ngx_string("no-referrer")},
        {ngx_string("Cache-Control"), ngx_string("no-store")},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (gateway_add_header(r, list[i].name, list[i].value) != NGX_OK)
            return NGX_ERROR;
    return NGX_OK;
}

static ngx_int_t answer(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t type, ngx_str_t body) {
    if (add_headers(r) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return gateway_answer(r, status, type, body);
}

/* ---- security.txt ---- */

/* As the client named this server, if that is a name and nothing else. */
static size_t host_of(const ngx_http_request_t *r, u_char out[HOST_MAX]) {
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    const ngx_table_elt_t *h = r->headers_in.host;
    if (!h || !h->value.len || h->value.len >= HOST_MAX)
        return 0;
    for (size_t i = 0; i < h->value.len; i++)
        if (!memchr(fit, h->value.data[i], sizeof fit - 1))
            return 0;
    ngx_memcpy(out, h->value.data, h->value.len);
    return h->value.len;
}

static u_char *put(u_char *p, const void *text, size_t len) {
    return ngx_cpymem(p, text, len);
}
#define PUT(p, literal) put(p, literal, sizeof(literal) - 1)

static bool is_line(const ngx_str_t *line, const char *text) {
    return line->len == strlen(text) && ngx_memcmp(line->data, text, line->len) == 0;
}

/* A line as it is served; at most its own length, HOST_MAX and 64. */
static u_char *put_line(ngx_http_request_t *r, u_char *p, const ngx_str_t *line) {
    u_char host[HOST_MAX];
    const bool https = is_line(line, "Contact: @https");
    if (https || is_line(line, "Contact: @http")) {
        size_t n = host_of(r, host);
        if (!n)
            return p; /* it has no name here, so the form has no address */
        p = https ? PUT(p, "Contact: https://") : PUT(p, "Contact: http://");
        p = put(p, host, n);
        return PUT(p, "/report\n");
    }
    if (is_line(line, "Expires: @")) {
        struct tm t;
        time_t at = ngx_time() + EXPIRES_S;
        gmtime_r(&at, &t);
        return p + strftime((char *)p, 64, "Expires: %Y-%m-%dT00:00:00Z\n", &t);
    }
    p = put(p, line->data, line->len);
    return PUT(p, "\n");
}

ngx_int_t gateway_security_txt(ngx_http_request_t *r) {
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_safehouse_module);
    const ngx_str_t *line = l->lines ? l->lines->elts : NULL;
    const size_t count = l->lines ? l->lines->nelts : 0;
    size_t room = 1;
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)))
        return NGX_HTTP_NOT_ALLOWED;
    for (size_t i = 0; i < count; i++)
        room += line[i].len + HOST_MAX + 64;
    u_char *text = ngx_pnalloc(r->pool, room), *p = text;
    if (!text)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    for (size_t i = 0; i < count; i++)
        p = put_line(r, p, &line[i]);
    return answer(r, NGX_HTTP_OK, GATEWAY_TEXT("text/plain; charset=utf-8"),
                  (ngx_str_t){(size_t)(p - text), text});
}

/* ---- the report ---- */

static ngx_int_t show_form(ngx_http_request_t *r) {
    const size_t head = sizeof page_head - 1, form = sizeof page_form - 1;
    u_char *text = ngx_pnalloc(r->pool, head + form);
    if (!text)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    put(put(text, page_head, head), page_form, form);
    return answer(r, NGX_HTTP_OK, GATEWAY_TEXT("text/html; charset=utf-8"),
                  (ngx_str_t){head + form, text});
}

static bool is_form(const ngx_str_t *type) {
    static const char form[] = "application/x-www-form-urlencoded";
    return type->len >= sizeof form - 1 && gateway_same(type->data, form, sizeof form - 1);
}

static ngx_str_t type_of(const ngx_http_request_t *r) {
    const ngx_table_elt_t *h = r->headers_in.content_type;
    ngx_str_t type = h ? h->value : (ngx_str_t)ngx_null_string;
    if (type.len >= LIMIT_REPORT_TYPE)
        type.len = LIMIT_REPORT_TYPE - 1;
    return type;
}

/* Its bytes are in memory: nothing of a body goes into a file here. ERR: 0 for none, or too many.
 */
static size_t copy_body(const ngx_http_request_t *r, u_char *out) {
    size_t n = 0;
    for (const ngx_chain_t *cl = r->request_body ? r->request_body->bufs : NULL; cl;
         cl = cl->next) {
        if (!ngx_buf_in_memory(cl->buf))
            return 0;
        const size_t len = (size_t)(cl->buf->last - cl->buf->pos);
        if (len > LIMIT_REPORT - n)
            return 0;
        ngx_memcpy(out + n, cl->buf->pos, len);
        n += len;
    }
    return n;
}

static ngx_int_t acknowledge(ngx_http_request_t *r, const u_char *number, bool page) {
    u_char *text = ngx_pnalloc(r->pool, PAGE_BYTES), hex[2 * NUMBER_BYTES], *end;
    if (!text)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_hex_dump(hex, (u_char *)(uintptr_t)number, NUMBER_BYTES);
    if (page)
        end = ngx_slprintf(text, text + PAGE_BYTES,
                           "%s<h1>Thank you</h1><p>Your report was received. Its number is "
                           "<strong>%*s</strong>; please keep it, and name it when you write again."
                           "</p></html>\n",
                           page_head, sizeof hex, hex);
    else
        end = ngx_slprintf(text, text + PAGE_BYTES, "{\"received\":true,\"number\":\"%*s\"}\n",
                           sizeof hex, hex);
    return answer(r, NGX_HTTP_CREATED,
                  page ? GATEWAY_TEXT("text/html; charset=utf-8")
                       : GATEWAY_TEXT("application/json"),
                  (ngx_str_t){(size_t)(end - text), text});
}

static ngx_int_t too_many(ngx_http_request_t *r) {
    if (gateway_add_header(r, GATEWAY_TEXT("Retry-After"), GATEWAY_TEXT("60")) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return answer(
        r, NGX_HTTP_SERVICE_UNAVAILABLE, GATEWAY_TEXT("text/plain; charset=utf-8"),
        GATEWAY_TEXT("Reports cannot be taken at the moment. Please try again in a minute, "
                     "or use another contact of /.well-known/security.txt.\n"));
}

/* u8 1 | 8 number | u64 when | u8 n | n content type | the report */
static ngx_int_t take(ngx_http_request_t *r) {
    const struct gateway_worker *w = &gateway_worker;
    const ngx_str_t type = type_of(r);
    u_char *p = ngx_palloc(r->pool, HEAD_BYTES + LIMIT_REPORT_TYPE + LIMIT_REPORT);
    if (!p)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    size_t n = copy_body(r, p + HEAD_BYTES + type.len);
    if (!n)
        return answer(r, NGX_HTTP_BAD_REQUEST, GATEWAY_TEXT("text/plain; charset=utf-8"),
                      GATEWAY_TEXT("The report is empty.\n"));
    p[0] = 1;
    randombytes_buf(p + 1, NUMBER_BYTES);
    put_u64(p + 1 + NUMBER_BYTES, gateway_now_us());
    p[HEAD_BYTES - 1] = (u_char)type.len;
    ngx_memcpy(p + HEAD_BYTES, type.data, type.len);
    n += HEAD_BYTES + type.len;
    if (w->report_fd < 0 || !gateway_alive() ||
        send(w->report_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
        return too_many(r);
    return acknowledge(r, p + 1, is_form(&type));
}

static void body_is_there(ngx_http_request_t *r) {
    ngx_http_finalize_request(r, take(r));
}

ngx_int_t gateway_report(ngx_http_request_t *r) {
    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))
        return show_form(r);
    if (!(r->method & NGX_HTTP_POST))
        return NGX_HTTP_NOT_ALLOWED;
    r->request_body_in_single_buf = 1;
    ngx_int_t rc = ngx_http_read_client_request_body(r, body_is_there);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}
