#ifndef PROC_AUDIT_AUDIT_H
#define PROC_AUDIT_AUDIT_H
/* What the parts of safehouse-audit share: the job, the pool of workers, a worker, results as JSON.
 */
#include <jansson.h>

#include "audit/probe/probe.h"

#define AUDIT_WORKERS_MAX 64
#define AUDIT_FRAME_MAX (256u << 10) /* one result on its way from a worker */
#define AUDIT_PAIR_MS 90000          /* a pair that takes longer is given up */

struct audit_job {
    struct conn_pair *pairs;
    size_t count;
    struct conn_rules rules; /* `noted` and `arg` are the worker's */
    unsigned workers, per_host;
    bool sign_in, sample;
};

/* Judges the files of a ClickHouse that come by standard input (config.c); one result to standard
 * output. */
int audit_config(void);
/* Runs the job to its end; results go to standard output. */
int audit_pool(const struct audit_job *job);
/* A worker's life on its socket; does not return. */
_Noreturn void audit_worker(const struct audit_job *job, int fd);
/* New reference. The pair and all that was found out about it. */
json_t *audit_result_json(const struct conn_pair *pair, const struct probe_result *r,
                          double seconds);

#endif
