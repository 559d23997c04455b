#ifndef PROC_CLI_AUDIT_CONFIG_H
#define PROC_CLI_AUDIT_CONFIG_H
/*
 * The files of a ClickHouse's configuration folder that may be part of it: those with .xml, .yaml
 * and .yml that lie in it, and with .conf too those in its folders NAME.d. They are read here, and
 * chosen and parsed by safehouse-audit in its sandbox (audit/config/folder.h): a configuration
 * names its own files.
 */
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"

/* Appends all of them to `out`, as lines for safehouse-audit. CLI_GO, or the exit code after it
 * said what is wrong. */
int audit_config_read(const char *dir, struct buf *out);

#endif
