#ifndef DIAL_DIAL_H
#define DIAL_DIAL_H
/* Connecting to a program of a running installation. Linked by `safehouse` alone. */
#include "ipc/peer.h"

/*
 * Connects to D/run/<name>.sock and sends the token of D/run/token as the first frame. ERR_NOTFOUND,
 * ERR_PEER: nothing runs there; ERR_DENIED: not the owner; ERR_LIMIT: the path is too long for a
 * socket; ERR_CORRUPT: damaged token.
 */
int dial(const char *dir, const char *name, enum ipc_role other, struct peer **ret);

#endif
