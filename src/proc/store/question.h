#ifndef PROC_STORE_QUESTION_H
#define PROC_STORE_QUESTION_H
/* MSG_CONSOLE_QUERY's payload (ipc/msg.h), taken apart. Nothing in it is trusted. */
#include "base/buf.h"
#include "base/limits.h"
#include "store/store.h"

struct question {
    struct store_terms terms;       /* but for the tag */
    struct store_question question; /* borrows from the payload */
    struct store_parameter parameters[LIMIT_PARAMETERS];
    struct buf projects; /* terms.projects */
};

/* 0; ERR_SYNTAX: not such a payload; ERR_LIMIT: too many parameters or projects; ERR_NOTFOUND: no such
 * database. question_done after any result. */
int question_read(struct question *q, const uint8_t *p, size_t len);
void question_done(struct question *q);

#endif
