/* The control snapshot and API keys: what a worker sees of what the supervisor publishes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/snapshot_int.h"

static void key_named(struct snapshot_key *k, unsigned i) {
    memset(k, 0, sizeof *k);
    snprintf(k->id, sizeof k->id, "key%09u", i);
    snprintf(k->project, sizeof k->project, "project%u", i);
    snprintf(k->tenant, sizeof k->tenant, "default");
    memset(k->hash, (int)i, sizeof k->hash);
}

static void publishes_and_finds(void **state) {
    (void)state;
    int fd, reader;
    const struct snapshot *s;
    struct snapshot_key keys[100], found;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_reader_fd(fd, &reader), 0);
    assert_int_equal(snapshot_map(reader, &s), 0);
    assert_int_equal(snapshot_version(s), 0);
    assert_int_equal(snapshot_find_key(s, "key000000001", 12, &found), ERR_NOTFOUND);
    for (unsigned i = 0; i < 100; i++)
        key_named(&keys[i], i);
    struct snapshot_data data = {.keys = keys, .key_count = 100};
    assert_int_equal(snapshot_publish(fd, &data), 0);
    assert_int_equal(snapshot_version(s), 1);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(snapshot_find_key(s, keys[i].id, 12, &found), 0);
        assert_memory_equal(&found, &keys[i], offsetof(struct snapshot_key, any_model));
        assert_true(found.any_model && found.no_tags);
    }
    assert_int_equal(snapshot_find_key(s, "key00000000", 11, &found), ERR_NOTFOUND);
    assert_int_equal(snapshot_find_key(s, "", 0, &found), ERR_NOTFOUND);
    char long_id[200];
    memset(long_id, 'k', sizeof long_id);
    assert_int_equal(snapshot_find_key(s, long_id, sizeof long_id, &found), ERR_NOTFOUND);

    /* Revoked: gone with the next version, which the grace delays. */
    uint64_t before = clock_mono_ns();
    data.keys = keys + 1;
    data.key_count = 99;
    assert_int_equal(snapshot_publish(fd, &data), 0);
    assert_true(clock_mono_ns() - before > 50 * 1000000ull);
    assert_int_equal(snapshot_find_key(s, keys[0].id, 12, &found), ERR_NOTFOUND);
    assert_int_equal(snapshot_find_key(s, keys[99].id, 12, &found), 0);
    close(fd);
    close(reader);
}

static void refuses_what_is_wrong(void **state) {
    (void)state;
    int fd, reader;
    const struct snapshot *s;
    struct snapshot_key keys[2];
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_reader_fd(fd, &reader), 0);
    key_named(&keys[0], 2);
    key_named(&keys[1], 1);
    struct snapshot_data data = {.keys = keys, .key_count = 2};
    assert_int_equal(snapshot_publish(fd, &data), ERR_USAGE);
    data.key_count = LIMIT_KEYS + 1;
    assert_int_equal(snapshot_publish(fd, &data), ERR_LIMIT);
    /* The reader's descriptor cannot write, and nobody can resize. */
    assert_int_equal(snapshot_publish(reader, &data), ERR_LIMIT);
    data.key_count = 0;
    assert_int_equal(snapshot_publish(reader, &data), ERR_DENIED);
    assert_int_equal(ftruncate(fd, 10), -1);
    close(reader);
    close(fd);
    fd = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(snapshot_map(fd, &s), ERR_VERSION);
    close(fd);
}

/* A writer in another process, a reader in this one: every copy is whole. */
static void copies_are_whole(void **state) {
    (void)state;
    int fd;
    const struct snapshot *s;
    struct snapshot_key key, found;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_map(fd, &s), 0);
    pid_t writer = fork();
    if (writer == 0) {
        for (unsigned v = 0; v < 4; v++) {
            key_named(&key, 7);
            memset(key.hash, (int)v, sizeof key.hash);
            snprintf(key.project, sizeof key.project, "p%u", v);
            struct snapshot_data data = {.keys = &key, .key_count = 1};
            if (snapshot_publish(fd, &data))
                _exit(1);
        }
        _exit(0);
    }
    uint64_t seen = 0;
    while (seen < 4) {
        seen = snapshot_version(s);
        if (snapshot_find_key(s, "key000000007", 12, &found) == 0) {
            assert_int_equal(found.project[1] - '0', found.hash[0]);
            assert_int_equal(found.hash[31], found.hash[0]);
        }
    }
    int status;
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    close(fd);
}

static const struct limits_set some_limits = {.requests_per_minute = 5, .budget_day = 7};

/* Two providers, four routes, an alias, prices, two keys of two projects. `turn` is written into
 * every part, so that a reader can tell a mixture. */
static int publish_full(int fd, unsigned turn) {
    static struct snapshot_key keys[2];
    char host[32], credential[32], model[32];
    snprintf(host, sizeof host, "host%u", turn);
    snprintf(credential, sizeof credential, "secret%u", turn);
    snprintf(model, sizeof model, "model%u", turn);
    key_named(&keys[0], 1);
    key_named(&keys[1], 2);
    keys[0].entry = 3;
    keys[0].limits = some_limits;
    const char *models[2] = {"gpt-4o,fast", NULL};
    const struct snapshot_pair tags[] = {{"team", "web"}, {"turn", host}};
    const struct snapshot_project projects[] = {
        {"default", "project1", 9, {.concurrency = 4}, "", tags, 2, true},
        {"default", "project2", 10, {0}, "gpt-*", NULL, 0, false}};
    const char *credentials[2] = {credential, "second"};
    const struct snapshot_upstream upstreams[] = {
        {.name = "a",
         .host = host,
         .path = "/v",
         .tls = true,
         .dialects = 3,
         .connect_ms = turn,
         .health = {.provider = 5, .key_count = 2, .keys = {7, 8}, .max_concurrency = turn},
         .credentials = credentials},
        {.name = "b",
         .host = "b",
         .path = "",
         .dialects = 4,
         .isolate_by_user = true,
         .health = {.provider = 6}}};
    const struct snapshot_target_data both[] = {{0, 70, model}, {1, 30, NULL}};
    const struct snapshot_target_data spare[] = {{1, 1, NULL}, {0, 0, NULL}};
    const struct snapshot_route_data routes[] = {
        {"gpt-4o", both, 2}, {"gpt-*", spare, 2}, {"gpt-4*", both, 2}, {"claude", spare, 1}};
    const struct snapshot_pair aliases[] = {{"fast", "gpt-4o"}};
    const struct snapshot_price_data prices[] = {
        {"gpt-4o", {turn, 2, 3, 4}}, {"gpt-*", {5, 6, 7, 8}}, {"gpt-4o-2024-05-13", {9, 9, 9, 9}}};
    const char *const known[] = {"x-model"};
    const struct snapshot_log log = {.session_id = {"", "x-session", SNAPSHOT_HEADER},
                                     .tags = {{"feature", "f", SNAPSHOT_METADATA}},
                                     .tag_count = 1};
    static const uint8_t mask_key[SNAPSHOT_MASK_KEY] = {1, 2, 3};
    const struct snapshot_data d = {keys,   2, models, projects, 2, upstreams, 2,     routes, 4,
                                    aliases, 1, prices, 3,        known, 1,     "USD", &log,   mask_key};
    return snapshot_publish(fd, &d);
}

static void routes_and_prices(void **state) {
    (void)state;
    int fd;
    const struct snapshot *s;
    static struct snapshot_route r;
    struct snapshot_key key, other;
    struct cost_price price;
    struct snapshot_log log;
    struct snapshot_source tags[LIMIT_TAGS];
    char credential[SNAPSHOT_CREDENTIAL], currency[SNAPSHOT_CURRENCY];
    uint32_t n;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_map(fd, &s), 0);
    assert_int_equal(snapshot_route(s, "gpt-4o", 6, 1, &r), ERR_NOTFOUND);
    assert_int_equal(publish_full(fd, 1), 0);

    assert_int_equal(snapshot_find_key(s, "key000000001", 12, &key), 0);
    assert_int_equal(key.entry, 3);
    assert_memory_equal(&key.limits, &some_limits, sizeof some_limits);
    assert_int_equal(key.project_entry, 9);
    assert_int_equal(key.project_limits.concurrency, 4);
    assert_int_equal(snapshot_may_use(s, &key, "gpt-4o", 6), 0);
    assert_int_equal(snapshot_may_use(s, &key, "fast", 4), 0);
    assert_int_equal(snapshot_may_use(s, &key, "gpt-4o-mini", 11), ERR_DENIED);
    assert_int_equal(snapshot_find_key(s, "key000000002", 12, &other), 0);
    assert_int_equal(snapshot_may_use(s, &other, "gpt-5", 5), 0);
    assert_int_equal(snapshot_may_use(s, &other, "fast", 4), 0); /* it is a gpt-4o */
    assert_int_equal(snapshot_may_use(s, &other, "claude", 6), ERR_DENIED);
    assert_int_equal(snapshot_project_tags(s, &key, tags, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(tags[0].name, "team");
    assert_string_equal(tags[1].key, "host1");

    /* The whole name, then the longest beginning; the alias is one of the first. */
    assert_int_equal(snapshot_route(s, "fast", 4, 1, &r), 0);
    assert_string_equal(r.model, "gpt-4o");
    assert_int_equal(r.count, 1); /* b speaks another dialect */
    assert_string_equal(r.to[0].provider, "a");
    assert_string_equal(r.to[0].host, "host1");
    assert_string_equal(r.to[0].path, "/v");
    assert_string_equal(r.to[0].model, "model1");
    assert_true(r.to[0].tls);
    assert_int_equal(r.pick[0].weight, 70);
    assert_int_equal(r.pick[0].provider, 5);
    assert_int_equal(r.pick[0].keys[1], 8);
    assert_int_equal(snapshot_route(s, "gpt-4.1", 7, 4, &r), 0);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.to[0].provider, "b");
    assert_string_equal(r.to[0].model, "gpt-4.1");
    assert_true(r.to[0].isolate_by_user);
    assert_int_equal(snapshot_route(s, "gpt-5", 5, 7, &r), 0);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.pick[1].weight, 0);
    assert_int_equal(snapshot_route(s, "claude", 6, 1, &r), ERR_UNSUPPORTED);
    assert_int_equal(snapshot_route(s, "claude-x", 8, 4, &r), ERR_NOTFOUND);
    assert_int_equal(snapshot_route(s, "", 0, 4, &r), ERR_NOTFOUND);
    char name[300];
    memset(name, 'g', sizeof name);
    assert_int_equal(snapshot_route(s, name, sizeof name, 7, &r), ERR_NOTFOUND);

    assert_int_equal(snapshot_credential(s, "a", 8, credential), 0);
    assert_string_equal(credential, "second");
    assert_int_equal(snapshot_credential(s, "a", 9, credential), ERR_NOTFOUND);
    assert_int_equal(snapshot_credential(s, "c", 7, credential), ERR_NOTFOUND);

    static const struct {
        const char *model;
        uint64_t input;
    } priced[] = {{"gpt-4o", 1},
                  {"gpt-4o-2024-05-13", 9},
                  {"gpt-4o-2024-11-20", 1},
                  {"gpt-4o-latest", 1},
                  {"gpt-4o-20241120", 1},
                  {"gpt-4o-mini", 5},
                  {"gpt-", 5},
                  {"claude", 0},
                  {"-2024-11-20", 0}};
    for (size_t i = 0; i < sizeof priced / sizeof priced[0]; i++) {
        int rc = snapshot_price(s, priced[i].model, strlen(priced[i].model), &price);
        assert_int_equal(rc, priced[i].input ? 0 : ERR_NOTFOUND);
        if (!rc)
            assert_int_equal(price.input, priced[i].input);
    }
    assert_int_equal(snapshot_currency(s, currency), 0);
    assert_string_equal(currency, "USD");
    uint8_t mask_key[SNAPSHOT_MASK_KEY] = {0};
    assert_int_equal(snapshot_mask_key(s, mask_key), 0);
    assert_memory_equal(mask_key, "\1\2\3\0", 4);
    struct snapshot_key asked;
    assert_int_equal(snapshot_find_key(s, "key000000001", 12, &asked), 0);
    assert_true(asked.inspect);
    assert_int_equal(snapshot_find_key(s, "key000000002", 12, &asked), 0);
    assert_false(asked.inspect);
    assert_true(snapshot_model_known(s, "fast", 4));
    assert_true(snapshot_model_known(s, "x-model", 7));
    assert_false(snapshot_model_known(s, "gpt-5", 5));
    assert_int_equal(snapshot_log(s, &log), 0);
    assert_string_equal(log.session_id.key, "x-session");
    assert_int_equal(log.trace_id.from, SNAPSHOT_NOWHERE);
    assert_string_equal(log.tags[0].key, "f");

    /* A publication that does not fit its own references leaves the old one in force. */
    struct snapshot_target_data nowhere = {4, 1, NULL};
    struct snapshot_route_data route = {"x", &nowhere, 1},
                               twice[2] = {{"y", NULL, 0}, {"y", NULL, 0}};
    struct snapshot_data bad = {.routes = &route, .route_count = 1};
    assert_int_equal(snapshot_publish(fd, &bad), ERR_USAGE);
    bad.routes = twice;
    bad.route_count = 2;
    assert_int_equal(snapshot_publish(fd, &bad), ERR_USAGE);
    assert_int_equal(snapshot_version(s), 1);
    assert_int_equal(snapshot_route(s, "fast", 4, 1, &r), 0);
    close(fd);
}

/* Every copy is of one version, though a writer publishes all the time. */
static void mixes_no_versions(void **state) {
    (void)state;
    int fd;
    const struct snapshot *s;
    static struct snapshot_route r;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_map(fd, &s), 0);
    pid_t writer = fork();
    if (writer == 0) {
        for (unsigned v = 1; v <= 8; v++)
            if (publish_full(fd, v))
                _exit(1);
        _exit(0);
    }
    uint64_t version, seen = 0;
    while ((version = snapshot_version(s)) < 8) {
        char host[32], model[32];
        if (snapshot_route(s, "gpt-4o", 6, 1, &r))
            continue;
        seen++;
        snprintf(host, sizeof host, "host%u", r.to[0].connect_ms);
        snprintf(model, sizeof model, "model%u", r.pick[0].max_concurrency);
        assert_string_equal(r.to[0].host, host);
        assert_string_equal(r.to[0].model, model);
        assert_int_equal(r.to[0].connect_ms, r.pick[0].max_concurrency);
        assert_true(r.to[0].connect_ms >= version);
    }
    int status;
    waitpid(writer, &status, 0);
    assert_int_equal(status, 0);
    assert_true(seen > 1000);
    close(fd);
}

/* Readers of an area full of noise read nothing outside of it and come to an end. */
static void survives_noise(void **state) {
    (void)state;
    int fd;
    struct snapshot *w;
    const struct snapshot *s;
    static struct snapshot_route r;
    struct snapshot_key key = {.id = "key000000001"}, found;
    struct cost_price price;
    struct snapshot_log log;
    struct snapshot_source tags[LIMIT_TAGS];
    char credential[SNAPSHOT_CREDENTIAL];
    uint32_t n;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_map(fd, &s), 0);
    assert_int_equal(publish_full(fd, 1), 0);
    assert_int_equal(snapshot_map_file(fd, PROT_READ | PROT_WRITE, &w), 0);
    struct snapshot_area *area = (struct snapshot_area *)(void *)w->areas[1];
    uint8_t *whole = malloc(area->used);
    size_t used = area->used;
    memcpy(whole, area, used);
    for (int round = 0; round < 20000; round++) {
        for (int i = 0; i < 8; i++) {
            uint32_t noise =
                randombytes_uniform(3) ? randombytes_random() : randombytes_uniform(64);
            size_t at = randombytes_uniform((uint32_t)(used - 4));
            memcpy((uint8_t *)area + (round % 2 ? at & ~3u : at % 512), &noise, 4);
        }
        snapshot_find_key(s, "key000000001", 12, &found);
        snapshot_may_use(s, &key, "fast", 4);
        snapshot_project_tags(s, &key, tags, &n);
        snapshot_route(s, "fast", 4, 7, &r);
        snapshot_route(s, "gpt-44", 6, 7, &r);
        snapshot_credential(s, "a", 7, credential);
        snapshot_price(s, "gpt-4o-2024-11-20", 17, &price);
        snapshot_model_known(s, "x-model", 7);
        snapshot_log(s, &log);
        assert_true(log.tag_count <= LIMIT_TAGS && r.count <= LIMIT_CANDIDATES);
        if (round % 20 == 19)
            memcpy(area, whole, used);
    }
    free(whole);
    munmap(w, sizeof *w);
    close(fd);
}

/* Processor time: other programs run on this machine as well. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void is_quick(void **state) {
    (void)state;
    enum { KEYS = 10000, ROUTES = 512, ROUNDS = 1000000 };
    int fd;
    const struct snapshot *s;
    static struct snapshot_key keys[KEYS], found;
    static struct snapshot_route_data routes[ROUTES];
    static char names[ROUTES][16], ids[KEYS][16];
    static struct snapshot_route r;
    const struct snapshot_upstream upstream = {.name = "a", .host = "h", .path = "", .dialects = 1};
    const struct snapshot_target_data target = {0, 1, NULL};
    for (unsigned i = 0; i < KEYS; i++) {
        key_named(&keys[i], i);
        memcpy(ids[i], keys[i].id, 12);
    }
    for (unsigned i = 0; i < ROUTES; i++) {
        snprintf(names[i], sizeof names[i], i % 2 ? "model-%03u" : "m%03u-*", i);
        routes[i] = (struct snapshot_route_data){names[i], &target, 1};
    }
    struct snapshot_data d = {.keys = keys,
                              .key_count = KEYS,
                              .upstreams = &upstream,
                              .upstream_count = 1,
                              .routes = routes,
                              .route_count = ROUTES};
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_publish(fd, &d), 0);
    assert_int_equal(snapshot_map(fd, &s), 0);
    uint64_t begin = cpu_ns(), key_ns, route_ns;
    for (unsigned i = 0; i < ROUNDS; i++)
        if (snapshot_find_key(s, ids[i * 7919u % KEYS], 12, &found))
            fail();
    key_ns = (cpu_ns() - begin) / ROUNDS;
    begin = cpu_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        char model[24];
        unsigned n = i * 7u % ROUTES;
        memcpy(model, names[n], sizeof names[n]);
        if (n % 2 == 0)
            memcpy(model + 5, "turbo", 6);
        if (snapshot_route(s, model, strlen(model), 1, &r))
            fail();
    }
    route_ns = (cpu_ns() - begin) / ROUNDS;
    print_message("%d keys: %llu ns a key; %d routes: %llu ns a route\n", KEYS,
                  (unsigned long long)key_ns, ROUTES, (unsigned long long)route_ns);
    assert_true(key_ns < 5000 && route_ns < 5000); /* 200 is the aim; machines may be busy */
    close(fd);
}

static void keys_split(void **state) {
    (void)state;
    char text[APIKEY_TEXT], id[LIMIT_NAME], other[APIKEY_TEXT];
    uint8_t hash[32], hash2[32];
    const char *i, *s;
    size_t in, sn;
    for (int n = 0; n < 1000; n++) {
        apikey_make(text, id, hash);
        assert_int_equal(strlen(text), APIKEY_LEN);
        assert_true(apikey_split(text, strlen(text), &i, &in, &s, &sn));
        assert_int_equal(in, 12);
        assert_memory_equal(i, id, 12);
        assert_true(apikey_matches(hash, s, sn));
        assert_false(apikey_matches(hash, s, sn - 1));
    }
    apikey_make(other, id, hash2);
    assert_string_not_equal(text, other);
    assert_false(apikey_matches(hash2, s, sn));
    for (size_t cut = 0; cut < APIKEY_LEN; cut++)
        assert_false(apikey_split(text, cut, &i, &in, &s, &sn));
    for (size_t at = 0; at < APIKEY_LEN; at++) {
        memcpy(other, text, APIKEY_TEXT);
        other[at] = '=';
        assert_false(apikey_split(other, APIKEY_LEN, &i, &in, &s, &sn));
    }
    assert_false(apikey_id_valid("ABCDEFGHIJKL", 12));
    assert_true(apikey_id_valid("abcdefgh2345", 12));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_and_finds),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(copies_are_whole),
        cmocka_unit_test(routes_and_prices),
        cmocka_unit_test(mixes_no_versions),
        cmocka_unit_test(survives_noise),
        cmocka_unit_test(is_quick),
        cmocka_unit_test(keys_split),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
