/* One-time codes: the vectors of RFC 6238 appendix B and RFC 4226 appendix D; each code once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "read/people/totp.h"

static const uint8_t secret[] = "12345678901234567890"; /* both documents' */

static int start(void **state) {
    (void)state;
    return totp_start();
}

static void rfc6238(void **state) {
    static const struct {
        uint64_t seconds;
        const char *code;
    } vectors[] = {{59, "94287082"},         {1111111109, "07081804"}, {1111111111, "14050471"},
                   {1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"}};
    char code[9];
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_int_equal(totp_code(secret, 20, vectors[i].seconds / TOTP_STEP_S, 8, code), 0);
        assert_string_equal(code, vectors[i].code);
    }
}

static void rfc4226(void **state) {
    static const char *const codes[] = {"755224", "287082", "359152", "969429", "338314",
                                        "254676", "287922", "162583", "399871", "520489"};
    char code[9];
    (void)state;
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(totp_code(secret, 20, i, 6, code), 0);
        assert_string_equal(code, codes[i]);
    }
    assert_int_not_equal(totp_code(secret, 20, 0, 5, code), 0);
    assert_int_not_equal(totp_code(secret, 20, 0, 9, code), 0);
}

static void window_and_once(void **state) {
    const uint64_t step = 50000000, now_us = (step * TOTP_STEP_S + 7) * 1000000u;
    char code[9];
    (void)state;
    for (int off = -3; off <= 3; off++) {
        uint64_t last = 0;
        assert_int_equal(totp_code(secret, 20, step + (uint64_t)(int64_t)off, 6, code), 0);
        const bool right = totp_check(secret, now_us, code, 6, &last);
        assert_int_equal(right, off >= -1 && off <= 1);
        assert_true(last == (right ? step + (uint64_t)(int64_t)off : 0));
        assert_false(totp_check(secret, now_us, code, 6, &last)); /* not twice */
    }
    uint64_t last = 0; /* the later one was used: the earlier ones are too late */
    totp_code(secret, 20, step + 1, 6, code);
    assert_true(totp_check(secret, now_us, code, 6, &last));
    totp_code(secret, 20, step, 6, code);
    assert_false(totp_check(secret, now_us, code, 6, &last));
    last = 0;
    assert_false(totp_check(secret, now_us, code, 5, &last));
    assert_false(totp_check(secret, now_us, "", 0, &last));
    code[0] ^= 1;
    assert_false(totp_check(secret, now_us, code, 6, &last));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rfc6238), cmocka_unit_test(rfc4226),
                                       cmocka_unit_test(window_and_once)};
    return cmocka_run_group_tests_name("totp", tests, start, NULL);
}
