#ifndef STORE_ACCESS_H
#define STORE_ACCESS_H
/*
 * The engine's own access control, as it is told to the engine when it starts: what its only user may do,
 * and which rows each connection sees.
 *
 * Rights: the log's database and the catalogue, SELECT on system (the catalogue's views), KILL QUERY, and to
 * see the policies. No right to files, addresses, other hosts, commands, dictionaries of others, users or functions, so a
 * statement that would get past the guard meets the engine's own refusal.
 *
 * Rows: a row policy on every table of the log, which the engine applies before anything that a statement
 * says, PREWHERE included, wherever the table is read. It compares the row's project with the connection's
 * list, which is the connection's setting `log_comment` (the embedded engine knows no settings of one's own;
 * this one does nothing else while nothing is logged) and cannot be changed after readonly = 1: names,
 * joined by line feeds, or ACCESS_ALL. A connection without a list sees no row.
 */
#include <stdbool.h>
#include <stddef.h>

#define ACCESS_SETTING "log_comment"
#define ACCESS_ALL "\t" /* no project has this name */

/* A memory file with the engine's users configuration; the caller closes it after the engine started. */
int access_users(int *ret_fd);

/* May this be the name of a project? Others are not made a list of. */
bool access_project_valid(const char *name, size_t len);

#endif
