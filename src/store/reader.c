/*
 * Statements of people: the guard's verdict, a reading connection, the engine's second opinion, the answer
 * in pieces. Runs in safehouse-store only.
 *
 * A connection's settings are arguments of its making; readonly = 1 is the last, and after it none of them
 * can be changed, by anyone. Making one costs a tenth of a millisecond, so a client's statement has its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "store/access.h"
#include "store/engine_error.h"
#include "store/store_int.h"

#define SECONDS_MAX 60
#define MEMORY_MAX 2000000000ull /* of one statement, and at most an eighth of the machine's */
#define TOO_MANY_ROWS 396
#define TAG_SETTING "insert_deduplication_token" /* says nothing to a SELECT */

static const char *const settings[] = {
    "--allow_ddl=0",
    "--allow_introspection_functions=0",
    "--implicit_select=0",
    "--session_timezone=UTC",
    "--max_query_size=1048576",
    "--max_temporary_data_on_disk_size_for_query=4000000000",
    "--function_range_max_elements_in_block=20000000",
    "--output_format_pretty_color=0",
    "--output_format_pretty_max_rows=100000",
    "--output_format_pretty_max_value_width=1000000000",
    "--output_format_pretty_highlight_digit_groups=0",
};
#define SETTINGS (sizeof settings / sizeof settings[0])

/* A client is nobody that the owner knows: what one function makes in one go, which nothing interrupts, has
 * to be less. And what a condition was found to match is remembered for those who see the same rows only. */
static const char *const client_settings[] = {
    "--function_range_max_elements_in_block=2000000",
    "--max_temporary_data_on_disk_size_for_query=1000000000",
    "--use_query_condition_cache=0",
};
#define CLIENT_SETTINGS (sizeof client_settings / sizeof client_settings[0])

static uint64_t memory_max(void) {
    struct sysinfo i;
    const uint64_t all = sysinfo(&i) ? 0 : (uint64_t)i.totalram * i.mem_unit;
    return all && all / 8 < MEMORY_MAX ? all / 8 : MEMORY_MAX;
}

/* The connection's list of projects, as a setting. */
static int list_projects(const struct store_terms *t, struct buf *out) {
    int rc = buf_append_str(out, "--" ACCESS_SETTING "=");
    if (t->all)
        return rc ? rc : buf_append(out, ACCESS_ALL, sizeof ACCESS_ALL);
    const char *p = t->projects, *end = p + t->projects_len;
    if (!t->projects_len)
        return ERR_USAGE;
    for (const char *eol; !rc && p <= end; p = eol + 1) {
        eol = memchr(p, '\n', (size_t)(end - p));
        eol = eol ? eol : end;
        if (!access_project_valid(p, (size_t)(eol - p)))
            return ERR_USAGE;
        rc = buf_append(out, p, (size_t)(eol - p));
        if (!rc)
            rc = buf_append(out, eol < end ? "\n" : "", 1);
    }
    return rc;
}

int store_reader_open(struct store *s, const struct store_terms *t, struct store_reader **ret) {
    char seconds[64], rows[64], memory[64], tag[96];
    const char *list[SETTINGS + CLIENT_SETTINGS + 6];
    struct buf projects;
    struct store_reader *r = calloc(1, sizeof *r);
    size_t n = 0;
    if (!r)
        return ERR_NOMEM;
    const uint32_t most = t->seconds && t->seconds < SECONDS_MAX ? t->seconds : SECONDS_MAX;
    r->guard = (struct guard_terms){.client = t->client, .filtered = !t->all};
    buf_init(&projects, LIMIT_CONSOLE_QUERY);
    int rc = list_projects(t, &projects);
    snprintf(seconds, sizeof seconds, "--max_execution_time=%" PRIu32, most);
    snprintf(rows, sizeof rows, "--max_result_rows=%" PRIu64, t->rows);
    snprintf(memory, sizeof memory, "--max_memory_usage=%" PRIu64, memory_max());
    snprintf(tag, sizeof tag, "--" TAG_SETTING "=%s", t->tag ? t->tag : "");
    for (size_t i = 0; i < SETTINGS; i++)
        list[n++] = settings[i];
    for (size_t i = 0; t->client && i < CLIENT_SETTINGS; i++)
        list[n++] = client_settings[i];
    const char *const own[] = {seconds, rows, memory, tag, (const char *)projects.p, "--readonly=1"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        list[n++] = own[i];
    if (!rc)
        rc = store_connect(s, list, n, &r->conn);
    if (!rc)
        rc = store_run(*r->conn, "USE " STORE_DATABASE);
    buf_wipe(&projects);
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

int store_cancel(struct store *s, const char *tag) {
    char sql[160];
    chdb_connection *conn;
    const char *const all[] = {"--" ACCESS_SETTING "=" ACCESS_ALL};
    int rc = store_connect(s, all, 1, &conn);
    if (rc)
        return rc;
    snprintf(sql, sizeof sql, "KILL QUERY WHERE Settings['" TAG_SETTING "'] = '%s' ASYNC", tag);
    rc = store_run(*conn, sql);
    chdb_close_conn(conn);
    return rc;
}

/* ---- one statement ---- */

/* The parameters as the engine's calls take them. */
struct values {
    const char *names[LIMIT_PARAMETERS], *values[LIMIT_PARAMETERS];
    size_t name_lens[LIMIT_PARAMETERS], value_lens[LIMIT_PARAMETERS];
    size_t n;
};

struct run {
    chdb_connection conn;
    struct guard *g;
    const char *format;
    struct values values;
    uint64_t rows_max; /* 0: as many as there are */
    struct store_answer *answer;
};

static int fail(struct run *r, const char *text) {
    return engine_error(text, r->answer);
}

static chdb_result *ask(const struct run *r, const char *sql, size_t len, const char *format) {
    const struct values *v = &r->values;
    return v->n ? chdb_query_with_params_n(r->conn, sql, len, format, strlen(format), v->names, v->name_lens,
                                           v->values, v->value_lens, v->n)
                : chdb_query_n(r->conn, sql, len, format, strlen(format));
}

static void count(struct store_answer *a, chdb_result *piece) {
    a->rows += chdb_result_rows_read(piece);
    a->bytes += chdb_result_bytes_read(piece);
    a->read_rows += chdb_result_storage_rows_read(piece);
    a->read_bytes += chdb_result_storage_bytes_read(piece);
}

/* The engine's limit (max_result_rows) does not hold for a SELECT without a table. */
static int check_rows(const struct run *r) {
    struct store_answer *a = r->answer;
    if (!r->rows_max || a->rows <= r->rows_max)
        return 0;
    snprintf(a->why, sizeof a->why, "Limit for result exceeded, max rows: %" PRIu64 ", current rows: %" PRIu64,
             r->rows_max, a->rows);
    a->exception = TOO_MANY_ROWS;
    return ERR_LIMIT;
}

/* The engine's own reading of the statement must agree with the guard's: one, and it only reads;
 * and every table in its syntax tree is one of ours. */
static int check_with_engine(struct run *r) {
    struct guard *g = r->g;
    struct store_answer *a = r->answer;
    struct chdb_analysis said = {.struct_size = sizeof said};
    if (chdb_classify_query_n(r->conn, (const char *)g->sql.p, g->sql.len, NULL, 0, &said) == 0 &&
        said.statements > 0 && (said.statements != 1 || said.query_class != CHDB_READ_ONLY)) {
        snprintf(a->why, sizeof a->why, "one statement that only reads is allowed");
        a->exception = GUARD_ACCESS_DENIED;
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
        chdb_result *res = ask(r, (const char *)explain.p, explain.len, "TabSeparatedRaw");
        const char *text = res ? chdb_result_error(res) : "out of memory";
        rc = text ? fail(r, text)
                  : guard_check_tree(g, chdb_result_buffer(res), chdb_result_length(res), a->why, sizeof a->why);
        if (!text && rc)
            a->exception = g->exception;
        chdb_destroy_query_result(res);
    }
    buf_wipe(&explain);
    return rc;
}

/* Statements that are no SELECT have a small answer, which comes whole. */
static int answer(struct run *r, store_sink *sink, void *arg) {
    chdb_result *res = ask(r, (const char *)r->g->sql.p, r->g->sql.len, r->format);
    const char *text = res ? chdb_result_error(res) : "out of memory";
    int rc = text ? fail(r, text) : 0;
    if (!rc && chdb_result_length(res) > 0) {
        count(r->answer, res);
        rc = sink(arg, chdb_result_buffer(res), chdb_result_length(res));
    }
    chdb_destroy_query_result(res);
    return rc;
}

static chdb_result *begin(const struct run *r) {
    const struct values *v = &r->values;
    const char *sql = (const char *)r->g->sql.p;
    return v->n ? chdb_stream_query_with_params_n(r->conn, sql, r->g->sql.len, r->format, strlen(r->format),
                                                  v->names, v->name_lens, v->values, v->value_lens, v->n)
                : chdb_stream_query_n(r->conn, sql, r->g->sql.len, r->format, strlen(r->format));
}

static int stream(struct run *r, store_sink *sink, void *arg) {
    chdb_result *s = begin(r);
    const char *text = s ? chdb_result_error(s) : "out of memory";
    int rc = text ? fail(r, text) : 0;
    bool ended = rc != 0;
    while (!ended) {
        chdb_result *piece = chdb_stream_fetch_result(r->conn, s);
        text = piece ? chdb_result_error(piece) : "out of memory";
        if (text) {
            rc = fail(r, text);
            ended = true;
        } else if (chdb_result_length(piece) == 0) {
            ended = true;
        } else {
            count(r->answer, piece);
            rc = check_rows(r);
            if (!rc && (rc = sink(arg, chdb_result_buffer(piece), chdb_result_length(piece))) != 0)
                snprintf(r->answer->why, sizeof r->answer->why, "the reader of the result went away");
            if (rc) {
                chdb_stream_cancel_query(r->conn, s);
                ended = true;
            }
        }
        chdb_destroy_query_result(piece);
    }
    chdb_destroy_query_result(s);
    return rc;
}

static int take_parameters(struct values *v, const struct store_question *q) {
    if (q->parameters_n > LIMIT_PARAMETERS)
        return ERR_LIMIT;
    for (size_t i = 0; i < q->parameters_n; i++) {
        v->names[i] = q->parameters[i].name;
        v->name_lens[i] = q->parameters[i].name_len;
        v->values[i] = q->parameters[i].value;
        v->value_lens[i] = q->parameters[i].value_len;
    }
    v->n = q->parameters_n;
    return 0;
}

/* 0: the statement is in g, and its format is known. */
static int read_statement(const struct guard_terms *terms, const struct store_question *q, struct guard *g,
                          const char **ret_format, struct store_answer *a) {
    *a = (struct store_answer){0};
    int rc = guard_check(g, terms, q->sql, q->sql_len, a->why, sizeof a->why);
    a->exception = g->exception;
    if (rc)
        return rc;
    *ret_format = g->format[0] ? guard_format(g->format, strlen(g->format)) : guard_format(q->format, q->format_len);
    if (*ret_format)
        return 0;
    snprintf(a->why, sizeof a->why, "unknown output format");
    a->exception = ENGINE_UNKNOWN_FORMAT;
    return ERR_DENIED;
}

static int run_statement(struct store_reader *reader, struct guard *g, const char *format, uint64_t rows_max,
                         const struct store_question *q, store_sink *sink, void *arg, struct store_answer *a) {
    struct run r = {.conn = *reader->conn, .g = g, .format = format, .rows_max = rows_max, .answer = a};
    const uint64_t from = clock_mono_ns();
    int rc = take_parameters(&r.values, q);
    if (!rc)
        rc = check_with_engine(&r);
    if (!rc)
        rc = g->plain_select ? stream(&r, sink, arg) : answer(&r, sink, arg);
    a->ns = clock_mono_ns() - from;
    return rc;
}

int store_reader_query(struct store_reader *r, const struct store_question *q, store_sink *sink, void *arg,
                       struct store_answer *ret) {
    struct guard g;
    const char *format;
    int rc = read_statement(&r->guard, q, &g, &format, ret);
    if (!rc)
        rc = run_statement(r, &g, format, 0, q, sink, arg, ret);
    guard_done(&g);
    return rc;
}

/* The lower of two limits, 0 being none. */
static uint64_t lower(uint64_t a, uint64_t b) {
    return !a || (b && b < a) ? b : a;
}

int store_ask(struct store *s, const struct store_terms *t, const struct store_question *q, store_sink *sink,
              void *arg, struct store_answer *ret) {
    struct guard g;
    const struct guard_terms terms = {.client = t->client, .filtered = !t->all};
    struct store_terms own = *t;
    struct store_reader *r = NULL;
    const char *format;
    int rc = read_statement(&terms, q, &g, &format, ret);
    own.seconds = (uint32_t)lower(t->seconds, g.seconds);
    own.rows = lower(t->rows, g.rows);
    if (!rc)
        rc = store_reader_open(s, &own, &r);
    if (!rc)
        rc = run_statement(r, &g, format, own.rows, q, sink, arg, ret);
    store_reader_close(r);
    guard_done(&g);
    return rc;
}
