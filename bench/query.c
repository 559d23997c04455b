/*
 * The engine's side of bench/query.mjs.
 *
 *   query fill DIR ROWS   makes a store's folder with ROWS interactions of 60 days, made in the engine:
 *                         20 projects, 200 keys, 50 000 people, 12 models; a finding for each tenth
 *   query ask DIR         the engine asked directly, with no guard, filter or process in between: a
 *                         statement a line comes in, "MICROSECONDS BYTES" goes out
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "store/store_int.h"

#define STEP 1000000 /* rows of one INSERT */

static int run(struct store *s, const char *sql) {
    chdb_result *r = chdb_query_n(*s->conn, sql, strlen(sql), "Null", 4);
    const char *bad = r ? chdb_result_error(r) : "out of memory";
    if (bad)
        fprintf(stderr, "bench-query: %s\n", bad);
    const int rc = bad ? 1 : 0;
    chdb_destroy_query_result(r);
    return rc;
}

/* h(k): a number of its own for each row and use. Skewed, as people, models and projects are. */
#define H(k) "cityHash64(number, " k ")"
#define SKEWED(k, n) "toUInt32(pow(" H(k) " %% 1000000 / 1000000, 3) * " n ")"
#define PICK(k, list) "arrayElement([" list "], 1 + " SKEWED(k, "length([" list "])") ")"
#define TOKENS(k, n) "toUInt32(exp(" H(k) " %% 1000000 / 1000000 * log(" n ")))"
#define FAILED "(" H("9") " %% 50 = 0)"

static const char interactions[] =
    "INSERT INTO interactions SELECT 'default',"
    " concat('project-', toString(" SKEWED("1", "20") ")) AS project,"
    " toDateTime64('2026-09-01 00:00:00', 6, 'UTC') + toIntervalMicrosecond(number * %llu) AS time,"
    " toUUID(concat('00000000-0000-7000-8000-', leftPad(lower(hex(number)), 12, '0'))) AS id,"
    " concat('key', toString(" SKEWED("2", "200") ")),"
    " reinterpretAsUUID(concat(reinterpretAsString(" SKEWED("3", "50000") " + toUInt64(1)), '12345678')),"
    " if(number %% 3 = 0, id, toUUID(concat('00000000-0000-7000-8000-',"
    " leftPad(lower(hex(number - number %% 3)), 12, '0')))), toUUID('00000000-0000-0000-0000-000000000000'),"
    " " PICK("4", "'openai.chat', 'openai.responses', 'anthropic.messages'") ","
    " " PICK("5", "'openai', 'deepseek', 'anthropic'") ","
    " " PICK("6", "'gpt-4o-mini', 'gpt-4o', 'deepseek-chat', 'claude-sonnet-5', 'other', 'gpt-5.6', 'deepseek-reasoner',"
                  " 'gpt-6-luna', 'gpt-6-sol', 'gpt-5.6-sol', 'gpt-5.6-terra', 'text-embedding-3-large'") " AS model, model,"
    " if(" FAILED ", " PICK("10", "429, 500, 502, 503, 400, 401") ", 200),"
    " if(" FAILED ", if(" H("11") " %% 3 = 0, 'refused', 'complete'), if(" H("12") " %% 90 = 0, 'cancelled', 'complete')),"
    " if(" FAILED ", " PICK("13", "'rate_limit', 'server', 'timeout', 'quota_exceeded', 'invalid_key'") ", ''),"
    " " PICK("14", "'stop', 'tool_calls', 'length', 'content_filter'") ","
    " " H("15") " %% 4 != 0, " TOKENS("16", "20000") " AS input, " TOKENS("17", "4000") ","
    " toUInt32(input * (" H("18") " %% 100) / 100), " H("19") " %% 5 = 0 ? " TOKENS("20", "2000") " : 0,"
    " if(" H("21") " %% 40 = 0, 'estimated', 'reported'), toUInt64(input * 150 + " TOKENS("17", "4000") " * 600),"
    " " TOKENS("22", "3000000") " AS ttft, ttft + " TOKENS("23", "20000000") ", 40 + " TOKENS("24", "2000") ","
    " 1 + (" H("25") " %% 30 = 0), if(" H("26") " %% 10 = 0, 1, 0), '', '', map(), 1, number, 'turn', 1,"
    " intDiv(number, 4000) + 1, toUInt32(number %% 4000)"
    " FROM numbers(%llu, %llu)";

static const char findings[] =
    "INSERT INTO findings SELECT tenant, project, time, id, key, subject,"
    " arrayElement(['email', 'github-token', 'phone', 'openai-key'], 1 + cityHash64(id) % 4) AS c, c,"
    " arrayElement(['prompt', 'answer', 'tool'], 1 + cityHash64(id, 2) % 3), 1,"
    " if(c IN ('github-token', 'openai-key'), hex(cityHash64(id, 3) % 500), '') AS print, print != '', sealer, batch,"
    " index FROM interactions WHERE findings > 0";

static int fill(const char *dir, unsigned long long rows) {
    static char sql[8192];
    struct store *s;
    const unsigned long long apart_us = 60ull * 86400 * 1000000 / rows;
    int rc = store_open(dir, &s);
    for (unsigned long long at = 0; !rc && at < rows; at += STEP) {
        snprintf(sql, sizeof sql, interactions, apart_us, at, rows - at < STEP ? rows - at : STEP);
        rc = run(s, sql);
    }
    rc = rc ? rc : run(s, findings);
    rc = rc ? rc : run(s, "OPTIMIZE TABLE interactions FINAL");
    if (!rc)
        store_close(s);
    return rc;
}

/* The engine as it is: without the store's users, so without row policies, and with its threads. */
static int ask(const char *dir) {
    static char sql[1 << 16];
    static struct store engine;
    struct store *s = &engine;
    snprintf(engine.dir, sizeof engine.dir, "%s", dir);
    chdb_set_signal_handlers_enabled(0);
    int rc = chdir("/proc") ? 1 : store_connect(s, NULL, 0, &s->conn);
    rc = rc ? rc : run(s, "USE " STORE_DATABASE);
    rc = rc ? rc : run(s, "SET session_timezone = 'UTC'");
    while (!rc && fgets(sql, sizeof sql, stdin)) {
        const uint64_t from = clock_mono_ns();
        size_t bytes = 0, n;
        chdb_result *stream = chdb_stream_query_n(*s->conn, sql, strcspn(sql, "\n"), "RowBinary", 9);
        if (!stream || chdb_result_error(stream))
            return 1;
        do {
            chdb_result *piece = chdb_stream_fetch_result(*s->conn, stream);
            if (chdb_result_error(piece)) {
                fprintf(stderr, "bench-query: %s\n", chdb_result_error(piece));
                return 1;
            }
            n = chdb_result_length(piece);
            bytes += n;
            chdb_destroy_query_result(piece);
        } while (n > 0);
        chdb_destroy_query_result(stream);
        printf("%.0f %zu\n", (double)(clock_mono_ns() - from) / 1000, bytes);
        fflush(stdout);
    }
    if (s->conn)
        chdb_close_conn(s->conn);
    (void)chdb_shutdown();
    return rc;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "fill") == 0)
        return fill(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2]);
    return 2;
}
