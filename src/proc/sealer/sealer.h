#ifndef SEALER_SEALER_H
#define SEALER_SEALER_H
/*
 * safehouse-sealer: takes exchanges out of the ring, seals them into the spool, ships batches to
 * vault and store. The parts of one process; everything hangs on struct sealer.
 *
 *   main.c      start, sandbox, loop, connections, messages, the round over the ring, the end
 *   exchange.c  one exchange: ring slot -> turn -> sealed rows in the spool
 *   findings.c  what the detector finds in it, and what is stored in its place
 *   known.c     where what was masked towards the provider stands again
 *   subjects.c  whose exchange it is: names -> subject ids and public keys
 *   marks.c     high-water marks of the workers' exchanges
 *   reports.c   reports from outside, sealed on their way to the vault
 *   ship.c      finished batches and assignments on their way
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ipc/child.h"
#include "ipc/loop.h"
#include "ring/ring.h"
#include "write/detect/detect.h"
#include "write/policy/policy.h"
#include "write/seal/seal.h"
#include "write/spool/spool.h"
#include "write/turn/turn.h"

#define WRITER_PEPPER_BYTES 32
#define SEALER_SLOTS 1024 /* looked at in one round */

/* What the vault lends a sealer (MSG_WRITER). */
struct writer {
    bool have;
    uint32_t writer, pepper_number;
    uint8_t pepper[WRITER_PEPPER_BYTES];
    uint8_t mac[32];
    uint8_t opening[32]; /* public */
};

struct subject {
    uint8_t id[UUID_BYTES];
    uint8_t public_key[32];
};

struct subjects;
struct exchange_work;
struct findings;

/* How far a worker counted. */
#define SEALER_MARKS 256
struct mark {
    uint64_t epoch, highest; /* highest 0: a free place */
    uint32_t open, found;    /* as said last; in this look at the ring */
    bool changed;            /* since it was sent */
};
struct marks {
    struct mark marks[SEALER_MARKS];
    uint64_t next_ns; /* not sent before this */
};

struct sealer {
    struct child child;
    struct loop *loop;
    struct ring *ring;
    struct peer *vault, *store; /* NULL: not there now */
    struct spool *spool;
    struct prefix *prefix;
    struct sealing *sealing;
    struct writer writer;
    struct subjects *subjects;
    struct exchange_work *work;
    struct findings *findings;
    uint64_t id;
    struct marks marks;
    /* sealed, in the spool's group, to be released when it is durable */
    struct ring_slot *done[SEALER_SLOTS];
    size_t done_count;
    bool report_sent;  /* to the vault, which has not answered */
    uint8_t report_number[8];
    bool again;        /* something came that the round should look at now */
    uint64_t round_ns; /* else the next round is not before this */
    int found;         /* exchanges that the last one saw, or its error */
    bool stopping;
    uint64_t stop_ns; /* not later than this */
    int disk;         /* the spool's last error, to log it once */
};

/* ---- main.c ---- */
/* Sends, or marks the connection broken (it is dropped when its descriptor reports so). */
int sealer_send(struct sealer *s, struct peer *p, enum ipc_msg msg, const void *payload, size_t len,
                int fd);

/* ---- exchange.c ---- */
int exchange_init(struct exchange_work **ret);
/* The vault lent other keys: the data keys in use end. */
int exchange_writer(struct sealer *s);
/* A subject is erased: its data keys end, and what is known of its histories goes. */
void exchange_forget(struct sealer *s, const uint8_t subject[UUID_BYTES]);
/*
 * Adds the slot's rows to the spool as one unit. ERR_AGAIN: its subject is not known yet. Other
 * errors are worth another try later; the slot stays as it is. Leaves no plaintext in memory.
 */
int exchange_seal(struct sealer *s, struct ring_slot *slot);

/* ---- known.c ---- */
/*
 * Adds to the findings in a turn's JSON those places where a value of the request stands that was masked
 * towards the provider: put back into the answer, it may stand where no rule would see a secret.
 * `wanted`: of which rules.
 */
struct known_wish {
    const struct detect *detect;
    struct detect_work *work;
    bool (*wanted)(struct detect_rule_info rule, void *arg);
    void *arg;
};
int known_add(const struct known_wish *wish, const struct buf *request, const struct buf *turn,
              struct detect_findings *list);

/* ---- findings.c ---- */
/* `policy_fd`: what the configuration says (src/proc/supervisor/policy.c has its form); -1: nothing. */
int findings_new(struct findings **ret, int policy_fd);
/* The key of fingerprints from now on, and its number. */
void findings_key(struct findings *f, uint32_t number, const uint8_t key[FINGERPRINT_KEY_BYTES]);
/* A new exchange of this project begins; nothing is known of it. */
void findings_begin(struct findings *f, const struct ring_slot *slot, const char *project);
void findings_end(struct findings *f);
/* Puts placeholders in place of the secrets in a turn's JSON, whose request (JSON or not) is needed where
 * the project masks. An error: it cannot be judged, and must
 * not be stored; ERR_DENIED: it was tried too often. */
int findings_turn(struct findings *f, struct ring_slot *slot, const struct buf *request,
                  struct buf *turn);
/* The same in the text of a label; false: the label must be dropped (and `text` is wiped). */
bool findings_label(struct findings *f, struct ring_slot *slot, char *text, size_t size);
/* The turn is not stored: what was found in it so far is forgotten. */
void findings_withheld(struct findings *f);
uint16_t findings_total(const struct findings *f);
/* Fills what the i-th row says of the finding; false: there are no more. */
bool findings_row(const struct findings *f, size_t i, struct finding_row *ret);

/* ---- subjects.c ---- */
int subjects_new(struct subjects **ret);
/*
 * The subject of a name. Unknown: asks the vault and gives ERR_AGAIN; when the vault does not
 * answer in time, a pair of the pool becomes this person's, and the spool keeps that until the
 * vault knows.
 */
int subjects_get(struct sealer *s, const char *tenant, const char *project, uint8_t kind,
                 const char *name, struct subject *ret);
int subjects_message(struct sealer *s, const struct frame *f); /* SUBJECT_IS, POOL_IS */
/* The pepper changed: what was known is known no more (the pool stays). */
void subjects_reset(struct subjects *u);
/* u32 number | n x 16 id: nothing is known of these any more, in the whole process. ERR_SYNTAX. */
int subjects_forget(struct sealer *s, const struct frame *f);
/* A vault is there: ask again, and fill the pool. */
void subjects_connected(struct sealer *s);
/* Any question without an answer? */
bool subjects_waiting(const struct subjects *u);

/* ---- marks.c ---- */
/* The slot's exchange is in the spool, durably; before ring_release. */
void marks_released(struct sealer *s, const struct ring_slot *slot);
void marks_connected(struct sealer *s); /* a vault is there: it is told all of them */
/* While no batch is open: sends what changed, when it is time. */
void marks_send(struct sealer *s);

/* ---- reports.c ---- */
/* Sends the next one to the vault, if that is possible now. */
void reports_turn(struct sealer *s);
void reports_noted(struct sealer *s, const uint8_t *number);
void reports_lost(struct sealer *s); /* the vault is gone: the one that was sent is sent again */
bool reports_waiting(const struct sealer *s);

/* ---- ship.c ---- */
void ship_messages_lost(struct sealer *s, enum ipc_role who); /* its connection is gone */
void ship_noted(struct sealer *s, uint64_t number);
void ship_inserted(struct sealer *s, uint64_t number, int rc);
/* Sends what can be sent now. Returns the ms after which to try again, -1 = no need. */
int ship(struct sealer *s);

#endif
