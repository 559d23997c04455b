#ifndef PEOPLE_FRAMES_H
#define PEOPLE_FRAMES_H
/*
 * The payloads of the messages about people (ipc/msg.h, doc/people.md) as typed structs. Strict: what is
 * left over, or not there, is ERR_SYNTAX. Secrets are borrowed from the payload, which its owner wipes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "read/people/people.h"
#include "read/people/verbs.h"

/* MSG_SIGN_IN: u8 1 | s8 name | s16 password | s8 code, or u8 2 | 32 machine token */
struct people_sign_in {
    bool machine;
    char name[LIMIT_NAME];
    const uint8_t *secret; /* the password, or the token's 32 bytes */
    size_t secret_len;
    char code[LIMIT_NAME];
};
int people_parse_sign_in(struct people_sign_in *ret, const uint8_t *p, size_t len);

/* MSG_PERSON: verbs.h */
struct people_request {
    enum people_verb verb;
    char name[LIMIT_NAME], label[LIMIT_NAME], code[LIMIT_NAME];
    uint8_t role, step;
    uint32_t cells, number;
    uint64_t expires_us;
    char projects[LIMIT_GRANT_PROJECTS + 1];
    const uint8_t *password, *old;
    size_t password_len, old_len;
};
int people_parse_request(struct people_request *ret, const uint8_t *p, size_t len);

/* MSG_OPEN_PLAN: s16 statement | k x 32 cell hash. Both are borrowed. */
struct people_plan {
    const char *query;
    size_t query_len;
    const uint8_t *hashes;
    uint32_t cells;
};
int people_parse_plan(struct people_plan *ret, const uint8_t *p, size_t len);

#endif
