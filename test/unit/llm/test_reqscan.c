/* The request scanner: RFC 8259's must-accept and must-refuse, at every split, and what it picks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "llm/reqscan.h"

static int scan(const char *p, size_t n, struct reqscan *s) {
    reqscan_init(s);
    int rc = reqscan_feed(s, (const uint8_t *)p, n);
    return rc ? rc : reqscan_done(s);
}

/* In two buffers, copied so that reading past either is seen by a sanitizer. */
static int scan_split(const char *p, size_t n, size_t at, struct reqscan *s) {
    uint8_t *a = malloc(at + 1), *b = malloc(n - at + 1);
    memcpy(a, p, at);
    memcpy(b, p + at, n - at);
    reqscan_init(s);
    int rc = reqscan_feed(s, a, at);
    int second = reqscan_feed(s, b, n - at);
    if (rc)
        assert_int_equal(second, rc); /* an error is final */
    rc = second;
    if (!rc)
        rc = reqscan_done(s);
    free(a);
    free(b);
    return rc;
}

static void check(const char *text, size_t n, int want) {
    struct reqscan s;
    int rc = scan(text, n, &s);
    if (rc != want)
        print_error("%.*s\n", (int)n, text);
    assert_int_equal(rc, want);
    for (size_t at = 0; at <= n; at++)
        assert_int_equal(scan_split(text, n, at, &s), want);
    reqscan_init(&s);
    rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = reqscan_feed(&s, (const uint8_t *)text + i, 1);
    assert_int_equal(rc ? rc : reqscan_done(&s), want);
}

#define YES(t) check(t, sizeof(t) - 1, 0)
#define NO(t) check(t, sizeof(t) - 1, ERR_SYNTAX)
/* as a member's value */
#define VALUE_YES(t) YES("{\"a\":" t "}")
#define VALUE_NO(t) NO("{\"a\":" t "}")

static void accepts(void **state) {
    (void)state;
    YES("{}");
    YES(" \t\r\n{ \t\r\n} \t\r\n");
    YES("{\"\":0}");
    YES("{\"a\":1,\"a\":2}");
    VALUE_YES("[]");
    VALUE_YES("[[],[[]],{}]");
    VALUE_YES("[ 1 , 2 ]");
    VALUE_YES("{\"b\":\"c\", \"d\": \"e\",\"f\":[\"g\",\"h\", \"i\"  ,\"j\"],\"k\":\"l\"}");
    VALUE_YES("true");
    VALUE_YES("false");
    VALUE_YES("null");
    VALUE_YES("0");
    VALUE_YES("-0");
    VALUE_YES("-1");
    VALUE_YES("10");
    VALUE_YES("1.5");
    VALUE_YES("0.5");
    VALUE_YES("1e5");
    VALUE_YES("0E+1");
    VALUE_YES("1E-05");
    VALUE_YES("1.50e+05");
    VALUE_YES("123456789012345678901234567890");
    VALUE_YES("\"\"");
    VALUE_YES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABCD\\uabcd\"");
    VALUE_YES("\"\\ud83d\\ude00\"");
    VALUE_YES("\"\\ud83d\"");
    VALUE_YES("\"\\ude00\\ud83d\"");
    VALUE_YES("\"\x7f\"");
    VALUE_YES("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"");
    VALUE_YES("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
    VALUE_YES("\"0123456789abcdef0123456789abcdef \xe4\xb8\xad\xe6\x96\x87 and on it goes\"");
}

static void refuses(void **state) {
    (void)state;
    NO("");
    NO(" ");
    NO("[]");
    NO("1");
    NO("\"a\"");
    NO("null");
    NO("{");
    NO("}");
    NO("{}{}");
    NO("{},");
    NO("{}x");
    NO("{\"a\"}");
    NO("{\"a\":}");
    NO("{\"a\" 1}");
    NO("{\"a\":1,}");
    NO("{,}");
    NO("{,\"a\":1}");
    NO("{a:1}");
    NO("{'a':1}");
    NO("{1:1}");
    NO("{\"a\":1 \"b\":2}");
    NO("{\"a\":1]");
    NO("\xef\xbb\xbf{}");
    NO("{\"a\":1}\0");
    NO("/**/{}");
    VALUE_NO("{\"b\":\"c\":\"d\"}");
    VALUE_NO("{\"b\":\"c\",\"d\",\"e\"}");
    VALUE_NO("{\"b\",\"c\":\"d\"}");
    VALUE_NO("[\"b\":\"c\"]");
    VALUE_NO("[\"b\" \"c\"]");
    VALUE_NO("[1,]");
    VALUE_NO("[,1]");
    VALUE_NO("[1 2]");
    VALUE_NO("[1}");
    VALUE_NO("[");
    VALUE_NO("tru");
    VALUE_NO("truee");
    VALUE_NO("True");
    VALUE_NO("nul");
    VALUE_NO("NaN");
    VALUE_NO("Infinity");
    VALUE_NO("-");
    VALUE_NO("+1");
    VALUE_NO("01");
    VALUE_NO("-01");
    VALUE_NO("00");
    VALUE_NO("1.");
    VALUE_NO(".5");
    VALUE_NO("1.e5");
    VALUE_NO("1e");
    VALUE_NO("1e+");
    VALUE_NO("1ee5");
    VALUE_NO("1e5.5");
    VALUE_NO("1.5.5");
    VALUE_NO("0x10");
    VALUE_NO("1a");
    VALUE_NO("--1");
    VALUE_NO("\"");
    VALUE_NO("\"\\\"");
    VALUE_NO("\"\\a\"");
    VALUE_NO("\"\\\0\"");
    VALUE_NO("\"\\u\"");
    VALUE_NO("\"\\u123\"");
    VALUE_NO("\"\\u12g4\"");
    VALUE_NO("\"\\U1234\"");
    VALUE_NO("\"\\x41\"");
    VALUE_NO("\"\n\"");
    VALUE_NO("\"\t\"");
    VALUE_NO("\"\x1f\"");
    VALUE_NO("\"a\0b\"");
    VALUE_NO("\"0123456789abcdef0123456789abcde\x01\"");
    VALUE_NO("\"\x80\"");
    VALUE_NO("\"\xbf\"");
    VALUE_NO("\"\xc0\xaf\"");
    VALUE_NO("\"\xc1\x81\"");
    VALUE_NO("\"\xc2\"");
    VALUE_NO("\"\xc2\x20\"");
    VALUE_NO("\"\xe0\x80\xaf\"");
    VALUE_NO("\"\xe0\x9f\xbf\"");
    VALUE_NO("\"\xe4\xb8\"");
    VALUE_NO("\"\xe4\xb8 \"");
    VALUE_NO("\"\xed\xa0\x80\"");
    VALUE_NO("\"\xed\xbf\xbf\"");
    VALUE_NO("\"\xf0\x8f\xbf\xbf\"");
    VALUE_NO("\"\xf4\x90\x80\x80\"");
    VALUE_NO("\"\xf5\x80\x80\x80\"");
    VALUE_NO("\"\xff\"");
}

static void depth(void **state) {
    (void)state;
    char text[2 * LIMIT_JSON_DEPTH + 16];
    for (unsigned extra = 0; extra < 2; extra++) {
        unsigned arrays = LIMIT_JSON_DEPTH - 1 + extra;
        size_t n = 0;
        memcpy(text, "{\"a\":", 5);
        n = 5;
        memset(text + n, '[', arrays);
        n += arrays;
        memset(text + n, ']', arrays);
        n += arrays;
        text[n++] = '}';
        check(text, n, extra ? ERR_LIMIT : 0);
    }
}

struct pick {
    const char *text, *model;
    bool stream, cut;
};

static void picks(void **state) {
    (void)state;
    static const struct pick table[] = {
        {"{\"model\":\"gpt-4o\",\"stream\":true}", "gpt-4o", true, false},
        {"{\"stream\" : false , \"model\" : \"a\"}", "a", false, false},
        {"{\"mod\\u0065l\":\"\\u4e2d\\ud83d\\ude00\\n\",\"str\\u0065am\":true}",
         "\xe4\xb8\xad\xf0\x9f\x98\x80\n", true, false},
        {"{\"model\":\"\xe4\xb8\xad\"}", "\xe4\xb8\xad", false, false},
        {"{\"model\":\"a\\ud83db\\ude00\\ud83d\"}", "a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd", false,
         false},
        {"{\"model\":\"a\\u0000b\"}", "a", false, true},
        {"{\"model\":1,\"stream\":\"true\"}", NULL, false, false},
        {"{\"model\":\"a\",\"model\":null,\"stream\":true,\"stream\":0}", NULL, false, false},
        {"{\"model\":\"a\",\"model\":\"b\"}", "b", false, false},
        {"{\"x\":{\"model\":\"no\",\"stream\":true},\"y\":[{\"model\":\"no\"}]}", NULL, false, false},
        {"{\"x\":\"model\",\"models\":\"no\",\"streams\":true,\"\":\"no\"}", NULL, false, false},
        {"{\"model\":[\"no\"],\"stream\":{\"a\":true}}", NULL, false, false},
        {"{\"a very long name that ends in model\":\"no\",\"model\":\"\"}", "", false, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct pick *t = &table[i];
        size_t n = strlen(t->text);
        for (size_t at = 0; at <= n; at++) {
            struct reqscan s;
            assert_int_equal(scan_split(t->text, n, at, &s), 0);
            assert_int_equal(s.has_model, t->model != NULL);
            assert_string_equal(s.model, t->model ? t->model : "");
            assert_int_equal(s.stream, t->stream);
            assert_int_equal(s.model_cut, t->cut);
        }
    }
}

/* A name that is too long is cut between characters. */
static void cut_model(void **state) {
    (void)state;
    for (size_t lead = LIMIT_MODEL - 6; lead < LIMIT_MODEL + 2; lead++) {
        char text[LIMIT_MODEL + 64];
        size_t n = (size_t)sprintf(text, "{\"model\":\"%0*d\xe4\xb8\xad\"}", (int)lead, 0);
        struct reqscan s;
        assert_int_equal(scan(text, n, &s), 0);
        size_t want = lead + 3 < LIMIT_MODEL ? lead + 3 : lead < LIMIT_MODEL ? lead : LIMIT_MODEL - 1;
        assert_int_equal(strlen(s.model), want);
        assert_int_equal(s.model_cut, lead + 3 >= LIMIT_MODEL);
    }
}

/* Every noted member: where its value stands (`want` from there on), at every split. */
struct note {
    const char *text;
    enum reqscan_member member;
    enum reqscan_kind kind;
    const char *want;
    uint32_t number;
};

static void notes(void **state) {
    (void)state;
    static const struct note table[] = {
        {"{\"model\" : \"a\\\"b\", \"x\":1}", REQSCAN_MODEL, REQSCAN_STRING, "\"a\\\"b\"", 0},
        {"{\"stream\":true}", REQSCAN_STREAM, REQSCAN_TRUE, "true", 0},
        {"{\"stream_options\":{\"a\":[{}]} }", REQSCAN_STREAM_OPTIONS, REQSCAN_OBJECT, "{\"a\":[{}]}", 0},
        {"{\"stream_options\":{\"a\":{\"include_usage\":1},\"include_usage\" : false}}", REQSCAN_INCLUDE_USAGE,
         REQSCAN_FALSE, "false", 0},
        {"{\"stream_options\":{\"a\":{\"include_usage\":1}}}", REQSCAN_INCLUDE_USAGE, REQSCAN_ABSENT, "", 0},
        {"{\"stream_options\":[{\"include_usage\":1}]}", REQSCAN_INCLUDE_USAGE, REQSCAN_ABSENT, "", 0},
        {"{\"metadata\":{\"include_usage\":1}}", REQSCAN_INCLUDE_USAGE, REQSCAN_ABSENT, "", 0},
        {"{\"include_usage\":1}", REQSCAN_INCLUDE_USAGE, REQSCAN_ABSENT, "", 0},
        {"{\"us\\u0065r\":\"u\"}", REQSCAN_USER, REQSCAN_STRING, "\"u\"", 0},
        {"{\"user_id\":\"u\",\"user\":null}", REQSCAN_USER_ID, REQSCAN_STRING, "\"u\"", 0},
        {"{\"user_id\":\"u\",\"user\":null}", REQSCAN_USER, REQSCAN_NULL, "null", 0},
        {"{\"safety_identifier\":\"\"}", REQSCAN_SAFETY_IDENTIFIER, REQSCAN_STRING, "\"\"", 0},
        {"{\"metadata\":{\"x\":{\"user_id\":1},\"user_id\":\"m\"}}", REQSCAN_METADATA_USER_ID, REQSCAN_STRING,
         "\"m\"", 0},
        {"{\"metadata\":{\"user_id\":\"m\"}}", REQSCAN_USER_ID, REQSCAN_ABSENT, "", 0},
        {"{\"a\":{\"user_id\":\"m\"}}", REQSCAN_METADATA_USER_ID, REQSCAN_ABSENT, "", 0},
        {"{\"max_tokens\":4096}", REQSCAN_MAX_TOKENS, REQSCAN_NUMBER, "4096", 4096},
        {"{\"max_completion_tokens\": 0 }", REQSCAN_MAX_COMPLETION_TOKENS, REQSCAN_NUMBER, "0", 0},
        {"{\"max_output_tokens\":4294967294,\"n\":2}", REQSCAN_MAX_OUTPUT_TOKENS, REQSCAN_NUMBER, "4294967294",
         4294967294u},
        {"{\"n\":4294967295}", REQSCAN_N, REQSCAN_NUMBER, "4294967295", REQSCAN_NO_NUMBER},
        {"{\"n\":99999999999999999999}", REQSCAN_N, REQSCAN_NUMBER, "99999999999999999999", REQSCAN_NO_NUMBER},
        {"{\"n\":-1}", REQSCAN_N, REQSCAN_NUMBER, "-1", REQSCAN_NO_NUMBER},
        {"{\"n\":1.0}", REQSCAN_N, REQSCAN_NUMBER, "1.0", REQSCAN_NO_NUMBER},
        {"{\"n\":1e2}", REQSCAN_N, REQSCAN_NUMBER, "1e2", REQSCAN_NO_NUMBER},
        {"{\"n\":[1,2],\"m\":3}", REQSCAN_N, REQSCAN_ARRAY, "[1,2]", REQSCAN_NO_NUMBER},
        {"{\"x\":[1,{\"n\":3,\"metadata\":{\"user_id\":1}}]}", REQSCAN_N, REQSCAN_ABSENT, "", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct note *t = &table[i];
        size_t n = strlen(t->text);
        for (size_t at = 0; at <= n; at++) {
            struct reqscan s;
            assert_int_equal(scan_split(t->text, n, at, &s), 0);
            const struct reqscan_value *v = &s.value[t->member];
            if (v->kind != t->kind)
                print_error("%s\n", t->text);
            assert_int_equal(v->kind, t->kind);
            assert_int_equal(v->len, strlen(t->want));
            assert_memory_equal(t->text + v->at, t->want, v->len);
            if (v->kind == REQSCAN_NUMBER)
                assert_int_equal(v->number, t->number);
            assert_false(s.repeated);
            assert_string_equal(t->text + s.end, "}");
        }
    }
}

static void repeated(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool repeated;
    } table[] = {
        {"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", true},
        {"{\"user\":1,\"user\":1}", true},
        {"{\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}", true},
        {"{\"metadata\":{\"user_id\":1},\"metadata\":{}}", true},
        {"{\"user_id\":1,\"metadata\":{\"user_id\":1}}", false},
        {"{\"x\":1,\"x\":2,\"y\":{\"model\":1,\"model\":2}}", false},
    };
    struct reqscan s;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(scan(table[i].text, strlen(table[i].text), &s), 0);
        assert_int_equal(s.repeated, table[i].repeated);
    }
    const char *text = "{\"stream_options\":{\"include_usage\":true},\"stream_options\":null}";
    assert_int_equal(scan(text, strlen(text), &s), 0);
    assert_int_equal(s.value[REQSCAN_INCLUDE_USAGE].kind, REQSCAN_ABSENT);
    assert_int_equal(s.value[REQSCAN_STREAM_OPTIONS].kind, REQSCAN_NULL);
    assert_false(s.options_filled);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts), cmocka_unit_test(refuses),   cmocka_unit_test(depth),
        cmocka_unit_test(picks),   cmocka_unit_test(cut_model), cmocka_unit_test(notes),
        cmocka_unit_test(repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
