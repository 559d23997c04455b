/* Turns of doc/turn.md put together to what the client sent and was answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/limits.h"
#include "read/query/turn.h"

struct step {
    const char *text;
    uint32_t kept;
};

static int build(struct exchange *e, struct turn *turns, const struct step *steps, size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_int_equal(turn_parse(&turns[i], steps[i].text, strlen(steps[i].text), steps[i].kept),
                         0);
    return exchange_build(e, turns, n);
}

static void expect(const struct step *steps, size_t n, const char *request, const char *response) {
    struct turn turns[8];
    struct exchange e;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(build(&e, turns, steps, n), 0);
    assert_int_equal(exchange_request(&e, &b), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, request);
    buf_clear(&b);
    assert_int_equal(exchange_response(&e, &b), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, response);
    buf_wipe(&b);
    exchange_done(&e);
}

#define ANSWER(m) "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":" m "}]}"
#define FIRST                                                                                      \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"params\":{\"model\":\"m\",\"t\":0.70}," \
    "\"tools\":[1],\"answer\":" ANSWER("{\"role\":\"assistant\",\"content\":\"b\"}") "}"

static void one_turn(void **state) {
    (void)state;
    const struct step s[] = {{FIRST, 0}};
    expect(s, 1,
           "{\"model\":\"m\",\"t\":0.70,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
           "\"tools\":[1]}",
           ANSWER("{\"role\":\"assistant\",\"content\":\"b\"}"));
}

static void inherits_and_drops(void **state) {
    (void)state;
    const struct step same[] = {{FIRST, 0}, {"{\"messages\":[{\"c\":1}]}", 2}};
    expect(same, 2,
           "{\"model\":\"m\",\"t\":0.70,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
           "{\"role\":\"assistant\",\"content\":\"b\"},{\"c\":1}],\"tools\":[1]}",
           "null");
    const struct step other[] = {
        {FIRST, 0},
        {"{\"messages\":[{\"c\":1}],\"params\":{\"model\":\"n\"},\"gone\":[\"tools\"]}", 1},
        {"{\"messages\":[],\"tools\":[2],\"answer_text\":\"<html>\"}", 2},
    };
    expect(other, 2,
           "{\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"c\":1}]}", "null");
    expect(other, 3,
           "{\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"c\":1}],"
           "\"tools\":[2]}",
           "\"<html>\"");
}

static void replayed_in_another_shape(void **state) {
    (void)state;
    const struct step s[] = {
        {"{\"messages\":[{\"u\":1}],\"params\":{},\"answer\":{\"choices\":[{\"message\":{}},"
         "{\"message\":{\"role\":\"assistant\",\"content\":\"x\",\"refusal\":null,"
         "\"tool_calls\":[],\"reasoning_content\":\"hm\",\"annotations\":[1]}}]}}",
         0},
        {"{\"messages\":[{\"u\":2}],\"replayed\":{\"choice\":1,\"without\":[\"reasoning_content\"],"
         "\"with\":{\"refusal\":null,\"extra\":[]}}}",
         2},
        {"{\"messages\":[{\"u\":3}]}", 3},
    };
    expect(s, 2,
           "{\"messages\":[{\"u\":1},{\"role\":\"assistant\",\"content\":\"x\",\"refusal\":null,"
           "\"extra\":[]},{\"u\":2}]}",
           "null");
    expect(s, 3,
           "{\"messages\":[{\"u\":1},{\"role\":\"assistant\",\"content\":\"x\",\"refusal\":null,"
           "\"extra\":[]},{\"u\":2},{\"u\":3}]}",
           "null");
}

static void edited_history(void **state) {
    (void)state;
    const struct step s[] = {{FIRST, 0}, {"{\"messages\":[{\"e\":1}],\"params\":{}}", 0}};
    expect(s, 2, "{\"messages\":[{\"e\":1}],\"tools\":[1]}", "null");
}

static void broken_chains(void **state) {
    (void)state;
    struct turn turns[2], t;
    struct exchange e;
    const struct step s[] = {{FIRST, 0}, {"{\"messages\":[]}", 3}};
    assert_int_equal(build(&e, turns, s, 2), ERR_CORRUPT);
    exchange_done(&e);
    assert_int_equal(exchange_build(&e, turns, 0), ERR_NOTFOUND);
    exchange_done(&e);
    assert_int_equal(turn_parse(&t, "[]", 2, 0), ERR_SYNTAX);
    assert_int_equal(turn_parse(&t, "{}", 2, 0), ERR_SYNTAX);
    assert_int_equal(turn_parse(&t, "{\"messages\":1}", 14, 0), ERR_SYNTAX);
}

static void status_and_outcome(void **state) {
    (void)state;
    struct turn t;
    const char *text = "{\"messages\":[],\"streamed\":true,\"outcome\":\"cut\",\"status\":502}";
    assert_int_equal(turn_parse(&t, text, strlen(text), 0), 0);
    assert_true(t.streamed);
    assert_int_equal(t.status, 502);
    assert_string_equal(t.outcome, "cut");
    assert_int_equal(turn_parse(&t, FIRST, strlen(FIRST), 0), 0);
    assert_int_equal(t.status, 200);
    assert_string_equal(t.outcome, "complete");
}

static void build_one(struct exchange *e, struct turn *t, const char *text) {
    const struct step s = {text, 0};
    assert_int_equal(build(e, t, &s, 1), 0);
}

/* What is no chat request and no JSON answer comes back as text, or as bytes. */
static void outside_of_the_dialect(void **state) {
    (void)state;
    static const struct {
        const char *turn, *request, *response, *rest, *shown;
    } cases[] = {
        {"{\"messages\":[],\"params\":{},\"request_text\":\"{\\\"a\\\":\",\"status\":400}", "\"{\\\"a\\\":\"",
         "null", "", "\nrequest:\n  {\"a\":\n\nanswer:\n  [none]\n"},
        {"{\"messages\":[],\"params\":{},\"request_base64\":\"/wA=\",\"answer_base64\":\"/g==\"}", "null",
         "null", ",\"request_base64\":\"/wA=\",\"response_base64\":\"/g==\"",
         "\nrequest, in base64:\n  /wA=\n\nanswer, in base64:\n  /g==\n"},
        {"{\"messages\":[],\"params\":{},\"answer_text\":\"<html>\\n\\u001b[2J\"}", "{\"messages\":[]}",
         "\"<html>\\n\\u001b[2J\"", "", "\nanswer:\n  <html>\n  \\x1b[2J\n"},
        {"{\"messages\":[],\"params\":{},\"outcome\":\"cut\",\"answer\":{\"choices\":[{\"message\":{\"role\":"
         "\"assistant\",\"content\":\"ha\"}}]},\"tail\":\"data: {\\\"x\"}",
         "{\"messages\":[]}",
         "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"ha\"}}]}",
         ",\"tail\":\"data: {\\\"x\"", "\nassistant:\n  ha\n\ncut in the middle of:\n  data: {\"x\n"},
        {"{\"messages\":[],\"params\":{},\"tail_base64\":\"/w==\"}", "{\"messages\":[]}", "null",
         ",\"tail_base64\":\"/w==\"", "\ncut in the middle of, in base64:\n  /w==\n"},
        {"{\"messages\":[],\"params\":{},\"answer\":{\"error\":{\"message\":\"slow down\"}}}",
         "{\"messages\":[]}", "{\"error\":{\"message\":\"slow down\"}}", "", "\nerror:\n  slow down\n"},
        {"{\"messages\":[],\"params\":{},\"answer\":{\"object\":\"list\"}}", "{\"messages\":[]}",
         "{\"object\":\"list\"}", "", "\nanswer:\n  {\"object\":\"list\"}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int (*const parts[])(const struct exchange *, struct buf *) = {
            exchange_request, exchange_response, exchange_rest};
        const char *wanted[] = {cases[i].request, cases[i].response, cases[i].rest, cases[i].shown};
        struct exchange e;
        struct turn t;
        struct buf b;
        buf_init(&b, 1 << 20);
        build_one(&e, &t, cases[i].turn);
        for (int k = 0; k < 4; k++) {
            buf_clear(&b);
            assert_int_equal(k < 3 ? parts[k](&e, &b) : exchange_render(&e, 0, &b), 0);
            assert_int_equal(buf_append_u8(&b, 0), 0);
            assert_string_equal((char *)b.p, wanted[k]);
        }
        buf_wipe(&b);
        exchange_done(&e);
    }
}

static void rendered_safely(void **state) {
    (void)state;
    struct turn t;
    struct exchange e;
    struct buf b;
    const struct step s[] = {
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"one\\ntwo\\u001b[2J\"},"
         "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},"
         "{\"type\":\"image_url\"}]}],\"answer\":" ANSWER(
             "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c2\",\"function\":"
             "{\"name\":\"f\",\"arguments\":\"{}\"}}]}") "}",
         0}};
    buf_init(&b, 1 << 20);
    assert_int_equal(build(&e, &t, s, 1), 0);
    assert_int_equal(exchange_render(&e, 0, &b), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, "\nuser:\n  one\n  two\\x1b[2J\n\ntool for c1:\n  t\n  [image_url]\n"
                                     "\nassistant:\n  calls f  c2\n  {}\n");
    buf_wipe(&b);
    exchange_done(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_turn),        cmocka_unit_test(inherits_and_drops),
        cmocka_unit_test(edited_history),  cmocka_unit_test(replayed_in_another_shape),
        cmocka_unit_test(broken_chains),   cmocka_unit_test(status_and_outcome),
        cmocka_unit_test(rendered_safely), cmocka_unit_test(outside_of_the_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
