#ifndef LLM_REQUEST_H
#define LLM_REQUEST_H
/*
 * Requests of every dialect, taken apart for the sealer: what a turn stores of them (doc/turn.md),
 * as slices of what came. Slices borrow from the text that was given; _done wipes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "llm/dialect.h"
#include "llm/json.h"

struct llm_request {
    struct jv messages; /* the array: `messages`, or `input`; absent: params say it all */
    size_t count;       /* of messages */
    struct jv tools;    /* absent: none */
    struct buf params;  /* an object: every other top-level member, raw, in its order */
    bool stream;
    char model[LIMIT_MODEL]; /* "" = none, or longer than that */
    /* Whom it is about: `user`, else `safety_identifier`, else `user_id`, else `metadata.user_id`.
     * "" = not said; one that does not fit counts as not said. */
    char user[LIMIT_SUBJECT_NAME];
};

/*
 * ERR_SYNTAX: no JSON object, without the array of objects that the dialect has messages in, or one
 * whose members cannot be told apart (`messages` or `tools` twice); ERR_LIMIT. Of a plain dialect
 * only model, stream and user are read. ret is to be _done in every case.
 */
int llm_request_parse(struct llm_request *ret, const struct dialect *dialect, const void *text,
                      size_t len);
void llm_request_done(struct llm_request *r);

#endif
