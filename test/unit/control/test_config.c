/* The configuration file: what is accepted, and what each refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/err.h"
#include "control/config.h"
#include "control/config_credentials.h"
#include "control/dialect.h"
#include "control/money.h"
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
                   "  body_memory: 64MiB\n"
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
    assert_int_equal(c->gateway.body_memory, 64u << 20);
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
         "behind_tls_proxy, sandbox, unencrypted_swap, upstream, providers, "
         "routes, aliases, projects, keys, prices, log, detect, reports, retention, processing, alarms, tls, gateway, vault"},
        {"listen: a:1\nlisten: b:2\n", "f.yaml:2:1: \"listen\" stands here for the second time"},
        {"behind_tls_proxy: yes\n", "f.yaml:1:19: \"behind_tls_proxy\" must be false or true"},
        {"sandbox: off\n", "f.yaml:1:10: \"sandbox\" must be required or best-effort"},
        {"gateway: {workers: 0}\n", "f.yaml:1:20: \"workers\" must be between 1 and 64"},
        {"gateway: {workers: 2M}\n", "f.yaml:1:20: \"workers\" must be a number"},
        {"gateway: {max_body: 33MiB}\n",
         "f.yaml:1:21: \"max_body\" must be between 1024 and 33554432"},
        {"gateway: {max_body: -1}\n",
         "f.yaml:1:21: \"max_body\" must be a number of bytes, KiB, MiB or GiB"},
        {"gateway: {max_body: 99999999999999999999}\n",
         "f.yaml:1:21: \"max_body\" must be a number of bytes, KiB, MiB or GiB"},
        {"gateway: {body_memory: 31MiB}\n",
         "f.yaml:1:24: \"body_memory\" must be between 33554432 and 68719476736"},
        {"gateway: {ring_size: 99999999999GiB}\n",
         "f.yaml:1:22: \"ring_size\" must be between 16777216 and 68719476736"},
        {"detect: {enabled: false, classes: {jwt: mask}}\n",
         "f.yaml:1:36: \"mask\" with \"enabled: false\" would let everything through"},
        {"detect: {projects: {p: {classes: {jwt: hide}}}}\n",
         "f.yaml:1:35: \"jwt\" must be fingerprint, seal, allow, block or mask"},
        {"detect: {classes: {'a b': seal}}\n",
         "f.yaml:1:20: \"a b\" is no name for a class: letters, digits, '.', '_' and '-'"},
        {"upstream: {models: one}\n", "f.yaml:1:20: \"models\" must be a list: [one, two]"},
        {"upstream: {models: [[a]]}\n", "f.yaml:1:21: \"models\" must be a text"},
        {"upstream: 1\n", "f.yaml:1:11: \"upstream\" must have fields, as in \"name: value\""},
        {"- a\n", "f.yaml:1:1: the file must have fields, as in \"name: value\""},
        {"listen:\n", "f.yaml:1:8: \"listen\" must be a text"},
        {"\"listen\\0x\": a:1\n", "f.yaml:1:1: a field's name must be a plain word"},
        {"listen: \"a\\0b\"\n", "f.yaml:1:9: \"listen\" must be a text"},
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
    assert_int_equal(c->gateway.body_memory, LIMIT_BODY_MEMORY);
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

static const char full[] =
    "providers:\n"
    "  deepseek:\n"
    "    dialect: [openai, deepseek, anthropic]\n"
    "    url: https://api.deepseek.com/\n"
    "    keys:\n"
    "      - env: DEEPSEEK_API_KEY\n"
    "      - {file: /run/keys/deepseek}\n"
    "    models: [deepseek-flash, deepseek-v4-pro]\n"
    "    max_concurrency: 500\n"
    "    isolate_by_user: true\n"
    "    timeouts: {connect: 5s, first_byte: 10m, idle: 90s, total: 1h}\n"
    "    eject_after: 0\n"
    "    eject_for: 1500ms\n"
    "  openai:\n"
    "    url: https://api.openai.com:8443/proxy\n"
    "    keys: [credential: openai]\n"
    "routes:\n"
    "  - model: deepseek-flash\n"
    "    providers:\n"
    "      - {name: deepseek, weight: 3}\n"
    "      - {name: openai, model: flash-like}\n"
    "  - {model: \"gpt-*\", providers: [name: openai], fallback: [deepseek]}\n"
    "aliases: {fast: deepseek-flash}\n"
    "projects:\n"
    "  shop:\n"
    "    models: [fast, \"gpt-*\"]\n"
    "    limits: {requests_per_minute: 100, budget_day: 12.50, concurrency: none}\n"
    "    tags: {team: web}\n"
    "  empty: {}\n"
    "keys:\n"
    "  limits: {tokens_per_minute: 1000}\n"
    "prices:\n"
    "  currency: EUR\n"
    "  as_of: 2026-11-01\n"
    "  models:\n"
    "    deepseek-flash: {input: 0.15, cached_input: 0.003, output: 0.6}\n"
    "log:\n"
    "  session_id: {header: X-Session-Id}\n"
    "  trace_id: {metadata: trace}\n"
    "  tags:\n"
    "    feature: {header: X-Feature}\n";

static void check_full(const struct config *c) {
    assert_int_equal(c->providers.count, 2);
    const struct config_provider *p = &c->providers.at[0];
    assert_string_equal(p->name, "deepseek");
    assert_int_equal(p->dialects, DIALECT_ALL);
    assert_int_equal(p->keys.count, 2);
    assert_string_equal(p->keys.at[0].env, "DEEPSEEK_API_KEY");
    assert_string_equal(p->keys.at[1].file, "/run/keys/deepseek");
    assert_string_equal(p->models.at[1].text, "deepseek-v4-pro");
    assert_int_equal(p->max_concurrency, 500);
    assert_true(p->isolate_by_user);
    assert_int_equal(p->timeouts.connect_ms, 5000);
    assert_int_equal(p->timeouts.first_byte_ms, 600000);
    assert_int_equal(p->timeouts.idle_ms, 90000);
    assert_int_equal(p->timeouts.total_ms, 3600000);
    assert_int_equal(p->eject_after, 0);
    assert_int_equal(p->eject_for_ms, 1500);
    p = &c->providers.at[1];
    assert_int_equal(p->dialects, DIALECT_OPENAI);
    assert_string_equal(p->keys.at[0].credential, "openai");
    assert_int_equal(p->eject_after, 5);
    assert_int_equal(c->routes.count, 2);
    assert_int_equal(c->routes.at[0].providers.at[0].weight, 3);
    assert_int_equal(c->routes.at[0].providers.at[1].weight, 1);
    assert_string_equal(c->routes.at[0].providers.at[1].model, "flash-like");
    assert_string_equal(c->routes.at[1].fallback.at[0].text, "deepseek");
    assert_string_equal(c->aliases.at[0].text, "deepseek-flash");
    const struct config_project *shop = &c->projects.at[0];
    assert_int_equal(shop->limits.requests_per_minute, 100);
    assert_int_equal(shop->limits.budget_day, 12500000000);
    assert_int_equal(shop->limits.concurrency, 0);
    assert_true(shop->limits.tokens_day == LIMITS_INHERIT);
    assert_string_equal(shop->models.at[1].text, "gpt-*");
    assert_string_equal(shop->tags.at[0].text, "web");
    assert_int_equal(c->projects.count, 2);
    assert_int_equal(c->keys.limits.tokens_per_minute, 1000);
    assert_string_equal(c->prices.currency, "EUR");
    assert_int_equal(c->prices.models.at[0].price.cached_input, 3000000);
    assert_true(c->prices.models.at[0].price.cache_write == CONFIG_PRICE_INPUT);
    assert_string_equal(c->log.session_id.header, "X-Session-Id");
    assert_string_equal(c->log.trace_id.metadata, "trace");
    assert_string_equal(c->log.tags.at[0].source.header, "X-Feature");
}

static void reads_the_large_parts(void **state) {
    (void)state;
    struct config *c, *again;
    struct buf text;
    char why[CONFIG_WHY];
    assert_int_equal(parse(&c, full, why), 0);
    assert_string_equal(why, "");
    check_full(c);
    assert_int_equal(c->routes.at[1].mark.line, 22);
    assert_int_equal(c->routes.at[1].mark.column, 5);

    /* What is described reads back as the same, completed or not. */
    for (int complete = 0; complete < 2; complete++) {
        buf_init(&text, 1u << 20);
        assert_int_equal(config_describe(c, &text), 0);
        assert_int_equal(buf_append_u8(&text, 0), 0);
        assert_null(strstr((char *)text.p, "upstream"));
        assert_int_equal(parse(&again, (char *)text.p, why), 0);
        check_full(again);
        config_free(again);
        buf_wipe(&text);
        assert_int_equal(config_complete(c, why), 0);
    }
    config_free(c);
}

static void completes(void **state) {
    (void)state;
    struct config *c;
    char why[CONFIG_WHY];
    assert_int_equal(parse(&c,
                           "upstream: {url: \"http://127.0.0.1:80/v/\", name: demo, "
                           "credential_env: DEMO, models: [m]}\n",
                           why),
                     0);
    assert_int_equal(config_complete(c, why), 0);
    assert_int_equal(c->providers.count, 1);
    assert_string_equal(c->providers.at[0].name, "demo");
    assert_string_equal(c->providers.at[0].keys.at[0].env, "DEMO");
    assert_int_equal(c->providers.at[0].dialects, DIALECT_ALL);
    assert_int_equal(c->routes.count, 1);
    assert_string_equal(c->routes.at[0].model, "*");
    assert_string_equal(c->upstream.url, "");
    config_free(c);

    /* Without routes: by the models that the providers say they have. */
    assert_int_equal(parse(&c,
                           "providers:\n  a: {url: \"http://a\", models: [x, y]}\n"
                           "  b: {url: \"http://b\", models: [y]}\n  c: {url: \"http://c\"}\n",
                           why),
                     0);
    assert_int_equal(config_complete(c, why), 0);
    assert_int_equal(c->routes.count, 3);
    assert_string_equal(c->routes.at[1].model, "y");
    assert_int_equal(c->routes.at[1].providers.count, 2);
    assert_string_equal(c->routes.at[2].model, "*");
    assert_string_equal(c->routes.at[2].providers.at[0].name, "c");
    /* The command line's upstream does not go with it. */
    strcpy(c->upstream.url, "http://d");
    assert_int_equal(config_complete(c, why), ERR_USAGE);
    config_free(c);

    static const struct {
        const char *url, *host, *path;
        bool ok, tls;
    } rows[] = {
        {"https://api.openai.com", "api.openai.com", "", true, true},
        {"https://h:443/a/b//", "h", "/a/b", true, true},
        {"http://h:443", "h:443", "", true, false},
        {"http://[::1]:8080/", "[::1]:8080", "", true, false},
        {"http://h:80", "h", "", true, false},
        {"ftp://h", "", "", false, false},
        {"https://", "", "", false, false},
        {"https://user:secret@h", "", "", false, false},
        {"https://h?x=1", "", "", false, false},
        {"https://h/../x", "", "", false, false},
        {"https://h:/x", "", "", false, false},
        {"https://h:9a", "", "", false, false},
        {"https://:9", "", "", false, false},
        {"https://h/a b", "", "", false, false},
        {"https://h;x", "", "", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[SNAPSHOT_HOST], path[SNAPSHOT_PATH];
        bool tls;
        assert_int_equal(config_url_split(rows[i].url, &tls, host, path), rows[i].ok);
        if (!rows[i].ok)
            continue;
        assert_string_equal(host, rows[i].host);
        assert_string_equal(path, rows[i].path);
        assert_int_equal(tls, rows[i].tls);
    }
}

#define TWO                                                                                        \
    "providers:\n  a: {url: \"http://a\", models: [x]}\n"                                          \
    "  b: {url: \"http://b\", dialect: anthropic}\n"

static void checks_references(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"providers: {a: {ulr: x}}\n",
         "f.yaml:1:17: there is no field \"providers.ulr\"; did you mean \"url\"?"},
        {"providers:\n  a: {dialect: openia, url: \"http://a\"}\n",
         "f.yaml:2:16: \"dialect\" must be openai, deepseek or anthropic"},
        {"providers:\n  a: {dialect: openai}\n", "f.yaml:2:3: provider \"a\" has no \"url\""},
        {"providers:\n  a: {url: \"http://u:p@h\"}\n",
         "f.yaml:2:3: the URL of \"a\" must be as https://host:port/path, with no user and no "
         "query "
         "in it"},
        {"providers:\n  a: {url: \"http://a\"}\n  a: {url: \"http://b\"}\n",
         "f.yaml:3:3: \"a\" stands here for the second time"},
        {"providers:\n  a b: {url: \"http://a\"}\n",
         "f.yaml:2:3: \"a b\" is no name for a provider: letters, digits, '.', '_' and '-'"},
        {"providers:\n  a:\n    url: http://a\n    keys:\n      - {env: X, file: /y}\n",
         "f.yaml:5:9: a key comes from one of \"env\", \"file\" and \"credential\""},
        {"providers:\n  a:\n    url: http://a\n    keys:\n      - credential: ../x\n",
         "f.yaml:5:9: \"../x\" is no name for a credential: letters, digits, '.', '_' and '-'"},
        {"providers:\n  a:\n    url: http://a\n    keys: [{evn: X}]\n",
         "f.yaml:4:13: there is no field \"keys.evn\"; did you mean \"env\"?"},
        {"providers:\n  a:\n    url: http://a\n    timeouts: {idle: 10}\n",
         "f.yaml:4:22: \"idle\" must be a time, as in 500ms, 10s, 5m or 1h"},
        {"providers:\n  a:\n    url: http://a\n    timeouts: {first_byte: 2h}\n",
         "f.yaml:2:3: a timeout of \"a\" is longer than its \"total\""},
        {"upstream: {url: \"http://u\"}\n" TWO,
         "f.yaml:3:3: \"upstream\" is short for one provider; with \"providers\" leave it out"},
        {TWO "routes:\n  - model: x\n    providers: [name: aa]\n",
         "f.yaml:6:17: there is no provider \"aa\"; did you mean \"a\"?"},
        {TWO "routes:\n  - model: y\n    providers: [name: a]\n",
         "f.yaml:6:17: \"y\" is not among the models of provider \"a\""},
        {TWO "routes:\n  - model: y\n    providers: [{name: a, model: x}, name: a]\n",
         "f.yaml:6:38: provider \"a\" stands in this route for the second time"},
        {TWO "routes:\n  - model: x\n    providers: [name: a]\n    fallback: [b]\n",
         "f.yaml:7:16: fallback \"b\" speaks none of the dialects of this route's providers"},
        {TWO "routes:\n  - model: x\n    providers: [name: a]\n    fallback: [cc]\n",
         "f.yaml:7:16: there is no provider \"cc\""},
        {TWO
         "routes:\n  - {model: x, providers: [name: a]}\n  - {model: x, providers: [name: b]}\n",
         "f.yaml:6:5: nothing reaches this route: \"x\" has one in line 5"},
        {TWO "routes:\n  - {model: \"x*y\", providers: [name: b]}\n",
         "f.yaml:5:5: in \"x*y\" the star must be the last character"},
        {TWO "routes:\n  - {model: x}\n", "f.yaml:5:5: the route of \"x\" has no \"providers\""},
        {TWO "routes:\n  - {providers: [name: b]}\n", "f.yaml:5:5: \"model\" is missing"},
        {TWO "routes:\n  - {model: x, providers: [{name: a, weight: 0}]}\n",
         "f.yaml:5:46: \"weight\" must be between 1 and 10000"},
        {TWO "routes: {model: x}\n", "f.yaml:4:9: \"routes\" must be a list: - name: value"},
        {TWO "routes:\n  - {model: xyz, providers: [name: b]}\naliases:\n  v: xzy\n",
         "f.yaml:7:3: no route leads to \"xzy\"; did you mean \"xyz\"?"},
        {TWO "aliases:\n  v: w\n  w: x\n",
         "f.yaml:5:3: \"v\" is an alias of an alias; name the model itself"},
        {TWO "routes:\n  - {model: x, providers: [name: a]}\n  - {model: y, providers: [name: b]}\n"
             "aliases:\n  x: y\n",
         "f.yaml:5:5: nothing reaches this route: \"x\" is an alias in line 8"},
        {TWO "routes:\n  - {model: x, providers: [name: a]}\nprojects:\n  p: {models: [x, z]}\n",
         "f.yaml:7:19: no route leads to \"z\"; did you mean \"x\"?"},
        {"projects: {p: {limits: {requests_per_minute: 0}}}\n",
         "f.yaml:1:46: \"requests_per_minute\" must be between 1 and 68719476735"},
        {"projects: {p: {limits: {budget_day: -1}}}\n",
         "f.yaml:1:37: \"budget_day\" must be an amount, as in 12.50"},
        {"projects: {p: {limits: {budget_month: 99999999}}}\n",
         "f.yaml:1:39: \"budget_month\" must be between 0.000000001 and 72057594.037927935"},
        {"projects: {p: {limits: {budgetday: 1}}}\n",
         "f.yaml:1:25: there is no field \"limits.budgetday\"; did you mean \"budget_day\"?"},
        {"prices: {currency: dollar}\n",
         "f.yaml:1:9: \"currency\" must be three letters, as in USD"},
        {"prices: {as_of: 1.1.2026}\n", "f.yaml:1:9: \"as_of\" must be a date, as in 2026-01-31"},
        {"prices:\n  models:\n    x: {input: much}\n",
         "f.yaml:3:16: \"input\" must be an amount, as in 12.50"},
        {"log:\n  session_id: {header: Authorization}\n",
         "f.yaml:2:15: the header \"Authorization\" may hold a secret and is never logged"},
        {"log:\n  tags:\n    t: {header: X-Auth-Token}\n",
         "f.yaml:3:5: the header \"X-Auth-Token\" may hold a secret and is never logged"},
        {"log:\n  tags:\n    t: {header: \"X: Y\"}\n",
         "f.yaml:3:5: \"X: Y\" is no name for a header"},
        {"log:\n  trace_id: {header: a, metadata: b}\n",
         "f.yaml:2:13: \"trace_id\" comes from one of \"header\" and \"metadata\""},
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

static void write_file(const char *path, const char *text, mode_t mode) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

/* Loads the one key of a provider; its text or NULL. */
static struct config_credentials *load_key(const char *source,
                                           const struct config_credentials *before, int want,
                                           char why[CONFIG_WHY]) {
    struct config *c;
    struct config_credentials *cs = NULL;
    char text[512];
    snprintf(text, sizeof text, "providers:\n  p: {url: \"http://p\", keys: [{%s}]}\n", source);
    assert_int_equal(parse(&c, text, why), 0);
    assert_int_equal(config_credentials_load(c, before, &cs, why), want);
    config_free(c);
    return cs;
}

static void fetches_keys(void **state) {
    (void)state;
    char folder[] = "/tmp/control-keys-XXXXXX", path[64], source[128], why[CONFIG_WHY];
    struct config_credentials *cs, *again;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key", folder);
    snprintf(source, sizeof source, "file: %s", path);

    load_key(source, NULL, ERR_NOTFOUND, why);
    write_file(path, "sk-canary\n", 0600);
    cs = load_key(source, NULL, 0, why);
    assert_string_equal(config_credential(cs, 0, 0), "sk-canary");
    assert_null(config_credential(cs, 0, 1));
    config_credentials_free(cs);
    static const mode_t open_modes[] = {0640, 0604, 0644, 0620};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(chmod(path, open_modes[i]), 0);
        load_key(source, NULL, ERR_DENIED, why);
        assert_non_null(strstr(why, "can be read by others"));
        assert_null(strstr(why, "canary"));
    }
    static const char *const bad[] = {"", "\n", "two words", "\x80\x81", "a\tb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(path, bad[i], 0600);
        load_key(source, NULL, ERR_SYNTAX, why);
    }
    snprintf(source, sizeof source, "file: %s", folder);
    load_key(source, NULL, ERR_DENIED, why);

    /* systemd's folder: an access list shows as group bits. */
    write_file(path, "from-systemd", 0440);
    load_key("credential: key", NULL, ERR_NOTFOUND, why);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    cs = load_key("credential: key", NULL, 0, why);
    assert_string_equal(config_credential(cs, 0, 0), "from-systemd");
    config_credentials_free(cs);
    unlink(path);
    rmdir(folder);

    /* A variable is wiped once it was read; a reload still has it. */
    load_key("env: CONTROL_TEST_KEY", NULL, ERR_NOTFOUND, why);
    setenv("CONTROL_TEST_KEY", "sk-from-env", 1);
    const char *shown = getenv("CONTROL_TEST_KEY");
    cs = load_key("env: CONTROL_TEST_KEY", NULL, 0, why);
    assert_string_equal(config_credential(cs, 0, 0), "sk-from-env");
    assert_null(getenv("CONTROL_TEST_KEY"));
    assert_int_equal(shown[0], 0);
    again = load_key("env: CONTROL_TEST_KEY", cs, 0, why);
    assert_string_equal(config_credential(again, 0, 0), "sk-from-env");
    config_credentials_free(cs);
    config_credentials_free(again);
    config_credentials_free(NULL);
}

static void reads_the_example(void **state) {
    (void)state;
    struct config *c = config_new();
    char why[CONFIG_WHY] = "";
    int rc = config_load(c, "examples/full.yaml", why);
    assert_string_equal(why, "");
    assert_int_equal(rc, 0);
    assert_int_equal(config_complete(c, why), 0);
    assert_true(c->providers.count >= 3 && c->routes.count >= 3);
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

/* Whose requests the gateway inspects: a project's own word comes before what holds for all. */
static void tells_who_is_inspected(void **state) {
    (void)state;
    struct config *c;
    char why[CONFIG_WHY] = "";
    assert_int_equal(parse(&c,
                           "detect:\n"
                           "  enabled: true\n"
                           "  classes: {jwt: mask, email: seal}\n"
                           "  projects:\n"
                           "    milder: {classes: {jwt: allow}}\n"
                           "    harder: {classes: {jwt: allow, email: block}}\n"
                           "    other: {classes: {email: allow}}\n",
                           why),
                     0);
    assert_true(config_inspects(c, NULL));
    assert_false(config_inspects(c, "milder"));
    assert_true(config_inspects(c, "harder"));
    assert_true(config_inspects(c, "other"));
    assert_true(config_inspects(c, "not-named"));
    config_free(c);
    assert_int_equal(parse(&c, "detect: {enabled: true, classes: {jwt: seal}, projects: {a: {classes: {jwt: allow}}}}\n", why), 0);
    assert_false(config_inspects(c, NULL));
    assert_false(config_inspects(c, "a"));
    config_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field),  cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(survives_odd_files), cmocka_unit_test(reads_the_large_parts),
        cmocka_unit_test(completes),          cmocka_unit_test(checks_references),
        cmocka_unit_test(fetches_keys),       cmocka_unit_test(reads_the_example),
        cmocka_unit_test(finds_the_nearest),  cmocka_unit_test(tells_who_is_inspected),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
