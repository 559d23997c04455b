/* Turns: what is new against what was sealed before; branches, edits, repeated answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "write/turn/turn.h"

/* One exchange: sealed as turn `number`, the rest is what is expected of it. */
struct step {
    const char *request, *answer;
    uint8_t parent; /* 0: none */
    uint32_t kept;
    const char *turn;
};

static void seal(struct prefix *p, const struct step *s, uint8_t number, const char *dialect) {
    struct llm_request r;
    struct llm_answer a;
    struct turn_match m;
    struct buf out;
    uint8_t scope[PREFIX_DIGEST], subject[UUID_BYTES] = {0}, id[UUID_BYTES] = {number};
    buf_init(&out, 1 << 20);
    assert_int_equal(llm_request_parse(&r, dialect_named(dialect), s->request, strlen(s->request)), 0);
    assert_int_equal(llm_answer_parse(&a, dialect_named(dialect), s->answer, strlen(s->answer), false), 0);
    prefix_start(p, "t", "p", "k", subject, 7, scope);
    assert_int_equal(turn_match(p, scope, &r, &m), 0);
    struct turn_parts parts = {.request = &r, .match = &m, .answer = &a, .status = 200,
                               .answer_text = {(const uint8_t *)s->answer, strlen(s->answer)}};
    assert_int_equal(turn_build(&out, &parts), 0);
    struct jv v;
    assert_int_equal(jv_parse(&v, out.p, out.len), 0);
    assert_int_equal(buf_append_u8(&out, 0), 0);
    char *answer = strstr((char *)out.p, ",\"answer");
    if (answer)
        strcpy(answer, "}"); /* the same text in each: not compared */
    if (s->turn)
        assert_string_equal((char *)out.p, s->turn);
    assert_int_equal(m.found ? m.parent.turn[0] : 0, s->parent);
    assert_int_equal(m.kept, s->kept);
    if (m.found)
        assert_int_equal(m.parent.hash[0], m.parent.turn[0]);
    assert_int_equal(turn_learn(p, &m, &a, id, m.found ? m.parent.conversation : id, id, id), 0);
    turn_done(&m);
    llm_answer_done(&a);
    llm_request_done(&r);
    buf_wipe(&out);
}

static void play(const struct step *steps, size_t n, const char *dialect) {
    struct prefix *p;
    assert_int_equal(prefix_open(-1, &p), 0);
    for (size_t i = 0; i < n; i++) {
        seal(p, &steps[i], (uint8_t)(i + 1), dialect);
        if (i % 2)
            prefix_commit(p);
    }
    prefix_close(p);
}
#define PLAY_AS(s, dialect) play(s, sizeof(s) / sizeof *(s), dialect)
#define PLAY(s) PLAY_AS(s, "openai.chat")

#define ANSWER(m) "{\"choices\":[{\"message\":" m "}]}"
#define A(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define S "{\"role\":\"system\",\"content\":\"s\"}"
#define ASK(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define PARAMS "\"params\":{\"model\":\"m\"}"

static void grows(void **state) {
    (void)state;
    static const struct step steps[] = {
        {ASK(U("1")), ANSWER(A("a1")), 0, 0, "{\"messages\":[" U("1") "]," PARAMS "}"},
        {ASK(U("1") "," A("a1") "," U("2")), ANSWER(A("a2")), 1, 2, "{\"messages\":[" U("2") "]}"},
        {ASK(U("1") "," A("a1") "," U("2") "," A("a2") "," U("3") "," U("4")), ANSWER(A("a3")), 2, 4,
         "{\"messages\":[" U("3") "," U("4") "]}"},
        /* escaped, spaced and ordered otherwise: the same */
        {ASK("{\"content\" : \"\\u0031\", \"role\":\"user\"}," A("a1") "," U("2") "," A("a2") "," U("x")),
         ANSWER(A("a4")), 2, 4, "{\"messages\":[" U("x") "]}"},
    };
    PLAY(steps);
}

static void branches(void **state) {
    (void)state;
    static const struct step steps[] = {
        {ASK(S "," U("1")), ANSWER(A("a1")), 0, 0, NULL},
        {ASK(S "," U("1") "," A("a1") "," U("2")), ANSWER(A("a2")), 1, 3, NULL},
        /* an edited question; an edited answer; asked again; with one more in the middle */
        {ASK(S "," U("1") "," A("a1") "," U("2x")), ANSWER(A("a2")), 1, 3, "{\"messages\":[" U("2x") "]}"},
        {ASK(S "," U("1") "," A("edited") "," U("2")), ANSWER(A("a2")), 1, 2,
         "{\"messages\":[" A("edited") "," U("2") "]}"},
        {ASK(S "," U("1")), ANSWER(A("a1b")), 1, 2, "{\"messages\":[]}"},
        {ASK(S "," U("1") "," A("a1b") "," U("3")), ANSWER(A("a5")), 5, 3, "{\"messages\":[" U("3") "]}"},
        {ASK(S "," U("1") "," A("edited") "," U("2") "," A("a2") "," U("4")), ANSWER(A("a")), 4, 5, NULL},
        /* instructions alone make no conversation */
        {ASK(S "," U("other")), ANSWER(A("a")), 0, 0, "{\"messages\":[" S "," U("other") "]," PARAMS "}"},
        {ASK(U("1")), ANSWER(A("a1")), 0, 0, NULL},
        {ASK(""), ANSWER(A("a1")), 0, 0, "{\"messages\":[]," PARAMS "}"},
    };
    PLAY(steps);
}

static void other_forms(void **state) {
    (void)state;
#define FULL                                                                                       \
    "{\"role\":\"assistant\",\"content\":\"a\",\"refusal\":null,\"annotations\":[],"              \
    "\"reasoning_content\":\"why\",\"x\":1}"
#define REST "\"messages\":[" U("2") "]"
    static const struct step steps[] = {
        {ASK(U("1")), ANSWER(FULL), 0, 0, NULL},
        {ASK(U("1") "," FULL "," U("2")), ANSWER(A("b")), 1, 2, "{" REST "}"},
        {ASK(U("1") "," A("a") "," U("2")), ANSWER(A("c")), 1, 2,
         "{" REST ",\"replayed\":{\"without\":[\"reasoning_content\"],\"with\":{}}}"},
        {ASK(U("1") ",{\"reasoning_content\":\"why\",\"role\":\"assistant\",\"content\":\"\\u0061\"}," U("2")),
         ANSWER(A("c")), 1, 2, "{" REST ",\"replayed\":{\"with\":{}}}"},
        {ASK(U("1") ",{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[],\"y\": 2,\"reasoning_content\":"
             "\"\"}," U("2")),
         ANSWER(A("c")), 1, 2, "{" REST ",\"replayed\":{\"without\":[\"reasoning_content\"],\"with\":"
                              "{\"tool_calls\":[],\"y\":2,\"reasoning_content\":\"\"}}}"},
        /* the form of turn 3 is its own history's now */
        {ASK(U("1") "," A("a") "," U("2") "," A("c") "," U("3")), ANSWER(A("d")), 3, 4,
         "{\"messages\":[" U("3") "]}"},
        {ASK(U("1") "," A("a") "," U("x")), ANSWER(A("d")), 3, 2, "{\"messages\":[" U("x") "]}"},
        /* another content is another message */
        {ASK(U("1") "," A("A") "," U("2")), ANSWER(A("d")), 1, 1, "{\"messages\":[" A("A") "," U("2") "]}"},
    };
    PLAY(steps);
}

static void choices(void **state) {
    (void)state;
    static const struct step steps[] = {
        {ASK(U("1")), "{\"choices\":[{\"message\":" A("a") "},{\"message\":" A("b") "},{\"message\":"
         "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}}]}", 0, 0, NULL},
        {ASK(U("1") "," A("b") "," U("2")), ANSWER(A("x")), 1, 2,
         "{" REST ",\"replayed\":{\"choice\":1,\"with\":{}}}"},
        {ASK(U("1") ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," U("2")), ANSWER(A("x")), 1, 2,
         "{" REST ",\"replayed\":{\"choice\":2,\"with\":{\"content\":null}}}"},
        {ASK(U("1") "," A("a") "," U("2")), ANSWER(A("x")), 1, 2, "{" REST "}"},
    };
    PLAY(steps);
}

static void tools_and_params(void **state) {
    (void)state;
#define WITH(m, more) "{\"model\":\"m\",\"messages\":[" m "]" more "}"
#define H1 U("1") "," A("a")
    static const struct step steps[] = {
        {WITH(U("1"), ",\"tools\":[1]"), ANSWER(A("a")), 0, 0, "{\"messages\":[" U("1") "],\"tools\":[1]," PARAMS "}"},
        {WITH(H1 "," U("2"), ",\"tools\":[ 1 ]"), ANSWER(A("b")), 1, 2, "{" REST "}"},
        {WITH(H1 "," U("2"), ""), ANSWER(A("b")), 2, 3, "{\"messages\":[],\"gone\":[\"tools\"]}"},
        {WITH(H1 "," U("2") "," A("b") "," U("3"), ""), ANSWER(A("b")), 2, 4, NULL},
        {WITH(H1 "," U("4"), ",\"tools\":null,\"n\":1"), ANSWER(A("b")), 1, 2,
         "{\"messages\":[" U("4") "],\"tools\":null,\"params\":{\"model\":\"m\",\"n\":1}}"},
    };
    PLAY(steps);
}

/* Anthropic: the answer's content comes back under its role. */
static void messages(void **state) {
    (void)state;
#define BLOCKS "[{\"type\":\"thinking\",\"signature\":\"s\"},{\"type\":\"tool_use\",\"input\":{\"a\":1}}]"
#define ANTHROPIC(content) "{\"id\":\"m\",\"role\":\"assistant\",\"content\":" content ",\"stop_reason\":\"tool_use\"}"
#define SAID(content) "{\"role\":\"assistant\",\"content\":" content "}"
    static const struct step steps[] = {
        {ASK(U("1")), ANTHROPIC(BLOCKS), 0, 0, "{\"messages\":[" U("1") "]," PARAMS "}"},
        {ASK(U("1") "," SAID(BLOCKS) "," U("2")), ANTHROPIC("[{\"type\":\"text\",\"text\":\"b\"}]"), 1, 2, "{" REST "}"},
        /* in another order of members: the same; a text in its short form: another message */
        {ASK(U("1") ",{\"content\": " BLOCKS ",\"role\":\"assistant\"}," U("x")), ANTHROPIC("[]"), 1, 2,
         "{\"messages\":[" U("x") "]}"},
        {ASK(U("1") "," SAID(BLOCKS) "," U("2") "," A("b") "," U("3")), ANTHROPIC("[{}]"), 2, 3,
         "{\"messages\":[" A("b") "," U("3") "]}"},
        {ASK(U("1") "," SAID(BLOCKS) "," U("2") "," A("b") "," U("3") "," SAID("[{}]") "," U("4")), ANTHROPIC("[]"), 4, 6,
         "{\"messages\":[" U("4") "]}"},
    };
    PLAY_AS(steps, "anthropic.messages");
}

/* Responses: the answer's items come back one after another, all of them or the first ones. */
static void responses(void **state) {
    (void)state;
#define IN(items) "{\"model\":\"m\",\"input\":[" items "]}"
#define OUT(items) "{\"output\":[" items "],\"status\":\"completed\"}"
#define I1 "{\"type\":\"reasoning\",\"id\":\"r\"}"
#define I2 "{\"type\":\"function_call\",\"call_id\":\"c\"}"
#define RESULT "{\"type\":\"function_call_output\",\"call_id\":\"c\"}"
    static const struct step steps[] = {
        {IN(U("1")), OUT(I1 "," I2), 0, 0, "{\"messages\":[" U("1") "]," PARAMS "}"},
        {IN(U("1") "," I1 "," I2 "," RESULT), OUT("{\"type\":\"message\"}"), 1, 3, "{\"messages\":[" RESULT "]}"},
        {IN(U("1") "," I1 "," RESULT), OUT(""), 1, 2, "{\"messages\":[" RESULT "]}"},
        {IN(U("1") "," I2 "," RESULT), OUT(""), 1, 1, "{\"messages\":[" I2 "," RESULT "]}"},
        {IN(U("1") "," I1 "," I2 "," RESULT ",{\"type\":\"message\"}," U("2")), OUT(""), 2, 5, "{" REST "}"},
        /* an input that is text has no history */
        {"{\"model\":\"m\",\"input\":\"1\",\"previous_response_id\":\"r\"}", OUT(I1), 0, 0,
         "{\"messages\":[],\"params\":{\"model\":\"m\",\"input\":\"1\",\"previous_response_id\":\"r\"}}"},
    };
    PLAY_AS(steps, "openai.responses");
}

static void completions(void **state) {
    (void)state;
    static const struct step steps[] = {
        {"{\"prompt\":\"a\"}", "{\"choices\":[{\"text\":\"b\"}]}", 0, 0, "{\"messages\":[],\"params\":{\"prompt\":\"a\"}}"},
        {"{\"prompt\":\"a\"}", "{\"choices\":[{\"text\":\"b\"}]}", 0, 0, "{\"messages\":[],\"params\":{\"prompt\":\"a\"}}"},
    };
    PLAY_AS(steps, "openai.completions");
}

static char *turn_of(const struct turn_parts *parts) {
    struct buf out;
    struct jv v;
    buf_init(&out, 1 << 20);
    assert_int_equal(turn_build(&out, parts), 0);
    assert_int_equal(jv_parse(&v, out.p, out.len), 0);
    char *text = strndup((char *)out.p, out.len);
    buf_wipe(&out);
    return text;
}

static struct jv bytes(const char *text) {
    return (struct jv){(const uint8_t *)text, strlen(text)};
}

static void not_json(void **state) {
    (void)state;
    struct llm_answer a = {0};
    struct turn_parts t = {.answer = &a, .request_text = bytes("{\"mess"), .answer_text = bytes("<html>\n"),
                           .outcome = "cut", .status = 502};
    char *text = turn_of(&t);
    assert_string_equal(text, "{\"messages\":[],\"params\":{},\"request_text\":\"{\\\"mess\",\"outcome\":\"cut\","
                              "\"answer_text\":\"<html>\\n\",\"status\":502}");
    free(text);
    t = (struct turn_parts){.answer = &a, .answer_text = bytes("\xff\xfe\xfd\xfc"), .status = 200};
    text = turn_of(&t);
    assert_string_equal(text, "{\"messages\":[],\"params\":{},\"answer_base64\":\"//79/A==\"}");
    free(text);
    a.tail = bytes("data: {\"x");
    t = (struct turn_parts){.answer = &a, .answer_text = bytes("data: {\"x"), .streamed = true, .status = 200};
    text = turn_of(&t);
    assert_string_equal(text, "{\"messages\":[],\"params\":{},\"streamed\":true,\"tail\":\"data: {\\\"x\"}");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),   cmocka_unit_test(branches),         cmocka_unit_test(other_forms),
        cmocka_unit_test(choices), cmocka_unit_test(tools_and_params), cmocka_unit_test(not_json),
        cmocka_unit_test(messages), cmocka_unit_test(responses), cmocka_unit_test(completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
