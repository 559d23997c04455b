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

static const struct gateway_provider local = {.name = "local",
                                              .host = "127.0.0.1:11434",
                                              .path = "",
                                              .connect_ms = 10000,
                                              .first_byte_ms = 600000,
                                              .idle_ms = 120000};

static const struct gateway_conf usual = {
    .dir = "/srv/safehouse/gateway",
    .module = "/usr/lib/safehouse/ngx_http_safehouse_module.so",
    .listen = "127.0.0.1:8080",
    .providers = &local,
    .provider_count = 1,
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

static void host_is(const char *host, bool tls, const char *server, const char *pass,
                    const char *said) {
    struct gateway_provider p = local;
    struct gateway_conf c = usual;
    p.host = host;
    p.tls = tls;
    c.providers = &p;
    has(&c, server);
    has(&c, pass);
    has(&c, said);
}

static void places_a_provider(void **state) {
    (void)state;
    host_is("127.0.0.1:11434", false, "server 127.0.0.1:11434 ", "proxy_pass http://provider0;",
            "Host 127.0.0.1:11434;");
    host_is("api.deepseek.com", true, "server api.deepseek.com:443 ",
            "proxy_pass https://provider0;", "Host api.deepseek.com;");
    host_is("[::1]:8000", false, "server [::1]:8000 ", "safehouse_connect_port 8000;",
            "Host [::1]:8000;");
    host_is("localhost", false, "server localhost:80 ", "safehouse_connect_port 80;",
            "Host localhost;");
    has(&usual, "location @p_local {");
    has(&usual, "safehouse_provider local 120000ms;");
    has(&usual, "proxy_connect_timeout 10000ms;");
    has(&usual, "proxy_read_timeout 600000ms;");
}

static void each_provider_has_its_own(void **state) {
    struct gateway_provider two[] = {local, local};
    struct gateway_conf c = usual;
    (void)state;
    two[1].name = "other";
    two[1].host = "api.example";
    two[1].tls = true;
    c.providers = two;
    c.provider_count = 2;
    has(&c, "location @p_local {");
    has(&c, "location @p_other {");
    has(&c, "proxy_pass https://provider1;");
    has(&c, "proxy_ssl_name api.example;");
}

static void part_is(enum gateway_part part, const struct gateway_conf *c, const char *text,
                    bool there) {
    struct buf out;
    buf_init(&out, GATEWAY_CONF_MAX);
    assert_int_equal(gateway_conf_part(&out, c, part), 0);
    assert_int_equal(buf_append_u8(&out, 0), 0);
    if ((strstr((char *)out.p, text) != NULL) != there)
        fail_msg("'%s' is %s in:\n%s", text, there ? "not" : "there", (char *)out.p);
    buf_wipe(&out);
}

/* Other servers of the same nginx keep what they have: only their own server says how it serves. */
static void parts_leave_the_rest_alone(void **state) {
    struct gateway_conf c = usual;
    (void)state;
    part_is(GATEWAY_PART_MAIN, &c, "load_module", true);
    part_is(GATEWAY_PART_MAIN, &c, "env SH_LIFE_FD;", true);
    part_is(GATEWAY_PART_MAIN, &c, "SH_SANDBOX", false);
    part_is(GATEWAY_PART_MAIN, &c, "worker_processes", false);
    part_is(GATEWAY_PART_MAIN, &c, "error_log", false);
    part_is(GATEWAY_PART_HTTP, &c, "upstream provider0 {", true);
    part_is(GATEWAY_PART_HTTP, &c, "safehouse_connect_port 11434;", true);
    part_is(GATEWAY_PART_HTTP, &c, "access_log", false);
    part_is(GATEWAY_PART_HTTP, &c, "proxy_", false);
    part_is(GATEWAY_PART_SERVER, &c, "access_log off;", true);
    part_is(GATEWAY_PART_SERVER, &c, "error_log /dev/null emerg;", true);
    part_is(GATEWAY_PART_SERVER, &c, "location @p_local {", true);
    part_is(GATEWAY_PART_SERVER, &c, "listen", false);
    part_is(GATEWAY_PART_SERVER, &c, c.dir, false);
    c.best_effort = true;
    part_is(GATEWAY_PART_MAIN, &c, "env SH_SANDBOX=best-effort;", true);
}

static void provider_refused(struct gateway_provider p, int want) {
    struct gateway_conf c = usual;
    struct buf out;
    c.providers = &p;
    int rc = write_conf(&c, &out);
    if (rc != want)
        fail_msg("'%s' '%s' '%s': %d", p.name, p.host, p.path, rc);
    buf_wipe(&out);
}

static void refuses_what_is_no_provider(void **state) {
    static const char *const hosts[] = {
        "",      "a b", "a;b",  "u:p@host", "h?q",   "h/p",    "h:0",   "h:70000",
        "h:80x", "h:",  "h:-1", "h:80:1",   "$host", "[::1",   "{x}",   "[::g]",
        "h\n",   "h\"", "h\\",  ":80",      "h#",    "h:80;x", "h:8 0",
    };
    static const char *const paths[] = {"v1",    "/v1/", "/a;b", "/$uri", "/{x}", "/a b",
                                        "/../x", "//x",  "/a\n", "/%2e",  "/",    "/\\"};
    static const char *const names[] = {"", "a b", "a;b", "$a", "a/b", "a\n", "a\"b"};
    struct gateway_provider p;
    char long_name[LIMIT_NAME + 1];
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        p = local;
        p.host = hosts[i];
        provider_refused(p, ERR_USAGE);
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        p = local;
        p.path = paths[i];
        provider_refused(p, ERR_USAGE);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        p = local;
        p.name = names[i];
        provider_refused(p, ERR_USAGE);
    }
    memset(long_name, 'a', LIMIT_NAME);
    long_name[LIMIT_NAME] = 0;
    p = local;
    p.name = long_name;
    provider_refused(p, ERR_USAGE);
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
    c = usual;
    c.provider_count = 0;
    refused(c, ERR_USAGE);
    c.provider_count = LIMIT_PROVIDERS + 1;
    refused(c, ERR_LIMIT);
}

static void says_what_was_asked(void **state) {
    (void)state;
    struct gateway_conf c = usual;
    has(&c, "worker_processes auto;");
    has(&c, "client_max_body_size 33554432;");
    has(&c, "safehouse_body_memory 268435456;");
    has(&c, "listen 127.0.0.1:8080 backlog=4096 so_keepalive=on;");
    has_not(&c, "ssl");
    assert_false(gateway_conf_tls(&c));
    c.workers = 3;
    c.max_body = 65536;
    c.body_memory = 64u << 20;
    c.certificate = "/etc/c.pem";
    c.certificate_key = "/etc/k.pem";
    has(&c, "worker_processes 3;");
    has(&c, "client_max_body_size 65536;");
    has(&c, "safehouse_body_memory 67108864;");
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
    struct gateway_provider p = local;
    struct gateway_conf c = usual;
    p.host = "api.example:8443";
    p.tls = true;
    c.providers = &p;
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
        cmocka_unit_test(places_a_provider),
        cmocka_unit_test(each_provider_has_its_own),
        cmocka_unit_test(parts_leave_the_rest_alone),
        cmocka_unit_test(refuses_what_is_no_provider),
        cmocka_unit_test(refuses_other_fields),
        cmocka_unit_test(says_what_was_asked),
        cmocka_unit_test(an_https_provider_is_verified),
        cmocka_unit_test(paths_may_have_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
