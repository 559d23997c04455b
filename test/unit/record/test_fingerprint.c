/* Fingerprints: golden ones, computed by another implementation of HMAC and base32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "record/fingerprint.h"

static uint8_t key[FINGERPRINT_KEY_BYTES];

static void expect(const char *class, const char *value, const char *tag) {
    char got[FINGERPRINT_TEXT + 1];
    fingerprint(got, key, class, value, strlen(value));
    assert_string_equal(got, tag);
}

static void golden(void **state) {
    (void)state;
    expect("github-token", "ghp_0123456789abcdef", "YQYL3GNXXOTIW3IXTXREJTBKLU");
}

static void numbers_without_separators(void **state) {
    (void)state;
    expect("bank-card", "4111111111111111", "LINVJP5MEZDZZ7GBSESSOUEGKA");
    expect("bank-card", "4111 1111-1111 1111", "LINVJP5MEZDZZ7GBSESSOUEGKA");
    expect("china-id", "11010519491231002x", "V2VMV2Z42VAYYKLFJXMA7RJXT4");
}

static void of_class_and_key(void **state) {
    char a[FINGERPRINT_TEXT + 1], b[FINGERPRINT_TEXT + 1];
    (void)state;
    fingerprint(a, key, "one", "value", 5);
    fingerprint(b, key, "two", "value", 5);
    assert_string_not_equal(a, b);
    key[0] ^= 1;
    fingerprint(b, key, "one", "value", 5);
    key[0] ^= 1;
    assert_string_not_equal(a, b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(numbers_without_separators),
        cmocka_unit_test(of_class_and_key),
    };
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
