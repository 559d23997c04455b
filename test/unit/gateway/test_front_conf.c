/* The configuration of the console's nginx: what it must say, and which fields are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "proc/supervisor/front_conf.h"

static const struct front_conf usual = {.dir = "/srv/safehouse/front", .listen = "127.0.0.1:8090", .run_fd = 4};

static int write_conf(const struct front_conf *c, struct buf *out) {
    buf_init(out, FRONT_CONF_MAX);
    int rc = front_conf_write(out, c);
    return rc ? rc : buf_append_u8(out, 0);
}

static void has(const struct front_conf *c, const char *text, int times) {
    struct buf out;
    assert_int_equal(write_conf(c, &out), 0);
    int found = 0;
    for (const char *p = (char *)out.p; (p = strstr(p, text)) != NULL; p++)
        found++;
    assert_int_equal(found, times);
    buf_wipe(&out);
}

static void nothing_touches_a_file_or_a_log(void **state) {
    (void)state;
    has(&usual, "access_log off;", 1);
    has(&usual, "error_log /dev/null emerg;", 1);
    has(&usual, "proxy_max_temp_file_size 0;", 1);
    has(&usual, "client_max_body_size 1048576;", 1);
    has(&usual, "client_body_buffer_size 1048576;", 1); /* as large: a body stays in memory */
    has(&usual, "proxy_pass", 1);                       /* one place to go to */
    has(&usual, "server unix:/proc/self/fd/4/console.sock", 1);
    has(&usual, " ssl", 0);
}

static void tls_is_what_it_is_given(void **state) {
    (void)state;
    struct front_conf c = usual;
    c.certificate = "/proc/self/fd/5";
    c.certificate_key = "/proc/self/fd/6";
    has(&c, "listen 127.0.0.1:8090 backlog=4096 so_keepalive=on ssl;", 1);
    has(&c, "ssl_certificate_key \"/proc/self/fd/6\";", 1);
    has(&c, "ssl_protocols TLSv1.2 TLSv1.3;", 1);
}

static void refuses_what_could_be_more_than_text(void **state) {
    (void)state;
    struct buf out;
    struct front_conf c = usual;
    c.dir = "/srv/\"; load_module x;";
    assert_int_equal(write_conf(&c, &out), ERR_USAGE);
    c = usual;
    c.listen = "127.0.0.1:1; }";
    assert_int_equal(write_conf(&c, &out), ERR_USAGE);
    c = usual;
    c.certificate = "/c.pem";
    assert_int_equal(write_conf(&c, &out), ERR_USAGE); /* without its key */
    c = usual;
    c.run_fd = -1;
    assert_int_equal(write_conf(&c, &out), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_touches_a_file_or_a_log),
        cmocka_unit_test(tls_is_what_it_is_given),
        cmocka_unit_test(refuses_what_could_be_more_than_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
