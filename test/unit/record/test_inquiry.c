/* The payloads of questions about persons: what is written is read as it was, and what is short, long or beyond
 * a limit is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "record/inquiry.h"
#include "record/subject.h"

static struct buf b;

static int begin(void **state) {
    (void)state;
    buf_init(&b, 1 << 20);
    return 0;
}

static int end(void **state) {
    (void)state;
    buf_wipe(&b);
    return 0;
}

/* Each shorter payload, in memory of its own, so that a look beyond it is seen; and one byte more. */
#define REFUSED_BUT_WHOLE(type, decode, more)                                                      \
    do {                                                                                           \
        struct type it_;                                                                           \
        for (size_t n_ = 0; n_ < b.len; n_++) {                                                    \
            uint8_t *p_ = malloc(n_ + 1);                                                          \
            memcpy(p_, b.p, n_);                                                                   \
            assert_int_equal(decode(&it_, p_, n_), ERR_SYNTAX);                                    \
            free(p_);                                                                              \
        }                                                                                          \
        assert_int_equal(buf_append_u8(&b, 0), 0);                                                 \
        assert_int_equal(decode(&it_, b.p, b.len), more);                                          \
    } while (0)

static void events(void **state) {
    static char reason[LIMIT_REASON + 1], person[256];
    struct inquiry_event out, in = {.kind = 16,
                                    .index = 1ull << 40,
                                    .time_us = 1764000000000000,
                                    .uid = UINT32_MAX,
                                    .person = "anna",
                                    .person_len = 4,
                                    .reason = "why",
                                    .reason_len = 3,
                                    .fields = (const uint8_t *)"fields",
                                    .fields_len = 6,
                                    .rest = (const uint8_t *)"\x02\0\0\0\1",
                                    .rest_len = 5};
    (void)state;
    assert_int_equal(inquiry_put_event(&b, &in), 0);
    assert_int_equal(inquiry_event_decode(&out, b.p, b.len), 0);
    assert_int_equal(out.kind, in.kind);
    assert_int_equal(out.index, in.index);
    assert_int_equal(out.time_us, in.time_us);
    assert_int_equal(out.uid, in.uid);
    assert_int_equal(out.person_len, in.person_len);
    assert_memory_equal(out.person, in.person, in.person_len);
    assert_int_equal(out.reason_len, in.reason_len);
    assert_memory_equal(out.reason, in.reason, in.reason_len);
    assert_int_equal(out.fields_len, in.fields_len);
    assert_memory_equal(out.fields, in.fields, in.fields_len);
    assert_int_equal(out.rest_len, in.rest_len);
    assert_memory_equal(out.rest, in.rest, in.rest_len);
    REFUSED_BUT_WHOLE(inquiry_event, inquiry_event_decode, ERR_SYNTAX);
    /* The least, and the most. */
    buf_clear(&b);
    in = (struct inquiry_event){.kind = 1};
    assert_int_equal(inquiry_put_event(&b, &in), 0);
    assert_int_equal(inquiry_event_decode(&out, b.p, b.len), 0);
    assert_int_equal(out.person_len + out.reason_len + out.fields_len + out.rest_len, 0);
    buf_clear(&b);
    memset(reason, 'r', sizeof reason);
    in = (struct inquiry_event){.person = person, .person_len = 255, .reason = reason, .reason_len = LIMIT_REASON};
    assert_int_equal(inquiry_put_event(&b, &in), 0);
    assert_int_equal(inquiry_event_decode(&out, b.p, b.len), 0);
    buf_clear(&b);
    in.reason_len++;
    assert_int_equal(inquiry_put_event(&b, &in), 0);
    assert_int_equal(inquiry_event_decode(&out, b.p, b.len), ERR_SYNTAX);
    in.person_len++;
    assert_int_equal(inquiry_put_event(&b, &in), ERR_LIMIT);
}

static void readings(void **state) {
    struct inquiry_reading out, in = {.kind = 2,
                                      .index = 9,
                                      .time_us = 1764000000000000,
                                      .uid = 1000,
                                      .cells = 4096,
                                      .known = true,
                                      .subject = {1, 2, 3},
                                      .person = "anna",
                                      .person_len = 4,
                                      .reason = "why",
                                      .reason_len = 3};
    (void)state;
    assert_int_equal(inquiry_put_reading(&b, &in), 0);
    assert_int_equal(inquiry_reading_decode(&out, b.p, b.len), 0);
    assert_int_equal(out.cells, in.cells);
    assert_true(out.known);
    assert_memory_equal(out.subject, in.subject, sizeof in.subject);
    assert_memory_equal(out.reason, in.reason, in.reason_len);
    b.p[25] = 2; /* neither known nor not */
    assert_int_equal(inquiry_reading_decode(&out, b.p, b.len), ERR_SYNTAX);
    b.p[25] = 1;
    REFUSED_BUT_WHOLE(inquiry_reading, inquiry_reading_decode, ERR_SYNTAX);
}

static void persons(void **state) {
    static const uint8_t ids[2 * INQUIRY_ID_ROW] = {7};
    struct inquiry_person out;
    const struct inquiry_person in = {.held_since_us = 5, .reason = "a lawsuit", .reason_len = 9,
                                      .name = (const uint8_t *)"name", .name_len = 4, .ids = ids, .count = 2};
    (void)state;
    assert_int_equal(inquiry_put_person(&b, &in), 0);
    assert_int_equal(inquiry_person_decode(&out, b.p, b.len), 0);
    assert_int_equal(out.held_since_us, 5);
    assert_int_equal(out.count, 2);
    assert_memory_equal(out.ids, ids, sizeof ids);
    assert_int_equal(inquiry_person_decode(&out, b.p, b.len - INQUIRY_ID_ROW), 0); /* fewer of them */
    assert_int_equal(inquiry_person_decode(&out, b.p, b.len - 1), ERR_SYNTAX);
    assert_int_equal(inquiry_person_decode(&out, b.p, INQUIRY_REQUEST_BYTES + 7), ERR_SYNTAX);
}

static void questions(void **state) {
    uint8_t name[SUBJECT_NAME_MAX];
    struct inquiry q;
    static char reason[LIMIT_REASON + 1];
    const size_t n = subject_encode_name(name, sizeof name, "default", "chat", SUBJECT_NAMED, "alice", 5);
    (void)state;
    assert_true(n > 0);
    assert_int_equal(inquiry_begin(&b, INQUIRY_ERASE, "why", 3), 0);
    assert_int_equal(inquiry_decode(&q, b.p, b.len), ERR_SYNTAX); /* nobody is named */
    for (size_t i = 0; i < INQUIRY_NAMES_MAX; i++)
        assert_int_equal(inquiry_add(&b, name, n), 0);
    assert_int_equal(inquiry_decode(&q, b.p, b.len), 0);
    assert_int_equal(q.verb, INQUIRY_ERASE);
    assert_int_equal(q.reason_len, 3);
    assert_int_equal(inquiry_add(&b, name, n), 0);
    assert_int_equal(inquiry_decode(&q, b.p, b.len), ERR_LIMIT);
    b.p[0] = INQUIRY_VERB_LAST + 1;
    assert_int_equal(inquiry_decode(&q, b.p, b.len), ERR_SYNTAX);
    buf_clear(&b);
    assert_int_equal(inquiry_begin(&b, INQUIRY_FIND, reason, sizeof reason), 0);
    assert_int_equal(inquiry_add(&b, name, n), 0);
    assert_int_equal(inquiry_decode(&q, b.p, b.len), ERR_SYNTAX);
    buf_clear(&b);
    assert_int_equal(inquiry_begin(&b, INQUIRY_FIND, "", 0), 0);
    assert_int_equal(inquiry_add(&b, name, n - 1), 0); /* not a whole name */
    assert_int_not_equal(inquiry_decode(&q, b.p, b.len), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(events), TEST(readings), TEST(persons), TEST(questions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
