/* The demo upstream: which bytes are a request, and that its answers are what they claim to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/err.h"
#include "base/limits.h"
#include "proc/demo/demo.h"

static int request(const char *text, struct demo_request *r) {
    return demo_request((const uint8_t *)text, strlen(text), r);
}

static void reads_requests(void **state) {
    (void)state;
    struct demo_request r;
    assert_int_equal(
        request("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-LENGTH:  12\r\n"
                "\r\n{",
                &r),
        0);
    assert_true(r.post);
    assert_int_equal(r.path, DEMO_CHAT);
    assert_int_equal(r.body, 12);
    assert_int_equal(request("GET /models?x HTTP/1.1\r\n\r\n", &r), 0);
    assert_int_equal(r.path, DEMO_MODELS);
    assert_int_equal(r.head, 26);
    assert_false(r.post);
    assert_int_equal(request("GET /v1/modelsx HTTP/1.1\r\n\r\n", &r), 0);
    assert_int_equal(r.path, DEMO_UNKNOWN);
}

static void waits_for_the_head(void **state) {
    (void)state;
    static const char text[] = "GET /v1/models HTTP/1.1\r\nA: b\r\n\r\n";
    struct demo_request r;
    for (size_t n = 0; n < sizeof text - 1; n++)
        assert_int_equal(demo_request((const uint8_t *)text, n, &r), ERR_AGAIN);
    assert_int_equal(demo_request((const uint8_t *)text, sizeof text - 1, &r), 0);
}

static void refuses_other_requests(void **state) {
    (void)state;
    static uint8_t large[DEMO_HEAD_MAX];
    struct demo_request r;
    assert_int_equal(request("\r\n\r\n", &r), ERR_SYNTAX);
    assert_int_equal(request("GET\r\n\r\n", &r), ERR_SYNTAX);
    assert_int_equal(request("GET /x\r\nA: b c\r\n\r\n", &r), ERR_SYNTAX);
    assert_int_equal(request("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &r),
                     ERR_SYNTAX);
    assert_int_equal(request("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", &r), ERR_SYNTAX);
    assert_int_equal(request("GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", &r), ERR_SYNTAX);
    assert_int_equal(request("GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", &r),
                     ERR_LIMIT);
    assert_int_equal(request("GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n", &r),
                     ERR_SYNTAX);
    memset(large, 'a', sizeof large);
    assert_int_equal(demo_request(large, sizeof large, &r), ERR_LIMIT);
}

static bool flag(const char *json, const char *key, int depth) {
    return demo_flag((const uint8_t *)json, strlen(json), key, depth);
}

static void finds_flags(void **state) {
    (void)state;
    assert_true(flag("{\"stream\":true}", "stream", 1));
    assert_true(flag("{ \"a\" : [ {} ] , \"stream\" :\n true }", "stream", 1));
    assert_false(flag("{\"stream\":false}", "stream", 1));
    assert_false(flag("{\"a\":{\"stream\":true}}", "stream", 1));
    assert_false(flag("{\"a\":\"\\\"stream\\\":true\"}", "stream", 1));
    assert_false(flag("{\"a\":\"stream\"}", "stream", 1));
    assert_false(flag("{\"stream\"", "stream", 1));
    assert_false(flag("{\"stream\":tru", "stream", 1));
    assert_false(flag("{\"stream\\", "stream", 1));
    assert_false(flag("", "stream", 1));
    assert_true(flag("{\"stream_options\":{\"include_usage\":true}}", "include_usage", 2));
}

static json_t *body_of(const struct buf *b) {
    const char *text = (const char *)b->p, *body = memmem(text, b->len, "\r\n\r\n", 4);
    size_t claimed = 0;
    assert_non_null(body);
    body += 4;
    assert_int_equal(sscanf(strstr(text, "Content-Length: "), "Content-Length: %zu", &claimed), 1);
    assert_int_equal(b->len - (size_t)(body - text), claimed);
    json_t *o = json_loadb(body, claimed, 0, NULL);
    assert_non_null(o);
    return o;
}

static void answers_are_json(void **state) {
    (void)state;
    struct buf b;
    json_t *o;
    const char *content, *model;
    buf_init(&b, 65536);
    assert_int_equal(demo_answer(&b, 100, 5), 0);
    o = body_of(&b);
    assert_int_equal(json_unpack(o, "{s:s, s:[{s:{s:s}}]}", "model", &model, "choices", "message",
                                 "content", &content),
                     0);
    assert_string_equal(model, DEMO_MODEL);
    assert_non_null(strstr(content, "demo"));
    json_decref(o);
    buf_clear(&b);
    assert_int_equal(demo_models(&b), 0);
    json_decref(body_of(&b));
    buf_clear(&b);
    assert_int_equal(demo_error(&b, 404, "no"), 0);
    json_decref(body_of(&b));
    buf_wipe(&b);
}

/* The pieces of a stream, put together, are the whole answer's text. */
static void a_stream_is_the_answer(void **state) {
    (void)state;
    struct buf piece, whole;
    char streamed[4096] = "";
    const char *content;
    bool last = false, usage = false;
    buf_init(&piece, 65536);
    buf_init(&whole, 65536);
    for (unsigned i = 0; !last; i++) {
        assert_true(i < 1000);
        buf_clear(&piece);
        assert_int_equal(demo_stream_piece(&piece, i, true, 100, 5, &last), 0);
        size_t size = 0;
        int at = 0;
        assert_int_equal(sscanf((const char *)piece.p, "%zx\r\n%n", &size, &at), 1);
        const char *data = (const char *)piece.p + at;
        assert_memory_equal(data, "data: ", 6);
        assert_memory_equal(data + size - 2, "\n\n\r\n", 4);
        if (last) {
            assert_memory_equal(data, "data: [DONE]\n\n\r\n0\r\n\r\n", 21);
            break;
        }
        assert_int_equal(piece.len, (size_t)at + size + 2);
        json_t *o = json_loadb(data + 6, size - 8, 0, NULL);
        assert_non_null(o);
        if (!json_unpack(o, "{s:[{s:{s:s}}]}", "choices", "delta", "content", &content))
            strcat(streamed, content);
        usage = usage || json_is_object(json_object_get(o, "usage"));
        json_decref(o);
    }
    assert_true(usage);
    assert_int_equal(demo_answer(&whole, 100, 5), 0);
    json_t *o = body_of(&whole);
    assert_int_equal(json_unpack(o, "{s:[{s:{s:s}}]}", "choices", "message", "content", &content),
                     0);
    assert_string_equal(streamed, content);
    json_decref(o);
    buf_wipe(&piece);
    buf_wipe(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests),         cmocka_unit_test(waits_for_the_head),
        cmocka_unit_test(refuses_other_requests), cmocka_unit_test(finds_flags),
        cmocka_unit_test(answers_are_json),       cmocka_unit_test(a_stream_is_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
