#ifndef AUDIT_PROBE_CONN_H
#define AUDIT_PROBE_CONN_H
/*
 * Connections of the prober: to pairs of the scope only, at the rate that was set, each with a
 * deadline and a ceiling of bytes. conn_open is the one function of Safehouse's audit that calls
 * connect(2).
 *
 * Blocking, one at a time: a prober process works on one target. Whatever the other side does, a
 * connection ends at its deadline or after CONN_BYTES_MAX bytes.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONN_BYTES_MAX (256u << 10) /* read from one connection */

struct conn_pair {
    char address[46]; /* numeric */
    uint16_t port;
};

/* What the processes of one run share. In shared memory: `next_ns`. */
struct conn_rules {
    const struct conn_pair *pairs; /* the scope; sorted by nothing, compared one by one */
    size_t pair_count;
    unsigned timeout_ms;       /* of connecting, and of each silence */
    uint64_t interval_ns;      /* between two connections of the whole run */
    _Atomic uint64_t *next_ns; /* when the next one may begin (CLOCK_MONOTONIC) */
    void (*noted)(void *arg, const struct conn_pair *pair, const char *probe, bool tls);
    void *arg; /* `noted` is told of each connection before it is tried */
};

enum conn_result {
    CONN_OK,
    CONN_REFUSED,     /* nothing listens */
    CONN_FILTERED,    /* no answer, or unreachable */
    CONN_NO_TLS,      /* it answers, but not to a TLS handshake */
    CONN_CERTIFICATE, /* its handshake asks for a client's certificate, and fails without */
    CONN_FAILED,      /* anything else; also a pair that is not in the scope */
};

struct conn;

/* `probe`: what for, a word of this source. *ret is NULL unless CONN_OK. */
enum conn_result conn_open(const struct conn_rules *rules, const struct conn_pair *pair, bool tls,
                           const char *probe, struct conn **ret);
/* TLS on a connection that is open in the clear. False: the handshake failed, only conn_close is
 * left. */
bool conn_start_tls(struct conn *c);
/* False when not all could be sent. */
bool conn_send(struct conn *c, const void *p, size_t len);
/* At least one byte, at most `size`; 0 at the end of the stream, after `wait_ms` of silence, at the
 * deadline or the ceiling. */
size_t conn_receive(struct conn *c, void *p, size_t size, unsigned wait_ms);
/* Receives until `size` bytes are there or nothing more comes; returns how many. */
size_t conn_receive_all(struct conn *c, void *p, size_t size, unsigned wait_ms);
/* Did the last receive end because the other side closed (not silence or a ceiling)? */
bool conn_ended(const struct conn *c);
/* Has it lived as long as it may? */
bool conn_overdue(const struct conn *c);
/* Did the TLS handshake ask for a client's certificate? With TLS 1.3 it succeeds without one, and
 * the refusal comes in place of the first answer. */
bool conn_wants_certificate(const struct conn *c);
void conn_close(struct conn *c);

/* Once per process, before its sandbox: OpenSSL reads its files. */
bool conn_init(void);

#endif
