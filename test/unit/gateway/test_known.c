/* Keys that a worker has checked before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/apikey.h"
#include "write/gateway/known.h"

static char text[APIKEY_TEXT];
static struct snapshot_key key;

static int set_up(void **state) {
    (void)state;
    known_init();
    apikey_make(text, key.id, key.hash);
    memcpy(key.project, "p", 2);
    return 0;
}

static void finds_what_was_added(void **state) {
    (void)state;
    assert_null(known_find(1, text, APIKEY_LEN));
    assert_non_null(known_add(1, text, &key));
    const struct snapshot_key *found = known_find(1, text, APIKEY_LEN);
    assert_non_null(found);
    assert_memory_equal(found, &key, sizeof key);
}

static void a_new_version_forgets(void **state) {
    (void)state;
    known_add(1, text, &key);
    assert_null(known_find(2, text, APIKEY_LEN));
    assert_null(known_find(0, text, APIKEY_LEN));
}

static void no_other_text_is_found(void **state) {
    (void)state;
    known_add(1, text, &key);
    for (size_t i = 0; i < APIKEY_LEN; i++) {
        char other[APIKEY_TEXT];
        memcpy(other, text, sizeof other);
        other[i] = other[i] == 'a' ? 'b' : 'a';
        assert_null(known_find(1, other, APIKEY_LEN));
    }
    assert_null(known_find(1, text, APIKEY_LEN - 1));
    assert_null(known_find(1, text, APIKEY_LEN + 1));
    assert_null(known_find(1, text, 0));
}

static void nothing_is_known_at_first(void **state) {
    (void)state;
    char zeros[APIKEY_TEXT] = {0};
    assert_null(known_find(0, zeros, 0));
    assert_null(known_find(7, text, APIKEY_LEN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_known_at_first, set_up),
        cmocka_unit_test_setup(finds_what_was_added, set_up),
        cmocka_unit_test_setup(a_new_version_forgets, set_up),
        cmocka_unit_test_setup(no_other_text_is_found, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
