#ifndef PROC_SUPERVISOR_NGINX_TEXT_H
#define PROC_SUPERVISOR_NGINX_TEXT_H
/*
 * What the configurations of both nginx instances have in common (gateway_conf.h, front_conf.h): checks
 * of fields before they become lines, and some lines. Pure.
 */
#include <stdbool.h>

#include "base/buf.h"

/* NULL and "" are not. */
bool nginx_is_set(const char *text);
/* An absolute path that stands in quotes: no quote, backslash, dollar sign or control character. */
bool nginx_path_ok(const char *path);
/* "127.0.0.1:8080", "[::1]:8080" */
bool nginx_address_ok(const char *address);

/* How the master runs, in the foreground and without a log, and how many connections a worker has. */
int nginx_put_process(struct buf *out, const char *dir, unsigned connections);
/* nginx makes these folders in `dir` whether or not they are used. */
int nginx_put_folders(struct buf *out, const char *dir);
/* `listen`, with TLS if there is a certificate. */
int nginx_put_listen(struct buf *out, const char *listen, const char *certificate, const char *key);

#endif
