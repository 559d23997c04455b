/* Error bodies: the shape of each family, escaping, distinct codes, never too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "llm/errors.h"
#include "llm/json.h"

static void shapes(void **state) {
    (void)state;
    char out[ERRORS_MAX];
    struct errors_said e = {ERRORS_MODEL_DENIED, "gpt \"4\"\n", 8, "model", "req_1"};
    size_t n = errors_body(out, FAMILY_OPENAI, &e);
    assert_string_equal(out, "{\"error\":{\"message\":\"The API key may not use this model. (gpt \\\"4\\\"\\u000a)\","
                             "\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_allowed\"}}");
    assert_int_equal(n, strlen(out));
    errors_body(out, FAMILY_ANTHROPIC, &e);
    assert_string_equal(out, "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":"
                             "\"The API key may not use this model. (gpt \\\"4\\\"\\u000a) [model_not_allowed]\"},"
                             "\"request_id\":\"req_1\"}");
    e = (struct errors_said){.code = ERRORS_CUT};
    errors_event(out, FAMILY_OPENAI, &e);
    assert_string_equal(out, "data: {\"error\":{\"message\":\"The provider's answer ended before it was whole.\","
                             "\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_cut\"}}\n\n");
    n = errors_event(out, FAMILY_ANTHROPIC, &e);
    assert_string_equal(out, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"
                             "\"The provider's answer ended before it was whole. [upstream_cut]\"},"
                             "\"request_id\":null}\n\n");
    assert_int_equal(n, strlen(out));
}

/* Any byte in the outside parts, as many as there may be: JSON, and it fits. */
static void any_bytes(void **state) {
    (void)state;
    char out[ERRORS_MAX], detail[1024], part[1024];
    for (int c = 0; c < 256; c++) {
        memset(detail, c, sizeof detail);
        memset(part, c ? c : 1, sizeof part - 1);
        part[sizeof part - 1] = 0;
        for (int code = 0; code < ERRORS_COUNT; code++) {
            struct errors_said e = {(enum errors_code)code, detail, sizeof detail, part, part};
            for (int family = 0; family < 2; family++) {
                struct jv v;
                size_t n = errors_body(out, (enum dialect_family)family, &e);
                assert_int_equal(strlen(out), n);
                assert_int_equal(jv_parse(&v, out, n), 0);
                assert_true(errors_event(out, (enum dialect_family)family, &e) < ERRORS_MAX);
            }
        }
    }
    /* cut between characters, broken ones replaced */
    for (size_t lead = ERRORS_DETAIL - 3; lead <= ERRORS_DETAIL; lead++) {
        memset(detail, 'a', lead);
        memcpy(detail + lead, "\xe4\xb8\xad\xe4\xb8", 6);
        struct errors_said e = {ERRORS_BAD_KEY, detail, lead + 5, NULL, NULL};
        struct jv v;
        assert_int_equal(jv_parse(&v, out, errors_body(out, FAMILY_OPENAI, &e)), 0);
        assert_int_equal(strstr(out, "\xe4\xb8\xad") != NULL, lead == ERRORS_DETAIL - 3);
    }
    struct errors_said e = {ERRORS_BAD_KEY, "a\xff\xe4\xb8", 4, NULL, NULL};
    errors_body(out, FAMILY_OPENAI, &e);
    assert_non_null(strstr(out, "(a?" "?" "?)"));
}

static void codes(void **state) {
    (void)state;
    for (int a = 0; a < ERRORS_COUNT; a++) {
        assert_in_range(errors_status((enum errors_code)a), 400, 599);
        for (int b = a + 1; b < ERRORS_COUNT; b++)
            assert_string_not_equal(errors_name((enum errors_code)a), errors_name((enum errors_code)b));
    }
    assert_int_equal(errors_retry(ERRORS_BUDGET), ERRORS_RETRY_NO);
    assert_int_equal(errors_retry(ERRORS_RATE_TOKENS), ERRORS_RETRY_UNSAID);
    assert_int_equal(errors_retry(ERRORS_OVERLOADED), ERRORS_RETRY_YES);
    assert_int_equal(errors_status(ERRORS_TOO_LARGE), 413);
    assert_int_equal(errors_status((enum errors_code)999), 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
