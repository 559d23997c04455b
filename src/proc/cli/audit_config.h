#ifndef PROC_CLI_AUDIT_CONFIG_H
#define PROC_CLI_AUDIT_CONFIG_H
/*
 * The files of a ClickHouse's configuration folder, in the order in which it merges them:
 *
 *   DIR/config.xml (or .yaml, .yml), then DIR/config.d and DIR/conf.d, sorted by name; users.xml
 * likewise
 *
 * They are read here, and parsed by safehouse-audit in its sandbox.
 */
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"

/* Appends all of them to `out`, as lines for safehouse-audit. CLI_GO, or the exit code after it
 * said what is wrong. */
int audit_config_read(const char *dir, struct buf *out);

#endif
