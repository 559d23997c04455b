/* Placeholders: a second pass leaves them and everything else as it is, they hide nothing that stands beside them, and
 * the names in them say nothing about what does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "write/detect/detect.h"

#define PLACEHOLDER "[[secret:x:k1:AAAAAAAAAAAAAAAAAAAAAAAAAA]]"

static struct detect *d;
static struct detect_work *w;
static struct detect_findings list;

static int setup(void **state) {
    char why[256];
    (void)state;
    return detect_new(&d, NULL, why, sizeof why) || detect_work_new(&w, d) ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    detect_findings_done(&list);
    detect_work_free(w);
    detect_free(d);
    return 0;
}

static bool is_secret(struct detect_rule_info rule, void *arg) {
    (void)arg;
    return !rule.personal;
}

static void scan(const struct buf *text, enum detect_form form) {
    assert_int_equal(detect_scan(d, w, text->p, text->len, form, &list), 0);
}

static void replace(struct buf *out, const struct buf *text, enum detect_form form) {
    static const uint8_t key[DETECT_KEY_BYTES] = {1};
    static const struct detect_key k = {key, 1};
    scan(text, form);
    buf_clear(out);
    assert_int_equal(detect_replace(out, d, w, text->p, text->len, form, &list, &k, is_secret, NULL), 0);
}

/* `text` as a string of JSON in `before` and `after`. */
static void put_string(struct buf *out, const char *before, const struct buf *text, const char *after) {
    assert_int_equal(buf_append_str(out, before), 0);
    for (size_t i = 0; i < text->len; i++) {
        uint8_t c = text->p[i];
        int rc = c < 0x20 ? buf_printf(out, "\\u%04x", c) : c == '"' || c == '\\' ? buf_printf(out, "\\%c", c) : buf_append_u8(out, c);
        assert_int_equal(rc, 0);
    }
    assert_int_equal(buf_append_str(out, after), 0);
}

/* ---- a second pass ---- */

enum { PLAIN, STRING, ARGUMENTS, BASE64, WAYS };

static void write_as(struct buf *out, int way, const char *example) {
    struct buf text, inner;
    buf_init(&text, 1u << 20);
    buf_init(&inner, 1u << 20);
    assert_int_equal(buf_append_str(&text, example), 0);
    buf_clear(out);
    if (way == PLAIN) {
        assert_int_equal(buf_append(out, text.p, text.len), 0);
    } else if (way == STRING) {
        put_string(out, "{\"content\":\"", &text, "\"}");
    } else if (way == ARGUMENTS) {
        put_string(&inner, "{\"command\":\"", &text, "\"}");
        put_string(out, "{\"arguments\":\"", &inner, "\"}");
    } else {
        assert_int_equal(buf_append_str(out, "data: "), 0);
        assert_int_equal(buf_reserve(out, B64_LEN(text.len)), 0);
        out->len += b64_encode((char *)out->p + out->len, text.p, text.len);
    }
    buf_wipe(&text);
    buf_wipe(&inner);
}

static void a_second_pass_changes_nothing(void **state) {
    static const char *const ways[] = {"plain", "in a string", "in arguments", "in base64"};
    struct buf text, once, twice;
    size_t wrong = 0, pieces = 0;
    bool match;
    const char *example;
    (void)state;
    buf_init(&text, 1u << 20);
    buf_init(&once, 1u << 20);
    buf_init(&twice, 1u << 20);
    for (size_t rule = 0; rule < detect_rules(d); rule++) {
        for (size_t i = 0; (example = detect_example(d, rule, i, &match)); i++) {
            for (int way = 0; match && way < WAYS; way++) {
                enum detect_form form = way == PLAIN || way == BASE64 ? DETECT_TEXT : DETECT_JSON;
                write_as(&text, way, example);
                replace(&once, &text, form);
                replace(&twice, &once, form);
                pieces++;
                if (once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0)
                    continue;
                print_error("%s, %s: %.*s\n", detect_rule(d, rule).id, ways[way], (int)once.len, (const char *)once.p);
                wrong++;
            }
        }
    }
    assert_true(pieces > 1000);
    assert_int_equal(wrong, 0);
    buf_wipe(&text);
    buf_wipe(&once);
    buf_wipe(&twice);
}

/* ---- beside placeholders ---- */

/* What is found in a text, one after the other. */
static const char *found_in(const char *s) {
    static char out[512];
    struct buf text;
    buf_init(&text, 1u << 16);
    assert_int_equal(buf_append_str(&text, s), 0);
    scan(&text, DETECT_TEXT);
    out[0] = 0;
    for (size_t i = 0; i < list.count; i++) {
        size_t n = strlen(out);
        snprintf(out + n, sizeof out - n, "%s%.*s", i ? " " : "", (int)(list.items[i].end - list.items[i].start), s + list.items[i].start);
    }
    buf_wipe(&text);
    return out;
}

static void they_hide_nothing(void **state) {
    (void)state;
    assert_string_equal(found_in("password = \"" PLACEHOLDER "\""), "");
    assert_string_equal(found_in("password = \"Qm2Xv9Lz" PLACEHOLDER "\""), "Qm2Xv9Lz");
    assert_string_equal(found_in("password = \"Qm2Xv9Lz" PLACEHOLDER "Kp8Rt3Yw" PLACEHOLDER "Wb5!dT9x\""), "Qm2Xv9Lz Kp8Rt3Yw Wb5!dT9x");
    /* what only begins as they do is text */
    assert_string_equal(found_in("password = \"Qm2Xv9Lz[[secret:x:k1:AAAA]]\""), "Qm2Xv9Lz[[secret:x:k1:AAAA]]");
}

static void their_names_say_nothing(void **state) {
    static const char value[] = "4f8a2c9e1b7d3f6a5c0e8b2d9f1a7c3e";
    char text[256];
    (void)state;
    snprintf(text, sizeof text, "sentry token: %s", value);
    assert_string_equal(found_in(text), value);
    snprintf(text, sizeof text, "[[secret:sentry-token:k1:AAAAAAAAAAAAAAAAAAAAAAAAAA]]%s", value);
    assert_string_equal(found_in(text), "");
    snprintf(text, sizeof text, "[[secret:sentry-token:k1:AAAAAAAAAAAAAAAAAAAAAAAAAA]] %s", value);
    assert_string_equal(found_in(text), "");
}

/* ---- depth ---- */

/* JSON in a string of JSON, and so on: as deep as DETECT_LEVELS, the value behind a line's end, which hides it as long as
 * it is an escape. What is left is JSON all the way down. */
static void strings_in_strings(void **state) {
    static const char value[] = "AKIAQ3EGRT5XYZ7LMN2P";
    struct buf a, b;
    (void)state;
    buf_init(&a, 1u << 20);
    buf_init(&b, 1u << 20);
    for (int depth = 1; depth <= DETECT_LEVELS; depth++) {
        buf_clear(&a);
        assert_int_equal(buf_append_str(&a, "key:\n"), 0);
        assert_int_equal(buf_append_str(&a, value), 0);
        for (int i = 0; i < depth; i++) {
            buf_clear(&b);
            for (size_t k = 0; k < a.len; k++)
                assert_int_equal(a.p[k] == '\n' ? buf_append_str(&b, "\\n")
                                 : a.p[k] == '"' || a.p[k] == '\\' ? buf_printf(&b, "\\%c", a.p[k]) : buf_append_u8(&b, a.p[k]), 0);
            buf_clear(&a);
            assert_int_equal(buf_printf(&a, "{\"d%d\":\"%.*s\"}", i, (int)b.len, (const char *)b.p), 0);
        }
        scan(&a, DETECT_JSON);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].end - list.items[0].start, strlen(value));
        assert_memory_equal(a.p + list.items[0].start, value, strlen(value));
    }
    buf_wipe(&a);
    buf_wipe(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_pass_changes_nothing),
        cmocka_unit_test(they_hide_nothing),
        cmocka_unit_test(their_names_say_nothing),
        cmocka_unit_test(strings_in_strings),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
