/* The configuration file: what is accepted, and what each refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "control/config.h"
#include "control/nearest.h"

static int parse(struct config **ret, const char *text, char why[CONFIG_WHY]) {
    *ret = config_new();
    why[0] = 0;
    return config_parse(*ret, "f.yaml", text, strlen(text), why);
}

static void reads_every_field(void **state) {
    (void)state;
    struct config *c;
    char why[CONFIG_WHY];
    int rc = parse(&c,
                   "# a comment\n"
                   "listen: 127.0.0.1:8080\n"
                   "console: \"[::1]:8090\"\n"
                   "behind_tls_proxy: true\n"
                   "sandbox: best-effort\n"
                   "unencrypted_swap: accept\n"
                   "upstream:\n"
                   "  url: https://api.deepseek.com\n"
                   "  name: deepseek\n"
                   "  credential_env: DEEPSEEK_API_KEY\n"
                   "  credential_file: /run/key\n"
                   "  models: [deepseek-chat, deepseek-reasoner]\n"
                   "tls: {certificate: /c.pem, key: /k.pem}\n"
                   "gateway:\n"
                   "  workers: 2\n"
                   "  max_body: 8MiB\n"
                   "  ring_size: 1GiB\n"
                   "vault:\n"
                   "  replica:\n"
                   "    - /mnt/a\n"
                   "    - /mnt/b\n",
                   why);
    assert_string_equal(why, "");
    assert_int_equal(rc, 0);
    assert_string_equal(c->listen, "127.0.0.1:8080");
    assert_string_equal(c->console, "[::1]:8090");
    assert_true(c->behind_tls_proxy);
    assert_int_equal(c->sandbox, CONFIG_LENIENT);
    assert_int_equal(c->unencrypted_swap, CONFIG_LENIENT);
    assert_string_equal(c->upstream.url, "https://api.deepseek.com");
    assert_int_equal(c->upstream.model_count, 2);
    assert_string_equal(c->upstream.models[1], "deepseek-reasoner");
    assert_string_equal(c->tls.key, "/k.pem");
    assert_int_equal(c->gateway.workers, 2);
    assert_int_equal(c->gateway.max_body, 8u << 20);
    assert_int_equal(c->gateway.ring_size, 1u << 30);
    assert_int_equal(c->vault.replica_count, 2);
    assert_string_equal(c->vault.replica[1], "/mnt/b");
    config_free(c);
}

static void says_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"lisen: 127.0.0.1:1\n",
         "f.yaml:1:1: there is no field \"lisen\"; did you mean \"listen\"?"},
        {"listen: a:1\nupstream:\n  ulr: x\n",
         "f.yaml:3:3: there is no field \"upstream.ulr\"; did you mean \"url\"?"},
        {"quite_another: 1\n",
         "f.yaml:1:1: there is no field \"quite_another\"; the fields here are listen, console, "
         "behind_tls_proxy, sandbox, unencrypted_swap, upstream, tls, gateway, vault"},
        {"listen: a:1\nlisten: b:2\n",
         "f.yaml:2:1: \"listen\" stands here for the second time"},
        {"behind_tls_proxy: yes\n", "f.yaml:1:19: \"behind_tls_proxy\" must be false or true"},
        {"sandbox: off\n", "f.yaml:1:10: \"sandbox\" must be required or best-effort"},
        {"gateway: {workers: 0}\n", "f.yaml:1:20: \"workers\" must be between 1 and 64"},
        {"gateway: {workers: 2M}\n", "f.yaml:1:20: \"workers\" must be a number"},
        {"gateway: {max_body: 33MiB}\n",
         "f.yaml:1:21: \"max_body\" must be between 1024 and 33554432"},
        {"gateway: {max_body: -1}\n", "f.yaml:1:21: \"max_body\" must be a number"},
        {"gateway: {max_body: 99999999999999999999}\n",
         "f.yaml:1:21: \"max_body\" must be a number"},
        {"gateway: {ring_size: 99999999999GiB}\n",
         "f.yaml:1:22: \"ring_size\" must be between 16777216 and 68719476736"},
        {"upstream: {models: one}\n", "f.yaml:1:20: \"models\" must be a list: [one, two]"},
        {"upstream: {models: [[a]]}\n", "f.yaml:1:21: \"models\" must be a text"},
        {"upstream: 1\n", "f.yaml:1:11: \"upstream\" must have fields, as in \"name: value\""},
        {"- a\n", "f.yaml:1:1: the file must have fields, as in \"name: value\""},
        {"listen:\n", "f.yaml:1:8: \"listen\" must be a text"},
        {"listen: \"a\\nb\"\n", "f.yaml:1:9: \"listen\" has a control character in it"},
        {"? [a]\n: b\n", "f.yaml:1:3: a field's name must be a plain word"},
        {"listen: a:1\n---\nlisten: b:1\n",
         "f.yaml:3:1: a second document begins here; one is enough"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *c;
        char why[CONFIG_WHY];
        int rc = parse(&c, rows[i].text, why);
        assert_string_equal(why, rows[i].why);
        assert_int_equal(rc, ERR_SYNTAX);
        config_free(c);
    }
}

static void survives_odd_files(void **state) {
    (void)state;
    struct config *c;
    char why[CONFIG_WHY];
    assert_int_equal(parse(&c, "", why), 0);
    assert_int_equal(c->gateway.max_body, LIMIT_REQUEST_BODY);
    config_free(c);
    assert_int_equal(parse(&c, "listen: [\n", why), ERR_SYNTAX);
    config_free(c);
    assert_int_equal(parse(&c, "listen: \xff\xfe\n", why), ERR_SYNTAX);
    config_free(c);
    assert_int_equal(parse(&c, "upstream: &u\n  url: *u\n", why), ERR_SYNTAX);
    config_free(c);
    char many[4096] = "vault: {replica: [";
    for (int i = 0; i <= CONFIG_LIST; i++)
        strcat(many, "/a,");
    strcat(many, "]}\n");
    assert_int_equal(parse(&c, many, why), ERR_SYNTAX);
    assert_non_null(strstr(why, "more than 64 entries"));
    config_free(c);
    c = config_new();
    assert_int_equal(config_load(c, "/nonexistent.yaml", why), ERR_NOTFOUND);
    assert_int_equal(config_load(c, "/", why), ERR_IO);
    assert_int_equal(config_load(c, "/dev/zero", why), ERR_LIMIT);
    config_free(c);
}

static void finds_the_nearest(void **state) {
    (void)state;
    static const char *const names[] = {"query", "status", "unlock", "lock", NULL};
    assert_string_equal(nearest_name("qurey", names), "query");
    assert_string_equal(nearest_name("stat", names), "status");
    assert_string_equal(nearest_name("unlok", names), "unlock");
    assert_null(nearest_name("", names));
    assert_null(nearest_name("frobnicate", names));
    assert_null(nearest_name("a name of more than thirty-two characters", names));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(survives_odd_files),
        cmocka_unit_test(finds_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
