#ifndef QUERY_NATIVE_H
#define QUERY_NATIVE_H
/*
 * A result in Native as it streams, for clients of a newer protocol version than the engine writes it for
 * (binary.h). Blocks go on when they are whole.
 */
#include <stdbool.h>

#include "read/query/binary.h"

#define NATIVE_HELD (128u << 20) /* of one block */

struct native;

/* Is there anything to do for that format and version? */
bool native_differs(const char *format, uint32_t protocol);
int native_new(struct native **ret, uint32_t protocol, cells_write *write, void *arg);
void native_free(struct native *n); /* NULL-safe */
/* `last`: of what the engine gave at once, so that blocks probably end here. ERR_UNSUPPORTED: a column of a type
 * whose bytes are not known; ERR_LIMIT. */
int native_feed(struct native *n, const void *p, size_t len, bool last);
int native_finish(struct native *n); /* ERR_CORRUPT: the last block has no end */

#endif
