/* The growable buffer: its ceiling, its growth, and that what it held is overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void a_new_buffer_holds_nothing(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_null(b.p);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    buf_clear(&b);
    buf_wipe(&b);
    assert_int_equal(b.max, 10);
}

static void what_is_appended_stands_in_order(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_append(&b, "ab\0c", 4), 0);
    assert_int_equal(buf_append_str(&b, "de"), 0);
    assert_int_equal(buf_append_u8(&b, 0xff), 0);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
    assert_int_equal(b.len, 11);
    assert_memory_equal(b.p,
                        "ab\0cde\xff"
                        "42-x",
                        11);
    buf_wipe(&b);
}

static void the_ceiling_is_exact(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(buf_append_u8(&b, (uint8_t)i), 0);
    assert_int_equal(b.cap, 300);
    assert_int_equal(buf_append_u8(&b, 1), ERR_LIMIT);
    assert_int_equal(buf_append(&b, "xy", 2), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, 0), 0);
    assert_int_equal(b.len, 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(b.p[i], (uint8_t)i);
    buf_wipe(&b);
}

static void a_size_that_would_wrap_is_refused(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_append(&b, "abc", 3), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 2), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_LIMIT);
    assert_int_equal(b.len, 3);
    buf_wipe(&b);
}

static void printf_that_does_not_fit_leaves_the_buffer(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_append_str(&b, "abc"), 0);
    assert_int_equal(buf_printf(&b, "%s", "123456"), ERR_LIMIT);
    assert_int_equal(b.len, 3);
    assert_int_equal(buf_printf(&b, "%s", "1234"), 0);
    assert_memory_equal(b.p, "abc1234", 7);
    buf_wipe(&b);
}

static void clearing_zeroes_and_keeps_the_memory(void **state) {
    (void)state;
    static const uint8_t zero[256];
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_append_str(&b, "a secret of some length"), 0);
    uint8_t *before = b.p;
    size_t cap = b.cap;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_ptr_equal(b.p, before);
    assert_int_equal(b.cap, cap);
    assert_memory_equal(b.p, zero, 23);
    buf_wipe(&b);
    assert_null(b.p);
    assert_int_equal(b.cap, 0);
    assert_int_equal(buf_append_str(&b, "again"), 0);
    assert_memory_equal(b.p, "again", 5);
    buf_wipe(&b);
}

static void growing_keeps_the_bytes(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1u << 20);
    uint32_t x = 1;
    for (size_t i = 0; i < 1u << 20; i += 4096) {
        uint8_t piece[4096];
        for (size_t k = 0; k < sizeof piece; k++)
            piece[k] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
        assert_int_equal(buf_append(&b, piece, sizeof piece), 0);
    }
    x = 1;
    for (size_t i = 0; i < b.len; i++)
        if (b.p[i] != (uint8_t)((x = x * 1664525u + 1013904223u) >> 24))
            fail_msg("byte %zu is another", i);
    assert_int_equal(b.len, 1u << 20);
    assert_int_equal(b.cap, b.max);
    buf_wipe(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_holds_nothing),
        cmocka_unit_test(what_is_appended_stands_in_order),
        cmocka_unit_test(the_ceiling_is_exact),
        cmocka_unit_test(a_size_that_would_wrap_is_refused),
        cmocka_unit_test(printf_that_does_not_fit_leaves_the_buffer),
        cmocka_unit_test(clearing_zeroes_and_keeps_the_memory),
        cmocka_unit_test(growing_keeps_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
