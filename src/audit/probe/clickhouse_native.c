/* ClickHouse's native port. */
#include <stdio.h>
#include <string.h>

#include "audit/probe/wire.h"
#include "base/bytes.h"

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
    if (l->http && wire_find(p->root->body, p->root->body_len, "is for clickhouse-client program"))
        return true;
    if (l->http || l->banner_len)
        return false;
    size_t n = clickhouse_ask(p, a, sizeof a);
    return (n > 12 && a[0] == 0 && a[1] >= 10 && a[1] < 64 && !memcmp(a + 2, "ClickHouse", 10)) ||
           (n > 12 && a[0] == 2 && wire_find(a, n, "DB::Exception"));
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
