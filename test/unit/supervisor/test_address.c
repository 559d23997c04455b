/* Addresses to listen on: which texts are one, and which of them are loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/err.h"
#include "proc/supervisor/address.h"

static void reads_and_writes(void **state) {
    (void)state;
    static const struct {
        const char *text, *again;
        unsigned port;
        bool loopback;
    } good[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", 8080, true},
        {"localhost:1", "127.0.0.1:1", 1, true},
        {"127.255.0.9:0", "127.255.0.9:0", 0, true},
        {"[::1]:65535", "[::1]:65535", 65535, true},
        {"0.0.0.0:80", "0.0.0.0:80", 80, false},
        {"128.0.0.1:80", "128.0.0.1:80", 80, false},
        {"[::]:80", "[::]:80", 80, false},
        {"[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", 80, false},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct address a;
        char again[ADDRESS_TEXT];
        assert_true(address_parse(good[i].text, &a));
        address_format(&a, again);
        assert_string_equal(again, good[i].again);
        assert_int_equal(address_port(&a), good[i].port);
        assert_int_equal(address_is_loopback(&a), good[i].loopback);
    }
}

static void refuses_what_is_none(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        ":",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "127.0.0.1:0x50",
        "127.0.0.1:000080",
        "127.1:80",
        "example.org:80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[::1%lo]:80",
        "*:80",
        "127.0.0.1;:80",
        "1111111111111111111111111111111111111111111111111111111111111111:80",
    };
    struct address a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (address_parse(bad[i], &a))
            fail_msg("\"%s\" was taken for an address", bad[i]);
}

static void listens_where_nobody_does(void **state) {
    (void)state;
    struct address a, b;
    struct why why;
    int one, two;
    assert_true(address_parse("127.0.0.1:0", &a));
    assert_int_equal(address_listen(&a, &one, &why), 0);
    assert_int_not_equal(address_port(&a), 0);
    b = a;
    assert_int_equal(address_listen(&b, &two, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "--listen"));
    close(one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(listens_where_nobody_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
