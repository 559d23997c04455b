/* Where a stream ends: every split of the text into two and into single bytes gives the same end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "write/gateway/terminal.h"

static size_t whole(const char *text, size_t len, struct terminal *t) {
    terminal_init(t);
    return terminal_feed(t, (const uint8_t *)text, len);
}

/* The end as an offset into the text, fed in pieces of `first`, then `step` bytes. */
static size_t in_pieces(const char *text, size_t len, size_t first, size_t step,
                        struct terminal *t) {
    terminal_init(t);
    for (size_t at = 0, n = first; at < len; at += n, n = step) {
        if (n > len - at)
            n = len - at;
        size_t end = terminal_feed(t, (const uint8_t *)text + at, n);
        if (end)
            return at + end;
    }
    return 0;
}

static void check(const char *text, size_t want) {
    struct terminal one, other;
    size_t len = strlen(text);
    assert_int_equal(whole(text, len, &one), want);
    for (size_t first = 1; first < len; first++) {
        assert_int_equal(in_pieces(text, len, first, len, &other), want);
        assert_int_equal(other.between, one.between);
    }
    assert_int_equal(in_pieces(text, len, 1, 1, &other), want);
    assert_int_equal(other.between, one.between);
}

static void finds_the_end(void **state) {
    (void)state;
    check("data: [DONE]\n\n", 12);
    check("data:[DONE]\n\n", 11);
    check("data: x\n\ndata: [DONE]", 21);
    check("data: x\r\n\r\ndata: [DONE]\r\n\r\n", 23);
    check("data: x\r\rdata: [DONE]\r\r", 21);
    check(": comment\n\nevent: e\ndata: [DONE]\n\n", 32);
    check("data: [DONE]\n\ndata: [DONE]\n\n", 12);
}

static void takes_nothing_else_for_it(void **state) {
    (void)state;
    check("data: {\"text\":\"data: [DONE]\"}\n\n", 0);
    check("data:  [DONE]\n\n", 0);
    check(" data: [DONE]\n\n", 0);
    check("xdata: [DONE]\n\n", 0);
    check("data: [DON]\n\ndata: [DONF]\n\n", 0);
    check("datadata: [DONE]\n\n", 0);
    check("data : [DONE]\n\n", 0);
    check("", 0);
}

static bool between(const char *text) {
    struct terminal t;
    assert_int_equal(whole(text, strlen(text), &t), 0);
    return t.between;
}

static void knows_when_it_is_between_events(void **state) {
    (void)state;
    assert_true(between(""));
    assert_true(between("data: x\n\n"));
    assert_true(between("data: x\r\n\r\n"));
    assert_true(between(": keep-alive\n\n"));
    assert_true(between("data: x\n\n\n"));
    assert_false(between("data: x"));
    assert_false(between("data: x\n"));
    assert_false(between("data: x\r\n"));
    assert_false(between("data: x\n\nd"));
    assert_false(between("data: x\n\ndata: y\n"));
}

static void counts_the_line_ends_that_follow(void **state) {
    (void)state;
    assert_int_equal(terminal_rest((const uint8_t *)"\n\n", 2), 2);
    assert_int_equal(terminal_rest((const uint8_t *)"\r\n\r\ndata", 8), 4);
    assert_int_equal(terminal_rest((const uint8_t *)"x\n", 2), 0);
    assert_int_equal(terminal_rest((const uint8_t *)"", 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_end),
        cmocka_unit_test(takes_nothing_else_for_it),
        cmocka_unit_test(knows_when_it_is_between_events),
        cmocka_unit_test(counts_the_line_ends_that_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
