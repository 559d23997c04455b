#ifndef QUERY_BINARY_H
#define QUERY_BINARY_H
/*
 * Sealed cells in a result in RowBinary or Native: found in its strings, opened in groups, and put back as
 * strings of the new length. The result is there as a whole (sealed; the caller holds it), and goes out in
 * steps. What cannot be opened stays as it is, and is counted.
 */
#include "read/query/cells.h"

enum binary_format {
    BINARY_NATIVE,
    BINARY_ROWS,             /* RowBinary, from RowBinaryWithNamesAndTypes, */
    BINARY_ROWS_NAMES,       /* whose types, or names and types, */
    BINARY_ROWS_NAMES_TYPES, /* are left out */
};

/* In what format the store is to be asked for one that a client asked for. ERR_UNSUPPORTED: opened text has
 * no place in it. */
int binary_find(const char *format, enum binary_format *ret, const char **ret_ask);

struct binary;

/* p is borrowed. ERR_UNSUPPORTED: a column's type is one whose bytes are not known here; ERR_CORRUPT: that is
 * no such result. */
int binary_new(struct binary **ret, enum binary_format format, const uint8_t *p, size_t len,
               cells_open *open, void *open_arg, cells_write *write, void *write_arg);
void binary_free(struct binary *b); /* NULL-safe */
/* Opens and writes a group. ERR_NOTFOUND: all is written. */
int binary_step(struct binary *b);
const struct tally *binary_tally(const struct binary *b);

#endif
