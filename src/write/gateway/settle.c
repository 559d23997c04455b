/*
 * An exchange's end. Runs in gateway workers.
 *
 * gateway_close says what became of it: usage and cost go into the ring's slot, which is the
 * sealer's from then on; the limits get what was really used, the health table learns of the
 * attempt. gateway_settle runs once more for every request, right before its memory goes: what is
 * still held then (a slot, a reservation, an attempt) is given back, and the request is counted.
 */
#include "base/clock.h"
#include "control/cost.h"
#include "write/gateway/gateway.h"

#define BYTES_PER_TOKEN 4u          /* of text */
#define STREAM_BYTES_PER_TOKEN 128u /* of events, one or two tokens each */

void gateway_attempt_done(struct gateway_request *q, int status, uint64_t retry_after_ms) {
    if (q->attempt.held)
        health_done(gateway_worker.health, &q->attempt, status, retry_after_ms, gateway_now_us());
}

/* ---- what it cost ---- */

/* An answer that said no counts, or was cut off before, by its length. */
static void estimate(struct gateway_request *q) {
    const struct dialect *d = q->endpoint.row->dialect;
    uint64_t in = q->taken / BYTES_PER_TOKEN;
    uint64_t out = q->bytes / (q->stream ? STREAM_BYTES_PER_TOKEN : BYTES_PER_TOKEN);
    if (d->shape == DIALECT_PLAIN || !q->bytes)
        return;
    q->counted.input = in > UINT32_MAX ? UINT32_MAX : (uint32_t)in;
    q->counted.output = out > UINT32_MAX ? UINT32_MAX : (uint32_t)out;
    q->estimated = true;
}

static void count(struct gateway_request *q, enum ring_outcome outcome) {
    if (!q->count || outcome == RING_REFUSED)
        return;
    usage_scan_done(&q->usage);
    usage_scan_result(&q->usage, &q->counted);
    if (!q->counted.reported)
        estimate(q);
    const struct usage *u = &q->counted;
    const struct cost_tokens tokens = {
        .input = u->input, .cached = u->cached, .cache_write = u->written, .output = u->output};
    if (q->priced)
        q->cost = cost_of(&q->price, &tokens);
    if (q->ticket.held && (u->reported || q->estimated))
        limits_settle(gateway_worker.limits, &q->ticket, (uint64_t)u->input + u->output, q->cost,
                      gateway_now_us());
}

/* ---- the slot ---- */

static bool is_known(const ngx_str_t *name) {
    return snapshot_model_known(gateway_worker.snapshot, (char *)name->data, name->len);
}

/* Whether it is known matters of a name that fits. */
static void put_model(char out[LIMIT_MODEL], const ngx_str_t *name, bool known) {
    if (!known || !name->len || name->len >= LIMIT_MODEL)
        return;
    memcpy(out, name->data, name->len);
    out[name->len] = 0;
}

static void describe(const struct gateway_request *q, struct ring_meta *m) {
    const struct usage *u = &q->counted;
    m->attempts = q->attempts;
    memcpy(m->provider, q->target.provider, sizeof m->provider);
    m->cost_nano = q->cost;
    m->tokens_input = u->input;
    m->tokens_output = u->output;
    m->tokens_cached = u->cached;
    m->tokens_reasoning = u->reasoning;
    m->counted = u->reported ? RING_REPORTED : q->estimated ? RING_ESTIMATED : RING_UNCOUNTED;
    if (q->refused)
        memcpy(m->refusal, errors_name(q->why), strlen(errors_name(q->why)) + 1);
    put_model(m->model_asked, &q->asked, q->planned ? q->asked_known : is_known(&q->asked));
    if (q->planned)
        put_model(m->model, &q->target.model, q->sent_known);
}

static int attempt_status(const struct gateway_request *q, enum ring_outcome outcome) {
    switch (outcome) {
    case RING_CUT:
        return q->status >= 400 ? q->status : HEALTH_NO_ANSWER;
    case RING_CANCELLED:
        return HEALTH_CANCELLED;
    default:
        return q->status ? q->status : HEALTH_CANCELLED;
    }
}

void gateway_close_at(struct gateway_request *q, enum ring_outcome outcome, uint64_t now_ns) {
    if (!q->slot)
        return;
    struct ring_meta *m = ring_meta(q->slot);
    count(q, outcome);
    describe(q, m);
    q->outcome = (uint8_t)outcome;
    q->first_ns = m->first_ns;
    q->sent_status = m->status;
    ring_close(gateway_worker.region, q->slot, outcome, now_ns);
    q->slot = NULL;
    gateway_attempt_done(q, attempt_status(q, outcome), q->provider_retry_ms);
    limits_release(gateway_worker.limits, &q->ticket);
}

void gateway_close(struct gateway_request *q, enum ring_outcome outcome) {
    if (q->slot)
        gateway_close_at(q, outcome, clock_mono_ns());
}

/* ---- the request ---- */

static enum metrics_error error_of(const struct gateway_request *q) {
    if (q->refused)
        return q->why == ERRORS_TIMEOUT       ? METRICS_TIMEOUT
               : q->why == ERRORS_BAD_GATEWAY ? METRICS_UNREACHABLE
                                              : METRICS_GATEWAY;
    if (q->outcome == RING_CUT)
        return METRICS_CUT;
    if (q->outcome == RING_CANCELLED)
        return METRICS_CANCELLED;
    return q->stream && q->usage.failed ? METRICS_ERROR_EVENT : metrics_error_of(q->sent_status);
}

static void measure(struct gateway_request *q) {
    const struct dialect *d = q->endpoint.row ? q->endpoint.row->dialect : NULL;
    const struct usage *u = &q->counted;
    struct metrics_exchange e = {
        .provider = q->attempts ? q->target.provider : NULL,
        .model = q->model.len ? (char *)q->model.data : NULL,
        .model_len = q->model.len,
        .operation = d ? metrics_operation_of(d->name) : METRICS_OTHER_OPERATION,
        .error = error_of(q),
        .refusal = q->refused ? errors_name(q->why) : NULL,
        .status = q->sent_status,
        .duration_ns = clock_mono_ns() - q->begin_ns,
        .first_ns = q->stream && q->first_ns > q->begin_ns ? q->first_ns - q->begin_ns : 0,
        .usage = u->reported,
        .input = u->input,
        .output = u->output,
        .cached = u->cached,
        .cache_write = u->written,
        .reasoning = u->reasoning,
        .cost = q->cost,
    };
    memcpy(e.currency, gateway_worker.currency, sizeof e.currency);
    metrics_observe(gateway_worker.metrics, &e);
}

void gateway_settle(struct gateway_request *q) {
    if (!q->measured)
        return;
    q->measured = false;
    if (q->slot) {
        bool ours = q->broken || ngx_terminate; /* a worker that only leaves ends no exchange */
        gateway_close(q, ours ? RING_CUT : RING_CANCELLED);
    }
    gateway_attempt_done(q, HEALTH_CANCELLED, 0);
    limits_release(gateway_worker.limits, &q->ticket);
    gateway_worker.bodies -= q->held;
    measure(q);
}
