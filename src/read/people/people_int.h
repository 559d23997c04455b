#ifndef PEOPLE_PEOPLE_INT_H
#define PEOPLE_PEOPLE_INT_H
/* What the files of this folder share: the tables, and the records that they come from. */
#include "read/people/people.h"
#include "read/people/quota.h"
#include "read/people/totp.h"

enum totp_state { TOTP_NONE, TOTP_MADE, TOTP_ON };

/* In guarded memory. */
struct person {
    bool used;
    uint32_t id, row; /* row: of its record, 0 = none yet (owner); id: the row, or PEOPLE_OWNER */
    uint32_t epoch;   /* changes with every change: sessions of another epoch are over */
    char name[LIMIT_NAME];
    struct password password;
    uint8_t totp_state, totp[TOTP_SECRET_BYTES];
    uint64_t totp_step;         /* of the last code that was used */
    struct quota quota, alone; /* opened; of these without approval */
    uint32_t ahead;             /* written down as opened, and not yet opened */
};

struct grant {
    bool used, waits;
    uint32_t row, person, by;
    uint8_t role;
    uint32_t cells;
    uint64_t expires_us, since_us;
    char projects[LIMIT_GRANT_PROJECTS + 1];
};

struct token {
    bool used;
    uint32_t row, person;
    char label[LIMIT_NAME];
    uint8_t hash[32];
    uint64_t expires_us, created_us;
};

struct people {
    struct people_store store;
    struct person *persons; /* PEOPLE_MAX; the first is the owner */
    struct grant *grants;
    struct token *tokens;
    uint32_t head_row;
    bool several; /* one-person mode has ended */
    struct password nobody; /* what unknown names are hashed with */
    struct sessions *sessions;
    struct approvals *approvals;
};

#define WAITING_US (7ull * 86400u * 1000000u) /* a grant waits so long for its confirmation */

/* ---- records.c ---- */
int people_put_head(struct people *p);
int people_put_person(struct people *p, struct person *x);
int people_put_grant(struct people *p, struct grant *g);
int people_put_token(struct people *p, struct token *t);
int people_drop(struct people *p, uint32_t row);
/* The record's bytes, without its row: what a confirmation is about. */
size_t people_encode_grant(const struct grant *g, uint8_t out[PEOPLE_RECORD_MAX]);

/* ---- people.c ---- */
struct person *people_person(const struct people *p, uint32_t id); /* NULL: none */
/* Something about that person changed: sessions and requests are over. */
void people_changed(struct people *p, struct person *x);
bool grant_in_force(const struct grant *g, uint64_t now_us);
void grant_digest(const struct grant *g, uint8_t out[APPROVAL_DIGEST_BYTES]);

/* ---- grants.c ---- */
/* After somebody else changed how that person signs in: what his grants are worth has to be confirmed
 * again. Writes. */
int people_suspend(struct people *p, const struct people_actor *a, struct person *x, uint64_t now_us);

#endif
