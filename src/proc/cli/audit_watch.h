#ifndef PROC_CLI_AUDIT_WATCH_H
#define PROC_CLI_AUDIT_WATCH_H
/*
 * Runs of the audit that follow one another: each is kept as JSON Lines, compared with the one
 * before, and what is new raises an alarm: a line on standard error, a POST to a webhook, a metric.
 *
 *   FOLDER/20270131T020000Z-RUN.jsonl   each run
 *   FOLDER/latest.jsonl                 the last one, the next one's baseline
 *   FOLDER/audit.prom                   for node_exporter's textfile collector
 */
#include "audit/report/report.h"

struct audit_watch {
    const char *folder;
    const char *webhook; /* a file with the URL, which may hold a secret; NULL: none */
};

/* Compares with the last run, keeps this one and raises alarms. CLI_GO, or the exit code after it
 * said what is wrong; an alarm that could not be sent is said and does not end the watch. */
int audit_keep(const struct audit_watch *w, struct report *r);

#endif
