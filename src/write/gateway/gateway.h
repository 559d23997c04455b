#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H
/*
 * ngx_http_safehouse_module, inside. doc/gateway.md has the phases in their order.
 *
 *   module.c    directives, and what a worker has for its life
 *   admit.c     the request's head: endpoint, who, room
 *   body.c      its body, to the last byte: checked, logged, in bounded memory
 *   route.c     from there to a provider: model, limits, choice, and the next one after a failure
 *   inspect.c   secrets and personal data in a body, for projects that block or mask them
 *   masked.c    their values put back into the answer
 *   edit.c      what the provider gets in place of what the client wrote
 *   answer.c    from the provider's head to the last byte for the client
 *   refuse.c    what the gateway answers by itself
 *   settle.c    an exchange's end: counts, costs, limits, health, metrics, the ring's slot
 *   labels.c    session, trace and tags
 *   models.c    the list of models, where no provider's own will do
 *   probes.c    /healthz, /readyz, /metrics
 *   report.c    security.txt, and the form for reports from outside
 *   wipe.c      the request's end: its memory is overwritten
 *   confine.c, known.c, pieces.c, plan.c, terminal.c    know nothing of nginx: the worker's sandbox,
 *               keys checked before, memory for bodies, models looked up before, where a stream ends
 *
 * Functions that nginx calls return its codes (NGX_OK, NGX_ERROR, an HTTP status), all others ours.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <stdbool.h>

#include "base/uuid.h"
#include "control/health.h"
#include "control/limits.h"
#include "control/metrics.h"
#include "control/snapshot.h"
#include "llm/dialect.h"
#include "llm/errors.h"
#include "llm/reqscan.h"
#include "llm/splice.h"
#include "llm/usage.h"
#include "ring/ring.h"
#include "write/gateway/pieces.h"
#include "write/gateway/terminal.h"
#include "write/mask/unmask.h"

extern ngx_module_t ngx_http_safehouse_module;

#define GATEWAY_ATTEMPTS 4

/* ---- configuration ---- */

enum gateway_kind {
    GATEWAY_NONE,
    GATEWAY_ON,   /* the outer location: every endpoint */
    GATEWAY_NEXT, /* where an attempt that failed comes back */
    GATEWAY_PROVIDER,
    GATEWAY_HEALTHZ,
    GATEWAY_READYZ,
    GATEWAY_METRICS,
    GATEWAY_SECURITY_TXT,
    GATEWAY_REPORT,
};

struct gateway_location {
    ngx_uint_t kind; /* enum gateway_kind */
    ngx_array_t *lines; /* of security.txt, ngx_str_t each */
    /* of a provider */
    ngx_str_t name;
    ngx_msec_t idle;
    void **loc_conf;                /* of all modules, in the location */
    ngx_http_upstream_conf_t later; /* the proxy module's, once the answer's head is there */
};

struct gateway_main {
    ngx_flag_t used;                             /* some location has a kind */
    uint64_t body_memory;                        /* bytes of bodies that a worker may hold */
    uint16_t connect_ports[LIMIT_PROVIDERS + 1]; /* ended by 0 */
    ngx_uint_t connect_count;
    struct gateway_location *providers[LIMIT_PROVIDERS];
    ngx_uint_t provider_count;
};

/* What this process has for its life. */
struct gateway_worker {
    struct ring *ring;
    struct ring_region *region; /* NULL: not a worker that serves */
    const struct snapshot *snapshot;
    struct limits *limits;
    struct health *health;
    struct metrics *metrics;
    int report_fd;        /* where reports from outside go; -1: nowhere */
    int life_fd;          /* of an attached one: a pipe to the supervisor; else -1 */
    ngx_event_t traces;   /* wipes stack and registers a moment after a request ended */
    uint64_t bodies;      /* bytes of request bodies that are held, */
    uint64_t bodies_max;  /* and may be */
    uint64_t log_version; /* of the snapshot that these two were read from: */
    struct snapshot_log log;
    char currency[SNAPSHOT_CURRENCY];
};
extern struct gateway_worker gateway_worker;

/* ---- a request ---- */

/* Where an attempt goes. Texts are in the pool. */
struct gateway_target {
    char provider[LIMIT_NAME];
    ngx_str_t uri;   /* path and query there */
    ngx_str_t model; /* to ask for */
    uint32_t total_ms;
    uint8_t first_key; /* of the provider's, HEALTH_NO_KEY = it has none */
    bool isolate_by_user, deepseek;
};

/* Of a request whose body has placeholders. */
struct gateway_masked {
    struct mask mask;
    struct buf body; /* as providers get it */
    ngx_chain_t chain;
    ngx_buf_t buf;        /* the same */
    struct unmask unmask; /* once the answer's head is there */
    struct buf out;       /* of a piece of the answer */
};

/* A request's own, in its pool. */
struct gateway_request {
    ngx_http_request_t *r;
    struct ring_slot *slot; /* while it is open */
    struct endpoint endpoint;
    struct snapshot_key key;

    /* the gateway answers by itself */
    enum errors_code why;
    ngx_str_t detail;        /* in the pool or a literal */
    const char *param;       /* a literal or in the pool, or NULL */
    uint64_t retry_after_ms; /* 0 = not said */
    ngx_str_t text;          /* the body */

    /* the request's body */
    struct reqscan scan;
    ngx_chain_t *body; /* as the client sent it, or masked */
    off_t body_len;
    uint64_t taken, held; /* bytes that came; of gateway_worker.bodies */
    struct piece *pieces; /* what did not fit nginx's buffer lies in them, the newest first */

    /* the model */
    ngx_str_t asked;         /* as the client named it; in scan */
    ngx_str_t model;         /* after aliases */
    struct cost_price price; /* of what is asked of the provider */
    bool priced;
    bool planned; /* a plan (plan.h) said the next two, of clear columns: */
    bool asked_known, sent_known;

    /* limits */
    struct limits_ticket ticket;
    struct limits_state left_of_key;

    /* attempts */
    struct gateway_target target;
    struct health_ticket attempt;
    uint16_t tried[GATEWAY_ATTEMPTS]; /* health numbers of providers */
    uint8_t attempts;
    uint64_t begun_ms;    /* of this attempt, nginx's clock */
    ngx_str_t credential; /* for the provider; in the pool, wiped with it */
    ngx_int_t failed;     /* how nginx ended the last attempt */
    void (*finalize_request)(ngx_http_request_t *r, ngx_int_t rc); /* the proxy module's own */

    /* the answer */
    struct usage_scan usage;
    struct terminal terminal;
    struct gateway_masked *masked; /* NULL: nothing is */
    struct splice_strip *strip;  /* NULL: nothing has to be taken out */
    struct reqscan *answer_scan; /* it ends where the provider closes, if it is whole JSON then */
    ngx_chain_t *strip_out, *strip_busy, *strip_free;
    ngx_buf_t *strip_in;     /* the buffer in work */
    u_char *strip_to;        /* how far it is filled with what stays */
    off_t left;              /* bytes of the answer that Content-Length still announces, or -1 */
    uint64_t bytes;          /* of the answer so far */
    ngx_msec_t data_at;      /* when the stream last had data */
    u_char *buffer_high;     /* how far the upstream's buffer was ever filled */
    ngx_uint_t http_version; /* of the client */
    uint64_t begin_ns, first_ns;
    struct usage counted;
    uint64_t cost;

    bool admitted;
    bool refused;   /* `why` says it */
    bool never;     /* the same request will be refused again */
    bool measured;  /* metrics_begin was called */
    bool scanned;   /* the body is JSON */
    bool keepalive; /* as the client asked, before any error */
    bool body_refused;
    bool asks_usage;            /* an edit asks for usage, the answer is to be stripped of it */
    bool chosen;                /* the next attempt is */
    bool sent;                  /* the last attempt may have reached its provider */
    bool own;                   /* the answer is the gateway's */
    bool unmask;                /* values are put back into the answer */
    bool stream;                /* the answer ends with its terminal event */
    bool count;                 /* it may have usage in it */
    bool broken;                /* the provider failed after the answer's head */
    bool late;                  /* it took too long, and has to be told */
    bool estimated;             /* `counted` is */
    uint8_t outcome;            /* enum ring_outcome, once it is closed */
    uint8_t body_kind;          /* enum ring_body */
    uint16_t status;            /* of the provider's answer */
    uint16_t sent_status;       /* to the client */
    uint64_t provider_retry_ms; /* its Retry-After */
    char id[UUID_TEXT + 1];
};

/* Its context is lost at a jump by nginx: then it is found by the pool's cleanup. */
struct gateway_request *gateway_find(ngx_http_request_t *r);
static inline struct gateway_request *gateway_of(const ngx_http_request_t *r) {
    return ngx_http_get_module_ctx(r, ngx_http_safehouse_module);
}
/* The same, made if there is none yet. NULL without memory. */
struct gateway_request *gateway_request_new(ngx_http_request_t *r);

/* The same letters, in whatever case; most clients have the usual one. */
static inline bool gateway_same(u_char *p, const char *text, size_t len) {
    return memcmp(p, text, len) == 0 || ngx_strncasecmp(p, (u_char *)(uintptr_t)text, len) == 0;
}

/* nginx's clock, of this turn of its loop. */
static inline uint64_t gateway_now_us(void) {
    const ngx_time_t *t = ngx_timeofday();
    return (uint64_t)t->sec * 1000000u + (uint64_t)t->msec * 1000u;
}

/* Calls fn for each header of a list. */
typedef void gateway_header_fn(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg);
void gateway_each_header(ngx_http_request_t *r, ngx_list_t *list, gateway_header_fn *fn, void *arg);

/* ---- module.c ---- */
/* The descriptor that this variable names; -1: none. */
int gateway_env_fd(const char *name);

/* ---- admit.c ---- */
ngx_int_t gateway_handler(ngx_http_request_t *r);
void gateway_admit_init(void);

/* ---- body.c ---- */
ngx_int_t gateway_request_body(ngx_http_request_t *r, ngx_chain_t *in);
/* May the worker hold so many bytes of bodies more? */
bool gateway_fits(uint64_t bytes);
/* Then counts them. */
bool gateway_hold(struct gateway_request *q, uint64_t bytes);
/* No provider will be sent it any more: overwrites its memory and gives it back. */
void gateway_drop_body(struct gateway_request *q);
/* The same for what lies in no memory of the pool; also of a request whose body did not all come. */
void gateway_drop_pieces(struct gateway_request *q);

/* ---- route.c ---- */
/* The body is there: chooses a provider, and begins the attempt. */
void gateway_route(ngx_http_request_t *r);
/* Chooses one that was not tried. ERR_NOTFOUND: no model, ERR_UNSUPPORTED: no endpoint of theirs;
 * and the codes of health_choose. */
int gateway_choose(struct gateway_request *q, struct gateway_target *ret,
                   struct health_ticket *ret_ticket, uint64_t *ret_retry_ms);
/* May the last attempt's failure be made good by another one? Then that is chosen. */
bool gateway_choose_again(struct gateway_request *q, int status, uint64_t retry_after_ms);
ngx_int_t gateway_next(ngx_http_request_t *r);
ngx_int_t gateway_authorization(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                                uintptr_t data);
ngx_int_t gateway_api_key(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);

/* ---- inspect.c ---- */
/* In the master: compiles what the configuration has projects look for, which workers then share. A
 * failure is told to nginx's log, and makes workers refuse these projects' requests. */
void gateway_inspect_prepare(ngx_cycle_t *cycle);
/* In a worker: what one scan at a time needs. */
int gateway_inspect_init(void);
/* The body, before any provider is chosen for good: NGX_OK, or the status of a refusal. With values
 * masked, q->body is another one then. */
ngx_int_t gateway_inspect(ngx_http_request_t *r, struct gateway_request *q);

/* ---- masked.c ---- */
/* The answer's head is there: are values to be put back into its body? */
void gateway_unmask_begin(ngx_http_request_t *r, struct gateway_request *q);
/* A piece of the answer; `end`: the last of it that belongs to the exchange. 0, or it cannot go on. */
int gateway_unmask(struct gateway_request *q, const u_char *p, size_t n, bool end);
/* What is held goes out as it is. */
int gateway_unmask_end(struct gateway_request *q);
/* The provider has the masked body. */
void gateway_masked_sent(struct gateway_request *q);
void gateway_masked_done(struct gateway_masked *m); /* NULL-safe */

/* ---- edit.c ---- */
/* The body for q->target, in r->request_body and its length in r->headers_in. */
ngx_int_t gateway_edit(ngx_http_request_t *r, struct gateway_request *q);

/* ---- answer.c ---- */
ngx_int_t gateway_header(ngx_http_request_t *r);
ngx_int_t gateway_body(ngx_http_request_t *r, ngx_chain_t *in);
/* An edited piece of the answer, copied: into the log, then to the client. `end` as above. */
int gateway_put(struct gateway_request *q, const u_char *p, size_t n, bool end);
/* Instead of the proxy module's finalize_request: notes how the provider's side ended. */
void gateway_upstream_ended(ngx_http_request_t *r, ngx_int_t rc);

/* ---- refuse.c ---- */
/* Notes why; returns the status. */
ngx_int_t gateway_refuse(struct gateway_request *q, enum errors_code why);
/* In the header filter: what goes out is the gateway's own, with this status. */
ngx_int_t gateway_begin_refusal(ngx_http_request_t *r, struct gateway_request *q);
ngx_int_t gateway_send_refusal(ngx_http_request_t *r, struct gateway_request *q, ngx_chain_t *in);
ngx_int_t gateway_add_header(ngx_http_request_t *r, ngx_str_t name, ngx_str_t value);
/* x-ratelimit-* of what the key has left, in the dialect's names. */
ngx_int_t gateway_add_limits(ngx_http_request_t *r, const struct gateway_request *q);
/* The event by which a stream that breaks off says so. */
ngx_int_t gateway_cut_event(ngx_http_request_t *r, struct gateway_request *q, ngx_str_t *ret);
enum dialect_family gateway_family(const ngx_http_request_t *r, const struct gateway_request *q);

/* ---- settle.c ---- */
/* The exchange's end, once: later calls do nothing. */
void gateway_close(struct gateway_request *q, enum ring_outcome outcome);
/* The same, by a clock that was just read. */
void gateway_close_at(struct gateway_request *q, enum ring_outcome outcome, uint64_t now_ns);
/* The end of the attempt that is under way, if one is. */
void gateway_attempt_done(struct gateway_request *q, int status, uint64_t retry_after_ms);
/* When the request ends, whatever came of it. */
void gateway_settle(struct gateway_request *q);

/* ---- labels.c ---- */
int gateway_labels(ngx_http_request_t *r, struct gateway_request *q);

/* ---- models.c ---- */
ngx_int_t gateway_list_models(ngx_http_request_t *r, struct gateway_request *q, uint32_t dialects);

/* ---- probes.c ---- */
/* Is there someone who takes what is logged? */
bool gateway_alive(void);
/* Answers with this body, which lives as long as the request. */
ngx_int_t gateway_answer(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t type, ngx_str_t body);
ngx_int_t gateway_healthz(ngx_http_request_t *r);
ngx_int_t gateway_readyz(ngx_http_request_t *r);
ngx_int_t gateway_metrics(ngx_http_request_t *r);

/* ---- report.c ---- */
ngx_int_t gateway_security_txt(ngx_http_request_t *r);
ngx_int_t gateway_report(ngx_http_request_t *r);

/* ---- wipe.c ---- */
ngx_int_t gateway_log(ngx_http_request_t *r);
void gateway_wipe_traces(ngx_event_t *ev);
/* What nginx buffered for OpenSSL on this connection; NULL and plain connections are fine. */
void gateway_wipe_tls(ngx_connection_t *c);

/* The next filters, set when nginx builds its chains. */
extern ngx_http_output_header_filter_pt gateway_next_header;
extern ngx_http_output_body_filter_pt gateway_next_body;
extern ngx_http_request_body_filter_pt gateway_next_request_body;

#define GATEWAY_TEXT(literal) ((ngx_str_t)ngx_string(literal))

#endif
