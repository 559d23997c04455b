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

static void takes_only_header_values(void **state) {
    (void)state;
    struct upstream u = {0};
    char large[SNAPSHOT_CREDENTIAL];
    memset(large, 'k', sizeof large);
    assert_int_equal(upstream_credential(&u, "sk-1", 4), 0);
    assert_string_equal(u.credential, "Bearer sk-1");
    assert_int_equal(upstream_credential(&u, "", 0), ERR_USAGE);
    assert_int_equal(upstream_credential(&u, "a b", 3), ERR_USAGE);
    assert_int_equal(upstream_credential(&u, "a\r\nX: y", 7), ERR_USAGE);
    assert_int_equal(upstream_credential(&u, "k\xc3\xa9", 3), ERR_USAGE);
    assert_int_equal(upstream_credential(&u, large, sizeof large - 8), 0);
    assert_int_equal(strlen(u.credential), sizeof u.credential - 1);
    assert_int_equal(upstream_credential(&u, large, sizeof large - 7), ERR_USAGE);
}

static void forget_variables(void) {
    unsetenv("DEEPSEEK_API_KEY");
    unsetenv("OPENAI_API_KEY");
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

    setenv("OPENAI_API_KEY", "o", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_false(u.demo);
    assert_string_equal(u.name, "openai");
    setenv("DEEPSEEK_API_KEY", "d", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.url, "https://api.deepseek.com");
    assert_string_equal(u.credential, "Bearer d");

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
    assert_string_equal(u.credential, "");
    w.url = "http://option.example";
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.url, "http://option.example");
    assert_string_equal(u.credential, "");
    w.key_env = "TEST_UPSTREAM_KEY";
    unsetenv(w.key_env);
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE);
    setenv(w.key_env, "t", 1);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.credential, "Bearer t");
    w.url = NULL;
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE); /* whose key would it be? */
    config_free(c);
    forget_variables();
}

static void overwrites_credentials(void **state) {
    (void)state;
    struct config *c = config_new();
    const struct upstream_wish w = {.config = c, .key_env = "TEST_UPSTREAM_KEY"};
    setenv("TEST_UPSTREAM_KEY", "secret", 1);
    setenv("DEEPSEEK_API_KEY", "secret", 1);
    char *mine = getenv("TEST_UPSTREAM_KEY"), *account = getenv("DEEPSEEK_API_KEY");
    upstream_forget_env(&w);
    assert_null(getenv("TEST_UPSTREAM_KEY"));
    assert_null(getenv("DEEPSEEK_API_KEY"));
    assert_memory_equal(mine, "\0\0\0\0\0\0", 6);
    assert_memory_equal(account, "\0\0\0\0\0\0", 6);
    config_free(c);
}

static void reads_credential_files(void **state) {
    (void)state;
    struct upstream u;
    struct why why;
    struct config *c = config_new();
    const struct upstream_wish w = {.config = c};
    char path[] = "/tmp/safehouse-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "sk-file\r\nmore\n", 14) == 14);
    strcpy(c->upstream.url, "https://config.example");
    strcpy(c->upstream.credential_file, path);
    assert_int_equal(upstream_choose(&w, &u, &why), 0);
    assert_string_equal(u.credential, "Bearer sk-file");
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "chmod 600"));
    assert_true(fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0);
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_USAGE);
    unlink(path);
    assert_int_equal(upstream_choose(&w, &u, &why), ERR_NOTFOUND);
    close(fd);
    config_free(c);
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
        cmocka_unit_test(takes_only_header_values),
        cmocka_unit_test(chooses_in_order),
        cmocka_unit_test(overwrites_credentials),
        cmocka_unit_test(reads_credential_files),
        cmocka_unit_test(knows_a_list_of_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
