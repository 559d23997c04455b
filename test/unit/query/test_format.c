/* Formats: their names, the FORMAT clause of a statement, text as each writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "read/query/format.h"

static void names(void **state) {
    (void)state;
    enum format_family family = FORMAT_RAW;
    assert_string_equal(format_find("jsoneachROW", 11, &family), "JSONEachRow");
    assert_int_equal(family, FORMAT_JSON);
    assert_null(format_find("JSONEachRo", 10, &family));
    assert_null(format_find("", 0, &family));
}

static void clauses(void **state) {
    (void)state;
    static const struct {
        const char *sql, *left, *name; /* name NULL: there is no clause */
    } cases[] = {
        {"select 1 format JSON", "select 1 ", "JSON"},
        {"select 1\nFORMAT\n\tCSV ; ;\n", "select 1\n", "CSV"},
        {"select 1 format/**/JSON -- so", "select 1 ", "JSON"},
        {"select 1 format JSON;", "select 1 ", "JSON"},
        {"select (1)format JSON", "select (1)", "JSON"},
        {"select 'x' format JSON", "select 'x' ", "JSON"},
        {"select 1 -- format JSON", NULL, NULL},
        {"select 1 /* format JSON", NULL, NULL},
        {"select 1 /* format JSON */", NULL, NULL},
        {"select 'a format JSON", NULL, NULL},
        {"select 'a\\' format JSON", NULL, NULL},
        {"select 'a' as `b format JSON`", NULL, NULL},
        {"select format from turns", NULL, NULL},
        {"select format('{}', 'JSON')", NULL, NULL},
        {"select 1 xformat JSON", NULL, NULL},
        {"select 1 format", NULL, NULL},
        {"select 1 format JSON x", NULL, NULL},
        {"format", NULL, NULL},
        {"", NULL, NULL},
        {"'", NULL, NULL},
        {"\\", NULL, NULL},
        {"/*", NULL, NULL},
        {"--", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].sql), n = 0, before = len;
        const char *name = format_split(cases[i].sql, &len, &n);
        if (!cases[i].name) {
            if (name || len != before)
                fail_msg("%s: found %.*s", cases[i].sql, (int)n, name ? name : "");
            continue;
        }
        if (!name || n != strlen(cases[i].name) || memcmp(name, cases[i].name, n) != 0)
            fail_msg("%s: found %.*s", cases[i].sql, (int)n, name ? name : "");
        assert_int_equal(len, strlen(cases[i].left));
    }
}

static void escapes(void **state) {
    (void)state;
    static const char text[] = "a\tb\n\\'\"\x1b\x7f\xc2\x9b\xe4\xb8\xad,";
    static const struct {
        enum format_family family;
        const char *want;
    } cases[] = {
        {FORMAT_TSV, "a\\tb\\n\\\\\\'\"\\x1b\\x7f\xc2\x9b\xe4\xb8\xad,"},
        {FORMAT_QUOTED, "a\\tb\\n\\\\\\'\"\\x1b\\x7f\xc2\x9b\xe4\xb8\xad,"},
        {FORMAT_CSV, "a\tb\n\\'\"\"\x1b\x7f\xc2\x9b\xe4\xb8\xad,"},
        {FORMAT_JSON, "a\\tb\\n\\\\'\\\"\\u001b\x7f\xc2\x9b\xe4\xb8\xad,"},
        {FORMAT_PRETTY, "a\\tb\\n\\'\"\\x1b\\x7f\\x9b\xe4\xb8\xad,"},
        {FORMAT_RAW, text},
    };
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_clear(&b);
        assert_int_equal(format_escape(cases[i].family, &b, text, sizeof text - 1), 0);
        assert_int_equal(buf_append_u8(&b, 0), 0);
        assert_string_equal((char *)b.p, cases[i].want);
    }
    buf_clear(&b);
    assert_int_equal(format_escape(FORMAT_TSV, &b, "\0", 1), 0);
    assert_memory_equal(b.p, "\\0", 2);
    assert_int_equal(format_escape(FORMAT_BINARY, &b, "x", 1), ERR_UNSUPPORTED);
    buf_wipe(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(clauses),
        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
