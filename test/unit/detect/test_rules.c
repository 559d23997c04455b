/* Every built-in rule: what its examples say, one by one; and what a rule of the user's must be like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "write/detect/detect.h"

static struct detect *d;
static struct detect_work *w;

static int setup(void **state) {
    char why[256];
    (void)state;
    if (detect_new(&d, NULL, why, sizeof why)) {
        print_error("%s\n", why);
        return -1;
    }
    return detect_work_new(&w, d);
}

static int teardown(void **state) {
    (void)state;
    detect_work_free(w);
    detect_free(d);
    return 0;
}

/* A rule matches when something is found under its class: a more special rule may have the word. */
static bool finds(size_t rule, const char *text) {
    struct detect_findings list = {0};
    bool found = false;
    assert_int_equal(detect_scan(d, w, text, strlen(text), DETECT_TEXT, &list), 0);
    for (size_t i = 0; i < list.count; i++)
        found = found || list.items[i].rule == rule ||
                strcmp(detect_rule(d, list.items[i].rule).class, detect_rule(d, rule).class) == 0;
    detect_findings_done(&list);
    return found;
}

static void examples_hold(void **state) {
    size_t wrong = 0;
    (void)state;
    for (size_t rule = 0; rule < detect_rules(d); rule++) {
        bool match;
        const char *text;
        if (strcmp(detect_rule(d, rule).id, "placeholder") == 0)
            continue; /* finds what is not to be found; test_replace has it */
        for (size_t i = 0; (text = detect_example(d, rule, i, &match)); i++) {
            if (finds(rule, text) != match) {
                print_error("%s must %s: %s\n", detect_rule(d, rule).id, match ? "match" : "not match",
                            text);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_hold),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
