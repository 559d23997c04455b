/*
 * Retention: a month of a table goes as a whole. The only way by which rows leave, and only on the
 * word of the supervisor, who had the vault note it in the ledger before (doc/retention.md).
 *
 * Rows of persons who are held are copied first. Which of them were copied by an attempt that was
 * interrupted is known by their place (sealer, batch, index), so nothing is copied twice. When a hold has
 * ended the copies go in the same way: whoever is not held any more is known by the subjects that there are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "store/chdb.h"
#include "store/store_int.h"

#define IDS_EACH 1000 /* in one statement */
#define SQL_BYTES (64u << 10)
#define NAME_BYTES 32
#define SUBJECTS_BYTES (64u << 20) /* of one month's copies, as text */

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

/* "turns", or "held_turns". */
static void put_name(char out[NAME_BYTES], enum rows_table t, bool copies) {
    snprintf(out, NAME_BYTES, "%s%s", copies ? "held_" : "", rows_table_name(t));
}

int store_partitions(struct store *s, enum rows_table t, bool copies, const uint8_t *held,
                     size_t held_len, struct store_partition *ret, size_t max, size_t *ret_n) {
    char sql[320], name[NAME_BYTES];
    struct buf out;
    if (!retained(t) || held_len % UUID_BYTES)
        return ERR_USAGE;
    const size_t n = held_len / UUID_BYTES;
    buf_init(&out, 12 * max);
    put_name(name, t, copies);
    snprintf(sql, sizeof sql,
             "SELECT toUInt32(partition) AS month, toUInt64(sum(rows)) FROM system.parts WHERE active"
             " AND database = '" STORE_DATABASE "' AND table = '%s' GROUP BY month ORDER BY month"
             " LIMIT %zu",
             name, max);
    int rc = ask(s, sql, &out);
    *ret_n = rc ? 0 : out.len / 12;
    for (size_t i = 0; !rc && i < *ret_n; i++) {
        ret[i] = (struct store_partition){get_u32(out.p + 12 * i), get_u64(out.p + 12 * i + 4), 0};
        for (size_t at = 0; !rc && at < n; at += IDS_EACH)
            rc = count_of(s, name, ret[i].month, held + at * UUID_BYTES,
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

/* ---- after a hold ---- */

static int compare_ids(const void *x, const void *y) {
    return memcmp(x, y, UUID_BYTES);
}

/* Whose rows are among the copies of that month, and who is not held: `out` gets their ids. */
static int not_held(struct store *s, const char *copies, uint32_t month, const struct buf *held,
                    struct buf *out) {
    char sql[160];
    uint8_t id[UUID_BYTES];
    struct buf texts; /* each a length byte and a UUID's text */
    buf_init(&texts, SUBJECTS_BYTES);
    snprintf(sql, sizeof sql, "SELECT DISTINCT toString(subject) FROM %s WHERE toYYYYMM(time) = %" PRIu32,
             copies, month);
    int rc = ask(s, sql, &texts);
    if (!rc && texts.len % (1 + UUID_TEXT))
        rc = ERR_IO;
    for (size_t at = 0; !rc && at < texts.len; at += 1 + UUID_TEXT) {
        if (!uuid_parse(id, (const char *)texts.p + at + 1, UUID_TEXT))
            rc = ERR_IO;
        else if (!held->len || !bsearch(id, held->p, held->len / UUID_BYTES, UUID_BYTES, compare_ids))
            rc = buf_append(out, id, sizeof id);
    }
    buf_wipe(&texts);
    return rc;
}

static int delete_some(struct store *s, const char *copies, uint32_t month, const uint8_t *ids, size_t n) {
    struct buf sql;
    buf_init(&sql, SQL_BYTES);
    int rc = buf_printf(&sql, "ALTER TABLE %s DELETE IN PARTITION %" PRIu32 " WHERE subject IN (", copies,
                        month);
    if (!rc) {
        rc = put_ids(&sql, ids, n);
        sql.len--; /* the terminating zero */
    }
    if (!rc)
        rc = buf_append_str(&sql, " SETTINGS mutations_sync = 2");
    if (!rc)
        rc = buf_append_u8(&sql, 0);
    if (!rc)
        rc = ask(s, (const char *)sql.p, NULL);
    buf_wipe(&sql);
    return rc;
}

int store_release(struct store *s, enum rows_table t, uint32_t month, const uint8_t *held,
                  size_t held_len, uint64_t *ret_held) {
    char copies[NAME_BYTES], sql[128];
    struct buf sorted, ids;
    *ret_held = 0;
    if (!retained(t) || held_len % UUID_BYTES)
        return ERR_USAGE;
    put_name(copies, t, true);
    buf_init(&sorted, held_len);
    buf_init(&ids, SUBJECTS_BYTES);
    int rc = buf_append(&sorted, held, held_len);
    if (!rc && held_len)
        qsort(sorted.p, held_len / UUID_BYTES, UUID_BYTES, compare_ids);
    if (!rc)
        rc = not_held(s, copies, month, &sorted, &ids);
    const size_t n = ids.len / UUID_BYTES;
    for (size_t at = 0; !rc && at < n; at += IDS_EACH)
        rc = delete_some(s, copies, month, ids.p + at * UUID_BYTES, n - at < IDS_EACH ? n - at : IDS_EACH);
    if (!rc)
        rc = count_held(s, rows_table_name(t), month, ret_held);
    if (!rc && !*ret_held) { /* nobody's are left: the empty parts go, too */
        snprintf(sql, sizeof sql, "ALTER TABLE %s DROP PARTITION %" PRIu32, copies, month);
        rc = ask(s, sql, NULL);
    }
    buf_wipe(&sorted);
    buf_wipe(&ids);
    return rc;
}
