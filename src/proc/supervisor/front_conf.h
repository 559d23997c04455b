#ifndef PROC_SUPERVISOR_FRONT_CONF_H
#define PROC_SUPERVISOR_FRONT_CONF_H
/*
 * nginx.conf of the console's own nginx, which stands between its clients and safehouse-console: TLS,
 * strict parsing of requests, and limits on what a client can hold. Pure: a struct in, text out.
 *
 * It buffers a request's head and body, in memory, before the console hears of it, so a client that sends
 * slowly holds a connection of nginx and nothing else. Answers are not buffered: one that reads slowly
 * slows its own query down, and loses it after FRONT_SEND_S without a byte taken.
 *
 * The supervisor gives it the listening socket (NGINX, as gateway_conf.h tells) and a descriptor of
 * D/run, through which it reaches the console's socket whatever the length of D's path.
 */
#include "base/buf.h"
#include "proc/supervisor/nginx_text.h"

#define FRONT_CONF_MAX (32u << 10) /* ceiling for buf_init */
#define FRONT_BODY_BYTES (1u << 20) /* of one request, in memory */
#define FRONT_ACTIVE 96            /* requests at once in the console; it takes some more */
#define FRONT_ACTIVE_ADDRESS 64    /* of them of one address */
#define FRONT_RATE 500             /* requests a second of one address; twice as many at once */
#define FRONT_SEND_S 60

struct front_conf {
    const char *dir;    /* absolute: its own folder */
    const char *listen; /* as bound */
    const char *certificate, *certificate_key; /* absolute; NULL or "": no TLS */
    int run_fd;         /* the number of D/run's descriptor in nginx */
};

/* ERR_USAGE: a field is no address or no absolute path; ERR_LIMIT. */
int front_conf_write(struct buf *out, const struct front_conf *c);

#endif
