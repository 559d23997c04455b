/* ClickHouse's framing: its checksum against the numbers that ClickHouse's Java driver makes of the same bytes, blocks
 * of all three methods, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/http/cityhash.h"
#include "read/http/coding.h"
#include "read/http/framed.h"

static void checksum(void **state) {
    static const struct {
        size_t len;
        uint64_t low, high;
    } known[] = {
        {0, 0x3df09dfc64c09a2bull, 0x3cb540c392e51e29ull},   {5, 0x057b54ad97bf5071ull, 0xb5c0fb7d6eeb5b64ull},
        {11, 0x0b2e63b5c4baa7a6ull, 0x617d1f774d4ddffeull},  {16, 0x4e7e2890890c933dull, 0x9b6511d6440477c7ull},
        {40, 0x67dc93f5738b7134ull, 0x2042215927bfdd08ull},  {143, 0x2306b4d414b0d326ull, 0xe980bd41eb516895ull},
        {144, 0x9ba176029dbc7f22ull, 0xa99caea46164a108ull}, {271, 0x53032d915a9ee82full, 0x740b403ab987cf3eull},
        {1000, 0x99dd0d90658d4424ull, 0x70f54ed52c308cc0ull},
    };
    (void)state;
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        uint8_t out[CITYHASH_BYTES], *p = malloc(known[k].len + 1); /* no byte behind it may be read */
        for (size_t i = 0; i < known[k].len; i++)
            p[i] = (uint8_t)(i * 7 + known[k].len);
        cityhash_128(p, known[k].len, out);
        free(p);
        assert_int_equal(get_u64(out), known[k].low);
        assert_int_equal(get_u64(out + 8), known[k].high);
    }
}

/* What is put into the coder in pieces comes back, whatever the pieces. */
static void coder(void **state) {
    (void)state;
    const size_t all = 3 * FRAMED_BLOCK + 12345;
    uint8_t *text = malloc(all);
    for (size_t i = 0; i < all; i++)
        text[i] = (uint8_t)(i % 251 ^ i >> 9);
    for (size_t piece = 1; piece <= all; piece = piece * 37 + 5) {
        struct http_encoder *e;
        struct buf out, back;
        buf_init(&out, 2 * all + 65536);
        buf_init(&back, all);
        assert_int_equal(http_encoder_new(HTTP_FRAMED, &e), 0);
        for (size_t at = 0; at < all; at += piece) {
            const size_t n = all - at < piece ? all - at : piece;
            assert_int_equal(http_encode(e, text + at, n, piece > 1000 && at % 3 == 0, &out), 0);
        }
        assert_int_equal(http_encode_end(e, &out), 0);
        http_encoder_free(e);
        assert_int_equal(http_decode(HTTP_FRAMED, out.p, out.len, &back), 0);
        assert_int_equal(back.len, all);
        assert_memory_equal(back.p, text, all);
        buf_wipe(&back);
        buf_init(&back, all - 1);
        assert_int_equal(http_decode(HTTP_FRAMED, out.p, out.len, &back), ERR_LIMIT);
        buf_wipe(&back);
        buf_wipe(&out);
    }
    free(text);
}

/* A block by hand. */
static size_t block(uint8_t *out, uint8_t method, const void *p, size_t len, uint32_t raw) {
    out[16] = method;
    put_u32(out + 17, (uint32_t)len + 9);
    put_u32(out + 21, raw);
    memcpy(out + 25, p, len);
    cityhash_128(out + 16, len + 9, out);
    return len + 25;
}

static int decode(const uint8_t *p, size_t len, struct buf *out) {
    buf_init(out, 4096);
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, p, len);
    int rc = framed_decode(copy, len, out);
    free(copy);
    return rc;
}

static void methods(void **state) {
    uint8_t b[512], packed[128];
    struct buf out;
    (void)state;
    const size_t n = ZSTD_compress(packed, sizeof packed, "SELECT 1", 8, 1);
    size_t len = block(b, 0x90, packed, n, 8);
    len += block(b + len, 0x02, " + 1", 4, 4);
    assert_int_equal(decode(b, len, &out), 0);
    assert_int_equal(out.len, 12);
    assert_memory_equal(out.p, "SELECT 1 + 1", 12);
    buf_wipe(&out);
    for (size_t i = 0; i < len; i++) { /* each byte counts */
        b[i] ^= 0x10;
        assert_true(decode(b, len, &out) != 0);
        buf_wipe(&out);
        b[i] ^= 0x10;
        assert_true(i == n + 25 || i == 0 || decode(b, i, &out) == ERR_SYNTAX);
        buf_wipe(&out);
    }
    static const uint32_t sizes[] = {0, 3, 5, 4096, 4097, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) { /* a length that is none, with a right checksum */
        len = block(b, 0x02, "text", 4, sizes[i]);
        assert_true(decode(b, len, &out) != 0 || (sizes[i] == 0 && out.len == 0));
        buf_wipe(&out);
        len = block(b, 0x82, "text", 4, sizes[i]);
        assert_true(decode(b, len, &out) != 0 || (sizes[i] == 0 && out.len == 0));
        buf_wipe(&out);
    }
    len = block(b, 0x77, "text", 4, 4);
    assert_int_equal(decode(b, len, &out), ERR_SYNTAX);
    buf_wipe(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(checksum), cmocka_unit_test(coder), cmocka_unit_test(methods)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
