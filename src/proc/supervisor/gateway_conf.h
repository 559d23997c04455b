#ifndef PROC_SUPERVISOR_GATEWAY_CONF_H
#define PROC_SUPERVISOR_GATEWAY_CONF_H
/*
 * The gateway's nginx.conf, made from what `safehouse up` knows. Pure: a struct in, text out.
 *
 * How the supervisor starts nginx with it:
 *   argv         nginx -p DIR/ -c CONF -e stderr     (trouble with the configuration goes to
 * standard error before the first request; the running gateway has no error log) uid          the
 * gateway's own. nginx in a session of its own (setsid): a terminal's signals are not for it, and
 * with an inherited socket nginx takes SIGWINCH for "stop accepting". environment  only these:
 *     NGINX="N;"       the listening socket's descriptor: bound to `listen`, listening, not
 *                      close-on-exec. nginx takes an inherited socket for the `listen` directive
 * whose address is equal (getsockname), so `listen` must be the address that is bound, its real
 * port included. The variable is nginx's own way through a binary upgrade. SH_RING_FD, SH_WAKE_FD,
 * SH_SNAPSHOT_FD    as in ipc/child.h
 *     SH_USAGE_FD, SH_LIVE_FD, SH_HEALTH_FD, SH_METRICS_FD    of limits_fds, health_fd and
 *                      metrics_fd (control/)
 *     SH_REPORT_FD     datagrams with reports from outside, for the sealer
 *     SH_DETECT_FD     the detector's rules and policy (write/policy/policy.h)
 *     SH_READY_FD      optional: a pipe's write end. Each worker writes {landlock abi, seccomp} as
 *                      two bytes when it is sandboxed and about to serve.
 *     SH_SANDBOX=best-effort    optional: start without Landlock where the kernel has none
 *     GLIBC_TUNABLES   TRACES_TUNABLES (base/traces.h) when gateway_conf_tls says so: OpenSSL frees its
 *                      buffers without wiping them, then free() does
 *   ring         two regions a worker: a reload has the old and the new ones side by side
 *   signals      TERM ends at once, QUIT after the requests under way; never USR1 (it reopens
 * logs). HUP reads the configuration and resolves the provider's name again.
 *
 * A worker that cannot be sandboxed, or finds no region, ends its master: the gateway is down then,
 * visibly, instead of up without workers.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* A provider that the snapshot's routes name. What is not about connections comes from there. */
struct gateway_provider {
    const char *name; /* letters, digits, '.', '_', '-' */
    bool tls;
    const char *host; /* name, IPv4 or [IPv6]; with ":port" if it is not the scheme's */
    const char *path; /* base path, "" for none; checked here, put together in the worker */
    uint32_t connect_ms, first_byte_ms, idle_ms;
};

struct gateway_conf {
    const char *dir;         /* absolute: the gateway's folder, writable by its uid; nginx.pid */
    const char *module;      /* absolute: ngx_http_safehouse_module.so */
    const char *listen;      /* "127.0.0.1:8080", "[::1]:8080" */
    const char *certificate; /* absolute; NULL or "": no TLS towards clients */
    const char *certificate_key;
    const char *trusted;  /* absolute: authorities for https providers; NULL or "": the system's */
    uint64_t max_body;    /* bytes, up to LIMIT_REQUEST_BODY; 0 = that */
    uint64_t body_memory; /* bytes of bodies in a worker; 0 = LIMIT_BODY_MEMORY */
    unsigned workers;     /* 0 = as many as processors */
    bool best_effort;     /* of the parts alone: as SH_SANDBOX above */
    bool reports; /* from outside: security.txt and the form are served */
    /* Lines of security.txt. "Contact: @https" stands for the form at the request's host, "Expires:
     * @" for some weeks from the request on. */
    const struct buf *security_txt;
    const struct gateway_provider *providers;
    size_t provider_count; /* 1 to LIMIT_PROVIDERS, names distinct */
};

#define GATEWAY_CONF_MAX (256u << 10) /* ceiling for buf_init */

/*
 * Appends the text. ERR_USAGE: a provider's host, path or name cannot be served, or another field
 * is no address or no absolute path; ERR_LIMIT: a field, the list or the text is too long.
 */
int gateway_conf_write(struct buf *out, const struct gateway_conf *c);
/*
 * The same in parts, for an nginx that someone else starts and that has other servers: what it
 * includes at the top of its file, in `http`, and in the `server` that is to be the gateway.
 * Nothing in them holds for another server. Workers find out by SH_LIFE_FD, a pipe's write end,
 * that nobody is there any more who would take what they log.
 */
enum gateway_part { GATEWAY_PART_MAIN, GATEWAY_PART_HTTP, GATEWAY_PART_SERVER };
int gateway_conf_part(struct buf *out, const struct gateway_conf *c, enum gateway_part part);
/* Does TLS run on either side? */
bool gateway_conf_tls(const struct gateway_conf *c);

#endif
