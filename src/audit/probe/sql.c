/*
 * Databases of SQL whose sign-in takes several steps: PostgreSQL, MySQL and MariaDB. Signing in
 * without a password is tried as the first user of each, never with one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/probe.h"
#include "base/bytes.h"

#define WAIT_MS 1500
#define CLICKHOUSE_MYSQL 9004
#define CLICKHOUSE_PG 9005 /* and ClickHouse's own names of users there */

/* ---- PostgreSQL, protocol 3.0 ---- */

static const char pg_ssl[] = "\x00\x00\x00\x08\x04\xd2\x16\x2f";
static const char pg_startup[] =
    "\x00\x00\x00\x40\x00\x03\x00\x00user\0postgres\0database\0postgres\0application_name\0audit\0";
/* the same of ClickHouse, whose first user has another name */
static const char pg_default[] =
    "\x00\x00\x00\x3e\x00\x03\x00\x00user\0default\0database\0default\0application_name\0audit\0";
_Static_assert(sizeof pg_startup == 0x40 && sizeof pg_default == 0x3e, "their lengths");
/* simple queries: names of databases, and what the user may do */
static const char pg_names[] = "Q\x00\x00\x00\x2f"
                               "SELECT count(*) FROM pg_database WHERE 1=1";
static const char pg_super[] = "Q\x00\x00\x00\x16"
                               "SHOW is_superuser";

static bool pg_is(struct probe *p, const struct look *l) {
    uint8_t a[64];
    if (l->http || l->banner_len)
        return false;
    size_t n = probe_talk(p, "postgresql-ssl", pg_ssl, 8, a, sizeof a);
    return n == 1 && (a[0] == 'S' || a[0] == 'N');
}

/* The next message: its type and body, cut to size. 0: none. */
static char pg_message(struct conn *c, uint8_t *body, size_t size, size_t *ret_len) {
    uint8_t head[5];
    *ret_len = 0;
    if (conn_receive_all(c, head, 5, WAIT_MS) < 5)
        return 0;
    uint32_t len = probe_u32(head + 1);
    if (len < 4 || len > CONN_BYTES_MAX)
        return 0;
    len -= 4;
    size_t take = len < size ? len : size;
    if (conn_receive_all(c, body, take, WAIT_MS) < take)
        return 0;
    for (uint8_t rest[256]; take < len;) {
        size_t n =
            conn_receive(c, rest, len - take < sizeof rest ? len - take : sizeof rest, WAIT_MS);
        if (!n)
            return 0;
        take += n;
    }
    *ret_len = len < size ? len : size;
    return (char)head[0];
}

/* Asks a query whose answer has one row of one column; false when it has none. */
static bool pg_value(struct conn *c, const char *query, size_t len, char *out, size_t size) {
    uint8_t b[512];
    size_t n;
    bool got = false;
    if (!conn_send(c, query, len))
        return false;
    for (char t; (t = pg_message(c, b, sizeof b, &n)) && t != 'Z';) {
        if (t == 'D' && n >= 6 && probe_u32(b + 2) <= n - 6) {
            probe_clean(out, size, b + 6, probe_u32(b + 2));
            got = true;
        }
    }
    return got;
}

static void pg_signed_in(struct probe *p, struct conn *c, const char *user) {
    uint8_t b[512];
    size_t n;
    char value[64];
    for (char t; (t = pg_message(c, b, sizeof b, &n)) && t != 'Z';) {
        if (t == 'E')
            return; /* no such database: signed in all the same */
        if (t == 'S' && n > 15 && !memcmp(b, "server_version", 15))
            probe_version(p, b + 15, strnlen((char *)b + 15, n - 15));
    }
    if (pg_value(c, pg_names, sizeof pg_names, value, sizeof value))
        probe_say(p, AUDIT_OPEN, 'E', "user %s signs in without a password and reads %s databases",
                  user, value);
    if (pg_value(c, pg_super, sizeof pg_super, value, sizeof value) && strcmp(value, "on") == 0)
        probe_say(p, AUDIT_OPEN, 'F',
                  "user %s signs in without a password and is superuser: it may write, read "
                  "files and run programs",
                  user);
    conn_send(c, "X\x00\x00\x00\x04", 5);
}

/* hostssl and hostnossl lines of pg_hba.conf differ, so both ways are tried. */
static void pg_sign_in(struct probe *p, bool tls, const char *user) {
    struct conn *c;
    uint8_t b[512];
    size_t n;
    if (conn_open(p->rules, &p->pair, false, "postgresql-sign-in", &c) != CONN_OK)
        return;
    /* its TLS begins after a word in the clear */
    if (tls && !(conn_send(c, pg_ssl, 8) && conn_receive(c, b, 1, WAIT_MS) == 1 && b[0] == 'S' &&
                 conn_start_tls(c))) {
        conn_close(c);
        return;
    }
    p->result->probe = "postgresql-sign-in";
    const bool first = strcmp(user, "postgres") == 0;
    char t =
        conn_send(c, first ? pg_startup : pg_default, first ? sizeof pg_startup : sizeof pg_default)
            ? pg_message(c, b, sizeof b, &n)
            : 0;
    if (t == 'R' && n >= 4 && probe_u32(b) == 0) {
        probe_say(p, AUDIT_OPEN, 'D', "user %s signs in without a password (trust)", user);
        pg_signed_in(p, c, user);
    } else if (t == 'R') {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password");
    } else if (t == 'E') {
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it refuses user %s from here", user);
    }
    conn_close(c);
}

static void pg_prove(struct probe *p) {
    if (!p->sign_in) {
        probe_say(p, AUDIT_UNKNOWN, 'C', "signing in was left out (--no-sign-in)");
        return;
    }
    pg_sign_in(p, false, "postgres");
    if (p->result->verdict != AUDIT_OPEN)
        pg_sign_in(p, true, "postgres");
    if (p->result->verdict != AUDIT_OPEN && p->pair.port == CLICKHOUSE_PG)
        pg_sign_in(p, false, "default");
    if (p->result->verdict == AUDIT_UNKNOWN)
        probe_say(p, AUDIT_UNKNOWN, 'C',
                  "it speaks PostgreSQL, and answers the sign-in with something else");
}

static const uint16_t pg_ports[] = {5432, CLICKHOUSE_PG, 0};
const struct service service_postgresql = {"postgresql", pg_ports, pg_is, pg_prove};

/* ---- MySQL, MariaDB: the server speaks first ---- */

/* long password and flag, protocol 4.1, transactions, secure connection, plug-in names */
#define MYSQL_CAPABILITIES 0x0008a205u
#define MYSQL_TLS 0x0800u

static bool mysql_is(struct probe *p, const struct look *l) {
    /* length 3, sequence 0, protocol 10, version\0; or an error that names the host as not allowed
     */
    if (l->banner_len < 8 || l->banner[3] != 0)
        return false;
    if (l->banner[4] == 0xff)
        return memmem(l->banner, l->banner_len, "not allowed to connect", 22) ||
               memmem(l->banner, l->banner_len, "is blocked because", 18);
    if (l->banner[4] != 10 || !memchr(l->banner + 5, 0, l->banner_len - 5))
        return false;
    probe_version(p, l->banner + 5, strnlen((const char *)l->banner + 5, l->banner_len - 5));
    return true;
}

static size_t mysql_packet(struct conn *c, uint8_t *b, size_t size, uint8_t *ret_sequence) {
    uint8_t head[4];
    if (conn_receive_all(c, head, 4, WAIT_MS) < 4)
        return 0;
    uint32_t len = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16;
    *ret_sequence = head[3];
    if (!len || len > size)
        return 0;
    return conn_receive_all(c, b, len, WAIT_MS) == len ? len : 0;
}

static bool mysql_send(struct conn *c, const void *p, size_t len, uint8_t sequence) {
    uint8_t b[256];
    if (len + 4 > sizeof b)
        return false;
    b[0] = (uint8_t)len;
    b[1] = b[2] = 0;
    b[3] = sequence;
    memcpy(b + 4, p, len);
    return conn_send(c, b, len + 4);
}

/* What the server can do, the lower half: after its version, a number, eight bytes and one of
 * nothing. */
static unsigned mysql_offers(const uint8_t *greeting, size_t len) {
    const uint8_t *end = memchr(greeting + 1, 0, len - 1);
    return end && (size_t)(end - greeting) + 16 <= len ? end[14] | (unsigned)end[15] << 8 : 0;
}

static size_t mysql_response(uint8_t *b, const char *user, bool tls) {
    size_t n = 32, len = strlen(user) + 1;
    memset(b, 0, n);
    put_u32(b, MYSQL_CAPABILITIES | (tls ? MYSQL_TLS : 0));
    put_u32(b + 4, 1u << 24);
    b[8] = 45; /* utf8mb4 */
    memcpy(b + n, user, len);
    n += len;
    b[n++] = 0; /* no answer to the challenge: no password */
    memcpy(b + n, "mysql_native_password", 22);
    return n + 22;
}

static void mysql_names(struct probe *p, struct conn *c, const char *who) {
    static const char query[] = "\x03SHOW DATABASES";
    uint8_t b[4096], sequence;
    unsigned rows = 0, ends = 0;
    if (!mysql_send(c, query, sizeof query - 1, 0))
        return;
    for (size_t n; rows < 1000 && (n = mysql_packet(c, b, sizeof b, &sequence));) {
        if (b[0] == 0xff)
            return;
        if (b[0] == 0xfe && n < 9 && ++ends == 2)
            break;
        rows += ends == 1 && b[0] != 0xfe;
    }
    if (rows)
        probe_say(p, AUDIT_OPEN, 'E', "%s signs in without a password and reads %u databases", who,
                  rows);
}

/* The answer to the sign-in, after the server asked for another way if it did. 0: none. */
static size_t mysql_answer(struct conn *c, uint8_t *b, size_t size) {
    uint8_t sequence;
    size_t n = mysql_packet(c, b, size, &sequence);
    if (!n || b[0] != 0xfe)
        return n;
    bool sha2 = memmem(b, n, "caching_sha2", 12) != NULL; /* still without a password */
    conn_send(c, (uint8_t[]){sha2, 0, 0, (uint8_t)(sequence + 1), 0}, sha2 ? 5 : 4);
    return mysql_packet(c, b, size, &sequence);
}

static bool mysql_judge(struct probe *p, struct conn *c, const uint8_t *b, size_t n,
                        const char *user, const char *who) {
    if (n && b[0] == 0xff)
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a password");
    if (!n || b[0] != 0)
        return n && b[0] == 0xff;
    probe_say(p, AUDIT_OPEN, 'D', "%s signs in without a password", who);
    mysql_names(p, c, who);
    if (strcmp(user, "root") == 0)
        probe_say(p, AUDIT_OPEN, 'F',
                  "root signs in without a password: it may write, and read and write files");
    return true;
}

/* True when the server was clear about this user. A connection is never dropped in the middle of a
 * sign-in: the server would count it against this host. *tls: signs in under TLS; afterwards, does
 * the server offer it? A user may be one that must come by TLS, which looks like a password in
 * clear. */
static bool mysql_sign_in(struct probe *p, const char *user, const char *who, bool *tls) {
    struct conn *c;
    uint8_t b[4096], answer[128], sequence;
    const bool by_tls = *tls;
    if (conn_open(p->rules, &p->pair, false, "mysql-sign-in", &c) != CONN_OK)
        return false;
    p->result->probe = "mysql-sign-in";
    size_t n = mysql_packet(c, b, sizeof b, &sequence);
    bool clear = n && b[0] == 0xff;
    if (clear)
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it does not let this host in");
    if (n && b[0] == 10) {
        *tls = mysql_offers(b, n) & MYSQL_TLS;
        size_t len = mysql_response(answer, user, by_tls);
        /* TLS begins after the response's first half, which is sent again in it */
        if ((!by_tls || (mysql_send(c, answer, 32, 1) && conn_start_tls(c))) &&
            mysql_send(c, answer, len, by_tls ? 2 : 1))
            clear = mysql_judge(p, c, b, mysql_answer(c, b, sizeof b), user, who);
        mysql_send(c, "\x01", 1, 0);
    }
    conn_close(c);
    return clear;
}

static void mysql_prove(struct probe *p) {
    if (!p->sign_in) {
        probe_say(p, AUDIT_UNKNOWN, 'C', "signing in was left out (--no-sign-in)");
        return;
    }
    bool tls = false, ignored = false;
    if (!mysql_sign_in(p, "root", "root", &tls))
        probe_say(p, AUDIT_UNKNOWN, 'C',
                  "it speaks MySQL, and answers the sign-in with something else");
    else if (p->result->verdict == AUDIT_AUTH_REQUIRED)
        mysql_sign_in(p, "", "the anonymous user", &ignored);
    if (p->result->verdict == AUDIT_AUTH_REQUIRED && tls)
        mysql_sign_in(p, "root", "root", &tls);
    ignored = false;
    if (p->result->verdict == AUDIT_AUTH_REQUIRED &&
        (p->pair.port == CLICKHOUSE_MYSQL || strstr(p->result->version, "ClickHouse")))
        mysql_sign_in(p, "default", "user default", &ignored);
}

static const uint16_t mysql_ports[] = {3306, CLICKHOUSE_MYSQL, 0};
const struct service service_mysql = {"mysql", mysql_ports, mysql_is, mysql_prove};
