/* Caches: Redis with its kin, and Memcached. Their commands are lines of text. */
#include <stdlib.h>

#include "audit/probe/wire.h"

/* ---- Redis, Valkey ---- */

#define REDIS_PING "*1\r\n$4\r\nPING\r\n"
#define REDIS_INFO "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
#define REDIS_SIZE "*1\r\n$6\r\nDBSIZE\r\n"
#define REDIS_GRANTS "*3\r\n$3\r\nACL\r\n$7\r\nGETUSER\r\n$7\r\ndefault\r\n"

static bool redis_is(struct probe *p, const struct look *l) {
    char a[512];
    size_t n;
    if (l->http || l->banner_len)
        return false;
    wire_talk(p, "redis-ping", REDIS_PING, a, sizeof a, &n);
    return wire_begins(a, n, "+PONG") || wire_begins(a, n, "-NOAUTH") ||
           wire_begins(a, n, "-DENIED") || wire_begins(a, n, "-NOPERM") ||
           wire_begins(a, n, "-LOADING");
}

static void redis_prove(struct probe *p) {
    char a[WIRE_ANSWER_MAX];
    size_t n;
    wire_talk(p, "redis-info", REDIS_INFO, a, sizeof a, &n);
    if (wire_begins(a, n, "-NOAUTH") || wire_begins(a, n, "-DENIED")) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password, or refuses strangers");
        return;
    }
    if (wire_begins(a, n, "-NOPERM")) {
        probe_say(p, AUDIT_OPEN_LIMITED, 'C',
                  "strangers may use some commands (INFO is refused to them)");
        wire_talk(p, "redis-dbsize", REDIS_SIZE, a, sizeof a, &n);
        if (wire_begins(a, n, ":") && strtoull(a + 1, NULL, 10) > 0)
            probe_say(p, AUDIT_OPEN_LIMITED, 'D', "strangers may use some commands; it holds keys");
        return;
    }
    if (!wire_begins(a, n, "$") || !wire_find(a, n, "redis_version:")) {
        probe_say(p, AUDIT_UNKNOWN, 'C', "it speaks Redis, and answers INFO with something else");
        return;
    }
    wire_version_after(p, a, n, "redis_version:");
    if (wire_find(a, n, "redis_mode:sentinel")) {
        probe_say(p, AUDIT_OPEN_LIMITED, 'C', "a Sentinel: it names its servers to anyone");
        return;
    }
    probe_say(p, AUDIT_OPEN, 'D', "commands work without a password");
    wire_talk(p, "redis-dbsize", REDIS_SIZE, a, sizeof a, &n);
    if (wire_begins(a, n, ":") && strtoull(a + 1, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'E', "%llu keys are readable without a password",
                  strtoull(a + 1, NULL, 10));
    wire_talk(p, "redis-acl", REDIS_GRANTS, a, sizeof a, &n);
    /* before version 6 there are no grants: whoever connects may do everything */
    if (wire_begins(a, n, "-ERR unknown command") || wire_find(a, n, "+@all"))
        probe_say(p, AUDIT_OPEN, 'F', "a stranger may write, configure and load modules");
}

static const uint16_t redis_ports[] = {6379, 6380, 26379, 0};
const struct service service_redis = {"redis", redis_ports, redis_is, redis_prove};

/* ---- Memcached ---- */

static bool memcached_is(struct probe *p, const struct look *l) {
    char a[256];
    size_t n;
    if (l->http || l->banner_len)
        return false;
    wire_talk(p, "memcached-version", "version\r\n", a, sizeof a, &n);
    if (wire_begins(a, n, "CLIENT_ERROR unauthenticated"))
        return true;
    if (!wire_begins(a, n, "VERSION "))
        return false;
    probe_version(p, a + 8, n - 8);
    return true;
}

static void memcached_prove(struct probe *p) {
    char a[WIRE_ANSWER_MAX];
    size_t n;
    wire_talk(p, "memcached-stats", "stats\r\n", a, sizeof a, &n);
    if (!wire_begins(a, n, "STAT pid")) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password");
        return;
    }
    probe_say(p, AUDIT_OPEN, 'D', "commands work without a password, writing ones too");
    const char *items = wire_find(a, n, "STAT curr_items ");
    if (items && strtoull(items + 16, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'E', "%llu items are readable without a password",
                  strtoull(items + 16, NULL, 10));
    probe_note(
        p, "memcached-write", "high", "Anyone may overwrite and flush the cache",
        "start memcached with -S (SASL) or -Y, and bind it with -l to the addresses that need it",
        NULL, 0);
}

static const uint16_t memcached_ports[] = {11211, 0};
const struct service service_memcached = {"memcached", memcached_ports, memcached_is,
                                          memcached_prove};
