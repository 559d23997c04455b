/*
 * nginx.conf of the gateway (gateway_conf.h). Pure, run by the supervisor.
 *
 * Every field that comes from outside is checked against a closed set of characters before it
 * becomes a line: in nginx's language a semicolon, a brace or a dollar sign would be more than
 * text.
 */
#include "proc/supervisor/gateway_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "proc/supervisor/nginx_text.h"

#define HOST_MAX 256
#define PATH_MAX_CHARS 1024
/* Of one worker, of which a stream takes two: 10 000 of them find place in one, with connections that
 * wait for use beside them. How many files it may have open is the supervisor's to say, when it starts
 * the gateway. */
#define CONNECTIONS 24000u
#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/* A whole text of letters, digits and the characters in `more`. */
static bool consists_of(const char *text, const char *more) {
    for (; *text; text++)
        if (!strchr(letters, *text) && !strchr(more, *text))
            return false;
    return true;
}

/* ---- providers ---- */

struct target {
    unsigned port;
    char name[HOST_MAX]; /* of the host; IPv6 in brackets */
};

static int take_name(struct target *t, const char *from, size_t len) {
    if (len >= sizeof t->name)
        return ERR_LIMIT;
    memcpy(t->name, from, len);
    t->name[len] = 0;
    if (t->name[0] != '[')
        return len && consists_of(t->name, ".-") ? 0 : ERR_USAGE;
    return len > 3 && t->name[len - 1] == ']' &&
                   strspn(t->name + 1, "0123456789abcdefABCDEF:.") == len - 2
               ? 0
               : ERR_USAGE;
}

static int take_port(struct target *t, const char *from) {
    char *stop;
    size_t len = strlen(from);
    if (*from < '0' || *from > '9' || len > 5)
        return ERR_USAGE;
    unsigned long port = strtoul(from, &stop, 10);
    if (*stop || port < 1 || port > 65535)
        return ERR_USAGE;
    t->port = (unsigned)port;
    return 0;
}

static int take_host(struct target *t, const struct gateway_provider *p) {
    const char *bracket = strchr(p->host, ']');
    const char *colon = strchr(bracket ? bracket : p->host, ':');
    int rc = take_name(t, p->host, colon ? (size_t)(colon - p->host) : strlen(p->host));
    t->port = p->tls ? 443 : 80;
    return !rc && colon ? take_port(t, colon + 1) : rc;
}

static bool path_served(const char *path) {
    size_t len = strlen(path);
    return !len || (path[0] == '/' && path[len - 1] != '/' && len < PATH_MAX_CHARS &&
                    consists_of(path, "/._~-") && !strstr(path, "/.") && !strstr(path, "//"));
}

static int check_provider(const struct gateway_provider *p) {
    struct target t;
    if (!p->name || !*p->name || strlen(p->name) >= LIMIT_NAME || !consists_of(p->name, "._-"))
        return ERR_USAGE;
    if (!p->host || !p->path || !path_served(p->path))
        return ERR_USAGE;
    return take_host(&t, p);
}

/* ---- all fields ---- */

static int check(const struct gateway_conf *c) {
    if (!nginx_path_ok(c->dir) || !nginx_path_ok(c->module) || !nginx_address_ok(c->listen) || !c->provider_count)
        return ERR_USAGE;
    if (nginx_is_set(c->certificate) && !(nginx_path_ok(c->certificate) && nginx_path_ok(c->certificate_key)))
        return ERR_USAGE;
    if (nginx_is_set(c->trusted) && !nginx_path_ok(c->trusted))
        return ERR_USAGE;
    if (c->max_body > LIMIT_REQUEST_BODY || c->provider_count > LIMIT_PROVIDERS)
        return ERR_LIMIT;
    int rc = 0;
    for (size_t i = 0; i < c->provider_count && !rc; i++)
        rc = check_provider(&c->providers[i]);
    return rc;
}

/* ---- the text ---- */

static int put_module(struct buf *out, const struct gateway_conf *c) {
    return buf_printf(out,
                      "load_module \"%s\";\n"
                      "env SH_RING_FD;\n"
                      "env SH_WAKE_FD;\n"
                      "env SH_SNAPSHOT_FD;\n"
                      "env SH_USAGE_FD;\n"
                      "env SH_LIVE_FD;\n"
                      "env SH_HEALTH_FD;\n"
                      "env SH_METRICS_FD;\n"
                      "env SH_REPORT_FD;\n"
                      "env SH_DETECT_FD;\n",
                      c->module);
}

static int put_main(struct buf *out, const struct gateway_conf *c) {
    int rc = put_module(out, c);
    if (!rc)
        rc = c->workers ? buf_printf(out, "worker_processes %u;\n", c->workers)
                        : buf_append_str(out, "worker_processes auto;\n");
    if (!rc)
        rc = buf_append_str(out, "env SH_READY_FD;\n"
                                 "env SH_SANDBOX;\n");
    return rc ? rc : nginx_put_process(out, c->dir, CONNECTIONS);
}

/* No body and no answer ever touches a file: the module sets aside what does not fit the buffer of
 * a body, and answers are not buffered. */
static int put_limits(struct buf *out, const struct gateway_conf *c) {
    unsigned long long body = c->max_body ? c->max_body : LIMIT_REQUEST_BODY;
    return buf_printf(out,
                      "    access_log off;\n"
                      "    server_tokens off;\n"
                      "    etag off;\n"
                      "    max_ranges 0;\n"
                      "    tcp_nodelay on;\n"
                      "    keepalive_requests 1000000;\n"
                      "    lingering_timeout 1s;\n"
                      "    connection_pool_size 5k;\n"
                      "    client_header_buffer_size 4000;\n"
                      "    large_client_header_buffers 4 16k;\n"
                      "    client_max_body_size %llu;\n"
                      "    client_body_buffer_size 64k;\n"
                      "    client_body_in_file_only off;\n",
                      body);
}

/* What holds for all providers. */
static int put_proxy(struct buf *out) {
    return buf_append_str(
        out, "    proxy_http_version 1.1;\n"
             "    proxy_buffering off;\n"
             /* An answer's head fits one; more of them are never made, but nginx wants to know. */
             "    proxy_buffer_size 16k;\n"
             "    proxy_buffers 4 16k;\n"
             "    proxy_max_temp_file_size 0;\n"
             "    proxy_socket_keepalive on;\n"
             /* Only what never reached the provider goes to another address of its name: nginx does
              * not send a POST twice. */
             "    proxy_next_upstream error timeout;\n"
             "    proxy_hide_header Set-Cookie;\n"
             "    proxy_hide_header X-Safehouse-Id;\n"
             "    proxy_hide_header Keep-Alive;\n"
             "    proxy_hide_header Proxy-Connection;\n"
             "    proxy_hide_header Proxy-Authenticate;\n"
             "    proxy_hide_header Trailer;\n"
             "    proxy_hide_header Upgrade;\n"
             "    proxy_pass_header X-Accel-Buffering;\n"
             "    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate\n"
             "        X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;\n"
             "    recursive_error_pages on;\n");
}

/* Connections are kept for each provider by itself, so no one's are ever used for another. */
static int put_upstreams(struct buf *out, const struct gateway_conf *c) {
    unsigned long long memory = c->body_memory ? c->body_memory : LIMIT_BODY_MEMORY;
    int rc = buf_printf(out, "    safehouse_body_memory %llu;\n", memory);
    for (size_t i = 0; i < c->provider_count && !rc; i++) {
        struct target t;
        rc = take_host(&t, &c->providers[i]);
        if (!rc)
            rc = buf_printf(out,
                            "    upstream provider%zu {\n"
                            "        server %s:%u max_fails=0;\n"
                            "        keepalive 1024;\n"
                            "        keepalive_requests 1000000;\n"
                            "    }\n"
                            "    safehouse_connect_port %u;\n",
                            i, t.name, t.port, t.port);
    }
    return rc;
}

static int put_provider_tls(struct buf *out, const struct gateway_conf *c, const char *name) {
    return buf_printf(out,
                      "            proxy_ssl_server_name on;\n"
                      "            proxy_ssl_name %s;\n"
                      "            proxy_ssl_protocols TLSv1.2 TLSv1.3;\n"
                      "            proxy_ssl_verify on;\n"
                      "            proxy_ssl_verify_depth 5;\n"
                      "            proxy_ssl_trusted_certificate \"%s\";\n",
                      name, nginx_is_set(c->trusted) ? c->trusted : SYSTEM_CERTIFICATES);
}

/* No URI goes with proxy_pass: the module gives each attempt its own. An attempt that failed comes
 * back by error_page, so that the module can begin another one. */
static int put_provider(struct buf *out, const struct gateway_conf *c, size_t i) {
    const struct gateway_provider *p = &c->providers[i];
    struct target t;
    int rc = take_host(&t, p);
    if (!rc)
        rc = buf_printf(out,
                        "        location @p_%s {\n"
                        "            safehouse_provider %s %ums;\n"
                        "            proxy_pass %s://provider%zu;\n"
                        "            proxy_connect_timeout %ums;\n"
                        "            proxy_read_timeout %ums;\n"
                        "            proxy_set_header Host %s;\n"
                        "            proxy_set_header Connection \"\";\n"
                        "            proxy_set_header Accept-Encoding identity;\n"
                        "            proxy_set_header Authorization $safehouse_authorization;\n"
                        "            proxy_set_header X-Api-Key $safehouse_api_key;\n"
                        "            proxy_set_header Api-Key \"\";\n"
                        "            proxy_set_header Cookie \"\";\n"
                        "            proxy_set_header Proxy-Authorization \"\";\n"
                        "            proxy_set_header Proxy-Connection \"\";\n"
                        "            proxy_set_header Trailer \"\";\n"
                        "            error_page 502 504 = @safehouse_next;\n",
                        p->name, p->name, p->idle_ms, p->tls ? "https" : "http", i, p->connect_ms,
                        p->first_byte_ms, p->host);
    if (!rc && p->tls)
        rc = put_provider_tls(out, c, t.name);
    return rc ? rc : buf_append_str(out, "        }\n");
}

/* ---- reports from outside ---- */

/* What one address, and all together, may send; looking at the form is free. */
static int put_report_zones(struct buf *out, const struct gateway_conf *c) {
    if (!c->reports)
        return 0;
    return buf_append_str(
        out, "    map $request_method $safehouse_reporter {\n"
             "        default \"\";\n"
             "        POST $binary_remote_addr;\n"
             "    }\n"
             "    map $request_method $safehouse_reporters {\n"
             "        default \"\";\n"
             "        POST all;\n"
             "    }\n"
             "    limit_req_zone $safehouse_reporter zone=safehouse_reporter:1m rate=6r/m;\n"
             "    limit_req_zone $safehouse_reporters zone=safehouse_reporters:64k rate=30r/m;\n");
}

/* In quotes, where nginx reads backslashes and quotes alone: the module takes no variables. */
static int put_quoted(struct buf *out, const uint8_t *p, size_t len) {
    int rc = buf_append_u8(out, '"');
    for (size_t i = 0; !rc && i < len; i++) {
        if (p[i] == '"' || p[i] == '\\')
            rc = buf_append_u8(out, '\\');
        if (!rc)
            rc = buf_append_u8(out, p[i]);
    }
    return rc ? rc : buf_append_u8(out, '"');
}

static int put_security_txt(struct buf *out, const struct buf *text) {
    int rc = buf_append_str(out, "        location = /.well-known/security.txt {\n"
                                 "            safehouse security_txt;\n");
    for (size_t at = 0; !rc && at < text->len;) {
        const uint8_t *line = text->p + at, *end = memchr(line, '\n', text->len - at);
        const size_t n = end ? (size_t)(end - line) : text->len - at;
        rc = buf_append_str(out, "            safehouse_security_txt ");
        if (!rc)
            rc = put_quoted(out, line, n);
        if (!rc)
            rc = buf_append_str(out, ";\n");
        at += n + 1;
    }
    return rc ? rc : buf_append_str(out, "        }\n");
}

static int put_reports(struct buf *out, const struct gateway_conf *c) {
    if (!c->reports)
        return 0;
    int rc = put_security_txt(out, c->security_txt);
    return rc ? rc
              : buf_printf(out,
                           "        location = /report {\n"
                           "            safehouse report;\n"
                           "            client_max_body_size %d;\n"
                           "            limit_req zone=safehouse_reporter burst=5 nodelay;\n"
                           "            limit_req zone=safehouse_reporters burst=20 nodelay;\n"
                           "            limit_req_status 429;\n"
                           "        }\n",
                           LIMIT_REPORT);
}

static int put_locations(struct buf *out, const struct gateway_conf *c) {
    int rc = buf_append_str(out, "        location / {\n"
                                 "            safehouse on;\n"
                                 "        }\n"
                                 "        location = /healthz {\n"
                                 "            safehouse healthz;\n"
                                 "        }\n"
                                 "        location = /readyz {\n"
                                 "            safehouse readyz;\n"
                                 "        }\n"
                                 "        location = /metrics {\n"
                                 "            safehouse metrics;\n"
                                 "        }\n"
                                 "        location @safehouse_next {\n"
                                 "            safehouse next;\n"
                                 "        }\n");
    if (!rc)
        rc = put_reports(out, c);
    for (size_t i = 0; i < c->provider_count && !rc; i++)
        rc = put_provider(out, c, i);
    return rc;
}

static int put_server(struct buf *out, const struct gateway_conf *c) {
    int rc = buf_append_str(out, "    server {\n");
    if (!rc)
        rc = nginx_put_listen(out, c->listen, c->certificate, c->certificate_key);
    if (!rc)
        rc = put_locations(out, c);
    return rc ? rc : buf_append_str(out, "    }\n");
}

int gateway_conf_write(struct buf *out, const struct gateway_conf *c) {
    int rc = check(c);
    if (!rc)
        rc = put_main(out, c);
    if (!rc)
        rc = buf_append_str(out, "http {\n");
    if (!rc)
        rc = put_limits(out, c);
    if (!rc)
        rc = nginx_put_folders(out, c->dir);
    if (!rc)
        rc = put_proxy(out);
    if (!rc)
        rc = put_upstreams(out, c);
    if (!rc)
        rc = put_report_zones(out, c);
    if (!rc)
        rc = put_server(out, c);
    return rc ? rc : buf_append_str(out, "}\n");
}

static int put_own_main(struct buf *out, const struct gateway_conf *c) {
    int rc = put_module(out, c);
    if (!rc)
        rc = buf_append_str(out, "env SH_LIFE_FD;\n"
                                 "env GLIBC_TUNABLES;\n"); /* through a binary upgrade */
    return !rc && c->best_effort ? buf_append_str(out, "env SH_SANDBOX=best-effort;\n") : rc;
}

/* A log of errors has lines of requests in it. */
static int put_own_server(struct buf *out, const struct gateway_conf *c) {
    int rc = buf_append_str(out, "    error_log /dev/null emerg;\n");
    if (!rc)
        rc = put_limits(out, c);
    if (!rc)
        rc = put_proxy(out);
    return rc ? rc : put_locations(out, c);
}

int gateway_conf_part(struct buf *out, const struct gateway_conf *c, enum gateway_part part) {
    int rc = check(c);
    if (rc)
        return rc;
    switch (part) {
    case GATEWAY_PART_MAIN:
        return put_own_main(out, c);
    case GATEWAY_PART_HTTP:
        rc = put_upstreams(out, c);
        return rc ? rc : put_report_zones(out, c);
    default:
        return put_own_server(out, c);
    }
}

bool gateway_conf_tls(const struct gateway_conf *c) {
    bool tls = nginx_is_set(c->certificate);
    for (size_t i = 0; i < c->provider_count; i++)
        tls = tls || c->providers[i].tls;
    return tls;
}
