/* Values put back into answers: every split, every escape, fields that interleave, and texts that only
 * look like placeholders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "llm/assemble.h"
#include "write/mask/unmask.h"

#define TAG_A "AAAAAAAAAAAAAAAAAAAAAAAAAA"
#define TAG_B "AAAAAAAAAAAAAAAAAAAAAAAAAB"
#define A "[[secret:jwt:k0:" TAG_A "]]"
#define B "[[secret:jwt:k0:" TAG_B "]]"
#define C "[[secret:password:k0:" TAG_A "]]"
#define OTHER "[[secret:jwt:k0:BAAAAAAAAAAAAAAAAAAAAAAAAA]]"
#define VALUE_A "value-a"
#define VALUE_B "line 1\nline \"2\"\\"
#define VALUE_C "\xe5\xaf\x86\xe7\xa0\x81\t1"

static struct mask mask;

static void add(const char *text, const char *value) {
    struct mask_item *item;
    mask.items = realloc(mask.items, (mask.count + 1) * sizeof *mask.items);
    item = &mask.items[mask.count++];
    *item = (struct mask_item){.len = (uint16_t)strlen(text),
                               .at = (uint32_t)mask.plain.len,
                               .value_len = (uint32_t)strlen(value)};
    memcpy(item->text, text, strlen(text));
    assert_int_equal(buf_append_str(&mask.plain, value), 0);
}

static int setup(void **state) {
    (void)state;
    mask_init(&mask);
    add(A, VALUE_A);
    add(B, VALUE_B);
    add(C, VALUE_C);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    mask_done(&mask);
    return 0;
}

/* In pieces of these lengths: the first `first` bytes, then `step` at a time. */
static void run(struct buf *out, enum unmask_kind kind, const char *text, size_t first, size_t step) {
    struct unmask u;
    size_t len = strlen(text), at = 0;
    unmask_init(&u, &mask, kind);
    for (size_t n = first ? first : step; at < len; n = step) {
        n = n < len - at ? n : len - at;
        uint8_t *copy = malloc(n); /* nothing is read beyond a piece */
        memcpy(copy, text + at, n);
        assert_int_equal(unmask_feed(&u, copy, n, out), 0);
        free(copy);
        at += n;
    }
    assert_int_equal(unmask_finish(&u, out), 0);
    unmask_done(&u);
}

static void assert_is(const struct buf *out, const char *want) {
    if (out->len != strlen(want) || memcmp(out->p, want, out->len) != 0)
        print_error("is   %.*s\nwant %s\n", (int)out->len, (const char *)out->p, want);
    assert_int_equal(out->len, strlen(want));
    assert_memory_equal(out->p, want, out->len);
}

/* However it is split. */
static void check_json(const char *text, const char *want) {
    for (size_t first = 0; first <= strlen(text); first++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        run(&out, UNMASK_JSON, text, first, first ? strlen(text) : 1);
        assert_is(&out, want);
        buf_wipe(&out);
    }
}

static void json(void **state) {
    (void)state;
    check_json("{\"a\":\"x " A " y\"}", "{\"a\":\"x value-a y\"}");
    check_json("{\"a\":\"" A A "" B "\"}", "{\"a\":\"value-avalue-aline 1\\nline \\\"2\\\"\\\\\"}");
    check_json("{\"" A "\":1, \"b\" : [\"" C "\"]}", "{\"value-a\":1, \"b\" : [\"" "\xe5\xaf\x86\xe7\xa0\x81\\t1\"]}");
    check_json("[\"\\\"" A "\\\"\"]", "[\"\\\"value-a\\\"\"]");
}

static void only_this_masks_own(void **state) {
    (void)state;
    static const char *const same[] = {
        "[\"" OTHER "\"]",
        "[\"[[secret:jwt:k0:" TAG_A "]\"]",
        "[\"[[secret:jwt:k1:" TAG_A "]]\"]",
        "[\"[[secret:jwt:k0:aAAAAAAAAAAAAAAAAAAAAAAAAA]]\"]",
        "[\"[[secret:\", \"jwt:k0:" TAG_A "]]\"]", /* not one text */
        "[\"[\", \"[[\", \"[[s\", \"\\u005b[secret:jwt:k0:" TAG_A "]]\"]",
        "[[\"x\"],[[1]]]",
        "[\"[[secret:jwt:k0:",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        check_json(same[i], same[i]);
    check_json("[\"[" A "]\"]", "[\"[value-a]\"]");
    check_json("[\"[[[" A "]\"]", "[\"[[[value-a]\"]");
    check_json("[\"[[secret:jwt" A "\"]", "[\"[[secret:jwtvalue-a\"]");
}

#define B1 "line 1\\nline \\\"2\\\"\\\\"
#define B2 "line 1\\\\nline \\\\\\\"2\\\\\\\"\\\\\\\\"
#define B3 "line 1\\\\\\\\nline \\\\\\\\\\\\\\\"2\\\\\\\\\\\\\\\"\\\\\\\\\\\\\\\\"

static void depths(void **state) {
    (void)state;
    check_json("[\"" B "\"]", "[\"" B1 "\"]");
    check_json("[\"{\\\"x\\\":\\\"" B "\\\"}\"]", "[\"{\\\"x\\\":\\\"" B2 "\\\"}\"]");
    check_json("[\" [ \\\"" B "\\\",\\\"" A "\\\"]" B "\"]", "[\" [ \\\"" B2 "\\\",\\\"value-a\\\"]" B1 "\"]");
    check_json("[\"{\\\"x\\\":\\\"{\\\\\\\"y\\\\\\\":\\\\\\\"" B "\\\\\\\"}\\\"}\"]",
               "[\"{\\\"x\\\":\\\"{\\\\\\\"y\\\\\\\":\\\\\\\"" B3 "\\\\\\\"}\\\"}\"]");
    /* prose is no JSON, whatever stands in it */
    check_json("[\"say {\\\"x\\\":\\\"" B "\\\"}\"]", "[\"say {\\\"x\\\":\\\"" B1 "\\\"}\"]");
    check_json("[\"[link] \\\"" B "\\\"\"]", "[\"[link] \\\"" B1 "\\\"\"]");
    check_json("[\"" A " {\\\"x\\\":\\\"" B "\\\"}\"]", "[\"value-a {\\\"x\\\":\\\"" B1 "\\\"}\"]");
}

/* ---- streams ---- */

#define CHUNK(choice) "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[" choice "]}\n\n"
#define DONE "data: [DONE]\n\n"

static void assembled(struct buf *ret, const char *dialect, const char *stream, size_t step) {
    struct buf out;
    struct jv tail;
    buf_init(&out, 1 << 20);
    run(&out, UNMASK_EVENTS, stream, 0, step);
    int rc = assemble(ret, dialect_named(dialect), out.p, out.len, &tail);
    if (rc)
        print_error("%.*s\n", (int)out.len, (const char *)out.p);
    assert_int_equal(rc, 0);
    assert_null(tail.p);
    buf_wipe(&out);
}

/* The assembled answer has this text in it; the stream came a byte at a time, and whole. */
static void check_stream(const char *dialect, const char *stream, const char *want) {
    const size_t steps[] = {1, 7, strlen(stream)};
    for (size_t i = 0; i < 3; i++) {
        struct buf answer;
        buf_init(&answer, 1 << 20);
        assembled(&answer, dialect, stream, steps[i]);
        if (!memmem(answer.p, answer.len, want, strlen(want)))
            print_error("in   %.*s\nwant %s\n", (int)answer.len, (const char *)answer.p, want);
        assert_non_null(memmem(answer.p, answer.len, want, strlen(want)));
        buf_wipe(&answer);
    }
}

/* The text in two deltas, split at `at`; `form` has an @ for it. */
static void split_stream(char *out, size_t size, const char *before, const char *form, const char *text,
                         size_t at, const char *after) {
    const char *gap = strchr(form, '@');
    assert_non_null(gap);
    assert_true((size_t)snprintf(out, size, "%s%.*s%.*s%s%.*s%s%s%s", before, (int)(gap - form), form,
                                 (int)at, text, gap + 1, (int)(gap - form), form, text + at, gap + 1,
                                 after) < size);
}

static void chat_split_everywhere(void **state) {
    static const char text[] = "a[" A "b " B "[[secret:jwt:k0:";
    char stream[4096];
    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        split_stream(stream, sizeof stream,
                     CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}"),
                     CHUNK("{\"index\":0,\"delta\":{\"content\":\"@\"},\"finish_reason\":null}"), text, at,
                     CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}") DONE);
        check_stream("openai.chat", stream, "\"content\":\"a[value-ab " B1 "[[secret:jwt:k0:\"");
    }
}

static void held_at_the_end(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    /* with the last delta of the choice it goes out in that */
    run(&out, UNMASK_EVENTS, CHUNK("{\"index\":0,\"delta\":{\"content\":\"x[[\"},\"finish_reason\":\"length\"}") DONE, 0, 9);
    assert_is(&out, CHUNK("{\"index\":0,\"delta\":{\"content\":\"x[[\"},\"finish_reason\":\"length\"}") DONE);
    buf_clear(&out);
    /* else in an event of its own, right before the end */
    run(&out, UNMASK_EVENTS, CHUNK("{\"index\":1,\"delta\":{\"content\":\"x[[\",\"role\":\"assistant\"},\"logprobs\":{},\"finish_reason\":null}")
                             CHUNK("{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}") DONE, 0, 9);
    assert_is(&out, CHUNK("{\"index\":1,\"delta\":{\"content\":\"x\",\"role\":\"assistant\"},\"logprobs\":{},\"finish_reason\":null}")
                    CHUNK("{\"index\":1,\"delta\":{\"content\":\"[[\"},\"finish_reason\":null}")
                    CHUNK("{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}") DONE);
    buf_clear(&out);
    /* and where the stream breaks off, then */
    run(&out, UNMASK_EVENTS, CHUNK("{\"index\":0,\"delta\":{\"content\":\"[\"}}") ": ping\n\ndata: {", 0, 9);
    assert_is(&out, CHUNK("{\"index\":0,\"delta\":{\"content\":\"\"}}") ": ping\n\n"
                    CHUNK("{\"index\":0,\"delta\":{\"content\":\"[\"}}") "data: {");
    buf_wipe(&out);
}

static void other_bytes_stay(void **state) {
    (void)state;
    static const char stream[] = "\xef\xbb\xbf: hi\r\n\r\ndata:{\"choices\": [ {\"index\":0 ,\"delta\":{\"content\":\"[x\" }} ] }\r\n\r\n"
                                 "event: x\rdata: not json [[\r\rdata: {\"a\":\ndata: \"b\"}\n\n\n\n" DONE "\n";
    for (size_t step = 1; step < 30; step++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        run(&out, UNMASK_EVENTS, stream, 0, step);
        assert_is(&out, stream);
        buf_wipe(&out);
    }
}

static void choices_and_calls_interleave(void **state) {
    char stream[32768];
    size_t n = 0;
    (void)state;
    static const char text[] = A "|" B;
    static const char args[] = "{\\\"k\\\":\\\"" B "\\\"}";
#define PUT(...) n += (size_t)snprintf(stream + n, sizeof stream - n, __VA_ARGS__)
    for (int i = 0; i < 2; i++)
        PUT(CHUNK("{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"call_%d\",\"type\":\"function\","
                  "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}"), i, i);
    for (size_t at = 0; at < sizeof text - 1; at += 3)
        PUT(CHUNK("{\"index\":1,\"delta\":{\"content\":\"%.3s\"}},{\"index\":2,\"delta\":{\"reasoning_content\":\"%.3s\"}}"),
            text + at, text + at);
    for (size_t at = 0; at < sizeof args - 1;) {
        size_t step = args[at] == '\\' ? 2 : 1;
        for (int i = 0; i < 2; i++)
            PUT(CHUNK("{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":{\"arguments\":\"%.*s\"}}]}}"), i,
                (int)step, args + at);
        at += step;
    }
    PUT(CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"},{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"},"
              "{\"index\":2,\"delta\":{},\"finish_reason\":\"stop\"}") DONE);
    assert_true(n < sizeof stream - 1);
    check_stream("openai.chat", stream, "\"content\":\"value-a|" B1 "\"");
    check_stream("openai.chat", stream, "\"reasoning_content\":\"value-a|" B1 "\"");
    check_stream("openai.chat", stream, "\"id\":\"call_0\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"k\\\":\\\"" B2 "\\\"}\"}");
    check_stream("openai.chat", stream, "\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"k\\\":\\\"" B2 "\\\"}\"}");
}

#define NAMED(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define START NAMED("message_start", ",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,\"usage\":{}}")
#define END NAMED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":1}") NAMED("message_stop", "")

static void anthropic(void **state) {
    static const char text[] = "a" A "b " B "[[";
    static const char args[] = "{'k':'" B "'}"; /* ' stands for \" */
    char stream[8192], escaped[256];
    size_t n = 0;
    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        split_stream(stream, sizeof stream, START NAMED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
                     NAMED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"@\"}"), text, at,
                     NAMED("content_block_stop", ",\"index\":0") END);
        check_stream("anthropic.messages", stream, "\"text\":\"a" VALUE_A "b " B1 "[[\"");
    }
    for (const char *p = args; *p; p++)
        n += (size_t)sprintf(escaped + n, *p == '\'' ? "\\\"" : "%c", *p);
    for (size_t at = 0; at < n; at += escaped[at] == '\\' ? 2 : 1) {
        split_stream(stream, sizeof stream, START NAMED("content_block_start", ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"),
                     NAMED("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"@\"}"), escaped, at,
                     NAMED("content_block_stop", ",\"index\":1") END);
        check_stream("anthropic.messages", stream, "\"input\":{\"k\":\"" B1 "\"}");
    }
}

#define RESPONSE(text) "\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"" text "\"}]}]}"

static void responses(void **state) {
    static const char text[] = "a" A "b[";
    char stream[8192];
    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        struct buf out;
        split_stream(stream, sizeof stream, "", NAMED("response.output_text.delta", ",\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"@\",\"logprobs\":[]"),
                     text, at, NAMED("response.output_text.done", ",\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"text\":\"a" A "b[\"")
                     NAMED("response.completed", "," RESPONSE("a" A "b[")));
        buf_init(&out, 1 << 20);
        run(&out, UNMASK_EVENTS, stream, 0, 11);
        assert_null(memmem(out.p, out.len, "[[secret", 8));
        assert_non_null(memmem(out.p, out.len, ",\"text\":\"avalue-ab[\"}", 21));
        assert_non_null(memmem(out.p, out.len, RESPONSE("avalue-ab["), strlen(RESPONSE("avalue-ab["))));
        /* what the deltas amount to */
        struct buf said;
        buf_init(&said, 1 << 20);
        for (const char *p = (const char *)out.p, *d; (d = memmem(p, out.len - (size_t)(p - (char *)out.p), "\"delta\":\"", 9)); p = d + 9)
            assert_int_equal(buf_append(&said, d + 9, strcspn(d + 9, "\"")), 0);
        assert_is(&said, "avalue-ab[");
        buf_wipe(&said);
        buf_wipe(&out);
    }
}

static void completions(void **state) {
    char stream[4096];
    (void)state;
    for (size_t at = 0; at <= strlen(A); at++) {
        split_stream(stream, sizeof stream, "", "data: {\"id\":\"x\",\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"@\",\"finish_reason\":null}]}\n\n", A, at,
                     "data: {\"id\":\"x\",\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n" DONE);
        check_stream("openai.completions", stream, "\"text\":\"value-a\"");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(only_this_masks_own),
        cmocka_unit_test(depths),
        cmocka_unit_test(chat_split_everywhere),
        cmocka_unit_test(held_at_the_end),
        cmocka_unit_test(other_bytes_stay),
        cmocka_unit_test(choices_and_calls_interleave),
        cmocka_unit_test(anthropic),
        cmocka_unit_test(responses),
        cmocka_unit_test(completions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
