#ifndef QUERY_VISIBLE_H
#define QUERY_VISIBLE_H
/*
 * Whose clear columns a session may see: the projects of its grants in force as analyst or reader, from the
 * vault's answer to MSG_WHO (doc/people.md).
 */
#include <jansson.h>
#include <stdbool.h>

/* Gets each project's name, "*" for all of them, maybe twice; another value than 0 ends it. */
typedef int visible_fn(void *arg, const char *project);
/* *ret_any: there is such a grant. ERR_SYNTAX: a project is no text; otherwise what fn gave. */
int visible_projects(const json_t *who, visible_fn *fn, void *arg, bool *ret_any);

#endif
