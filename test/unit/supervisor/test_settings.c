/* What is in force: read as a whole at the start and at reloads, compared, and partly kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/err.h"
#include "control/dialect.h"
#include "proc/supervisor/settings.h"

static char path[] = "/tmp/safehouse-settings-XXXXXX";

static int make_path(void **state) {
    (void)state;
    int fd = mkstemp(path);
    unsetenv("DEEPSEEK_API_KEY");
    unsetenv("OPENAI_API_KEY");
    unsetenv("ANTHROPIC_API_KEY");
    setenv("SAFEHOUSE_NO_DISCOVERY", "1", 1);
    return fd < 0 || close(fd) || sodium_init() < 0;
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static void write_file(const char *text) {
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The whole reading of this text. */
static int settings_read(const struct settings_source *source, const struct settings *before,
                         const char *text, struct settings *ret, struct why *why) {
    write_file(text);
    int rc = settings_load(source, ret, why);
    return rc ? rc : settings_complete(source, before, ret, why);
}

#define TWO                                                                                        \
    "providers:\n"                                                                                 \
    "  a: {url: 'http://127.0.0.1:1', keys: [{env: TEST_KEY_A}]}\n"                                \
    "  b: {url: 'http://127.0.0.1:2'}\n"

static void reads_providers(void **state) {
    (void)state;
    const struct settings_source source = {.file = path};
    struct settings s;
    struct why why;
    setenv("TEST_KEY_A", "sk-a", 1);
    setenv("DEEPSEEK_API_KEY", "sk-d", 1); /* not looked for */
    assert_int_equal(settings_read(&source, NULL, TWO, &s, &why), 0);
    assert_int_equal(s.config->providers.count, 2);
    assert_string_equal(config_credential(s.credentials, 0, 0), "sk-a");
    assert_null(s.upstream.chosen);
    assert_int_equal(s.demo_fd, -1);
    assert_null(getenv("TEST_KEY_A")); /* wiped */
    assert_non_null(getenv("DEEPSEEK_API_KEY"));
    unsetenv("DEEPSEEK_API_KEY");

    /* A reload has the value of before, and a new provider its own. */
    struct settings next;
    setenv("TEST_KEY_C", "sk-c", 1);
    assert_int_equal(settings_read(&source, &s,
                                   TWO "  c: {url: 'http://127.0.0.1:3', keys: [{env: "
                                       "TEST_KEY_C}]}\n",
                                   &next, &why),
                     0);
    assert_string_equal(config_credential(next.credentials, 0, 0), "sk-a");
    assert_string_equal(config_credential(next.credentials, 2, 0), "sk-c");
    char changed[SETTINGS_NAMES];
    assert_int_equal(settings_compare(&s, &next, changed), 0);
    assert_non_null(strstr(changed, "providers"));

    /* It does not come into force: its own variable is there for the next time. */
    assert_null(getenv("TEST_KEY_C"));
    settings_give_up(&next, &s);
    assert_string_equal(getenv("TEST_KEY_C"), "sk-c");
    assert_null(getenv("TEST_KEY_A"));
    unsetenv("TEST_KEY_C");

    /* A name on the command line beside providers: whose word would it be? */
    const struct settings_source both = {.file = path, .upstream = "http://127.0.0.1:9"};
    assert_int_equal(settings_read(&both, NULL, TWO, &next, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "--upstream"));
    settings_done(&next);
    settings_done(&s);
}

static void says_where_it_is_wrong(void **state) {
    (void)state;
    const struct settings_source source = {.file = path};
    struct settings s;
    struct why why;
    assert_int_equal(settings_read(&source, NULL, "gateway:\n  wrokers: 2\n", &s, &why),
                     ERR_SYNTAX);
    assert_non_null(strstr(why.text, ":2:3:"));
    settings_done(&s);
    unsetenv("TEST_KEY_GONE");
    assert_int_equal(settings_read(&source, NULL,
                                   "providers:\n  a: {url: 'http://h', keys: [{env: "
                                   "TEST_KEY_GONE}]}\n",
                                   &s, &why),
                     ERR_NOTFOUND);
    assert_non_null(strstr(why.text, "TEST_KEY_GONE"));
    settings_done(&s);
    settings_done(&s); /* of none */
}

static void makes_one_provider_of_the_choice(void **state) {
    (void)state;
    const struct settings_source source = {.file = path, .upstream = "https://api.openai.com"};
    struct settings s;
    struct why why;
    assert_int_equal(
        settings_read(&source, NULL, "upstream: {url: 'http://elsewhere', name: n}\n", &s, &why),
        0);
    assert_int_equal(s.config->providers.count, 1);
    assert_string_equal(s.config->providers.at[0].url, "https://api.openai.com");
    assert_string_equal(s.config->providers.at[0].name, "n");
    assert_int_equal(s.config->providers.at[0].dialects, DIALECT_OPENAI);
    assert_string_equal(s.config->routes.at[0].model, "*");
    settings_done(&s);
}

/* The demo's address and an account's key outlive the reload, whose environment has neither. */
static void keeps_what_was_found(void **state) {
    (void)state;
    const struct settings_source source = {.file = path};
    struct settings s, next;
    struct why why;
    assert_int_equal(settings_read(&source, NULL, "", &s, &why), 0);
    assert_true(s.upstream.demo && s.demo_fd >= 0);
    assert_int_equal(settings_read(&source, &s, "", &next, &why), 0);
    assert_string_equal(next.config->providers.at[0].url, s.config->providers.at[0].url);
    assert_int_equal(next.demo_fd, -1); /* the first one's goes on */
    char changed[SETTINGS_NAMES];
    assert_int_equal(settings_compare(&s, &next, changed), 0);
    assert_string_equal(changed, "");
    settings_done(&next);
    settings_done(&s);

    setenv("DEEPSEEK_API_KEY", "sk-d", 1);
    assert_int_equal(settings_read(&source, NULL, "", &s, &why), 0);
    assert_null(getenv("DEEPSEEK_API_KEY"));
    assert_int_equal(settings_read(&source, &s, "", &next, &why), 0);
    assert_string_equal(config_credential(next.credentials, 0, 0), "sk-d");
    settings_done(&next);
    settings_done(&s);
}

static void keeps_what_a_running_one_cannot_change(void **state) {
    (void)state;
    struct settings_source source = {.file = path};
    struct settings s, next;
    struct why why;
    char kept[SETTINGS_NAMES];
    assert_int_equal(settings_read(&source, NULL,
                                   "listen: 127.0.0.1:1\nproviders:\n  b: {url: 'http://h'}\n", &s,
                                   &why),
                     0);
    assert_int_equal(settings_read(&source, &s,
                                   "listen: 127.0.0.1:2\nsandbox: best-effort\ngateway: "
                                   "{ring_size: 64MiB, workers: 3}\nproviders:\n  b: {url: "
                                   "'http://h'}\n",
                                   &next, &why),
                     0);
    settings_keep(&source, &s, &next, kept);
    assert_string_equal(kept, "listen, sandbox, gateway.ring_size");
    assert_string_equal(next.config->listen, "127.0.0.1:1");
    assert_int_equal(next.config->sandbox, CONFIG_STRICT);
    assert_int_equal(next.config->gateway.ring_size, 0);
    assert_int_equal(next.config->gateway.workers, 3);
    settings_done(&next);
    /* With --listen the file's word never counted. */
    source.listen = "127.0.0.1:9";
    assert_int_equal(settings_read(&source, &s,
                                   "listen: 127.0.0.1:2\nproviders:\n  b: {url: 'http://h'}\n",
                                   &next, &why),
                     0);
    settings_keep(&source, &s, &next, kept);
    assert_string_equal(kept, "");
    settings_done(&next);
    settings_done(&s);
}

static void compares_parts(void **state) {
    (void)state;
    const struct settings_source source = {.file = path};
    static const char before[] = "providers:\n  b: {url: 'http://h', models: [m]}\n";
    static const struct {
        const char *text, *changed;
    } rows[] = {
        {"# a comment\nproviders:\n  b: {url: 'http://h', models: [m]}\n", ""},
        {"providers:\n  b: {url: 'http://h', models: [m]}\naliases: {f: m}\n", "aliases"},
        {"providers:\n  b: {url: 'http://h', models: [m]}\nprojects: {p: {limits: "
         "{concurrency: 3}}}\nkeys: {limits: {concurrency: 2}}\n",
         "projects, keys"},
        {"providers:\n  b: {url: 'http://h', models: [m, n]}\n", "providers, routes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s, next;
        struct why why;
        char changed[SETTINGS_NAMES];
        assert_int_equal(settings_read(&source, NULL, before, &s, &why), 0);
        assert_int_equal(settings_read(&source, &s, rows[i].text, &next, &why), 0);
        assert_int_equal(settings_compare(&s, &next, changed), 0);
        if (i == 2) { /* in whichever order */
            assert_non_null(strstr(changed, "projects"));
            assert_non_null(strstr(changed, "keys"));
        } else {
            assert_string_equal(changed, rows[i].changed);
        }
        settings_done(&next);
        settings_done(&s);
    }
}

static void sees_another_key(void **state) {
    (void)state;
    const struct settings_source source = {.file = path};
    static const char text[] = "providers:\n  b: {url: 'http://h', keys: [{env: TEST_KEY_B}]}\n";
    struct settings s, next;
    struct why why;
    char changed[SETTINGS_NAMES];
    setenv("TEST_KEY_B", "sk-1", 1);
    assert_int_equal(settings_read(&source, NULL, text, &s, &why), 0);
    setenv("TEST_KEY_B", "sk-2", 1);
    assert_int_equal(settings_read(&source, &s, text, &next, &why), 0);
    assert_int_equal(settings_compare(&s, &next, changed), 0);
    assert_string_equal(changed, "keys of providers");
    settings_done(&next);
    settings_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_providers),
        cmocka_unit_test(says_where_it_is_wrong),
        cmocka_unit_test(makes_one_provider_of_the_choice),
        cmocka_unit_test(keeps_what_was_found),
        cmocka_unit_test(keeps_what_a_running_one_cannot_change),
        cmocka_unit_test(compares_parts),
        cmocka_unit_test(sees_another_key),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
