#ifndef AUDIT_CONFIG_JUDGE_H
#define AUDIT_CONFIG_JUDGE_H
/*
 * What a ClickHouse with these files would let strangers do: the hardening checks of doc/audit.md
 * that need no running server, each with its file and line, and a verdict and grade as if it were
 * asked.
 */
#include "audit/config/tree.h"
#include "audit/probe/probe.h"

/* What was read: `server` from config.xml and what goes over it, `users` from the users' file
 * likewise, merged and with what they include; either may be empty. Files that they name and that
 * were not there: the users' file, those of substitutions; borrowed names, NULL for none. */
struct config_read {
    struct ctree server, users;
    const char *no_users, *no_substitutions;
};

/* The result is complete; of `p` only `result` is used. */
void config_judge(struct probe *p, const struct config_read *c);

#endif
