#ifndef QUERY_PLAN_H
#define QUERY_PLAN_H
/*
 * Which cells a result will have opened, so that the vault can judge them as one before the first
 * (remote_plan): their hashes, gathered by reading the result as if to open it.
 */
#include "read/query/cells.h"

#define PLAN_BYTES (32u * (LIMIT_PLAN_CELLS + 1))

/* A cells_open that opens nothing: `hashes` is a struct buf of PLAN_BYTES, which gets 32 bytes a cell (one
 * more than may be planned is enough to know). */
void plan_gather(void *hashes, const struct cell *cells, size_t n, struct opened *ret);
/* A cells_write to go with it. */
int plan_discard(void *arg, const void *p, size_t len);

#endif
