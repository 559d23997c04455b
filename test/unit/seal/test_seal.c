/* Sealing: what it makes opens with libsodium alone; data keys begin and end when they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "write/seal/seal.h"

#define TABLE 16384 /* data keys in use at most */

static const uint8_t mac_key[32] = {7, 7, 7};
static uint8_t public_key[32], secret[32];

static struct sealing *start(void) {
    struct sealing *s;
    assert_int_equal(sealing_new(&s), 0);
    assert_int_equal(sealing_writer(s, 3, mac_key), 0);
    return s;
}

static struct context person(uint32_t n) {
    struct context c = {.tenant = "acme",
                        .project = "support",
                        .dialect = "openai.chat",
                        .field = CONTEXT_FIELD_TURN,
                        .schema = CONTEXT_SCHEMA_TURN};
    uint8_t seed[4];
    put_u32(seed, n);
    crypto_generichash(c.subject, UUID_BYTES, seed, sizeof seed, NULL, 0);
    memcpy(c.record, c.subject, UUID_BYTES);
    memcpy(c.conversation, c.subject, UUID_BYTES);
    return c;
}

struct sealed {
    struct data_key_row row;
    bool fresh;
    struct buf envelope;
};

static void seal(struct sealing *s, const struct context *ctx, const char *text,
                 struct sealed *ret) {
    struct buf packed;
    buf_init(&packed, 1 << 16);
    buf_init(&ret->envelope, 1 << 16);
    assert_int_equal(buf_append_str(&packed, text), 0);
    assert_int_equal(
        sealing_record(s, ctx, public_key, 1, &packed, &ret->envelope, &ret->row, &ret->fresh), 0);
    buf_wipe(&packed);
}

static bool fresh(struct sealing *s, const struct context *ctx) {
    struct sealed r;
    seal(s, ctx, "x", &r);
    buf_wipe(&r.envelope);
    return r.fresh;
}

/* Opens the envelope with the data key as it was wrapped; gives its index. */
static unsigned opens(const struct sealed *r, const struct data_key_row *key,
                      const struct context *ctx, const char *text) {
    uint8_t k[DATA_KEY_BYTES], record[DATA_KEY_BYTES], plain[4096], nonce[12] = {0};
    uint8_t ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX], id[DATA_KEY_ID_BYTES];
    struct envelope_header h;
    const struct buf *e = &r->envelope;
    assert_int_equal(envelope_decode_header(&h, e->p, e->len), 0);
    assert_int_equal(h.dictionary, 1);
    assert_int_equal(crypto_box_seal_open(k, key->wrapped, sizeof key->wrapped, public_key, secret),
                     0);
    data_key_id(id, k);
    assert_memory_equal(id, key->id, sizeof id);
    assert_memory_equal(id, h.data_key, sizeof id);
    for (unsigned i = 0; i <= h.index; i++)
        data_key_step(k, record);
    memcpy(ad, e->p, ENVELOPE_HEADER_BYTES);
    size_t n = ENVELOPE_HEADER_BYTES + context_encode(ad + ENVELOPE_HEADER_BYTES, ctx);
    unsigned long long len;
    assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(
                         plain, &len, NULL, e->p + ENVELOPE_HEADER_BYTES,
                         e->len - ENVELOPE_HEADER_BYTES, ad, n, nonce, record),
                     0);
    assert_int_equal(padme_unpad(plain, len), strlen(text));
    assert_memory_equal(plain, text, strlen(text));
    return h.index;
}

static void records(void **state) {
    (void)state;
    struct sealing *s = start();
    struct context ctx = person(1);
    struct sealed first, r;
    seal(s, &ctx, "the first text", &first);
    assert_true(first.fresh);
    assert_int_equal(first.envelope.len, ENVELOPE_OVERHEAD + padme_length(15));
    assert_int_equal(opens(&first, &first.row, &ctx, "the first text"), 0);
    for (unsigned i = 1; i < 10; i++) {
        ctx.record[0] = (uint8_t)i;
        seal(s, &ctx, "another", &r);
        assert_false(r.fresh);
        assert_int_equal(opens(&r, &first.row, &ctx, "another"), i);
        buf_wipe(&r.envelope);
    }
    buf_wipe(&first.envelope);
    sealing_free(s);
    sealing_free(NULL);
}

static void row(void **state) {
    (void)state;
    struct sealing *s = start();
    struct context ctx = person(1);
    struct sealed r;
    uint8_t maced[DATA_KEY_MACED_MAX], mac[DATA_KEY_MAC_BYTES];
    uint64_t now = clock_wall_us();
    seal(s, &ctx, "text", &r);
    assert_string_equal(r.row.tenant, "acme");
    assert_string_equal(r.row.project, "support");
    assert_memory_equal(r.row.subject, ctx.subject, UUID_BYTES);
    assert_int_equal(r.row.writer, 3);
    assert_true(r.row.created_us >= now && r.row.created_us < now + 60000000);
    size_t n = data_key_maced(maced, &r.row);
    crypto_generichash(mac, sizeof mac, maced, n, mac_key, sizeof mac_key);
    assert_memory_equal(mac, r.row.mac, sizeof mac);
    buf_wipe(&r.envelope);
    sealing_free(s);
}

static void lives(void **state) {
    (void)state;
    struct sealing *s = start();
    struct context a = person(1), b = person(2), c;
    assert_true(fresh(s, &a));
    assert_true(fresh(s, &b));
    for (int i = 1; i < LIMIT_DATA_KEY_RECORDS; i++)
        assert_false(fresh(s, &a));
    assert_true(fresh(s, &a)); /* record 1025 */
    assert_false(fresh(s, &b));
    sealing_forget(s, &a);
    assert_true(fresh(s, &a));
    assert_false(fresh(s, &b));
    c = b; /* the same person elsewhere is another scope */
    strcpy(c.project, "sales");
    assert_true(fresh(s, &c));
    strcpy(c.tenant, "other");
    assert_true(fresh(s, &c));
    sealing_forget(s, &(struct context){0}); /* nobody */
    /* A data key is of one key pair. */
    crypto_box_keypair(public_key, secret);
    assert_true(fresh(s, &a));
    assert_false(fresh(s, &a));
    assert_int_equal(sealing_writer(s, 4, mac_key), 0);
    struct sealed r;
    seal(s, &a, "text", &r);
    assert_true(r.fresh);
    assert_int_equal(r.row.writer, 4);
    buf_wipe(&r.envelope);
    sealing_free(s);
}

static void table(void **state) {
    (void)state;
    struct sealing *s = start();
    struct context first = person(0);
    assert_true(fresh(s, &first));
    for (uint32_t i = 1; i < TABLE; i++) {
        struct context c = person(i);
        assert_true(fresh(s, &c));
    }
    assert_false(fresh(s, &first)); /* used last */
    struct context more = person(TABLE), second = person(1), third = person(2);
    assert_true(fresh(s, &more));
    assert_false(fresh(s, &first));
    assert_false(fresh(s, &third));
    assert_true(fresh(s, &second)); /* was the least recently used */
    assert_false(fresh(s, &third));
    assert_false(fresh(s, &more));
    sealing_free(s);
}

/* A subject is erased: its data keys in every project end, those of others go on. */
static void forgotten(void **state) {
    struct sealing *s = start();
    struct context a = person(1), b = person(2), a_elsewhere = person(1);
    (void)state;
    strcpy(a_elsewhere.project, "elsewhere");
    assert_true(fresh(s, &a) && fresh(s, &a_elsewhere) && fresh(s, &b));
    assert_false(fresh(s, &a) || fresh(s, &a_elsewhere) || fresh(s, &b));
    sealing_forget_subject(s, a.subject);
    assert_false(fresh(s, &b));
    assert_true(fresh(s, &a) && fresh(s, &a_elsewhere));
    sealing_free(s);
}

static void errors(void **state) {
    (void)state;
    struct sealing *s;
    struct context ctx = person(1);
    struct buf packed, envelope;
    struct data_key_row key;
    bool is_fresh = false;
    static const uint8_t no_point[32];
    assert_int_equal(sealing_new(&s), 0);
    buf_init(&packed, 64);
    buf_init(&envelope, 1024);
    assert_int_equal(buf_append_str(&packed, "text"), 0);
    assert_int_equal(sealing_record(s, &ctx, public_key, 1, &packed, &envelope, &key, &is_fresh),
                     ERR_USAGE);
    assert_int_equal(sealing_writer(s, 1, mac_key), 0);
    assert_int_equal(sealing_record(s, &ctx, no_point, 1, &packed, &envelope, &key, &is_fresh),
                     ERR_CORRUPT);
    envelope.max = 40; /* no room for the envelope */
    assert_int_equal(sealing_record(s, &ctx, public_key, 1, &packed, &envelope, &key, &is_fresh),
                     ERR_LIMIT);
    assert_int_equal(envelope.len, 0);
    sealing_forget(s, &ctx);
    buf_wipe(&packed);
    buf_wipe(&envelope);
    assert_true(fresh(s, &ctx));
    sealing_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records), cmocka_unit_test(row),    cmocka_unit_test(lives),
        cmocka_unit_test(table),   cmocka_unit_test(errors),
        cmocka_unit_test(forgotten),
    };
    if (sodium_init() < 0)
        return 1;
    crypto_box_keypair(public_key, secret);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
