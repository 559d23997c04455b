/* The chat dialect: what is taken from requests, and streams put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "llm/answer.h"
#include "llm/request.h"
#include "llm/words.h"

#define CHAT dialect_named("openai.chat")

static void assert_slice(struct jv v, const char *want) {
    if (!want) {
        assert_null(v.p);
        return;
    }
    assert_non_null(v.p);
    if (v.len != strlen(want) || memcmp(v.p, want, v.len))
        print_error("is   %.*s\nwant %s\n", (int)v.len, (const char *)v.p, want);
    assert_int_equal(v.len, strlen(want));
    assert_memory_equal(v.p, want, v.len);
}

static int ask(struct llm_request *r, const char *text) {
    return llm_request_parse(r, CHAT, text, strlen(text));
}

static void requests(void **state) {
    (void)state;
    struct llm_request r;
    assert_int_equal(ask(&r, " {\"model\":\"m\", \"messages\": [ {\"a\" : 1} ,{}], \"n\": 1.0,\"tools\":[1],"
                             "\"stream\":true,\"user\":\"\\u4e2d\"}"), 0);
    assert_slice(r.messages, "[ {\"a\" : 1} ,{}]");
    assert_int_equal(r.count, 2);
    assert_slice(r.tools, "[1]");
    assert_slice((struct jv){r.params.p, r.params.len},
                 "{\"model\":\"m\",\"n\":1.0,\"stream\":true,\"user\":\"\\u4e2d\"}");
    assert_true(r.stream);
    assert_string_equal(r.model, "m");
    assert_string_equal(r.user, "中");
    llm_request_done(&r);
    assert_int_equal(ask(&r, "{\"messages\":[],\"user\":\"\",\"user_id\":5,\"metadata\":{\"user_id\":\"x\"}}"), 0);
    assert_string_equal(r.user, "x");
    assert_false(r.stream);
    assert_null(r.tools.p);
    llm_request_done(&r);
    static const char *const bad[] = {"", "[]", "{}", "{\"messages\":{}}", "{\"messages\":[1]}",
                                      "{\"messages\":[],\"messages\":[]}", "{\"messages\":[]",
                                      "{\"messages\":[],\"tools\":1,\"to\\u006fls\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(&r, bad[i]), ERR_SYNTAX);
        llm_request_done(&r);
    }
    char text[LIMIT_SUBJECT_NAME + 64];
    for (int n = LIMIT_SUBJECT_NAME - 1; n <= LIMIT_SUBJECT_NAME; n++) {
        sprintf(text, "{\"messages\":[],\"user\":\"%0*d\"}", n, 0);
        assert_int_equal(ask(&r, text), 0);
        assert_int_equal(strlen(r.user), n < LIMIT_SUBJECT_NAME ? n : 0);
        llm_request_done(&r);
    }
}

static void plain(void **state) {
    (void)state;
    struct llm_answer a;
    const char *text =
        "\n\n {\"model\":\"m-1\",\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"x\"},"
        "\"finish_reason\":\"stop\"},{\"message\":{\"content\":\"y\"}}],\"usage\":{\"prompt_tokens\":10,"
        "\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":8},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":3}}} ";
    assert_int_equal(llm_answer_parse(&a, CHAT, text, strlen(text), false), 0);
    assert_int_equal(a.json.p[0], '{');
    assert_int_equal(a.messages, 2);
    assert_slice(a.message[1], "{\"content\":\"y\"}");
    assert_string_equal(a.model, "m-1");
    assert_string_equal(a.finish, "stop");
    assert_true(a.usage.reported);
    assert_int_equal(a.usage.input, 10);
    assert_int_equal(a.usage.output, 4);
    assert_int_equal(a.usage.cached, 8);
    assert_int_equal(a.usage.reasoning, 3);
    assert_false(a.error);
    llm_answer_done(&a);
    text = "{\"error\":{\"message\":\"no\"},\"usage\":{\"prompt_cache_hit_tokens\":5}}";
    assert_int_equal(llm_answer_parse(&a, CHAT, text, strlen(text), false), 0);
    assert_true(a.error);
    assert_int_equal(a.usage.cached, 5);
    llm_answer_done(&a);
    assert_int_equal(llm_answer_parse(&a, CHAT, "<html>", 6, false), 0);
    assert_null(a.json.p);
    llm_answer_done(&a);
}

struct stream {
    const char *text, *json, *tail;
};

#define D(x) "data: " x "\n\n"
#define DELTA(x) D("{\"choices\":[{\"index\":0,\"delta\":{" x "}}]}")

static const struct stream streams[] = {
    {D("{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
       "\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}")
     D("{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
       "\"He\\\"\"},\"finish_reason\":null}],\"usage\":null}")
     D("{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
       "\"\\ud83d\"},\"finish_reason\":null}]}")
     D("{\"id\":\"b\",\"choices\":[{\"delta\":{\"content\":\"\\ude00\"},\"finish_reason\":\"stop\"}]}")
     D("{\"choices\":[],\"usage\":{\"total_tokens\":1}}") D("[DONE]"),
     "{\"id\":\"b\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
     "\"assistant\",\"content\":\"He\\\"\\ud83d\\ude00\"},\"finish_reason\":\"stop\"}],"
     "\"usage\":{\"total_tokens\":1}}", NULL},
    /* choices interleaved and out of order */
    {D("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},{\"index\":0,\"delta\":{\"content\":\"a\"}}]}")
     D("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"}},{\"index\":1,\"delta\":{\"content\":null}}]}"),
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"aA\"},\"finish_reason\":null},"
     "{\"index\":1,\"message\":{\"content\":\"b\"},\"finish_reason\":null}]}", NULL},
    /* tool calls, fragments interleaved; empty ids later on */
    {DELTA("\"content\":null,\"tool_calls\":[{\"index\":1,\"id\":\"c1\",\"type\":\"function\",\"function\":"
           "{\"name\":\"g\",\"arguments\":\"\"}}]")
     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"type\":\"function\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"{\"}},{\"index\":1,\"id\":\"\",\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]")
     DELTA("\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\":1}\"}},{\"index\":0,\"function\":"
           "{\"arguments\":\"}\",\"name\":null}}]"),
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c0\",\"type\":"
     "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"c1\",\"type\":\"function\","
     "\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"x\\\":1}\"}}]},\"finish_reason\":null}]}", NULL},
    /* reasoning, function_call, logprobs, other members */
    {DELTA("\"reasoning_content\":\"a\"") DELTA("\"reasoning_content\":\"b\",\"function_call\":{\"name\":\"f\","
     "\"arguments\":\"1\"}") DELTA("\"function_call\":{\"arguments\":\"2\"},\"x\":1") DELTA("\"x\":2"),
     "{\"choices\":[{\"index\":0,\"message\":{\"reasoning_content\":\"ab\",\"function_call\":{\"name\":\"f\","
     "\"arguments\":\"12\"},\"x\":2},\"finish_reason\":null}]}", NULL},
    {D("{\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"t\":\"a\"}],\"refusal\":null},"
       "\"stop_reason\":null}]}")
     D("{\"choices\":[{\"delta\":{},\"logprobs\":null}]}")
     D("{\"choices\":[{\"delta\":{\"content\":\"b\"},\"logprobs\":{\"content\":[ {\"t\":\"b\"}],\"refusal\":null},"
       "\"stop_reason\":7}]}"),
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"ab\"},\"finish_reason\":null,\"logprobs\":{\"content\":"
     "[{\"t\":\"a\"},{\"t\":\"b\"}],\"refusal\":null},\"stop_reason\":7}]}", NULL},
    /* errors */
    {DELTA("\"content\":\"a\"") D("{\"error\":{\"message\":\"x\"}}"),
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":null}],\"error\":"
     "{\"message\":\"x\"}}", NULL},
    {"event: error\n" D("{\"message\":\"x\"}"), "{\"error\":{\"message\":\"x\"}}", NULL},
    {D("{\"error\":null,\"choices\":[]}"), "{\"choices\":[]}", NULL},
    /* cut */
    {DELTA("\"content\":\"a\"") "data: {\"choices\":[{\"del",
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":null}]}",
     "data: {\"choices\":[{\"del"},
    {DELTA("\"content\":\"a\"") "data: {\"id\":\"x\"}\n",
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":null}],\"id\":\"x\"}", NULL},
    {DELTA("\"content\":\"a\"") "data: [DONE]",
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":null}]}", NULL},
    {"data: {\"ch", NULL, "data: {\"ch"},
    /* data in several lines */
    {"data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}}]}\n\ndata: {\"id\":\ndata: \"x\"}\n\n",
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":null}],\"id\":\"x\"}", NULL},
    /* no chat stream: kept as it came by the caller */
    {D("hello"), NULL, NULL},
    {D("[DONE]"), NULL, NULL},
    {D("{\"choices\":7}"), NULL, NULL},
    {D("{\"choices\":[{\"message\":{}}]}"), NULL, NULL},
    {DELTA("\"content\":\"a\"") D("{"), NULL, NULL},
    {"", NULL, NULL},
    {": wait\n\n", NULL, NULL},
};

static void assembles(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const struct stream *t = &streams[i];
        struct llm_answer a;
        assert_int_equal(llm_answer_parse(&a, CHAT, t->text, strlen(t->text), true), 0);
        assert_slice(a.json, t->json);
        assert_slice(a.tail, t->tail);
        llm_answer_done(&a);
    }
}

/* However a stream is cut, what came in whole events is there, and the rest is the tail. */
static void cut_anywhere(void **state) {
    (void)state;
    char text[2048] = "";
    for (int i = 0; i < 8; i++)
        sprintf(text + strlen(text), DELTA("\"content\":\"%d\\u4e2d\""), i);
    size_t len = strlen(text), event = len / 8;
    for (size_t n = 0; n <= len; n++) {
        struct llm_answer a;
        assert_int_equal(llm_answer_parse(&a, CHAT, text, n, true), 0);
        struct buf content;
        buf_init(&content, 4096);
        if (a.json.p)
            assert_int_equal(jv_text(jv_get(a.message[0], "content"), &content), 0);
        assert_true(content.len / 4 >= n / event);
        if (content.len / 4 * event < n)
            assert_int_equal(a.tail.len, n - content.len / 4 * event);
        buf_wipe(&content);
        llm_answer_done(&a);
    }
}

static void limits(void **state) {
    (void)state;
    char *text = malloc(1 << 20);
    struct llm_answer a;
    for (int n = LIMIT_CHOICES; n <= LIMIT_CHOICES + 1; n++) {
        *text = 0;
        for (int i = 0, at = 0; i < n; i++)
            at += sprintf(text + at, D("{\"choices\":[{\"index\":%d,\"delta\":{\"content\":\"a\"}}]}"), i);
        assert_int_equal(llm_answer_parse(&a, CHAT, text, strlen(text), true), 0);
        assert_int_equal(a.json.p != NULL, n == LIMIT_CHOICES);
        llm_answer_done(&a);
    }
    for (int n = LIMIT_TOOL_CALLS; n <= LIMIT_TOOL_CALLS + 1; n++) {
        *text = 0;
        for (int i = 0, at = 0; i < n; i++)
            at += sprintf(text + at, DELTA("\"tool_calls\":[{\"id\":\"%d\"}]"), i);
        assert_int_equal(llm_answer_parse(&a, CHAT, text, strlen(text), true), 0);
        assert_int_equal(a.json.p != NULL, n == LIMIT_TOOL_CALLS);
        llm_answer_done(&a);
    }
    free(text);
}

static void words(void **state) {
    (void)state;
    static const char *const yes[] = {"gpt-4o-mini", "gpt-4o-mini-2024-07-18", "deepseek-chat", "gpt-4-0613",
                                      "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest",
                                      "llama3.2:1b", "qwen2.5:0.5b", "llama3:latest", "mistral-large-2411"};
    static const char *const no[] = {"gpt-4o-minister", "my secret", "gpt-4o-mini-", "gpt-4o-mini-2024-07-1x",
                                     "llama3:b", "llama3:.b", "ft:gpt-4o-mini:acme:1", "-20241022", ":1b"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_string_equal(models_known(yes[i]), yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_string_equal(models_known(no[i]), "other");
    assert_string_equal(models_known(""), "");
    assert_string_equal(words_finish("stop"), "stop");
    assert_string_equal(words_finish("x"), "other");
    assert_string_equal(words_finish(""), "");
    assert_string_equal(words_error(200, false), "");
    assert_string_equal(words_error(200, true), "in_answer");
    assert_string_equal(words_error(429, true), "rate_limit");
    assert_string_equal(words_error(418, true), "other");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),     cmocka_unit_test(plain),  cmocka_unit_test(assembles),
        cmocka_unit_test(cut_anywhere), cmocka_unit_test(limits), cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
