/* Server-sent events: line ends, fields, comments, and streams that end in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "llm/sse.h"

/* Events as "type|data;" and the tail as "~tail". */
static const char *run(const char *text) {
    static char out[1024];
    struct sse s;
    struct sse_event e;
    const uint8_t *tail;
    size_t n;
    out[0] = 0;
    sse_init(&s, text, strlen(text));
    while (sse_next(&s, &e))
        sprintf(out + strlen(out), "%.*s|%.*s;", (int)e.type_len, e.type ? (const char *)e.type : "",
                (int)e.data_len, (const char *)e.data);
    assert_int_equal(s.rc, 0);
    if (sse_tail(&s, &tail, &n))
        sprintf(out + strlen(out), "~%.*s", (int)n, (const char *)tail);
    sse_done(&s);
    return out;
}

static void events(void **state) {
    (void)state;
    assert_string_equal(run("data: a\n\ndata:b\n\n"), "|a;|b;");
    assert_string_equal(run("data: a\r\n\r\ndata: b\r\n\r\n"), "|a;|b;");
    assert_string_equal(run("data: a\r\rdata: b\r\r"), "|a;|b;");
    assert_string_equal(run("\xef\xbb\xbf" "data: a\n\n"), "|a;");
    assert_string_equal(run("data:  a \n\n"), "| a ;");
    assert_string_equal(run("data\n\n"), "|;");
    assert_string_equal(run("data: a\ndata: b\ndata:\n\n"), "|a\nb\n;");
    assert_string_equal(run("event: x\ndata: a\n\ndata: b\n\n"), "x|a;|b;");
    assert_string_equal(run("event: x\n\ndata: b\n\n"), "|b;");
    assert_string_equal(run(": c\n\n:\ndata: a\nid: 7\nretry: 5\nother: x\n\n"), "|a;");
    assert_string_equal(run("data: a:b\n\n"), "|a:b;");
    assert_string_equal(run("database: a\n\n"), "");
    assert_string_equal(run(""), "");
    assert_string_equal(run("\n\r\n\r"), "");
}

static void tails(void **state) {
    (void)state;
    assert_string_equal(run("data: a\n\ndata: b"), "|a;~data: b");
    assert_string_equal(run("data: a\n\ndata: b\n"), "|a;~data: b\n");
    assert_string_equal(run("data: a\n\n\n: wait"), "|a;");
    assert_string_equal(run("data: a\n\nevent: x\ndata: b\r\n"), "|a;~event: x\ndata: b\r\n");
    struct sse s;
    struct sse_event e;
    sse_init(&s, "data: a\n\nevent: x\ndata: b\ndata: c", 33);
    while (sse_next(&s, &e))
        ;
    assert_true(sse_tail_event(&s, &e));
    assert_int_equal(e.data_len, 3);
    assert_memory_equal(e.data, "b\nc", 3);
    sse_done(&s);
}

/* Where the events end: "4,9," and what is open after the last, "~3". */
static const char *cuts(const char *text, size_t at) {
    static char out[256];
    struct sse_cut c = {0};
    enum sse_piece piece;
    size_t ends[16], n = 0, pos = 0, len = strlen(text);
    while (pos < len) {
        size_t room = pos < at ? at - pos : len - pos;
        size_t used = sse_cut(&c, (const uint8_t *)text + pos, room, &piece);
        assert_in_range(used, 1, room);
        pos += used;
        if (piece == SSE_END)
            ends[n++] = pos;
        else if (piece == SSE_LATE)
            ends[n - 1] = pos;
        else
            assert_int_equal(used, room);
    }
    out[0] = 0;
    for (size_t i = 0; i < n; i++)
        sprintf(out + strlen(out), "%zu,", ends[i]);
    if (pos > (n ? ends[n - 1] : 0))
        sprintf(out + strlen(out), "~%zu", pos - (n ? ends[n - 1] : 0));
    assert_int_equal(c.open, strchr(out, '~') != NULL);
    return out;
}

static void cut_while_passing(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"data: a\n\ndata: b\n\n", "9,18,"}, {"data: a\r\n\r\nx\r\n\r\n", "11,16,"},
        {"data: a\r\rx\r\r", "9,12,"},       {"a\r\n\nb\n\r\nc\r\r\nd", "4,8,12,~1"},
        {"\n\r\n\r", "1,3,4,"},             {"a\nb\n", "~4"},
        {"", ""},                            {": x\n\n\n", "5,6,"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t at = 0; at <= strlen(table[i][0]); at++)
            assert_string_equal(cuts(table[i][0], at), table[i][1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(events), cmocka_unit_test(tails),
                                       cmocka_unit_test(cut_while_passing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
