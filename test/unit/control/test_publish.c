/* From configuration and control data to what a worker sees, and a worker's whole request. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/err.h"
#include "control/dialect.h"
#include "control/publish.h"

#define NOON (1795564800ull * 1000000 + 43200ull * 1000000) /* 2026-11-25T12:00:00Z */

static char folder[64], path[128], usage[128];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/control-publish-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/control.db", folder);
    snprintf(usage, sizeof usage, "%s/usage.bin", folder);
    return control_db_create(path);
}

static int teardown(void **state) {
    (void)state;
    char journal[160];
    snprintf(journal, sizeof journal, "%s-journal", path);
    unlink(journal);
    unlink(path);
    unlink(usage);
    return rmdir(folder);
}

static const char yaml[] = "providers:\n"
                           "  a: {url: \"https://a.example/v\", keys: [{env: CONTROL_A}], "
                           "models: [m1], dialect: [openai, deepseek]}\n"
                           "  b: {url: \"http://b:8000\"}\n"
                           "routes:\n"
                           "  - {model: m1, providers: [{name: a, weight: 2}], fallback: [b]}\n"
                           "  - {model: \"m*\", providers: [{name: b, model: other}]}\n"
                           "aliases: {fast: m1}\n"
                           "projects:\n"
                           "  team: {models: [m1], limits: {concurrency: 7, budget_day: 2}, "
                           "tags: {team: x}}\n"
                           "keys: {limits: {requests_per_minute: 100, tokens_per_minute: 5000}}\n"
                           "prices: {models: {m1: {input: 2, output: 8}}}\n"
                           "log: {session_id: {header: X-Session-ID}}\n";

static void publishes(void **state) {
    (void)state;
    char why[CONFIG_WHY] = "", credential[SNAPSHOT_CREDENTIAL];
    static struct snapshot_route r;
    struct control_publisher to;
    struct config *c = config_new();
    struct config_credentials *cs;
    struct control_db *db;
    struct control_terms terms;
    const struct snapshot *s;
    struct snapshot_key key;
    struct cost_price price;
    struct snapshot_log log;
    struct snapshot_source tags[LIMIT_TAGS];
    struct health_ticket ticket;
    struct health *worker;
    uint8_t hash[32] = {1};
    uint64_t retry;
    uint32_t n, entry;
    assert_int_equal(snapshot_create(&to.snapshot_fd), 0);
    assert_int_equal(snapshot_map(to.snapshot_fd, &s), 0);
    assert_int_equal(limits_open(usage, NOON, &to.limits, NULL), 0);
    assert_int_equal(health_create(&to.health), 0);
    assert_int_equal(config_parse(c, "f", yaml, strlen(yaml), why), 0);
    assert_int_equal(config_complete(c, why), 0);
    setenv("CONTROL_A", "sk-a", 1);
    assert_int_equal(config_credentials_load(c, NULL, &cs, why), 0);
    assert_int_equal(control_db_open(path, true, &db), 0);
    control_terms_init(&terms);
    terms.limits.requests_per_minute = 0; /* its own word: no limit */
    terms.limits.budget_day = 9;
    assert_int_equal(control_db_key_create(db, "publish22222", hash, "team", 5, &terms), 0);
    control_terms_init(&terms);
    terms.limits.concurrency = 3;
    assert_int_equal(control_db_project_update(db, "team", 5, &terms), 0);
    assert_int_equal(control_publish(&to, c, cs, db, NOON), 0);

    assert_int_equal(snapshot_find_key(s, "publish22222", 12, &key), 0);
    assert_int_equal(key.limits.requests_per_minute, 0);
    assert_int_equal(key.limits.tokens_per_minute, 5000);
    assert_int_equal(key.limits.budget_day, 9);
    assert_int_equal(key.limits.budget_month, 0);
    assert_int_equal(key.project_limits.concurrency, 3);
    assert_int_equal(key.project_limits.budget_day, 2000000000);
    assert_int_equal(limits_entry(to.limits, LIMITS_KEY, "default", "publish22222", NOON, &entry),
                     0);
    assert_int_equal(entry, key.entry);
    assert_int_not_equal(key.project_entry, LIMITS_NONE);
    assert_int_not_equal(key.project_entry, key.entry);
    assert_int_equal(snapshot_may_use(s, &key, "fast", 4), 0);
    assert_int_equal(snapshot_may_use(s, &key, "m2", 2), ERR_DENIED);
    assert_int_equal(snapshot_project_tags(s, &key, tags, &n), 0);
    assert_int_equal(n, 1);

    assert_int_equal(snapshot_route(s, "fast", 4, DIALECT_OPENAI, &r), 0);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.to[0].host, "a.example");
    assert_string_equal(r.to[0].path, "/v");
    assert_string_equal(r.to[1].host, "b:8000");
    assert_int_equal(r.pick[0].weight, 2);
    assert_int_equal(r.pick[1].weight, 0);
    assert_int_equal(r.to[0].first_byte_ms, 600000);
    assert_int_equal(health_map(health_fd(to.health), &worker), 0);
    assert_int_equal(health_claim(worker), 0);
    assert_int_equal(health_choose(worker, r.pick, r.count, 0, NOON, &ticket, &retry), 0);
    assert_int_equal(ticket.candidate, 0);
    assert_int_equal(snapshot_credential(s, r.to[0].provider, ticket.key, credential), 0);
    assert_string_equal(credential, "sk-a");
    health_done(worker, &ticket, 401, 0, NOON);
    assert_int_equal(health_choose(worker, r.pick, r.count, 0, NOON, &ticket, &retry), 0);
    assert_int_equal(ticket.candidate, 1);
    assert_int_equal(ticket.key, HEALTH_NO_KEY);
    health_done(worker, &ticket, 200, 0, NOON);
    assert_int_equal(snapshot_route(s, "mx", 2, DIALECT_OPENAI, &r), 0);
    assert_string_equal(r.to[0].model, "other");

    assert_int_equal(snapshot_price(s, "m1", 2, &price), 0);
    assert_int_equal(price.cached_input, 2000000000);
    assert_int_equal(snapshot_price(s, "gpt-4o-2024-11-20", 17, &price), 0);
    assert_int_equal(price.output, 10000000000);
    assert_int_equal(snapshot_price(s, "claude-sonnet-4-5-20250929", 26, &price), 0);
    assert_int_equal(price.cache_write, 3750000000);
    assert_int_equal(snapshot_log(s, &log), 0);
    assert_string_equal(log.session_id.key, "x-session-id");

    /* Revoked: gone at the next publication, and the entries stay who they are. */
    assert_int_equal(control_db_key_revoke(db, "publish22222", 6), 0);
    assert_int_equal(control_publish(&to, c, cs, db, NOON), 0);
    assert_int_equal(snapshot_find_key(s, "publish22222", 12, &key), ERR_NOTFOUND);
    control_db_close(db);
    config_credentials_free(cs);
    config_free(c);
    health_close(worker);
    health_close(to.health);
    limits_close(to.limits);
    close(to.snapshot_fd);
}

/* A worker's whole request where the kernel kills at any system call but read, write and exit. */
static _Noreturn void request_in_a_jail(const struct snapshot *s, struct limits *l,
                                        struct health *h) {
    static struct snapshot_route r;
    struct snapshot_key key;
    struct cost_price price;
    struct limits_ticket ticket;
    struct limits_state left;
    struct health_ticket attempt;
    char credential[SNAPSHOT_CREDENTIAL];
    uint64_t retry;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
        syscall(SYS_exit, 2);
    for (int i = 0; i < 1000; i++) {
        if (snapshot_find_key(s, "jailed222222", 12, &key) || snapshot_may_use(s, &key, "m-x", 3) ||
            snapshot_price(s, "m-x", 3, &price))
            syscall(SYS_exit, 3);
        struct limits_ask ask = {.key = key.entry,
                                 .project = key.project_entry,
                                 .key_limits = &key.limits,
                                 .project_limits = &key.project_limits,
                                 .tokens = 100,
                                 .cost = 200,
                                 .now_us = NOON};
        if (limits_admit(l, &ask, &ticket, &left) != LIMITS_ADMITTED)
            syscall(SYS_exit, i == 500 ? 0 : 4); /* the key's limit, to the request */
        if (snapshot_route(s, "m-x", 3, DIALECT_OPENAI, &r) ||
            health_choose(h, r.pick, r.count, 0, NOON, &attempt, &retry) ||
            snapshot_credential(s, r.to[attempt.candidate].provider, attempt.key, credential))
            syscall(SYS_exit, 5);
        health_done(h, &attempt, 200, 0, NOON);
        limits_settle(l, &ticket, 50, cost_of(&price, &(struct cost_tokens){.input = 50}), NOON);
        limits_release(l, &ticket);
    }
    syscall(SYS_exit, 6);
    abort();
}

static void makes_no_system_call(void **state) {
    (void)state;
    static const char text[] = "upstream: {url: \"http://u\", credential_env: CONTROL_U}\n"
                               "keys: {limits: {requests_per_minute: 500, budget_day: 1}}\n"
                               "prices: {models: {\"m*\": {input: 2}}}\n";
    struct control_publisher to;
    struct config *c = config_new();
    struct config_credentials *cs;
    struct control_db *db;
    struct limits_usage used;
    struct snapshot_key key;
    const struct snapshot *s;
    char why[CONFIG_WHY] = "";
    uint8_t hash[32] = {1};
    int status, usage_fd, live_fd;
    assert_int_equal(snapshot_create(&to.snapshot_fd), 0);
    assert_int_equal(snapshot_map(to.snapshot_fd, &s), 0);
    assert_int_equal(limits_open(usage, NOON, &to.limits, NULL), 0);
    assert_int_equal(health_create(&to.health), 0);
    assert_int_equal(config_parse(c, "f", text, strlen(text), why), 0);
    assert_int_equal(config_complete(c, why), 0);
    setenv("CONTROL_U", "sk-u", 1);
    assert_int_equal(config_credentials_load(c, NULL, &cs, why), 0);
    assert_int_equal(control_db_open(path, true, &db), 0);
    assert_int_equal(control_db_key_add(db, "jailed222222", hash, "default", 5, 0), 0);
    assert_int_equal(control_publish(&to, c, cs, db, NOON), 0);
    limits_fds(to.limits, &usage_fd, &live_fd);
    pid_t pid = fork();
    if (pid == 0) {
        struct limits *l;
        struct health *h;
        if (limits_map(usage_fd, live_fd, &l) || limits_claim(l) ||
            health_map(health_fd(to.health), &h) || health_claim(h))
            _exit(9);
        request_in_a_jail(s, l, h);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(snapshot_find_key(s, "jailed222222", 12, &key), 0);
    limits_usage(to.limits, key.entry, NOON, &used);
    assert_int_equal(used.cost_day, 500 * 50 * 2000);
    assert_int_equal(used.requests_minute, 500);
    control_db_close(db);
    config_credentials_free(cs);
    config_free(c);
    health_close(to.health);
    limits_close(to.limits);
    close(to.snapshot_fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes),
        cmocka_unit_test(makes_no_system_call),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, setup, teardown);
}
