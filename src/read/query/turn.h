#ifndef QUERY_TURN_H
#define QUERY_TURN_H
/*
 * An opened turn (doc/turn.md), and the exchange that a chain of them gives back.
 *
 * A chain is a turn with its ancestors, oldest first, as far as the first turn or key turn. What a
 * turn says is a slice of its own text: the texts must live as long as the exchange.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "llm/json.h"

/* How a dialect's requests and answers are put together (doc/turn.md, "By dialect"). */
enum turn_shape {
    TURN_CHAT,
    TURN_MESSAGES,    /* Anthropic */
    TURN_RESPONSES,   /* several messages an answer */
    TURN_COMPLETIONS, /* no messages */
};
enum turn_shape turn_shape_of(const char *dialect);

struct turn {
    struct jv messages, replayed, tools, params, gone;
    struct jv answer, answer_text, answer_base64, tail, tail_base64;
    struct jv request_text, request_base64;
    bool streamed;
    char outcome[32]; /* "complete" when the text has none */
    unsigned status;
    uint32_t kept;    /* from the authenticated context, not from the text; */
    enum turn_shape shape; /* likewise: turn_parse leaves it TURN_CHAT, the caller sets it */
};

/* ERR_SYNTAX when it is no turn. */
int turn_parse(struct turn *ret, const void *text, size_t len, uint32_t kept);

struct exchange {
    struct jv *messages; /* of the request */
    size_t n, room;
    struct jv tools, params;
    const struct turn *last; /* answer, status, outcome */
    struct buf *made;        /* messages that had to be put together */
    size_t made_n;
};

/* turns[0] is the oldest. ERR_CORRUPT when the chain does not fit together. exchange_done after any
 * result. */
int exchange_build(struct exchange *ret, const struct turn *turns, size_t n);
void exchange_done(struct exchange *e);

/* The request as JSON: params' members, messages, tools; a string for one that is no chat request,
 * null for one that is no text either. */
int exchange_request(const struct exchange *e, struct buf *out);
/* The answer as JSON; a string for one that is no JSON, null if there is none or it is no text either
 * (response_base64 of exchange_rest). */
int exchange_response(const struct exchange *e, struct buf *out);
/* The members of a JSON object that say what `request` and `response` cannot, each with a comma before
 * it: request_base64, response_base64, tail, tail_base64, as far as there are any. */
int exchange_rest(const struct exchange *e, struct buf *out);
/* For a person: the request's messages from `from` on, the answer, its tool calls. Control characters
 * are shown, not sent. */
int exchange_render(const struct exchange *e, size_t from, struct buf *out);

#endif
