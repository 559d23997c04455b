/* Memory for bodies that is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "write/gateway/pieces.h"

static bool is_mapped(const void *p) {
    return msync((void *)(uintptr_t)p, PIECES_BYTES, MS_ASYNC) == 0 || errno != ENOMEM;
}

static bool is_empty(const struct piece *p) {
    for (size_t i = 0; i < sizeof p->bytes; i++)
        if (p->bytes[i])
            return false;
    return true;
}

static struct piece *filled(struct piece *next) {
    struct piece *p = pieces_take();
    assert_non_null(p);
    assert_null(p->next);
    assert_true(is_empty(p));
    memset(p->bytes, 0xaa, sizeof p->bytes);
    p->next = next;
    return p;
}

static void are_empty_again(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++)
        pieces_give(filled(filled(filled(NULL))), NULL);
    pieces_give(NULL, NULL);
}

/* The newest one is overwritten as far as it was filled, all others whole. */
static void are_empty_if_partly_filled(void **state) {
    (void)state;
    const size_t fill[] = {0, 1, 4096, sizeof((struct piece *)0)->bytes};
    for (size_t i = 0; i < sizeof fill / sizeof *fill; i++) {
        struct piece *newest = filled(filled(NULL));
        memset(newest->bytes + fill[i], 0, sizeof newest->bytes - fill[i]);
        pieces_give(newest, newest->bytes + fill[i]);
        pieces_give(filled(filled(NULL)), (const uint8_t *)&newest);
    }
}

static void the_last_one_comes_first(void **state) {
    (void)state;
    struct piece *a = filled(NULL), *b = filled(NULL);
    pieces_give(a, NULL);
    pieces_give(b, NULL);
    assert_ptr_equal(pieces_take(), b);
    assert_ptr_equal(pieces_take(), a);
    pieces_give(a, NULL);
    pieces_give(b, NULL);
}

static void keeps_so_many(void **state) {
    (void)state;
    static const struct piece *all[PIECES_KEPT + 20];
    struct piece *list = NULL;
    size_t mapped = 0, count = sizeof all / sizeof *all;
    for (size_t i = 0; i < count; i++)
        all[i] = list = filled(list);
    pieces_give(list, NULL);
    for (size_t i = 0; i < count; i++)
        mapped += is_mapped(all[i]);
    assert_int_equal(mapped, PIECES_KEPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_empty_again),
        cmocka_unit_test(are_empty_if_partly_filled),
        cmocka_unit_test(the_last_one_comes_first),
        cmocka_unit_test(keeps_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
