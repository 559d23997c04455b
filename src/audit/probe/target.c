/*
 * One pair of address and port, from nothing to a verdict: is anybody there, in clear or under TLS,
 * who speaks first, what does GET / give, which service is it, what does a stranger get.
 */
#include <stdio.h>
#include <string.h>

#include "audit/probe/probe.h"

#define BANNER_MS 300
#define BANNER_MAX 1024

/* Those that the server greets come first, they cost no connection; then those whose servers
 * answer, if with an error, whatever a line says, and at the end those that only wait for more. */
static const struct service *const services[] = {
    &service_nats,
    &service_mysql,
    &service_redis,
    &service_memcached,
    &service_amqp,
    &service_postgresql,
    &service_clickhouse_native,
    &service_mongodb,
    &service_cassandra,
    &service_mqtt,
    &service_zookeeper,
    &service_kafka,
};
#define SERVICES (sizeof services / sizeof services[0])

static const uint16_t tls_ports[] = {443, 2376, 6380, 8443, 8883, 9440, 0};

static bool listed(const uint16_t *ports, uint16_t port) {
    for (; *ports; ports++)
        if (*ports == port)
            return true;
    return false;
}

static void say_certificate(struct probe *p) {
    probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "its TLS asks for a client's certificate");
}

static void say_unreachable(struct probe *p, enum conn_result r) {
    switch (r) {
    case CONN_REFUSED:
        probe_say(p, AUDIT_CLOSED, 'A', "nothing listens");
        break;
    case CONN_FILTERED:
        probe_say(p, AUDIT_FILTERED, 'A', "no answer");
        break;
    case CONN_CERTIFICATE:
        say_certificate(p);
        break;
    default:
        probe_say(p, AUDIT_UNKNOWN, 'A', "the connection failed");
    }
}

static bool said_nothing(const struct look *l) {
    return !l->http && !l->banner_len && !l->odd_len;
}

/* A TLS server says so to a request in clear, by an alert record or by a page that calls the
 * request a bad one. Or it hangs up; so do others that take no HTTP, so those are asked first. */
static bool says_tls(const struct probe *p, const struct look *l) {
    return l->http ? p->root->status == 400
                   : l->odd_len >= 2 && l->odd[0] == 0x15 && l->odd[1] == 3;
}

/* One connection: what the server says by itself, and then what it says to GET /. */
static enum conn_result look(struct probe *p, struct look *l, uint8_t *banner) {
    struct conn *c;
    const struct http_request q = {.method = "GET", .path = "/"};
    enum conn_result r = conn_open(p->rules, &p->pair, p->tls, "look", &c);
    *l = (struct look){.banner = banner};
    p->root->status = 0;
    p->root->head_len = p->root->body_len = 0;
    if (r != CONN_OK)
        return r;
    l->banner_len = conn_receive(c, banner, BANNER_MAX, BANNER_MS);
    bool ended = conn_ended(c);
    if (!l->banner_len && !ended)
        http_ask(c, &p->pair, &q, p->rules->timeout_ms, p->root);
    l->ended = conn_ended(c);
    l->certificate = conn_wants_certificate(c);
    conn_close(c);
    l->http = p->root->status != 0;
    l->odd = (const uint8_t *)p->root->head;
    l->odd_len = l->http ? 0 : p->root->head_len;
    return CONN_OK;
}

static void take(struct probe *p, const struct service *s) {
    p->result->service = s->name;
    p->result->verdict = AUDIT_UNKNOWN;
    s->prove(p);
}

/* Services of this port first: their own words mean most there, and the fewest connections are
 * made. */
static bool other_services(struct probe *p, const struct look *l) {
    for (int usual = 1; usual >= 0; usual--) {
        for (size_t i = 0; i < SERVICES; i++) {
            if (listed(services[i]->ports, p->pair.port) == usual && services[i]->recognise(p, l)) {
                take(p, services[i]);
                return true;
            }
        }
    }
    return false;
}

/* ---- a web server with something below its top ---- */

static bool web_services(struct probe *p) {
    return probe_clickhouse_http(p) || probe_http_services(p);
}

/* What is left of where it sends to, when that is this very server: "/path...". */
static const char *own_path(const struct probe *p, const char *to) {
    char host[64];
    if (to[0] == '/')
        return to[1] == '/' ? NULL : to;
    const char *at = strncasecmp(to, "http://", 7) == 0    ? to + 7
                     : strncasecmp(to, "https://", 8) == 0 ? to + 8
                                                           : NULL;
    http_host(&p->pair, host);
    const size_t n = strlen(host);
    return at && strncmp(at, host, n) == 0 && at[n] == '/' ? at + n : NULL;
}

/* Behind a proxy a service may lie below a path: GET / then sends there. That place, on this server
 * and on no other, is looked at as the top was. */
static bool find_prefix(struct probe *p) {
    char to[256];
    if (p->root->status < 300 || p->root->status >= 400 ||
        !http_header(p->root, "location", to, sizeof to))
        return false;
    const char *path = own_path(p, to);
    size_t n = path ? strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789/-_.~")
                    : 0;
    while (n && path[n - 1] != '/')
        n--;
    if (n < 3 || n > sizeof p->prefix || memmem(path, n, "/.", 2) || memmem(path, n, "//", 2))
        return false;
    memcpy(p->prefix, path, n - 1);
    p->prefix[n - 1] = 0;
    struct http_answer *top = p->root, *scratch = p->http;
    p->http = top; /* what GET / gives there is the root now */
    const bool there = probe_get(p, "look", "/");
    p->http = scratch;
    return there;
}

static void say_unknown(struct probe *p, const struct look *l) {
    if (p->overdue == PROBE_OVERDUE)
        probe_say(p, AUDIT_UNKNOWN, 'A', "it answers too slowly to be looked at");
    else if (l->http && probe_http_refuses(p->root))
        probe_say(p, AUDIT_AUTH_REQUIRED, 'B',
                  "a web server that asks for a credential before it says what it is (status %d)",
                  p->root->status);
    else if (l->http)
        probe_say(p, AUDIT_UNKNOWN, 'C', "a web server of no kind that is known (status %d)",
                  p->root->status);
    else if (l->banner_len)
        probe_say(p, AUDIT_UNKNOWN, 'C', "a service of no kind that is known, which speaks first");
    else
        probe_say(p, AUDIT_UNKNOWN, 'B',
                  "it accepts connections, and answers nothing that is known");
}

/* The other way of the two, clear text or TLS. */
static enum conn_result look_again(struct probe *p, struct look *l, uint8_t *banner) {
    p->tls = !p->tls;
    return look(p, l, banner);
}

/* What can be told of a port without knowing its service. True: that is all. */
static bool settled(struct probe *p, const struct look *l, enum conn_result found) {
    p->result->tls = p->tls || found == CONN_CERTIFICATE;
    if (found != CONN_OK)
        say_unreachable(p, found);
    else if (l->certificate && said_nothing(l))
        say_certificate(p);
    else
        return false;
    return true;
}

void probe_target(struct probe *p) {
    struct look l;
    uint8_t banner[BANNER_MAX];
    *p->result = (struct probe_result){
        .verdict = AUDIT_UNKNOWN, .grade = 'A', .service = "", .probe = "look"};
    p->tls = listed(tls_ports, p->pair.port);
    enum conn_result found = look(p, &l, banner);
    if (found == CONN_NO_TLS || (found == CONN_OK && !p->tls && says_tls(p, &l)))
        found = look_again(p, &l, banner);
    if (found == CONN_NO_TLS)
        found = look_again(p, &l, banner);
    if (settled(p, &l, found) || other_services(p, &l))
        return;
    if (!p->tls && said_nothing(&l) && l.ended) {
        found = look_again(p, &l, banner);
        if (found == CONN_NO_TLS) { /* it hangs up on everybody, then */
            p->tls = false;
            found = CONN_OK;
        }
        if (settled(p, &l, found) || (p->tls && other_services(p, &l)))
            return;
    }
    if (!l.http || !(web_services(p) || (find_prefix(p) && web_services(p))))
        say_unknown(p, &l);
    p->prefix[0] = 0;
    if (l.http)
        probe_security_txt(p);
}
