/*
 * Services with a protocol of their own that is a few bytes each way: Redis, Memcached, ZooKeeper,
 * NATS, MQTT, AMQP, Cassandra, Kafka, ClickHouse's native port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/probe.h"
#include "base/bytes.h"

#define ANSWER_MAX 16384

static bool begins(const void *p, size_t len, const char *text) {
    size_t n = strlen(text);
    return len >= n && memcmp(p, text, n) == 0;
}

static const char *find(const void *p, size_t len, const char *text) {
    return memmem(p, len, text, strlen(text));
}

/* "key:value\r\n" of an info text. */
static void version_after(struct probe *p, const void *text, size_t len, const char *key) {
    const char *at = find(text, len, key);
    if (!at)
        return;
    at += strlen(key);
    size_t left = len - (size_t)(at - (const char *)text), n = 0;
    while (n < left && at[n] != '\r' && at[n] != '\n' && at[n] != ',' && at[n] != '"')
        n++;
    probe_version(p, at, n);
}

static const char *talk_text(struct probe *p, const char *id, const char *request, char *out,
                             size_t size, size_t *ret_len) {
    *ret_len = probe_talk(p, id, request, strlen(request), out, size - 1);
    out[*ret_len] = 0;
    return out;
}

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
    talk_text(p, "redis-ping", REDIS_PING, a, sizeof a, &n);
    return begins(a, n, "+PONG") || begins(a, n, "-NOAUTH") || begins(a, n, "-DENIED") ||
           begins(a, n, "-NOPERM") || begins(a, n, "-LOADING");
}

static void redis_prove(struct probe *p) {
    char a[ANSWER_MAX];
    size_t n;
    talk_text(p, "redis-info", REDIS_INFO, a, sizeof a, &n);
    if (begins(a, n, "-NOAUTH") || begins(a, n, "-DENIED")) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password, or refuses strangers");
        return;
    }
    if (begins(a, n, "-NOPERM")) {
        probe_say(p, AUDIT_OPEN_LIMITED, 'C',
                  "strangers may use some commands (INFO is refused to them)");
        talk_text(p, "redis-dbsize", REDIS_SIZE, a, sizeof a, &n);
        if (begins(a, n, ":") && strtoull(a + 1, NULL, 10) > 0)
            probe_say(p, AUDIT_OPEN_LIMITED, 'D', "strangers may use some commands; it holds keys");
        return;
    }
    if (!begins(a, n, "$") || !find(a, n, "redis_version:")) {
        probe_say(p, AUDIT_UNKNOWN, 'C', "it speaks Redis, and answers INFO with something else");
        return;
    }
    version_after(p, a, n, "redis_version:");
    if (find(a, n, "redis_mode:sentinel")) {
        probe_say(p, AUDIT_OPEN_LIMITED, 'C', "a Sentinel: it names its servers to anyone");
        return;
    }
    probe_say(p, AUDIT_OPEN, 'D', "commands work without a password");
    talk_text(p, "redis-dbsize", REDIS_SIZE, a, sizeof a, &n);
    if (begins(a, n, ":") && strtoull(a + 1, NULL, 10) > 0)
        probe_say(p, AUDIT_OPEN, 'E', "%llu keys are readable without a password",
                  strtoull(a + 1, NULL, 10));
    talk_text(p, "redis-acl", REDIS_GRANTS, a, sizeof a, &n);
    /* before version 6 there are no grants: whoever connects may do everything */
    if (begins(a, n, "-ERR unknown command") || find(a, n, "+@all"))
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
    talk_text(p, "memcached-version", "version\r\n", a, sizeof a, &n);
    if (begins(a, n, "CLIENT_ERROR unauthenticated"))
        return true;
    if (!begins(a, n, "VERSION "))
        return false;
    probe_version(p, a + 8, n - 8);
    return true;
}

static void memcached_prove(struct probe *p) {
    char a[ANSWER_MAX];
    size_t n;
    talk_text(p, "memcached-stats", "stats\r\n", a, sizeof a, &n);
    if (!begins(a, n, "STAT pid")) {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password");
        return;
    }
    probe_say(p, AUDIT_OPEN, 'D', "commands work without a password, writing ones too");
    const char *items = find(a, n, "STAT curr_items ");
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

/* ---- ZooKeeper, ClickHouse Keeper ---- */

static bool zookeeper_is(struct probe *p, const struct look *l) {
    char a[4096];
    size_t n;
    if (l->http || l->banner_len)
        return false;
    talk_text(p, "zookeeper-srvr", "srvr", a, sizeof a, &n);
    if (find(a, n, "not executed because it is not in the whitelist"))
        return true;
    if (!find(a, n, "Zookeeper version: ") && !find(a, n, "ClickHouse Keeper version: "))
        return false;
    version_after(p, a, n, "version: ");
    return true;
}

/* Servers since 3.5 answer only listed words; sessions need no credential by default, whatever they
 * answer, so a session is what is asked for. */
static void zookeeper_prove(struct probe *p) {
    /* ConnectRequest: length, protocol 0, last zxid 0, time-out 4000 ms, session 0, 16 bytes
     * password */
    static const uint8_t connect_request[49] = {
        [3] = 44 + 1, [4 + 4 + 8 + 2] = 0x0f, [4 + 4 + 8 + 3] = 0xa0, [4 + 4 + 8 + 4 + 8 + 3] = 16};
    char a[4096];
    size_t n;
    size_t got = probe_talk(p, "zookeeper-session", connect_request, sizeof connect_request, a, 41);
    const uint8_t *u = (const uint8_t *)a;
    bool session = got >= 24 && u[0] == 0 && u[1] == 0 && u[2] == 0 && u[3] >= 36 && u[3] <= 37 &&
                   memcmp(u + 12, "\0\0\0\0\0\0\0\0", 8) != 0;
    talk_text(p, "zookeeper-srvr", "srvr", a, sizeof a, &n);
    const char *nodes = find(a, n, "Node count: ");
    if (session)
        probe_say(
            p, AUDIT_OPEN, 'D',
            "a stranger gets a session, and reads every node that is not protected on its own");
    else if (nodes)
        probe_say(p, AUDIT_OPEN_LIMITED, 'C', "it tells its state, and gives strangers no session");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it gives strangers no session");
}

static const uint16_t zookeeper_ports[] = {2181, 9181, 0};
const struct service service_zookeeper = {"zookeeper", zookeeper_ports, zookeeper_is,
                                          zookeeper_prove};

/* ---- NATS: the server speaks first ---- */

static bool nats_is(struct probe *p, const struct look *l) {
    if (!begins(l->banner, l->banner_len, "INFO {"))
        return false;
    version_after(p, l->banner, l->banner_len, "\"version\":\"");
    return true;
}

static void nats_prove(struct probe *p) {
    static const char connect[] = "CONNECT "
                                  "{\"verbose\":true,\"pedantic\":false,\"name\":\"audit\","
                                  "\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
    char a[ANSWER_MAX];
    size_t n;
    talk_text(p, "nats-connect", connect, a, sizeof a, &n);
    if (find(a, n, "-ERR 'Authorization") || find(a, n, "-ERR 'authorization"))
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a credential");
    else if (find(a, n, "+OK") && find(a, n, "PONG"))
        probe_say(p, AUDIT_OPEN, 'D',
                  "a stranger may subscribe to every subject and publish to it");
    else if (find(a, n, "\"auth_required\":true") || find(a, n, "\"tls_required\":true"))
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a credential, or for TLS");
    else
        probe_say(p, AUDIT_UNKNOWN, 'C', "it speaks NATS, and answers neither yes nor no");
}

static const uint16_t nats_ports[] = {4222, 0};
const struct service service_nats = {"nats", nats_ports, nats_is, nats_prove};

/* ---- MQTT 3.1.1 ---- */

static const uint8_t mqtt_connect[] = {0x10, 0x11, 0, 4, 'M', 'Q', 'T', 'T', 4,  2,
                                       0,    10,   0, 5, 'a', 'u', 'd', 'i', 't'};

static bool mqtt_is(struct probe *p, const struct look *l) {
    uint8_t a[64];
    if (l->http || l->banner_len)
        return false;
    size_t n = probe_talk(p, "mqtt-connect", mqtt_connect, sizeof mqtt_connect, a, 4);
    return n == 4 && a[0] == 0x20 && a[1] == 2 && a[3] <= 5;
}

static void mqtt_prove(struct probe *p) {
    uint8_t a[64];
    if (probe_talk(p, "mqtt-connect", mqtt_connect, sizeof mqtt_connect, a, 4) == 4 && a[3] == 0)
        probe_say(p, AUDIT_OPEN, 'D', "a stranger may subscribe to topics and publish to them");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a user and a password");
}

static const uint16_t mqtt_ports[] = {1883, 8883, 0};
const struct service service_mqtt = {"mqtt", mqtt_ports, mqtt_is, mqtt_prove};

/* ---- AMQP 0-9-1 (RabbitMQ): Connection.Start names the ways to sign in ---- */

static const uint8_t amqp_header[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

static size_t amqp_start(struct probe *p, uint8_t *a, size_t size) {
    size_t n = probe_talk(p, "amqp-header", amqp_header, sizeof amqp_header, a, size);
    /* method frame on channel 0, class 10, method 10 */
    return n > 12 && a[0] == 1 && a[1] == 0 && a[2] == 0 && !memcmp(a + 7, "\0\x0a\0\x0a", 4) ? n
                                                                                              : 0;
}

static bool amqp_is(struct probe *p, const struct look *l) {
    uint8_t a[4096];
    if (l->http || l->banner_len)
        return false;
    size_t n = amqp_start(p, a, sizeof a);
    if (!n)
        return false;
    const char *v = find(a, n, "versionS");
    if (v && (size_t)(v - (char *)a) + 12 < n) {
        uint32_t len = probe_u32((const uint8_t *)v + 8);
        if (len < n - (size_t)(v - (char *)a) - 12)
            probe_version(p, v + 12, len);
    }
    return true;
}

static void amqp_prove(struct probe *p) {
    uint8_t a[4096];
    size_t n = amqp_start(p, a, sizeof a);
    if (find(a, n, "ANONYMOUS"))
        probe_say(p, AUDIT_OPEN, 'D',
                  "it offers ANONYMOUS: a stranger may sign in without a password");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B',
                  "it asks for a user and a password (none was tried)");
}

static const uint16_t amqp_ports[] = {5672, 0};
const struct service service_amqp = {"rabbitmq", amqp_ports, amqp_is, amqp_prove};

/* ---- Cassandra, Scylla: native protocol version 4 ---- */

static bool cassandra_is(struct probe *p, const struct look *l) {
    static const uint8_t options[] = {4, 0, 0, 0, 5, 0, 0, 0, 0};
    uint8_t a[1024];
    if (l->http || l->banner_len)
        return false;
    size_t n = probe_talk(p, "cassandra-options", options, sizeof options, a, sizeof a);
    return n >= 9 && (a[0] & 0x80) && (a[0] & 0x7f) <= 5 && (a[4] == 6 || a[4] == 0);
}

static void cassandra_prove(struct probe *p) {
    static const char startup[] = "\x04\x00\x00\x00\x01\x00\x00\x00\x16\x00\x01\x00\x0b"
                                  "CQL_VERSION\x00\x05"
                                  "3.0.0";
    uint8_t a[1024];
    size_t n = probe_talk(p, "cassandra-startup", startup, sizeof startup - 1, a, sizeof a);
    if (n >= 9 && (a[0] & 0x80) && a[4] == 2)
        probe_say(p, AUDIT_OPEN, 'E', "it is ready for queries without a password");
    else if (n >= 9 && (a[0] & 0x80) && a[4] == 3)
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a credential");
    else
        probe_say(p, AUDIT_UNKNOWN, 'C',
                  "it speaks Cassandra's protocol, and answers STARTUP with something else");
}

static const uint16_t cassandra_ports[] = {9042, 0};
const struct service service_cassandra = {"cassandra", cassandra_ports, cassandra_is,
                                          cassandra_prove};

/* ---- Kafka ---- */

static bool kafka_is(struct probe *p, const struct look *l) {
    static const char versions[] = "\x00\x00\x00\x0f\x00\x12\x00\x00\x00\x00\x00\x07\x00\x05"
                                   "audit";
    uint8_t a[4096];
    if (l->http || l->banner_len)
        return false;
    size_t n = probe_talk(p, "kafka-versions", versions, sizeof versions - 1, a, sizeof a);
    return n >= 10 && !memcmp(a + 4, "\0\0\0\7", 4) && a[8] == 0 && (a[9] == 0 || a[9] == 35);
}

static void kafka_prove(struct probe *p) {
    static const char metadata[] = "\x00\x00\x00\x13\x00\x03\x00\x01\x00\x00\x00\x07\x00\x05"
                                   "audit\xff\xff\xff\xff";
    uint8_t a[ANSWER_MAX];
    size_t n = probe_talk(p, "kafka-metadata", metadata, sizeof metadata - 1, a, sizeof a);
    if (n >= 12 && !memcmp(a + 4, "\0\0\0\7", 4))
        probe_say(p, AUDIT_OPEN, 'D', "brokers and topics are listed to strangers");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it closes on strangers: SASL is asked for");
}

static const uint16_t kafka_ports[] = {9092, 9093, 9094, 0};
const struct service service_kafka = {"kafka", kafka_ports, kafka_is, kafka_prove};

/* ---- ClickHouse's native port ---- */

/* Hello: client's name, version 21.8, revision 54449, database "", user "default", password "". The
 * server's answer is Hello (0) with its own name, or Exception (2) with a code. */
static const char clickhouse_hello[] = "\x00\x0f"
                                       "safehouse-audit"
                                       "\x15\x08\xb1\xa9\x03\x00\x07"
                                       "default\x00";

static size_t clickhouse_ask(struct probe *p, uint8_t *a, size_t size) {
    return probe_talk(p, "clickhouse-native-hello", clickhouse_hello, sizeof clickhouse_hello - 1,
                      a, size);
}

/* The port says of itself to an HTTP request what it is. */
static bool clickhouse_is(struct probe *p, const struct look *l) {
    uint8_t a[512];
    if (l->http && find(p->root->body, p->root->body_len, "is for clickhouse-client program"))
        return true;
    if (l->http || l->banner_len)
        return false;
    size_t n = clickhouse_ask(p, a, sizeof a);
    return (n > 12 && a[0] == 0 && a[1] >= 10 && a[1] < 64 && !memcmp(a + 2, "ClickHouse", 10)) ||
           (n > 12 && a[0] == 2 && find(a, n, "DB::Exception"));
}

static void clickhouse_prove(struct probe *p) {
    uint8_t a[2048];
    size_t n = clickhouse_ask(p, a, sizeof a);
    if (n > 14 && a[0] == 0 && !memcmp(a + 2, "ClickHouse", 10)) {
        size_t at = 2u + a[1];
        if (at + 2 < n) {
            char v[16];
            snprintf(v, sizeof v, "%u.%u", a[at], a[at + 1]);
            probe_version(p, v, strlen(v));
        }
        probe_say(p, AUDIT_OPEN, 'D', "user default signs in without a password");
        return;
    }
    if (n > 5 && a[0] == 2) {
        uint32_t code = get_u32(a + 1);
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B',
                  "it refuses user default without a password (code %u)", code);
        return;
    }
    probe_say(p, AUDIT_UNKNOWN, 'C',
              "a ClickHouse native port that answers the hello with something else");
}

static const uint16_t clickhouse_ports[] = {9000, 9440, 0};
const struct service service_clickhouse_native = {"clickhouse-native", clickhouse_ports,
                                                  clickhouse_is, clickhouse_prove};
