/*
 * Rows as the writers encode them, in pieces of every size: they come out whole, at their place, with
 * their leaf; and nothing else is taken for a row. The exchanges' bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/err.h"
#include "read/verify/verify_int.h"
#include "record/batch.h"
#include "record/rows.h"

static int make(void **state) {
    (void)state;
    return sodium_init() < 0;
}

/* Two rows of each table, by the encoder that writes them. */
static void encode(struct buf *out, int t, uint32_t index) {
    const struct rows_place place = {0x0102030405060708, 77, index};
    uint8_t envelope[300];
    struct data_key_row k = {.tenant = "default", .project = "shop", .writer = 3};
    struct turn_row turn = {.ctx = {.tenant = "t", .project = "", .dialect = "d"},
                            .envelope = envelope, .envelope_len = sizeof envelope};
    struct finding_row f = {.tenant = "t", .project = "p", .key = "k", .class = "c", .count = 4};
    static struct interaction_row x = {.tenant = "t", .project = "p", .key = "k", .model = "m",
                                       .tag_count = 2, .worker_epoch = 9, .worker_sequence = 41};
    strcpy(x.tags[0].name, "a");
    strcpy(x.tags[1].name, "b");
    strcpy(x.tags[1].text, "text");
    randombytes_buf(envelope, sizeof envelope);
    for (unsigned i = 0; i < 16; i++)
        k.id[i] = turn.ctx.record[i] = x.id[i] = (uint8_t)i;
    turn.ctx.conversation[0] = 1;
    switch (t) {
    case SHAPE_DATA_KEYS:
        assert_int_equal(rows_encode_data_key(out, &k, &place), 0);
        break;
    case SHAPE_TURNS:
        assert_int_equal(rows_encode_turn(out, &turn, &place), 0);
        break;
    case SHAPE_INTERACTIONS:
        assert_int_equal(rows_encode_interaction(out, &x, &place), 0);
        break;
    default:
        assert_int_equal(rows_encode_finding(out, &f, &place), 0);
    }
}

struct got {
    int table;
    const struct buf *rows;
    size_t at;
    uint32_t count;
};

static int on_row(void *arg, const struct shape_row *r) {
    struct got *g = arg;
    uint8_t leaf[32], by_writer[32], id[UUID_BYTES];
    const struct shape_place p = shape_place(r);
    assert_memory_equal(r->p, g->rows->p + g->at, r->len);
    assert_true(p.sealer == 0x0102030405060708 && p.batch == 77 && p.index == g->count);
    shape_leaf(leaf, g->table, r->p, r->len);
    batch_leaf(by_writer, (uint8_t)g->table, r->p, r->len);
    assert_memory_equal(leaf, by_writer, 32);
    shape_id(shape_of(g->table), r, id);
    for (unsigned i = 0; i < 16 && g->table != SHAPE_FINDINGS; i++)
        assert_int_equal(id[i], i);
    if (g->table == SHAPE_INTERACTIONS) {
        uint64_t epoch, sequence;
        shape_exchange(r, &epoch, &sequence);
        assert_true(epoch == 9 && sequence == 41);
    }
    g->at += r->len;
    g->count++;
    return 0;
}

static void rows_come_in_any_pieces(void **state) {
    (void)state;
    for (int t = SHAPE_DATA_KEYS; t <= SHAPE_TABLES; t++) {
        struct buf rows;
        buf_init(&rows, 65536);
        for (uint32_t i = 0; i < 3; i++)
            encode(&rows, t, i);
        for (size_t piece = 1; piece <= rows.len; piece += piece < 16 ? 1 : 37) {
            struct got g = {.table = t, .rows = &rows};
            struct shape_stream s;
            shape_stream_init(&s, t, on_row, &g);
            for (size_t at = 0; at < rows.len; at += piece)
                assert_int_equal(
                    shape_stream_feed(&s, rows.p + at, at + piece < rows.len ? piece : rows.len - at), 0);
            assert_int_equal(shape_stream_end(&s), 0);
            assert_int_equal(g.count, 3);
        }
        struct got g = {.table = t, .rows = &rows};
        struct shape_stream s;
        shape_stream_init(&s, t, on_row, &g);
        assert_int_equal(shape_stream_feed(&s, rows.p, rows.len - 1), 0);
        assert_int_equal(shape_stream_end(&s), ERR_CORRUPT); /* it ended within a row */
        buf_wipe(&rows);
    }
}

static void a_length_has_one_form(void **state) {
    /* tenant of no bytes, as 0x80 0x00 */
    const uint8_t longer[64] = {0x80, 0x00}, huge[64] = {0xff, 0xff, 0xff, 0xff, 0x7f};
    struct shape_row r;
    (void)state;
    assert_int_equal(shape_read(shape_of(SHAPE_FINDINGS), longer, sizeof longer, &r), ERR_CORRUPT);
    assert_int_equal(shape_read(shape_of(SHAPE_FINDINGS), huge, sizeof huge, &r), ERR_CORRUPT);
}

static void exchanges_are_counted(void **state) {
    struct exchanges x = {0};
    uint64_t first[4];
    size_t n;
    (void)state;
    for (uint64_t i = 1; i <= 100000; i++)
        if (i % 40000 != 7)
            assert_int_equal(exchanges_add(&x, 5, i), 0);
    assert_int_equal(exchanges_add(&x, 5, 8), ERR_EXISTS);
    assert_int_equal(exchanges_add(&x, 6, 8), 0);
    assert_int_equal(exchanges_absent(&x, 5, 100000, first, 4, &n), 3);
    assert_true(n == 3 && first[0] == 7 && first[1] == 40007 && first[2] == 80007);
    assert_int_equal(exchanges_absent(&x, 5, 100002, first, 1, &n), 5);
    assert_int_equal(exchanges_absent(&x, 5, 63, first, 0, &n), 1);
    assert_int_equal(exchanges_absent(&x, 5, 64, first, 0, &n), 1);
    assert_int_equal(exchanges_absent(&x, 6, 8, first, 4, &n), 7);
    assert_int_equal(exchanges_absent(&x, 7, 1000000, first, 0, &n), 1000000);
    assert_int_equal(exchanges_absent(&x, 7, 0, first, 4, &n), 0);
    exchanges_done(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_any_pieces),
        cmocka_unit_test(a_length_has_one_form),
        cmocka_unit_test(exchanges_are_counted),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
