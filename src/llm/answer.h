#ifndef LLM_ANSWER_H
#define LLM_ANSWER_H
/*
 * Answers of every dialect, whole or streamed, for the sealer: the answer's object, what a client
 * will repeat of it, and the facts of the clear columns. Slices borrow from the text that was
 * given, or from buffers of the struct; _done wipes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "llm/dialect.h"
#include "llm/json.h"
#include "llm/usage.h"

struct llm_answer {
    struct jv json; /* the object, as it came or assembled; absent: none, or it is no object */
    struct jv tail; /* of a stream: the bytes of the event that it was cut in, no JSON; or absent */
    /* What it adds to the history: one of these messages (chat's choices), or all of them one after
     * another (Responses' output). An absent one holds the place of its choice. */
    struct jv message[LIMIT_CHOICES];
    size_t messages;
    bool in_sequence;
    bool error; /* the object has an `error` */
    /* facts; strings "" when not known */
    char model[LIMIT_MODEL], finish[LIMIT_NAME]; /* finish reason of the first choice */
    struct usage usage;
    struct buf made, said; /* private: the assembled text, a message put together */
};

/* 0; also when the answer is no object (json is absent then, and the text is to be kept as it is).
 * ERR_NOMEM. `stream`: it came as server-sent events. ret is to be _done in every case. */
int llm_answer_parse(struct llm_answer *ret, const struct dialect *dialect, const void *text,
                     size_t len, bool stream);
void llm_answer_done(struct llm_answer *a);

#endif
