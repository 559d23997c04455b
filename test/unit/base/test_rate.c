/* A limit of so many in so long, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rate.h"

#define MAX 10
#define MINUTE 60000000000ull

static int takes(struct rate *r, uint64_t now, int tries) {
    int n = 0;
    for (int i = 0; i < tries; i++)
        n += rate_take(r, MAX, MINUTE, now + (uint64_t)i);
    return n;
}

static void ten_a_minute(void **state) {
    struct rate r = {0};
    uint64_t now = 12345;
    (void)state;
    assert_int_equal(takes(&r, now, 100), MAX);
    assert_int_equal(takes(&r, now + MINUTE - 100, 100), 0); /* to the minute's last moment */
    assert_int_equal(takes(&r, now + MINUTE + 1, 100), MAX); /* and being refused does not make it longer */
    assert_int_equal(takes(&r, now + MINUTE + 200, 1), 0);
}

static void a_window_begins_with_its_first(void **state) {
    struct rate r = {0};
    (void)state;
    assert_int_equal(takes(&r, 5 * MINUTE, 4), 4);
    assert_int_equal(takes(&r, 5 * MINUTE + MINUTE / 2, 100), 6);
    assert_int_equal(takes(&r, 6 * MINUTE - 200, 100), 0);
    assert_int_equal(takes(&r, 6 * MINUTE + 1, 100), MAX);
}

/* The clock of a machine that has just started is near zero. */
static void the_first_second_counts(void **state) {
    struct rate r = {0};
    (void)state;
    assert_int_equal(takes(&r, 0, 100), MAX);
    assert_int_equal(takes(&r, 1000, 100), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_a_minute),
        cmocka_unit_test(a_window_begins_with_its_first),
        cmocka_unit_test(the_first_second_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
