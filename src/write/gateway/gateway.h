#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H
/*
 * ngx_http_safehouse_module, inside. doc/gateway.md has the phases in their order.
 *
 *   module.c    directives, and what a worker has for its life
 *   admit.c     from the request's head to the last byte of its body: who, room, checked JSON
 *   answer.c    from the provider's head to the last byte for the client
 *   wipe.c      the request's end: its slot is closed, its memory overwritten
 *   confine.c, known.c, refusal.c, terminal.c    know nothing of nginx: the worker's sandbox, keys
 *               that it has checked before, what it answers by itself, where a stream ends
 *
 * Functions that nginx calls return its codes (NGX_OK, NGX_ERROR, an HTTP status), all others ours.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <stdbool.h>

#include "base/uuid.h"
#include "control/snapshot.h"
#include "llm/reqscan.h"
#include "ring/ring.h"
#include "write/gateway/refusal.h"
#include "write/gateway/terminal.h"

extern ngx_module_t ngx_http_safehouse_module;

enum gateway_route { GATEWAY_NONE, GATEWAY_CHAT, GATEWAY_MODELS };

#define GATEWAY_PORTS 8

struct gateway_main {
    ngx_flag_t used;                           /* some location has a route */
    uint16_t connect_ports[GATEWAY_PORTS + 1]; /* ended by 0 */
    ngx_uint_t connect_count;
};

struct gateway_location {
    ngx_uint_t route; /* enum gateway_route */
};

/* What this process has for its life. */
struct gateway_worker {
    struct ring *ring;
    struct ring_region *region; /* NULL: not a worker that serves */
    const struct snapshot *snapshot;
    ngx_event_t traces; /* wipes stack and registers a moment after a request ended */
};
extern struct gateway_worker gateway_worker;

/* A request's own, in its pool. */
struct gateway_request {
    struct ring_slot *slot;        /* while it is open */
    const struct refusal *refusal; /* why the gateway answers by itself, once it is known */
    ngx_str_t credential;          /* for the provider; in the pool, wiped with it */
    struct reqscan scan;           /* of the request's body, then of an answer without a length */
    struct terminal terminal;
    off_t left;          /* bytes of the answer that Content-Length still announces, or -1 */
    u_char *buffer_high; /* how far the upstream's buffer was ever filled */
    void (*finalize_request)(ngx_http_request_t *r, ngx_int_t rc); /* the proxy module's own */
    ngx_uint_t http_version; /* of the client */
    bool admitted;
    bool keepalive; /* as the client asked, before any error */
    bool body_refused;
    bool set_aside;   /* the body was larger than nginx's buffer for it */
    bool own;         /* the answer is a refusal */
    bool stream;      /* the answer ends with its terminal event */
    bool scan_answer; /* it ends where the provider closes, if it is whole JSON then */
    bool broken;      /* the provider failed after the answer's head */
    char id[UUID_TEXT];
};

static inline struct gateway_request *gateway_of(const ngx_http_request_t *r) {
    return ngx_http_get_module_ctx(r, ngx_http_safehouse_module);
}
/* The same, made if there is none yet. NULL without memory. */
struct gateway_request *gateway_request_new(ngx_http_request_t *r);

/* The same letters, in whatever case; most clients have the usual one. */
static inline bool gateway_same(u_char *p, const char *text, size_t len) {
    return memcmp(p, text, len) == 0 || ngx_strncasecmp(p, (u_char *)(uintptr_t)text, len) == 0;
}

/* OPEN -> READY, once: later calls do nothing. */
void gateway_close(ngx_http_request_t *r, struct gateway_request *q, enum ring_outcome outcome);

/* ---- admit.c ---- */
ngx_int_t gateway_access(ngx_http_request_t *r);
ngx_int_t gateway_request_body(ngx_http_request_t *r, ngx_chain_t *in);
ngx_int_t gateway_authorization(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                                uintptr_t data);
void gateway_admit_init(void);

/* ---- answer.c ---- */
ngx_int_t gateway_header(ngx_http_request_t *r);
ngx_int_t gateway_body(ngx_http_request_t *r, ngx_chain_t *in);
/* Instead of the proxy module's finalize_request: notes how the provider's side ended. */
void gateway_upstream_ended(ngx_http_request_t *r, ngx_int_t rc);

/* ---- wipe.c ---- */
ngx_int_t gateway_log(ngx_http_request_t *r);
void gateway_wipe_traces(ngx_event_t *ev);
/* What nginx buffered for OpenSSL on this connection; NULL and plain connections are fine. */
void gateway_wipe_tls(ngx_connection_t *c);

/* The next filters, set when nginx builds its chains. */
extern ngx_http_output_header_filter_pt gateway_next_header;
extern ngx_http_output_body_filter_pt gateway_next_body;
extern ngx_http_request_body_filter_pt gateway_next_request_body;

#endif
