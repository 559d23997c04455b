/* Data keys: golden id, ratchet, row and MAC; a row that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/err.h"
#include "record/datakey.h"
#include "../vectors.h"

static struct data_key_row read_golden(void) {
    struct data_key_row r = {0};
    vector_text(r.tenant, sizeof r.tenant, "", "tenant");
    vector_text(r.project, sizeof r.project, "", "project");
    vector_copy(r.subject, UUID_BYTES, "", "subject");
    r.created_us = vector_number("", "created_us");
    vector_copy(r.id, DATA_KEY_ID_BYTES, "", "id");
    r.writer = (uint32_t)vector_number("", "writer");
    vector_copy(r.wrapped, DATA_KEY_WRAPPED_BYTES, "", "wrapped");
    vector_copy(r.mac, DATA_KEY_MAC_BYTES, "", "mac");
    return r;
}

static void ratchet(void **state) {
    (void)state;
    uint8_t k[DATA_KEY_BYTES], record[DATA_KEY_BYTES], id[DATA_KEY_ID_BYTES];
    vectors_load("datakey");
    vector_copy(k, sizeof k, "", "k0");
    data_key_id(id, k);
    vector_equals("", "id", id, sizeof id);
    data_key_step(k, record);
    vector_equals("", "record_key.0", record, sizeof record);
    vector_equals("", "state.1", k, sizeof k);
    data_key_step(k, record);
    vector_equals("", "record_key.1", record, sizeof record);
    vector_equals("", "state.2", k, sizeof k);
    for (int i = 2; i < LIMIT_DATA_KEY_RECORDS; i++)
        data_key_step(k, record);
    vector_equals("", "record_key.1023", record, sizeof record);
}

static void wrapped(void **state) {
    (void)state;
    uint8_t k0[DATA_KEY_BYTES];
    vectors_load("datakey");
    assert_int_equal(crypto_box_seal_open(k0, vector("wrapped")->p, DATA_KEY_WRAPPED_BYTES,
                                          vector("public_key")->p, vector("secret")->p),
                     0);
    vector_equals("", "k0", k0, sizeof k0);
}

static void row(void **state) {
    (void)state;
    vectors_load("datakey");
    struct data_key_row r = read_golden(), got;
    uint8_t out[DATA_KEY_ROW_MAX], maced[DATA_KEY_MACED_MAX], mac[DATA_KEY_MAC_BYTES];
    vector_equals("", "row", out, data_key_row_encode(out, &r));
    size_t n = data_key_maced(maced, &r);
    crypto_generichash(mac, sizeof mac, maced, n, vector("mac_key")->p, 32);
    vector_equals("", "mac", mac, sizeof mac);
    const struct vector *e = vector("row");
    memset(&got, 0x5a, sizeof got);
    assert_int_equal(data_key_row_decode(&got, e->p, e->len), 0);
    assert_memory_equal(got.tenant, r.tenant, sizeof r.tenant);
    assert_int_equal(data_key_row_encode(out, &got), e->len);
    assert_memory_equal(out, e->p, e->len);
}

static void strict(void **state) {
    (void)state;
    struct data_key_row r;
    uint8_t p[DATA_KEY_ROW_MAX + 1] = {0};
    vectors_load("datakey");
    size_t len = vector("row")->len;
    memcpy(p, vector("row")->p, len);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(data_key_row_decode(&r, p, n), ERR_SYNTAX);
    assert_int_equal(data_key_row_decode(&r, p, len + 1), ERR_SYNTAX);
    for (int v = 0; v < 256; v++) { /* the tenant's length */
        p[0] = (uint8_t)v;
        if (v != 4)
            assert_int_equal(data_key_row_decode(&r, p, len), ERR_SYNTAX);
    }
    p[0] = 4;
    p[2] = 0; /* a NUL in it */
    assert_int_equal(data_key_row_decode(&r, p, len), ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratchet),
        cmocka_unit_test(wrapped),
        cmocka_unit_test(row),
        cmocka_unit_test(strict),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
