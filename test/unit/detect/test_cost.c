/*
 * No rule slows the whole by more than 20 %. Rules are left out in groups, whose cost is that of all of them; only
 * groups that cost too much are divided. By time, as rules of the user's are tried (src/write/detect/trial.c), in a
 * second or two; a rule that makes others faster can hide another one of its group here, but not from
 * `make bench-detect-rules`, which counts the instructions of each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../../bench/without.h"

#define GROUP 64
#define TRIES 3 /* of what seems to cost too much: the machine may be busy */

static uint64_t cost(const struct detect *d, struct detect_work *w, const struct detect *all, size_t from, size_t to) {
    uint64_t least = UINT64_MAX, slower;
    struct detect others = without_make(d, w, from, to, without_compile(d, from, to));
    for (int i = 0; i < TRIES && least > DETECT_SLOWER; i++) {
        assert_int_equal(trial_slower(&others, all, w, &slower), 0);
        least = slower < least ? slower : least;
    }
    without_done(&others);
    return least;
}

/* The first rule of [from, to) that costs more than is allowed; SIZE_MAX: none. */
static size_t too_dear(const struct detect *d, struct detect_work *w, const struct detect *all, size_t from, size_t to) {
    uint64_t slower = cost(d, w, all, from, to);
    if (slower <= DETECT_SLOWER)
        return SIZE_MAX;
    if (to - from == 1) {
        print_message("rule %s slows the whole by %llu %%\n", d->rules.list[from].id, (unsigned long long)slower);
        return from;
    }
    size_t middle = (from + to) / 2, found = too_dear(d, w, all, from, middle);
    return found != SIZE_MAX ? found : too_dear(d, w, all, middle, to);
}

/* Of the rules in `yaml`, or of the built-in ones. */
static const char *find(const char *yaml) {
    const struct detect_options options = {.rules = yaml, .rules_len = yaml ? strlen(yaml) : 0};
    static char id[DETECT_ID_MAX];
    struct detect *d;
    struct detect_work *w;
    char why[512];
    size_t found = SIZE_MAX;
    assert_int_equal(detect_new(&d, &options, why, sizeof why), 0);
    assert_int_equal(detect_work_new(&w, d), 0);
    struct detect all = without_make(d, w, 0, 0, without_compile(d, 0, 0));
    for (size_t from = yaml ? d->builtin_count : 0; found == SIZE_MAX && from < d->rules.count; from += GROUP)
        found = too_dear(d, w, &all, from, from + GROUP < d->rules.count ? from + GROUP : d->rules.count);
    memcpy(id, found == SIZE_MAX ? "none" : d->rules.list[found].id, found == SIZE_MAX ? 5 : sizeof id);
    without_done(&all);
    detect_work_free(w);
    detect_free(d);
    return id;
}

static void no_built_in_rule_is_too_dear(void **state) {
    (void)state;
    assert_string_equal(find(NULL), "none");
}

static void a_dear_rule_is_named(void **state) {
    (void)state;
    assert_string_equal(find("- id: cheap\n  pattern: 'badge-[0-9]{4}'\n  match: ['badge-1234']\n  clean: ['x']\n"
                             "- id: dear\n  pattern: 'e'\n  match: ['e']\n  clean: ['x']\n"
                             "- id: other\n  pattern: 'desk-[0-9]{4}'\n  match: ['desk-1234']\n  clean: ['x']\n"),
                        "dear");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_built_in_rule_is_too_dear),
        cmocka_unit_test(a_dear_rule_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
