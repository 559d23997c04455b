/* The detector's tags are the fingerprints that the vault makes when a value is looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "record/fingerprint.h"
#include "write/detect/detect.h"

static void the_same(void **state) {
    static const char *const values[] = {
        "ghp_0123456789abcdef", "4111 1111-1111 1111", "11010519491231002x", "+86 138 0013 8000",
        "", "x", "line\nline", "-", "a 1",
    };
    uint8_t key[FINGERPRINT_KEY_BYTES];
    const struct detect_key k = {key, 1};
    (void)state;
    randombytes_buf(key, sizeof key);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char a[FINGERPRINT_TEXT + 1], b[DETECT_TAG_TEXT + 1];
        fingerprint(a, key, "class", values[i], strlen(values[i]));
        detect_tag(b, &k, "class", values[i], strlen(values[i]));
        assert_string_equal(a, b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
