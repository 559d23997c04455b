/*
 * The engine's life and its two kinds of connection, over libchdb. Runs in safehouse-store only.
 *
 * Life: store_open boots the engine on the folder (the library allows one folder a process) and makes
 * the tables; readers open and close in between; store_close closes the ingest connection and joins
 * the engine's threads. Everything confirmed is on disk by then: a kill loses nothing but the answer.
 *
 * Texts of the engine's errors go to the person who asked, never to a log: they quote the statement.
 */
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/chdb.h"
#include "store/guard.h"
#include "store/store_int.h"

/* Server-level options count for the first connection only; the others are this connection's. */
static const char *const ingest_options[] = {
    "--log_queries=0",
    "--background_pool_size=2",
    "--background_schedule_pool_size=4",
    "--background_common_pool_size=2",
    "--background_move_pool_size=1",
    "--background_fetches_pool_size=1",
    "--async_insert=0",
    "--insert_deduplicate=1",
    "--max_threads=2",
    "--max_insert_threads=1",
    "--http_max_tries=1",
};
#define INGEST_OPTIONS (sizeof ingest_options / sizeof ingest_options[0])

/* readonly comes last: after it no setting of the connection can be changed, by anyone. */
static const char *const reader_statements[] = {
    "USE " STORE_DATABASE,
    "SET log_queries = 0, allow_ddl = 0, allow_introspection_functions = 0, http_max_tries = 1,"
    " implicit_select = 0, session_timezone = 'UTC', max_threads = 2, max_execution_time = 60,"
    " max_memory_usage = 2000000000, max_query_size = 1048576, max_temporary_data_on_disk_size_for_query"
    " = 4000000000, output_format_pretty_color = '0', output_format_pretty_max_rows = 100000,"
    " output_format_pretty_max_value_width = 1000000000,"
    " output_format_pretty_highlight_digit_groups = 0",
    "SET readonly = 1",
};

static int connect_to(const char *dir, chdb_connection **ret) {
    char path[4096 + 8];
    char *argv[INGEST_OPTIONS + 3] = {(char *)"safehouse-store", path};
    int argc = 2;
    if (snprintf(path, sizeof path, "--path=%s", dir) >= (int)sizeof path)
        return ERR_LIMIT;
    for (size_t i = 0; i < INGEST_OPTIONS; i++)
        argv[argc++] = (char *)ingest_options[i];
    *ret = chdb_connect(argc, argv);
    return *ret ? 0 : ERR_IO;
}

/* One statement without an answer that matters. */
static int run(chdb_connection conn, const char *sql) {
    chdb_result *r = chdb_query_n(conn, sql, strlen(sql), "Null", 4);
    int rc = r && !chdb_result_error(r) ? 0 : ERR_IO;
    chdb_destroy_query_result(r);
    return rc;
}

int store_open(const char *dir, struct store **ret) {
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    chdb_set_signal_handlers_enabled(0);
    /* The engine joins a relative folder to itself when it syncs directories. */
    int rc = dir[0] == '/' ? 0 : ERR_USAGE;
    if (!rc && snprintf(s->dir, sizeof s->dir, "%s", dir) >= (int)sizeof s->dir)
        rc = ERR_LIMIT;
    /* The engine takes a config.xml of the working folder for its own: listeners, users and logs could
     * be configured there. Nobody can put one into /proc. */
    if (!rc && chdir("/proc"))
        rc = ERR_IO;
    if (!rc)
        rc = connect_to(dir, &s->conn);
    for (unsigned i = 0; !rc && schema_statement(i); i++)
        rc = run(*s->conn, schema_statement(i));
    if (rc) {
        store_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s) {
    if (!s)
        return;
    if (s->conn)
        chdb_close_conn(s->conn);
    /* Not stopping every thread is no loss: what was confirmed is on disk. */
    (void)chdb_shutdown();
    free(s);
}

int store_count(struct store *s, enum rows_table t, uint64_t sealer, uint64_t batch,
                uint64_t *ret) {
    char sql[256];
    int n = snprintf(sql, sizeof sql,
                     "SELECT count() FROM %s WHERE sealer = %" PRIu64 " AND batch = %" PRIu64,
                     store_table_name(t), sealer, batch);
    chdb_result *r = chdb_query_n(*s->conn, sql, (size_t)n, "RowBinary", 9);
    int rc = ERR_IO;
    if (r && !chdb_result_error(r) && chdb_result_length(r) == sizeof *ret) {
        memcpy(ret, chdb_result_buffer(r), sizeof *ret);
        rc = 0;
    }
    chdb_destroy_query_result(r);
    return rc;
}

int store_insert(struct store *s, enum rows_table t, uint64_t sealer, uint64_t batch,
                 const struct store_piece *pieces, size_t n) {
    char sql[1024];
    int len = snprintf(sql, sizeof sql,
                       "INSERT INTO %s %s SETTINGS insert_deduplication_token = '%" PRIu64
                       ":%" PRIu64 ":%s'",
                       store_table_name(t), schema_insert_columns(t), sealer, batch,
                       store_table_name(t));
    CHECK(len > 0 && (size_t)len < sizeof sql);
    chdb_insert_stream in = chdb_stream_insert_n(*s->conn, sql, (size_t)len, "RowBinary", 9);
    int rc = chdb_stream_insert_error(in) ? ERR_IO : 0;
    for (size_t i = 0; !rc && i < n; i++)
        if (chdb_stream_append(in, pieces[i].p, pieces[i].len))
            rc = ERR_IO;
    if (rc) {
        chdb_stream_cancel_insert(in);
    } else {
        chdb_result *r = chdb_stream_done(in);
        rc = r && !chdb_result_error(r) ? 0 : ERR_IO;
        chdb_destroy_query_result(r);
    }
    chdb_destroy_insert_stream(in);
    return rc;
}

int store_reader_open(struct store *s, struct store_reader **ret) {
    struct store_reader *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    int rc = connect_to(s->dir, &r->conn);
    for (size_t i = 0; !rc && i < sizeof reader_statements / sizeof reader_statements[0]; i++)
        rc = run(*r->conn, reader_statements[i]);
    if (rc) {
        store_reader_close(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void store_reader_close(struct store_reader *r) {
    if (!r)
        return;
    if (r->conn)
        chdb_close_conn(r->conn);
    free(r);
}

/* "Code: 159. DB::Exception: ..." to one of ours, and the text without its head. */
static int explain_error(const char *text, char *why, size_t why_size) {
    int code = 0;
    const char *said = text;
    if (sscanf(text, "Code: %d.", &code) == 1) {
        const char *p = strstr(text, "DB::Exception: ");
        if (p)
            said = p + strlen("DB::Exception: ");
    }
    snprintf(why, why_size, "%s", said);
    switch (code) {
    case 158: /* too many rows */
    case 159: /* time-out */
    case 241: /* memory */
    case 307: /* too many bytes */
    case 396: /* result rows */
        return ERR_LIMIT;
    case 164: /* read-only */
    case 497: /* access denied */
        return ERR_DENIED;
    default:
        return ERR_SYNTAX;
    }
}

/* The engine's own reading of the statement must agree with the guard's: one, and it only reads;
 * and every table in its syntax tree is one of ours. */
static int check_with_engine(struct store_reader *r, const struct guard *g, char *why,
                             size_t why_size) {
    struct chdb_analysis a = {.struct_size = sizeof a};
    if (chdb_classify_query_n(*r->conn, (const char *)g->sql.p, g->sql.len, NULL, 0, &a) == 0 &&
        a.statements > 0 && (a.statements != 1 || a.query_class != CHDB_READ_ONLY)) {
        snprintf(why, why_size, "one statement that only reads is allowed");
        return ERR_DENIED;
    }
    if (!g->select)
        return 0;
    struct buf explain;
    buf_init(&explain, g->sql.len + 64);
    int rc = buf_append_str(&explain, "EXPLAIN AST ");
    if (!rc)
        rc = buf_append(&explain, g->sql.p + g->select_at, g->sql.len - g->select_at);
    if (!rc) {
        chdb_result *res =
            chdb_query_n(*r->conn, (const char *)explain.p, explain.len, "TabSeparatedRaw", 15);
        const char *text = res ? chdb_result_error(res) : "out of memory";
        rc = text ? explain_error(text, why, why_size)
                  : guard_check_tree(g, chdb_result_buffer(res), chdb_result_length(res), why,
                                     why_size);
        chdb_destroy_query_result(res);
    }
    buf_wipe(&explain);
    return rc;
}

/* Statements that are no SELECT have a small answer, which comes whole. */
static int answer(struct store_reader *r, const struct guard *g, const char *format,
                  store_sink *sink, void *arg, char *why, size_t why_size) {
    chdb_result *res =
        chdb_query_n(*r->conn, (const char *)g->sql.p, g->sql.len, format, strlen(format));
    const char *text = res ? chdb_result_error(res) : "out of memory";
    int rc = text ? explain_error(text, why, why_size) : 0;
    if (!rc && chdb_result_length(res) > 0)
        rc = sink(arg, chdb_result_buffer(res), chdb_result_length(res));
    chdb_destroy_query_result(res);
    return rc;
}

static int stream(struct store_reader *r, const struct guard *g, const char *format,
                  store_sink *sink, void *arg, char *why, size_t why_size) {
    chdb_result *s = chdb_stream_query_n(*r->conn, (const char *)g->sql.p, g->sql.len, format,
                                         strlen(format));
    const char *text = s ? chdb_result_error(s) : "out of memory";
    int rc = text ? explain_error(text, why, why_size) : 0;
    bool ended = rc != 0;
    while (!ended) {
        chdb_result *piece = chdb_stream_fetch_result(*r->conn, s);
        text = piece ? chdb_result_error(piece) : "out of memory";
        if (text) {
            rc = explain_error(text, why, why_size);
            ended = true;
        } else if (chdb_result_length(piece) == 0) {
            ended = true;
        } else {
            rc = sink(arg, chdb_result_buffer(piece), chdb_result_length(piece));
            if (rc) {
                snprintf(why, why_size, "the reader of the result went away");
                chdb_stream_cancel_query(*r->conn, s);
                ended = true;
            }
        }
        chdb_destroy_query_result(piece);
    }
    chdb_destroy_query_result(s);
    return rc;
}

int store_reader_query(struct store_reader *r, const char *format, size_t format_len,
                       const char *sql, size_t sql_len, store_sink *sink, void *arg, char *why,
                       size_t why_size) {
    struct guard g;
    const char *known = guard_format(format, format_len);
    why[0] = 0;
    if (!known) {
        snprintf(why, why_size, "unknown output format");
        return ERR_DENIED;
    }
    int rc = guard_check(&g, sql, sql_len, why, why_size);
    if (!rc)
        rc = check_with_engine(r, &g, why, why_size);
    if (!rc)
        rc = g.plain_select ? stream(r, &g, known, sink, arg, why, why_size)
                            : answer(r, &g, known, sink, arg, why, why_size);
    guard_done(&g);
    return rc;
}
