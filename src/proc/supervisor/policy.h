#ifndef PROC_SUPERVISOR_POLICY_H
#define PROC_SUPERVISOR_POLICY_H
/* What the detector looks for and what becomes of it, on the way from the configuration to the
 * sealer. */
#include <stdbool.h>

#include "control/config.h"
#include "proc/supervisor/why.h"

/* Checks the configuration's `detect` and makes the memory file for the sealer (policy.c has its
 * form), which the caller closes. ERR_* with `why`. */
int policy_make(const struct config *c, int *ret_fd, struct why *why);
/* Do two such files say the same? */
bool policy_same(int a, int b);

#endif
