#ifndef PROC_CLI_PERSON_H
#define PROC_CLI_PERSON_H
/* What the files of `safehouse person` share: requests to the vault (doc/people.md). */
#include "base/buf.h"
#include "proc/cli/secrets.h"
#include "proc/cli/session.h"
#include "read/people/verbs.h"

/* Begins a request's payload: the verb, and the name unless it is NULL. */
int person_begin(struct buf *b, enum people_verb verb, const char *name);
/* Sends it if rc is 0, and wipes it; as session_ask. */
int person_send(const char *dir, const struct cli_session *s, struct buf *b, int rc, session_fn *each,
                void *arg, int *ret_rc);

/* ---- person_secret.c: subcommands ---- */
int person_password(int argc, char **argv);
int person_totp(int argc, char **argv);
int person_token(int argc, char **argv);

#endif
