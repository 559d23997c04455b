/* Brokers of messages: NATS, MQTT 3.1.1, AMQP 0-9-1 (RabbitMQ), Kafka. */
#include <string.h>

#include "audit/probe/wire.h"

/* ---- NATS: the server speaks first ---- */

static bool nats_is(struct probe *p, const struct look *l) {
    if (!wire_begins(l->banner, l->banner_len, "INFO {"))
        return false;
    wire_version_after(p, l->banner, l->banner_len, "\"version\":\"");
    return true;
}

static void nats_prove(struct probe *p) {
    static const char connect[] = "CONNECT "
                                  "{\"verbose\":true,\"pedantic\":false,\"name\":\"audit\","
                                  "\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
    char a[WIRE_ANSWER_MAX];
    size_t n;
    wire_talk(p, "nats-connect", connect, a, sizeof a, &n);
    if (wire_find(a, n, "-ERR 'Authorization") || wire_find(a, n, "-ERR 'authorization"))
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a credential");
    else if (wire_find(a, n, "+OK") && wire_find(a, n, "PONG"))
        probe_say(p, AUDIT_OPEN, 'D',
                  "a stranger may subscribe to every subject and publish to it");
    else if (wire_find(a, n, "\"auth_required\":true") || wire_find(a, n, "\"tls_required\":true"))
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
    const char *v = wire_find(a, n, "versionS");
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
    if (wire_find(a, n, "ANONYMOUS"))
        probe_say(p, AUDIT_OPEN, 'D',
                  "it offers ANONYMOUS: a stranger may sign in without a password");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B',
                  "it asks for a user and a password (none was tried)");
}

static const uint16_t amqp_ports[] = {5672, 0};
const struct service service_amqp = {"rabbitmq", amqp_ports, amqp_is, amqp_prove};

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
    uint8_t a[WIRE_ANSWER_MAX];
    size_t n = probe_talk(p, "kafka-metadata", metadata, sizeof metadata - 1, a, sizeof a);
    if (n >= 12 && !memcmp(a + 4, "\0\0\0\7", 4))
        probe_say(p, AUDIT_OPEN, 'D', "brokers and topics are listed to strangers");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it closes on strangers: SASL is asked for");
}

static const uint16_t kafka_ports[] = {9092, 9093, 9094, 0};
const struct service service_kafka = {"kafka", kafka_ports, kafka_is, kafka_prove};
