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

/* ConnectRequest: length, protocol 0, last zxid 0, time-out 4000 ms, session 0, 16 bytes password,
 * not read-only; and in it a request: length, number 1, getChildren (8), "/", no watch. Each part's
 * length comes first. */
#define ZOOKEEPER_SESSION                                                                          \
    "\0\0\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0f\xa0\0\0\0\0\0\0\0\0\0\0\0\x10"                     \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZOOKEEPER_NAMES "\0\0\0\x0e\0\0\0\1\0\0\0\x08\0\0\0\1/\0"

/* Servers since 3.5 answer only listed words, whatever else they allow; sessions need no credential
 * by default, and some servers give one to anybody and then answer nothing in it. So names of nodes
 * are asked for. */
static void zookeeper_prove(struct probe *p) {
    static const char request[] = ZOOKEEPER_SESSION ZOOKEEPER_NAMES;
    _Static_assert(sizeof request - 1 == 49 + 18, "two requests");
    uint8_t u[1024];
    char a[4096];
    size_t n, got = probe_talk(p, "zookeeper-names", request, sizeof request - 1, u, sizeof u);
    const bool session = got >= 24 && u[0] == 0 && u[1] == 0 && u[2] == 0 && u[3] >= 36 &&
                         u[3] <= 37 && memcmp(u + 12, "\0\0\0\0\0\0\0\0", 8) != 0;
    const uint8_t *names = u + 4 + u[3]; /* length, number, zxid, error */
    const bool answered = session && got >= 4 + (size_t)u[3] + 20 && probe_u32(names + 4) == 1;
    if (answered && probe_u32(names + 16) == 0) {
        probe_say(p, AUDIT_OPEN, 'D',
                  "a stranger reads every node that is not protected on its own");
        return;
    }
    wire_talk(p, "zookeeper-srvr", "srvr", a, sizeof a, &n);
    if (wire_find(a, n, "Node count: "))
        probe_say(p, AUDIT_OPEN_LIMITED, 'C',
                  "it tells its state, and lets strangers read no node");
    else
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it lets strangers read no node");
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
