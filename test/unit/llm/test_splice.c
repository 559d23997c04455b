/* Splicing: what requests become, and streams without what was asked for on their behalf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "llm/splice.h"

/* ---- requests ---- */

static const char *apply(const struct splice_list *l, const char *text) {
    static char out[1024];
    size_t at = 0, n = 0, len = strlen(text);
    for (size_t i = 0; i < l->count; i++) {
        const struct splice_edit *e = &l->edit[i];
        assert_true(e->at >= at && e->at + e->cut <= len);
        memcpy(out + n, text + at, e->at - at);
        n += e->at - at;
        memcpy(out + n, e->text, e->len);
        n += e->len;
        at = e->at + e->cut;
    }
    strcpy(out + n, text + at);
    assert_int_equal(strlen(out), splice_length(l, len));
    return out;
}

static void scan(struct reqscan *s, const char *text) {
    reqscan_init(s);
    assert_int_equal(reqscan_feed(s, (const uint8_t *)text, strlen(text)), 0);
    assert_int_equal(reqscan_done(s), 0);
}

static void asks_for_usage(void **state) {
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: not touched */
    } table[] = {
        {"{\"stream\":true}", "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {" { \"model\":\"m\", \"stream\" : true , \"x\":{\"stream_options\":1} } \n",
         " { \"model\":\"m\", \"stream\" : true , \"x\":{\"stream_options\":1} ,\"stream_options\":{\"include_usage\":true}} \n"},
        {"{\"stream_options\":{ },\"stream\":true}", "{\"stream_options\":{\"include_usage\":true },\"stream\":true}"},
        {"{\"stream_options\":{\"a\":1},\"stream\":true}", "{\"stream_options\":{\"include_usage\":true,\"a\":1},\"stream\":true}"},
        {"{\"stream_options\":{\"include_usage\": false },\"stream\":true}", "{\"stream_options\":{\"include_usage\": true },\"stream\":true}"},
        {"{\"stream_options\":{\"include_usage\":null},\"stream\":true}", "{\"stream_options\":{\"include_usage\":true},\"stream\":true}"},
        {"{\"stream_options\":null,\"stream\":true}", "{\"stream_options\":{\"include_usage\":true},\"stream\":true}"},
        {"{\"stream_options\":{\"include_usage\":true},\"stream\":true}", NULL},
        {"{\"stream_options\":{\"include_usage\":1},\"stream\":true}", NULL},
        {"{\"stream_options\":[],\"stream\":true}", NULL},
        {"{\"stream\":false}", NULL},
        {"{}", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct reqscan s;
        struct splice_list l = {0};
        scan(&s, table[i].text);
        assert_int_equal(splice_usage(&l, &s), table[i].want != NULL);
        assert_string_equal(apply(&l, table[i].text), table[i].want ? table[i].want : table[i].text);
    }
}

static void replaces_values(void **state) {
    (void)state;
    const char *text = "{\"user\":\"\\u4e2d\",\"metadata\":{\"user_id\":\"m\"},\"stream\":true,\"model\":\"a\",\"n\":1}";
    struct reqscan s;
    struct splice_list l = {0};
    scan(&s, text);
    assert_true(splice_value(&l, &s, REQSCAN_MODEL, "\"gpt-4o\"", 8));
    assert_true(splice_usage(&l, &s));
    assert_true(splice_value(&l, &s, REQSCAN_METADATA_USER_ID, "\"p\"", 3));
    assert_true(splice_value(&l, &s, REQSCAN_USER, "\"p\"", 3));
    assert_false(splice_value(&l, &s, REQSCAN_USER_ID, "\"p\"", 3));
    assert_string_equal(apply(&l, text), "{\"user\":\"p\",\"metadata\":{\"user_id\":\"p\"},\"stream\":true,\"model\":\"gpt-4o\","
                                         "\"n\":1,\"stream_options\":{\"include_usage\":true}}");
}

/* ---- streams ---- */

struct sink {
    char text[4096];
    size_t n;
};

static int take(void *arg, const uint8_t *p, size_t len) {
    struct sink *s = arg;
    assert_true(len > 0 && s->n + len < sizeof s->text);
    memcpy(s->text + s->n, p, len);
    s->n += len;
    s->text[s->n] = 0;
    return 0;
}

static void feed(struct splice_strip *s, const char *p, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    assert_int_equal(splice_strip_feed(s, copy, n), 0);
    free(copy);
}

struct stream {
    const char *text, *want; /* NULL: the same */
};

#define D(x) "data: " x "\n\n"
#define CHUNK "{\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]"
#define USAGE "\"usage\":{\"prompt_tokens\":1}"

static const struct stream streams[] = {
    {D(CHUNK ",\"usage\":null}") D("{\"id\":\"a\",\"choices\":[]," USAGE "}") D("[DONE]"), D(CHUNK "}") D("[DONE]")},
    {D(CHUNK ", \"usage\": null, \"x\": 1}"), D(CHUNK ", \"x\": 1}")},
    {D("{\"usage\":null,\"x\":1}"), D("{\"x\":1}")},
    {D("{ \"usage\" : null , \"x\":1}"), D("{ \"x\":1}")},
    {D("{\"usage\":null}"), D("{}")},
    {D("{\"choices\":[],\"x\":1,\"usage\":null}") D("{}"), D("{\"choices\":[],\"x\":1}") D("{}")},
    {": wait\n\n" D("{" USAGE ",\"choices\": [ ]}") ": wait\n\n", ": wait\n\n: wait\n\n"},
    {"event: x\nid: 7\ndata:{\"choices\":[]," USAGE "}\n\nevent: y\ndata:{\"usage\":null}\nid: 8\n\n",
     "event: y\ndata:{}\nid: 8\n\n"},
    {"data: {\"choices\":[]," USAGE "}\r\n\r\ndata: {\"usage\":null}\r\n\r\ndata: [DONE]\r\n\r\n",
     "data: {}\r\n\r\ndata: [DONE]\r\n\r\n"},
    {"data: {\"choices\":[]," USAGE "}\r\rdata: {\"usage\":null}\r\r", "data: {}\r\r"},
    {"\xef\xbb\xbf" D("{\"usage\":null}"), "\xef\xbb\xbf" D("{}")},
    {"\n\n\r\n" D("{}") "\n", NULL},
    /* what stays */
    {D("{\"choices\":[{\"x\":1}]," USAGE "}"), NULL},
    {D("{\"choices\":null," USAGE "}"), NULL},
    {D("{" USAGE "}"), NULL},
    {D("{\"choices\":[{\"usage\":null}],\"x\":\"\\\"usage\\\":null,\"}"), NULL},
    {D("{\"choices\":[{\"delta\":{\"content\":\"\\\\\\\",\\\"usage\\\":null}\"}}]}"), NULL},
    {D("{\"usage\":null,\"usage\":null}"), NULL},
    {D("{\"usage\":null"), NULL},
    {D("{\"usage\":null}]}"), NULL},
    {D("{\"usage\":null} x}"), NULL},
    {D("[\"usage\",null]"), NULL},
    {D("\"usage\""), NULL},
    {"data: {\"choices\":[],\ndata: " USAGE "}\n\n", NULL},
    {D("{}") "data: {\"choices\":[]," USAGE "}", NULL},
    {D("{}") "data: {\"usage\":null}\n", NULL},
    {"", NULL},
};

static void strip_at(const struct stream *t, size_t at, size_t step) {
    struct splice_strip s;
    struct sink out = {0};
    size_t n = strlen(t->text);
    splice_strip_init(&s, take, &out);
    for (size_t from = 0, to = at; from < n || !n; from = to, to += step) {
        feed(&s, t->text + from, (to < n ? to : n) - from);
        if (to >= n)
            break;
    }
    assert_int_equal(splice_strip_finish(&s), 0);
    splice_strip_done(&s);
    assert_string_equal(out.text, t->want ? t->want : t->text);
}

static void strips(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const struct stream *t = &streams[i];
        for (size_t at = 0; at <= strlen(t->text); at++)
            strip_at(t, at, 1u << 20);
        for (size_t step = 1; step < 9; step++)
            strip_at(t, step, step);
    }
}

/* A whole event goes out with the call that completes it. */
static void at_once(void **state) {
    (void)state;
    struct splice_strip s;
    struct sink out = {0};
    splice_strip_init(&s, take, &out);
    feed(&s, D("{\"a\":1}") "data: {", sizeof(D("{\"a\":1}") "data: {") - 1);
    assert_string_equal(out.text, D("{\"a\":1}"));
    feed(&s, "}\n", 2);
    assert_string_equal(out.text, D("{\"a\":1}"));
    feed(&s, "\n", 1);
    assert_string_equal(out.text, D("{\"a\":1}") D("{}"));
    assert_int_equal(s.held.len, 0);
    splice_strip_done(&s);
}

static int add_up(void *arg, const uint8_t *p, size_t len) {
    (void)p;
    *(size_t *)arg += len;
    return 0;
}

static int refuse(void *arg, const uint8_t *p, size_t len) {
    (void)arg;
    (void)p;
    (void)len;
    return ERR_FULL;
}

/* A larger event is not held, and what comes after it is stripped again. */
static void too_large(void **state) {
    (void)state;
    struct splice_strip s;
    size_t sent = 0;
    char *big = malloc(SPLICE_EVENT + 128);
    memset(big, 'a', SPLICE_EVENT + 128);
    memcpy(big, "data: ", 6);
    splice_strip_init(&s, add_up, &sent);
    assert_int_equal(splice_strip_feed(&s, (uint8_t *)big, 100), 0);
    assert_int_equal(sent, 0);
    assert_int_equal(splice_strip_feed(&s, (uint8_t *)big + 100, SPLICE_EVENT), 0);
    assert_int_equal(sent, SPLICE_EVENT + 100);
    assert_int_equal(splice_strip_feed(&s, (const uint8_t *)"a\n\n" D("{\"usage\":null}"), 3 + 22), 0);
    assert_int_equal(sent, SPLICE_EVENT + 103 + 10);
    splice_strip_done(&s);
    splice_strip_init(&s, refuse, NULL);
    assert_int_equal(splice_strip_feed(&s, (const uint8_t *)D("{}"), 10), ERR_FULL);
    splice_strip_done(&s);
    free(big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_usage), cmocka_unit_test(replaces_values), cmocka_unit_test(strips),
        cmocka_unit_test(at_once),        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
