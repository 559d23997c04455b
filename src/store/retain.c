/*
 * Retention: a month of a table goes as a whole. The only way by which rows leave, and only on the
 * word of the supervisor, who had the vault note it in the ledger before (doc/retention.md).
 *
 * Rows of persons who are held are copied first. Which of them were copied by an attempt that was
 * interrupted is known by their place (sealer, batch, index), so nothing is copied twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "store/chdb.h"
#include "store/store_int.h"

#define IDS_EACH 1000 /* in one statement */
#define SQL_BYTES (64u << 10)

static bool retained(enum rows_table t) {
    return t == ROWS_TURNS || t == ROWS_INTERACTIONS || t == ROWS_FINDINGS;
}

/* The answer's bytes, appended to `out` if there is one. */
static int ask(struct store *s, const char *sql, struct buf *out) {
    chdb_result *r = chdb_query_n(*s->conn, sql, strlen(sql), "RowBinary", 9);
    int rc = r && !chdb_result_error(r) ? 0 : ERR_IO;
    if (!rc && out)
        rc = buf_append(out, chdb_result_buffer(r), chdb_result_length(r));
    chdb_destroy_query_result(r);
    return rc;
}

static int put_ids(struct buf *sql, const uint8_t *ids, size_t n) {
    char text[UUID_TEXT + 1];
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        uuid_format(text, ids + i * UUID_BYTES);
        rc = buf_printf(sql, "%s'%s'", i ? "," : "", text);
    }
    return rc ? rc : buf_append(sql, ")", 2);
}

static int count_of(struct store *s, const char *table, uint32_t month, const uint8_t *ids, size_t n,
                    uint64_t *ret) {
    struct buf sql, out;
    buf_init(&sql, SQL_BYTES);
    buf_init(&out, 8);
    int rc = buf_printf(&sql, "SELECT count() FROM %s WHERE toYYYYMM(time) = %" PRIu32
                              " AND subject IN (", table, month);
    if (!rc)
        rc = put_ids(&sql, ids, n);
    if (!rc)
        rc = ask(s, (const char *)sql.p, &out);
    if (!rc)
        rc = out.len == 8 ? 0 : ERR_IO;
    if (!rc)
        *ret += get_u64(out.p);
    buf_wipe(&sql);
    buf_wipe(&out);
    return rc;
}

int store_partitions(struct store *s, enum rows_table t, const uint8_t *held, size_t held_len,
                     struct store_partition *ret, size_t max, size_t *ret_n) {
    char sql[320];
    struct buf out;
    if (!retained(t) || held_len % UUID_BYTES)
        return ERR_USAGE;
    const size_t n = held_len / UUID_BYTES;
    buf_init(&out, 12 * max);
    snprintf(sql, sizeof sql,
             "SELECT toUInt32(partition) AS month, toUInt64(sum(rows)) FROM system.parts WHERE active"
             " AND database = '" STORE_DATABASE "' AND table = '%s' GROUP BY month ORDER BY month"
             " LIMIT %zu",
             rows_table_name(t), max);
    int rc = ask(s, sql, &out);
    *ret_n = rc ? 0 : out.len / 12;
    for (size_t i = 0; !rc && i < *ret_n; i++) {
        ret[i] = (struct store_partition){get_u32(out.p + 12 * i), get_u64(out.p + 12 * i + 4), 0};
        for (size_t at = 0; !rc && at < n; at += IDS_EACH)
            rc = count_of(s, rows_table_name(t), ret[i].month, held + at * UUID_BYTES,
                          n - at < IDS_EACH ? n - at : IDS_EACH, &ret[i].held);
    }
    buf_wipe(&out);
    return rc;
}

static int copy_some(struct store *s, const char *table, uint32_t month, const uint8_t *ids,
                     size_t n) {
    struct buf sql;
    buf_init(&sql, SQL_BYTES);
    int rc = buf_printf(&sql,
                        "INSERT INTO held_%s SELECT * FROM %s WHERE toYYYYMM(time) = %" PRIu32
                        " AND (sealer, batch, `index`) NOT IN (SELECT sealer, batch, `index` FROM"
                        " held_%s WHERE toYYYYMM(time) = %" PRIu32 ") AND subject IN (",
                        table, table, month, table, month);
    if (!rc)
        rc = put_ids(&sql, ids, n);
    if (!rc)
        rc = ask(s, (const char *)sql.p, NULL);
    buf_wipe(&sql);
    return rc;
}

static int count_held(struct store *s, const char *table, uint32_t month, uint64_t *ret) {
    char sql[160];
    struct buf out;
    buf_init(&out, 8);
    snprintf(sql, sizeof sql, "SELECT count() FROM held_%s WHERE toYYYYMM(time) = %" PRIu32, table,
             month);
    int rc = ask(s, sql, &out);
    if (!rc)
        rc = out.len == 8 ? 0 : ERR_IO;
    if (!rc)
        *ret = get_u64(out.p);
    buf_wipe(&out);
    return rc;
}

int store_retain(struct store *s, enum rows_table t, uint32_t month, const uint8_t *held,
                 size_t held_len, uint64_t *ret_held) {
    char sql[128];
    if (!retained(t) || held_len % UUID_BYTES)
        return ERR_USAGE;
    const char *table = rows_table_name(t);
    const size_t n = held_len / UUID_BYTES;
    int rc = 0;
    for (size_t at = 0; !rc && at < n; at += IDS_EACH)
        rc = copy_some(s, table, month, held + at * UUID_BYTES, n - at < IDS_EACH ? n - at : IDS_EACH);
    if (!rc)
        rc = count_held(s, table, month, ret_held);
    snprintf(sql, sizeof sql, "ALTER TABLE %s DROP PARTITION %" PRIu32, table, month);
    return rc ? rc : ask(s, sql, NULL);
}
