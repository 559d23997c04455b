/*
 * The connections of conn.h: one non-blocking socket with poll, OpenSSL on top where asked for.
 * Whose certificate it is does not matter here (an open door is open under any name), so none is
 * verified.
 */
#include "audit/probe/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LIFE_FACTOR 4 /* a connection lives at most so many timeouts */

struct conn {
    int fd;
    SSL *ssl;
    uint64_t deadline_ns;
    size_t left; /* of CONN_BYTES_MAX */
    unsigned timeout_ms;
    bool ended, wants_certificate;
};

static SSL_CTX *context;

/* There is none to give; that one is asked for is worth knowing. */
static int no_certificate(SSL *ssl, X509 **ret_certificate, EVP_PKEY **ret_key) {
    struct conn *c = SSL_get_app_data(ssl);
    (void)ret_certificate, (void)ret_key;
    c->wants_certificate = true;
    return 0;
}

bool conn_init(void) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return false;
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_client_cert_cb(context, no_certificate);
    SSL_CTX_set_security_level(context, 0); /* old servers are looked at too */
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return true;
}

static bool in_scope(const struct conn_rules *rules, const struct conn_pair *pair) {
    for (size_t i = 0; i < rules->pair_count; i++)
        if (rules->pairs[i].port == pair->port &&
            strcmp(rules->pairs[i].address, pair->address) == 0)
            return true;
    return false;
}

/* Takes the run's next turn and sleeps until it has come. */
static void wait_turn(const struct conn_rules *rules) {
    uint64_t now = clock_mono_ns(), turn = atomic_load(rules->next_ns), mine;
    do {
        mine = turn > now ? turn : now;
    } while (!atomic_compare_exchange_weak(rules->next_ns, &turn, mine + rules->interval_ns));
    const struct timespec until = {(time_t)(mine / 1000000000u), (long)(mine % 1000000000u)};
    while (mine > now && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static socklen_t address_of(const struct conn_pair *pair, struct sockaddr_storage *ret) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, pair->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(pair->port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, pair->address, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(pair->port);
    return sizeof *v6;
}

/* Waits for the socket; false on time-out. `wait_ms` is cut to what the deadline leaves. */
static bool wait_for(struct conn *c, short events, unsigned wait_ms) {
    uint64_t now = clock_mono_ns();
    if (now >= c->deadline_ns)
        return false;
    uint64_t left_ms = (c->deadline_ns - now) / 1000000u + 1;
    struct pollfd p = {.fd = c->fd, .events = events};
    int n;
    do {
        n = poll(&p, 1, (int)(wait_ms < left_ms ? wait_ms : left_ms));
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static enum conn_result result_of(int e) {
    switch (e) {
    case 0:
        return CONN_OK;
    case ECONNREFUSED:
    case ECONNRESET:
        return CONN_REFUSED;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EACCES:
    case EPERM:
        return CONN_FILTERED;
    default:
        return CONN_FAILED;
    }
}

static enum conn_result connect_to(struct conn *c, const struct conn_pair *pair) {
    struct sockaddr_storage to;
    socklen_t size = address_of(pair, &to);
    if (!size)
        return CONN_FAILED;
    c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return CONN_FAILED;
    if (connect(c->fd, (struct sockaddr *)&to, size) == 0)
        return CONN_OK;
    if (errno != EINPROGRESS)
        return result_of(errno);
    if (!wait_for(c, POLLOUT, c->timeout_ms))
        return CONN_FILTERED;
    int e = 0;
    socklen_t len = sizeof e;
    return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) ? CONN_FAILED : result_of(e);
}

/* What an SSL call wants before it can go on: events to wait for, 0 when it failed. */
static short wanted(struct conn *c, int rc) {
    switch (SSL_get_error(c->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    default:
        ERR_clear_error();
        return 0;
    }
}

bool conn_start_tls(struct conn *c) {
    c->ssl = SSL_new(context);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || !SSL_set_app_data(c->ssl, c))
        return false;
    for (;;) {
        int rc = SSL_connect(c->ssl);
        if (rc == 1)
            return true;
        short events = wanted(c, rc);
        if (!events || !wait_for(c, events, c->timeout_ms))
            return false;
    }
}

enum conn_result conn_open(const struct conn_rules *rules, const struct conn_pair *pair, bool tls,
                           const char *probe, struct conn **ret) {
    *ret = NULL;
    if (!in_scope(rules, pair))
        return CONN_FAILED;
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return CONN_FAILED;
    wait_turn(rules);
    rules->noted(rules->arg, pair, probe, tls);
    *c = (struct conn){.fd = -1,
                       .left = CONN_BYTES_MAX,
                       .timeout_ms = rules->timeout_ms,
                       .deadline_ns =
                           clock_mono_ns() + LIFE_FACTOR * 1000000ull * rules->timeout_ms};
    enum conn_result r = connect_to(c, pair);
    if (r == CONN_OK && tls && !conn_start_tls(c))
        r = c->wants_certificate ? CONN_CERTIFICATE : CONN_NO_TLS;
    if (r == CONN_OK)
        *ret = c;
    else
        conn_close(c);
    return r;
}

bool conn_send(struct conn *c, const void *p, size_t len) {
    const uint8_t *at = p;
    while (len) {
        long n;
        short events = POLLOUT;
        if (c->ssl) {
            int rc = SSL_write(c->ssl, at, (int)len);
            n = rc > 0 ? rc : -1;
            events = rc > 0 ? 0 : wanted(c, rc);
            if (n < 0 && !events)
                return false;
        } else {
            n = send(c->fd, at, len, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return false;
        }
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (!wait_for(c, events, c->timeout_ms)) {
            return false;
        }
    }
    return true;
}

size_t conn_receive(struct conn *c, void *p, size_t size, unsigned wait_ms) {
    if (size > c->left)
        size = c->left;
    c->ended = false;
    while (size && clock_mono_ns() < c->deadline_ns) {
        short events = POLLIN;
        long n;
        if (c->ssl) {
            int rc = SSL_read(c->ssl, p, (int)size);
            n = rc > 0 ? rc : -1;
            if (n < 0 && !(events = wanted(c, rc))) {
                c->ended = true;
                return 0;
            }
        } else {
            n = recv(c->fd, p, size, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                c->ended = true;
                return 0;
            }
        }
        if (n > 0) {
            c->left -= (size_t)n;
            return (size_t)n;
        }
        if (!wait_for(c, events, wait_ms))
            return 0;
    }
    return 0;
}

size_t conn_receive_all(struct conn *c, void *p, size_t size, unsigned wait_ms) {
    size_t have = 0;
    for (size_t n; have < size; have += n)
        if (!(n = conn_receive(c, (uint8_t *)p + have, size - have, wait_ms)))
            break;
    return have;
}

bool conn_ended(const struct conn *c) {
    return c->ended;
}

bool conn_overdue(const struct conn *c) {
    return clock_mono_ns() >= c->deadline_ns;
}

bool conn_wants_certificate(const struct conn *c) {
    return c->wants_certificate;
}

void conn_close(struct conn *c) {
    if (!c)
        return;
    if (c->ssl) {
        SSL_shutdown(c->ssl); /* one try; what the other side says to it does not matter */
        SSL_free(c->ssl);
    }
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}
