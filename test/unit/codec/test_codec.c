/* The codec: round trips, ceilings, damage, and nothing of the text left in zstd's memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/limits.h"
#include "codec/codec.h"
#include "codec/codec_int.h"
#include "../vectors.h"

static uint64_t seed = 88172645463325252ull;
static uint64_t rnd(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* A turn of about `len` bytes: words out of a few, so that it compresses as talk does. */
static void make_turn(struct buf *b, size_t len) {
    static const char *const words[] = {"the ", "answer ", "is ",    "not ", "known ",
                                        "天气", "很好",    "，",     "but ", "we ",
                                        "may ", "ask ",    "again. "};
    buf_clear(b);
    assert_int_equal(buf_append_str(b, "{\"messages\":[{\"role\":\"user\",\"content\":\""), 0);
    while (b->len < len)
        assert_int_equal(rnd() % 4
                             ? buf_append_str(b, words[rnd() % (sizeof words / sizeof words[0])])
                             : buf_printf(b, "%llx", (unsigned long long)(rnd() >> 40)),
                         0);
    assert_int_equal(buf_append_str(b, "\"}],\"params\":{\"model\":\"gpt-4o-mini\"}}"), 0);
}

static size_t round_trip(const struct buf *text) {
    struct buf packed, back;
    uint8_t dictionary = 77;
    buf_init(&packed, LIMIT_SPOOL_FRAME);
    buf_init(&back, text->len);
    assert_int_equal(buf_append_str(&packed, "before"), 0); /* it appends */
    assert_int_equal(codec_compress(&packed, text->p, text->len, &dictionary), 0);
    assert_true(dictionary == CODEC_NEWEST || packed.len - 6 == text->len);
    assert_int_equal(codec_decompress(dictionary, packed.p + 6, packed.len - 6, &back), 0);
    assert_int_equal(back.len, text->len);
    if (text->len)
        assert_memory_equal(back.p, text->p, text->len);
    size_t n = packed.len - 6;
    buf_wipe(&packed);
    buf_wipe(&back);
    return n;
}

static void round_trips(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, LIMIT_TURN_PLAIN);
    assert_int_equal(round_trip(&text), 0);
    /* Contexts are kept and zeroed between texts: sizes in no order. */
    for (int i = 0; i < 3000; i++) {
        make_turn(&text, rnd() % (1u << (4 + rnd() % 15)));
        assert_true(round_trip(&text) < text.len);
    }
    buf_wipe(&text);
}

static void short_turns_shrink(void **state) {
    (void)state;
    static const char turn[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"params\":{\"model\":\"gpt-4o-"
        "mini\"},"
        "\"answer\":{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1764000000,"
        "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"Hello!\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
        "\"completion_tokens\":12,\"total_tokens\":21}}}";
    struct buf text = {.p = (uint8_t *)(uintptr_t)turn, .len = sizeof turn - 1};
    assert_true(round_trip(&text) < text.len / 3);
}

static void largest(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, LIMIT_TURN_PLAIN);
    assert_int_equal(buf_reserve(&text, LIMIT_TURN_PLAIN), 0);
    for (size_t i = 0; i < LIMIT_TURN_PLAIN / 8; i++) { /* half of it random */
        uint64_t v = i / 8192 % 2 ? rnd() : i;
        memcpy(text.p + 8 * i, &v, sizeof v);
    }
    text.len = LIMIT_TURN_PLAIN;
    assert_true(round_trip(&text) < text.len);
    buf_wipe(&text);
}

static void stored(void **state) {
    (void)state;
    uint8_t random[5000], dictionary = 77;
    struct buf packed;
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)rnd();
    buf_init(&packed, 1 << 20);
    for (size_t len = 0; len < sizeof random; len = len * 2 + 1) {
        buf_clear(&packed);
        assert_int_equal(codec_compress(&packed, random, len, &dictionary), 0);
        assert_int_equal(dictionary, CODEC_STORED);
        assert_int_equal(packed.len, len);
        if (len)
            assert_memory_equal(packed.p, random, len);
    }
    buf_wipe(&packed);
    buf_init(&packed, 100);
    assert_int_equal(codec_compress(&packed, random, sizeof random, &dictionary), ERR_LIMIT);
    assert_int_equal(packed.len, 0);
}

static void ceiling(void **state) {
    (void)state;
    struct buf text, packed, out;
    uint8_t dictionary;
    buf_init(&text, 1 << 20);
    buf_init(&packed, 1 << 20);
    make_turn(&text, 300000);
    assert_int_equal(codec_compress(&packed, text.p, text.len, &dictionary), 0);
    for (size_t max = 0; max < text.len; max = max * 3 + 1) {
        buf_init(&out, max);
        assert_int_equal(codec_decompress(dictionary, packed.p, packed.len, &out), ERR_LIMIT);
        assert_true(out.len <= max);
        buf_wipe(&out);
    }
    buf_init(&out, text.len - 1);
    assert_int_equal(codec_decompress(dictionary, packed.p, packed.len, &out), ERR_LIMIT);
    buf_wipe(&out);
    buf_init(&out, 3);
    assert_int_equal(codec_decompress(CODEC_STORED, "four", 4, &out), ERR_LIMIT);
    assert_int_equal(codec_decompress(CODEC_NEWEST + 1, "four", 4, &out), ERR_VERSION);
    assert_int_equal(codec_decompress(255, "four", 4, &out), ERR_VERSION);
    buf_wipe(&text);
    buf_wipe(&packed);
}

static void damage(void **state) {
    (void)state;
    struct buf text, packed, out;
    uint8_t dictionary;
    size_t refused = 0, tried = 0;
    buf_init(&text, 1 << 20);
    buf_init(&packed, 1 << 20);
    buf_init(&out, 1 << 16);
    for (size_t len = 100; len < 20000; len *= 3) {
        make_turn(&text, len);
        buf_clear(&packed);
        assert_int_equal(codec_compress(&packed, text.p, text.len, &dictionary), 0);
        for (size_t n = 0; n < packed.len; n++) {
            buf_clear(&out);
            assert_int_equal(codec_decompress(dictionary, packed.p, n, &out), ERR_CORRUPT);
        }
        /* One frame, and nothing behind it. */
        assert_int_equal(buf_append_u8(&packed, 0), 0);
        buf_clear(&out);
        assert_int_equal(codec_decompress(dictionary, packed.p, packed.len, &out), ERR_CORRUPT);
        packed.len--;
        for (int i = 0; i < 3000; i++, tried++) {
            uint8_t *p = &packed.p[rnd() % packed.len], kept = *p;
            *p ^= (uint8_t)(1u << rnd() % 8);
            buf_clear(&out);
            int rc = codec_decompress(dictionary, packed.p, packed.len, &out);
            assert_true(rc == 0 || rc == ERR_CORRUPT || rc == ERR_LIMIT || rc == ERR_NOMEM);
            assert_true(out.len <= out.max);
            refused += rc != 0;
            *p = kept;
        }
        for (int i = 0; i < 2000; i++) {
            uint8_t noise[64];
            for (size_t k = 0; k < sizeof noise; k++)
                noise[k] = (uint8_t)rnd();
            buf_clear(&out);
            codec_decompress(dictionary, noise, rnd() % sizeof noise, &out);
            assert_true(out.len <= out.max);
        }
    }
    assert_true(refused > 0 && refused < tried); /* there is no checksum: the envelope has one */
    buf_wipe(&text);
    buf_wipe(&packed);
    buf_wipe(&out);
}

/* The golden frames open, with the dictionary as it was shipped. */
static void golden(void **state) {
    (void)state;
    static const char *const frames[] = {"turn.frame", "chinese.frame"};
    static const char *const texts[] = {"turn.text", "chinese.text"};
    vectors_load("codec");
    struct buf out;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        buf_init(&out, 1 << 16);
        assert_int_equal(codec_decompress(1, vector(frames[i])->p, vector(frames[i])->len, &out),
                         0);
        vector_equals("", texts[i], out.p, out.len);
        buf_wipe(&out);
    }
}

/* ---- what is left ---- */

static bool writable_memory_has(const char *needle, size_t len) {
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' ||
            strstr(line, "[stack]"))
            continue;
        const uint8_t *p = (const uint8_t *)from;
        found = found || memmem(p, to - from, needle, len);
    }
    fclose(maps);
    return found;
}

static void nothing_left(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it would read the sanitizer's own memory */
#endif
    /* The needle is put together on the stack only, and searched for elsewhere. */
    static const size_t sizes[] = {300, 1500, 7000, 15000, 70000, 400000};
    char needle[24];
    for (size_t i = 0; i < sizeof needle; i++)
        needle[i] = (char)('!' + rnd() % 90);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf text, packed, back;
        uint8_t dictionary;
        buf_init(&text, 1 << 20);
        buf_init(&packed, 1 << 20);
        buf_init(&back, 1 << 20);
        make_turn(&text, sizes[i]);
        for (size_t at = 100; at + sizeof needle < text.len; at += 5000)
            memcpy(text.p + at, needle, sizeof needle);
        assert_true(writable_memory_has(needle, sizeof needle)); /* the search works */
        assert_int_equal(codec_compress(&packed, text.p, text.len, &dictionary), 0);
        assert_int_equal(dictionary, CODEC_NEWEST);
        assert_int_equal(codec_decompress(dictionary, packed.p, packed.len, &back), 0);
        buf_wipe(&text);
        buf_wipe(&packed);
        buf_wipe(&back);
        assert_false(writable_memory_has(needle, sizeof needle));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips), cmocka_unit_test(short_turns_shrink),
        cmocka_unit_test(largest),     cmocka_unit_test(stored),
        cmocka_unit_test(ceiling),     cmocka_unit_test(damage),
        cmocka_unit_test(golden),      cmocka_unit_test(nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
