#ifndef CONSOLE_SELECT_H
#define CONSOLE_SELECT_H
/* The statement as the store takes it. */
#include "proc/console/console.h"

/* MSG_CONSOLE_QUERY in the caller's projects; `r` NULL: without parameters, database and limits. */
int select_send(struct peer *store, const struct caller *c, const struct http_request *r,
                const char *format, const char *sql, size_t sql_len);

#endif
