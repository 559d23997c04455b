#ifndef VERIFY_SHAPE_H
#define VERIFY_SHAPE_H
/*
 * The shapes of the tables' rows in RowBinary, from doc/batch.md: verify's own, beside those of
 * record/rows.h, which write them. A row is never rebuilt: the bytes that came are what is hashed, and
 * the shape tells where they end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "read/verify/sha.h"

#define SHAPE_TABLES 4
#define SHAPE_COLUMNS 40
#define SHAPE_PLACE_BYTES 20
#define SHAPE_ROW_MAX LIMIT_SPOOL_FRAME

enum shape_table { SHAPE_DATA_KEYS = 1, SHAPE_TURNS, SHAPE_INTERACTIONS, SHAPE_FINDINGS };
enum shape_kind { SHAPE_STRING, SHAPE_FIXED, SHAPE_UUID, SHAPE_NUMBER, SHAPE_MAP };

struct shape_column {
    const char *name;
    enum shape_kind kind;
    uint16_t bytes; /* but for strings and maps */
};

struct shape {
    const char *table;
    const struct shape_column *columns;
    size_t count;
    int id; /* the column that names the row; -1: none does */
};

/* t is 1..SHAPE_TABLES, as in a leaf. */
const struct shape *shape_of(int t);

/* One row, borrowed. Column i is bytes[i ? ends[i - 1] : 0 .. ends[i]]. */
struct shape_row {
    const uint8_t *p;
    size_t len;
    size_t ends[SHAPE_COLUMNS];
};

/* The row at p: 0; ERR_AGAIN: it is longer than len; ERR_CORRUPT. */
int shape_read(const struct shape *s, const uint8_t *p, size_t len, struct shape_row *ret);
/* A column of it, with a string's length before it. */
const uint8_t *shape_column(const struct shape_row *r, size_t i, size_t *ret_len);

struct shape_place {
    uint64_t sealer, batch;
    uint32_t index;
};
struct shape_place shape_place(const struct shape_row *r);
uint64_t shape_time_us(const struct shape_row *r);
/* The worker's epoch and number of an interaction. */
void shape_exchange(const struct shape_row *r, uint64_t *ret_epoch, uint64_t *ret_sequence);
/* The row's own id in printed order; zeros for a table that has none. */
void shape_id(const struct shape *s, const struct shape_row *r, uint8_t out[UUID_BYTES]);
void shape_leaf(uint8_t out[SHA_BYTES], int table, const uint8_t *row, size_t len);

/* A result in RowBinary, in pieces: gives each row to fn. ERR_CORRUPT: not rows. */
typedef int shape_fn(void *arg, const struct shape_row *r);
struct shape_stream {
    const struct shape *shape;
    shape_fn *fn;
    void *arg;
    uint8_t *rest; /* of a row that is not whole */
    size_t len, room;
    bool malformed; /* ERR_CORRUPT was because of a row */
};
void shape_stream_init(struct shape_stream *s, int table, shape_fn *fn, void *arg);
/* A store_sink and remote_sink. */
int shape_stream_feed(void *stream, const void *p, size_t len);
/* After the last piece. 0; ERR_CORRUPT: it ended within a row. Lets the memory go in any case. */
int shape_stream_end(struct shape_stream *s);

/* Appends "a, b, c": the columns to select. */
int shape_names(const struct shape *s, struct buf *out);

#endif
