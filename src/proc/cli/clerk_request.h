#ifndef PROC_CLI_CLERK_REQUEST_H
#define PROC_CLI_CLERK_REQUEST_H
/*
 * MSG_COMMAND (ipc/msg.h) as the command line of a subcommand. What is not in its table is no command, and
 * no option of it; a value is never taken for an option.
 *
 *   struct clerk_request r;
 *   if (clerk_request_take(&r, f.p, f.len, ".", config) == 0)
 *       run(r.argc, r.argv);
 *   clerk_request_done(&r);     in any case: wipes
 */
#include <stddef.h>
#include <stdint.h>

#include "ipc/msg.h"

#define CLERK_SESSION_BYTES 32
#define CLERK_WORDS_MAX 24

struct clerk_request {
    uint8_t session[CLERK_SESSION_BYTES];
    enum ipc_command command;
    char *argv[CLERK_WORDS_MAX + 1]; /* argv[0] is the subcommand; NULL behind the last */
    int argc;
    char *text; /* where argv's words lie that came in */
    size_t used;
};

/* `dir` is --dir, `config` the reports' --config (NULL: none). ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
int clerk_request_take(struct clerk_request *r, const uint8_t *p, size_t len, const char *dir, const char *config);
void clerk_request_done(struct clerk_request *r);

#endif
