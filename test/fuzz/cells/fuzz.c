/* Cells in a result: the first byte chooses the format, the second how the rest is cut into pieces.
 * However it is cut, the same comes out; what is no cell comes out as it is. And a statement's
 * FORMAT clause lies within it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/query/cells.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opens by showing the envelope's bytes; an odd length does not open. */
static void open_cells(void *arg, const struct cell *cells, size_t n, struct opened *ret) {
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        buf_init(&ret[i].text, 1u << 24);
        ret[i].rc = cells[i].envelope_len % 2
                        ? ERR_ERASED
                        : buf_append(&ret[i].text, cells[i].envelope, cells[i].envelope_len);
    }
}

static int collect(void *arg, const void *p, size_t len) {
    return buf_append(arg, p, len);
}

static void run(enum format_family family, const uint8_t *p, size_t len, size_t piece,
                struct buf *out) {
    struct cells *c;
    char reasons[256];
    buf_init(out, 1u << 26);
    if (cells_new(&c, family, open_cells, NULL, collect, out))
        abort();
    for (size_t at = 0; at < len; at += piece)
        if (cells_feed(c, p + at, len - at < piece ? len - at : piece))
            abort();
    if (cells_finish(c))
        abort();
    tally_text(cells_tally(c), reasons, sizeof reasons);
    if (!cells_tally(c)->opened && (out->len != len || (len && memcmp(out->p, p, len) != 0)))
        abort();
    cells_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole, cut;
    if (size < 2)
        return 0;
    enum format_family family = (enum format_family)(data[0] % (FORMAT_BINARY + 1));
    size_t len = size - 2, left = len, name_len = 0;
    run(family, data + 2, len, len ? len : 1, &whole);
    run(family, data + 2, len, data[1] + 1u, &cut);
    if (whole.len != cut.len || (cut.len && memcmp(whole.p, cut.p, cut.len) != 0))
        abort();
    const char *sql = (const char *)data + 2, *name = format_split(sql, &left, &name_len);
    if (name ? name < sql + left || name + name_len > sql + len : left != len)
        abort();
    buf_wipe(&whole);
    buf_wipe(&cut);
    return 0;
}
