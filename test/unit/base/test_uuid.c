/* UUIDs: the bits of version 7, their order and uniqueness, the text form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/uuid.h"

/* The time of RFC 9562's example (appendix A.6): 017F22E2-79B0-7CC3-... */
#define EXAMPLE_MS 0x017F22E279B0u

static void version_7_has_the_bits_of_the_rfc(void **state) {
    (void)state;
    uint8_t id[UUID_BYTES];
    char text[UUID_TEXT + 1];
    uuid_v7(id, EXAMPLE_MS * 1000u + 500, 0x2abcdef0, 0x01020304);
    uuid_format(text, id);
    assert_string_equal(text, "017f22e2-79b0-7800-aabc-def001020304");
    assert_true(uuid_v7_ms(id) == EXAMPLE_MS);
    uuid_v7(id, EXAMPLE_MS * 1000u + 999, UINT64_MAX, UINT64_MAX);
    uuid_format(text, id);
    assert_string_equal(text, "017f22e2-79b0-7ffb-bfff-ffffffffffff");
}

static void later_is_larger(void **state) {
    (void)state;
    uint8_t before[UUID_BYTES], id[UUID_BYTES];
    uuid_v7(before, EXAMPLE_MS * 1000u, 5, 0);
    for (uint64_t us = 1; us < 3000; us++) {
        uuid_v7(id, EXAMPLE_MS * 1000u + us, 5, us);
        assert_true(memcmp(before, id, UUID_BYTES) < 0);
        memcpy(before, id, UUID_BYTES);
    }
}

static void one_worker_never_repeats_itself(void **state) {
    (void)state;
    uint8_t a[UUID_BYTES], b[UUID_BYTES];
    uuid_v7(a, 1000, 1, 1);
    uuid_v7(b, 1000, 1, 2);
    assert_memory_not_equal(a, b, UUID_BYTES);
    uuid_v7(b, 1000, 2, 1);
    assert_memory_not_equal(a, b, UUID_BYTES);
}

static void version_4_is_stamped(void **state) {
    (void)state;
    uint8_t id[UUID_BYTES];
    memset(id, 0xff, sizeof id);
    uuid_v4_stamp(id);
    assert_int_equal(id[6], 0x4f);
    assert_int_equal(id[8], 0xbf);
    memset(id, 0, sizeof id);
    uuid_v4_stamp(id);
    assert_int_equal(id[6], 0x40);
    assert_int_equal(id[8], 0x80);
}

static void the_text_is_strict(void **state) {
    (void)state;
    static const char good[] = "017F22E2-79b0-7cc3-98c4-dc0c0c07398f";
    uint8_t id[UUID_BYTES];
    char text[UUID_TEXT + 1], broken[UUID_TEXT + 1];
    assert_true(uuid_parse(id, good, UUID_TEXT));
    uuid_format(text, id);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_false(uuid_parse(id, good, UUID_TEXT - 1));
    assert_false(uuid_parse(id, "{17F22E2-79b0-7cc3-98c4-dc0c0c07398}", UUID_TEXT));
    for (unsigned i = 0; i < UUID_TEXT; i++) {
        memcpy(broken, good, sizeof broken);
        broken[i] = good[i] == '-' ? '0' : '-';
        assert_false(uuid_parse(id, broken, UUID_TEXT));
        broken[i] = 'g';
        assert_false(uuid_parse(id, broken, UUID_TEXT));
    }
}

static void only_zero_is_zero(void **state) {
    (void)state;
    uint8_t id[UUID_BYTES] = {0};
    assert_true(uuid_is_zero(id));
    for (int i = 0; i < UUID_BYTES; i++) {
        id[i] = 1;
        assert_false(uuid_is_zero(id));
        id[i] = 0;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_7_has_the_bits_of_the_rfc),
        cmocka_unit_test(later_is_larger),
        cmocka_unit_test(one_worker_never_repeats_itself),
        cmocka_unit_test(version_4_is_stamped),
        cmocka_unit_test(the_text_is_strict),
        cmocka_unit_test(only_zero_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
