/* Stores of a cluster with a protocol of their own: ZooKeeper and ClickHouse Keeper, Cassandra and
 * Scylla. */
#include <string.h>

#include "audit/probe/wire.h"

/* ---- ZooKeeper, ClickHouse Keeper ---- */

static bool zookeeper_is(struct probe *p, const struct look *l) {
    char a[4096];
    size_t n;
    if (l->http || l->banner_len)
        return false;
    wire_talk(p, "zookeeper-srvr", "srvr", a, sizeof a, &n);
    if (wire_find(a, n, "not executed because it is not in the whitelist"))
        return true;
    if (!wire_find(a, n, "Zookeeper version: ") && !wire_find(a, n, "ClickHouse Keeper version: "))
        return false;
    wire_version_after(p, a, n, "version: ");
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
    wire_talk(p, "zookeeper-srvr", "srvr", a, sizeof a, &n);
    const char *nodes = wire_find(a, n, "Node count: ");
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
