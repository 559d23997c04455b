#ifndef CONTROL_WEBHOOK_H
#define CONTROL_WEBHOOK_H
/*
 * A webhook of the operator's: an http or https URL, the first line of a file, because it may hold a
 * secret; it is in no argument, no environment and no message.
 */
#include <stdbool.h>
#include <stdint.h>

#define WEBHOOK_URL_MAX 2048

bool webhook_valid(const char *url);
/* The port that a valid one is reached at (RFC 3986 3.2; 80 or 443 if it names none); 0: it names one that is
 * none. */
uint16_t webhook_port(const char *url);
/* False: the file is not there, or has no such URL in its first line. The caller wipes. */
bool webhook_read_url(const char *path, char out[WEBHOOK_URL_MAX]);

#endif
