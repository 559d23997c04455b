/* Every built-in rule: what its examples say, one by one; and what a rule of the user's must be like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* What stands beside a value is no part of it: a sentence's full stop, the & of a query; all of a password is. */
static void values_have_their_bytes(void **state) {
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"Here is your new password: a9B7$#fG3&Z1. Please save it", "a9B7$#fG3&Z1"},
        {"GET /login?name=ada&password=a9B7fG3kZ1&next=2", "a9B7fG3kZ1"},
        {"password: aB3#fG7!kL9@.", "aB3#fG7!kL9@"},
        {"password: aB3.fG7!kL9", "aB3.fG7!kL9"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct detect_findings list = {0};
        assert_int_equal(detect_scan(d, w, cases[i].text, strlen(cases[i].text), DETECT_TEXT, &list), 0);
        assert_int_equal(list.count, 1);
        size_t len = list.items[0].end - list.items[0].start;
        if (len != strlen(cases[i].value) || memcmp(cases[i].text + list.items[0].start, cases[i].value, len) != 0)
            fail_msg("%s: %.*s", cases[i].text, (int)len, cases[i].text + list.items[0].start);
        detect_findings_done(&list);
    }
}

/* doc/detect.md names the classes of each family, in the family's row. */
static void families_are_told(void **state) {
    static char doc[1 << 18];
    FILE *f = fopen("doc/detect.md", "r");
    (void)state;
    assert_non_null(f);
    doc[fread(doc, 1, sizeof doc - 1, f)] = 0;
    fclose(f);
    for (size_t i = 0; i < detect_rules(d); i++) {
        const struct detect_rule_info rule = detect_rule(d, i);
        char row[128], name[128];
        if (!rule.family)
            continue;
        assert_true(detect_has_class(d, rule.family));
        snprintf(row, sizeof row, "| `%s` | ", rule.family);
        snprintf(name, sizeof name, "`%s`", rule.class);
        const char *at = strstr(doc, row), *end = at ? strchr(at, '\n') : NULL;
        if (!end || !memmem(at + strlen(row), (size_t)(end - at) - strlen(row), name, strlen(name)))
            fail_msg("%s is not in the row of %s", rule.class, rule.family);
    }
}

/* ---- rules of the user's, and what is muted ---- */

static const char own[] = "- id: staff-badge\n"
                          "  pattern: 'badge-[0-9]{4}-[a-z]{6}'\n"
                          "  match: ['badge-1234-qwerty']\n"
                          "  clean: ['badge-12']\n";

/* What is found in `text`: the classes, with spaces. */
static const char *found_with(const struct detect_options *options, const char *text) {
    static char names[512];
    struct detect *other;
    struct detect_work *work;
    struct detect_findings list = {0};
    char why[256];
    if (detect_new(&other, options, why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(detect_work_new(&work, other), 0);
    assert_int_equal(detect_scan(other, work, text, strlen(text), DETECT_TEXT, &list), 0);
    names[0] = 0;
    for (size_t i = 0; i < list.count; i++) {
        strcat(names, i ? " " : "");
        strcat(names, detect_rule(other, list.items[i].rule).class);
    }
    detect_findings_done(&list);
    detect_work_free(work);
    detect_free(other);
    return names;
}

static void own_rules_stand_beside(void **state) {
    static const char text[] = "glpat-Qm2Xv9Lz4Kp8Rt3Yw1sB for badge-1234-qwerty, mail ada@example.org";
    const char *const gitlab[] = {"gitlab-token", NULL}, *const people[] = {"email", "staff-badge", NULL},
                      *const fine[] = {"gitlab-pat", NULL};
    const struct detect_options none = {0}, with = {.rules = own, .rules_len = sizeof own - 1},
                                without = {.rules = own, .rules_len = sizeof own - 1, .mute = gitlab},
                                without_class = {.rules = own, .rules_len = sizeof own - 1, .mute = fine},
                                secrets = {.rules = own, .rules_len = sizeof own - 1, .mute = people};
    (void)state;
    assert_string_equal(found_with(&none, text), "gitlab-pat email");
    assert_string_equal(found_with(&with, text), "gitlab-pat staff-badge email");
    assert_string_equal(found_with(&without, text), "staff-badge email"); /* by its family */
    assert_string_equal(found_with(&without_class, text), "staff-badge email");
    assert_string_equal(found_with(&secrets, text), "gitlab-pat");
}

static void wrong_rules_are_told(void **state) {
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        {"- id: a\n  pattern: 'x'\n  match: ['x']\n", "line 1: a rule needs examples: match, and clean"},
        {"- id: a\n  pattren: 'x'\n", "line 2: unknown field"},
        {"- id: a\n  pattern: '(x'\n  match: ['x']\n  clean: ['y']\n",
         "line 1: the pattern is no regular expression"},
        {"- id: github-pat\n  pattern: 'x'\n  match: ['x']\n  clean: ['y']\n",
         "line 1: there is a rule of that id already"},
        {"- id: a\n  pattern: 'x(a)(b)'\n  match: ['x']\n  clean: ['y']\n",
         "line 1: at most one group (...) may be the value; write (?:...) for others"},
        {"rules", "line 1: rules are a list"},
    };
    const char *const unknown[] = {"no-such-rule", NULL};
    const struct detect_options mute = {.mute = unknown};
    struct detect *other;
    char why[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct detect_options options = {cases[i].yaml, strlen(cases[i].yaml), NULL};
        assert_int_equal(detect_new(&other, &options, why, sizeof why), ERR_SYNTAX);
        assert_null(other);
        assert_string_equal(why, cases[i].why);
    }
    assert_int_equal(detect_new(&other, &mute, why, sizeof why), ERR_NOTFOUND);
    assert_string_equal(why, "there is no rule, class or family no-such-rule");
}

static int tried(const char *yaml, char *why, size_t size) {
    const struct detect_options options = {.rules = yaml, .rules_len = strlen(yaml)};
    struct detect *own_one;
    assert_int_equal(detect_new(&own_one, &options, why, size), 0);
    int rc = detect_try(own_one, why, size);
    detect_free(own_one);
    return rc;
}

/* A rule must do what its examples say, with all that is beside it, and may not slow down everything. */
static void own_rules_are_tried(void **state) {
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        {"- id: a\n  pattern: 'badge-[0-9]{4}'\n  match:\n    - 'badge-1234'\n    - 'badge 1234'\n  clean: ['badge']\n",
         "line 5: rule a does not find its example \"badge 1234\""},
        {"# mine\n- id: b\n  pattern: 'desk-[0-9]{4}'\n  match: ['desk-1234']\n  clean:\n  - 'old desk-1234'\n",
         "line 6: rule b finds something in what must be clean, \"old desk-1234\""},
        /* found by the first stage, and thrown away by the check */
        {"- id: c\n  pattern: 'word-[a-z]{8}'\n  check: random\n  match: ['word-aardvark']\n  clean: ['word']\n",
         "line 4: rule c does not find its example \"word-aardvark\""},
    };
    static const char *const slow[] = {
        "- id: d\n  pattern: 'e'\n  match: ['e']\n  clean: ['x']\n",
        "- id: f\n  pattern: '.{3}:.{3}'\n  match: ['abc:abc']\n  clean: ['x']\n",
        "- id: g\n  pattern: '(?:[a-z]+\\.)+com'\n  match: ['a.com']\n  clean: ['x']\n",
    };
    char why[512];
    (void)state;
    if (tried(own, why, sizeof why))
        fail_msg("%s", why);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tried(cases[i].yaml, why, sizeof why), ERR_SYNTAX);
        assert_string_equal(why, cases[i].why);
    }
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        assert_int_equal(tried(slow[i], why, sizeof why), ERR_SYNTAX);
        assert_non_null(strstr(why, " makes the scan of ordinary text "));
        assert_memory_equal(why, "line 1: rule ", 13);
    }
}

/* A scan that takes too long says nothing, and the next one is as good as any. */
static void time_is_limited(void **state) {
    static const char text[] = "password = \"Qm2Xv9Lz4Kp8\" and glpat-Qm2Xv9Lz4Kp8Rt3Yw1sB";
    struct detect_findings list = {0};
    (void)state;
    detect_work_time(w, 1);
    assert_int_equal(detect_scan(d, w, text, strlen(text), DETECT_TEXT, &list), ERR_LIMIT);
    assert_int_equal(list.count, 0);
    detect_work_time(w, 60000000000ull);
    assert_int_equal(detect_scan(d, w, text, strlen(text), DETECT_TEXT, &list), 0);
    assert_int_equal(list.count, 2);
    detect_work_time(w, 0);
    detect_findings_done(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_hold),
        cmocka_unit_test(values_have_their_bytes),
        cmocka_unit_test(families_are_told),
        cmocka_unit_test(own_rules_stand_beside),
        cmocka_unit_test(wrong_rules_are_told),
        cmocka_unit_test(own_rules_are_tried),
        cmocka_unit_test(time_is_limited),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
