/* What a worker remembers of models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "control/dialect.h"
#include "write/gateway/plan.h"

#define NAME(text) text, sizeof(text) - 1

static int fd;
static const struct snapshot *s;

/* Routes `small` and `gpt-*`, both to one provider, with these prices. */
static void publish(uint64_t input) {
    const struct snapshot_upstream upstream = {.name = "one",
                                               .host = "one.test",
                                               .path = "",
                                               .dialects = DIALECT_OPENAI,
                                               .health = {.provider = 1, .weight = 1}};
    const struct snapshot_target_data as_asked = {.upstream = 0, .weight = 1},
                                      renamed = {.upstream = 0, .weight = 1, .model = "large"};
    const struct snapshot_route_data routes[] = {
        {.model = "small", .targets = &renamed, .target_count = 1},
        {.model = "gpt-*", .targets = &as_asked, .target_count = 1},
    };
    const struct snapshot_price_data prices[] = {{.model = "large", .price = {.input = input}}};
    const struct snapshot_data data = {.upstreams = &upstream,
                                       .upstream_count = 1,
                                       .routes = routes,
                                       .route_count = 2,
                                       .prices = prices,
                                       .price_count = 1};
    assert_int_equal(snapshot_publish(fd, &data), 0);
}

static int set_up(void **state) {
    (void)state;
    return snapshot_create(&fd) || snapshot_map(fd, &s);
}

static void a_model_is_put_together_once(void **state) {
    (void)state;
    const struct plan *p, *again;
    publish(5);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("small"), &p), 0);
    assert_int_equal(p->route.count, 1);
    assert_string_equal(p->route.to[0].model, "large");
    assert_true(p->known && p->target[0].known && p->target[0].priced);
    assert_int_equal(p->target[0].price.input, 5);
    plan_done(p);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("small"), &again), 0);
    assert_ptr_equal(again, p);
    assert_string_equal(again->route.to[0].model, "large");
}

static void a_new_version_is_read(void **state) {
    (void)state;
    const struct plan *p;
    publish(5);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("small"), &p), 0);
    publish(7);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("small"), &p), 0);
    assert_int_equal(p->target[0].price.input, 7);
}

static void dialects_are_kept_apart(void **state) {
    (void)state;
    const struct plan *p;
    publish(5);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("small"), &p), 0);
    assert_int_equal(plan_find(s, DIALECT_ANTHROPIC, NAME("small"), &p), ERR_UNSUPPORTED);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("small"), &p), 0);
}

static void the_clients_word_is_not_kept(void **state) {
    (void)state;
    const struct plan *p, *other;
    publish(5);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("gpt-whisper"), &p), 0);
    assert_string_equal(p->route.to[0].model, "gpt-whisper");
    assert_false(p->known || p->target[0].known || p->target[0].priced);
    plan_done(p);
    assert_null(memmem(p, sizeof *p, "whisper", 7));
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NAME("murmur"), &other), ERR_NOTFOUND);
    assert_null(memmem(p, sizeof *p, "murmur", 6));
}

static void without_a_name_whoever_speaks_it(void **state) {
    (void)state;
    const struct plan *p;
    publish(5);
    assert_int_equal(plan_find(s, DIALECT_OPENAI, NULL, 0, &p), 0);
    assert_int_equal(p->route.count, 1);
    assert_string_equal(p->route.to[0].provider, "one");
    assert_false(p->target[0].priced);
    assert_int_equal(plan_find(s, DIALECT_ANTHROPIC, NULL, 0, &p), ERR_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_put_together_once),
        cmocka_unit_test(a_new_version_is_read),
        cmocka_unit_test(dialects_are_kept_apart),
        cmocka_unit_test(the_clients_word_is_not_kept),
        cmocka_unit_test(without_a_name_whoever_speaks_it),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
