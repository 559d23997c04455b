/* What `up` refuses to start with, and the sizes that it chooses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "proc/supervisor/checks.h"

#define HEAD "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static bool none_encrypted(const char *path) {
    (void)path;
    return false;
}
static bool dm0_encrypted(const char *path) {
    return strcmp(path, "/dev/dm-0") == 0;
}

static void knows_safe_swap(void **state) {
    (void)state;
    char name[64];
    assert_false(checks_bad_swap("", none_encrypted, name, sizeof name));
    assert_false(checks_bad_swap(HEAD, none_encrypted, name, sizeof name));
    assert_false(
        checks_bad_swap(HEAD "/dev/zram0 partition 100 0 -2\n", none_encrypted, name, sizeof name));
    assert_false(checks_bad_swap(HEAD "/dev/dm-0 partition 100 0 -2\n"
                                      "/dev/zram1 partition 1 0 100\n",
                                 dm0_encrypted, name, sizeof name));
}

static void finds_unsafe_swap(void **state) {
    (void)state;
    char name[64];
    assert_true(
        checks_bad_swap(HEAD "/dev/sda2 partition 100 0 -2\n", dm0_encrypted, name, sizeof name));
    assert_string_equal(name, "/dev/sda2");
    assert_true(checks_bad_swap(HEAD "/dev/dm-0 partition 1 0 -2\n/dev/dm-1 partition 1 0 -2",
                                dm0_encrypted, name, sizeof name));
    assert_string_equal(name, "/dev/dm-1");
    assert_true(
        checks_bad_swap(HEAD "/swap\\040file file 100 0 -2\n", dm0_encrypted, name, sizeof name));
    assert_string_equal(name, "/swap file");
    /* A file that has a device's name is no device. */
    assert_true(
        checks_bad_swap(HEAD "/dev/zram0 file 100 0 -2\n", none_encrypted, name, sizeof name));
}

static int check(struct config *c, const char *listen, struct why *why) {
    struct address a;
    assert_true(address_parse(listen, &a));
    c->sandbox = c->unencrypted_swap = CONFIG_LENIENT; /* of this machine, not of the test */
    return checks_run(c, &a, NULL, why);
}

static void the_console_needs_it_too(void **state) {
    (void)state;
    struct why why;
    struct address loopback, outside;
    struct config *c = config_new();
    assert_true(address_parse("127.0.0.1:80", &loopback) && address_parse("0.0.0.0:81", &outside));
    c->sandbox = c->unencrypted_swap = CONFIG_LENIENT;
    assert_int_equal(checks_run(c, &loopback, &loopback, &why), 0);
    assert_int_equal(checks_run(c, &loopback, &outside, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "console"));
    c->behind_tls_proxy = true;
    assert_int_equal(checks_run(c, &loopback, &outside, &why), 0);
    c->behind_tls_proxy = false;
    strcpy(c->tls.certificate, "/c.pem");
    strcpy(c->tls.key, "/k.pem");
    assert_int_equal(checks_run(c, &loopback, &outside, &why), 0);
    config_free(c);
}

static void needs_tls_beyond_loopback(void **state) {
    (void)state;
    struct why why;
    struct config *c = config_new();
    assert_int_equal(check(c, "127.0.0.1:80", &why), 0);
    assert_int_equal(check(c, "0.0.0.0:80", &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "behind_tls_proxy"));
    c->behind_tls_proxy = true;
    assert_int_equal(check(c, "0.0.0.0:80", &why), 0);
    c->behind_tls_proxy = false;
    strcpy(c->tls.certificate, "/c.pem");
    assert_int_equal(check(c, "127.0.0.1:80", &why), ERR_USAGE); /* no key */
    strcpy(c->tls.key, "/k.pem");
    assert_int_equal(check(c, "0.0.0.0:80", &why), 0);
    config_free(c);
}

static void bounds_replicas(void **state) {
    (void)state;
    struct config *c = config_new();
    assert_true(checks_replicas(c, 0));
    c->vault.replica_count = 2;
    strcpy(c->vault.replica[0], "/a");
    strcpy(c->vault.replica[1], "/b");
    assert_true(checks_replicas(c, 6));
    assert_false(checks_replicas(c, 5));
    strcpy(c->vault.replica[1], "b");
    assert_false(checks_replicas(c, 64));
    strcpy(c->vault.replica[1], "/b:/etc");
    assert_false(checks_replicas(c, 64));
    config_free(c);
}

static void sizes_the_ring(void **state) {
    (void)state;
    const uint64_t gib = 1ull << 30;
    unsigned regions;
    struct config *c = config_new();
    c->gateway.workers = 3;
    assert_int_equal(checks_workers(c), 3);
    /* Each region takes one body of the largest size. */
    size_t bytes = checks_ring(c, 3, 64 * gib, &regions);
    assert_int_equal(regions, 14);
    assert_true(bytes / regions > c->gateway.max_body);
    /* With less memory there are fewer of them, not smaller ones. */
    bytes = checks_ring(c, 3, gib, &regions);
    assert_true(bytes <= gib / 2);
    assert_int_equal(regions, 12);
    assert_true(bytes / regions > c->gateway.max_body);
    /* But room for the next generation, in any case. */
    bytes = checks_ring(c, 3, gib / 4, &regions);
    assert_true(bytes <= gib / 8);
    assert_int_equal(regions, 8);
    c->gateway.max_body = 1024;
    /* Small bodies: room for many streams. */
    bytes = checks_ring(c, 3, 64 * gib, &regions);
    assert_true(bytes / regions > 10000 / 3 * (23u << 10));
    assert_int_equal(regions, 14);
    c->gateway.ring_size = 20u << 20;
    assert_int_equal(checks_ring(c, 3, 64 * gib, &regions), 20u << 20);
    assert_int_equal(regions, 8);
    /* Every worker needs a slot in the limits table, too. */
    c->gateway.ring_size = 0;
    checks_ring(c, 64, 64 * gib, &regions);
    assert_int_equal(regions, LIMIT_WORKER_SLOTS);
    config_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_safe_swap),
        cmocka_unit_test(finds_unsafe_swap),
        cmocka_unit_test(needs_tls_beyond_loopback), cmocka_unit_test(the_console_needs_it_too),
        cmocka_unit_test(bounds_replicas),
        cmocka_unit_test(sizes_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
