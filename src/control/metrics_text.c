/*
 * The exposition text of metrics.h: Prometheus' text format 0.0.4. Runs in a gateway worker, for
 * GET /metrics.
 *
 * The format wants all samples of a metric together, so the series are gone through once for each
 * metric, with their labels written beforehand. A histogram's cells are read once, and what is said
 * of it comes from that reading. Names come from a file that every worker can write to: they are
 * taken as bytes of any kind, with an end that is checked.
 */
#include "control/metrics_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "control/money.h"

#define LABELS_MAX (METRICS_SERIES * 1024u) /* escaped names are at most twice as long */

struct text {
    struct buf *out;
    int rc; /* the first failure; then nothing is written any more */
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...) {
    char line[1536];
    va_list args;
    if (t->rc)
        return;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof line);
    t->rc = buf_append(t->out, line, (size_t)n);
}

static void put_head(struct text *t, const char *name, const char *type, const char *help) {
    put(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct text *t, const char *name, const char *labels, uint64_t value) {
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    put(t, "%s%s%s%s %" PRIu64 "\n", name, open, labels, close, value);
}

static void put_single(struct text *t, const char *name, const char *type, const char *help,
                       uint64_t value) {
    put_head(t, name, type, help);
    put_value(t, name, "", value);
}

/* ---- labels ---- */

#define LABEL_MAX 320 /* one name="value": the longest value escaped, and the longest name */

/* Appends name="value" after what is there; an empty value is as good as no label. */
static void label(char *out, size_t size, const char *name, const char *value) {
    size_t at = strlen(out);
    if (!*value)
        return;
    at += (size_t)snprintf(out + at, size - at, "%s%s=\"", at ? "," : "", name);
    for (; *value && at + 4 < size; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            out[at++] = '\\';
        /* Control characters are legal in a value; a terminal would obey them. */
        out[at++] = *value == '\n'                                   ? 'n'
                    : (unsigned char)*value < 0x20 || *value == 0x7f ? '?'
                                                                     : *value;
    }
    out[at++] = '"';
    out[at] = 0;
}

/* The names of a key, one after another; "" where it ends too early. */
static const char *next_name(const char **at, const char *end) {
    const char *name = *at;
    const char *nul = memchr(name, 0, (size_t)(end - name));
    *at = nul ? nul + 1 : end;
    return nul ? name : "";
}

static void key_read(const _Atomic uint64_t *from, uint64_t *to, size_t words) {
    for (size_t i = 0; i < words; i++)
        to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

static const char *const operations[METRICS_OPERATIONS] = {
    [METRICS_CHAT] = "chat",
    [METRICS_TEXT_COMPLETION] = "text_completion",
    [METRICS_EMBEDDINGS] = "embeddings",
    [METRICS_GENERATE_CONTENT] = "generate_content",
    [METRICS_OTHER_OPERATION] = METRICS_OTHER,
};
static const char *const errors[METRICS_ERRORS] = {
#define TEXT(name, text) text,
    METRICS_ERRORS_TABLE(TEXT)
#undef TEXT
};

/* Labels of the whole table, each with its NUL; "" for a place without a series. */
static int series_labels(const struct metrics_file *f, struct buf *out) {
    int rc = 0;
    for (size_t i = 0; i < METRICS_SERIES && !rc; i++) {
        char text[5 * LABEL_MAX] = "";
        uint64_t words[METRICS_SERIES_WORDS];
        const char *at = (const char *)words, *end = at + sizeof words;
        bool made = atomic_load_explicit(&f->series[i].ready, memory_order_acquire);
        if (made)
            key_read(f->series[i].key, words, METRICS_SERIES_WORDS);
        if (made && (uint8_t)at[0] < METRICS_OPERATIONS && (uint8_t)at[1] < METRICS_ERRORS) {
            label(text, sizeof text, "gen_ai_operation_name", operations[(uint8_t)at[0]]);
            label(text, sizeof text, "error_type", errors[(uint8_t)at[1]]);
            at += 2;
            label(text, sizeof text, "gen_ai_provider_name", next_name(&at, end));
            label(text, sizeof text, "gen_ai_request_model", next_name(&at, end));
            label(text, sizeof text, "gen_ai_response_model", next_name(&at, end));
        }
        rc = buf_append(out, text, strlen(text) + 1);
    }
    return rc;
}

/* ---- GenAI ---- */

static void bound_text(char out[MONEY_TEXT], enum metrics_hist which, uint64_t value) {
    if (which == METRICS_INPUT || which == METRICS_OUTPUT)
        snprintf(out, MONEY_TEXT, "%" PRIu64, value);
    else
        money_format(out, value); /* billionths of a second, as of a currency's unit */
}

static void put_histogram(struct text *t, const char *name, const char *labels,
                          enum metrics_hist which, const struct metrics_series *s) {
    const struct metrics_bounds *b = &metrics_bounds[which];
    uint64_t cells[METRICS_BOUNDS + 2], total = 0;
    char value[MONEY_TEXT];
    for (size_t i = b->count + 2u; i-- > 0;) /* the sum before the buckets: never ahead of them */
        cells[i] = atomic_load_explicit(&s->cells[b->at + i], memory_order_acquire);
    for (size_t i = 0; i <= b->count; i++)
        total += cells[i];
    if (!total)
        return;
    total = 0;
    for (size_t i = 0; i < b->count; i++) {
        bound_text(value, which, b->bound[i]);
        put(t, "%s_bucket{%s,le=\"%s\"} %" PRIu64 "\n", name, labels, value, total += cells[i]);
    }
    total += cells[b->count];
    bound_text(value, which, cells[b->count + 1]);
    put(t, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, total);
    put(t, "%s_sum{%s} %s\n", name, labels, value);
    put(t, "%s_count{%s} %" PRIu64 "\n", name, labels, total);
}

static void put_gen_ai(struct text *t, const struct metrics_file *f, const char *all_labels) {
    static const struct {
        const char *name, *help, *type; /* type: gen_ai.token.type */
        enum metrics_hist which;
    } table[] = {
        {"gen_ai_client_operation_duration_seconds", "Duration of GenAI operations.", "",
         METRICS_DURATION},
        {"gen_ai_client_token_usage", "Tokens used by GenAI operations.", "input", METRICS_INPUT},
        {"gen_ai_client_token_usage", "", "output", METRICS_OUTPUT},
        {"gen_ai_server_time_to_first_token_seconds",
         "Time to the first token of successful streamed answers.", "", METRICS_FIRST},
        {"gen_ai_server_time_per_output_token_seconds",
         "Time per output token after the first one of successful streamed answers.", "",
         METRICS_EACH},
    };
    for (size_t h = 0; h < sizeof table / sizeof *table; h++) {
        const char *labels = all_labels;
        if (*table[h].help)
            put_head(t, table[h].name, "histogram", table[h].help);
        for (size_t i = 0; i < METRICS_SERIES; i++, labels += strlen(labels) + 1) {
            char own[6 * LABEL_MAX];
            if (!*labels)
                continue;
            snprintf(own, sizeof own, "%s", labels);
            label(own, sizeof own, "gen_ai_token_type", table[h].type);
            put_histogram(t, table[h].name, own, table[h].which, &f->series[i]);
        }
    }
}

/* ---- the gateway's own ---- */

static void put_in_flight(struct text *t, const struct metrics_file *f) {
    uint64_t sum = 0;
    for (size_t i = 0; i < LIMIT_WORKER_SLOTS; i++)
        sum += atomic_load_explicit(&f->in_flight[i], memory_order_relaxed);
    put_single(t, "safehouse_requests_in_flight", "gauge", "Requests under way.", sum);
}

/* The name of an entry of this kind, copied; false: there is none at this place. */
static bool named_read(const struct metrics_named *n, enum metrics_kind kind, uint64_t *words,
                       const char **ret) {
    if (!atomic_load_explicit(&n->ready, memory_order_acquire))
        return false;
    key_read(n->key, words, METRICS_NAMED_WORDS);
    const char *at = (const char *)words, *end = at + METRICS_NAMED_WORDS * sizeof *words;
    if (*at++ != (char)kind)
        return false;
    *ret = next_name(&at, end);
    return **ret != 0;
}

static uint64_t total_of(const struct metrics_named *n) {
    uint64_t total = 0;
    for (size_t c = 0; c < METRICS_CLASSES; c++)
        total += atomic_load_explicit(&n->counts[c], memory_order_relaxed);
    return total;
}

static void put_requests_of(struct text *t, const char *refusal, const _Atomic uint64_t *counts) {
    static const char *const classes[METRICS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (size_t c = 0; c < METRICS_CLASSES; c++) {
        char labels[2 * LABEL_MAX] = "";
        uint64_t count = atomic_load_explicit(&counts[c], memory_order_relaxed);
        if (!count)
            continue;
        label(labels, sizeof labels, "status", classes[c]);
        label(labels, sizeof labels, "refusal", refusal);
        put_value(t, "safehouse_requests_total", labels, count);
    }
}

static void put_named(struct text *t, const struct metrics_file *f, enum metrics_kind kind,
                      const char *metric, const char *label_name) {
    for (size_t i = 0; i < METRICS_NAMED; i++) {
        uint64_t words[METRICS_NAMED_WORDS];
        char labels[LABEL_MAX] = "";
        const char *name;
        if (!named_read(&f->named[i], kind, words, &name))
            continue;
        label(labels, sizeof labels, label_name, name);
        put_value(t, metric, labels, total_of(&f->named[i]));
    }
}

static void put_requests(struct text *t, const struct metrics_file *f) {
    put_head(t, "safehouse_requests_total", "counter",
             "Finished requests by class of status, and by code when the gateway refused.");
    put_requests_of(t, "", f->served);
    for (size_t i = 0; i < METRICS_NAMED; i++) {
        uint64_t words[METRICS_NAMED_WORDS];
        const char *name;
        if (named_read(&f->named[i], METRICS_REFUSAL, words, &name))
            put_requests_of(t, name, f->named[i].counts);
    }
    put_head(t, "safehouse_refusals_total", "counter", "The gateway's own refusals by code.");
    put_named(t, f, METRICS_REFUSAL, "safehouse_refusals_total", "code");
    put_head(t, "safehouse_fallbacks_total", "counter",
             "Attempts that failed at this provider and went on to another one.");
    put_named(t, f, METRICS_FALLBACK, "safehouse_fallbacks_total", "provider");
}

static void put_tokens(struct text *t, const struct metrics_file *f) {
    static const char *const types[METRICS_TOKENS] = {
        [METRICS_CACHED] = "cached",
        [METRICS_CACHE_WRITE] = "cache_write",
        [METRICS_REASONING] = "reasoning",
    };
    static const enum metrics_hist hists[] = {METRICS_INPUT, METRICS_OUTPUT};
    put_head(t, "safehouse_tokens_total", "counter",
             "Tokens by type: cached and cache_write are parts of input, reasoning of output.");
    for (size_t h = 0; h < 2; h++) {
        const struct metrics_bounds *b = &metrics_bounds[hists[h]];
        uint64_t sum = 0;
        for (size_t i = 0; i < METRICS_SERIES; i++)
            sum += atomic_load_explicit(&f->series[i].cells[b->at + b->count + 1u],
                                        memory_order_relaxed);
        put_value(t, "safehouse_tokens_total", h ? "type=\"output\"" : "type=\"input\"", sum);
    }
    for (size_t i = 0; i < METRICS_TOKENS; i++) {
        char labels[LABEL_MAX] = "";
        label(labels, sizeof labels, "type", types[i]);
        put_value(t, "safehouse_tokens_total", labels,
                  atomic_load_explicit(&f->tokens[i], memory_order_relaxed));
    }
}

static void put_cost(struct text *t, const struct metrics_file *f) {
    put_head(t, "safehouse_cost_total", "counter", "Cost by the price table, by currency.");
    for (size_t i = 0; i < METRICS_CURRENCIES; i++) {
        char name[SNAPSHOT_CURRENCY + 1] = METRICS_OTHER, amount[MONEY_TEXT],
                                      labels[LABEL_MAX] = "";
        uint64_t word = atomic_load_explicit(&f->money[i].currency, memory_order_relaxed);
        uint64_t nano = atomic_load_explicit(&f->money[i].nano, memory_order_relaxed);
        if (!nano)
            continue;
        if (i)
            memcpy(name, &word, sizeof word);
        label(labels, sizeof labels, "currency", name);
        money_format(amount, nano);
        put(t, "safehouse_cost_total{%s} %s\n", labels, amount);
    }
}

static void put_ring(struct text *t, const struct metrics_ring *r, uint64_t now_ns) {
    uint64_t age =
        r->oldest_ready_ns && now_ns > r->oldest_ready_ns ? now_ns - r->oldest_ready_ns : 0;
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } table[] = {
        {"safehouse_ring_slots", "gauge", "Exchanges that the ring can hold.", r->slots},
        {"safehouse_ring_slots_used", "gauge", "Exchanges in the ring.", r->slots_used},
        {"safehouse_ring_bytes", "gauge", "Bytes that the ring can hold.", r->bytes},
        {"safehouse_ring_bytes_used", "gauge", "Bytes in the ring.", r->bytes_used},
        {"safehouse_ring_admitted_total", "counter", "Exchanges that got a place.", r->admitted},
        {"safehouse_ring_refused_total", "counter", "Requests without a place.", r->refused},
        {"safehouse_ring_cut_total", "counter", "Exchanges whose worker died.", r->cut},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        put_single(t, table[i].name, table[i].type, table[i].help, table[i].value);
    char seconds[MONEY_TEXT];
    money_format(seconds, age);
    put_head(t, "safehouse_ring_oldest_ready_seconds", "gauge",
             "Age of the oldest finished exchange that is not sealed: the sealer's lag.");
    put(t, "safehouse_ring_oldest_ready_seconds %s\n", seconds);
}

/* ---- providers ---- */

static void put_key_states(struct text *t, const char *provider, const struct health_view *v) {
    static const char *const states[] = {NULL, "ok", "parked", "out"};
    for (size_t k = 0; k < HEALTH_KEYS; k++) {
        if (v->keys[k].state == HEALTH_KEY_UNUSED)
            continue;
        for (unsigned state = HEALTH_KEY_OK; state <= HEALTH_KEY_OUT; state++) {
            char labels[3 * LABEL_MAX] = "", number[12];
            snprintf(number, sizeof number, "%zu", k);
            label(labels, sizeof labels, "provider", provider);
            label(labels, sizeof labels, "key", number);
            label(labels, sizeof labels, "state", states[state]);
            put_value(t, "safehouse_provider_key_state", labels, v->keys[k].state == state);
        }
    }
}

enum provider_metric { IN_FLIGHT, EJECTED, FAILURES, KEY_STATE, PROVIDER_METRICS };

static void put_providers(struct text *t, const struct health *h, uint64_t now_us) {
    static const struct {
        const char *name, *help;
    } table[PROVIDER_METRICS] = {
        [IN_FLIGHT] = {"safehouse_provider_in_flight", "Attempts under way at the provider."},
        [EJECTED] = {"safehouse_provider_ejected", "1 while the provider is passed over."},
        [FAILURES] = {"safehouse_provider_failures", "Failures of the provider in a row."},
        [KEY_STATE] = {"safehouse_provider_key_state",
                       "1 for the state in which a provider's key is; keys by their number."},
    };
    for (unsigned metric = 0; metric < PROVIDER_METRICS; metric++) {
        put_head(t, table[metric].name, "gauge", table[metric].help);
        for (uint16_t p = 0; p < HEALTH_PROVIDERS; p++) {
            struct health_view v;
            char name[LIMIT_NAME + 1] = "", labels[LABEL_MAX] = "";
            if (!health_view(h, p, now_us, &v))
                continue;
            memcpy(name, v.name, sizeof v.name);
            label(labels, sizeof labels, "provider", name);
            if (metric == KEY_STATE)
                put_key_states(t, name, &v);
            else
                put_value(t, table[metric].name, labels,
                          metric == IN_FLIGHT  ? v.in_flight
                          : metric == FAILURES ? v.failures
                                               : v.ejected_for_ms > 0);
        }
    }
}

static void put_reports(struct text *t, const struct metrics_file *f, uint64_t now_us) {
    uint64_t since = atomic_load_explicit(&f->reports_us, memory_order_relaxed);
    put_single(t, "safehouse_reports_waiting", "gauge",
               "Reports from outside that nobody has answered.",
               atomic_load_explicit(&f->reports, memory_order_relaxed));
    put_single(t, "safehouse_reports_oldest_seconds", "gauge", "How long the oldest of them waits.",
               since && now_us > since ? (now_us - since) / 1000000u : 0);
}

int metrics_text(struct buf *out, const struct metrics *m, const struct metrics_view *v) {
    struct text t = {.out = out};
    struct buf labels;
    buf_init(&labels, LABELS_MAX);
    t.rc = series_labels(m->file, &labels);
    if (!t.rc) {
        put_gen_ai(&t, m->file, (const char *)labels.p);
        put_in_flight(&t, m->file);
        put_requests(&t, m->file);
        put_tokens(&t, m->file);
        put_cost(&t, m->file);
        put_reports(&t, m->file, v->now_us);
        put_single(&t, "safehouse_alarms_total", "counter", "Openings of planted conversations.",
                   atomic_load_explicit(&m->file->alarms, memory_order_relaxed));
    }
    if (v->ring)
        put_ring(&t, v->ring, v->now_ns);
    if (v->health)
        put_providers(&t, v->health, v->now_us);
    if (v->snapshot)
        put_single(&t, "safehouse_snapshot_version", "gauge", "Version of the control snapshot.",
                   snapshot_version(v->snapshot));
    if (v->version) {
        char version[LABEL_MAX] = "";
        label(version, sizeof version, "version", v->version);
        put_head(&t, "safehouse_build_info", "gauge", "1; the program's version is the label.");
        put_value(&t, "safehouse_build_info", version, 1);
    }
    buf_wipe(&labels);
    return t.rc;
}
