#ifndef QUERY_CELLS_H
#define QUERY_CELLS_H
/*
 * Sealed cells in the bytes of a query's result: found, opened in groups, and replaced by their text,
 * escaped for the format. The result may come in pieces cut anywhere. What cannot be opened stays as
 * it is, and is counted.
 *
 * Who opens is the caller's: remote_open (read/query/remote.h) for a running installation, any other
 * cells_open for a test.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "read/query/format.h"
#include "read/query/tally.h"
#include "record/envelope.h"

#define CELLS_GROUP 256 /* opened together, at most */

struct cell {
    struct context ctx;
    const uint8_t *context, *envelope; /* borrowed */
    size_t context_len, envelope_len;
};

/* What became of a cell: its text (owned by whoever got it, wiped with buf_wipe), or why not. */
struct opened {
    int rc;
    struct buf text;
};

/* Fills ret[0..n); each text is buf_init'ed there. A failure of the whole is every cell's rc. */
typedef void cells_open(void *arg, const struct cell *cells, size_t n, struct opened *ret);
typedef int cells_write(void *arg, const void *p, size_t len);

struct cells;

int cells_new(struct cells **ret, enum format_family family, cells_open *open, void *open_arg,
              cells_write *write, void *write_arg);
void cells_free(struct cells *c); /* NULL-safe; wipes */
/* 0, or what `write` returned, or ERR_*. */
int cells_feed(struct cells *c, const void *p, size_t len);
int cells_finish(struct cells *c);

const struct tally *cells_tally(const struct cells *c);

/* Where a cell's text begins in p, and how long it is; `len`: there is none. */
size_t cells_find(const uint8_t *p, size_t len, size_t *ret_len);
/* The bytes of a cell's text ("shx1." and base64url): decoded into out, split in place. */
int cells_decode(struct buf *out, const char *text, size_t len, struct cell *ret);

#endif
