/* Rows as ClickHouse's RowBinary (rows.h). Pure; the order of the calls is the order of columns. */
#include "record/rows.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

/* An encoder that keeps its first error, so that a row reads as the list of its columns. */
struct out {
    struct buf *b;
    int rc;
};

const char *rows_table_name(enum rows_table t) {
    static const char *const names[] = {NULL, "data_keys", "turns", "interactions", "findings"};
    return t >= ROWS_DATA_KEYS && t <= ROWS_TABLE_LAST ? names[t] : NULL;
}

static void put(struct out *o, const void *p, size_t len) {
    if (!o->rc)
        o->rc = buf_append(o->b, p, len);
}

static void number(struct out *o, uint64_t v, size_t bytes) {
    uint8_t le[8];
    put_u64(le, v);
    put(o, le, bytes);
}

static void string(struct out *o, const void *p, size_t len) {
    uint8_t leb[10];
    size_t n = 0, left = len;
    do {
        leb[n++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        left >>= 7;
    } while (left);
    put(o, leb, n);
    put(o, p, len);
}

static void text(struct out *o, const char *s) {
    string(o, s, strlen(s));
}

/* Two u64, the high half first, each little-endian. */
static void uuid(struct out *o, const uint8_t id[UUID_BYTES]) {
    uint8_t swapped[UUID_BYTES];
    for (int i = 0; i < 8; i++) {
        swapped[i] = id[7 - i];
        swapped[8 + i] = id[15 - i];
    }
    put(o, swapped, sizeof swapped);
}

static void place(struct out *o, const struct rows_place *p) {
    number(o, p->sealer, 8);
    number(o, p->batch, 8);
    number(o, p->index, 4);
}

int rows_encode_data_key(struct buf *out, const struct data_key_row *r,
                         const struct rows_place *p) {
    struct out o = {out, 0};
    text(&o, r->tenant);
    text(&o, r->project);
    number(&o, r->created_us, 8);
    put(&o, r->id, DATA_KEY_ID_BYTES);
    uuid(&o, r->subject);
    number(&o, r->writer, 4);
    put(&o, r->wrapped, DATA_KEY_WRAPPED_BYTES);
    put(&o, r->mac, DATA_KEY_MAC_BYTES);
    place(&o, p);
    return o.rc;
}

int rows_encode_turn(struct buf *out, const struct turn_row *r, const struct rows_place *p) {
    static const uint8_t zero[UUID_BYTES];
    const struct context *c = &r->ctx;
    const bool first = memcmp(c->conversation, c->record, UUID_BYTES) == 0;
    struct out o = {out, 0};
    text(&o, c->tenant);
    text(&o, c->project);
    number(&o, r->time_us, 8);
    uuid(&o, c->record);
    uuid(&o, first ? zero : c->conversation);
    uuid(&o, c->parent);
    put(&o, c->parent_hash, CONTEXT_HASH_BYTES);
    number(&o, c->kept, 4);
    text(&o, c->dialect);
    uuid(&o, c->subject);
    string(&o, r->envelope, r->envelope_len);
    place(&o, p);
    return o.rc;
}

int rows_encode_interaction(struct buf *out, const struct interaction_row *r,
                            const struct rows_place *p) {
    struct out o = {out, 0};
    text(&o, r->tenant);
    text(&o, r->project);
    number(&o, r->time_us, 8);
    uuid(&o, r->id);
    text(&o, r->key);
    uuid(&o, r->subject);
    uuid(&o, r->conversation);
    uuid(&o, r->parent);
    text(&o, r->dialect);
    text(&o, r->provider);
    text(&o, r->model_asked);
    text(&o, r->model);
    number(&o, r->status, 2);
    text(&o, r->outcome);
    text(&o, r->error);
    text(&o, r->finish);
    number(&o, r->streamed, 1);
    number(&o, r->tokens_input, 4);
    number(&o, r->tokens_output, 4);
    number(&o, r->tokens_cached, 4);
    number(&o, r->tokens_reasoning, 4);
    text(&o, r->usage);
    number(&o, r->cost_nano, 8);
    number(&o, r->ttft_us, 4);
    number(&o, r->duration_us, 4);
    number(&o, r->overhead_us, 4);
    number(&o, r->attempts, 1);
    number(&o, r->findings, 2);
    text(&o, r->session_id);
    text(&o, r->trace_id);
    CHECK(r->tag_count <= ROWS_TAGS);
    number(&o, r->tag_count, 1); /* below 128: one byte of LEB128 */
    for (uint32_t i = 0; i < r->tag_count; i++) {
        text(&o, r->tags[i].name);
        text(&o, r->tags[i].text);
    }
    number(&o, r->worker_epoch, 8);
    number(&o, r->worker_sequence, 8);
    text(&o, r->stored);
    place(&o, p);
    return o.rc;
}

int rows_encode_finding(struct buf *out, const struct finding_row *r, const struct rows_place *p) {
    struct out o = {out, 0};
    text(&o, r->tenant);
    text(&o, r->project);
    number(&o, r->time_us, 8);
    uuid(&o, r->interaction);
    text(&o, r->key);
    uuid(&o, r->subject);
    text(&o, r->class);
    text(&o, r->rule);
    text(&o, r->place);
    number(&o, r->count, 4);
    text(&o, r->fingerprint);
    number(&o, r->fingerprint_key, 4);
    place(&o, p);
    return o.rc;
}
