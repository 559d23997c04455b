#ifndef QUERY_FORMAT_H
#define QUERY_FORMAT_H
/*
 * Output formats of the command line: their names (store/formats.h) and how opened text is written
 * in each.
 */
#include <stdbool.h>

#include "base/buf.h"
#include "store/formats.h"

/* The engine's spelling of the name, in any case given; NULL: not a format that may be asked for. */
const char *format_find(const char *name, size_t len, enum format_family *ret_family);

/* Splits a trailing "FORMAT Name" (and semicolons) off a statement: *len becomes shorter. Returns the
 * name within sql, or NULL if there is none. A FORMAT inside quotes or comments is not trailing. */
const char *format_split(const char *sql, size_t *len, size_t *ret_name_len);

/* Appends text as the format writes the inside of a string. */
int format_escape(enum format_family family, struct buf *out, const void *text, size_t len);

#endif
