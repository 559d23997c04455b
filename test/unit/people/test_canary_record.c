/* A canary's record: as it was written; short, long, of another kind or without a name it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "read/people/canary_record.h"

static void there_and_back(void **state) {
    static char longest[SUBJECT_NAME_MAX];
    uint8_t name[SUBJECT_NAME_MAX], p[CANARY_RECORD_MAX + 1];
    struct canary_record r, in = {.since_us = 1764000000000000, .name = name};
    (void)state;
    in.name_len = subject_encode_name(name, sizeof name, "default", "chat", SUBJECT_NAMED, "the canary", 10);
    const size_t n = canary_record_encode(p, &in);
    assert_int_equal(n, CANARY_RECORD_HEAD + in.name_len);
    assert_true(canary_record_is(p, n));
    assert_int_equal(canary_record_decode(&r, p, n), 0);
    assert_int_equal(r.since_us, in.since_us);
    assert_int_equal(r.name_len, in.name_len);
    assert_memory_equal(r.name, name, in.name_len);
    for (size_t less = 0; less < n; less++) {
        uint8_t *own = malloc(less + 1);
        memcpy(own, p, less);
        assert_int_equal(canary_record_decode(&r, own, less), ERR_CORRUPT);
        free(own);
    }
    p[n] = 0;
    assert_int_equal(canary_record_decode(&r, p, n + 1), ERR_CORRUPT);
    for (unsigned kind = 0; kind < 256; kind++) {
        p[0] = (uint8_t)kind;
        assert_int_equal(canary_record_is(p, n), kind == 5);
        assert_int_equal(canary_record_decode(&r, p, n), kind == 5 ? 0 : ERR_CORRUPT);
    }
    assert_false(canary_record_is(p, 0));
    in.name = (const uint8_t *)longest;
    in.name_len = SUBJECT_NAME_MAX + 1;
    assert_int_equal(canary_record_encode(p, &in), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
