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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(events), cmocka_unit_test(tails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
