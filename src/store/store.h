#ifndef STORE_STORE_H
#define STORE_STORE_H
/*
 * The log store, embedded: libchdb on one folder. Holds no key and sees no plaintext. doc/schema.md
 * describes the tables.
 *
 * One process opens one store. The ingest connection (struct store) and each reading connection
 * (struct store_reader) run one statement at a time and belong to one thread each.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/rows.h"

#define STORE_DATABASE "safehouse"

struct store;
struct store_reader;

/* Beside the tables of rows there is one of their leaves, a row a batch (doc/batch.md). */
#define STORE_LEAVES ((enum rows_table)(ROWS_TABLE_LAST + 1))
/* Of a table of rows, or of that one; NULL: there is no such table. */
const char *store_table_name(enum rows_table t);

/* Starts the engine on the folder (an absolute path; made by the caller) and creates what is missing
 * of the tables. After it the process has threads, and /proc as its working folder. ERR_IO: the engine
 * did not start or refused the tables. */
int store_open(const char *dir, struct store **ret);
/* Orderly end. All readers are closed before. NULL-safe. */
void store_close(struct store *s);

/* How many rows of (sealer, batch) the table has. */
int store_count(struct store *s, enum rows_table t, uint64_t sealer, uint64_t batch,
                uint64_t *ret);

/* RowBinary rows, in pieces, as one block. The same (sealer, batch, table) again is no second copy:
 * the engine remembers the last 10 000 of them. */
struct store_piece {
    const void *p;
    size_t len;
};
int store_insert(struct store *s, enum rows_table t, uint64_t sealer, uint64_t batch,
                 const struct store_piece *pieces, size_t n);

/*
 * A batch from the sealer's spool file (doc/spool.md), all tables in their order. What an earlier,
 * unanswered attempt left is counted first when `again`, or when this process has not inserted the
 * sealer's previous batch itself; each table then is completed or skipped.
 * `rows` is what the sealer says the batch has; anything else is ERR_CORRUPT.
 */
int store_insert_file(struct store *s, int fd, uint64_t sealer, uint64_t batch, uint32_t rows,
                      bool again);

/* ---- retention (retain.c) ---- */

/* A partition of a table: a month, as 202611. */
struct store_partition {
    uint32_t month;
    uint64_t rows, held;
};
/* Those of turns, interactions or findings, the oldest first; at most `max`. *ret_n: how many. `held`
 * are subjects, 16 bytes each, whose rows are counted. */
int store_partitions(struct store *s, enum rows_table t, const uint8_t *held, size_t held_len,
                     struct store_partition *ret, size_t max, size_t *ret_n);
/*
 * Copies the rows of the subjects in `held` (16 bytes each) to the table's held_ one, unless they are
 * there, then drops the partition. May be done again after any failure. *ret_held: rows of it that
 * are kept. ERR_USAGE: not a table that is retained; ERR_IO.
 */
int store_retain(struct store *s, enum rows_table t, uint32_t month, const uint8_t *held,
                 size_t held_len, uint64_t *ret_held);

/* A connection that can only read, with limits on time, memory and result. */
int store_reader_open(struct store *s, struct store_reader **ret);
void store_reader_close(struct store_reader *r); /* NULL-safe */

/* Gets the result's bytes in order; another value than 0 cancels the statement. */
typedef int store_sink(void *arg, const void *p, size_t len);

/*
 * Runs one statement of a person, after store/guard.h allowed it. `why` (of why_size bytes) gets a
 * sentence on every failure. ERR_DENIED: not allowed; ERR_SYNTAX: the engine refused it; ERR_LIMIT:
 * it exceeded a limit; otherwise what the sink returned.
 */
int store_reader_query(struct store_reader *r, const char *format, size_t format_len,
                       const char *sql, size_t sql_len, store_sink *sink, void *arg, char *why,
                       size_t why_size);

/* From schema.c: the statements that make database and tables, one by one; NULL after the last. */
const char *schema_statement(unsigned i);
/* The INSERT's column list, "(a, b, ...)". */
const char *schema_insert_columns(enum rows_table t);

#endif
