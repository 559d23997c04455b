#ifndef AUDIT_CONFIG_JUDGE_H
#define AUDIT_CONFIG_JUDGE_H
/*
 * What a ClickHouse with these files would let strangers do: the hardening checks of doc/audit.md
 * that need no running server, each with its file and line, and a verdict and grade as if it were
 * asked.
 */
#include "audit/config/tree.h"
#include "audit/probe/probe.h"

/* `server`: config.xml and config.d, `users`: users.xml and users.d, merged; either may be empty.
 * The result is complete; of `p` only `result` is used. */
void config_judge(struct probe *p, const struct ctree *server, const struct ctree *users);

#endif
