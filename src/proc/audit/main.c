/*
 * `safehouse-audit`: looks at the pairs of address and port that the command line hands it, and at
 * no other. The command line reads scope files and writes reports; this program speaks to servers
 * that may be hostile, in processes that can do nothing else.
 *
 *   standard input   {"config": true}, then files (config.c); or one JSON object with the settings,
 * then one a line for each pair standard output  one JSON object a line: "connection" before each
 * is made, "host" for each pair
 *
 * Life: settings and pairs are read whole; workers are forked, each puts itself into
 * a sandbox (no files; TCP to the scope's ports alone; memory bounded) and takes pairs one after
 * another; the parent hands them out, at most `per_host` at a time to one address, and ends a
 * worker that takes too long. It ends itself when the command line is gone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <signal.h>
#include <sodium.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "proc/audit/audit.h"

static int read_settings(struct audit_job *job, const char *line, size_t len) {
    json_error_t e;
    json_int_t rate, timeout, workers, per_host;
    int sign_in, sample;
    json_t *o = json_loadb(line, len, 0, &e);
    int bad = !o || json_unpack(o, "{s:I, s:I, s:I, s:I, s:b, s:b}", "rate", &rate, "timeout_ms",
                                &timeout, "workers", &workers, "per_host", &per_host, "sign_in",
                                &sign_in, "sample", &sample);
    json_decref(o);
    if (bad || rate < 1 || rate > 100000 || timeout < 10 || timeout > 60000 || workers < 1 ||
        workers > AUDIT_WORKERS_MAX || per_host < 1 || per_host > AUDIT_WORKERS_MAX)
        return ERR_SYNTAX;
    job->rules.interval_ns = 1000000000ull / (uint64_t)rate;
    job->rules.timeout_ms = (unsigned)timeout;
    job->workers = (unsigned)workers;
    job->per_host = (unsigned)per_host;
    job->sign_in = sign_in;
    job->sample = sample;
    return 0;
}

static int read_pair(struct audit_job *job, const char *line, size_t len, size_t *cap) {
    json_error_t e;
    const char *address;
    json_int_t port;
    json_t *o = json_loadb(line, len, 0, &e);
    int rc = ERR_SYNTAX;
    if (o && !json_unpack(o, "{s:s, s:I}", "address", &address, "port", &port) && port >= 1 &&
        port <= 65535 && strlen(address) < sizeof job->pairs->address) {
        rc = 0;
        if (job->count == *cap) {
            *cap = *cap ? 2 * *cap : 256;
            struct conn_pair *more = realloc(job->pairs, *cap * sizeof *more);
            rc = more ? 0 : ERR_NOMEM;
            if (more)
                job->pairs = more;
        }
        if (!rc) {
            struct conn_pair *p = &job->pairs[job->count++];
            memset(p, 0, sizeof *p);
            memcpy(p->address, address, strlen(address) + 1);
            p->port = (uint16_t)port;
        }
    }
    json_decref(o);
    return rc;
}

static bool is_config(const char *line, size_t len) {
    json_t *o = json_loadb(line, len, 0, NULL);
    bool is = json_is_true(json_object_get(o, "config"));
    json_decref(o);
    return is;
}

/* *ret_config: files follow, and no pairs. */
static int read_job(struct audit_job *job, bool *ret_config) {
    char *line = NULL;
    size_t size = 0, cap = 0;
    ssize_t n = getline(&line, &size, stdin);
    *ret_config = n > 0 && is_config(line, (size_t)n);
    if (*ret_config) {
        free(line);
        return 0;
    }
    int rc = n > 0 ? read_settings(job, line, (size_t)n) : ERR_SYNTAX;
    while (!rc && (n = getline(&line, &size, stdin)) > 0)
        rc = read_pair(job, line, (size_t)n, &cap);
    free(line);
    job->rules.pairs = job->pairs;
    job->rules.pair_count = job->count;
    return rc ? rc : job->count ? 0 : ERR_SYNTAX;
}

int main(void) {
    struct audit_job job = {0};
    log_program("safehouse-audit");
    signal(SIGPIPE, SIG_IGN);
    setenv("TZ", "UTC", 1);
    tzset(); /* or the first look at a date would read files, which ends a sandboxed worker */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    bool config = false;
    int rc = sodium_init() < 0 || !conn_init() ? ERR_INTERNAL : read_job(&job, &config);
    if (!rc && config) {
        rc = audit_config();
    } else if (!rc) {
        void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        job.rules.next_ns = shared;
        rc = shared == MAP_FAILED ? ERR_NOMEM : audit_pool(&job);
    }
    if (rc)
        log_event("audit-failed", LOG_ERR(rc), LOG_END);
    free(job.pairs);
    return rc ? 4 : 0;
}
