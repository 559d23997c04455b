#ifndef TURN_TURN_H
#define TURN_TURN_H
/*
 * Turns: an exchange against the histories that were sealed before. turn_match finds the parent,
 * turn_build writes the turn's JSON (doc/turn.md), turn_learn tells the prefix state of it once it
 * is sealed. Slices of the request are borrowed from turn_match to turn_done.
 */
#include "llm/answer.h"
#include "llm/request.h"
#include "write/turn/prefix.h"

struct turn_match {
    uint8_t (*chain)[PREFIX_DIGEST]; /* d_0 .. d_count */
    struct jv *messages;             /* count of them */
    uint32_t count;
    uint32_t talk; /* how many messages lead in before the first that is not an instruction */
    uint8_t params[PREFIX_DIGEST], tools[PREFIX_DIGEST];
    bool found; /* then: */
    struct prefix_entry parent;
    uint32_t kept; /* = parent.position */
    bool repeated; /* the last kept message is the parent's answer, in a form of its own */
    struct jv request_tools;
};

/*
 * The longest beginning of the request's messages that was sealed before under this scope (d_0,
 * from prefix_start). A beginning of nothing but instructions (role system or developer) does not
 * count: chats that share a system prompt are different conversations. ERR_NOMEM. ret is to be
 * turn_done in every case.
 */
int turn_match(struct prefix *p, const uint8_t scope[PREFIX_DIGEST],
               const struct llm_request *request, struct turn_match *ret);
void turn_done(struct turn_match *m);

struct turn_parts {
    const struct llm_request *request; /* NULL: kept as request_text */
    struct jv request_text;            /* all of its bytes; p NULL: none came */
    const struct turn_match *match;    /* NULL with request NULL */
    const struct llm_answer *answer;
    struct jv answer_text; /* all of the answer's bytes */
    bool streamed;
    const char *outcome; /* NULL: complete */
    uint16_t status;
};
/* Appends the turn. ERR_LIMIT, ERR_NOMEM. */
int turn_build(struct buf *out, const struct turn_parts *parts);

/* What the sealed turn makes known: its messages' positions and its answers. */
int turn_learn(struct prefix *p, const struct turn_match *m, const struct llm_answer *answer,
               const uint8_t subject[UUID_BYTES], const uint8_t conversation[UUID_BYTES],
               const uint8_t turn[UUID_BYTES], const uint8_t envelope_hash[CONTEXT_HASH_BYTES]);

#endif
