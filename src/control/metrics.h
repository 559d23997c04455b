#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H
/*
 * What the gateway tells of itself: counters and histograms that all workers of a host share in a
 * memory file (memfd), and their text for Prometheus. doc/metrics.md tells what each metric means.
 * The GenAI metrics have the names, attributes and buckets of OpenTelemetry's semantic conventions
 * (opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics), in Prometheus' form.
 *
 *   supervisor: metrics_create; metrics_reap once a second; hands the descriptor to the gateway
 *     (SH_METRICS_FD). The counts live as long as the supervisor: reloads and deaths of nginx leave
 *     them alone.
 *   worker, in init_process before its sandbox: metrics_map, metrics_claim.
 *   worker, an exchange: metrics_begin when the request's head was read; then exactly one
 *     metrics_observe when it is over, refused or not. metrics_fallback at each jump to another
 *     provider.
 *   worker, GET /metrics: metrics_text.
 *
 * All but the last are memory operations: no system call, no lock, no wait. A worker that is killed
 * in the middle leaves at most its own exchange half counted (in a bucket, not yet in the sum).
 *
 * Labels come from closed lists: providers, refusals and currencies by the caller's names, models
 * only when the configuration or the price table has them (asked of the snapshot before a name
 * first enters the file). Every other model is "other". So no text from outside, no key's id, no
 * person and no secret is ever a label, and the number of series has a ceiling: what does not fit
 * any more is counted under "other".
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "control/health.h"
#include "control/snapshot.h"

#define METRICS_SERIES 512           /* of (provider, models, operation, error) */
#define METRICS_TEXT_MAX (48u << 20) /* ceiling for buf_init; a usual text has a few 100 KiB */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics; /* the mapped file */

/* gen_ai.operation.name */
enum metrics_operation {
    METRICS_CHAT,             /* chat completions, Anthropic's messages */
    METRICS_TEXT_COMPLETION,  /* completions */
    METRICS_EMBEDDINGS,       /* embeddings */
    METRICS_GENERATE_CONTENT, /* responses */
    METRICS_OTHER_OPERATION,
    METRICS_OPERATIONS
};
/* Of a dialect's name (llm/dialect.h), "openai.chat". */
enum metrics_operation metrics_operation_of(const char *dialect);

/* error.type. Statuses of the provider have their number as text. */
#define METRICS_ERRORS_TABLE(X)                                                                    \
    X(METRICS_NO_ERROR, "")                                                                        \
    X(METRICS_CANCELLED, "cancelled")     /* the client left */                                    \
    X(METRICS_CUT, "cut")                 /* the answer ended before it was whole */               \
    X(METRICS_TIMEOUT, "timeout")         /* no answer in time */                                  \
    X(METRICS_UNREACHABLE, "unreachable") /* no connection */                                      \
    X(METRICS_ERROR_EVENT, "error_event") /* an error event within a stream */                     \
    X(METRICS_GATEWAY, "gateway")         /* the gateway's own failure or refusal */               \
    X(METRICS_400, "400")                                                                          \
    X(METRICS_401, "401")                                                                          \
    X(METRICS_402, "402")                                                                          \
    X(METRICS_403, "403")                                                                          \
    X(METRICS_404, "404")                                                                          \
    X(METRICS_408, "408")                                                                          \
    X(METRICS_409, "409")                                                                          \
    X(METRICS_413, "413")                                                                          \
    X(METRICS_422, "422")                                                                          \
    X(METRICS_429, "429")                                                                          \
    X(METRICS_4XX, "4xx") /* another one */                                                        \
    X(METRICS_500, "500")                                                                          \
    X(METRICS_502, "502")                                                                          \
    X(METRICS_503, "503")                                                                          \
    X(METRICS_504, "504")                                                                          \
    X(METRICS_529, "529")                                                                          \
    X(METRICS_5XX, "5xx")                                                                          \
    X(METRICS_OTHER_ERROR, "other")
enum metrics_error {
#define METRICS_ENUM_(name, text) name,
    METRICS_ERRORS_TABLE(METRICS_ENUM_)
#undef METRICS_ENUM_
        METRICS_ERRORS
};
/* Of a provider's HTTP status: METRICS_NO_ERROR below 400. */
enum metrics_error metrics_error_of(unsigned status);

/* ---- gateway worker ---- */
/* Maps the file; `names` says which models may be labels, and lives as long. ERR_VERSION or
 * ERR_CORRUPT when it is no metrics file. */
int metrics_map(int fd, const struct snapshot *names, struct metrics **ret);
/* Takes a worker slot, for the requests in flight. ERR_FULL: LIMIT_WORKER_SLOTS workers live. The
 * descriptor must stay open (control/slots.h). */
int metrics_claim(struct metrics *m);

/* A finished exchange. Strings are borrowed for the call. */
struct metrics_exchange {
    const char *provider; /* of the configuration, the last one tried; NULL: none, and then only
                             the request is counted, in none of the GenAI metrics */
    const char *model;    /* asked for, after aliases; NULL: the request had none */
    size_t model_len;
    const char *answered; /* the model that the answer names; NULL: none, or not looked at */
    size_t answered_len;
    enum metrics_operation operation;
    enum metrics_error error;
    const char *refusal;  /* code of the gateway's own refusal, a literal; NULL: none */
    unsigned status;      /* sent to the client; 0 = nothing was */
    uint64_t duration_ns; /* from the request's head to the last byte */
    uint64_t first_ns;    /* from the request's head to the first byte of a streamed answer's body;
                             0 = none, or not streamed */
    bool usage;           /* the provider reported the counts: */
    uint32_t input, output, cached, cache_write, reasoning; /* as in llm/usage.h */
    uint64_t cost;                                          /* nano of the currency */
    char currency[SNAPSHOT_CURRENCY];
};
void metrics_begin(struct metrics *m);
void metrics_observe(struct metrics *m, const struct metrics_exchange *e);
/* This provider's attempt failed, and another one follows. */
void metrics_fallback(struct metrics *m, const char *provider);

/* ---- supervisor ---- */
int metrics_create(struct metrics **ret);
void metrics_close(struct metrics *m);   /* NULL-safe; also of a worker's mapping */
int metrics_fd(const struct metrics *m); /* borrowed, CLOEXEC */
/* Clears what dead workers had in flight; returns how many. Once a second. */
unsigned metrics_reap(struct metrics *m);

/* Reports from outside that wait for an answer, and when the oldest of them came (us; 0 = none). */
void metrics_set_reports(struct metrics *m, uint64_t waiting, uint64_t since_us);
/* How many alarms of canaries there were since the start. */
void metrics_set_alarms(struct metrics *m, uint64_t total);

/* ---- both: the text ---- */
/* The ring's state, as ring_usage has it. */
struct metrics_ring {
    uint64_t slots, slots_used, bytes, bytes_used;
    uint64_t admitted, refused, cut;
    uint64_t oldest_ready_ns; /* monotonic close time of the oldest ready slot, 0 = none */
};
/* What else the text shows; everything is borrowed, and NULL leaves its metrics out. */
struct metrics_view {
    const struct metrics_ring *ring;
    const struct health *health;
    const struct snapshot *snapshot;
    const char *version; /* of the program */
    uint64_t now_us;     /* wall clock */
    uint64_t now_ns;     /* monotonic */
};
/* Appends the exposition text (format 0.0.4). Within a series buckets and count always agree.
 * ERR_LIMIT, ERR_NOMEM: the buffer. */
int metrics_text(struct buf *out, const struct metrics *m, const struct metrics_view *v);

#endif
