/* What is said of classes, and which projects have something to inspect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "write/policy/policy.h"

static int make(struct policy **ret, const char *text, const char **rules, size_t *rules_len) {
    const char *const *mute = NULL;
    int fd = memfd_create("policy", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    int rc = policy_new(ret, fd, &mute, rules, rules_len);
    close(fd);
    if (!rc)
        assert_string_equal(mute[0] ? mute[0] : "", strstr(text, "mute") ? "ip-address" : "");
    return rc;
}

static void actions(void **state) {
    struct policy *p;
    const char *rules = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(make(&p,
                          "on\nmute ip-address\nclass jwt mask\nclass email seal\nproject a jwt allow\n"
                          "project b email block\nrules\n- id: x\n",
                          &rules, &len),
                     0);
    assert_true(policy_on(p));
    assert_int_equal(len, 8);
    assert_memory_equal(rules, "- id: x\n", 8);
    assert_int_equal(policy_action(p, "a", "jwt", NULL), ACTION_ALLOW);
    assert_int_equal(policy_action(p, "b", "jwt", NULL), ACTION_MASK);
    assert_int_equal(policy_action(p, "b", "email", NULL), ACTION_BLOCK);
    assert_int_equal(policy_action(p, "c", "email", NULL), ACTION_SEAL);
    assert_int_equal(policy_action(p, "c", "password", NULL), ACTION_DEFAULT);
    /* a project's own word comes first, also where it is the milder one */
    assert_true(policy_has(p, NULL, ACTION_MASK));
    assert_false(policy_has(p, "a", ACTION_MASK));
    assert_true(policy_has(p, "b", ACTION_MASK));
    assert_true(policy_has(p, "c", ACTION_MASK));
    assert_true(policy_has(p, NULL, ACTION_BLOCK));
    assert_true(policy_has(p, "b", ACTION_BLOCK));
    assert_false(policy_has(p, "c", ACTION_BLOCK));
    policy_free(p);
}

/* A family's name stands for its classes; what is said of one class of it counts before. */
static void families(void **state) {
    struct policy *p;
    const char *rules = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(make(&p,
                          "on\nclass slack-bot-token allow\nclass slack-token mask\nproject a slack-token seal\n"
                          "project b slack-user-token block\nproject b slack-token allow\n",
                          &rules, &len),
                     0);
    assert_int_equal(policy_action(p, "c", "slack-bot-token", "slack-token"), ACTION_ALLOW);
    assert_int_equal(policy_action(p, "c", "slack-user-token", "slack-token"), ACTION_MASK);
    assert_int_equal(policy_action(p, "c", "slack-token", NULL), ACTION_MASK);
    assert_int_equal(policy_action(p, "c", "slack-user-token", NULL), ACTION_DEFAULT);
    assert_int_equal(policy_action(p, "a", "slack-bot-token", "slack-token"), ACTION_SEAL);
    assert_int_equal(policy_action(p, "b", "slack-user-token", "slack-token"), ACTION_BLOCK);
    assert_int_equal(policy_action(p, "b", "slack-bot-token", "slack-token"), ACTION_ALLOW);
    assert_true(policy_has(p, "c", ACTION_MASK));
    assert_false(policy_has(p, "a", ACTION_MASK));
    assert_true(policy_has(p, "b", ACTION_BLOCK));
    policy_free(p);
}

static void nothing_said(void **state) {
    struct policy *p;
    const char *rules = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(make(&p, "", &rules, &len), 0);
    assert_false(policy_on(p));
    assert_false(policy_has(p, NULL, ACTION_BLOCK));
    policy_free(p);
    policy_free(NULL);
    static const char *const wrong[] = {"on\nclass jwt hide\n", "class jwt\n", "project a jwt mask more\n",
                                        "nothing\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(make(&p, wrong[i], &rules, &len), ERR_SYNTAX);
        assert_null(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(actions), cmocka_unit_test(families),
                                       cmocka_unit_test(nothing_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
