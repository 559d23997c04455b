#ifndef AUDIT_PROBE_PROBE_H
#define AUDIT_PROBE_PROBE_H
/*
 * What probes are made of, and what they find out about one pair of address and port.
 *
 * A service has a *fingerprint* (what is it? proves nothing: liveness pages answer on locked
 * servers too) and a *proof* (can a stranger read something?). Requests are constants of this
 * source that only read; a proof is a typed answer, or a number that was not in the request, so
 * that a server which sends everything back proves nothing. No password is ever tried; signing in
 * without one is what a stranger would do, and is left out by --no-sign-in.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/probe/conn.h"
#include "audit/probe/http.h"
#include "audit/verdict.h"
#include "write/detect/detect.h"

#define PROBE_NOTES 96
#define PROBE_OVERDUE 3

/* One thing to act on beside the verdict: a hardening check that failed, a port in clear text. */
struct probe_note {
    const char *id;       /* "C1", "tls"; of this source */
    const char *severity; /* critical high medium low info */
    const char *title, *fix;
    char detail[160]; /* outside text, cleaned; may be empty */
    char file[256];   /* of a configuration that was read, cleaned; "": none */
    unsigned line;
};

struct probe_result {
    enum audit_verdict verdict;
    char grade;          /* 'A'..'F' */
    const char *service; /* of this source; "" when nothing known answers */
    const char *probe;   /* id of the probe that decided */
    char version[48];    /* outside text, cleaned */
    char reason[160];    /* why, for a person; cleaned */
    bool tls;
    uint8_t request_sha256[32], response_sha256[32];
    size_t response_bytes;
    char excerpt[120]; /* the answer's beginning, cleaned; never rows */
    struct probe_note notes[PROBE_NOTES];
    size_t note_count;
};

/* The detector, made when the first sample of rows needs it: compiling its rules takes longer than
 * most probes. Of one process; sampler_done frees it. */
struct sampler {
    bool wanted;
    struct detect *detect;
    struct detect_work *work;
};
bool sampler_ready(struct sampler *s); /* false: no samples are wanted, or it cannot be made */
void sampler_done(struct sampler *s);

struct probe {
    const struct conn_rules *rules;
    struct conn_pair pair;
    bool sign_in; /* signing in without a password is allowed */
    bool tls;     /* how the service was reached */
    char
        prefix[64]; /* before every path: where the service lies on its web server; "" at the top */
    struct sampler *sampler;
    unsigned overdue; /* answers in a row that did not end in time; at PROBE_OVERDUE nothing more is
                         asked */
    size_t way;       /* of asking ClickHouse (clickhouse.c) */
    struct http_answer *http; /* scratch; the last answer */
    struct http_answer *root; /* what GET / gave at the first look; status 0: no HTTP */
    struct probe_result *result;
};

/* ---- asking ---- */

/* One connection: sends, and receives until `size` bytes, the end, or 400 ms of silence after
 * something came. Returns how many bytes; 0 also when it could not connect. Remembers both as
 * evidence. */
size_t probe_talk(struct probe *p, const char *id, const void *request, size_t len, void *answer,
                  size_t size);
/* The same, and it ends as soon as the answer is whole: with many connections, silences are what
 * takes time. */
typedef bool probe_whole(const void *answer, size_t len);
size_t probe_talk_until(struct probe *p, const char *id, const void *request, size_t len,
                        void *answer, size_t size, probe_whole *whole);
/* The same over HTTP; p->http has the answer. False: none came. */
bool probe_http(struct probe *p, const char *id, const struct http_request *q);
bool probe_get(struct probe *p, const char *id, const char *path);

/* Four bytes in network order, as most protocols have them. */
static inline uint32_t probe_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- saying ---- */

/* Sets what was found out; later calls only replace a verdict by a worse one (or a first one). */
void probe_say(struct probe *p, enum audit_verdict v, char grade, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void probe_note(struct probe *p, const char *id, const char *severity, const char *title,
                const char *fix, const char *detail, size_t detail_len);
/* The same about a line of a file. */
void probe_note_at(struct probe *p, const struct probe_note *note, const char *file, unsigned line,
                   const char *detail);
void probe_version(struct probe *p, const void *text, size_t len);
/* Outside bytes as printable ASCII, cut to fit: no control character, no escape sequence. */
void probe_clean(char *out, size_t size, const void *text, size_t len);

/* ---- services ---- */

/* What the first look at a port showed. */
struct look {
    const uint8_t *banner; /* what the server sends by itself */
    size_t banner_len;
    bool http;          /* GET / gave an HTTP answer, which is in p->root */
    const uint8_t *odd; /* what it gave instead */
    size_t odd_len;
    bool ended;       /* the server closed */
    bool certificate; /* its TLS asked for one */
};

/*
 * A service: `recognise` says whether this is it, from the look and by a fingerprint of its own,
 * and fills service and version; `prove` finds out what a stranger gets.
 */
struct service {
    const char *name;
    const uint16_t *ports; /* where it is usually found, ended by 0 */
    bool (*recognise)(struct probe *p, const struct look *l);
    void (*prove)(struct probe *p);
};

extern const struct service service_clickhouse_native, service_redis, service_mongodb,
    service_memcached, service_zookeeper, service_postgresql, service_mysql, service_cassandra,
    service_kafka, service_nats, service_mqtt, service_amqp;

/* All about one pair: looks, recognises, proves. The result is complete. */
void probe_target(struct probe *p);
/* HTTP services, by tables (http_services.h); false: none of them is it. */
bool probe_http_services(struct probe *p);
/* Does an answer ask for a credential: by its status, by sending to a sign-in, by a field for a
 * password? */
bool probe_http_refuses(const struct http_answer *a);
/* ClickHouse over HTTP, with its hardening checks where strangers may ask; false: it is something
 * else. */
bool probe_clickhouse_http(struct probe *p);
/* Whose web server is it, and whom does one write to? security.txt (RFC 9116) at a port with HTTP.
 */
void probe_security_txt(struct probe *p);

#endif
