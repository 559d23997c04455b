/* The gateway's own answers: each is JSON in OpenAI's shape, and every status has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "write/gateway/refusal.h"

static void check_error(const char *text, size_t len) {
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_int_equal(json_object_size(root), 1);
    json_t *e = json_object_get(root, "error");
    assert_int_equal(json_object_size(e), 4);
    assert_true(json_string_length(json_object_get(e, "message")) > 20);
    assert_true(json_string_length(json_object_get(e, "type")) > 0);
    assert_true(json_string_length(json_object_get(e, "code")) > 0);
    assert_true(json_is_null(json_object_get(e, "param")));
    json_decref(root);
}

static void each_is_an_error_object(void **state) {
    (void)state;
#define CHECK_(name, http, type, code, message)                                                    \
    assert_int_equal(refusal_get(name)->status, http);                                             \
    check_error(refusal_get(name)->body, refusal_get(name)->len);
    REFUSALS(CHECK_)
#undef CHECK_
}

static void every_status_has_one(void **state) {
    (void)state;
    for (unsigned status = 400; status < 600; status++) {
        const struct refusal *r = refusal_of_status(status);
        const char *type =
            status < 500 || status == 501 || status == 505 ? REFUSAL_CLIENT : REFUSAL_SERVER;
        assert_non_null(r);
        assert_non_null(strstr(r->body, type));
    }
    assert_ptr_equal(refusal_of_status(401), refusal_get(REFUSAL_KEY));
    assert_ptr_equal(refusal_of_status(413), refusal_get(REFUSAL_SIZE));
    assert_ptr_equal(refusal_of_status(502), refusal_get(REFUSAL_UPSTREAM));
    assert_ptr_equal(refusal_of_status(504), refusal_get(REFUSAL_TIMEOUT));
}

static void the_cut_event_is_one_event(void **state) {
    (void)state;
    size_t n = refusal_cut_event_len;
    assert_int_equal(strlen(refusal_cut_event), n);
    assert_memory_equal(refusal_cut_event, "data: ", 6);
    assert_memory_equal(refusal_cut_event + n - 2, "\n\n", 2);
    assert_null(memchr(refusal_cut_event, '\n', n - 2));
    check_error(refusal_cut_event + 6, n - 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_an_error_object),
        cmocka_unit_test(every_status_has_one),
        cmocka_unit_test(the_cut_event_is_one_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
