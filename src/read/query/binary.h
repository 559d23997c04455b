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

/*
 * Native as clients of that protocol version read it (client_protocol_version; 0: none was named, which is how
 * the engine writes it here). Two versions differ in what concerns us: from BINARY_BLOCK_INFO on a block begins
 * with the fields of a BlockInfo, from BINARY_SERIALIZATION on a column's type is followed by a byte, 0 for the type's
 * own serialization (src/Core/ProtocolDefines.h and src/Formats/NativeWriter.cpp in ClickHouse's sources).
 */
#define BINARY_BLOCK_INFO 51903u
#define BINARY_SERIALIZATION 54454u

/* p is borrowed. `open` NULL: cells stay as they are; `protocol` is for BINARY_NATIVE. ERR_UNSUPPORTED: a column's type is one whose bytes are not known here; ERR_CORRUPT: that is
 * no such result. */
int binary_new(struct binary **ret, enum binary_format format, uint32_t protocol, const uint8_t *p, size_t len,
               cells_open *open, void *open_arg, cells_write *write, void *write_arg);
void binary_free(struct binary *b); /* NULL-safe */
/* Opens and writes a group. ERR_NOTFOUND: all is written. */
int binary_step(struct binary *b);
const struct tally *binary_tally(const struct binary *b);

#endif
