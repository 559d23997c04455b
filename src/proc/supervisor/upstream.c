/*
 * Chooses the one provider (upstream.h), in the process that becomes the supervisor. It looks at
 * which variables are set, not at what is in them: control/config_credentials.h fetches the key.
 */
#include "proc/supervisor/upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/control_db.h"
#include "control/dialect.h"

#define HOST_MAX 253
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const struct {
    const char *host, *name;
    uint32_t dialects;
} known[] = {
    {"api.deepseek.com", "deepseek", DIALECT_ALL},
    {"api.openai.com", "openai", DIALECT_OPENAI},
    {"api.anthropic.com", "anthropic", DIALECT_ANTHROPIC},
};

static const struct {
    const char *variable, *url, *chosen;
} accounts[] = {
    {"DEEPSEEK_API_KEY", "https://api.deepseek.com", "DEEPSEEK_API_KEY is set"},
    {"OPENAI_API_KEY", "https://api.openai.com", "OPENAI_API_KEY is set"},
    {"ANTHROPIC_API_KEY", "https://api.anthropic.com", "ANTHROPIC_API_KEY is set"},
};

/* ---- URLs ---- */

/* Host at `p`: its length, 0 when it is none. */
static size_t host_length(const char *p) {
    char six[INET6_ADDRSTRLEN];
    struct in6_addr in6;
    if (*p != '[') {
        size_t n = strspn(p, LETTERS ".-");
        return n <= HOST_MAX ? n : 0;
    }
    size_t n = strspn(p + 1, "0123456789abcdefABCDEF:.");
    if (p[1 + n] != ']' || n >= sizeof six)
        return 0;
    memcpy(six, p + 1, n);
    six[n] = 0;
    return inet_pton(AF_INET6, six, &in6) == 1 ? n + 2 : 0;
}

static bool host_is_loopback(const char *host) {
    struct in_addr in;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &in) == 1 && ntohl(in.s_addr) >> 24 == 127;
}

/* A name for clear columns: the known one, or the host as far as it fits and is allowed. Of a host
 * that is not known, the client's path decides what it speaks; what it does not, it will refuse. */
static void know(const char *host, struct upstream *ret) {
    size_t n = 0;
    ret->dialects = DIALECT_ALL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(host, known[i].host) == 0) {
            host = known[i].name;
            ret->dialects = known[i].dialects;
        }
    }
    for (; *host && n < LIMIT_NAME - 1; host++)
        if (strchr(LETTERS ".-", *host))
            ret->name[n++] = *host;
        else if (*host == ':')
            ret->name[n++] = '-';
    ret->name[n] = 0;
}

/* ":port" at *p, if there is one; moves past it. */
static bool skip_port(const char **p) {
    if (**p != ':')
        return true;
    size_t n = strspn(*p + 1, "0123456789");
    long port = n >= 1 && n <= 5 ? strtol(*p + 1, NULL, 10) : 0;
    *p += 1 + n;
    return port >= 1 && port <= 65535;
}

int upstream_parse(const char *url, struct upstream *ret, struct why *why) {
    char host[HOST_MAX + 3];
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    size_t n = scheme && strlen(url) < sizeof ret->url ? host_length(url + scheme) : 0;
    const char *p = url + scheme + n;
    bool ok = n > 0 && skip_port(&p);
    if (ok && *p == '/')
        p += strspn(p, LETTERS "/._~-");
    if (!ok || *p)
        return why_say(why, ERR_USAGE,
                       "%.200s is no address of an upstream; it looks like "
                       "https://api.deepseek.com or http://127.0.0.1:8000/path",
                       url);
    memcpy(host, url + scheme, n);
    host[n] = 0;
    size_t len = strlen(url);
    while (url[len - 1] == '/')
        len--;
    memcpy(ret->url, url, len);
    ret->url[len] = 0;
    ret->tls = scheme == 8;
    ret->loopback = host_is_loopback(host);
    know(host, ret);
    return 0;
}

/* ---- the choice ---- */

static int wrong_env(struct why *why, const char *variable) {
    return why_say(why, ERR_USAGE,
                   "the variable %.80s, which is to hold the provider's key, is not set; export it",
                   variable);
}

/* At the start it must be there; a reload has its value from then. */
static int use_env(const struct upstream_wish *w, const char *variable, struct upstream *u,
                   struct why *why) {
    const char *key = getenv(variable);
    if (strlen(variable) >= sizeof u->credential_env || (!w->reload && (!key || !*key)))
        return wrong_env(why, variable);
    memcpy(u->credential_env, variable, strlen(variable) + 1);
    return 0;
}

static int from_option(const struct upstream_wish *w, struct upstream *u, struct why *why) {
    int rc = upstream_parse(w->url, u, why);
    u->chosen = "given with --upstream";
    return rc || !w->key_env ? rc : use_env(w, w->key_env, u, why);
}

static int from_config(const struct upstream_wish *w, struct upstream *u, struct why *why) {
    const struct config *c = w->config;
    int rc = upstream_parse(c->upstream.url, u, why);
    u->chosen = "named in the configuration";
    if (rc)
        return rc;
    if (c->upstream.credential_env[0] && c->upstream.credential_file[0])
        return why_say(why, ERR_USAGE,
                       "upstream has two credentials; leave credential_env or "
                       "credential_file out");
    memcpy(u->credential_file, c->upstream.credential_file, sizeof u->credential_file);
    return c->upstream.credential_env[0] ? use_env(w, c->upstream.credential_env, u, why) : 0;
}

/* What is there without being named: an account's key, a model server, at last the demo. */
static int look(const struct upstream_wish *w, struct upstream *u, struct why *why) {
    const char *url, *name;
    u->automatic = true;
    for (size_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++) {
        const char *key = getenv(accounts[i].variable);
        if (!key || !*key)
            continue;
        u->chosen = accounts[i].chosen;
        int rc = upstream_parse(accounts[i].url, u, why);
        return rc ? rc : use_env(w, accounts[i].variable, u, why);
    }
    if (!getenv("SAFEHOUSE_NO_DISCOVERY") &&
        upstream_discover(w->own_port, w->prober_uid, &url, &name, &u->chosen)) {
        int rc = upstream_parse(url, u, why);
        snprintf(u->name, sizeof u->name, "%s", name);
        return rc;
    }
    u->demo = u->loopback = true;
    u->dialects = DIALECT_ALL;
    u->chosen = "no upstream is configured or was found: this is a demo, not a model";
    snprintf(u->name, sizeof u->name, "demo");
    return 0;
}

static int choose(const struct upstream_wish *w, struct upstream *u, struct why *why) {
    if (w->key_env && !w->url)
        return why_say(why, ERR_USAGE, "--upstream-key-env goes with --upstream; name that, too");
    if (w->url)
        return from_option(w, u, why);
    if (w->config->upstream.url[0])
        return from_config(w, u, why);
    if (w->config->upstream.credential_env[0] || w->config->upstream.credential_file[0])
        return why_say(why, ERR_USAGE,
                       "upstream has a credential, but no url to send it to; set upstream.url");
    if (!w->reload)
        return look(w, u, why);
    if (!w->reload->automatic)
        return why_say(why, ERR_USAGE,
                       "the configuration names no provider; Safehouse looks for one at its start "
                       "only: set providers, or upstream.url");
    *u = *w->reload;
    return 0;
}

int upstream_choose(const struct upstream_wish *w, struct upstream *ret, struct why *why) {
    *ret = (struct upstream){0};
    int rc = choose(w, ret, why);
    const char *name = w->config->upstream.name;
    if (!rc && name[0] && !control_name_valid(name))
        rc = why_say(why, ERR_USAGE,
                     "upstream.name %.60s is no name; use letters, digits, '.', '_' "
                     "and '-'",
                     name);
    else if (!rc && name[0] && !ret->demo)
        snprintf(ret->name, sizeof ret->name, "%s", name);
    return rc;
}

void upstream_apply(const struct upstream *u, struct config *c) {
    memcpy(c->upstream.url, u->url, sizeof c->upstream.url);
    memcpy(c->upstream.name, u->name, sizeof c->upstream.name);
    memcpy(c->upstream.credential_env, u->credential_env, sizeof c->upstream.credential_env);
    memcpy(c->upstream.credential_file, u->credential_file, sizeof c->upstream.credential_file);
}

void upstream_apply_dialects(const struct upstream *u, struct config *c) {
    CHECK(c->providers.count == 1);
    c->providers.at[0].dialects = u->dialects;
}

void upstream_forget_env(void) {
    for (size_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++) {
        char *value = getenv(accounts[i].variable);
        if (!value)
            continue;
        explicit_bzero(value, strlen(value)); /* in place: it is the process's first stack page */
        unsetenv(accounts[i].variable);
    }
}
