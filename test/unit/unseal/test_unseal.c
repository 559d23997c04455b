/* Unsealing: what write/seal sealed opens, in order, once or twice; anything else does not. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/unseal/unseal.h"
#include "write/seal/seal.h"

#define RECORDS 5

struct sealed {
    struct data_key_row row;
    struct context ctx;
    size_t context_len, len[RECORDS];
    uint8_t cell[RECORDS][1024];
};

static uint8_t public_key[32], secret[32], mac[32];
static struct sealed it;

static int setup(void **state) {
    struct sealing *s;
    struct buf packed, envelope;
    bool fresh;
    (void)state;
    crypto_box_keypair(public_key, secret);
    randombytes_buf(mac, sizeof mac);
    it = (struct sealed){.ctx = {.tenant = "default",
                                 .project = "chat",
                                 .field = CONTEXT_FIELD_TURN,
                                 .schema = CONTEXT_SCHEMA_TURN,
                                 .dialect = "openai.chat"}};
    buf_init(&packed, 1024);
    buf_init(&envelope, 1024);
    assert_int_equal(sealing_new(&s), 0);
    assert_int_equal(sealing_writer(s, 3, mac), 0);
    for (int i = 0; i < RECORDS; i++) {
        struct data_key_row row;
        it.ctx.record[15] = (uint8_t)i;
        buf_clear(&packed);
        buf_clear(&envelope);
        assert_int_equal(buf_printf(&packed, "record %d", i), 0);
        assert_int_equal(
            sealing_record(s, &it.ctx, public_key, 7, &packed, &envelope, &row, &fresh), 0);
        assert_int_equal(fresh, i == 0);
        if (fresh)
            it.row = row;
        it.context_len = context_encode(it.cell[i], &it.ctx);
        memcpy(it.cell[i] + it.context_len, envelope.p, envelope.len);
        it.len[i] = it.context_len + envelope.len;
    }
    buf_wipe(&packed);
    buf_wipe(&envelope);
    sealing_free(s);
    return 0;
}

static int open_cell(struct unseal *u, const uint8_t *cell, size_t len, struct buf *out) {
    uint8_t dictionary = 0;
    buf_clear(out);
    int rc = unseal_record(u, cell, it.context_len, len, out, &dictionary);
    assert_int_equal(dictionary, rc ? 0 : 7);
    if (rc)
        assert_int_equal(out->len, 0);
    return rc;
}

static void opens_in_order(void **state) {
    struct unseal *u;
    struct buf out;
    char text[32];
    (void)state;
    buf_init(&out, 1024);
    assert_int_equal(unseal_new(&u), 0);
    assert_int_equal(open_cell(u, it.cell[0], it.len[0], &out), ERR_CORRUPT); /* no key yet */
    assert_int_equal(unseal_check_row(&it.row, mac), 0);
    assert_int_equal(unseal_begin(u, &it.row, public_key, secret), 0);
    for (int i = 0; i < RECORDS; i += i == 1 ? 2 : 1) /* one is left out */
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(open_cell(u, it.cell[i], it.len[i], &out), 0);
            long n = padme_unpad(out.p, out.len);
            snprintf(text, sizeof text, "record %d", i);
            assert_int_equal(n, strlen(text));
            assert_memory_equal(out.p, text, (size_t)n);
        }
    assert_int_equal(open_cell(u, it.cell[0], it.len[0], &out), ERR_USAGE); /* not backwards */
    assert_int_equal(unseal_begin(u, &it.row, public_key, secret), 0);
    assert_int_equal(open_cell(u, it.cell[0], it.len[0], &out), 0);
    unseal_end(u);
    assert_int_equal(open_cell(u, it.cell[0], it.len[0], &out), ERR_CORRUPT);
    buf_wipe(&out);
    unseal_free(u);
}

static void any_bit(void **state) {
    struct unseal *u;
    struct buf out;
    uint8_t cell[1024];
    (void)state;
    buf_init(&out, 1024);
    assert_int_equal(unseal_new(&u), 0);
    for (size_t bit = 0; bit < it.len[0] * 8; bit++) {
        memcpy(cell, it.cell[0], it.len[0]);
        cell[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(unseal_begin(u, &it.row, public_key, secret), 0);
        assert_int_not_equal(open_cell(u, cell, it.len[0], &out), 0);
    }
    for (size_t len = 0; len < it.len[0]; len++) {
        assert_int_equal(unseal_begin(u, &it.row, public_key, secret), 0);
        assert_int_not_equal(open_cell(u, it.cell[0], len, &out), 0);
    }
    /* A record under its neighbour's index, a context on another record. */
    memcpy(cell, it.cell[0], it.len[0]);
    put_u16(cell + it.context_len + ENVELOPE_HEADER_BYTES - 2, 1);
    assert_int_equal(open_cell(u, cell, it.len[0], &out), ERR_CORRUPT);
    assert_int_equal(unseal_begin(u, &it.row, public_key, secret), 0);
    memcpy(cell, it.cell[0], it.context_len);
    memcpy(cell + it.context_len, it.cell[1] + it.context_len, it.len[1] - it.context_len);
    assert_int_equal(open_cell(u, cell, it.len[1], &out), ERR_CORRUPT);
    put_u16(cell + it.context_len + ENVELOPE_HEADER_BYTES - 2, 65535); /* more than a key has */
    assert_int_equal(open_cell(u, cell, it.len[1], &out), ERR_CORRUPT);
    buf_wipe(&out);
    unseal_free(u);
}

static void rows(void **state) {
    struct unseal *u;
    struct data_key_row row = it.row;
    uint8_t other_public[32], other[32];
    (void)state;
    crypto_box_keypair(other_public, other);
    assert_int_equal(unseal_new(&u), 0);
    assert_int_equal(unseal_check_row(&row, other), ERR_CORRUPT);
    row.created_us++;
    assert_int_equal(unseal_check_row(&row, mac), ERR_CORRUPT);
    row = it.row;
    row.tenant[0] = 'D';
    assert_int_equal(unseal_check_row(&row, mac), ERR_CORRUPT);
    assert_int_equal(unseal_begin(u, &it.row, other_public, other), ERR_CORRUPT);
    row = it.row; /* another key's id */
    row.id[3] ^= 1;
    assert_int_equal(unseal_begin(u, &row, public_key, secret), ERR_CORRUPT);
    row = it.row; /* somebody else's key, wrapped to the right subject */
    crypto_box_seal(row.wrapped, other, 32, public_key);
    assert_int_equal(unseal_begin(u, &row, public_key, secret), ERR_CORRUPT);
    unseal_free(u);
    unseal_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_in_order),
        cmocka_unit_test(any_bit),
        cmocka_unit_test(rows),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, setup, NULL);
}
