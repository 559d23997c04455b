/* Contexts: golden encodings, both directions, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "record/context.h"
#include "../vectors.h"

static const char *const names[] = {"turn.", "empty.", "longest."};

static struct context read_golden(const char *n) {
    struct context c = {0};
    vector_text(c.tenant, sizeof c.tenant, n, "tenant");
    vector_text(c.project, sizeof c.project, n, "project");
    vector_copy(c.subject, UUID_BYTES, n, "subject");
    vector_copy(c.record, UUID_BYTES, n, "record");
    c.field = (uint8_t)vector_number(n, "field");
    c.schema = (uint16_t)vector_number(n, "schema");
    vector_copy(c.conversation, UUID_BYTES, n, "conversation");
    vector_copy(c.parent, UUID_BYTES, n, "parent");
    vector_copy(c.parent_hash, CONTEXT_HASH_BYTES, n, "parent_hash");
    c.kept = (uint32_t)vector_number(n, "kept");
    vector_text(c.dialect, sizeof c.dialect, n, "dialect");
    return c;
}

static void golden(void **state) {
    (void)state;
    vectors_load("context");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct context want = read_golden(names[i]), got;
        uint8_t out[CONTEXT_MAX + 8] = {0};
        size_t used, len = context_encode(out, &want);
        assert_true(len <= CONTEXT_MAX);
        vector_equals(names[i], "encoded", out, len);
        memset(&got, 0x5a, sizeof got);
        assert_int_equal(context_decode(&got, out, len + 8, &used), 0); /* more may follow */
        assert_int_equal(used, len);
        assert_string_equal(got.tenant, want.tenant);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

static void strict(void **state) {
    (void)state;
    vectors_load("context");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct vector *e = vector2(names[i], "encoded");
        struct context c, before;
        size_t used = 77;
        memset(&c, 0x5a, sizeof c);
        before = c;
        for (size_t n = 0; n < e->len; n++)
            assert_int_equal(context_decode(&c, e->p, n, &used), ERR_SYNTAX);
        for (int v = 0; v < 256; v++) {
            e->p[0] = (uint8_t)v;
            if (v != CONTEXT_VERSION)
                assert_int_equal(context_decode(&c, e->p, e->len, &used), ERR_VERSION);
        }
        e->p[0] = CONTEXT_VERSION;
        for (int v = LIMIT_NAME; v < 256; v++) { /* a string's length */
            uint8_t kept = e->p[1];
            e->p[1] = (uint8_t)v;
            assert_int_equal(context_decode(&c, e->p, e->len, &used), ERR_SYNTAX);
            e->p[1] = kept;
        }
        assert_memory_equal(&c, &before, sizeof c);
        assert_int_equal(used, 77);
    }
    const struct vector *e = vector2("turn.", "encoded");
    struct context c;
    size_t used;
    e->p[3] = 0; /* a NUL in the tenant */
    assert_int_equal(context_decode(&c, e->p, e->len, &used), ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(strict)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
