/* Cells in a result: found wherever pieces are cut, opened in groups, replaced, counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/query/cells.h"

/* A cell whose envelope says what opening it gives: 22 header bytes, then the text, then the tag.
 */
static void put_cell(struct buf *out, const char *text) {
    struct context ctx = {.project = "p", .field = CONTEXT_FIELD_TURN, .schema = 1};
    uint8_t bytes[1024] = {0};
    char encoded[1500];
    size_t n = context_encode(bytes, &ctx), len = strlen(text);
    memcpy(bytes + n + ENVELOPE_HEADER_BYTES, text, len);
    n += ENVELOPE_OVERHEAD + len;
    size_t e = b64url_encode(encoded, bytes, n);
    assert_int_equal(buf_append_str(out, CELL_PREFIX), 0);
    assert_int_equal(buf_append(out, encoded, e), 0);
}

static size_t groups, largest;

/* "!" at the beginning: the key is gone. */
static void open_cells(void *arg, const struct cell *cells, size_t n, struct opened *ret) {
    (void)arg;
    groups++;
    largest = n > largest ? n : largest;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = cells[i].envelope + ENVELOPE_HEADER_BYTES;
        size_t len = cells[i].envelope_len - ENVELOPE_OVERHEAD;
        buf_init(&ret[i].text, 1u << 20);
        assert_string_equal(cells[i].ctx.project, "p");
        assert_ptr_equal(cells[i].context + cells[i].context_len, cells[i].envelope);
        ret[i].rc = len && p[0] == '!' ? ERR_ERASED : buf_append(&ret[i].text, p, len);
    }
}

static int collect(void *arg, const void *p, size_t len) {
    return buf_append(arg, p, len);
}

/* Feeds `in` in pieces of `piece` bytes and compares what comes out. */
static void filter(const struct buf *in, size_t piece, enum format_family family, const char *want,
                   size_t opened, size_t failed) {
    struct cells *c;
    struct buf out;
    char reasons[200];
    buf_init(&out, 64u << 20);
    assert_int_equal(cells_new(&c, family, open_cells, NULL, collect, &out), 0);
    for (size_t at = 0; at < in->len; at += piece)
        assert_int_equal(cells_feed(c, in->p + at, in->len - at < piece ? in->len - at : piece), 0);
    assert_int_equal(cells_finish(c), 0);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.p, want, out.len);
    assert_int_equal(cells_tally(c)->opened, opened);
    assert_int_equal(cells_tally(c)->failed, failed);
    tally_text(cells_tally(c), reasons, sizeof reasons);
    assert_int_equal(*reasons != 0, failed > 0);
    cells_free(c);
    buf_wipe(&out);
}

static void cut_anywhere(void **state) {
    (void)state;
    struct buf in;
    buf_init(&in, 1u << 20);
    buf_append_str(&in, "shx1 s shx2. sh\tshx");
    put_cell(&in, "one\ttext");
    buf_append_str(&in, "\n");
    put_cell(&in, "");
    buf_append_str(&in, "\tx\n");
    put_cell(&in, "last");
    for (size_t piece = 1; piece < in.len + 2; piece++)
        filter(&in, piece, FORMAT_TSV, "shx1 s shx2. sh\tshxone\\ttext\n\tx\nlast", 3, 0);
    buf_wipe(&in);
}

static void what_is_no_cell_stays(void **state) {
    (void)state;
    static const char *const texts[] = {"shx1.", "shx1.A", "shx1.AAAA\n", "\"shx1.!\"",
                                        "a shx1.===="};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf in;
        buf_init(&in, 1000);
        buf_append_str(&in, texts[i]);
        for (size_t piece = 1; piece < 8; piece++)
            filter(&in, piece, FORMAT_JSON, texts[i], 0, 1);
        buf_wipe(&in);
    }
}

static void sealed_ones_are_counted(void **state) {
    (void)state;
    struct cells *c;
    struct buf in, out, same;
    char reasons[200];
    buf_init(&in, 1u << 20);
    buf_init(&out, 1u << 20);
    buf_init(&same, 1u << 20);
    put_cell(&in, "!gone");
    put_cell(&same, "!gone");
    buf_append_str(&in, "\n");
    put_cell(&in, "there");
    assert_int_equal(cells_new(&c, FORMAT_TSV, open_cells, NULL, collect, &out), 0);
    assert_int_equal(cells_feed(c, in.p, in.len), 0);
    assert_int_equal(cells_finish(c), 0);
    assert_memory_equal(out.p, same.p, same.len);
    assert_memory_equal(out.p + same.len, "\nthere", 6);
    assert_true(tally_has(cells_tally(c), ERR_ERASED));
    assert_false(tally_has(cells_tally(c), ERR_LOCKED));
    tally_text(cells_tally(c), reasons, sizeof reasons);
    assert_string_equal(reasons, "the key was destroyed (1)");
    cells_free(c);
    buf_wipe(&in);
    buf_wipe(&out);
    buf_wipe(&same);
}

static void in_groups(void **state) {
    (void)state;
    struct buf in;
    char *want = calloc(1000, 8);
    buf_init(&in, 1u << 20);
    for (int i = 0; i < 1000; i++) {
        put_cell(&in, "x\"");
        buf_append_str(&in, "\n");
        strcat(want + 4 * i, "x\\\"\n");
    }
    groups = largest = 0;
    filter(&in, 1000, FORMAT_JSON, want, 1000, 0);
    assert_int_equal(largest, CELLS_GROUP);
    assert_int_equal(groups, 4);
    free(want);
    buf_wipe(&in);
}

static int refuse(void *arg, const void *p, size_t len) {
    (void)arg, (void)p;
    return len ? ERR_IO : 0;
}

static void a_writer_that_fails_ends_it(void **state) {
    (void)state;
    struct cells *c;
    assert_int_equal(cells_new(&c, FORMAT_TSV, open_cells, NULL, refuse, NULL), 0);
    assert_int_equal(cells_feed(c, "some text", 9), ERR_IO);
    cells_free(c);
    cells_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(what_is_no_cell_stays),
        cmocka_unit_test(sealed_ones_are_counted),
        cmocka_unit_test(in_groups),
        cmocka_unit_test(a_writer_that_fails_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
