/* MongoDB: OP_MSG with BSON documents. */
#include <string.h>

#include "audit/probe/probe.h"
#include "base/bytes.h"

#define MONGO_HEAD 21 /* header 16, flags 4, section kind 1 */

/* {hello: 1, $db: "admin"}, {getLog: "startupWarnings", ...}, {listDatabases: 1, nameOnly: true,
 * ...} */
static const char mongo_hello[] = "\x34\0\0\0\1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0"
                                  "\x1f\0\0\0"
                                  "\x10hello\0\1\0\0\0"
                                  "\x02$db\0\6\0\0\0admin\0\0";
static const char mongo_log[] = "\x45\0\0\0\1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0"
                                "\x30\0\0\0"
                                "\x02getLog\0\x10\0\0\0startupWarnings\0"
                                "\x02$db\0\6\0\0\0admin\0\0";
static const char mongo_names[] = "\x47\0\0\0\2\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0"
                                  "\x32\0\0\0"
                                  "\x10listDatabases\0\1\0\0\0"
                                  "\x08nameOnly\0\1"
                                  "\x02$db\0\6\0\0\0admin\0\0";

/* The reply must answer this very request, or the server only sends everything back. */
static size_t mongo_ask(struct probe *p, const char *id, const char *request, size_t len,
                        uint8_t *a, size_t size) {
    size_t n = probe_talk(p, id, request, len, a, size);
    bool reply = n > MONGO_HEAD && get_u32(a + 12) == 2013 &&
                 get_u32(a + 8) == get_u32((const uint8_t *)request + 4);
    return reply ? n : 0;
}

static bool mongo_is(struct probe *p, const struct look *l) {
    uint8_t a[8192];
    if (l->banner_len || (l->http && !strstr(p->root->body, "MongoDB over HTTP")))
        return false;
    return mongo_ask(p, "mongodb-hello", mongo_hello, sizeof mongo_hello - 1, a, sizeof a) > 0;
}

/* "databases": an array with something in it. BSON: type 4, name, length; an empty array has 5
 * bytes. */
static bool mongo_has_names(const uint8_t *a, size_t n) {
    const uint8_t *at = memmem(a, n,
                               "\x04"
                               "databases\0",
                               11);
    return at && (size_t)(at - a) + 15 <= n && get_u32(at + 11) > 5;
}

static void mongo_prove(struct probe *p) {
    uint8_t a[16384];
    size_t n = mongo_ask(p, "mongodb-log", mongo_log, sizeof mongo_log - 1, a, sizeof a);
    if (n && memmem(a, n, "totalLinesWritten", 17))
        probe_say(p, AUDIT_OPEN, 'F',
                  "commands work without signing in: a stranger reads and writes every database");
    n = mongo_ask(p, "mongodb-names", mongo_names, sizeof mongo_names - 1, a, sizeof a);
    if (n && mongo_has_names(a, n))
        probe_say(p, AUDIT_OPEN, 'E', "databases are listed without signing in");
    else if (n) /* Unauthorized, or ok with an empty list: what a locked server says to a stranger
                 */
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it lists nothing to strangers");
    else
        probe_say(p, AUDIT_UNKNOWN, 'C',
                  "it speaks MongoDB's protocol, and answers a command with something else");
}

static const uint16_t mongo_ports[] = {27017, 27018, 27019, 0};
const struct service service_mongodb = {"mongodb", mongo_ports, mongo_is, mongo_prove};
