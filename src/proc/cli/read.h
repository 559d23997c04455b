#ifndef PROC_CLI_READ_H
#define PROC_CLI_READ_H
/*
 * What the subcommands share that read the log (query, show, tail): how opened text leaves the
 * process, and how a failure is told.
 *
 *   struct out out;
 *   out_init(&out);
 *   ... out_write(&out, p, len) ...
 *   rc = out_finish(&out);
 */
#include <stddef.h>

#include "base/buf.h"
#include "read/query/remote.h"

/*
 * Standard output for text that came from outside. Written without stdio, which would keep a copy;
 * what waits is zeroed when it is gone. To a terminal no control character goes but line ends and
 * tabs, whatever the format: others are shown as \xHH.
 */
struct out {
    bool terminal;
    int fd;
    bool lead; /* the last byte was 0xc2, which may begin a C1 control character */
    struct buf held;
};

void out_init(struct out *o);
/* The same to a file, whose bytes are written as they are. Borrows fd. */
void out_to(struct out *o, int fd);
/* ERR_IO: nobody reads any more. */
int out_write(void *out, const void *p, size_t len);
/* Writes what is held. */
int out_flush(struct out *o);
/* Writes what is held and lets the memory go; after any result. */
int out_finish(struct out *o);

/* From here on the process holds opened text: no core file, no debugger of the same user. */
void read_harden(void);

/* The reason that opening needs. CLI_GO, or the exit code after it said what is wrong. */
int read_check_reason(const char *reason);

#define READ_TIME 40
/* The engine's "2026-01-31 12:00:00.000000", which is UTC, as RFC 3339 has it. */
void read_time(char out[READ_TIME], const char *text);

/* Tells what went wrong with a statement or an opening, and gives the exit code. */
int read_fail(const struct remote *r, const char *dir, int rc);

#endif
