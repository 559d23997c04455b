#ifndef RECORD_ROWS_H
#define RECORD_ROWS_H
/*
 * The rows of the log, and their one encoding: ClickHouse's RowBinary, columns in the order below.
 * The same bytes are hashed into the batch's leaves, lie in the spool, and are inserted; and
 *   SELECT * FROM turns WHERE sealer = S AND batch = B ORDER BY index FORMAT RowBinary
 * gives them back, so rows verify with no second encoder. doc/batch.md is the specification.
 *
 * Types: String = LEB128 length and bytes; UUID = two u64, the high half first, each little-endian
 * (RowBinary's order); DateTime64(6) = i64 µs; integers little-endian; Bool one byte.
 * LowCardinality(String) is a String in RowBinary.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "record/datakey.h"
#include "record/fingerprint.h"

/* The tables, in the order in which a batch's rows go into the store. Numbers are part of the leaf. */
enum rows_table { ROWS_DATA_KEYS = 1, ROWS_TURNS = 2, ROWS_INTERACTIONS = 3,
                  ROWS_FINDINGS = 4, ROWS_TABLE_LAST = 4 };
const char *rows_table_name(enum rows_table t);
/* Beside a table's number, in messages about retention: the copies of its rows that holds kept (held_*). */
#define ROWS_COPIES 0x80

/* Last three columns of every table: which sealer process, which batch, which leaf of it. */
struct rows_place {
    uint64_t sealer; /* random, new for each sealer process */
    uint64_t batch;  /* 1, 2, 3, ... without gaps */
    uint32_t index;  /* of the leaf, dense over all tables of the batch */
};

/*
 * data_keys: tenant LowCardinality(String), project LowCardinality(String), time DateTime64(6),
 *   id FixedString(16), subject UUID, writer UInt32, wrapped FixedString(80), mac FixedString(32),
 *   sealer UInt64, batch UInt64, index UInt32
 */
int rows_encode_data_key(struct buf *out, const struct data_key_row *r, const struct rows_place *p);

/*
 * turns: tenant, project, time DateTime64(6), id UUID, root UUID (zero when the turn is the first of
 *   its conversation: the conversation's id is then `id`), parent UUID, parent_hash FixedString(16),
 *   kept UInt32, dialect LowCardinality(String), subject UUID, envelope String,
 *   sealer UInt64, batch UInt64, index UInt32
 *   (ALIAS columns, not encoded: conversation UUID, body String = the cell's text)
 */
struct turn_row {
    struct context ctx; /* record = id, conversation */
    uint64_t time_us;
    const uint8_t *envelope; /* borrowed */
    size_t envelope_len;
};
int rows_encode_turn(struct buf *out, const struct turn_row *r, const struct rows_place *p);

/*
 * interactions: tenant, project, time DateTime64(6), id UUID, key String (LowCardinality),
 *   subject UUID, conversation UUID, parent UUID, dialect LC, provider LC, model_asked LC, model LC,
 *   status UInt16, outcome LC, error LC, finish LC, streamed Bool,
 *   tokens_input UInt32, tokens_output UInt32, tokens_cached UInt32, tokens_reasoning UInt32,
 *   usage LC ('reported', 'estimated', 'none'), cost_nano UInt64 (billionths of the price's currency,
 *   0 = unknown), ttft_us UInt32 (0 = none), duration_us UInt32, overhead_us UInt32, attempts UInt8,
 *   findings UInt16, session_id String, trace_id String, tags Map(String, String),
 *   worker_epoch UInt64, worker_sequence UInt64, stored LC ('turn', 'none', 'withheld'),
 *   sealer UInt64, batch UInt64, index UInt32
 */
#define ROWS_TAGS (2 * LIMIT_TAGS) /* a project's fixed ones, and those of requests */
struct rows_tag {
    char name[LIMIT_NAME], text[LIMIT_LABEL + 1];
};
struct interaction_row {
    char tenant[LIMIT_NAME], project[LIMIT_NAME], key[LIMIT_NAME];
    uint64_t time_us;
    uint8_t id[UUID_BYTES], subject[UUID_BYTES], conversation[UUID_BYTES], parent[UUID_BYTES];
    char dialect[LIMIT_NAME], provider[LIMIT_NAME];
    char model_asked[LIMIT_MODEL], model[LIMIT_MODEL]; /* "other" unless a known name */
    uint16_t status;
    char outcome[LIMIT_NAME], error[LIMIT_NAME], finish[LIMIT_NAME];
    bool streamed;
    uint32_t tokens_input, tokens_output, tokens_cached, tokens_reasoning;
    char usage[LIMIT_NAME];
    uint64_t cost_nano;
    uint32_t ttft_us, duration_us, overhead_us;
    uint8_t attempts;
    uint16_t findings;
    char session_id[LIMIT_LABEL + 1], trace_id[LIMIT_LABEL + 1];
    struct rows_tag tags[ROWS_TAGS]; /* names distinct */
    uint32_t tag_count;              /* at most ROWS_TAGS */
    uint64_t worker_epoch, worker_sequence;
    char stored[LIMIT_NAME];
};
int rows_encode_interaction(struct buf *out, const struct interaction_row *r,
                            const struct rows_place *p);

/*
 * findings: tenant, project, time DateTime64(6), interaction UUID, key LC, subject UUID, class LC,
 *   rule LC, place LC ('prompt', 'answer', 'tool', 'header', 'other'), count UInt32 (the same value in
 *   the same place), fingerprint String ('': it could be guessed), fingerprint_key UInt32,
 *   sealer UInt64, batch UInt64, index UInt32
 */
struct finding_row {
    char tenant[LIMIT_NAME], project[LIMIT_NAME], key[LIMIT_NAME];
    uint64_t time_us;
    uint8_t interaction[UUID_BYTES], subject[UUID_BYTES];
    char class[LIMIT_NAME], rule[LIMIT_NAME], place[LIMIT_NAME];
    uint32_t count;
    char fingerprint[FINGERPRINT_TEXT + 1];
    uint32_t fingerprint_key; /* 0: no fingerprint */
};
int rows_encode_finding(struct buf *out, const struct finding_row *r, const struct rows_place *p);

#endif
