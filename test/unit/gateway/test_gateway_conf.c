/* The gateway's configuration: what becomes of each field, and which fields are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "proc/supervisor/gateway_conf.h"

static const struct gateway_conf usual = {
    .dir = "/srv/safehouse/gateway",
    .module = "/usr/lib/safehouse/ngx_http_safehouse_module.so",
    .listen = "127.0.0.1:8080",
    .upstream = "http://127.0.0.1:11434",
};

static int write_conf(const struct gateway_conf *c, struct buf *out) {
    buf_init(out, GATEWAY_CONF_MAX);
    int rc = gateway_conf_write(out, c);
    return rc ? rc : buf_append_u8(out, 0);
}

static void has(const struct gateway_conf *c, const char *text) {
    struct buf out;
    assert_int_equal(write_conf(c, &out), 0);
    if (!strstr((char *)out.p, text))
        fail_msg("no '%s' in:\n%s", text, (char *)out.p);
    buf_wipe(&out);
}

static void has_not(const struct gateway_conf *c, const char *text) {
    struct buf out;
    assert_int_equal(write_conf(c, &out), 0);
    assert_null(strstr((char *)out.p, text));
    buf_wipe(&out);
}

static void upstream_is(const char *url, const char *server, const char *pass) {
    struct gateway_conf c = usual;
    c.upstream = url;
    has(&c, server);
    has(&c, pass);
}

static void places_the_upstream(void **state) {
    (void)state;
    upstream_is("http://127.0.0.1:11434", "server 127.0.0.1:11434 ",
                "proxy_pass http://provider/v1/chat/completions;");
    upstream_is("http://127.0.0.1:11434/", "safehouse_connect_port 11434;",
                "proxy_pass http://provider/v1/models;");
    upstream_is("http://127.0.0.1:11434/v1", "Host 127.0.0.1:11434;",
                "proxy_pass http://provider/v1/models;");
    upstream_is("https://api.deepseek.com", "server api.deepseek.com:443 ",
                "proxy_pass https://provider/v1/chat/completions;");
    upstream_is("https://host.example/api/openai/v2/", "Host host.example;",
                "proxy_pass https://provider/api/openai/v2/chat/completions;");
    upstream_is("http://[::1]:8000/x", "server [::1]:8000 ", "http://provider/x/models;");
    upstream_is("http://localhost", "server localhost:80 ", "Host localhost;");
}

static void refuses_what_is_no_url(void **state) {
    static const char *const urls[] = {
        "",
        "api.example",
        "ftp://x",
        "http://",
        "http:///v1",
        "http://a b",
        "http://a;b",
        "http://u:p@host",
        "http://h?q",
        "http://h/p?q=1",
        "http://h/p#f",
        "http://h:0",
        "http://h:70000",
        "http://h:80x",
        "http://h:",
        "http://h:-1",
        "http://h/a;b",
        "http://h/$uri",
        "http://h/{x}",
        "http://h/a b",
        "http://h/../x",
        "http://h//x",
        "http://[::1",
        "http://[::g]",
        "http://h\n",
        "http://h/a\nb",
        "http://h/%2e",
        "HTTP://h",
        "http://h\"",
        "http://h/\\",
    };
    struct buf out;
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct gateway_conf c = usual;
        c.upstream = urls[i];
        if (write_conf(&c, &out) != ERR_USAGE)
            fail_msg("took '%s'", urls[i]);
        buf_wipe(&out);
    }
}

static void refused(struct gateway_conf c, int want) {
    struct buf out;
    assert_int_equal(write_conf(&c, &out), want);
    buf_wipe(&out);
}

static void refuses_other_fields(void **state) {
    (void)state;
    struct gateway_conf c = usual;
    c.dir = "relative";
    refused(c, ERR_USAGE);
    c.dir = "/a\"; error_log /etc/x; \"";
    refused(c, ERR_USAGE);
    c.dir = "/a\\";
    refused(c, ERR_USAGE);
    c.dir = "/$host";
    refused(c, ERR_USAGE);
    c.dir = "/a\n";
    refused(c, ERR_USAGE);
    c = usual;
    c.listen = "8080";
    refused(c, ERR_USAGE);
    c.listen = "127.0.0.1:80;";
    refused(c, ERR_USAGE);
    c = usual;
    c.certificate = "/c.pem"; /* without its key */
    refused(c, ERR_USAGE);
    c = usual;
    c.max_body = (uint64_t)LIMIT_REQUEST_BODY + 1;
    refused(c, ERR_LIMIT);
}

static void says_what_was_asked(void **state) {
    (void)state;
    struct gateway_conf c = usual;
    has(&c, "worker_processes auto;");
    has(&c, "client_max_body_size 33554432;");
    has(&c, "listen 127.0.0.1:8080 backlog=4096 so_keepalive=on;");
    has_not(&c, "ssl");
    assert_false(gateway_conf_tls(&c));
    c.workers = 3;
    c.max_body = 65536;
    c.certificate = "/etc/c.pem";
    c.certificate_key = "/etc/k.pem";
    has(&c, "worker_processes 3;");
    has(&c, "client_max_body_size 65536;");
    has(&c, "so_keepalive=on ssl;");
    has(&c, "ssl_certificate_key \"/etc/k.pem\";");
    has_not(&c, "proxy_ssl_");
    assert_true(gateway_conf_tls(&c));
}

static void paths_may_have_spaces(void **state) {
    (void)state;
    struct gateway_conf c = usual;
    c.dir = "/home/m\u00e9/my files; {x}";
    has(&c, "pid \"/home/m\u00e9/my files; {x}/nginx.pid\";");
}

static void an_https_provider_is_verified(void **state) {
    (void)state;
    struct gateway_conf c = usual;
    c.upstream = "https://api.example:8443/v1";
    has(&c, "proxy_ssl_verify on;");
    has(&c, "proxy_ssl_name api.example;");
    has(&c, "proxy_ssl_server_name on;");
    has(&c, "proxy_ssl_trusted_certificate \"/etc/ssl/certs/ca-certificates.crt\";");
    assert_true(gateway_conf_tls(&c));
    c.trusted = "/etc/own.pem";
    has(&c, "proxy_ssl_trusted_certificate \"/etc/own.pem\";");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_the_upstream),           cmocka_unit_test(refuses_what_is_no_url),
        cmocka_unit_test(refuses_other_fields),          cmocka_unit_test(says_what_was_asked),
        cmocka_unit_test(an_https_provider_is_verified), cmocka_unit_test(paths_may_have_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
