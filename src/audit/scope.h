#ifndef AUDIT_SCOPE_H
#define AUDIT_SCOPE_H
/*
 * The scope file: what may be probed, and on whose word. Nothing outside of it is ever connected
 * to.
 *
 *   # comment
 *   127.0.0.1        6379, 8123, 9000-9010
 *   10.20.0.0/28                             # data platform, SEC-1204, 2027-01-31
 *   db.example.org   5432 8123               # data platform, SEC-1204, 2027-01-31
 *   !10.20.0.7                               # never, whatever else is listed
 *
 * A line is an address, a network or a name; ports (none: those that the known services use); and
 * after # the owner, the ticket and the last day on which the line counts (UTC). The three must be
 * there for whatever is not loopback. Names are resolved once, here, and the addresses pinned.
 * Excluded lines win.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define SCOPE_FILE_MAX (1u << 20)
#define SCOPE_TARGETS_MAX 1048576u
#define SCOPE_TARGETS_DEFAULT 4096u /* more only when asked for */
#define SCOPE_PREFIX_MIN4 16        /* wider networks are refused */
#define SCOPE_PREFIX_MIN6 112
#define SCOPE_WHY 256

struct scope_target {
    char address[46]; /* numeric, INET6_ADDRSTRLEN */
    uint16_t port;
    uint32_t line; /* index in `lines` */
};

struct scope_line {
    uint32_t number; /* in the file, from 1 */
    char name[254];  /* as it stands there */
    char owner[64], ticket[64], until[11];
};

struct scope {
    struct scope_line *lines;
    size_t line_count;
    struct scope_target *targets; /* sorted by address and port, each once */
    size_t target_count;
    bool outside; /* something that is not loopback */
};

/* Turns a name into numeric addresses, at most `max`; returns how many, 0 when there are none. For
 * tests and for the real resolver, scope_resolve. */
typedef size_t scope_resolver(const char *name, char (*out)[46], size_t max);
scope_resolver scope_resolve;

/* Reads a scope. 0, or ERR_SYNTAX, ERR_LIMIT, ERR_NOTFOUND (a name), ERR_DENIED (a line that no
 * longer counts), ERR_NOMEM, with "line N: what is wrong; what to do" in `why`. `now`: the time to
 * judge by. */
int scope_read(struct scope *ret, const char *text, size_t len, time_t now, size_t targets_max,
               scope_resolver *resolve, char why[static SCOPE_WHY]);
void scope_done(struct scope *s);

#endif
