#ifndef VAULT_CLIENT_H
#define VAULT_CLIENT_H
/*
 * One connection of the vault's socket, for the files that answer its requests. A request belongs to a
 * session if MSG_AS came before it, and to the unix user who ran init otherwise; its END ends that.
 */
#include "proc/vault/vault.h"
#include "read/people/frames.h"

/* What a request waits with while the helper hashes. In guarded memory. */
struct waiting {
    enum { WAIT_SIGN_IN, WAIT_ADD, WAIT_OLD, WAIT_NEW } for_what;
    unsigned place; /* of the throttle; WAIT_SIGN_IN, WAIT_OLD */
    bool throttled; /* it has that place */
    bool own;       /* WAIT_NEW: the old one was right */
    struct people_actor actor;
    char name[LIMIT_NAME], code[LIMIT_NAME];
    uint8_t next[LIMIT_PASSWORD]; /* WAIT_OLD: the new password */
    size_t next_len;
    struct password made; /* WAIT_ADD, WAIT_NEW: gets the hash */
};

struct client {
    struct peer *peer; /* NULL: hung up, to be dropped at its turn */
    unsigned uid;
    uint64_t since_ns;
    bool known; /* its token was right, or it is a channel */
    bool channel; /* of the console: never the owner, each request has its session */
    bool as;    /* the request that comes is for `session` */
    uint8_t session[SESSION_TOKEN_BYTES];
    unsigned guesses; /* sessions that there were not */
    struct waiting *waiting;
    size_t reason_len;
    char reason[LIMIT_REASON];
    struct plan *plan;       /* what was approved for this reason; NULL: nothing */
    struct opening *opening; /* NULL: no cells since the last GO */
    int rc;                  /* of the cells so far: the first failure ends the request */
    bool answering;          /* GO: opening_note goes on, then opening_next */
    bool later;              /* for clients_answer */
};

#define ROLE(r) PEOPLE_BIT(PEOPLE_##r)

/* ---- client.c ---- */
/* Ends the request. What they return is for take_frame: 0, or the connection ends. */
int client_end(struct client *c, int code, const char *text);
int client_end_rc(struct client *c, int rc); /* with the code's own sentence */
/* Sends the answer's frames, or with rc its sentence, and ends the request. */
int client_send(struct client *c, int rc, const struct answer *a);
/* It named a session or token that there is not. After a few of them the connection ends. */
void client_guessed(struct vault *v, struct client *c);
/* Who asks? ERR_LOCKED, ERR_CORRUPT (the people cannot be read), ERR_UNAUTHENTICATED. */
int client_actor(struct vault *v, struct client *c, struct people_actor *ret);
/* That, and one of these roles in force. ERR_DENIED. */
int client_needs(struct vault *v, struct client *c, unsigned roles, struct people_actor *ret);
/* The sentence for a person of what client_actor and client_needs return. */
const char *client_refusal(int rc);
void client_who(const struct vault *v, const struct client *c, const struct people_actor *a,
                struct ledger_who *ret);
/* client_needs, and who that is. */
int client_take_who(struct vault *v, struct client *c, unsigned roles, struct client_who *ret);
/* 0 for the unix user who ran init, in both states of the vault, and in a session with one of these roles. */
int client_owner_or(struct vault *v, struct client *c, unsigned roles);

/* ---- clients.c ---- */
/* A request that waited is answered, with what client_end returned; reading goes on. */
void client_after(struct vault *v, struct client *c, int rc);

/* ---- request.c ---- */
/* A frame of a client's. 0, or the connection ends. */
int client_request(struct vault *v, struct client *c, const struct frame *f);

/* ---- client_open.c ---- */
int open_why(struct client *c, const struct frame *f); /* u16 n | n reason */
int open_cell(struct vault *v, struct client *c, const struct frame *f);
int open_go(struct vault *v, struct client *c);
/* Nobody else has a turn within a client's: what changed since the last one counts from here on. */
int open_still(struct client *c);
/* Notes the next piece, or opens the next cell and sends it. */
int open_answer(struct vault *v, struct client *c);
/* What was asked for is forgotten. */
void open_end(struct client *c);

/* ---- status.c ---- */
int status(struct vault *v, struct client *c);
/* The log itself is for who may read the ledger: what is to stay secret in it is sealed. */
int ledger(struct vault *v, struct client *c);

/* ---- signin.c ---- */
int sign_in(struct vault *v, struct client *c, const struct frame *f);
int sign_out(struct vault *v, struct client *c);
struct waiting *waiting_new(struct client *c, const char *name); /* NULL: no memory */
void waiting_free(struct vault *v, struct client *c);
/* May this name be tried now? Then its place is taken. Otherwise the request ends. */
int sign_in_begin(struct vault *v, struct client *c, const char *name);
/* It cannot be hashed now, so it is no attempt. */
void sign_in_cancel(struct vault *v, struct client *c);
/* An attempt ended; a lock-out is noted. */
void sign_in_ended(struct vault *v, struct client *c, bool right);

/* ---- persons.c ---- */
int who(struct vault *v, struct client *c);
int person(struct vault *v, struct client *c, const struct frame *f);
int pending(struct vault *v, struct client *c);
int approve(struct vault *v, struct client *c, const struct frame *f);
/* u8 step (1 asked, 2 given, 3 refused); durable after note_sync. */
int note_approval(struct vault *v, const struct client *c, const struct people_actor *a, uint8_t step,
                  const uint8_t digest[APPROVAL_DIGEST_BYTES]);

/* ---- plan.c ---- */
int plan_take(struct vault *v, struct client *c, const struct frame *f);
void plan_free(struct plan *p); /* NULL-safe */
/* Are these cells (hashes) the rest of what was approved, and this actor the one? Then they are used up. */
bool plan_covers(struct plan *p, const struct people_actor *a, const struct noted_cell *cells,
                 size_t count);
/* May that be opened by one person alone, or was it approved? 0 and *ret_approved; ERR_APPROVAL: it
 * waits from now on, and `text` says under which digest; ERR_QUOTA. */
int plan_judge(struct vault *v, struct client *c, const struct people_actor *a,
               const struct people_opener *o, const char *query, size_t query_len,
               uint8_t (*hashes)[32], uint32_t cells, bool *ret_approved, char *text, size_t text_size);

#endif
