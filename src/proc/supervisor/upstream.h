#ifndef PROC_SUPERVISOR_UPSTREAM_H
#define PROC_SUPERVISOR_UPSTREAM_H
/*
 * The one provider behind the gateway, where the configuration has no `providers`: which one, why
 * that one, and where its key comes from. In this order: --upstream, the configuration's
 * upstream.url, DEEPSEEK_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY, a model server on loopback,
 * the demo. What comes after the configuration is looked for at the start only; a reload finds the
 * same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config.h"
#include "proc/supervisor/why.h"

struct upstream {
    char url[CONFIG_URL]; /* "http[s]://host[:port][/path]", no slash at the end; "" for the demo,
                             until its port is known */
    char name[LIMIT_NAME];
    char credential_env[LIMIT_NAME]; /* at most one of the two is not "" */
    char credential_file[CONFIG_PATH];
    uint32_t dialects; /* control/dialect.h */
    bool tls, loopback, demo;
    bool automatic;     /* nobody named it: looked for */
    const char *chosen; /* why this one: words for a person, a literal; NULL: none was chosen */
};

struct upstream_wish {
    const struct config *config; /* loaded, without `providers` */
    const char *url;             /* --upstream or NULL */
    const char *key_env;         /* --upstream-key-env or NULL */
    const struct upstream
        *reload;         /* NULL at the start; else what was looked for then, if anything */
    unsigned own_port;   /* the gateway's, not to be found by discovery; 0 = not known yet */
    unsigned prober_uid; /* whom discovery runs as, when root */
};

/* Looks at the environment, and maybe asks on loopback (a child process of its own does that,
 * SAFEHOUSE_NO_DISCOVERY forbids it). At a reload nothing is looked for: ERR_USAGE when nobody
 * names one and none was found at the start. */
int upstream_choose(const struct upstream_wish *wish, struct upstream *ret, struct why *why);
/* Into c->upstream, for config_complete; then its dialects, which that does not know. */
void upstream_apply(const struct upstream *u, struct config *c);
void upstream_apply_dialects(const struct upstream *u, struct config *c);
/* After the choice and its credential: overwrites the variables of accounts that it passed over,
 * and takes them out of the environment. */
void upstream_forget_env(void);

/* url, name and dialects (from the host), tls and loopback; strict, since it becomes a line of
 * configuration. */
int upstream_parse(const char *url, struct upstream *ret, struct why *why);

/* ---- discover.c ---- */
/* The loopback URL of a model server that answers GET /v1/models as one does, its name, and words
 * about it; false when there is none. */
bool upstream_discover(unsigned own_port, unsigned uid, const char **ret_url, const char **ret_name,
                       const char **ret_chosen);
/* Is this a whole HTTP answer: status 200, and a JSON object with a list "data" of objects? */
bool upstream_is_model_list(const char *answer, size_t len);

#endif
