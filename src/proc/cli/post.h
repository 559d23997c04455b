#ifndef PROC_CLI_POST_H
#define PROC_CLI_POST_H
/* One HTTP POST, to an address that a person named: of a witness, of a webhook. */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define POST_ANSWER_MAX (64u << 10)

struct post {
    const char *url, *type; /* type: the body's */
    const void *body;
    size_t len;
    long seconds; /* for all of it */
    /* the answer */
    long status;
    struct buf answer; /* the caller inits (at most POST_ANSWER_MAX) and wipes */
    char why[256];     /* what failed, for a person; "" */
};
/* 0: there is an answer, whatever its status. ERR_USAGE: no http or https URL; ERR_LIMIT: the
 * answer is too long; ERR_PEER: none came. Follows no redirect. */
int post_send(struct post *p);

#define POST_JSON_SECONDS 10
/* JSON to a webhook. False: nobody took it (no answer in time, or none with 2xx). */
bool post_json(const char *url, const void *json, size_t len);

#endif
