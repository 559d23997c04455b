/* Results in Native and RowBinary: the first byte says which. Walking them reads nothing outside, and with a
 * cells_open that opens nothing they come out as they went in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/query/binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void closed(void *arg, const struct cell *cells, size_t n, struct opened *ret) {
    (void)arg, (void)cells;
    for (size_t i = 0; i < n; i++) {
        ret[i].rc = ERR_ERASED;
        buf_init(&ret[i].text, 0);
    }
}

static void opens(void *arg, const struct cell *cells, size_t n, struct opened *ret) {
    (void)arg, (void)cells;
    for (size_t i = 0; i < n; i++) {
        ret[i].rc = 0;
        buf_init(&ret[i].text, 4);
        if (buf_append(&ret[i].text, "text", i % 5))
            abort();
    }
}

static int keep(void *arg, const void *p, size_t len) {
    return buf_append(arg, p, len);
}

static int run(enum binary_format format, uint32_t protocol, const uint8_t *p, size_t len, cells_open *open, struct buf *out) {
    struct binary *b;
    int rc = binary_new(&b, format, protocol, p, len, open, NULL, keep, out);
    if (rc)
        return rc;
    while (!(rc = binary_step(b)))
        ;
    binary_free(b);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf out;
    if (!size)
        return 0;
    const bool native = data[0] & 1;
    const enum binary_format format = native ? BINARY_NATIVE : BINARY_ROWS_NAMES_TYPES;
    uint8_t *copy = malloc(size); /* no byte behind it may be read */
    memcpy(copy, data + 1, size - 1);
    buf_init(&out, 10 * size + 64);
    if (run(format, 0, copy, size - 1, closed, &out) == ERR_NOTFOUND &&
        (out.len != size - 1 || (out.len && memcmp(out.p, copy, out.len))))
        abort();
    buf_clear(&out);
    (void)run(native ? format : BINARY_ROWS_NAMES, data[0] & 2 ? BINARY_SERIALIZATION : 0, copy, size - 1, opens, &out);
    buf_wipe(&out);
    free(copy);
    return 0;
}
