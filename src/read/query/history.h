#ifndef QUERY_HISTORY_H
#define QUERY_HISTORY_H
/*
 * A conversation's turns in a running installation: listed, opened as needed (each once), and put
 * together to exchanges. Only what the asked-for exchange needs is opened, so the ledger names no
 * more.
 *
 * What is followed (parent, kept) is what authenticated inside each cell; a store that answers with
 * another turn, another conversation or another parent gets ERR_CORRUPT.
 */
#include <stddef.h>
#include <stdint.h>

#include "read/query/remote.h"
#include "read/query/turn.h"

struct history;

/* Lists the turns of a conversation. ERR_NOTFOUND if there are none. Borrows r. */
int history_load(struct history **ret, struct remote *r, const uint8_t conversation[UUID_BYTES]);
/* NULL-safe; wipes every opened text. Exchanges built from it are done before. */
void history_free(struct history *h);

size_t history_count(const struct history *h);
const uint8_t *history_id(const struct history *h, size_t i); /* by time, oldest first */
const uint8_t *history_parent(const struct history *h, size_t i); /* zero: none */
/* ERR_NOTFOUND, or its place. */
long history_find(const struct history *h, const uint8_t id[UUID_BYTES]);

/* The exchange of turn i, with the whole request as the client sent it. *ret_kept: how many of the
 * request's messages earlier turns held. exchange_done after 0. */
int history_exchange(struct history *h, size_t i, struct exchange *ret, size_t *ret_kept);

#endif
