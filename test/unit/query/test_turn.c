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
static enum turn_shape shape; /* of every step */

static int build(struct exchange *e, struct turn *turns, const struct step *steps, size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_int_equal(turn_parse(&turns[i], steps[i].text, strlen(steps[i].text), steps[i].kept),
                         0);
    for (size_t i = 0; i < n; i++)
        turns[i].shape = shape;
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

static void anthropic(void **state) {
    (void)state;
    shape = turn_shape_of("anthropic.messages");
    const struct step s[] = {
        {"{\"messages\":[{\"u\":1}],\"params\":{\"system\":\"s\"},\"tools\":[1],\"answer\":{\"content\":[{\"t\": 1}]}}", 0},
        {"{\"messages\":[{\"u\":2}],\"answer\":{\"content\":[]}}", 2},
        {"{\"messages\":[{\"u\":3}],\"answer\":{\"error\":{}}}", 3},
        {"{\"messages\":[{\"u\":4}],\"gone\":[\"tools\"],\"params\":{}}", 3},
    };
    expect(s, 2, "{\"system\":\"s\",\"messages\":[{\"u\":1},{\"role\":\"assistant\",\"content\":[{\"t\": 1}]},{\"u\":2}],"
                 "\"tools\":[1]}", "{\"content\":[]}");
    expect(s, 4, "{\"messages\":[{\"u\":1},{\"role\":\"assistant\",\"content\":[{\"t\": 1}]},{\"u\":2},{\"u\":4}]}", "null");
    const struct step other[] = {
        {"{\"messages\":[],\"params\":{},\"answer\":{\"content\":[1]}}", 0},
        {"{\"messages\":[],\"replayed\":{\"with\":{\"id\":\"m\"}}}", 1},
    };
    expect(other, 2, "{\"messages\":[{\"role\":\"assistant\",\"content\":[1],\"id\":\"m\"}]}", "null");
    shape = TURN_CHAT;
}

static void responses(void **state) {
    (void)state;
    shape = turn_shape_of("openai.responses");
    const struct step s[] = {
        {"{\"messages\":[{\"u\":1}],\"params\":{\"model\":\"m\"},\"answer\":{\"output\":[{\"a\":1},{\"a\":2}]}}", 0},
        {"{\"messages\":[{\"u\":2}],\"answer\":{\"output\":[{\"a\":3},7,{\"a\":4}]}}", 3},
        {"{\"messages\":[{\"u\":3}],\"tools\":[1]}", 5},
    };
    const struct step kept[] = {s[0], {"{\"messages\":[{\"u\":9}]}", 2}};
    expect(s, 3, "{\"model\":\"m\",\"input\":[{\"u\":1},{\"a\":1},{\"a\":2},{\"u\":2},{\"a\":3},{\"u\":3}],\"tools\":[1]}",
           "null");
    expect(kept, 2, "{\"model\":\"m\",\"input\":[{\"u\":1},{\"a\":1},{\"u\":9}]}", "null");
    const struct step text[] = {{"{\"messages\":[],\"params\":{\"input\":\"hi\",\"n\":1},\"answer\":{}}", 0}};
    expect(text, 1, "{\"input\":\"hi\",\"n\":1}", "{}");
    struct turn turns[3];
    struct exchange e;
    const struct step broken[] = {s[0], {"{\"messages\":[]}", 4}};
    assert_int_equal(build(&e, turns, broken, 2), ERR_CORRUPT);
    exchange_done(&e);
    shape = turn_shape_of("openai.completions");
    const struct step plain[] = {{"{\"messages\":[],\"params\":{\"prompt\":\"p\"},\"answer\":{}}", 0}};
    expect(plain, 1, "{\"prompt\":\"p\"}", "{}");
    const struct step nothing[] = {{"{\"messages\":[],\"params\":{},\"answer\":{}}", 0}};
    expect(nothing, 1, "{}", "{}");
    assert_int_equal(turn_shape_of("openai.chat"), TURN_CHAT);
    shape = TURN_CHAT;
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

static void expect_shown(const char *dialect, const char *turn, const char *want) {
    struct turn t;
    struct exchange e;
    struct buf b;
    const struct step s[] = {{turn, 0}};
    buf_init(&b, 1 << 20);
    shape = turn_shape_of(dialect);
    assert_int_equal(build(&e, &t, s, 1), 0);
    assert_int_equal(exchange_render(&e, 0, &b), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, want);
    buf_wipe(&b);
    exchange_done(&e);
    shape = TURN_CHAT;
}

static void rendered_by_dialect(void **state) {
    (void)state;
    expect_shown("anthropic.messages",
                 "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t0\",\"content\":"
                 "\"r\"},{\"type\":\"image\"}]}],\"params\":{\"system\":[{\"type\":\"text\",\"text\":\"s\"}]},\"answer\":{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
                 "\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"a\\u001b\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":"
                 "\"f\",\"input\":{\"x\":1}}],\"stop_reason\":\"tool_use\",\"error\":{\"message\":\"e\"}}}",
                 "\nsystem:\n  s\n\nuser:\n  result for t0\n  r\n  [image]\n\nassistant:\n  (thinking)\n  hm\n  a\\x1b\n  calls f  t1\n  {\"x\":1}\n"
                 "  -- finished: tool_use\n\nerror:\n  e\n");
    expect_shown("openai.responses",
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"function_call_output\",\"call_id\":\"c\","
                 "\"output\":\"o\"},{\"type\":\"item_reference\",\"id\":\"i\"}],\"answer\":{\"status\":\"incomplete\",\"output\":["
                 "{\"type\":\"reasoning\",\"summary\":[{\"text\":\"why\"}]},{\"type\":\"function_call\",\"call_id\":\"d\",\"name\":"
                 "\"f\",\"arguments\":\"{}\"},{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
                 "\"text\":\"a\"}]}]}}",
                 "\nuser:\n  q\n\ntool for c\n  o\n\nitem_reference:\n  {\"type\":\"item_reference\",\"id\":\"i\"}\n\nassistant:\n"
                 "  (thinking)\n  why\n\nassistant:\n  calls f  d\n  {}\n\nassistant:\n  a\n  -- finished: incomplete\n");
    expect_shown("openai.completions",
                 "{\"messages\":[],\"params\":{\"prompt\":\"p\"},\"answer\":{\"choices\":[{\"text\":\"t\",\"finish_reason\":"
                 "\"length\"}]}}",
                 "\nprompt:\n  p\n\nanswer:\n  t\n  -- finished: length\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_turn),        cmocka_unit_test(inherits_and_drops),
        cmocka_unit_test(edited_history),  cmocka_unit_test(replayed_in_another_shape),
        cmocka_unit_test(broken_chains),   cmocka_unit_test(status_and_outcome),
        cmocka_unit_test(rendered_safely), cmocka_unit_test(outside_of_the_dialect),
        cmocka_unit_test(anthropic),       cmocka_unit_test(responses),
        cmocka_unit_test(rendered_by_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
