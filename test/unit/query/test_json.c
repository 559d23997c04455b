/* JSON as slices: what is accepted, walking, strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/limits.h"
#include "read/query/json.h"

static struct json parsed(const char *text) {
    struct json v = {0};
    if (json_parse(&v, text, strlen(text)))
        fail_msg("refused: %s", text);
    return v;
}

static void accepted_and_refused(void **state) {
    (void)state;
    static const char *const good[] = {
        "{}", "[]", " [1, -0.5e+10, 0, \"x\", null, true, false] ", "\"\\u0000\\n\\\\\"",
        "{\"a\":{\"b\":[{}]},\"a\":1}", "12345678901234567890123", "\"\xff\"",
    };
    static const char *const bad[] = {
        "", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "1e", "nul",
        "\"a", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "[1 2]", "1 2", "{\"a\":1 \"b\":2}", "'a'", "]",
    };
    struct json v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        (void)parsed(good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (json_parse(&v, bad[i], strlen(bad[i])) != ERR_SYNTAX)
            fail_msg("accepted: %s", bad[i]);
}

static void depth_is_bounded(void **state) {
    (void)state;
    static char text[2 * 100000];
    struct json v;
    memset(text, '[', 100000);
    memset(text + 100000, ']', 100000);
    assert_int_equal(json_parse(&v, text, sizeof text), ERR_SYNTAX);
    assert_int_equal(json_parse(&v, text + 100000 - LIMIT_JSON_DEPTH, 2 * LIMIT_JSON_DEPTH), 0);
}

static void walking(void **state) {
    (void)state;
    struct json o = parsed("{ \"a\" : [ 1 , \"]\\\"}\" , {\"x\":2} ] , \"b\":null,\"\\u0062\" : 7 }");
    assert_int_equal(json_count(o), 3);
    struct json a = json_get(o, "a");
    assert_int_equal(json_count(a), 3);
    assert_int_equal(json_number(json_at(a, 0), 9), 1);
    assert_true(json_equals(json_at(a, 1), "]\"}"));
    assert_int_equal(json_number(json_get(json_at(a, 2), "x"), 9), 2);
    assert_null(json_at(a, 3).p);
    assert_int_equal(json_number(json_get(o, "b"), 9), 7); /* the last one counts, escapes or not */
    assert_null(json_get(o, "c").p);
    assert_null(json_get(a, "a").p);
    assert_int_equal(json_count((struct json){0}), 0);
    assert_true(json_is_empty(parsed("\"\"")) && json_is_empty(parsed("[ ]")));
    assert_false(json_is_empty(parsed("0")) || json_is_empty(parsed("{}")));
}

static void strings(void **state) {
    (void)state;
    struct buf b, e;
    buf_init(&b, 1000);
    buf_init(&e, 1000);
    assert_int_equal(json_text(parsed("\"a\\n\\t\\\"\\/\\u00e9\\u4e2d\\ud83d\\ude00\\ud83dx\\u0000\""), &b), 0);
    static const char want[] = "a\n\t\"/\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xef\xbf\xbdx";
    assert_int_equal(b.len, sizeof want); /* with the NUL */
    assert_memory_equal(b.p, want, sizeof want);
    assert_int_equal(json_escape(&e, b.p, b.len), 0);
    static const char escaped[] = "a\\n\\u0009\\\"/\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xef\xbf\xbdx\\u0000";
    assert_int_equal(e.len, sizeof escaped - 1);
    assert_memory_equal(e.p, escaped, e.len);
    buf_wipe(&b);
    buf_wipe(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_and_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(walking),
        cmocka_unit_test(strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
