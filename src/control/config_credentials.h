#ifndef CONTROL_CONFIG_CREDENTIALS_H
#define CONTROL_CONFIG_CREDENTIALS_H
/*
 * The providers' keys, fetched from where the configuration says, into guarded memory. Only the
 * supervisor does this; nothing here is printed, and `why` names places, never values.
 *
 *   env         the variable; it is wiped from this process's environment once it was read, and a
 *               reload finds it in the credentials of before
 *   file        a regular file of ours or root's that nobody else can read (mode 0600 or 0400)
 *   credential  $CREDENTIALS_DIRECTORY/NAME, from systemd's LoadCredential=
 *
 * A key is the first line, 1..511 printable ASCII characters without blanks: it goes into a header.
 */
#include "control/config.h"

struct config_credentials;

/* For every provider of c (after config_complete). `before` (borrowed, may be NULL): those in force
 * so far. ERR_NOTFOUND, ERR_DENIED (others can read it), ERR_SYNTAX, ERR_IO, with `why`. */
int config_credentials_load(const struct config *c, const struct config_credentials *before,
                            struct config_credentials **ret, char why[CONFIG_WHY]);
/* The key of c->providers.at[provider].keys.at[key]; borrowed until the free. */
const char *config_credential(const struct config_credentials *cs, size_t provider, size_t key);
void config_credentials_free(struct config_credentials *cs); /* NULL-safe; wipes */

#endif
