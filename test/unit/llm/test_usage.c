/* The usage scanner: counts and terminal events of each dialect, at every split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "llm/usage.h"

struct row {
    const char *dialect;
    bool stream;
    const char *text;
    struct usage want;
    bool ended, failed;
};

#define D(x) "data: " x "\n\n"
#define E(name, x) "event: " name "\ndata: " x "\n\n"
#define U(in, out) "\"usage\":{\"prompt_tokens\":" #in ",\"completion_tokens\":" #out "}"
#define NONE {0}
#define SOME(in, out, cached, written, reasoning) {true, in, out, cached, written, reasoning}

static const struct row table[] = {
    /* plain answers */
    {"openai.chat", false,
     "\n\n {\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\": { \"prompt_tokens\" : 10 ,"
     "\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":8,\"audio_tokens\":1},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":3},\"total_tokens\":14}}",
     SOME(10, 4, 8, 0, 3), false, false},
    {"openai.chat", false, "{\"usage\":{\"prompt_tokens\":9,\"prompt_cache_hit_tokens\":5,\"prompt_cache_miss_tokens\":4}}",
     SOME(9, 0, 5, 0, 0), false, false},
    {"openai.chat", false, "{\"usage\":{\"prompt_cache_hit_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":0}}}",
     SOME(0, 0, 0, 0, 0), false, false},
    {"openai.responses", false,
     "{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":3,"
     "\"output_tokens_details\":{\"reasoning_tokens\":1}}}",
     SOME(7, 3, 2, 0, 1), false, false},
    {"anthropic.messages", false,
     "{\"content\":[],\"usage\":{\"input_tokens\":7,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":100,"
     "\"cache_creation\":{\"ephemeral_5m_input_tokens\":20},\"output_tokens\":3}}",
     SOME(127, 3, 100, 20, 0), false, false},
    {"openai.embeddings", false, "{\"data\":[{\"embedding\":\"usage\"}],\"usage\":{\"prompt_tokens\":6,\"total_tokens\":6}}",
     SOME(6, 0, 0, 0, 0), false, false},
    /* what is no count */
    {"openai.chat", false, "{\"usage\":null}", NONE, false, false},
    {"openai.chat", false, "{\"usage\":[{\"prompt_tokens\":5}]}", NONE, false, false},
    {"openai.chat", false, "{\"choices\":[{" U(1, 2) "}],\"x\":{" U(1, 2) "}}", NONE, false, false},
    {"openai.chat", false, "{\"x\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":5}\",\"y\":\"\\\\\",\"z\":\"{\"}", NONE, false, false},
    {"openai.chat", false, "{\"x\":\"{\\\"usage\\\":\",\"usage\":{\"prompt_tokens\":5}}", SOME(5, 0, 0, 0, 0), false, false},
    {"openai.chat", false, "[{\"usage\":{\"prompt_tokens\":5}}]", NONE, false, false},
    {"openai.chat", false, "{\"usage\":{\"prompt_tokens\":\"5\",\"completion_tokens\":1.5}}", SOME(0, 0, 0, 0, 0), false, false},
    {"openai.chat", false, "{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":4294967296}}", SOME(0, 0, 0, 0, 0), false, false},
    {"openai.chat", false, "{\"usage\":{\"prompt_tokens\":1e3,\"completion_tokens\":4294967295}}",
     SOME(0, 4294967295u, 0, 0, 0), false, false},
    {"openai.chat", false, "{\"usage\":{\"a\":{\"prompt_tokens\":5},\"b\":[6,{\"completion_tokens\":7}],\"prompt_tokens\":1}}",
     SOME(1, 0, 0, 0, 0), false, false},
    {"openai.chat", false, "{\"usage\":{\"prompt_tokens\":99999999999999999999999999999}}", SOME(0, 0, 0, 0, 0), false, false},
    {"openai.chat", false, "{\"model\":\"usage\",\"usage\":{\"prompt_tokens\":2}} ", SOME(2, 0, 0, 0, 0), false, false},
    {"openai.chat", false, "{\"message\":{\"usage\":{\"prompt_tokens\":2}}}", NONE, false, false},
    {"openai.chat", false, "<html>\"usage\":{\"prompt_tokens\":2}", NONE, false, false},
    {"openai.chat", false, "", NONE, false, false},
    /* chat streams */
    {"openai.chat", true,
     D("{\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":5}\"}}],\"usage\":null}")
     ": wait\n\n" D("{\"choices\":[]," U(11, 12) "}") D("[DONE]"),
     SOME(11, 12, 0, 0, 0), true, false},
    {"openai.chat", true, D("{}") D("{\"usage\":null,\"x\":{\"usage\":{}},\"y\":1}") D("{\"usage\":null{\"prompt_tokens\":4}}"),
     SOME(4, 0, 0, 0, 0), false, false},
    {"openai.chat", true, D("{}") D("{\"a\":{\"usage\":null}{\"prompt_tokens\":4}}"), NONE, false, false},
    {"openai.chat", true, D("{\"choices\":[{\"delta\":{" U(1, 2) "}}]}") D("{\"choices\":[]}"), NONE, false, false},
    {"openai.chat", true, D("{" U(1, 2) "}") D("{" U(3, 4) "}") "data: [DONE]  ", SOME(3, 4, 0, 0, 0), true, false},
    {"openai.chat", true, D("{}") "data:[DONE]\r\n\r\n", NONE, true, false},
    {"openai.chat", true, D("{}") "data: [DONE", NONE, false, false},
    {"openai.chat", true, D("{}") "data: [DONE]x\n\n", NONE, false, false},
    {"openai.chat", true, D("{}") "data: \ndata: [DONE]\n\n", NONE, false, false},
    {"openai.chat", true, D("{}") "x: [DONE]\n\n: [DONE]\n\n[DONE]\n\n", NONE, false, false},
    {"openai.chat", true, "\xef\xbb\xbf" D("[DONE]"), NONE, true, false},
    {"openai.chat", true, "data: {\"usage\":\ndata: {\"prompt_tokens\":1\ndata: ,\"completion_tokens\":3}}\n\n",
     SOME(1, 3, 0, 0, 0), false, false},
    {"openai.chat", true, "data: {" U(8, 9) "}\r\rdata: [DONE]\r\r", SOME(8, 9, 0, 0, 0), true, false},
    {"openai.chat", true, D("{}") D("{\"error\":null}") D("{\"error\":{\"message\":\"x\"}}"), NONE, false, true},
    {"openai.chat", true, D("{}") D("{\"choices\":[{\"error\":{}}],\"x\":\"error\"}"), NONE, false, false},
    {"openai.chat", true, D("{}") E("error", "{\"message\":\"x\"}"), NONE, false, true},
    {"openai.chat", true, D("{}") "event: error\n\n", NONE, false, false},
    {"openai.completions", true, D("{\"choices\":[{\"text\":\"a\"}]," U(2, 1) "}") D("[DONE]"), SOME(2, 1, 0, 0, 0), true, false},
    /* Anthropic */
    {"anthropic.messages", true,
     E("message_start", "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[{\"input\":{\"usage\":"
                        "{\"input_tokens\":1}}}],\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":5,"
                        "\"cache_creation_input_tokens\":3,\"output_tokens\":1}}}")
     E("ping", "{\"type\":\"ping\"}")
     E("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
                              "\"text\":\"message_stop \\\"usage\\\":{\\\"output_tokens\\\":9}\"}}")
     E("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}")
     E("message_stop", "{\"type\":\"message_stop\"}"),
     SOME(33, 15, 5, 3, 0), true, false},
    {"anthropic.messages", true, D("{\"type\":\"message_stop\"}"), NONE, true, false},
    {"anthropic.messages", true, E("x", "{\"type\":\"message_stop\"}") D("[DONE]"), NONE, false, false},
    {"anthropic.messages", true, "event: message_stop\n\n", NONE, false, false},
    {"anthropic.messages", true, "event: message_stop\ndata: ", NONE, false, false},
    {"anthropic.messages", true, E("message_stopped", "{}") E("message_stop", "{\"type\":\"mess"), NONE, true, false},
    {"anthropic.messages", true, "event: message_stop\ndata: {\"type\":\"mess", NONE, false, false},
    {"anthropic.messages", true, E("ping", "{}") "event: message_stop\r\ndata: {}\n\n", NONE, true, false},
    {"anthropic.messages", true, E("ping", "{}") E("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"),
     NONE, false, true},
    /* responses */
    {"openai.responses", true,
     E("response.created", "{\"type\":\"response.created\",\"response\":{\"usage\":null}}")
     E("response.output_text.delta", "{\"type\":\"response.output_text.delta\",\"delta\":\"\\\"usage\\\"\"}")
     E("response.completed", "{\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":{\"input_tokens\":1}}],"
                             "\"usage\":{\"input_tokens\":36,\"input_tokens_details\":{\"cached_tokens\":4},"
                             "\"output_tokens\":87,\"output_tokens_details\":{\"reasoning_tokens\":6}}}}"),
     SOME(36, 87, 4, 0, 6), true, false},
    {"openai.responses", true, E("response.failed", "{}"), NONE, true, false},
    {"openai.responses", true, D("{\"type\":\"response.incomplete\"}"), NONE, true, false},
    {"openai.responses", true, E("response.in_progress", "{\"type\":\"response.completed\"}"), NONE, false, false},
    {"openai.responses", true, E("x", "{}") E("error", "{\"type\":\"error\",\"code\":null,\"message\":\"x\"}"), NONE, true, true},
    {"openai.images", true, E("image_generation.completed", "{\"b64_json\":\"AA==\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}"),
     SOME(5, 6, 0, 0, 0), false, false},
};

static void check(const struct usage_scan *s, const struct row *t, const char *how, size_t at) {
    struct usage u;
    usage_scan_result(s, &u);
    const struct usage *w = &t->want;
    if (u.reported != w->reported || u.input != w->input || u.output != w->output || u.cached != w->cached ||
        u.written != w->written || u.reasoning != w->reasoning || s->ended != t->ended || s->failed != t->failed) {
        print_error("%s %s %zu\n%s\nreported %d input %u output %u cached %u written %u reasoning %u ended %d failed %d\n",
                    t->dialect, how, at, t->text, u.reported, u.input, u.output, u.cached, u.written, u.reasoning,
                    s->ended, s->failed);
        fail();
    }
}

/* A copy of its own, so that a read past the buffer is seen by a sanitizer. */
static void feed(struct usage_scan *s, const char *p, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    usage_scan_feed(s, copy, n);
    free(copy);
}

static void every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct row *t = &table[i];
        const struct dialect *d = dialect_named(t->dialect);
        size_t n = strlen(t->text);
        struct usage_scan s;
        for (size_t at = 0; at <= n; at++) {
            usage_scan_init(&s, d, t->stream);
            feed(&s, t->text, at);
            feed(&s, t->text + at, n - at);
            usage_scan_done(&s);
            check(&s, t, "split at", at);
        }
        if (!t->stream) {
            uint8_t *copy = malloc(n);
            memcpy(copy, t->text, n);
            usage_scan_init(&s, d, false);
            usage_scan_whole(&s, copy, n);
            usage_scan_done(&s);
            check(&s, t, "whole", 0);
            free(copy);
        }
        for (size_t step = 1; step < 9; step++) {
            usage_scan_init(&s, d, t->stream);
            for (size_t at = 0; at < n; at += step)
                feed(&s, t->text + at, n - at < step ? n - at : step);
            usage_scan_done(&s);
            check(&s, t, "step", step);
        }
    }
}

/* The same counts from the usage object alone, as the sealer reads it. */
static void of_an_object(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct row *t = &table[i];
        struct usage u;
        struct jv v;
        if (t->stream || jv_parse(&v, t->text, strlen(t->text)))
            continue;
        usage_read(&u, dialect_named(t->dialect), jv_get(v, "usage"));
        assert_int_equal(u.reported, t->want.reported);
        assert_int_equal(u.input, t->want.input);
        assert_int_equal(u.output, t->want.output);
        assert_int_equal(u.cached, t->want.cached);
        assert_int_equal(u.written, t->want.written);
        assert_int_equal(u.reasoning, t->want.reasoning);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_split), cmocka_unit_test(of_an_object)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
