/* JSON slices: walking, comparing, decoding, and the canonical form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"
#include "llm/json.h"

static struct jv parse(const char *text) {
    struct jv v;
    if (jv_parse(&v, text, strlen(text)))
        print_error("%s\n", text);
    assert_non_null(v.p);
    return v;
}

static void assert_slice(struct jv v, const char *want) {
    assert_int_equal(v.len, strlen(want));
    assert_memory_equal(v.p, want, v.len);
}

static void parses(void **state) {
    (void)state;
    static const char *const good[] = {"1", "-0.5e3", "0", "\"a\"", "true", "null", "[]", "{}"};
    static const char *const bad[] = {"", " ", "1.", "-", "1 2", "[1", "tru", "{\"a\"}", "1,"};
    struct jv v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[64] = " \n";
        strcat(strcat(text, good[i]), "\r\n\t ");
        assert_slice(parse(text), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(jv_parse(&v, bad[i], strlen(bad[i])), ERR_SYNTAX);
}

static void walks(void **state) {
    (void)state;
    struct jv key, value;
    size_t pos = 0;
    struct jv o = parse("{ \"a\" : [1, {\"}\":\"]\\\"\"}] ,\"b\":null,\"a\":\"\\\\\" }");
    assert_true(jv_each(o, &pos, &key, &value));
    assert_slice(key, "\"a\"");
    assert_slice(value, "[1, {\"}\":\"]\\\"\"}]");
    assert_true(jv_each(o, &pos, &key, &value));
    assert_slice(value, "null");
    assert_true(jv_each(o, &pos, &key, &value));
    assert_slice(value, "\"\\\\\"");
    assert_false(jv_each(o, &pos, &key, &value));
    assert_slice(jv_get(o, "a"), "\"\\\\\"");
    assert_null(jv_get(o, "c").p);
    assert_int_equal(jv_count(o), 3);
    pos = 0;
    struct jv a = parse("[ 1 , \"x\" ,[ ] ]");
    assert_slice(jv_at(a, 1), "\"x\"");
    assert_true(!jv_at(a, 3).p && !jv_at(o, 0).p);
    assert_true(jv_each(a, &pos, &key, &value));
    assert_null(key.p);
    assert_slice(value, "1");
    assert_true(jv_each(a, &pos, &key, &value));
    assert_true(jv_each(a, &pos, &key, &value));
    assert_slice(value, "[ ]");
    assert_false(jv_each(a, &pos, &key, &value));
    assert_slice(jv_get2(parse("{\"x\":{\"y\":7}}"), "x", "y"), "7");
    assert_null(jv_get(parse("[1]"), "a").p);
}

static void small(void **state) {
    (void)state;
    assert_true(jv_is_empty(parse("null")));
    assert_true(jv_is_empty(parse("\"\"")));
    assert_true(jv_is_empty(parse("[ ]")));
    assert_true(jv_is_empty((struct jv){0}));
    assert_false(jv_is_empty(parse("{}")));
    assert_false(jv_is_empty(parse("0")));
    assert_int_equal(jv_u32(parse("4294967295"), 7), UINT32_MAX);
    assert_int_equal(jv_u32(parse("4294967296"), 7), 7);
    assert_int_equal(jv_u32(parse("-1"), 7), 7);
    assert_int_equal(jv_u32(parse("1.5"), 7), 7);
    assert_true(jv_equals(parse("\"m\\u006fdel\""), "model"));
    assert_false(jv_equals(parse("\"model\""), "mode"));
    assert_false(jv_equals(parse("\"mode\""), "model"));
    assert_true(jv_same(parse("\"\\u4e2d\\n\""), parse("\"中\\u000a\"")));
    assert_false(jv_same(parse("\"\\ud83d\""), parse("\"\\ufffd\"")));
}

static void text(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(jv_text(parse("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\ud83dx\""), &b), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, "a\"\\/\b\f\n\r\té😀\xef\xbf\xbdx");
    buf_clear(&b);
    assert_int_equal(jv_quote(&b, "a\"\\\b\f\n\r\t\x01中", 12), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001中\"");
    buf_wipe(&b);
    char out[5];
    assert_true(jv_text_fits(parse("\"abcd\""), out, sizeof out));
    assert_string_equal(out, "abcd");
    assert_false(jv_text_fits(parse("\"abcde\""), out, sizeof out));
    assert_string_equal(out, "");
    assert_false(jv_text_fits(parse("\"a\\u0000\""), out, sizeof out));
    assert_false(jv_text_fits(parse("1"), out, sizeof out));
    assert_true(utf8_valid("a中😀", 8));
    assert_false(utf8_valid("a中😀", 7));
    assert_false(utf8_valid("\xed\xa0\x80", 3));
}

static void gather(void *arg, const void *p, size_t len) {
    assert_int_equal(buf_append(arg, p, len), 0);
}

static bool same_form(const char *a, const char *b) {
    struct buf x, y;
    buf_init(&x, 1 << 20);
    buf_init(&y, 1 << 20);
    assert_int_equal(jv_canonical(parse(a), gather, &x), 0);
    assert_int_equal(jv_canonical(parse(b), gather, &y), 0);
    bool same = x.len == y.len && !memcmp(x.p, y.p, x.len);
    buf_wipe(&x);
    buf_wipe(&y);
    return same;
}

static void canonical(void **state) {
    (void)state;
    assert_true(same_form("{\"a\":1,\"b\":[true,null]}", "{ \"b\" : [ true , null ], \"\\u0061\":1 }"));
    assert_true(same_form("\"\\u4e2d\\u6587\\ud83d\\ude00\"", "\"中文😀\""));
    assert_true(same_form("{\"x\":{\"b\":1,\"a\":2}}", "{\"x\":{\"a\":2,\"b\":1}}"));
    assert_false(same_form("{\"a\":1}", "{\"a\":\"1\"}"));
    assert_false(same_form("{\"a\":1}", "{\"a\":1.0}"));
    assert_false(same_form("[1,2]", "[2,1]"));
    assert_false(same_form("[[1],2]", "[[1,2]]"));
    assert_false(same_form("[\"ab\"]", "[\"a\",\"b\"]"));
    assert_false(same_form("{\"a\":[]}", "{\"a\":{}}"));
    assert_false(same_form("{\"a\":null}", "{}"));
    assert_false(same_form("[true]", "[\"true\"]"));
    assert_false(same_form("\"\\ud83d\"", "\"\\ufffd\""));
    /* more members than the fast path has room for, in two orders; a string beyond its buffer */
    char up[16384] = "{", down[16384] = "{";
    for (int i = 0; i < 40; i++) {
        sprintf(up + strlen(up), "%s\"k%d\":\"%0200d\"", i ? "," : "", i, i);
        sprintf(down + strlen(down), "%s\"k%d\":\"%0200d\"", i ? "," : "", 39 - i, 39 - i);
    }
    assert_false(same_form(strcat(up, "}"), strcat(down, ",\"x\":\"\"}")));
    down[strlen(down) - strlen(",\"x\":\"\"}")] = 0;
    assert_true(same_form(up, strcat(down, "}")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses), cmocka_unit_test(walks),     cmocka_unit_test(small),
        cmocka_unit_test(text),   cmocka_unit_test(canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
