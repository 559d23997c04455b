/*
 * Chooses the provider (upstream.h), in the process that becomes the supervisor. Credentials are
 * checked to be one header value, moved into struct upstream, and their variables overwritten.
 */
#include "proc/supervisor/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "control/control_db.h"

#define HOST_MAX 253
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const struct {
    const char *host, *name;
} known[] = {{"api.deepseek.com", "deepseek"}, {"api.openai.com", "openai"}};

static const struct {
    const char *variable, *url, *chosen;
} accounts[] = {
    {"DEEPSEEK_API_KEY", "https://api.deepseek.com", "DEEPSEEK_API_KEY is set"},
    {"OPENAI_API_KEY", "https://api.openai.com", "OPENAI_API_KEY is set"},
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

/* A name for clear columns: the known one, or the host as far as it fits and is allowed. */
static void name_of(const char *host, char out[LIMIT_NAME]) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(host, known[i].host) == 0)
            host = known[i].name;
    for (; *host && n < LIMIT_NAME - 1; host++)
        if (strchr(LETTERS ".-", *host))
            out[n++] = *host;
        else if (*host == ':')
            out[n++] = '-';
    out[n] = 0;
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
    name_of(host, ret->name);
    return 0;
}

/* ---- credentials ---- */

int upstream_credential(struct upstream *u, const char *key, size_t len) {
    static const char scheme[] = "Bearer ";
    if (len == 0 || len + sizeof scheme > sizeof u->credential)
        return ERR_USAGE;
    for (size_t i = 0; i < len; i++)
        if (key[i] <= 0x20 || key[i] >= 0x7f)
            return ERR_USAGE;
    memcpy(u->credential, scheme, sizeof scheme - 1);
    memcpy(u->credential + sizeof scheme - 1, key, len);
    u->credential[sizeof scheme - 1 + len] = 0;
    return 0;
}

static int from_env(const char *variable, struct upstream *u, struct why *why) {
    const char *key = getenv(variable);
    if (!key || !*key)
        return why_say(why, ERR_USAGE,
                       "the variable %.80s, which is to hold the provider's key, is "
                       "not set; export it",
                       variable);
    if (upstream_credential(u, key, strlen(key)))
        return why_say(why, ERR_USAGE,
                       "what is in %.80s cannot be a provider's key; it must be one "
                       "word of at most %d characters",
                       variable, SNAPSHOT_CREDENTIAL - 8);
    return 0;
}

static int from_file(const char *file, struct upstream *u, struct why *why) {
    char key[SNAPSHOT_CREDENTIAL + 2];
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return why_say(why, err_from_errno(errno),
                       "cannot read upstream.credential_file %.1000s: %s", file, strerror(errno));
    int rc = 0;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = why_say(why, ERR_USAGE, "upstream.credential_file %.1000s is no plain file", file);
    else if (st.st_mode & 077)
        rc = why_say(why, ERR_DENIED,
                     "others can read upstream.credential_file; close it: chmod 600 "
                     "%.1000s",
                     file);
    ssize_t n = rc ? 0 : read(fd, key, sizeof key);
    close(fd);
    if (n > 0) {
        const char *end = memchr(key, '\n', (size_t)n);
        size_t len = end ? (size_t)(end - key) : (size_t)n;
        if (len && key[len - 1] == '\r')
            len--;
        rc = upstream_credential(u, key, len);
    } else if (!rc) {
        rc = ERR_USAGE;
    }
    sodium_memzero(key, sizeof key);
    if (rc == ERR_USAGE)
        return why_say(why, rc,
                       "upstream.credential_file has no provider's key; its first line must "
                       "be one word of at most %d characters",
                       SNAPSHOT_CREDENTIAL - 8);
    return rc;
}

/* ---- the choice ---- */

static int from_option(const struct upstream_wish *w, struct upstream *u, struct why *why) {
    int rc = upstream_parse(w->url, u, why);
    u->chosen = "given with --upstream";
    return rc || !w->key_env ? rc : from_env(w->key_env, u, why);
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
    if (c->upstream.credential_env[0])
        return from_env(c->upstream.credential_env, u, why);
    return c->upstream.credential_file[0] ? from_file(c->upstream.credential_file, u, why) : 0;
}

static int choose(const struct upstream_wish *w, struct upstream *u, struct why *why) {
    const char *url, *name;
    if (w->key_env && !w->url)
        return why_say(why, ERR_USAGE, "--upstream-key-env goes with --upstream; name that, too");
    if (w->url)
        return from_option(w, u, why);
    if (w->config->upstream.url[0])
        return from_config(w, u, why);
    if (w->config->upstream.credential_env[0] || w->config->upstream.credential_file[0])
        return why_say(why, ERR_USAGE,
                       "upstream has a credential, but no url to send it to; set upstream.url");
    for (size_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++) {
        const char *key = getenv(accounts[i].variable);
        if (!key || !*key)
            continue;
        u->chosen = accounts[i].chosen;
        int rc = upstream_parse(accounts[i].url, u, why);
        return rc ? rc : from_env(accounts[i].variable, u, why);
    }
    if (!getenv("SAFEHOUSE_NO_DISCOVERY") &&
        upstream_discover(w->own_port, w->prober_uid, &url, &name, &u->chosen)) {
        int rc = upstream_parse(url, u, why);
        snprintf(u->name, sizeof u->name, "%s", name);
        return rc;
    }
    u->demo = u->loopback = true;
    u->chosen = "no upstream is configured or was found: this is a demo, not a model";
    snprintf(u->name, sizeof u->name, "demo");
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
    if (rc)
        sodium_memzero(ret, sizeof *ret);
    return rc;
}

static void forget(const char *variable) {
    char *value = variable && *variable ? getenv(variable) : NULL;
    if (!value)
        return;
    explicit_bzero(value, strlen(value)); /* in place: it is the process's first stack page */
    unsetenv(variable);
}

void upstream_forget_env(const struct upstream_wish *w) {
    forget(w->key_env);
    forget(w->config->upstream.credential_env);
    for (size_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++)
        forget(accounts[i].variable);
}
