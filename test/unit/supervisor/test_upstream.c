/* The choice of the provider, its URL, its credential, and what counts as a list of models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "control/dialect.h"
#include "proc/supervisor/upstream.h"

static void reads_urls(void **state) {
    (void)state;
    static const struct {
        const char *url, *again, *name;
        bool tls, loopback;
    } good[] = {
        {"https://api.deepseek.com", "https://api.deepseek.com", "deepseek", true, false},
        {"https://api.openai.com/", "https://api.openai.com", "openai", true, false},
        {"http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1", "127.0.0.1", false, true},
        {"http://localhost:1/a/b//", "http://localhost:1/a/b", "localhost", false, true},
        {"http://[::1]:65535", "http://[::1]:65535", "--1", false, true},
        {"http://10.0.0.1", "http://10.0.0.1", "10.0.0.1", false, false},
    };
    struct why why;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct upstream u = {0};
        assert_int_equal(upstream_parse(good[i].url, &u, &why), 0);
        assert_string_equal(u.url, good[i].again);
        assert_string_equal(u.name, good[i].name);
        assert_int_equal(u.tls, good[i].tls);
        assert_int_equal(u.loopback, good[i].loopback);
    }
}

static void refuses_other_urls(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "api.deepseek.com",
        "ftp://h",
        "http://",
        "https://:80",
        "http://h:",
        "http://h:0",
        "http://h:65536",
        "http://h:80x",
        "http://u@h",
        "http://u:p@h",
        "http://h/?q",
        "http://h?q",
        "http://h#f",
        "http://h/a b",
        "http://h/a;b",
        "http://h/{",
        "http://h/$x",
        "http://h/\n",
        "http://[::1",
        "http://[x]",
        "http://[::1]x",
        "HTTP://h",
        "http://h/%2e",
    };
    struct why why;
    struct upstream u;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (upstream_parse(bad[i], &u, &why) != ERR_USAGE)
            fail_msg("\"%s\" was taken for an upstream", bad[i]);
}

static void forget_variables(void) {
    unsetenv("DEEPSEEK_API_KEY");
    unsetenv("OPENAI_API_KEY");
    unsetenv("ANTHROPIC_API_KEY");
    setenv("SAFEHOUSE_NO_DISCOVERY", "1", 1);
}

static void chooses_in_order(void **state) {
    (void)state;
    struct upstream u;
    struct why why;
    struct config *c = config_new();
    struct upstream_wish w = {.config = c};
    forget_variables();
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_true(u.demo);
    assert_string_equal(u.name, "demo");

    setenv("ANTHROPIC_API_KEY", "a", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.url, "https://api.anthropic.com");
    assert_string_equal(u.name, "anthropic");
    assert_int_equal(u.dialects, DIALECT_ANTHROPIC);
    setenv("OPENAI_API_KEY", "o", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_false(u.demo);
    assert_string_equal(u.name, "openai");
    assert_int_equal(u.dialects, DIALECT_OPENAI);
    setenv("DEEPSEEK_API_KEY", "d", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.url, "https://api.deepseek.com");
    assert_string_equal(u.credential_env, "DEEPSEEK_API_KEY");
    assert_int_equal(u.dialects, DIALECT_ALL);
    assert_true(u.automatic);

    /* Whose key it is must be said. */
    strcpy(c->upstream.credential_env, "TEST_UPSTREAM_KEY");
    unsetenv("DEEPSEEK_API_KEY");
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE);
    c->upstream.credential_env[0] = 0;

    /* A provider that is named gets its own credential and no other's. */
    strcpy(c->upstream.url, "https://config.example");
    strcpy(c->upstream.name, "ours");
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.name, "ours");
    assert_string_equal(u.credential_env, "");
    assert_false(u.automatic);
    w.url = "http://option.example";
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.url, "http://option.example");
    assert_string_equal(u.credential_env, "");
    w.key_env = "TEST_UPSTREAM_KEY";
    unsetenv(w.key_env);
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE);
    setenv(w.key_env, "t", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.credential_env, "TEST_UPSTREAM_KEY");
    w.url = NULL;
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE); /* whose key would it be? */
    config_free(c);
    forget_variables();
}

/* A reload looks for nothing: what was found at the start stays, and nothing else comes. */
static void finds_the_same_again(void **state) {
    (void)state;
    struct upstream u, found = {0};
    struct why why;
    struct config *c = config_new();
    struct upstream_wish w = {.config = c, .reload = &found};
    forget_variables();
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "providers"));
    setenv("DEEPSEEK_API_KEY", "d", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE);
    w.reload = NULL;
    assert_int_equal(upstream_choose(&w, &found, &why), 0);
    unsetenv("DEEPSEEK_API_KEY"); /* as after the start */
    w.reload = &found;
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.url, "https://api.deepseek.com");
    assert_string_equal(u.credential_env, "DEEPSEEK_API_KEY");
    /* The variable that a configuration names may be gone, too: its value is still known. */
    strcpy(c->upstream.url, "https://config.example");
    strcpy(c->upstream.credential_env, "TEST_UPSTREAM_KEY");
    unsetenv("TEST_UPSTREAM_KEY");
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.credential_env, "TEST_UPSTREAM_KEY");
    config_free(c);
}

static void overwrites_credentials(void **state) {
    (void)state;
    setenv("DEEPSEEK_API_KEY", "secret", 1);
    char *account = getenv("DEEPSEEK_API_KEY");
    upstream_forget_env();
    assert_null(getenv("DEEPSEEK_API_KEY"));
    assert_memory_equal(account, "\0\0\0\0\0\0", 6);
}

static bool list(const char *text) {
    return upstream_is_model_list(text, strlen(text));
}

static void knows_a_list_of_models(void **state) {
    (void)state;
    assert_true(
        list("HTTP/1.1 200 OK\r\nX: y\r\n\r\n{\"object\":\"list\",\"data\":[{\"id\":\"m\"}]}"));
    assert_true(list("HTTP/1.0 200 OK\r\n\r\n{\"data\":[]}"));
    assert_false(list(""));
    assert_false(list("HTTP/1.1 200 OK"));
    assert_false(list("HTTP/1.1 200 OK\r\n\r\n"));
    assert_false(list("HTTP/1.1 401 Unauthorized\r\n\r\n{\"data\":[]}"));
    assert_false(list("HTTP/2 200 OK\r\n\r\n{\"data\":[]}"));
    assert_false(list("HTTP/1.1 200 OK\r\n\r\n{\"data\":{}}"));
    assert_false(list("HTTP/1.1 200 OK\r\n\r\n{\"data\":[1]}"));
    assert_false(list("HTTP/1.1 200 OK\r\n\r\n{\"data\":[]} more"));
    assert_false(list("HTTP/1.1 200 OK\r\n\r\n[{\"data\":[]}]"));
    assert_false(list("HTTP/1.1 200 OK\r\n\r\n<html>\"data\":[]</html>"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_urls),
        cmocka_unit_test(refuses_other_urls),
        cmocka_unit_test(chooses_in_order),
        cmocka_unit_test(finds_the_same_again),
        cmocka_unit_test(overwrites_credentials),
        cmocka_unit_test(knows_a_list_of_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
