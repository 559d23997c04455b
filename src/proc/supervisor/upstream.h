#ifndef PROC_SUPERVISOR_UPSTREAM_H
#define PROC_SUPERVISOR_UPSTREAM_H
/*
 * The provider behind the gateway: which one, why that one, and with which credential. Chosen once,
 * before the supervisor has any state, in this order: --upstream, the configuration's upstream.url,
 * DEEPSEEK_API_KEY, OPENAI_API_KEY, a model server on loopback, the demo.
 */
#include <stdbool.h>
#include <stddef.h>

#include "control/config.h"
#include "control/snapshot.h"
#include "proc/supervisor/why.h"

struct upstream {
    char url[CONFIG_URL]; /* "http[s]://host[:port][/path]", no slash at the end; "" for the demo,
                             until its port is known */
    char name[LIMIT_NAME];
    char credential[SNAPSHOT_CREDENTIAL]; /* Authorization's value, "" = none; the owner wipes it */
    bool tls, loopback, demo;
    const char *chosen; /* why this one: words for a person, a literal */
};

struct upstream_wish {
    const struct config *config;
    const char *url;     /* --upstream or NULL */
    const char *key_env; /* --upstream-key-env or NULL */
    unsigned own_port;   /* the gateway's, not to be found by discovery; 0 = not known yet */
    unsigned prober_uid; /* whom discovery runs as, when root */
};

/* Reads the environment, maybe a credential file, and maybe asks on loopback (a child process of
 * its own does that, SAFEHOUSE_NO_DISCOVERY forbids it). */
int upstream_choose(const struct upstream_wish *wish, struct upstream *ret, struct why *why);
/* Overwrites the variables that held credentials and takes them out of the environment. */
void upstream_forget_env(const struct upstream_wish *wish);

/* url, name (from the host), tls and loopback; strict, since it becomes a line of configuration. */
int upstream_parse(const char *url, struct upstream *ret, struct why *why);
/* "Bearer KEY"; ERR_USAGE when the key has characters that no header may have, or is too long. */
int upstream_credential(struct upstream *u, const char *key, size_t len);

/* ---- discover.c ---- */
/* The loopback URL of a model server that answers GET /v1/models as one does, its name, and words
 * about it; false when there is none. */
bool upstream_discover(unsigned own_port, unsigned uid, const char **ret_url, const char **ret_name,
                       const char **ret_chosen);
/* Is this a whole HTTP answer: status 200, and a JSON object with a list "data" of objects? */
bool upstream_is_model_list(const char *answer, size_t len);

#endif
