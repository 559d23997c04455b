/* Rows: the golden RowBinary of each table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "record/rows.h"
#include "../vectors.h"

#define TIME_US 1764000000123456u
static const struct rows_place place = {.sealer = 0x0123456789abcdef, .batch = 7, .index = 300};

static void expect(const struct buf *b, const char *name) {
    vectors_load("rows");
    vector_equals("", name, b->p, b->len);
}

static struct context golden_context(void) {
    struct context c;
    size_t used;
    vectors_load("context");
    const struct vector *e = vector2("turn.", "encoded");
    assert_int_equal(context_decode(&c, e->p, e->len, &used), 0);
    return c;
}

static void data_key(void **state) {
    (void)state;
    struct data_key_row r;
    struct buf b;
    buf_init(&b, 4096);
    vectors_load("datakey");
    assert_int_equal(data_key_row_decode(&r, vector("row")->p, vector("row")->len), 0);
    assert_int_equal(rows_encode_data_key(&b, &r, &place), 0);
    expect(&b, "data_key");
    buf_wipe(&b);
}

static void turn(void **state) {
    (void)state;
    uint8_t envelope[1024];
    struct turn_row r = {.ctx = golden_context(), .time_us = TIME_US, .envelope = envelope};
    struct buf b;
    buf_init(&b, 4096);
    vectors_load("envelope");
    r.envelope_len = vector2("second.", "envelope")->len;
    vector_copy(envelope, r.envelope_len, "second.", "envelope");
    assert_int_equal(rows_encode_turn(&b, &r, &place), 0);
    expect(&b, "turn");
    /* The first of its conversation does not store its id twice. */
    buf_clear(&b);
    memcpy(r.ctx.conversation, r.ctx.record, UUID_BYTES);
    assert_int_equal(rows_encode_turn(&b, &r, &place), 0);
    expect(&b, "turn.first");
    /* A long envelope has a length of several bytes. */
    static uint8_t large[20000];
    assert_true(r.envelope_len < 128);
    size_t fixed = b.len - r.envelope_len - 1;
    buf_wipe(&b);
    buf_init(&b, 32768);
    r.envelope = large;
    r.envelope_len = sizeof large;
    assert_int_equal(rows_encode_turn(&b, &r, &place), 0);
    assert_int_equal(b.len, fixed + 3 + sizeof large);
    buf_wipe(&b);
    buf_init(&b, 1000);
    assert_int_equal(rows_encode_turn(&b, &r, &place), ERR_LIMIT);
    buf_wipe(&b);
}

static void interaction(void **state) {
    (void)state;
    struct context c = golden_context();
    struct interaction_row r = {
        .tenant = "acme",
        .project = "support",
        .key = "k1f3a",
        .time_us = TIME_US,
        .dialect = "openai.chat",
        .provider = "deepseek",
        .model_asked = "deepseek-chat",
        .model = "other",
        .status = 200,
        .outcome = "complete",
        .finish = "stop",
        .streamed = true,
        .tokens_input = 100,
        .tokens_output = 200,
        .tokens_cached = 30,
        .tokens_reasoning = 40,
        .usage = "reported",
        .cost_nano = 123456789012,
        .ttft_us = 1000,
        .duration_us = 2000,
        .overhead_us = 30,
        .attempts = 2,
        .worker_epoch = 0x1122334455667788,
        .worker_sequence = 99,
        .stored = "turn",
    };
    struct buf b;
    memcpy(r.id, c.record, UUID_BYTES);
    memcpy(r.subject, c.subject, UUID_BYTES);
    memcpy(r.conversation, c.conversation, UUID_BYTES);
    memcpy(r.parent, c.parent, UUID_BYTES);
    buf_init(&b, 4096);
    assert_int_equal(rows_encode_interaction(&b, &r, &place), 0);
    expect(&b, "interaction");
    buf_wipe(&b);
}

static void finding(void **state) {
    (void)state;
    struct context c = golden_context();
    struct finding_row r = {
        .tenant = "acme",
        .project = "support",
        .key = "k1f3a",
        .time_us = TIME_US,
        .class = "github-token",
        .rule = "github-fine-grained",
        .place = "prompt",
        .count = 3,
        .fingerprint = "YQYL3GNXXOTIW3IXTXREJTBKLU",
        .fingerprint_key = 2,
    };
    struct buf b;
    memcpy(r.interaction, c.record, UUID_BYTES);
    memcpy(r.subject, c.subject, UUID_BYTES);
    buf_init(&b, 4096);
    assert_int_equal(rows_encode_finding(&b, &r, &place), 0);
    expect(&b, "finding");
    buf_wipe(&b);
}

/* Labels take the places of the three empty columns, and nothing else moves. */
static void labelled(void **state) {
    (void)state;
    static const uint8_t empty[] = {0, 0, 0}; /* two texts and a map */
    static const uint8_t filled[] = "\3s-1\2t2\2\4team\3web\1a\1b";
    struct interaction_row r = {.worker_epoch = 0x1122334455667788, .attempts = 0xab};
    struct buf plain, labels;
    buf_init(&plain, 4096);
    buf_init(&labels, 4096);
    assert_int_equal(rows_encode_interaction(&plain, &r, &place), 0);
    strcpy(r.session_id, "s-1");
    strcpy(r.trace_id, "t2");
    strcpy(r.tags[0].name, "team");
    strcpy(r.tags[0].text, "web");
    strcpy(r.tags[1].name, "a");
    strcpy(r.tags[1].text, "b");
    r.tag_count = 2;
    assert_int_equal(rows_encode_interaction(&labels, &r, &place), 0);
    size_t at = 0;
    while (plain.p[at] != 0xab) /* attempts, then findings */
        at++;
    at += 3;
    assert_memory_equal(plain.p, labels.p, at);
    assert_memory_equal(plain.p + at, empty, sizeof empty);
    assert_memory_equal(labels.p + at, filled, sizeof filled - 1);
    assert_int_equal(plain.len - at - sizeof empty, labels.len - at - (sizeof filled - 1));
    assert_memory_equal(plain.p + at + sizeof empty, labels.p + at + sizeof filled - 1,
                        plain.len - at - sizeof empty);
    buf_wipe(&plain);
    buf_wipe(&labels);
}

static void names(void **state) {
    (void)state;
    assert_string_equal(rows_table_name(ROWS_DATA_KEYS), "data_keys");
    assert_string_equal(rows_table_name(ROWS_TURNS), "turns");
    assert_string_equal(rows_table_name(ROWS_INTERACTIONS), "interactions");
    assert_string_equal(rows_table_name(ROWS_FINDINGS), "findings");
    assert_null(rows_table_name((enum rows_table)0));
    assert_null(rows_table_name((enum rows_table)(ROWS_TABLE_LAST + 1)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_key), cmocka_unit_test(turn),    cmocka_unit_test(interaction),
        cmocka_unit_test(labelled), cmocka_unit_test(finding), cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
