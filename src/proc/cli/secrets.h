#ifndef PROC_CLI_SECRETS_H
#define PROC_CLI_SECRETS_H
/*
 * A few secrets of one command, in guarded memory: the lines of a file of mode 0600 or of standard
 * input, or what is typed on the terminal without echo.
 */
#include <stddef.h>

#include "base/limits.h"

#define SECRETS_LINES 3
#define SECRETS_MACHINE "shm-" /* a machine token's text begins so */

struct secrets {
    char line[SECRETS_LINES][LIMIT_PASSWORD + 1];
    size_t line_len[SECRETS_LINES];
};

struct secrets *secrets_new(void); /* NULL: no memory */
void secrets_free(struct secrets *s); /* NULL-safe; wipes */
/* As many lines as there are prompts (NULL-ended); those that a file does not have are empty. CLI_GO, or
 * the exit code after it said what is wrong. */
int secrets_read(struct secrets *s, const char *file, const char *const *prompts);

#endif
