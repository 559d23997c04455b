#ifndef CONSOLE_OPENING_H
#define CONSOLE_OPENING_H
/*
 * The sealed cells of an answer (open=1). The result is held as the store gives it, sealed, up to
 * OPENING_HELD bytes, so that the vault can judge all of its cells as one and before the first byte leaves;
 * then it goes out in pieces, opened in groups, and nothing that is open is held longer than its group.
 */
#include "proc/console/console.h"
#include "read/query/cells.h"

#define OPENING_HELD (128u << 20) /* of one answer */
#define OPENING_REQUESTS 4        /* answers that are held at once */

struct opening;

/* ERR_USAGE: there is no reason, or the format has no place for opened text; ERR_FULL. */
int opening_new(struct console *c, const struct caller *caller, const struct http_request *r,
                cells_write *write, void *write_arg, struct opening **ret, struct http_why *why);
void opening_free(struct opening *o); /* NULL-safe; wipes */

/* The format that the store is to be asked for. */
const char *opening_format(const struct opening *o);
int opening_hold(struct opening *o, const void *p, size_t len, struct http_why *why);
/* All is held: the vault judges. ERR_APPROVAL, ERR_QUOTA, ... */
int opening_begin(struct opening *o, struct http_why *why);
bool opening_begun(const struct opening *o);
/* Writes some more. ERR_NOTFOUND: that was all of what is held. */
int opening_next(struct opening *o, struct http_why *why);
int opening_finish(struct opening *o, struct http_why *why);
/* How many cells there are. */
void opening_headers(const struct opening *o, struct MHD_Response *response);

#endif
