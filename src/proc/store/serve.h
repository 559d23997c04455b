#ifndef PROC_STORE_SERVE_H
#define PROC_STORE_SERVE_H
/*
 * The threads that answer queries: each has its own reading connection and serves one client at a
 * time from the listening socket. A client that says nothing for a while is let go.
 */
#include "ipc/child.h"
#include "store/store.h"

struct serve;

/* Borrows c and s until serve_stop. */
int serve_start(struct serve **ret, const struct child *c, struct store *s);
/* Ends the threads: 0, or ERR_AGAIN when one is still inside a statement after some seconds; the
 * engine cannot be closed then. NULL-safe. */
int serve_stop(struct serve *v);

#endif
