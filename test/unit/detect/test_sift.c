/* The masks of blocks: by either way of the processor's they say what a loop over the bytes says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "write/detect/sift.h"

#define BLOCKS 3
#define BYTES (BLOCKS * SIFT_BLOCK)

static bool is_run(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' || c == '-' ||
           c == '/' || c == '_';
}

/* `p`: BYTES and SIFT_BEHIND more. */
static void compare(const uint8_t *p) {
    struct sift sifted[BLOCKS];
    uint64_t special[BLOCKS];
    sift_classes(sifted, p, BLOCKS);
    sift_specials(special, p, BLOCKS);
    for (size_t i = 0; i < BYTES; i++) {
        const struct sift *s = &sifted[i / SIFT_BLOCK];
        unsigned bit = i % SIFT_BLOCK;
        assert_int_equal(s->run >> bit & 1, is_run(p[i]));
        assert_int_equal(s->digits >> bit & 1, p[i] >= '0' && p[i] <= '9');
        assert_int_equal(s->signs >> bit & 1, p[i] == '@');
        assert_int_equal(s->colons >> bit & 1, p[i] == ':');
        assert_int_equal(s->dots >> bit & 1, p[i] == '.');
        assert_int_equal(s->pluses >> bit & 1, p[i] == '+');
        assert_int_equal(special[i / SIFT_BLOCK] >> bit & 1, sift_is_special(p[i], p[i + 1], p[i + 2]));
        assert_int_equal(sift_quotes(p + i / SIFT_BLOCK * SIFT_BLOCK) >> bit & 1, p[i] == '"' || p[i] == '\\');
    }
}

/* All bytes at any place, and all three bytes that a character to be folded may begin with. */
static void all_bytes(void) {
    static const uint8_t leads[] = {0xc2, 0xe1, 0xe2, 0xe3, 0xef, 0xf0, 0xe4, '\\'};
    uint8_t p[BYTES + SIFT_BEHIND];
    for (size_t shift = 0; shift < 256; shift++) {
        for (size_t i = 0; i < sizeof p; i++)
            p[i] = (uint8_t)(i + shift);
        compare(p);
    }
    for (size_t l = 0; l < sizeof leads; l++) {
        for (unsigned next = 0; next < 256; next++) {
            for (unsigned third = 0; third < 256;) {
                for (size_t i = 0; i + 3 <= sizeof p; i += 3, third++) {
                    p[i] = leads[l];
                    p[i + 1] = (uint8_t)next;
                    p[i + 2] = (uint8_t)third;
                }
                compare(p);
            }
        }
    }
}

static void masks_say_what_a_loop_says(void **state) {
    (void)state;
    for (int narrow = 0; narrow < 2; narrow++) {
        sift_narrow = narrow != 0;
        all_bytes();
    }
    sift_narrow = false;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(masks_say_what_a_loop_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
