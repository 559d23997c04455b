#ifndef STORE_CHDB_H
#define STORE_CHDB_H
/*
 * The functions of libchdb (ClickHouse in the process) that Safehouse calls, declared here because
 * its package ships no header. Signatures as published for libchdb 26.7. Only src/store includes this.
 *
 * Rules of the library that shape the callers: a connection runs one statement at a time; all
 * connections of a process share one data folder; every result and insert stream is destroyed, every
 * connection closed, and chdb_shutdown called before the process ends, or its threads crash at exit.
 */
#include <stddef.h>
#include <stdint.h>

struct chdb_handle {
    void *internal;
};
typedef struct chdb_handle *chdb_connection;
typedef struct chdb_handle chdb_result;
typedef struct chdb_handle *chdb_insert_stream;

enum chdb_class {
    CHDB_READ_ONLY,
    CHDB_MUTATING,
    CHDB_MUTATING_GLOBAL,
    CHDB_CONTROL,
    CHDB_UNKNOWN,
};

struct chdb_analysis {
    uint32_t struct_size; /* the caller writes sizeof(struct chdb_analysis) */
    uint32_t statements;
    uint32_t flags;
    uint32_t query_class; /* enum chdb_class */
};

const char *chdb_version(void);
/* 0 before the first connection: the program keeps its own signal handlers. */
void chdb_set_signal_handlers_enabled(int enabled);
/* NULL on failure. argv as a command line: program name, then --path=..., --setting=value. */
chdb_connection *chdb_connect(int argc, char **argv);
void chdb_close_conn(chdb_connection *conn);
int chdb_shutdown(void); /* 0: no thread of the library is left */

chdb_result *chdb_query_n(chdb_connection conn, const char *sql, size_t sql_len, const char *format,
                          size_t format_len);
chdb_result *chdb_stream_query_n(chdb_connection conn, const char *sql, size_t sql_len,
                                 const char *format, size_t format_len);
/* With values for {name:Type}, which the engine parses as that type. */
chdb_result *chdb_query_with_params_n(chdb_connection conn, const char *sql, size_t sql_len, const char *format,
                                      size_t format_len, const char *const *names, const size_t *name_lens,
                                      const char *const *values, const size_t *value_lens, size_t n);
chdb_result *chdb_stream_query_with_params_n(chdb_connection conn, const char *sql, size_t sql_len,
                                             const char *format, size_t format_len, const char *const *names,
                                             const size_t *name_lens, const char *const *values,
                                             const size_t *value_lens, size_t n);
/* The next piece; an empty one at the end. */
chdb_result *chdb_stream_fetch_result(chdb_connection conn, chdb_result *stream);
void chdb_stream_cancel_query(chdb_connection conn, chdb_result *stream);
void chdb_destroy_query_result(chdb_result *result);
char *chdb_result_buffer(chdb_result *result);
size_t chdb_result_length(chdb_result *result);
/* Of a piece: what it added. "rows_read" are the result's, "storage" what was read for it. */
uint64_t chdb_result_rows_read(chdb_result *result);
uint64_t chdb_result_bytes_read(chdb_result *result);
uint64_t chdb_result_storage_rows_read(chdb_result *result);
uint64_t chdb_result_storage_bytes_read(chdb_result *result);
uint64_t chdb_result_rows_written(chdb_result *result);
const char *chdb_result_error(chdb_result *result); /* NULL: none */

/* Never NULL; nothing else runs on the connection while the stream is open. 0 on success. */
chdb_insert_stream chdb_stream_insert_n(chdb_connection conn, const char *sql, size_t sql_len,
                                        const char *format, size_t format_len);
int chdb_stream_append(chdb_insert_stream stream, const void *data, size_t len);
chdb_result *chdb_stream_done(chdb_insert_stream stream);
void chdb_stream_cancel_insert(chdb_insert_stream stream);
const char *chdb_stream_insert_error(chdb_insert_stream stream);
void chdb_destroy_insert_stream(chdb_insert_stream stream);

/* What a statement is, by the engine's own parser, without running it. 0 on success. */
int chdb_classify_query_n(chdb_connection conn, const char *sql, size_t sql_len,
                          const char *database, size_t database_len, struct chdb_analysis *ret);

#endif
