#ifndef LLM_CHAT_H
#define LLM_CHAT_H
/*
 * The OpenAI chat dialect (chat completions; DeepSeek's and most others' too): the parts of a
 * request and of an answer that the sealer needs, as slices of what came. Slices borrow from the
 * text that was given, or from a buffer of the struct; _done wipes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "llm/json.h"

struct chat_request {
    struct jv messages; /* the array */
    size_t count;       /* of messages */
    struct jv tools;    /* absent: none */
    struct buf params;  /* an object: every other top-level member, raw, in its order */
    bool stream;
    char model[LIMIT_MODEL]; /* "" = none, or longer than that */
    /* Whom it is about: `user`, else `user_id`, else `metadata.user_id`. "" = not said; one that
     * does not fit counts as not said. */
    char user[LIMIT_SUBJECT_NAME];
};

/* ERR_SYNTAX: no JSON object with an array `messages` of objects, or one whose members cannot be
 * told apart (`messages` or `tools` twice); ERR_LIMIT. ret is to be _done in every case. */
int chat_request_parse(struct chat_request *ret, const void *text, size_t len);
void chat_request_done(struct chat_request *r);

struct chat_answer {
    struct jv json; /* the object, as it came or assembled; absent: none, or it is no object */
    struct jv tail; /* of a stream: the bytes of the event that it was cut in, no JSON; or absent */
    struct jv message[LIMIT_CHOICES]; /* of each choice */
    size_t choices;
    bool error; /* the object has an `error` */
    /* facts; strings "" when not known */
    char model[LIMIT_MODEL], finish[LIMIT_NAME]; /* finish reason of the first choice */
    bool usage;
    uint32_t tokens_input, tokens_output, tokens_cached, tokens_reasoning;
    struct buf made; /* private: the assembled text */
};

/* 0; also when the answer is no object (json is absent then, and the text is to be kept as it is).
 * ERR_NOMEM. `stream`: it came as server-sent events. ret is to be _done in every case. */
int chat_answer_parse(struct chat_answer *ret, const void *text, size_t len, bool stream);
void chat_answer_done(struct chat_answer *a);

/*
 * Names that may stand in clear columns: closed lists of this source, so that no outside text gets
 * there. Each gives `name` itself if it is known, else "other", and "" for "".
 */
const char *models_known(const char *name);
const char *chat_finish_known(const char *reason);
/* The error class of an exchange; "" = none. */
const char *chat_error_class(uint16_t status, bool error_in_answer);

#endif
