/* The other dialects: what is taken from requests and answers, and streams put together. */
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

/* ---- requests ---- */

struct request {
    const char *dialect, *text;
    int rc;
    const char *messages;
    size_t count;
    const char *tools, *params, *user;
};

static void requests(void **state) {
    (void)state;
    static const struct request table[] = {
        {"anthropic.messages",
         "{\"model\":\"m\",\"max_tokens\":1,\"system\":[{\"type\":\"text\"}],\"messages\":[{\"role\":\"user\"}],"
         "\"tools\":[],\"metadata\":{\"user_id\":\"u\"}}",
         0, "[{\"role\":\"user\"}]", 1, "[]",
         "{\"model\":\"m\",\"max_tokens\":1,\"system\":[{\"type\":\"text\"}],\"metadata\":{\"user_id\":\"u\"}}", "u"},
        {"anthropic.messages", "{\"model\":\"m\"}", ERR_SYNTAX, NULL, 0, NULL, NULL, ""},
        {"openai.responses", "{\"model\":\"m\",\"input\":[{\"role\":\"user\"},{\"type\":\"x\"}],\"tools\":[1],"
                             "\"previous_response_id\":\"r\",\"safety_identifier\":\"s\",\"user_id\":\"no\"}",
         0, "[{\"role\":\"user\"},{\"type\":\"x\"}]", 2, "[1]",
         "{\"model\":\"m\",\"previous_response_id\":\"r\",\"safety_identifier\":\"s\",\"user_id\":\"no\"}", "s"},
        {"openai.responses", "{\"model\":\"m\",\"input\":\"hello\",\"user\":\"u\",\"safety_identifier\":\"s\"}", 0, NULL, 0,
         NULL, "{\"model\":\"m\",\"input\":\"hello\",\"user\":\"u\",\"safety_identifier\":\"s\"}", "u"},
        {"openai.responses", "{\"model\":\"m\",\"input\":[ ]}", 0, NULL, 0, NULL, "{\"model\":\"m\",\"input\":[ ]}", ""},
        {"openai.responses", "{\"prompt\":{\"id\":\"p\"}}", 0, NULL, 0, NULL, "{\"prompt\":{\"id\":\"p\"}}", ""},
        {"openai.responses", "{\"model\":\"m\",\"input\":[1]}", ERR_SYNTAX, NULL, 0, NULL, NULL, ""},
        {"openai.completions", "{\"model\":\"m\",\"prompt\":\"p\",\"tools\":1,\"messages\":[1],\"prompt_cache_key\":\"k\"}", 0,
         NULL, 0, NULL, "{\"model\":\"m\",\"prompt\":\"p\",\"tools\":1,\"messages\":[1],\"prompt_cache_key\":\"k\"}", ""},
        {"openai.embeddings", "{\"model\":\"m\",\"input\":[\"a\"],\"user\":\"u\"}", 0, NULL, 0, NULL, "", "u"},
        {"openai.embeddings", "not json", ERR_SYNTAX, NULL, 0, NULL, NULL, ""},
        {"openai.audio", "--boundary\r\n", ERR_SYNTAX, NULL, 0, NULL, NULL, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct request *t = &table[i];
        struct llm_request r;
        int rc = llm_request_parse(&r, dialect_named(t->dialect), t->text, strlen(t->text));
        if (rc != t->rc)
            print_error("%s\n", t->text);
        assert_int_equal(rc, t->rc);
        if (!rc) {
            assert_slice(r.messages, t->messages);
            assert_int_equal(r.count, t->count);
            assert_slice(r.tools, t->tools);
            assert_slice((struct jv){r.params.len ? r.params.p : (const uint8_t *)"", r.params.len}, t->params);
            assert_string_equal(r.model, strstr(t->text, "\"m\"") ? "m" : "");
        }
        assert_string_equal(r.user, t->user);
        llm_request_done(&r);
    }
}

/* ---- answers ---- */

struct answer {
    const char *dialect;
    bool stream;
    const char *text, *json, *tail;
    const char *message; /* the last one */
    size_t messages;
    const char *model, *finish;
    uint32_t input, output, cached, written, reasoning;
    bool error;
};

#define E(name, x) "event: " name "\ndata: " x "\n\n"
#define D(x) "data: " x "\n\n"

/* Anthropic */
#define START                                                                                      \
    E("message_start", "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":" \
                       "\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null," \
                       "\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":2,\"output_tokens\":1}}}")
#define MESSAGE(content, reason, usage)                                                             \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":" content ",\"stop_reason\":" \
    reason ",\"stop_sequence\":null,\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":2,\"output_tokens\":" usage "}}"
#define BLOCK(i, x) E("content_block_start", "{\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":" x "}")
#define GROW(i, x) E("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":" x "}")
#define STOP(i) E("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":" #i "}")
#define END(reason) E("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":" \
                      "null},\"usage\":{\"output_tokens\":9}}") E("message_stop", "{\"type\":\"message_stop\"}")
#define SAID(content) "{\"role\":\"assistant\",\"content\":" content "}"
#define TEXTS "[{\"type\":\"text\",\"text\":\"He\\\"\\ud83d\\ude00\"}]"
#define TOOLS "[{\"type\":\"thinking\",\"thinking\":\"hm m\",\"signature\":\"sig2\"},"                \
              "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\": \"x\\\"\\u4e2d\", \"n\":1.0}}]"
#define CITED "[{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"c\":1},{\"c\":2}]}]"

/* Responses */
#define R(status, output) "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"" status "\",\"model\":\"m\",\"error\":null,\"output\":" output
#define CREATED E("response.created", "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":" R("in_progress", "[]}") "}")
#define ITEM "{\"id\":\"i\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"ab\"}]}"
#define CALL "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}"
#define ADDED(i, item) E("response.output_item.added", "{\"type\":\"response.output_item.added\",\"output_index\":" #i ",\"item\":" item "}")
#define DONE(i, item) E("response.output_item.done", "{\"type\":\"response.output_item.done\",\"output_index\":" #i ",\"item\":" item "}")
#define PART(i, part) E("response.content_part.added", "{\"type\":\"response.content_part.added\",\"output_index\":" #i ",\"content_index\":0,\"part\":" part "}")
#define DELTA(i, x) E("response.output_text.delta", "{\"type\":\"response.output_text.delta\",\"output_index\":" #i ",\"content_index\":0,\"delta\":\"" x "\"}")
#define RUSAGE ",\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":3,\"output_tokens_details\":{\"reasoning_tokens\":1}}}"
#define NO_MORE NULL, 0, "", "", 0, 0, 0, 0, 0, false

static const struct answer answers[] = {
    /* Anthropic, whole */
    {"anthropic.messages", false, MESSAGE("[{\"type\":\"text\",\"text\":\"x\"}]", "\"end_turn\"", "3"),
     MESSAGE("[{\"type\":\"text\",\"text\":\"x\"}]", "\"end_turn\"", "3"), NULL, SAID("[{\"type\":\"text\",\"text\":\"x\"}]"), 1,
     "m", "end_turn", 7, 3, 2, 0, 0, false},
    {"anthropic.messages", false, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}",
     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}", NULL, NULL, 0, "", "", 0, 0, 0, 0, 0, true},
    {"anthropic.messages", false, MESSAGE("[]", "\"refusal\"", "0"), MESSAGE("[]", "\"refusal\"", "0"), NULL, NULL, 0, "m",
     "refusal", 7, 0, 2, 0, 0, false},
    /* streamed: text, thinking, tools, citations, order */
    {"anthropic.messages", true,
     START E("ping", "{\"type\":\"ping\"}") BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}")
     GROW(0, "{\"type\":\"text_delta\",\"text\":\"He\\\"\\ud83d\"}") GROW(0, "{\"type\":\"text_delta\",\"text\":\"\\ude00\"}") STOP(0)
     END("end_turn"),
     MESSAGE(TEXTS, "\"end_turn\"", "9"), NULL, SAID(TEXTS), 1, "m", "end_turn", 7, 9, 2, 0, 0, false},
    {"anthropic.messages", true,
     START BLOCK(1, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}")
     BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
     GROW(0, "{\"type\":\"thinking_delta\",\"thinking\":\"hm \"}") GROW(0, "{\"type\":\"thinking_delta\",\"thinking\":\"m\"}")
     GROW(0, "{\"type\":\"signature_delta\",\"signature\":\"sig1\"}") GROW(0, "{\"type\":\"signature_delta\",\"signature\":\"sig2\"}")
     GROW(1, "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}")
     GROW(1, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\": \\\"x\\\\\\\"\"}")
     GROW(1, "{\"type\":\"input_json_delta\",\"partial_json\":\"\\\\u4e2d\\\", \\\"n\\\":1.0}\"}") STOP(0) STOP(1) END("tool_use"),
     MESSAGE(TOOLS, "\"tool_use\"", "9"), NULL, SAID(TOOLS), 1, "m", "tool_use", 7, 9, 2, 0, 0, false},
    {"anthropic.messages", true,
     START BLOCK(0, "{\"type\":\"text\",\"text\":\"\",\"citations\":null}") GROW(0, "{\"type\":\"text_delta\",\"text\":\"a\"}")
     GROW(0, "{\"type\":\"citations_delta\",\"citation\":{\"c\":1}}") GROW(0, "{\"type\":\"citations_delta\",\"citation\":{\"c\":2}}")
     END("end_turn"),
     MESSAGE(CITED, "\"end_turn\"", "9"), NULL, SAID(CITED), 1, "m", "end_turn", 7, 9, 2, 0, 0, false},
    /* a tool without input; cut in its input; what nobody knows yet */
    {"anthropic.messages", true,
     START BLOCK(0, "{\"type\":\"tool_use\",\"input\":{}}") GROW(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}") END("tool_use"),
     MESSAGE("[{\"type\":\"tool_use\",\"input\":{}}]", "\"tool_use\"", "9"), NULL, SAID("[{\"type\":\"tool_use\",\"input\":{}}]"), 1,
     "m", "tool_use", 7, 9, 2, 0, 0, false},
    {"anthropic.messages", true,
     START BLOCK(0, "{\"type\":\"tool_use\",\"input\":{}}") GROW(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}")
     "event: content_block_delta\ndata: {\"ty",
     MESSAGE("[{\"type\":\"tool_use\",\"input\":{},\"partial_json\":\"{\\\"a\"}]", "null", "1"),
     "event: content_block_delta\ndata: {\"ty", SAID("[{\"type\":\"tool_use\",\"input\":{},\"partial_json\":\"{\\\"a\"}]"), 1, "m",
     "", 7, 1, 2, 0, 0, false},
    {"anthropic.messages", true, D("{\"type\":\"message_start\",\"message\":{\"content\":[]}}") D("{\"type\":\"new\",\"x\":1}"),
     "{\"content\":[],\"events\":[{\"type\":\"new\",\"x\":1}]}", NULL, NO_MORE},
    {"anthropic.messages", true, D("{\"type\":\"message_start\",\"message\":{\"content\":[]}}")
     E("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"),
     "{\"content\":[],\"error\":{\"type\":\"overloaded_error\"}}", NULL, NULL, 0, "", "", 0, 0, 0, 0, 0, true},
    {"anthropic.messages", true, E("error", "{\"type\":\"error\",\"error\":{\"a\":1},\"request_id\":\"r\"}"),
     "{\"type\":\"error\",\"error\":{\"a\":1},\"request_id\":\"r\"}", NULL, NULL, 0, "", "", 0, 0, 0, 0, 0, true},
    /* no such stream: kept as it came by the caller */
    {"anthropic.messages", true, GROW(0, "{\"type\":\"text_delta\",\"text\":\"a\"}"), NULL, NULL, NO_MORE},
    {"anthropic.messages", true, START GROW(0, "{\"type\":\"text_delta\",\"text\":\"a\"}"), NULL, NULL, NO_MORE},
    {"anthropic.messages", true, START START, NULL, NULL, NO_MORE},
    {"anthropic.messages", true, START D("{}"), NULL, NULL, NO_MORE},
    {"anthropic.messages", true, START D("7"), NULL, NULL, NO_MORE},
    /* Responses, whole and streamed to the end */
    {"openai.responses", false, R("completed", "[" CALL "," ITEM "]" RUSAGE), R("completed", "[" CALL "," ITEM "]" RUSAGE), NULL,
     ITEM, 2, "m", "completed", 7, 3, 2, 0, 1, false},
    {"openai.responses", false, "{\"error\":{\"message\":\"x\"}}", "{\"error\":{\"message\":\"x\"}}", NULL, NULL, 0, "", "", 0, 0, 0, 0, 0, true},
    {"openai.responses", true,
     CREATED ADDED(0, "{\"type\":\"message\",\"content\":[]}") DELTA(0, "ab") DONE(0, ITEM)
     E("response.completed", "{\"type\":\"response.completed\",\"response\": " R("completed", "[" ITEM "]" RUSAGE) "}"),
     R("completed", "[" ITEM "]" RUSAGE), NULL, ITEM, 1, "m", "completed", 7, 3, 2, 0, 1, false},
    {"openai.responses", true, CREATED E("response.incomplete", "{\"type\":\"response.incomplete\",\"response\":" R("incomplete", "[]}") "}"),
     R("incomplete", "[]}"), NULL, NULL, 0, "m", "incomplete", 0, 0, 0, 0, 0, false},
    /* cut: as far as it got */
    {"openai.responses", true,
     CREATED DONE(0, CALL) ADDED(1, "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[]}")
     PART(1, "{\"type\":\"output_text\",\"annotations\":[],\"text\":\"\"}") DELTA(1, "a\\ud83d") DELTA(1, "\\ude00") "event: resp",
     R("in_progress", "[" CALL ",{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
       "\"text\":\"a\\ud83d\\ude00\"}]}]}"), "event: resp",
     "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"a\\ud83d\\ude00\"}]}", 2,
     "m", "in_progress", 0, 0, 0, 0, 0, false},
    {"openai.responses", true,
     CREATED ADDED(0, "{\"type\":\"function_call\",\"arguments\":\"\"}")
     D("{\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"{\\\"a\"}")
     D("{\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"\\\":\"}")
     ADDED(1, "{\"type\":\"reasoning\",\"summary\":[]}")
     D("{\"type\":\"response.reasoning_summary_part.added\",\"output_index\":1,\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}}")
     D("{\"type\":\"response.reasoning_summary_text.delta\",\"output_index\":1,\"summary_index\":0,\"delta\":\"why\"}")
     D("{\"type\":\"response.web_search_call.searching\",\"output_index\":2}") D("{\"type\":\"response.audio.delta\",\"delta\":\"AA\"}"),
     R("in_progress", "[{\"type\":\"function_call\",\"arguments\":\"{\\\"a\\\":\"},{\"type\":\"reasoning\",\"summary\":[{\"type\":"
       "\"summary_text\",\"text\":\"why\"}]}],\"events\":[{\"type\":\"response.audio.delta\",\"delta\":\"AA\"}]}"), NULL,
     "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"why\"}]}", 2, "m", "in_progress", 0, 0, 0, 0, 0, false},
    {"openai.responses", true, CREATED E("error", "{\"type\":\"error\",\"code\":\"c\",\"message\":\"x\"}"),
     "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"m\",\"error\":{\"type\":\"error\",\"code\":\"c\","
     "\"message\":\"x\"},\"output\":[]}", NULL, NULL, 0, "m", "in_progress", 0, 0, 0, 0, 0, true},
    {"openai.responses", true, D("{\"error\":{\"message\":\"x\"}}"), "{\"error\":{\"message\":\"x\"}}", NULL, NULL, 0, "", "", 0, 0, 0, 0, 0, true},
    {"openai.responses", true, CREATED DELTA(0, "a") D("{\"x\":1}"), NULL, NULL, NO_MORE},
    {"openai.responses", true, CREATED D("{\"type\":\"response.output_text.delta\",\"delta\":\"a\"}"), NULL, NULL, NO_MORE},
    /* completions */
    {"openai.completions", true,
     D("{\"id\":\"c\",\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[{\"text\":\"a\",\"index\":0,\"logprobs\":{\"tokens\":[\"a\"],"
       "\"text_offset\":[0]},\"finish_reason\":null}]}")
     D("{\"id\":\"c\",\"choices\":[{\"text\":\"z\",\"index\":1,\"logprobs\":null,\"finish_reason\":\"length\"}]}")
     D("{\"id\":\"c\",\"choices\":[{\"text\":\"b\",\"index\":0,\"logprobs\":{\"tokens\":[\"b\"],\"text_offset\":[1]},\"finish_reason\":\"stop\"}],"
       "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}") D("[DONE]"),
     "{\"id\":\"c\",\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"ab\",\"finish_reason\":\"stop\","
     "\"logprobs\":{\"tokens\":[\"a\",\"b\"],\"text_offset\":[0,1]}},{\"index\":1,\"text\":\"z\",\"finish_reason\":\"length\"}],"
     "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}", NULL, NULL, 2, "m", "stop", 1, 2, 0, 0, 0, false},
    /* kept as they came */
    {"openai.embeddings", false, "{\"model\":\"m\",\"data\":[{\"embedding\":\"AAA=\"}],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}",
     "{\"model\":\"m\",\"data\":[{\"embedding\":\"AAA=\"}],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}", NULL, NULL, 0, "m", "",
     4, 0, 0, 0, 0, false},
    {"openai.audio", false, "ID3\x04", NULL, NULL, NO_MORE},
    {"openai.images", true, E("image_generation.completed", "{\"b64_json\":\"AA\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}"),
     NULL, NULL, NULL, 0, "", "", 5, 6, 0, 0, 0, false},
};

static void parses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct answer *t = &answers[i];
        struct llm_answer a;
        assert_int_equal(llm_answer_parse(&a, dialect_named(t->dialect), t->text, strlen(t->text), t->stream), 0);
        assert_slice(a.json, t->json);
        assert_slice(a.tail, t->tail);
        assert_int_equal(a.messages, t->messages);
        if (a.messages)
            assert_slice(a.message[a.messages - 1], t->message);
        assert_string_equal(a.model, t->model);
        assert_string_equal(a.finish, t->finish);
        assert_int_equal(a.usage.input, t->input);
        assert_int_equal(a.usage.output, t->output);
        assert_int_equal(a.usage.cached, t->cached);
        assert_int_equal(a.usage.written, t->written);
        assert_int_equal(a.usage.reasoning, t->reasoning);
        assert_int_equal(a.error, t->error);
        assert_int_equal(a.in_sequence, !strcmp(t->dialect, "openai.responses") && t->json);
        llm_answer_done(&a);
    }
}

/* However a stream is cut, what is made of it is JSON, and the event that it was cut in is its tail. */
static void cut_anywhere(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct answer *t = &answers[i];
        size_t len = strlen(t->text);
        for (size_t n = 0; t->stream && t->json && n <= len; n++) {
            struct llm_answer a;
            struct jv v;
            assert_int_equal(llm_answer_parse(&a, dialect_named(t->dialect), t->text, n, true), 0);
            if (a.json.p)
                assert_int_equal(jv_parse(&v, a.json.p, a.json.len), 0);
            if (a.tail.p)
                assert_ptr_equal(a.tail.p + a.tail.len, t->text + n);
            llm_answer_done(&a);
        }
    }
}

static void limits(void **state) {
    (void)state;
    char *text = malloc(1 << 20);
    struct llm_answer a;
    for (int n = 1024; n <= 1025; n++) {
        int at = sprintf(text, "%s", START);
        for (int i = 0; i < n; i++)
            at += sprintf(text + at, D("{\"type\":\"content_block_start\",\"index\":%d,\"content_block\":{\"type\":\"text\"}}"), i);
        assert_int_equal(llm_answer_parse(&a, dialect_named("anthropic.messages"), text, (size_t)at, true), 0);
        assert_int_equal(a.json.p != NULL, n == 1024);
        llm_answer_done(&a);
        at = sprintf(text, "%s", CREATED);
        for (int i = 0; i < n; i++)
            at += sprintf(text + at, D("{\"type\":\"response.output_item.done\",\"output_index\":%d,\"item\":{}}"), i);
        assert_int_equal(llm_answer_parse(&a, dialect_named("openai.responses"), text, (size_t)at, true), 0);
        assert_int_equal(a.json.p != NULL, n == 1024);
        assert_int_equal(a.messages, n == 1024 ? LIMIT_CHOICES : 0);
        llm_answer_done(&a);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests), cmocka_unit_test(parses),
                                       cmocka_unit_test(cut_anywhere), cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
