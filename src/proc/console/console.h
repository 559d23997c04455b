#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H
/*
 * safehouse-console: ClickHouse's HTTP interface to the log, and a JSON interface, for people who sign in.
 * It asks the store for rows and the vault to judge and to open; it decides nothing itself. Its nginx
 * (proc/supervisor/front.c) stands before it.
 *
 *   main.c      start, sandbox, supervisor, the end
 *   edges.c     connections of a request's own to store, vault and clerk, over the edges
 *   ask.c       questions and their answers
 *   signed.c    who is signed in already: credentials of this process's life to sessions
 *   caller.c    who a request is of, and what he may see
 *   serve.c     libmicrohttpd: requests in, routes
 *   reply.c     answers that are texts, and headers
 *   select.c    a statement: from the store's frames to an answer's bytes
 *   opening.c   the sealed cells of an answer
 *   api.c       the JSON interface
 *
 * One thread a connection, of which nginx makes one for each request: whatever waits holds up nobody else.
 */
#include <microhttpd.h>
#include <stdbool.h>

#include "base/buf.h"
#include "ipc/child.h"
#include "read/http/request.h"

#define CONSOLE_REQUESTS 128      /* at once; nginx lets fewer through */
#define CONSOLE_REQUESTS_PERSON 8 /* statements at once of one person */
#define CONSOLE_PROJECTS 1024     /* that one session sees */
#define CONSOLE_ANSWER_MS 120000  /* for vault or store to say something */

struct edges;
struct signed_in;

/* What all requests share. */
struct console {
    struct child child;
    struct edges *edges;
    struct signed_in *signed_in;
};

/* ---- edges.c ---- */
/* `supervisor`: borrowed; this sends on it, and reads nothing. */
int edges_new(struct peer *supervisor, struct edges **ret);
/* A new connection (taken) to the program of that role, instead of an earlier one. */
void edges_take(struct edges *e, enum ipc_role role, int fd);
/* A connection of the caller's own; closing it ends what runs on it. ERR_PEER: that program is not there.
 * IPC_SUPERVISOR: to a clerk of its. */
int edges_channel(struct edges *e, enum ipc_role role, struct peer **ret);

/* ---- ask.c ---- */
#define ASK_TEXT 1024
/* A frame of the answer before END; other than 0 ends it. */
typedef int ask_fn(void *arg, const struct frame *f);
/*
 * One request to the vault on a channel; `session` may be NULL for SIGN_IN alone. END's code, its text
 * (without control characters) to `text`; ERR_PEER, ERR_AGAIN: no answer.
 */
int ask(struct peer *vault, const uint8_t *session, enum ipc_msg msg, const void *p, size_t len,
        ask_fn *each, void *arg, char text[ASK_TEXT]);
/* END's code, and its text. */
int ask_end(const struct frame *f, char text[ASK_TEXT]);
/* The next frame; ERR_PEER: the other end is gone or silent, or (*left) the HTTP client is. */
int ask_frame(struct peer *p, int client_fd, struct frame *f, bool *left);

/* ---- signed.c ---- */
int signed_in_new(struct signed_in **ret);
/*
 * A session for these credentials: one that is there already, or by asking the vault. Several requests
 * with the same ones wait for one sign-in. ERR_* and a text for a person.
 */
int signed_in_session(struct signed_in *s, struct edges *e, const struct http_who *who,
                      uint8_t session[HTTP_SESSION_BYTES], char text[ASK_TEXT]);
/* The vault does not know it any more. */
void signed_in_forget(struct signed_in *s, const uint8_t session[HTTP_SESSION_BYTES]);

/* ---- caller.c ---- */
struct caller {
    char name[LIMIT_NAME];
    uint8_t session[HTTP_SESSION_BYTES];
    bool reads;           /* analyst or reader in force */
    bool all;             /* every project */
    unsigned projects;
    char (*project)[LIMIT_NAME];
    struct peer *vault;   /* a channel, for the rest of the request */
};
/* Who is it? Signs him in if need be. ERR_* with `why` filled. caller_done in any case. */
int caller_find(struct console *c, const struct http_who *who, struct caller *ret, struct http_why *why);
void caller_done(struct caller *c);
/* A place among the statements that this person runs; false: there are too many. */
bool caller_enter(const struct caller *c);
void caller_leave(const struct caller *c);

/* ---- reply.c ---- */
/* Queues it; text is copied (and may be wiped). MHD_NO: the connection ends. */
enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned status, const char *type,
                           const void *p, size_t len);
enum MHD_Result reply_why(struct MHD_Connection *connection, const struct http_request *r,
                          const struct http_why *why);
/* Headers of every answer of the ClickHouse interface. */
void reply_headers(struct MHD_Response *response, const struct http_request *r);
/* The vault's refusal in ClickHouse's terms. */
void reply_vault(struct http_why *why, int rc, const char *text);

/* ---- select.c ---- */
/* Runs it and queues the answer. Takes caller's place (caller_leave) with it. */
enum MHD_Result select_answer(struct console *c, struct MHD_Connection *connection,
                              struct http_request *r, struct caller *caller);

/* ---- serve.c ---- */
int serve_start(struct console *c);

#endif
