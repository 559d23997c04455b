#ifndef PROC_CLI_LEDGER_CLI_H
#define PROC_CLI_LEDGER_CLI_H
/*
 * What the subcommands of `safehouse ledger` share: the log, from the running vault or, when
 * nothing runs, from its folder; and the newest checkpoint that a witness cosigned,
 * D/control/witnessed.
 */
#include <stdbool.h>

#include "base/buf.h"
#include "proc/cli/session.h"
#include "read/ledger/leaf.h"

struct ledger_source {
    int fd;
    uint64_t bytes; /* of it that are confirmed */
    struct note_key key;
    struct checkpoint checkpoint; /* the newest, */
    struct buf note;              /* and its note */
};
/* CLI_GO, or the exit code after it said what is wrong. `session` NULL: asked as the unix user, who may
 * have the log in both states of the vault; with one, its person must be admin or auditor. */
int ledger_source_open(struct ledger_source *s, const char *dir, const struct cli_session *session);
void ledger_source_close(struct ledger_source *s);
/* The cosigned checkpoint takes the newest one's place. CLI_GO or the exit code, as above. */
int ledger_source_witnessed(struct ledger_source *s, const char *dir);

/* The stored note; ERR_NOTFOUND. */
int ledger_witnessed_read(const char *dir, struct buf *note);
/* Replaces it, durably. ERR_*. */
int ledger_witnessed_write(const char *dir, const struct buf *note);

/* Appends the tlog-proof of one entry. ERR_USAGE: the checkpoint does not have it. */
int ledger_proof(const struct ledger_source *s, uint64_t index, struct buf *out);

/* ---- ledger_prove.c, ledger_export.c, ledger_witness.c: CLI_GO is done, or the exit code ---- */
int ledger_prove(const struct ledger_source *s, uint64_t index, const char *file, bool json);
int ledger_export(const struct ledger_source *s, const char *to, bool json);
int ledger_witness(const struct ledger_source *s, const char *dir, const char *url, const char *key,
                   bool json);

#endif
