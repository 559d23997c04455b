/*
 * One exchange: from its ring slot to sealed rows in the spool. The only place in this process
 * where plaintext is; all of it is in the buffers of struct exchange_work and what they are
 * borrowed by, and every path out of exchange_seal wipes them.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "codec/codec.h"
#include "llm/answer.h"
#include "llm/dialect.h"
#include "llm/errors.h"
#include "llm/json.h"
#include "llm/request.h"
#include "llm/words.h"
#include "proc/sealer/sealer.h"
#include "ring/labels.h"

#define KEPT_BYTES (1u << 20) /* of a buffer's memory, between exchanges */
#define FAILURES_MAX 20       /* of one exchange, for want of memory */

struct exchange_work {
    struct buf request, answer; /* as they came */
    struct buf turn, packed;    /* the turn's JSON, compressed and padded */
    struct buf envelope, row;   /* sealed */
    struct buf labels;          /* as the gateway encoded them */
    struct interaction_row about;
    struct ring_meta meta; /* copied: the ring is shared memory */
    const struct dialect *dialect;
    bool understood; /* the request was; then `asked` is set, */
    bool talk;       /* and it is of a conversation; then `match` is, too */
    struct llm_request asked;
    struct llm_answer answered;
    struct turn_match match;
    struct subject subject;
    struct context ctx;
    const char *stored;
    struct ring_slot *slot;
    uint64_t failed_epoch, failed_sequence; /* the exchange that failed last */
    unsigned failures;
};

int exchange_init(struct exchange_work **ret) {
    struct exchange_work *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    buf_init(&w->request, LIMIT_REQUEST_BODY + RING_BLOCK_BYTES);
    buf_init(&w->answer, LIMIT_ANSWER_BODY + RING_BLOCK_BYTES);
    buf_init(&w->turn, LIMIT_TURN_PLAIN);
    buf_init(&w->packed, LIMIT_SPOOL_FRAME);
    buf_init(&w->envelope, LIMIT_SPOOL_FRAME);
    buf_init(&w->row, LIMIT_SPOOL_FRAME);
    buf_init(&w->labels, LIMIT_LABELS + RING_BLOCK_BYTES);
    *ret = w;
    return 0;
}

static void wipe_buf(struct buf *b) {
    if (b->cap > KEPT_BYTES)
        buf_wipe(b);
    else
        buf_clear(b);
}

static void wipe_work(struct exchange_work *w) {
    wipe_buf(&w->request);
    wipe_buf(&w->answer);
    wipe_buf(&w->turn);
    wipe_buf(&w->packed);
    wipe_buf(&w->envelope);
    wipe_buf(&w->row);
    wipe_buf(&w->labels);
    explicit_bzero(&w->about, sizeof w->about);
    explicit_bzero(&w->subject, sizeof w->subject);
    explicit_bzero(&w->ctx, sizeof w->ctx);
    llm_request_done(&w->asked);
    llm_answer_done(&w->answered);
    turn_done(&w->match);
    w->understood = w->talk = false;
}

static void end_string(char *s, size_t size) {
    s[size - 1] = 0;
}

static int read_slot(struct exchange_work *w, const struct ring_slot *slot) {
    struct ring_meta *m = &w->meta;
    *m = *ring_meta_of(slot);
    end_string(m->tenant, sizeof m->tenant);
    end_string(m->project, sizeof m->project);
    end_string(m->key_id, sizeof m->key_id);
    end_string(m->provider, sizeof m->provider);
    end_string(m->dialect, sizeof m->dialect);
    end_string(m->refusal, sizeof m->refusal);
    end_string(m->model_asked, sizeof m->model_asked);
    end_string(m->model, sizeof m->model);
    w->dialect = dialect_named(m->dialect);
    int rc = ring_read(slot, RING_REQUEST, &w->request);
    if (!rc)
        rc = ring_read(slot, RING_ANSWER, &w->answer);
    return rc ? rc : ring_read(slot, RING_LABELS, &w->labels);
}

/* Has it content? Lists of models have not. */
static bool has_turn(const struct exchange_work *w) {
    return w->dialect->content && (w->request.len || w->answer.len);
}

static const char *outcome_word(uint8_t outcome) {
    static const char *const words[] = {NULL, "complete", "cancelled", "cut", "refused"};
    return outcome >= RING_COMPLETE && outcome <= RING_REFUSED ? words[outcome] : "cut";
}

/* The store's partition: months since year 0, of the proleptic Gregorian calendar in UTC (H.
 * Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
static uint32_t month_of(uint64_t time_us) {
    uint64_t z = time_us / 86400000000u + 719468;
    uint64_t doe = z % 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint64_t month = mp < 10 ? mp + 2 : mp - 10; /* from 0 */
    uint64_t year = yoe + z / 146097 * 400 + (month < 2);
    return (uint32_t)(year * 12 + month);
}

static int find_subject(struct sealer *s, struct exchange_work *w) {
    const struct ring_meta *m = &w->meta;
    bool named = w->understood && *w->asked.user;
    return subjects_get(s, m->tenant, m->project, named ? 1 : 2, named ? w->asked.user : m->key_id,
                        &w->subject);
}

static int make_turn(struct sealer *s, struct exchange_work *w) {
    const struct ring_meta *m = &w->meta;
    uint8_t scope[PREFIX_DIGEST];
    int rc;
    if (m->content_coded && w->answer.len)
        return ERR_UNSUPPORTED; /* compressed: the detector does not see into it */
    if (w->talk) {
        prefix_start(s->prefix, m->tenant, m->project, m->key_id, w->subject.id,
                     month_of(m->start_us), scope);
        rc = turn_match(s->prefix, scope, &w->asked, &w->match);
        if (rc)
            return rc;
    }
    rc = llm_answer_parse(&w->answered, w->dialect, w->answer.p, w->answer.len,
                          m->answer_body == RING_BODY_SSE && !m->content_coded);
    if (rc)
        return rc;
    const struct turn_parts parts = {
        .request = w->talk ? &w->asked : NULL,
        .request_text = {w->request.p, w->request.len},
        .match = w->talk ? &w->match : NULL,
        .answer = &w->answered,
        .answer_text = {w->answer.p, w->answer.len},
        .streamed = m->answer_body == RING_BODY_SSE,
        .outcome = m->outcome == RING_COMPLETE ? NULL : outcome_word(m->outcome),
        .status = m->status,
    };
    rc = turn_build(&w->turn, &parts);
    return rc ? rc : findings_turn(s->findings, w->slot, &w->request, &w->turn);
}

static void make_context(struct exchange_work *w) {
    const struct ring_meta *m = &w->meta;
    const struct turn_match *match = &w->match;
    struct context *c = &w->ctx;
    *c = (struct context){.field = CONTEXT_FIELD_TURN, .schema = CONTEXT_SCHEMA_TURN};
    memcpy(c->tenant, m->tenant, sizeof c->tenant);
    memcpy(c->project, m->project, sizeof c->project);
    memcpy(c->dialect, m->dialect, sizeof c->dialect);
    memcpy(c->subject, w->subject.id, UUID_BYTES);
    memcpy(c->record, m->id, UUID_BYTES);
    memcpy(c->conversation, match->found ? match->parent.conversation : m->id, UUID_BYTES);
    if (match->found) {
        memcpy(c->parent, match->parent.turn, UUID_BYTES);
        memcpy(c->parent_hash, match->parent.hash, CONTEXT_HASH_BYTES);
        c->kept = match->kept;
    }
}

/* A data key's row goes before the first record under it, into the same unit. */
static int seal_turn(struct sealer *s, struct exchange_work *w) {
    struct data_key_row key;
    struct rows_place place;
    uint8_t dictionary;
    bool fresh;
    int rc = codec_compress(&w->packed, w->turn.p, w->turn.len, &dictionary);
    if (!rc)
        rc = sealing_record(s->sealing, &w->ctx, w->subject.public_key, dictionary, &w->packed,
                            &w->envelope, &key, &fresh);
    if (!rc && fresh) {
        spool_place(s->spool, &place);
        rc = rows_encode_data_key(&w->row, &key, &place);
        if (!rc)
            rc = spool_add_row(s->spool, ROWS_DATA_KEYS, w->row.p, w->row.len);
        buf_clear(&w->row);
    }
    const struct turn_row row = {.ctx = w->ctx,
                                 .time_us = w->meta.start_us,
                                 .envelope = w->envelope.p,
                                 .envelope_len = w->envelope.len};
    spool_place(s->spool, &place);
    if (!rc)
        rc = rows_encode_turn(&w->row, &row, &place);
    if (!rc)
        rc = spool_add_row(s->spool, ROWS_TURNS, w->row.p, w->row.len);
    buf_clear(&w->row);
    return rc;
}

static uint32_t microseconds(uint64_t from_ns, uint64_t to_ns) {
    uint64_t us = from_ns && to_ns > from_ns ? (to_ns - from_ns) / 1000u : 0;
    return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void word(char *out, size_t size, const char *known) {
    size_t n = strlen(known);
    if (n > size - 1)
        n = size - 1;
    memcpy(out, known, n);
    out[n] = 0;
}
#define WORD(field, text) word(field, sizeof field, text)

/* ---- labels ---- */

/* The label's text: as it is, or the string that the named member of `metadata` is. */
static bool label_text(const struct label *l, struct jv metadata, char out[LIMIT_LABEL + 1]) {
    char member[LIMIT_LABEL + 1];
    memcpy(member, l->text, l->text_len);
    member[l->text_len] = 0;
    if (l->from == LABEL_TEXT) {
        memcpy(out, member, sizeof member);
        return true;
    }
    struct jv value = jv_get(metadata, member);
    return jv_is_string(value) && jv_text_fits(value, out, LIMIT_LABEL + 1) && *out;
}

/* Of two tags of one name the later one counts: a project's own come last. */
static void set_tag(struct interaction_row *r, const struct label *l, const char *text) {
    uint32_t i = 0;
    while (i < r->tag_count && (strlen(r->tags[i].name) != l->name_len ||
                                memcmp(r->tags[i].name, l->name, l->name_len) != 0))
        i++;
    if (i == ROWS_TAGS)
        return;
    r->tag_count += i == r->tag_count;
    memcpy(r->tags[i].name, l->name, l->name_len);
    r->tags[i].name[l->name_len] = 0;
    WORD(r->tags[i].text, text);
}

static void set_labels(struct sealer *s, const struct exchange_work *w, struct interaction_row *r) {
    struct jv body, metadata = {0};
    struct label l;
    char text[LIMIT_LABEL + 1];
    if (!w->labels.len)
        return;
    if (jv_parse(&body, w->request.p, w->request.len) == 0)
        metadata = jv_get(body, "metadata");
    for (size_t pos = 0; label_next(w->labels.p, w->labels.len, &pos, &l);) {
        if (!label_text(&l, metadata, text) ||
            !findings_label(s->findings, w->slot, text, sizeof text))
            continue;
        if (l.kind == LABEL_SESSION)
            WORD(r->session_id, text);
        else if (l.kind == LABEL_TRACE)
            WORD(r->trace_id, text);
        else
            set_tag(r, &l, text);
    }
    explicit_bzero(text, sizeof text);
}

/* ---- the interaction ---- */

/* The names that the gateway put into the slot are the configuration's; others must be in the table
 * of known ones. */
static const char *known_model(const struct ring_meta *m, const char *name) {
    if (*name && (!strcmp(name, m->model) || !strcmp(name, m->model_asked)))
        return name;
    return models_known(name);
}

/* A refusal's code, if it is one: what lies in the ring is the gateway's word. */
static const char *refusal_of(const struct ring_meta *m) {
    for (int code = 0; *m->refusal && code < ERRORS_COUNT; code++)
        if (!strcmp(m->refusal, errors_name((enum errors_code)code)))
            return errors_name((enum errors_code)code);
    return NULL;
}

static void set_usage(const struct exchange_work *w, struct interaction_row *r) {
    const struct ring_meta *m = &w->meta;
    const struct usage *u = &w->answered.usage;
    bool counted = m->counted == RING_REPORTED || m->counted == RING_ESTIMATED;
    r->tokens_input = counted ? m->tokens_input : u->input;
    r->tokens_output = counted ? m->tokens_output : u->output;
    r->tokens_cached = counted ? m->tokens_cached : u->cached;
    r->tokens_reasoning = counted ? m->tokens_reasoning : u->reasoning;
    r->cost_nano = m->cost_nano;
    WORD(r->usage, m->counted == RING_ESTIMATED ? "estimated"
                   : counted || u->reported     ? "reported"
                                                : "none");
}

static void describe(struct sealer *s, const struct exchange_work *w, struct interaction_row *r) {
    const struct ring_meta *m = &w->meta;
    const struct llm_answer *a = &w->answered;
    const char *refusal = refusal_of(m);
    *r = (struct interaction_row){
        .time_us = m->start_us,
        .status = m->status,
        .streamed = m->answer_body == RING_BODY_SSE,
        .ttft_us = microseconds(m->start_ns, m->first_ns),
        .duration_us = microseconds(m->start_ns, m->end_ns),
        .overhead_us = microseconds(m->start_ns, m->sent_ns),
        .attempts = m->attempts,
        .worker_epoch = m->epoch,
        .worker_sequence = m->sequence,
    };
    WORD(r->tenant, m->tenant);
    WORD(r->project, m->project);
    WORD(r->key, m->key_id);
    WORD(r->dialect, m->dialect);
    WORD(r->provider, m->provider);
    WORD(r->model_asked, *m->model_asked ? m->model_asked
                         : w->understood ? known_model(m, w->asked.model)
                                         : "");
    WORD(r->model, known_model(m, a->model));
    WORD(r->outcome, outcome_word(m->outcome));
    WORD(r->error, refusal ? refusal : words_error(m->status, a->error));
    WORD(r->finish, words_finish(a->finish));
    WORD(r->stored, w->stored);
    set_usage(w, r);
    set_labels(s, w, r);
    r->findings = findings_total(s->findings);
    memcpy(r->id, m->id, UUID_BYTES);
    memcpy(r->subject, w->subject.id, UUID_BYTES);
    memcpy(r->conversation, w->ctx.conversation, UUID_BYTES);
    memcpy(r->parent, w->ctx.parent, UUID_BYTES);
}

static int add_findings(struct sealer *s, struct exchange_work *w) {
    struct finding_row r = {.time_us = w->meta.start_us};
    struct rows_place place;
    int rc = 0;
    WORD(r.tenant, w->meta.tenant);
    WORD(r.project, w->meta.project);
    WORD(r.key, w->meta.key_id);
    memcpy(r.interaction, w->meta.id, UUID_BYTES);
    memcpy(r.subject, w->subject.id, UUID_BYTES);
    for (size_t i = 0; !rc && findings_row(s->findings, i, &r); i++) {
        buf_clear(&w->row);
        spool_place(s->spool, &place);
        rc = rows_encode_finding(&w->row, &r, &place);
        if (!rc)
            rc = spool_add_row(s->spool, ROWS_FINDINGS, w->row.p, w->row.len);
    }
    return rc;
}

static int add_interaction(struct sealer *s, struct exchange_work *w) {
    struct rows_place place;
    describe(s, w, &w->about);
    spool_place(s->spool, &place);
    int rc = rows_encode_interaction(&w->row, &w->about, &place);
    if (!rc)
        rc = spool_add_row(s->spool, ROWS_INTERACTIONS, w->row.p, w->row.len);
    if (!rc)
        rc = add_findings(s, w);
    if (!rc)
        rc = spool_add_exchange(s->spool, w->meta.epoch, w->meta.sequence, w->meta.id);
    return rc;
}

static int learn(struct sealer *s, struct exchange_work *w) {
    uint8_t hash[CONTEXT_HASH_BYTES];
    if (!w->talk)
        return 0;
    envelope_hash(hash, w->envelope.p, w->envelope.len);
    return turn_learn(s->prefix, &w->match, &w->answered, w->subject.id, w->ctx.conversation,
                      w->ctx.record, hash);
}

static int add_turn(struct sealer *s, struct exchange_work *w) {
    w->understood = llm_request_parse(&w->asked, w->dialect, w->request.p, w->request.len) == 0;
    w->talk = w->understood && w->dialect->shape != DIALECT_PLAIN;
    int rc = find_subject(s, w);
    if (!rc)
        rc = make_turn(s, w);
    if (rc)
        return rc;
    make_context(w);
    return seal_turn(s, w);
}

/* Takes back what a failed turn has put into the spool, the row of a new data key perhaps with it.
 */
static void take_back(struct sealer *s, struct exchange_work *w) {
    spool_cancel(s->spool);
    sealing_forget(s->sealing, &w->ctx);
}

/* The same exchange failed so often that trying again would only hold up the others. */
static bool hopeless(struct exchange_work *w) {
    if (w->failed_epoch != w->meta.epoch || w->failed_sequence != w->meta.sequence)
        w->failures = 0;
    w->failed_epoch = w->meta.epoch;
    w->failed_sequence = w->meta.sequence;
    return ++w->failures > FAILURES_MAX;
}

static int add_rows(struct sealer *s, struct exchange_work *w) {
    int rc = 0;
    w->stored = "none";
    w->subject = (struct subject){0};
    w->ctx = (struct context){0};
    if (has_turn(w)) {
        w->stored = "turn";
        rc = add_turn(s, w);
        if (rc && rc != ERR_AGAIN && (!err_retryable(rc) || hopeless(w))) {
            take_back(s, w);
            w->ctx = (struct context){0};
            findings_withheld(s->findings);
            w->stored = "withheld"; /* too large, or the detector cannot judge it: not kept */
            log_event("turn-withheld", LOG_ERR(rc), LOG_END);
            rc = 0;
        }
    }
    if (!rc)
        rc = add_interaction(s, w);
    if (!rc && !strcmp(w->stored, "turn"))
        learn(s, w); /* if it fails, the conversation is stored whole once more */
    return rc;
}

int exchange_seal(struct sealer *s, struct ring_slot *slot) {
    struct exchange_work *w = s->work;
    w->slot = slot;
    int rc = read_slot(w, slot);
    findings_begin(s->findings, slot, w->meta.project);
    if (!rc)
        rc = add_rows(s, w);
    if (rc)
        take_back(s, w);
    findings_end(s->findings);
    wipe_work(w);
    return rc;
}

void exchange_forget(struct sealer *s, const uint8_t subject[UUID_BYTES]) {
    sealing_forget_subject(s->sealing, subject);
    prefix_forget(s->prefix, subject);
}

int exchange_writer(struct sealer *s) {
    return sealing_writer(s->sealing, s->writer.writer, s->writer.mac);
}
