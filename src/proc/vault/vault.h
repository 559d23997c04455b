#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H
/*
 * safehouse-vault: keeps the keys and the ledger, answers the sealer, and opens cells for the
 * command line after the ledger has it. The parts of one process; everything hangs on struct vault.
 *
 *   main.c      start, sandbox, loop, supervisor, the end; `--init`
 *   sealer.c    the sealer's questions, answered in rounds that share a transaction or an fsync
 *   clients.c   the command line's connections
 *   opening.c   one opening request: cells in, ledger, plaintext out
 *   noting.c    the ledger's entries about it
 *   secret.c    the fingerprints of a value that is looked for
 *   states.c    locked and unlocked
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ipc/child.h"
#include "ipc/loop.h"
#include "read/ledger/ledger.h"
#include "read/subject/keys.h"

#define VAULT_CLIENTS_MAX 32
#define VAULT_TURN_NS 20000000ull /* of one kind of work, before others get their turn */

struct vault;

/* Frames of the sealer that are answered together: all of them, or none and later again. */
struct round {
    const char *name; /* for the log */
    int (*begin)(struct vault *v);
    int (*handle)(struct vault *v, uint16_t msg, const uint8_t *p, size_t len);
    int (*commit)(struct vault *v);
    void (*undo)(struct vault *v);
    struct buf frames;
    size_t done;       /* bytes of frames that are answered */
    uint64_t retry_ns; /* after a failure: not before this */
    int rc;            /* of the last attempt, to log it once */
};

struct client;

struct vault {
    struct child child;
    struct sandbox_state sandbox;
    struct loop *loop;
    struct keys *keys;
    struct ledger *ledger; /* NULL: damaged; nothing is noted, so nothing opens */
    bool stop;

    struct peer *sealer;   /* NULL: not there now */
    bool greeted;          /* it said HELLO on this connection */
    uint32_t lent, writer; /* its writer key: in this round, committed */
    struct round questions, batches;
    struct buf answers; /* of the round that runs; they leave after its commit */

    struct client *clients[VAULT_CLIENTS_MAX];
    size_t client_count, client_first; /* whose turn is first, by turns */
    size_t open_bytes;                 /* sealed cells that wait in all clients' requests */

    unsigned asked; /* for fingerprints, since */
    uint64_t asked_ns;

    bool joining;         /* since the unlock, until every subject has its lasting tag */
    unsigned wrong;       /* passphrases in a row */
    uint64_t patience_ns; /* no passphrase is tried before this */
};

/* ---- main.c ---- */
/* Watches p for what it waits for; EPOLLIN only when `reads`. */
void vault_watch(struct vault *v, struct peer *p, bool reads);

/* ---- sealer.c ---- */
void sealer_init(struct vault *v);
void sealer_take(struct vault *v, int fd); /* a new connection replaces the old one */
void sealer_drop(struct vault *v);
/* Reads, answers. Returns in how many ms to come again, -1: when something comes. */
int sealer_turn(struct vault *v);
/* Lends the lasting pepper, after an unlock. */
void sealer_lend_again(struct vault *v);

/* ---- clients.c ---- */
int clients_start(struct vault *v);
int clients_turn(struct vault *v);    /* as sealer_turn */
void clients_locked(struct vault *v); /* what is being answered ends, and plaintext is dropped */
void clients_stop(struct vault *v);

/* ---- opening.c ---- */
struct opening;
int opening_new(struct vault *v, struct opening **ret);
void opening_free(struct opening *o); /* NULL-safe; wipes */
/* Payload of OPEN_CELL. A cell that is not well-formed is answered so; ERR_SYNTAX: the frame is
 * not. ERR_LIMIT, ERR_FULL, ERR_NOMEM: the request fails. */
int opening_cell(struct opening *o, const uint8_t *p, size_t len);
/* Notes the opening, durably. Only after 0 may opening_next be called. */
int opening_begin(struct opening *o, uint32_t uid, const char *reason, size_t reason_len);
/* Opens the next cell: *ret is the payload of OPENED (borrowed until the next call; wiped then).
 * ERR_NOTFOUND: that was the last. ERR_LOCKED: locked in between. */
int opening_next(struct opening *o, const struct buf **ret);

/* ---- noting.c ---- */
/* A cell of an opening: whose, and as it stands in the ledger. */
struct noted_cell {
    uint8_t subject[UUID_BYTES];
    uint32_t order; /* in which it came */
    struct ledger_cell cell;
};
/* Notes the opening, durably: sorts the cells, one entry for each subject. `who` without its rest. */
int note_opening(struct vault *v, const struct ledger_who *who, struct noted_cell *cells,
                 uint32_t count);
/* That somebody asked where a value was seen. */
int note_question(struct vault *v, const struct ledger_who *who);

/* ---- secret.c ---- */
/* Payload of SECRET_TAG; appends that of SECRET_TAGS. ERR_LOCKED; ERR_AGAIN: too often; ERR_IO: the
 * ledger cannot be written. */
int secret_tags(struct vault *v, uint32_t uid, const uint8_t *p, size_t len, struct buf *out);

/* ---- states.c ---- */
/* ERR_UNAUTHENTICATED: wrong; ERR_AGAIN: too soon after wrong ones. */
int state_unlock(struct vault *v, const uint8_t *passphrase, size_t len);
void state_lock(struct vault *v);
/* Seconds until a passphrase is tried again. */
unsigned state_patience(const struct vault *v);
int state_turn(struct vault *v); /* joins after an unlock; as sealer_turn */

#endif
