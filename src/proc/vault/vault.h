#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H
/*
 * safehouse-vault: keeps the keys and the ledger, answers the sealer, and opens cells for the
 * command line after the ledger has it. The parts of one process; everything hangs on struct vault.
 *
 *   main.c      start, sandbox, loop, supervisor, the end; `--init`
 *   sealer.c    the sealer's questions, answered in rounds that share a transaction or an fsync
 *   clients.c   the command line's connections
 *   client.h    one connection, for the files below
 *   signin.c    signing in and out
 *   persons.c   requests about people, and second persons' approvals
 *   plan.c      what one person may open alone
 *   helper.c    passwords' hashes, in a process of their own
 *   opening.c   one opening request: cells in, ledger, plaintext out
 *   noting.c    the ledger's entries about it
 *   secret.c    the fingerprints of a value that is looked for
 *   person.c    one person: found, held, exported
 *   erase.c     erased, together with the sealer
 *   readings.c  who read what, for the persons read about
 *   canary.c    persons that nobody is, and the alarm when they are read
 *   renew.c     the next generation of keys, and when
 *   inbox.c     reports from outside
 *   retain.c    retention: who is held, and the ledger's entry
 *   fresh.c     is this the newest there is of this vault?
 *   states.c    locked and unlocked
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/rate.h"
#include "base/buf.h"
#include "ipc/child.h"
#include "ipc/loop.h"
#include "read/ledger/ledger.h"
#include "read/people/people.h"
#include "read/people/throttle.h"
#include "read/subject/keys.h"
#include "record/inquiry.h"

#define VAULT_CLIENTS_MAX 32
#define VAULT_CHANNELS_MAX 128 /* of the console, beside those */
#define VAULT_HASHINGS_MAX 8
#define VAULT_APPROVAL_ABOVE 1000 /* cells an hour that one person opens alone, unless configured */
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

struct canaries;
struct noted_cell;
struct client;
struct erasing;

/* `hash` is 32 bytes, NULL when rc is not 0. */
typedef void helper_fn(struct vault *v, struct client *c, int rc, const uint8_t *hash);
/* A password that the helper hashes. */
struct hashing {
    uint64_t id;           /* 0: none */
    struct client *client; /* NULL: gone in the meantime */
    helper_fn *done;
};

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

    struct peer *console; /* NULL: not there; it hands over channels, and says nothing else */
    struct client *clients[VAULT_CLIENTS_MAX + VAULT_CHANNELS_MAX];
    size_t client_count, client_first; /* whose turn is first, by turns */
    size_t channel_count;              /* of them */
    size_t open_bytes;                 /* sealed cells that wait in all clients' requests, and entries about them */
    bool holds_changed;                /* since retention asked who is held */
    bool traces;                       /* of keys, names and plaintext, in this turn */

    struct erasing *erasing;
    struct buf forget; /* ids that were erased, which the sealer has not said that it forgot */
    bool forget_due;   /* it has not been told on this connection */
    uint32_t forget_number, forgot, forgotten; /* told; answered: in this round, committed */

    const char *stale;      /* why this vault is an old one, and stays locked; NULL: it is not */
    uint64_t saved_entries; /* of the ledger, in the checkpoint that is kept outside */
    uint64_t save_ns;       /* the next one not before */
    struct client *renewing; /* who waits for a new generation */
    bool renew_now;
    uint64_t renew_ns; /* after a failure: not before this */
    struct people *people; /* NULL: locked, or they cannot be read, and then nobody may do anything */
    struct throttle *throttle;
    uint32_t throttle_row; /* its record; 0: none yet */
    uint64_t approval_above; /* cells an hour */
    int helper_fd;           /* -1: it is gone */
    uint64_t last_hashing;
    unsigned guesses; /* sessions that there were not, since */
    uint64_t guesses_ns;
    struct hashing hashings[VAULT_HASHINGS_MAX];

    struct rate asked; /* for fingerprints */

    uint8_t report[KEYS_REPORT_NUMBER]; /* of the round that runs: */
    bool report_due;                    /* the ledger gets it with this round's sync */

    struct canaries *canaries; /* NULL: none */
    bool joining;         /* since the unlock, until every subject has its lasting tag */
    unsigned wrong;       /* passphrases in a row */
    uint64_t patience_ns; /* no passphrase is tried before this */
};

/* ---- main.c ---- */
/* Watches p for what it waits for; EPOLLIN only when `reads`. */
void vault_watch(struct vault *v, struct peer *p, bool reads);

/* ---- helper.c ---- */
int helper_start(struct vault *v); /* forks: before the sandbox, and before anything secret is read */
int helper_watch(struct vault *v);
/* Hashes a password as `with` says; `done` comes in a later turn, unless the client is forgotten.
 * ERR_FULL: too many wait; ERR_PEER: the helper is gone. */
int helper_hash(struct vault *v, struct client *c, const struct password *with,
                const uint8_t *password, size_t len, helper_fn *done);
void helper_forget(struct vault *v, const struct client *c);
void helper_turn(struct vault *v);

/* ---- persons.c ---- */
/* That one-person mode is on is in the ledger, from the first unlock on. */
void persons_note_mode(struct vault *v);

/* ---- sealer.c ---- */
void sealer_init(struct vault *v);
void sealer_take(struct vault *v, int fd); /* a new connection replaces the old one */
void sealer_drop(struct vault *v);
/* Reads, answers. Returns in how many ms to come again, -1: when something comes. */
int sealer_turn(struct vault *v);
/* Lends the lasting pepper, after an unlock. */
void sealer_lend_again(struct vault *v);
/* Tells the sealer to forget v->forget, or (_ids) n ids; v->forget_number is what it will answer
 * with. ERR_PEER: it is not there. */
int sealer_forget(struct vault *v);
int sealer_forget_ids(struct vault *v, const uint8_t *ids, size_t n);

/* ---- clients.c ---- */
int clients_start(struct vault *v);
int clients_turn(struct vault *v);    /* as sealer_turn */
/* The console's connection (taken), instead of an earlier one, and what it hands over. */
void clients_console(struct vault *v, int fd);
void clients_console_turn(struct vault *v);
void clients_locked(struct vault *v); /* what is being answered ends, and plaintext is dropped */
void clients_stop(struct vault *v);

/* Frames for a client, and what END says. */
#define ANSWER_HEAD 6 /* u16 message | u32 length */
struct answer {
    struct buf frames;
    char why[1536];
};
/* A request that took longer is answered. */
void clients_answer(struct vault *v, struct client *c, int rc, const struct answer *a);
/* Who it is, as the ledger is told; kept while a request takes its time. */
struct client_who {
    uint32_t uid;
    char person[LIMIT_NAME]; /* empty: the owner by his unix user */
    uint8_t session[UUID_BYTES];
};
struct ledger_who who_of(const struct client_who *w, const char *reason, size_t reason_len);

/* ---- person.c ---- */
int answer_add(struct answer *a, enum ipc_msg msg, const void *p, size_t len);
/* The note is signed with the ledger's key, and is a frame of the answer then. */
int answer_receipt(struct vault *v, struct buf *note, struct answer *a);
int answer_fail(struct answer *a, int rc, const char *why); /* gives rc */
/* find, export, hold, release. */
int person_answer(struct vault *v, const struct inquiry *q, const struct ledger_who *who,
                  struct answer *a);
/* The one person whom the names lead to; *ret_name is borrowed from q. ERR_NOTFOUND, ERR_EXISTS:
 * several; ERR_AGAIN. The ids are to be buf_wiped in any case. */
int person_only(struct vault *v, const struct inquiry *q, struct answer *a, struct keys_person *ret,
                const uint8_t **ret_name, size_t *ret_len);
/* Appends the entry with the person's ids as its subject part, durably. ERR_IO: it could not. */
int person_note(struct vault *v, const struct keys_person *p, struct ledger_draft *d,
                struct ledger_receipt *ret);
/* An export is whole: 16 request | 32 SHA-256 | u32 cells. The ledger has it, then the note. */
int export_done(struct vault *v, const uint8_t *p, size_t len, const struct ledger_who *who,
                struct answer *a);

/* ---- erase.c ---- */
int erase_init(struct vault *v);
/* 0: it has begun, and clients_answer follows. */
int erase_begin(struct vault *v, const struct inquiry *q, struct client *c,
                const struct client_who *who, struct answer *a);
void erase_client_gone(struct vault *v, const struct client *c);
/* The sealer is about to be told of a subject. */
void erase_sealer_learns(struct vault *v, const uint8_t id[UUID_BYTES]);
int erase_turn(struct vault *v); /* as sealer_turn */
/* Finishes or calls off what was begun. ERR_DENIED: the ledger has an erasure that the keys do not
 * know, so they are old. */
int erase_recover(struct vault *v);

/* ---- readings.c ---- */
int readings_answer(struct vault *v, const uint8_t *p, size_t len, struct answer *a);
int events_answer(struct vault *v, const uint8_t *p, size_t len, struct answer *a);
/* Payload of REPORTED. */
int reported_sign(struct vault *v, const uint8_t *p, size_t len, struct answer *a);

/* ---- canary.c ---- */
/* A record of a canary (read/people/canary_record.h), when people are loaded. ERR_CORRUPT, ERR_FULL. */
int canary_take(struct vault *v, uint32_t n, const uint8_t *p, size_t len);
void canaries_forget(struct vault *v);
/* Their ids, before an opening. ERR_AGAIN: persons of the time when the vault was locked are being joined. */
int canaries_look(struct vault *v);
struct canary_alarm {
    uint32_t cells; /* of canaries; 0: no alarm */
    uint64_t entry;
};
/* Appends the ledger's entry if canaries are among the cells; the caller's ledger_sync makes it durable. */
int canary_note(struct vault *v, const struct ledger_who *who, const struct noted_cell *cells,
                uint32_t count, struct canary_alarm *ret);
/* After that: tells the supervisor. ERR_*: it is not there, and nothing may be opened. */
int canary_raise(struct vault *v, const struct ledger_who *who, const struct canary_alarm *a);
enum canary_verb { CANARY_PLANT = 1, CANARY_LIST, CANARY_REMOVE };
int canary_request(struct vault *v, enum canary_verb verb, const uint8_t *name, size_t len,
                   const struct ledger_who *who, struct answer *a);

/* ---- renew.c ---- */
/* 0: clients_answer follows. */
int renew_ask(struct vault *v, struct client *c, struct answer *a);
void renew_client_gone(struct vault *v, const struct client *c);
int renew_turn(struct vault *v); /* as sealer_turn */

/* ---- inbox.c ---- */
/* Is that a payload of REPORT? */
bool inbox_whole(size_t len);
/* One that is, kept; the ledger has it after its next sync, and then inbox_noted is to be called. 0:
 * answer with its number. */
int inbox_take(struct vault *v, const uint8_t *p, size_t len);
void inbox_noted(struct vault *v);
/* Tells the supervisor how many wait. */
void inbox_tell(struct vault *v);
/* INBOX of a client. ERR_SYNTAX ends it; everything else is answered. */
struct answer;
int inbox(struct vault *v, struct client *c, const struct frame *f, struct answer *out);

/* ---- retain.c ---- */
/* HOLDS and RETENTION, answered to the supervisor. ERR_*: the supervisor is gone. */
int retain_frame(struct vault *v, const struct frame *f);

/* ---- fresh.c ---- */
/* The ledger's newest checkpoint into the keys, in a transaction of the caller. */
int checkpoint_save(struct vault *v);
int checkpoint_turn(struct vault *v); /* as sealer_turn */
/* Compares everything; finishes erasures. NULL: all is well, else why not (v->stale). */
const char *fresh_look(struct vault *v);
void fresh_turn(struct vault *v); /* when a replica comes back */

/* ---- opening.c ---- */
struct opening;
/* For whoever asks. ERR_DENIED: no reader. */
int opening_new(struct vault *v, const struct people_actor *actor, struct opening **ret);
void opening_free(struct opening *o); /* NULL-safe; wipes */
/* Is that a payload of OPEN_CELL? */
bool opening_cell_whole(const uint8_t *p, size_t len);
/* One that is. A cell that is not well-formed is answered so. ERR_LIMIT, ERR_FULL, ERR_NOMEM: the request fails. */
int opening_cell(struct opening *o, const uint8_t *p, size_t len);
/* Judges the opening, and charges it. ERR_APPROVAL, ERR_QUOTA, and why in `text`. */
int opening_begin(struct opening *o, struct client *c, char *text, size_t text_size);
/* Of the quota, durably, in a transaction of its own. ERR_QUOTA. */
int opening_charge(struct vault *v, const struct people_opener *o, uint32_t cells, bool approved);
/* After that, as often as it says ERR_AGAIN: a bounded piece of noting it. 0: it is in the ledger, durably; only
 * then may opening_next be called. ERR_IO: it cannot be written. */
int opening_note(struct opening *o, const struct client *c);
bool opening_noted(const struct opening *o);
/* Is whoever asked still who may? Looked at before each turn. */
int opening_still(const struct opening *o);
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
/*
 * An opening in the making: one entry for each subject. Sorts the cells, which stay the caller's, and have to
 * stay. noting_step does a bounded piece: ERR_AGAIN: come again; 0: the ledger has all of it, durably, and
 * whom a canary has to tell knows; others: the ledger has nothing of it. `who` without its rest.
 */
struct noting;
int noting_new(struct vault *v, struct noted_cell *cells, uint32_t count, struct noting **ret);
int noting_step(struct noting *n, const struct ledger_who *who);
void noting_free(struct noting *n); /* NULL-safe; wipes */
/* All of it at once, for one cell. */
int note_opening(struct vault *v, const struct ledger_who *who, struct noted_cell *cell);
/* That somebody asked where a value was seen. */
int note_question(struct vault *v, const struct ledger_who *who);
/* The configuration that came into force, if the ledger does not have it as the last one. uid: of who asked, or
 * LEDGER_NO_UID. */
void note_configuration(struct vault *v, const uint8_t digest[32], uint32_t uid);
/* An API key or a project changes: an entry of the configuration's kind, durable. `who` with its rest. */
int note_key_change(struct vault *v, const struct ledger_who *who);
/* An entry without subject part, its kind's fields in who's rest; durable after note_sync. */
int note_append(struct vault *v, enum ledger_kind kind, const struct ledger_who *who);
/* There is a new key; nobody in particular made it. As note_append. Numbers are part of the entry. */
enum rotated { ROTATED_GENERATION = 1, ROTATED_PEPPER, ROTATED_FINGERPRINT };
int note_key(struct vault *v, enum rotated key, uint32_t number);
int note_sync(struct vault *v);
void note_undo(struct vault *v);
int note_event(struct vault *v, enum ledger_kind kind, const struct ledger_who *who); /* both */

/* ---- secret.c ---- */
/* Payload of SECRET_TAG; appends that of SECRET_TAGS. ERR_LOCKED; ERR_AGAIN: too often; ERR_IO: the
 * ledger cannot be written. */
int secret_tags(struct vault *v, const struct ledger_who *who, const uint8_t *p, size_t len,
                struct buf *out);

/* ---- states.c ---- */
/* ERR_UNAUTHENTICATED: wrong; ERR_AGAIN: too soon after wrong ones. */
int state_unlock(struct vault *v, const uint8_t *passphrase, size_t len);
void state_lock(struct vault *v);
/* Reads the people anew: sessions and requests end. */
void vault_load_people(struct vault *v);
/* Seconds until a passphrase is tried again. */
unsigned state_patience(const struct vault *v);
int state_turn(struct vault *v); /* joins after an unlock; as sealer_turn */

#endif
