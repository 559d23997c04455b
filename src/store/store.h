#ifndef STORE_STORE_H
#define STORE_STORE_H
/*
 * The log store, embedded: libchdb on one folder. Holds no key and sees no plaintext. doc/schema.md
 * describes the tables.
 *
 * One process opens one store. The ingest connection (struct store) and each reading connection
 * (struct store_reader) run one statement at a time and belong to one thread each. The engine itself
 * shows each connection the rows of its projects only (store/access.h).
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
/* Those of turns, interactions or findings, or of the copies that holds kept of them; the oldest first; at
 * most `max`. *ret_n: how many. `held` are subjects, 16 bytes each, whose rows are counted. */
int store_partitions(struct store *s, enum rows_table t, bool copies, const uint8_t *held,
                     size_t held_len, struct store_partition *ret, size_t max, size_t *ret_n);
/*
 * Copies the rows of the subjects in `held` (16 bytes each) to the table's held_ one, unless they are
 * there, then drops the partition. May be done again after any failure. *ret_held: rows of it that
 * are kept. ERR_USAGE: not a table that is retained; ERR_IO.
 */
int store_retain(struct store *s, enum rows_table t, uint32_t month, const uint8_t *held,
                 size_t held_len, uint64_t *ret_held);

/* Of the copies of a month lets all go that are not of the subjects in `held`. May be done again after any
 * failure. *ret_held: rows that are kept. */
int store_release(struct store *s, enum rows_table t, uint32_t month, const uint8_t *held,
                  size_t held_len, uint64_t *ret_held);

/* ---- reading (reader.c) ---- */

/* Who reads, and what it may cost. */
struct store_terms {
    bool client;          /* a ClickHouse client's statement (store/guard.h) */
    bool all;             /* every project; otherwise those of `projects`, and nothing without a project */
    const char *projects; /* their names, joined by line feeds; store/access.h has what may be one */
    size_t projects_len;
    uint32_t seconds; /* at most; 0: the store's own limit, which is the most */
    uint64_t rows;    /* of the result at most; 0: as many as there are */
    const char *tag;  /* for store_cancel; letters and digits, NULL: none */
};

struct store_parameter {
    const char *name, *value;
    size_t name_len, value_len;
};

/* A statement. Borrowed. */
struct store_question {
    const char *sql, *format;
    size_t sql_len, format_len;
    const struct store_parameter *parameters;
    size_t parameters_n;
};

#define STORE_WHY_BYTES 2048
struct store_answer {
    uint32_t exception; /* ClickHouse's number; 0: none */
    uint64_t read_rows, read_bytes; /* from the tables; 0 where the result is empty */
    uint64_t rows, bytes;           /* of the result, as the engine holds them */
    uint64_t ns;
    char why[STORE_WHY_BYTES]; /* a sentence on every failure; never what is in a row, nor a path */
};

/* Gets the result's bytes in order; another value than 0 cancels the statement. */
typedef int store_sink(void *arg, const void *p, size_t len);

/* A connection that can only read, for one statement after the other. ERR_USAGE: the projects are none. */
int store_reader_open(struct store *s, const struct store_terms *t, struct store_reader **ret);
void store_reader_close(struct store_reader *r); /* NULL-safe */

/*
 * Runs one statement of a person, after store/guard.h allowed it. ERR_DENIED: not allowed; ERR_SYNTAX: the
 * engine refused it; ERR_LIMIT: it exceeded a limit; ERR_PEER: it was cancelled; otherwise what the sink
 * returned.
 */
int store_reader_query(struct store_reader *r, const struct store_question *q, store_sink *sink, void *arg,
                       struct store_answer *ret);

/* Both, on a connection of its own: no statement finds anything of another. */
int store_ask(struct store *s, const struct store_terms *t, const struct store_question *q, store_sink *sink,
              void *arg, struct store_answer *ret);

/* Asks the engine to end the statement of that tag, if there is one. From any thread. */
int store_cancel(struct store *s, const char *tag);

/* From schema.c: the statements that make database and tables, one by one; NULL after the last. */
const char *schema_statement(unsigned i);
/* The INSERT's column list, "(a, b, ...)". */
const char *schema_insert_columns(enum rows_table t);

#endif
