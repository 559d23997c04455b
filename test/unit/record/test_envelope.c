/* Envelopes: golden ones open and are made again; padding; cells; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/err.h"
#include "record/datakey.h"
#include "record/envelope.h"
#include "../vectors.h"

/* The associated data of an envelope of the golden context. */
static size_t associated(uint8_t out[ENVELOPE_HEADER_BYTES + CONTEXT_MAX], const uint8_t *header) {
    vectors_load("context");
    const struct vector *ctx = vector2("turn.", "encoded");
    memcpy(out, header, ENVELOPE_HEADER_BYTES);
    memcpy(out + ENVELOPE_HEADER_BYTES, ctx->p, ctx->len);
    return ENVELOPE_HEADER_BYTES + ctx->len;
}

static void record_key(uint8_t out[DATA_KEY_BYTES], uint16_t index) {
    uint8_t k[DATA_KEY_BYTES];
    vectors_load("datakey");
    vector_copy(k, sizeof k, "", "k0");
    for (unsigned i = 0; i <= index; i++)
        data_key_step(k, out);
}

static void golden_one(const char *name) {
    uint8_t ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX], key[DATA_KEY_BYTES], nonce[12] = {0};
    uint8_t envelope[1024], plain[1024], again[1024], hash[CONTEXT_HASH_BYTES];
    struct envelope_header h;
    struct buf padded;
    vectors_load("envelope");
    size_t len = vector2(name, "envelope")->len;
    vector_copy(envelope, len, name, "envelope");
    envelope_hash(hash, envelope, len);
    vector_equals(name, "hash", hash, sizeof hash);
    assert_int_equal(envelope_decode_header(&h, envelope, len), 0);
    assert_int_equal(h.index, vector_number(name, "index"));
    assert_int_equal(h.dictionary, 0);

    /* Open it. */
    size_t ad_len = associated(ad, envelope), text = len - ENVELOPE_OVERHEAD;
    record_key(key, h.index);
    assert_memory_equal(h.data_key, vector("id")->p, DATA_KEY_ID_BYTES);
    assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(
                         plain, NULL, NULL, envelope + ENVELOPE_HEADER_BYTES,
                         len - ENVELOPE_HEADER_BYTES, ad, ad_len, nonce, key),
                     0);
    vectors_load("envelope");
    vector_equals("", "padded", plain, text);
    long n = padme_unpad(plain, text);
    vector_equals("", "plain", plain, (size_t)n);

    /* And make it. */
    buf_init(&padded, sizeof plain);
    assert_int_equal(buf_append(&padded, vector("plain")->p, vector("plain")->len), 0);
    assert_int_equal(padme_pad(&padded), 0);
    vector_equals("", "padded", padded.p, padded.len);
    envelope_encode_header(again, &h);
    assert_memory_equal(again, ad, ENVELOPE_HEADER_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(again + ENVELOPE_HEADER_BYTES, NULL, padded.p,
                                              padded.len, ad, ad_len, NULL, nonce, key);
    vector_equals(name, "envelope", again, len);
    buf_wipe(&padded);
}

static void golden(void **state) {
    (void)state;
    golden_one("second.");
    golden_one("last.");
}

static void header(void **state) {
    (void)state;
    struct envelope_header h = {0}, before;
    uint8_t p[ENVELOPE_OVERHEAD] = {0};
    vectors_load("envelope");
    memcpy(p, vector2("second.", "envelope")->p, sizeof p);
    before = h;
    for (size_t n = 0; n < sizeof p; n++)
        assert_int_equal(envelope_decode_header(&h, p, n), ERR_SYNTAX);
    for (size_t at = 0; at < 4; at++) {
        uint8_t kept = p[at];
        for (int v = 0; v < 256; v++) {
            p[at] = (uint8_t)v;
            if (v != kept && at != 2) /* dictionaries are for the codec to judge */
                assert_int_equal(envelope_decode_header(&h, p, sizeof p), ERR_VERSION);
        }
        p[at] = kept;
    }
    assert_memory_equal(&h, &before, sizeof h);
    assert_int_equal(envelope_decode_header(&h, p, sizeof p), 0);
}

static void padme(void **state) {
    (void)state;
    vectors_load("padme");
    for (size_t i = 0; i < vectors_count; i++)
        assert_int_equal(padme_length(strtoull(vectors[i].name, NULL, 10)),
                         vector_number("", vectors[i].name));
    for (size_t n = 1, last = 0; n < 100000; n++) {
        size_t to = padme_length(n);
        assert_true(to >= n && to >= last && (to - n) * 8 <= n); /* at most an eighth */
        assert_int_equal(padme_length(to), to);
        last = to;
    }
}

static void padding(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    for (size_t n = 0; n < 600; n++) {
        buf_clear(&b);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_append_u8(&b, (uint8_t)(n + i)), 0);
        assert_int_equal(padme_pad(&b), 0);
        assert_int_equal(b.len, padme_length(n + 1));
        assert_int_equal(padme_unpad(b.p, b.len), n);
        if (b.len > n + 1) /* padding other than the one way is refused */
            assert_int_equal(padme_unpad(b.p, n + 1) == (long)n, padme_length(n + 1) == n + 1);
        b.p[b.len - 1] ^= 0x01;
        assert_int_equal(padme_unpad(b.p, b.len), ERR_CORRUPT);
    }
    buf_wipe(&b);
    uint8_t zeros[64] = {0}, far[64] = {0x80};
    assert_int_equal(padme_unpad(zeros, 0), ERR_CORRUPT);
    assert_int_equal(padme_unpad(zeros, sizeof zeros), ERR_CORRUPT);
    assert_int_equal(padme_unpad(far, sizeof far), ERR_CORRUPT);
    buf_init(&b, 100);
    assert_int_equal(buf_reserve(&b, 100), 0);
    memset(b.p, 'x', 100);
    b.len = 100;
    assert_int_equal(padme_pad(&b), ERR_LIMIT);
    buf_wipe(&b);
}

static void cell(void **state) {
    (void)state;
    uint8_t bytes[1024];
    const uint8_t *envelope;
    size_t envelope_len;
    struct context ctx;
    char text[2048] = CELL_PREFIX;
    vectors_load("envelope");
    const struct vector *c = vector("second.cell");
    size_t prefix = strlen(CELL_PREFIX);
    assert_memory_equal(c->p, CELL_PREFIX, prefix);
    long n = b64url_decode(bytes, (char *)c->p + prefix, c->len - prefix);
    assert_true(n > 0);
    assert_int_equal(cell_split(bytes, (size_t)n, &ctx, &envelope, &envelope_len), 0);
    vector_equals("second.", "envelope", envelope, envelope_len);
    assert_string_equal(ctx.project, "support");
    size_t m = b64url_encode(text + prefix, bytes, (size_t)n);
    assert_int_equal(prefix + m, c->len);
    assert_memory_equal(text, c->p, c->len);
    size_t context_len = (size_t)n - envelope_len;
    for (size_t i = 0; i < context_len + ENVELOPE_OVERHEAD; i++)
        assert_int_equal(cell_split(bytes, i, &ctx, &envelope, &envelope_len), ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),  cmocka_unit_test(header), cmocka_unit_test(padme),
        cmocka_unit_test(padding), cmocka_unit_test(cell),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
