/* Caches: Redis with its kin, and Memcached. Their commands are lines of text. */
#include <stdlib.h>
#include <string.h>

#include "audit/probe/wire.h"

/* ---- Redis, Valkey ---- */

#define REDIS_PING "*1\r\n$4\r\nPING\r\n"
#define REDIS_INFO "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
#define REDIS_OLD_REFUSAL "-ERR operation not permitted" /* before 2.6 */
#define REDIS_SIZE "*1\r\n$6\r\nDBSIZE\r\n"
#define REDIS_GRANTS "*3\r\n$3\r\nACL\r\n$7\r\nGETUSER\r\n$7\r\ndefault\r\n"

/* A line, or a text whose length comes before it. Of a list only silence tells. */
static bool redis_whole(const void *answer, size_t len) {
    const char *a = answer, *line = memchr(a, '\n', len);
    size_t size = 0;
    if (!line || a[len - 1] != '\n')
        return false;
    if (*a != '$')
        return *a == '+' || *a == '-' || *a == ':';
    for (const char *c = a + 1; c < line && *c >= '0' && *c <= '9' && size <= WIRE_ANSWER_MAX; c++)
        size = size * 10 + (size_t)(*c - '0');
    return len >= (size_t)(line - a) + 1 + size + 2 || a[1] == '-';
}

static void redis_talk(struct probe *p, const char *id, const char *request, char *out, size_t size,
                       size_t *ret_len) {
    *ret_len = probe_talk_until(p, id, request, strlen(request), out, size - 1, redis_whole);
    out[*ret_len] = 0;
}

static bool redis_is(struct probe *p, const struct look *l) {
    char a[512];
    size_t n;
    if (l->http || l->banner_len)
        return false;
    redis_talk(p, "redis-ping", REDIS_PING, a, sizeof a, &n);
    return wire_begins(a, n, "+PONG") || wire_begins(a, n, "-NOAUTH") ||
           wire_begins(a, n, "-DENIED") || wire_begins(a, n, "-NOPERM") ||
           wire_begins(a, n, "-LOADING") || wire_begins(a, n, REDIS_OLD_REFUSAL);
}

static void redis_prove(struct probe *p) {
    char a[WIRE_ANSWER_MAX];
    size_t n;
    redis_talk(p, "redis-info", REDIS_INFO, a, sizeof a, &n);
    if (wire_begins(a, n, "-NOAUTH") || wire_begins(a, n, "-DENIED") ||
        wire_begins(a, n, REDIS_OLD_REFUSAL)) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password, or refuses strangers");
        return;
    }
    if (wire_begins(a, n, "-NOPERM")) {
        probe_say(p, AUDIT_OPEN_LIMITED, 'C',
                  "strangers may use some commands (INFO is refused to them)");
        redis_talk(p, "redis-dbsize", REDIS_SIZE, a, sizeof a, &n);
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
    redis_talk(p, "redis-dbsize", REDIS_SIZE, a, sizeof a, &n);
    if (wire_begins(a, n, ":") && strtoull(a + 1, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'E', "%llu keys are readable without a password",
                  strtoull(a + 1, NULL, 10));
    redis_talk(p, "redis-acl", REDIS_GRANTS, a, sizeof a, &n);
    /* before version 6 there are no grants: whoever connects may do everything */
    if (wire_begins(a, n, "-ERR unknown command") || wire_find(a, n, "+@all"))
        probe_say(p, AUDIT_OPEN, 'F', "a stranger may write, configure and load modules");
}

static const uint16_t redis_ports[] = {6379, 6380, 26379, 0};
const struct service service_redis = {"redis", redis_ports, redis_is, redis_prove};

/* ---- Memcached ---- */

/* With SASL it speaks its binary protocol alone, and tells its version to anyone. A request: magic,
 * what, and 22 bytes of nothing; an answer: magic, what, the status at 6, the body after 24. */
#define MEMCACHED_HEAD 24
enum { MEMCACHED_VERSION = 0x0b, MEMCACHED_STAT = 0x10 };

/* How many bytes of answer; 0: it is none. */
static size_t memcached_binary(struct probe *p, const char *id, uint8_t what, uint8_t *a,
                               size_t size) {
    const uint8_t request[MEMCACHED_HEAD] = {0x80, what};
    size_t n = probe_talk(p, id, request, sizeof request, a, size);
    return n >= MEMCACHED_HEAD && a[0] == 0x81 && a[1] == what ? n : 0;
}

static bool memcached_is(struct probe *p, const struct look *l) {
    char a[256];
    uint8_t b[256];
    size_t n;
    if (l->http || l->banner_len)
        return false;
    wire_talk(p, "memcached-version", "version\r\n", a, sizeof a, &n);
    if (wire_begins(a, n, "CLIENT_ERROR unauthenticated"))
        return true;
    if (wire_begins(a, n, "VERSION ")) {
        probe_version(p, a + 8, n - 8);
        return true;
    }
    n = n ? 0 : memcached_binary(p, "memcached-binary", MEMCACHED_VERSION, b, sizeof b);
    if (n)
        probe_version(p, b + MEMCACHED_HEAD, n - MEMCACHED_HEAD);
    return n > 0;
}

/* By its binary protocol: does it tell its state to somebody who has not signed in? */
static void memcached_prove_binary(struct probe *p) {
    uint8_t b[256];
    size_t n = memcached_binary(p, "memcached-stat", MEMCACHED_STAT, b, sizeof b);
    if (n && b[6] == 0 && b[7] == 0)
        probe_say(p, AUDIT_OPEN, 'D', "commands work without a password, writing ones too");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a user and a password (SASL)");
}

static void memcached_prove(struct probe *p) {
    char a[WIRE_ANSWER_MAX];
    size_t n;
    wire_talk(p, "memcached-stats", "stats\r\n", a, sizeof a, &n);
    if (!n) {
        memcached_prove_binary(p);
        return;
    }
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
