/*
 * The tables of the log in ClickHouse's SQL. Columns and their order are those of record/rows.h: the
 * bytes of a row in the spool are what is inserted and what SELECT * gives back.
 *
 * Codecs were chosen by the size on disk of replayed conversations (doc/schema.md, bench/bytes.c): ids
 * of one worker differ in few bytes, which ZSTD finds; numbers that lie near each other are T64 first,
 * those that only grow Delta; an envelope does not compress, but its header repeats, and behind so much
 * that is random only ZSTD(3) and above find that.
 * No TTL and no deletes: rows leave by partition, under a ledger entry.
 */
#include "store/store.h"

/* empty() of a UUID: it is zero. A comparison with a constant would keep the engine from using the
 * primary key for `WHERE conversation = ...`, because it folds the constant first. */
#define CONVERSATION "if(empty(root), id, root)"

#define NAME " LowCardinality(String) CODEC(ZSTD(1))"
#define TIME " DateTime64(6, 'UTC')" /* in a table's order it grows, in another it is near */
#define ID " UUID CODEC(ZSTD(1))"
#define DENSE_ID " UUID CODEC(ZSTD(9))"
#define GROWS " CODEC(Delta, ZSTD(1))"
#define NEAR " CODEC(T64, ZSTD(1))"
#define BYTES " CODEC(ZSTD(1))"

#define PLACE "sealer UInt64" BYTES ", batch UInt64" NEAR ", `index` UInt32" NEAR

/* A confirmed batch survives loss of power; a batch sent twice is stored once; no statistics files,
 * which cost more than they help with tables of this shape. */
#define SETTINGS                                                                                   \
    " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1,"                                  \
    " min_compressed_bytes_to_fsync_after_merge = 1,"                                              \
    " non_replicated_deduplication_window = 10000,"                                                \
    " min_bytes_for_wide_part = 10485760, auto_statistics_types = ''"

/*
 * The cell: the row's own context before its envelope, in the encoding of record/context.h. A cell
 * says what it belongs to wherever a query carries it, and one moved to another row does not open.
 */
#define BODY                                                                                       \
    "concat('shx1.', base64URLEncode(concat("                                                      \
    "char(1, length(tenant)), tenant, char(length(project)), project,"                             \
    " UUIDToNum(subject), UUIDToNum(id), char(1, 1, 0), UUIDToNum(conversation),"                  \
    " UUIDToNum(parent), parent_hash, reinterpretAsFixedString(kept),"                             \
    " char(length(dialect)), dialect, envelope)))"

static const char *const statements[] = {
    "CREATE DATABASE IF NOT EXISTS " STORE_DATABASE " ENGINE = Atomic",
    "USE " STORE_DATABASE,
    "CREATE TABLE IF NOT EXISTS data_keys (tenant" NAME ", project" NAME ", time" TIME NEAR ","
    " id FixedString(16) CODEC(NONE), subject" ID ", writer UInt32" BYTES ","
    " wrapped FixedString(80) CODEC(NONE), mac FixedString(32) CODEC(NONE), " PLACE ")"
    " ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY id" SETTINGS,
    "CREATE TABLE IF NOT EXISTS turns (tenant" NAME ", project" NAME ", time" TIME NEAR ","
    " id" DENSE_ID ", root" DENSE_ID ", parent" DENSE_ID ", parent_hash FixedString(16)" BYTES ","
    " kept UInt32" NEAR ", dialect" NAME ", subject" ID ", envelope String CODEC(ZSTD(3)), " PLACE ","
    " conversation UUID ALIAS " CONVERSATION ", body String ALIAS " BODY ")"
    " ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (" CONVERSATION ", time)" SETTINGS,
    "CREATE TABLE IF NOT EXISTS interactions (tenant" NAME ", project" NAME ", time" TIME GROWS ","
    " id" ID ", key" NAME ", subject" ID ", conversation" ID ", parent" ID ", dialect" NAME ","
    " provider" NAME ", model_asked" NAME ", model" NAME ", status UInt16" BYTES ","
    " outcome" NAME ", error" NAME ", finish" NAME ", streamed Bool" BYTES ","
    " tokens_input UInt32" BYTES ", tokens_output UInt32" BYTES ", tokens_cached UInt32" BYTES ","
    " tokens_reasoning UInt32" BYTES ", usage" NAME ", cost_nano UInt64" BYTES ","
    " ttft_us UInt32" BYTES ", duration_us UInt32" BYTES ", overhead_us UInt32" BYTES ","
    " attempts UInt8" BYTES ", findings UInt16" BYTES ", session_id String" BYTES ","
    " trace_id String" BYTES ", tags Map(String, String)" BYTES ", worker_epoch UInt64" BYTES ","
    " worker_sequence UInt64" GROWS ", stored" NAME ", " PLACE ")"
    " ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (tenant, project, time)" SETTINGS,
    "CREATE TABLE IF NOT EXISTS findings (tenant" NAME ", project" NAME ", time" TIME GROWS ","
    " interaction" ID ", key" NAME ", subject" ID ", class" NAME ", rule" NAME ", place" NAME ","
    " count UInt32" BYTES ", fingerprint String" BYTES ", fingerprint_key UInt32" BYTES ", " PLACE ")"
    " ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (tenant, project, time)" SETTINGS,
    /* What outlives the partitions that it was in, because somebody is held. Engine, order, codecs
     * and aliases are the other table's. */
    "CREATE TABLE IF NOT EXISTS held_turns AS turns",
    "CREATE TABLE IF NOT EXISTS held_interactions AS interactions",
    "CREATE TABLE IF NOT EXISTS held_findings AS findings",
    /* In no order of time: a batch is looked up by its number. */
    "CREATE TABLE IF NOT EXISTS leaves (time" TIME NEAR ", sealer UInt64" BYTES ", batch UInt64" NEAR ","
    " tables Array(UInt8)" BYTES ", months Array(UInt32)" BYTES ","
    " leaves Array(FixedString(32)) CODEC(NONE))"
    " ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (sealer, batch)" SETTINGS,
    NULL,
};

const char *schema_statement(unsigned i) {
    return statements[i];
}

const char *schema_insert_columns(enum rows_table t) {
    if (t == STORE_LEAVES)
        return "(time, sealer, batch, tables, months, leaves)";
    switch (t) {
    case ROWS_DATA_KEYS:
        return "(tenant, project, time, id, subject, writer, wrapped, mac, sealer, batch, index)";
    case ROWS_TURNS:
        return "(tenant, project, time, id, root, parent, parent_hash, kept, dialect, subject,"
               " envelope, sealer, batch, index)";
    case ROWS_INTERACTIONS:
        return "(tenant, project, time, id, key, subject, conversation, parent, dialect, provider,"
               " model_asked, model, status, outcome, error, finish, streamed, tokens_input,"
               " tokens_output, tokens_cached, tokens_reasoning, usage, cost_nano, ttft_us,"
               " duration_us, overhead_us, attempts, findings, session_id, trace_id, tags,"
               " worker_epoch, worker_sequence, stored, sealer, batch, index)";
    case ROWS_FINDINGS:
        return "(tenant, project, time, interaction, key, subject, class, rule, place, count,"
               " fingerprint, fingerprint_key, sealer, batch, index)";
    }
    return NULL;
}

const char *store_table_name(enum rows_table t) {
    return t == STORE_LEAVES ? "leaves" : rows_table_name(t);
}
