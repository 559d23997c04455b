#ifndef PROC_CLI_WEBHOOK_H
#define PROC_CLI_WEBHOOK_H
/*
 * A webhook of the operator's: an http or https URL, the first line of a file, because it may hold
 * a secret; it is in no argument, no environment and no message.
 */
#include <stdbool.h>
#include <stddef.h>

#define WEBHOOK_URL_MAX 2048
#define WEBHOOK_SECONDS 10 /* for one POST */

/* False: the file is not there, or has no such URL in its first line. The caller wipes. */
bool webhook_read_url(const char *path, char out[WEBHOOK_URL_MAX]);
/* JSON to it. False: nobody took it (no answer in time, or none with 2xx). */
bool webhook_post(const char *url, const void *json, size_t len);

#endif
