/* Subjects' names: golden encodings, both directions, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/err.h"
#include "record/subject.h"
#include "../vectors.h"

static const char *const names[] = {"named.", "key.", "longest."};

static void golden(void **state) {
    (void)state;
    vectors_load("subject");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *n = names[i];
        struct subject_name s;
        uint8_t out[SUBJECT_NAME_MAX], tag[32];
        const struct vector *e = vector2(n, "encoded"), *name = vector2(n, "name");
        size_t len = subject_encode_name(
            out, sizeof out, (char *)vector2(n, "tenant")->p, (char *)vector2(n, "project")->p,
            (uint8_t)vector_number(n, "kind"), (char *)name->p, name->len);
        vector_equals(n, "encoded", out, len);
        /* It needs exactly its length. */
        assert_int_equal(subject_encode_name(out, len, (char *)vector2(n, "tenant")->p,
                                             (char *)vector2(n, "project")->p,
                                             (uint8_t)vector_number(n, "kind"), (char *)name->p,
                                             name->len),
                         len);
        assert_int_equal(subject_encode_name(out, len - 1, (char *)vector2(n, "tenant")->p,
                                             (char *)vector2(n, "project")->p,
                                             (uint8_t)vector_number(n, "kind"), (char *)name->p,
                                             name->len),
                         0);
        assert_int_equal(subject_decode_name(&s, e->p, e->len), 0);
        vector_equals(n, "tenant", s.tenant, strlen(s.tenant));
        vector_equals(n, "project", s.project, strlen(s.project));
        vector_equals(n, "name", s.name, strlen(s.name));
        assert_int_equal(s.kind, vector_number(n, "kind"));
        crypto_generichash(tag, sizeof tag, e->p, e->len, vector("pepper")->p, 32);
        vector_equals(n, "tag", tag, sizeof tag);
    }
}

static void too_long(void **state) {
    (void)state;
    uint8_t out[2 * SUBJECT_NAME_MAX];
    char longest[LIMIT_SUBJECT_NAME + 1], part[LIMIT_NAME + 1];
    memset(longest, 'n', sizeof longest);
    memset(part, 'p', sizeof part);
    part[LIMIT_NAME] = 0;
    assert_int_equal(
        subject_encode_name(out, sizeof out, "t", "p", SUBJECT_NAMED, longest, LIMIT_SUBJECT_NAME),
        0);
    assert_int_equal(subject_encode_name(out, sizeof out, part, "p", SUBJECT_NAMED, "n", 1), 0);
    assert_int_equal(subject_encode_name(out, sizeof out, "t", part, SUBJECT_NAMED, "n", 1), 0);
    assert_int_equal(subject_encode_name(out, sizeof out, "t", "p", 0, "n", 1), 0);
    assert_int_equal(subject_encode_name(out, sizeof out, "t", "p", 3, "n", 1), 0);
    assert_int_equal(subject_encode_name(out, sizeof out, "t", "p", SUBJECT_NAMED, "a\0b", 3), 0);
    assert_int_equal(subject_encode_name(out, 0, "t", "p", SUBJECT_NAMED, "n", 1), 0);
}

static void strict(void **state) {
    (void)state;
    struct subject_name s, before;
    uint8_t p[64];
    size_t len = subject_encode_name(p, sizeof p, "ten", "pro", SUBJECT_NAMED, "name", 4);
    memset(&s, 0x5a, sizeof s);
    before = s;
    for (size_t n = 0; n < len; n++)
        assert_int_equal(subject_decode_name(&s, p, n), ERR_SYNTAX);
    p[len] = 0;
    assert_int_equal(subject_decode_name(&s, p, len + 1), ERR_SYNTAX);
    const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 64}, {0, 4}, {1, 0}, {4, 2},  {5, 0},  {8, 0},
                 {8, 3},  {9, 5}, {9, 3}, {10, 1}, {11, 0}, {14, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t kept = p[wrong[i].at];
        p[wrong[i].at] = wrong[i].value;
        assert_int_equal(subject_decode_name(&s, p, len), ERR_SYNTAX);
        p[wrong[i].at] = kept;
    }
    assert_memory_equal(&s, &before, sizeof s); /* an error leaves it alone */
    assert_int_equal(subject_decode_name(&s, p, len), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(too_long),
        cmocka_unit_test(strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
