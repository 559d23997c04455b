/* What the vault decodes of what others send: a cell, a data key's row, a subject's name. Each is
 * strict, so what is accepted encodes to the same bytes again. The first byte says what it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record/context.h"
#include "record/datakey.h"
#include "record/envelope.h"
#include "record/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len) {
    if (a_len != b_len || memcmp(a, b, a_len) != 0)
        abort();
}

static void cell(const uint8_t *p, size_t len) {
    struct context c;
    struct envelope_header h;
    uint8_t out[CONTEXT_MAX], header[ENVELOPE_HEADER_BYTES];
    const uint8_t *envelope;
    size_t n;
    if (cell_split(p, len, &c, &envelope, &n))
        return;
    if (envelope < p || envelope + n != p + len)
        abort();
    must_be(out, context_encode(out, &c), p, (size_t)(envelope - p));
    if (envelope_decode_header(&h, envelope, n))
        return;
    envelope_encode_header(header, &h);
    must_be(header, sizeof header, envelope, sizeof header);
}

static void row(const uint8_t *p, size_t len) {
    struct data_key_row r;
    uint8_t out[DATA_KEY_ROW_MAX];
    if (data_key_row_decode(&r, p, len) == 0)
        must_be(out, data_key_row_encode(out, &r), p, len);
}

static void name(const uint8_t *p, size_t len) {
    struct subject_name s;
    uint8_t out[SUBJECT_NAME_MAX];
    if (subject_decode_name(&s, p, len) == 0)
        must_be(out,
                subject_encode_name(out, sizeof out, s.tenant, s.project, s.kind, s.name,
                                    strlen(s.name)),
                p, len);
}

static void padding(const uint8_t *p, size_t len) {
    struct buf b;
    long n = padme_unpad(p, len);
    if (n < 0)
        return;
    buf_init(&b, 2 * len + 16);
    if ((size_t)n >= len || buf_append(&b, p, (size_t)n) || padme_pad(&b))
        abort();
    must_be(b.p, b.len, p, len);
    buf_wipe(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const kinds[])(const uint8_t *p, size_t len) = {cell, row, name, padding};
    if (!size)
        return 0;
    uint8_t *copy = malloc(size); /* so that a read past the end is seen */
    memcpy(copy, data + 1, size - 1);
    uint8_t *exact = realloc(copy, size > 1 ? size - 1 : 1);
    kinds[data[0] % 4](exact, size - 1);
    free(exact);
    return 0;
}
