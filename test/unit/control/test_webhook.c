/* Webhooks' URLs: what is one, and which port it is reached at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/webhook.h"

static void urls(void **state) {
    (void)state;
    assert_true(webhook_valid("https://hooks.example/a?b=c"));
    assert_false(webhook_valid("ftp://hooks.example/"));
    assert_false(webhook_valid("https://hooks.example/a b"));
    assert_false(webhook_valid("https://hooks.example/\"x\""));
    assert_false(webhook_valid(""));
}

static void ports(void **state) {
    static const struct {
        const char *url;
        unsigned port;
    } all[] = {
        {"http://hooks.example", 80},
        {"https://hooks.example", 443},
        {"https://hooks.example/", 443},
        {"https://hooks.example:8443/a:1", 8443},
        {"https://hooks.example:8443?a@b:1", 8443},
        {"http://hooks.example:/", 80},
        {"http://user:12@hooks.example/", 80},
        {"http://user:12@hooks.example:65535", 65535},
        {"http://a@b:7@hooks.example#:9", 80},
        {"http://[::1]/", 80},
        {"https://[2001:db8::1]:444/", 444},
        {"https://user:p@[2001:db8::1]:444/", 444},
        {"http://hooks.example:65536/", 0},
        {"http://hooks.example:0/", 0},
        {"http://hooks.example:80a/", 0},
        {"http://hooks.example:-1/", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(webhook_port(all[i].url), all[i].port);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(urls), cmocka_unit_test(ports)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
