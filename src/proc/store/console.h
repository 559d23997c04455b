#ifndef PROC_STORE_CONSOLE_H
#define PROC_STORE_CONSOLE_H
/*
 * The console's end of the store: its channels, each of which asks one statement at a time (ipc/msg.h), and
 * the threads that answer them. They are others than the command line's, and few, so that however many
 * people ask, batches and the owner have their share of the machine.
 */
#include "store/store.h"

struct console;

#define CONSOLE_WORKERS 4    /* statements at one time */
#define CONSOLE_SPARES 4     /* and others in place of those that the engine does not come back from in time */
#define CONSOLE_CHANNELS 256 /* more are refused */

/* Borrows s until console_stop. */
int console_start(struct console **ret, struct store *s);
/* Takes fd, a connection that the console has made. ERR_FULL: closed, there are too many. */
int console_add(struct console *c, int fd);
/* Cancels what runs and ends the threads: 0, or ERR_AGAIN when one is still inside a statement after some
 * seconds; the engine cannot be closed then. NULL-safe. */
int console_stop(struct console *c);

#endif
