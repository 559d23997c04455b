#ifndef CONSOLE_API_H
#define CONSOLE_API_H
/*
 * The JSON interface, under /api/v1; doc/openapi.yaml describes it, and a test compares the two. Each
 * request is one question to the vault in the caller's session: what he may, the vault says.
 *
 *   api.c          the table of routes, arguments, errors
 *   api_session.c  signing in and out, who one is, approvals, the vault's status, the ledger's checkpoint
 *   api_people.c   people, grants, passwords, machine tokens
 *   api_command.c  what the command line does: keys, projects, subjects, reports
 *
 * It is for programs, and for pages of its own: credentials are in each request and no cookie is looked at,
 * a body has to be application/json, which no form of another site's page can send, and what a browser says
 * comes from another site is refused.
 */
#include <jansson.h>

#include "proc/console/console.h"

#define API_PARAMETERS 2 /* of a path */
#define API_FRAME 2048   /* of a question */

/* What comes in. */
struct api_request {
    const char *path, *method;
    struct http_request *request; /* credentials, the decoded body */
    int rc;                       /* not 0: the head or the body was not right; `why` says how */
    struct http_why *why;
};

/* A request that found its route. */
struct api {
    struct console *console;
    struct MHD_Connection *connection;
    struct caller caller; /* but for signing in */
    json_t *body;         /* an object; NULL: there is none */
    char at[API_PARAMETERS][2 * LIMIT_NAME + 8]; /* the path's variable parts */
    /* the answer */
    unsigned status;
    json_t *out;      /* an object; or */
    struct buf *text; /* text/plain; or */
    struct MHD_Response *response;
    char why[ASK_TEXT];
};
typedef int api_fn(struct api *a);

enum MHD_Result api_answer(struct console *c, struct MHD_Connection *connection,
                           const struct api_request *q);

/* A string of the body: ERR_SYNTAX (and a->why) when it is not there, unless `optional` (then ""), has a
 * byte 0 or is longer than max. */
int api_string(struct api *a, const char *name, size_t max, bool optional, const char **ret);
int api_number(struct api *a, const char *name, uint64_t max, uint64_t *ret); /* optional: 0 */

/* A question under construction: never longer than API_FRAME, which the callers' maxima keep. */
struct api_frame {
    uint8_t p[API_FRAME];
    size_t len;
};
void api_put_u8(struct api_frame *f, uint8_t v);
void api_put_u32(struct api_frame *f, uint32_t v);
void api_put_u64(struct api_frame *f, uint64_t v);
void api_put_s8(struct api_frame *f, const char *s);
void api_put_s16(struct api_frame *f, const char *s);
/* Asks it in the caller's session, and wipes it. */
int api_ask(struct api *a, enum ipc_msg msg, struct api_frame *f, ask_fn *each, void *arg);
/* An ask_fn: each STATUS_IS is an element of the JSON array. */
int api_objects(void *array, const struct frame *f);

/* ---- api_session.c ---- */
api_fn api_sign_in, api_sign_out, api_whoami, api_approvals, api_approve, api_status, api_checkpoint;
/* ---- api_people.c ---- */
api_fn api_people, api_person_add, api_person_remove, api_grant, api_ungrant, api_password, api_token,
    api_untoken;

/* ---- api_command.c ---- */
/* Runs it, with the fields of the body; the answer is a->response. */
int api_command(struct api *a, enum ipc_command command);

#endif
