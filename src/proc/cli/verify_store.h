#ifndef PROC_CLI_VERIFY_STORE_H
#define PROC_CLI_VERIFY_STORE_H
/*
 * Rows for `safehouse verify`, from the installation's store: the running one, or, where nothing
 * runs, one that is started for it, sandboxed and without any other program, and stopped again.
 */
#include <stddef.h>

struct verify_store;

/* CLI_GO, or the exit code after it said what is wrong. */
int verify_store_open(const char *dir, struct verify_store **ret);
void verify_store_close(struct verify_store *s); /* NULL-safe */

/* A verify_query. */
int verify_store_query(void *store, const char *format, const char *sql, size_t sql_len,
                       int (*sink)(void *arg, const void *p, size_t len), void *sink_arg);
/* The sentence of the last failure; "" if none. */
const char *verify_store_why(const struct verify_store *s);

#endif
