/*
 * The engine's life and its ingest connection, over libchdb. Runs in safehouse-store only.
 *
 * Life: store_open boots the engine on the folder (the library allows one folder a process) and makes
 * the tables; readers open and close in between; store_close closes the ingest connection and joins
 * the engine's threads. Everything confirmed is on disk by then: a kill loses nothing but the answer.
 */
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/chdb.h"
#include "store/access.h"
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

int store_connect(const struct store *s, const char *const *settings, size_t n, chdb_connection **ret) {
    char path[sizeof s->dir + 8];
    char *argv[INGEST_OPTIONS + STORE_SETTINGS_MAX + 4] = {(char *)"safehouse-store", path};
    int argc = 2;
    CHECK(n <= STORE_SETTINGS_MAX);
    snprintf(path, sizeof path, "--path=%s", s->dir);
    for (size_t i = 0; i < INGEST_OPTIONS; i++)
        argv[argc++] = (char *)ingest_options[i];
    for (size_t i = 0; i < n; i++)
        argv[argc++] = (char *)settings[i];
    *ret = chdb_connect(argc, argv);
    return *ret ? 0 : ERR_IO;
}

int store_run(chdb_connection conn, const char *sql) {
    chdb_result *r = chdb_query_n(conn, sql, strlen(sql), "Null", 4);
    int rc = r && !chdb_result_error(r) ? 0 : ERR_IO;
    chdb_destroy_query_result(r);
    return rc;
}

/* The first connection starts the engine, which takes its users from a memory file. That there should be a
 * configuration makes it look for the users' file, which it otherwise does not; there is no such one. */
static int start_engine(struct store *s) {
    char users[64];
    int fd = -1, rc = access_users(&fd);
    if (rc)
        return rc;
    snprintf(users, sizeof users, "--users_config=/proc/self/fd/%d", fd);
    const char *const settings[] = {"--config-file=none", users, "--" ACCESS_SETTING "=" ACCESS_ALL};
    rc = store_connect(s, settings, sizeof settings / sizeof settings[0], &s->conn);
    close(fd);
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
        rc = start_engine(s);
    for (unsigned i = 0; !rc && schema_statement(i); i++)
        rc = store_run(*s->conn, schema_statement(i));
    if (!rc)
        rc = access_check(*s->conn);
    if (!rc)
        rc = views_make(s);
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
