#ifndef AUDIT_PROBE_CLICKHOUSE_INT_H
#define AUDIT_PROBE_CLICKHOUSE_INT_H
/* What the two halves of the ClickHouse probe share: asking, and what grants mean. */
#include "audit/probe/probe.h"

#define CLICKHOUSE_LIMITS "max_execution_time=2&max_result_rows=1000&result_overflow_mode=break"

/* The answer's text, without its line end, borrowed until the next question; NULL when refused,
 * with the code of the refusal. By the way that probe_clickhouse_http found, or by a path of one's
 * own. */
const char *clickhouse_ask(struct probe *p, const char *id, const char *query, int *ret_code);
const char *clickhouse_ask_by(struct probe *p, const char *id, const char *path, const char *query,
                              int *ret_code);
/* All hardening questions; SELECT is known to work. */
void clickhouse_harden(struct probe *p);

/* What the lines of SHOW GRANTS allow: bits. */
enum {
    CLICKHOUSE_WRITES = 1,  /* rows, tables, anything that stays */
    CLICKHOUSE_REACHES = 2, /* files, other hosts: table functions and engines */
    CLICKHOUSE_ROLES = 4,   /* a role is granted, whose grants are not among the lines */
};
unsigned clickhouse_grants(const char *text);

#endif
