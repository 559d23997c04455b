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

#define HOST_MAX 256
#define PATH_MAX_CHARS 1024
#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/* A whole text of letters, digits and the characters in `more`. */
static bool consists_of(const char *text, const char *more) {
    for (; *text; text++)
        if (!strchr(letters, *text) && !strchr(more, *text))
            return false;
    return true;
}

/* ---- the upstream's URL ---- */

struct target {
    bool tls;
    unsigned port;
    bool port_given;
    char host[HOST_MAX];       /* IPv6 in brackets */
    char path[PATH_MAX_CHARS]; /* "/v1", "" only for what has none */
};

static int take_text(char *out, size_t size, const char *from, size_t len) {
    if (len >= size)
        return ERR_LIMIT;
    memcpy(out, from, len);
    out[len] = 0;
    return 0;
}

static int take_host(struct target *t, const char *from, size_t len) {
    int rc = take_text(t->host, sizeof t->host, from, len);
    if (rc)
        return rc;
    if (t->host[0] != '[')
        return len && consists_of(t->host, ".-") ? 0 : ERR_USAGE;
    return len > 3 && t->host[len - 1] == ']' &&
                   strspn(t->host + 1, "0123456789abcdefABCDEF:.") == len - 2
               ? 0
               : ERR_USAGE;
}

static int take_port(struct target *t, const char *from, const char *end) {
    char *stop;
    if (from == end || *from < '0' || *from > '9' || end - from > 5)
        return ERR_USAGE;
    unsigned long port = strtoul(from, &stop, 10);
    if (stop != end || port < 1 || port > 65535)
        return ERR_USAGE;
    t->port = (unsigned)port;
    t->port_given = true;
    return 0;
}

/* The base path takes the place of /v1; without one the client's own path goes on. */
static int take_path(struct target *t, const char *from) {
    size_t len = strlen(from);
    while (len && from[len - 1] == '/')
        len--;
    if (!len)
        return take_text(t->path, sizeof t->path, "/v1", 3);
    int rc = take_text(t->path, sizeof t->path, from, len);
    if (rc)
        return rc;
    return consists_of(t->path, "/._~-") && !strstr(t->path, "/.") && !strstr(t->path, "//")
               ? 0
               : ERR_USAGE;
}

static int parse_url(const char *url, struct target *t) {
    *t = (struct target){0};
    if (strncmp(url, "http://", 7) == 0) {
        url += 7;
        t->port = 80;
    } else if (strncmp(url, "https://", 8) == 0) {
        url += 8;
        t->port = 443;
        t->tls = true;
    } else {
        return ERR_USAGE;
    }
    const char *path = url + strcspn(url, "/");
    const char *colon = memchr(url, ']', (size_t)(path - url));
    colon = memchr(colon ? colon : url, ':', (size_t)(path - (colon ? colon : url)));
    int rc = take_host(t, url, (size_t)((colon ? colon : path) - url));
    if (!rc && colon)
        rc = take_port(t, colon + 1, path);
    return rc ? rc : take_path(t, path);
}

/* ---- other fields ---- */

static bool is_set(const char *text) {
    return text && *text;
}

/* Paths stand in quotes, where nginx still reads backslashes, and in some directives variables. */
static bool path_ok(const char *path) {
    if (!is_set(path) || path[0] != '/')
        return false;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || strchr("\"\\$", *p))
            return false;
    return true;
}

static bool address_ok(const char *address) {
    return is_set(address) && strrchr(address, ':') && consists_of(address, ".:[]-");
}

static int check(const struct gateway_conf *c, struct target *ret) {
    if (!path_ok(c->dir) || !path_ok(c->module) || !address_ok(c->listen) || !is_set(c->upstream))
        return ERR_USAGE;
    if (is_set(c->certificate) && !(path_ok(c->certificate) && path_ok(c->certificate_key)))
        return ERR_USAGE;
    if (is_set(c->trusted) && !path_ok(c->trusted))
        return ERR_USAGE;
    if (c->max_body > LIMIT_REQUEST_BODY)
        return ERR_LIMIT;
    return parse_url(c->upstream, ret);
}

/* ---- the text ---- */

static int put_main(struct buf *out, const struct gateway_conf *c) {
    int rc = buf_printf(out, "load_module \"%s\";\n", c->module);
    if (!rc)
        rc = c->workers ? buf_printf(out, "worker_processes %u;\n", c->workers)
                        : buf_append_str(out, "worker_processes auto;\n");
    return rc ? rc
              : buf_printf(out,
                           "worker_rlimit_nofile 20000;\n"
                           "worker_shutdown_timeout 10s;\n"
                           "daemon off;\n"
                           "master_process on;\n"
                           "pid \"%s/nginx.pid\";\n"
                           "error_log /dev/null emerg;\n"
                           "env SH_RING_FD;\n"
                           "env SH_WAKE_FD;\n"
                           "env SH_SNAPSHOT_FD;\n"
                           "env SH_READY_FD;\n"
                           "env SH_SANDBOX;\n"
                           "events {\n"
                           "    worker_connections 10000;\n"
                           "}\n",
                           c->dir);
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
                      "    client_body_buffer_size 1m;\n"
                      "    client_body_in_file_only off;\n"
                      "    client_body_temp_path \"%s/body\";\n"
                      "    proxy_temp_path \"%s/proxy\";\n"
                      "    fastcgi_temp_path \"%s/fastcgi\";\n"
                      "    uwsgi_temp_path \"%s/uwsgi\";\n"
                      "    scgi_temp_path \"%s/scgi\";\n",
                      body, c->dir, c->dir, c->dir, c->dir, c->dir);
}

static int put_proxy(struct buf *out, const struct target *t) {
    char port[8] = "";
    if (t->port_given)
        snprintf(port, sizeof port, ":%u", t->port);
    return buf_printf(
        out,
        "    upstream provider {\n"
        "        server %s:%u max_fails=0;\n"
        "        keepalive 1024;\n"
        "        keepalive_requests 1000000;\n"
        "    }\n"
        "    safehouse_connect_port %u;\n"
        "    proxy_http_version 1.1;\n"
        "    proxy_buffering off;\n"
        "    proxy_buffer_size 8k;\n"
        "    proxy_max_temp_file_size 0;\n"
        "    proxy_connect_timeout 10s;\n"
        "    proxy_read_timeout 600s;\n"
        "    proxy_socket_keepalive on;\n"
        /* Only what never reached the provider goes to another address of its name: nginx does not
         * send a POST twice. */
        "    proxy_next_upstream error timeout;\n"
        "    proxy_set_header Host %s%s;\n"
        "    proxy_set_header Connection \"\";\n"
        "    proxy_set_header Accept-Encoding identity;\n"
        "    proxy_set_header Authorization $safehouse_authorization;\n"
        "    proxy_set_header X-Api-Key \"\";\n"
        "    proxy_set_header Api-Key \"\";\n"
        "    proxy_set_header Cookie \"\";\n"
        "    proxy_set_header Proxy-Authorization \"\";\n"
        "    proxy_set_header Proxy-Connection \"\";\n"
        "    proxy_set_header Trailer \"\";\n"
        "    proxy_hide_header Set-Cookie;\n"
        "    proxy_hide_header X-Safehouse-Id;\n"
        "    proxy_hide_header Keep-Alive;\n"
        "    proxy_hide_header Proxy-Connection;\n"
        "    proxy_hide_header Proxy-Authenticate;\n"
        "    proxy_hide_header Trailer;\n"
        "    proxy_hide_header Upgrade;\n"
        "    proxy_pass_header X-Accel-Buffering;\n"
        "    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate\n"
        "        X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;\n",
        t->host, t->port, t->port, t->host, port);
}

static int put_proxy_tls(struct buf *out, const struct gateway_conf *c, const struct target *t) {
    if (!t->tls)
        return 0;
    return buf_printf(out,
                      "    proxy_ssl_server_name on;\n"
                      "    proxy_ssl_name %s;\n"
                      "    proxy_ssl_protocols TLSv1.2 TLSv1.3;\n"
                      "    proxy_ssl_verify on;\n"
                      "    proxy_ssl_verify_depth 5;\n"
                      "    proxy_ssl_trusted_certificate \"%s\";\n",
                      t->host, is_set(c->trusted) ? c->trusted : SYSTEM_CERTIFICATES);
}

static int put_server(struct buf *out, const struct gateway_conf *c, const struct target *t) {
    const char *scheme = t->tls ? "https" : "http";
    bool tls = is_set(c->certificate);
    int rc = buf_printf(out,
                        "    server {\n"
                        "        listen %s backlog=4096 so_keepalive=on%s;\n",
                        c->listen, tls ? " ssl" : "");
    if (!rc && tls)
        rc = buf_printf(out,
                        "        ssl_certificate \"%s\";\n"
                        "        ssl_certificate_key \"%s\";\n"
                        "        ssl_protocols TLSv1.2 TLSv1.3;\n"
                        "        ssl_session_cache shared:tls:4m;\n",
                        c->certificate, c->certificate_key);
    return rc ? rc
              : buf_printf(out,
                           "        location = /v1/chat/completions {\n"
                           "            safehouse chat;\n"
                           "            proxy_pass %s://provider%s/chat/completions;\n"
                           "        }\n"
                           "        location = /v1/models {\n"
                           "            safehouse models;\n"
                           "            proxy_pass %s://provider%s/models;\n"
                           "        }\n"
                           "        location / {\n"
                           "            return 404;\n"
                           "        }\n"
                           "    }\n",
                           scheme, t->path, scheme, t->path);
}

int gateway_conf_write(struct buf *out, const struct gateway_conf *c) {
    struct target t;
    int rc = check(c, &t);
    if (!rc)
        rc = put_main(out, c);
    if (!rc)
        rc = buf_append_str(out, "http {\n");
    if (!rc)
        rc = put_limits(out, c);
    if (!rc)
        rc = put_proxy(out, &t);
    if (!rc)
        rc = put_proxy_tls(out, c, &t);
    if (!rc)
        rc = put_server(out, c, &t);
    return rc ? rc : buf_append_str(out, "}\n");
}

bool gateway_conf_tls(const struct gateway_conf *c) {
    return is_set(c->certificate) || strncmp(c->upstream, "https:", 6) == 0;
}
