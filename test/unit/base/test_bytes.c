/* Byte order, hex, base64url: known values (RFC 4648 section 10), strictness, round trips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"

static void numbers_are_little_endian(void **state) {
    (void)state;
    uint8_t b[8];
    put_u16(b, 0x0102);
    assert_memory_equal(b, "\x02\x01", 2);
    put_u32(b, 0xfffefdfcu);
    assert_memory_equal(b, "\xfc\xfd\xfe\xff", 4);
    put_u64(b, 0x8877665544332211u);
    assert_memory_equal(b, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    assert_int_equal(get_u16((const uint8_t *)"\xff\xfe"), 0xfeff);
    assert_int_equal(get_u32((const uint8_t *)"\x00\x00\x00\x80"), 0x80000000u);
    assert_true(get_u64(b) == 0x8877665544332211u);
}

static void hex_is_strict(void **state) {
    (void)state;
    const uint8_t in[] = {0x00, 0x9f, 0xa0, 0xff};
    char text[9];
    uint8_t out[4];
    hex_encode(text, in, sizeof in);
    assert_string_equal(text, "009fa0ff");
    assert_true(hex_decode(out, 4, "009FA0fF", 8));
    assert_memory_equal(out, in, 4);
    assert_false(hex_decode(out, 4, "009fa0f", 7));
    assert_false(hex_decode(out, 4, "009fa0ff0", 9));
    assert_false(hex_decode(out, 4, "009fa0fg", 8));
    assert_false(hex_decode(out, 4, "009fa0 f", 8));
    assert_false(hex_decode(out, 4, "0x9fa0ff", 8));
    assert_true(hex_decode(out, 0, "", 0));
}

static void base64url_of_the_rfc(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[16];
        uint8_t out[16];
        size_t len = strlen(pairs[i][0]);
        size_t n = b64url_encode(text, (const uint8_t *)pairs[i][0], len);
        assert_int_equal(n, strlen(pairs[i][1]));
        assert_int_equal(n, B64URL_LEN(len));
        assert_memory_equal(text, pairs[i][1], n);
        assert_int_equal(b64url_decode(out, text, n), len);
        assert_memory_equal(out, pairs[i][0], len);
    }
    uint8_t out[4];
    assert_int_equal(b64url_decode(out, "-_-_", 4), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
}

/* Two texts for the same bytes would be two names for one thing. */
static void base64url_has_one_form(void **state) {
    (void)state;
    static const char *const refused[] = {"Zg==",  "Z",     "Zh",     "Zm9",   "Zm+v",     "Zm/v",
                                          "Zm9v=", "Zm 9v", "Zm9v\n", "Zm9vY", "Z\xc3\xa4"};
    uint8_t out[16];
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (b64url_decode(out, refused[i], strlen(refused[i])) != ERR_SYNTAX)
            fail_msg("\"%s\" was accepted", refused[i]);
    assert_int_equal(b64url_decode(out, "Zm9v\0", 5), ERR_SYNTAX);
}

static void base64url_returns_what_went_in(void **state) {
    (void)state;
    uint8_t in[67], out[70];
    char text[B64URL_LEN(67)];
    uint32_t x = 7;
    for (size_t len = 0; len <= sizeof in; len++) {
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
        size_t n = b64url_encode(text, in, len);
        assert_int_equal(n, B64URL_LEN(len));
        assert_int_equal(b64url_decode(out, text, n), len);
        assert_memory_equal(out, in, len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_little_endian),      cmocka_unit_test(hex_is_strict),
        cmocka_unit_test(base64url_of_the_rfc),           cmocka_unit_test(base64url_has_one_form),
        cmocka_unit_test(base64url_returns_what_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
