/*
 * What the fields alone do not say: names that must exist, routes that nothing can reach, fallbacks
 * that speak another dialect, sources that would put a secret into a clear column. Each complaint
 * has the line of what it complains about.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/security_txt.h"
#include "control/config_int.h"
#include "control/dialect.h"
#include "control/nearest.h"
#include "control/pattern.h"

#define NEAR_NAMES (2 * LIMIT_ROUTES + LIMIT_PROVIDERS)

/* As it may stand in a clear column, in a file's name and in nginx's configuration. */
static bool plain_name(const char *s) {
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && s[n] == 0 && s[0] != '.';
}

static int bad_name(struct config_reading *r, struct config_mark at, const char *what,
                    const char *name) {
    return config_wrong(r, at, "\"%.60s\" is no name for a %s: letters, digits, '.', '_' and '-'",
                        name, what);
}

/* A star may only be a pattern's last character. */
static int check_pattern(struct config_reading *r, struct config_mark at, const char *model) {
    const char *star = strchr(model, '*');
    if (!model[0])
        return config_wrong(r, at, "\"model\" is missing");
    if (strchr(model, ','))
        return config_wrong(r, at, "\"%s\" has a comma in it", model);
    if (star && star[1])
        return config_wrong(r, at, "in \"%s\" the star must be the last character", model);
    return 0;
}

static const struct config_provider *provider_named(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->providers.count; i++)
        if (strcmp(c->providers.at[i].name, name) == 0)
            return &c->providers.at[i];
    return NULL;
}

static int no_provider(struct config_reading *r, const struct config *c, struct config_mark at,
                       const char *name) {
    const char *names[LIMIT_PROVIDERS + 1];
    size_t n = 0;
    for (; n < c->providers.count; n++)
        names[n] = c->providers.at[n].name;
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    if (near)
        return config_wrong(r, at, "there is no provider \"%s\"; did you mean \"%s\"?", name, near);
    return config_wrong(r, at, "there is no provider \"%s\"", name);
}

/* ---- providers ---- */

static int check_key_source(struct config_reading *r, const struct config_key_source *k) {
    if ((k->env[0] != 0) + (k->file[0] != 0) + (k->credential[0] != 0) != 1)
        return config_wrong(r, k->mark,
                            "a key comes from one of \"env\", \"file\" and "
                            "\"credential\"");
    if (k->env[0] && strchr(k->env, '='))
        return config_wrong(r, k->mark, "\"%s\" is no name for a variable", k->env);
    if (k->credential[0] && !plain_name(k->credential))
        return bad_name(r, k->mark, "credential", k->credential);
    return 0;
}

static int check_provider(struct config_reading *r, const struct config_provider *p) {
    char host[SNAPSHOT_HOST], path[SNAPSHOT_PATH];
    bool tls;
    if (!plain_name(p->name))
        return bad_name(r, p->mark, "provider", p->name);
    if (!p->url[0])
        return config_wrong(r, p->mark, "provider \"%s\" has no \"url\"", p->name);
    if (!config_url_split(p->url, &tls, host, path))
        return config_wrong(r, p->mark,
                            "the URL of \"%s\" must be as https://host:port/path, with no user and "
                            "no query in it",
                            p->name);
    if (p->timeouts.first_byte_ms > p->timeouts.total_ms ||
        p->timeouts.connect_ms > p->timeouts.total_ms)
        return config_wrong(r, p->mark, "a timeout of \"%s\" is longer than its \"total\"",
                            p->name);
    for (size_t i = 0; i < p->models.count; i++) {
        int rc = check_pattern(r, p->models.at[i].mark, p->models.at[i].text);
        if (!rc && strchr(p->models.at[i].text, '*'))
            rc = config_wrong(r, p->models.at[i].mark, "a provider's models are whole names");
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < p->keys.count; i++) {
        int rc = check_key_source(r, &p->keys.at[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_providers(struct config_reading *r, const struct config *c) {
    if (c->providers.count && c->upstream.url[0])
        return config_wrong(r, c->providers.at[0].mark,
                            "\"upstream\" is short for one provider; with \"providers\" leave it "
                            "out");
    for (size_t i = 0; i < c->providers.count; i++) {
        int rc = check_provider(r, &c->providers.at[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- routes ---- */

/* Does the provider say that it has this model? One that names none has all. */
static bool serves(const struct config_provider *p, const char *model) {
    for (size_t i = 0; i < p->models.count; i++)
        if (strcmp(p->models.at[i].text, model) == 0)
            return true;
    return p->models.count == 0;
}

static bool used_before(const struct config_route *route, size_t targets, size_t fallbacks,
                        const char *name) {
    for (size_t i = 0; i < targets; i++)
        if (strcmp(route->providers.at[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < fallbacks; i++)
        if (strcmp(route->fallback.at[i].text, name) == 0)
            return true;
    return false;
}

static int check_target(struct config_reading *r, const struct config *c,
                        const struct config_route *route, size_t i, uint32_t *dialects) {
    const struct config_target *t = &route->providers.at[i];
    const struct config_provider *p = provider_named(c, t->name);
    const char *model = t->model[0] ? t->model : route->model;
    if (!t->name[0])
        return config_wrong(r, t->mark, "\"name\" is missing: which provider?");
    if (!p)
        return no_provider(r, c, t->mark, t->name);
    if (used_before(route, i, 0, t->name))
        return config_wrong(r, t->mark, "provider \"%s\" stands in this route for the second time",
                            t->name);
    if (strchr(t->model, '*'))
        return config_wrong(r, t->mark, "\"model\" here is one name, without a star");
    if (!strchr(model, '*') && !serves(p, model))
        return config_wrong(r, t->mark, "\"%s\" is not among the models of provider \"%s\"", model,
                            t->name);
    *dialects |= p->dialects;
    return 0;
}

static int check_fallback(struct config_reading *r, const struct config *c,
                          const struct config_route *route, size_t i, uint32_t dialects) {
    const struct config_name *n = &route->fallback.at[i];
    const struct config_provider *p = provider_named(c, n->text);
    if (!p)
        return no_provider(r, c, n->mark, n->text);
    if (used_before(route, route->providers.count, i, n->text))
        return config_wrong(r, n->mark, "provider \"%s\" stands in this route for the second time",
                            n->text);
    if (!(p->dialects & dialects))
        return config_wrong(r, n->mark,
                            "fallback \"%s\" speaks none of the dialects of this route's providers",
                            n->text);
    if (!strchr(route->model, '*') && !serves(p, route->model))
        return config_wrong(r, n->mark, "\"%s\" is not among the models of provider \"%s\"",
                            route->model, n->text);
    return 0;
}

static int check_route(struct config_reading *r, const struct config *c, size_t index) {
    const struct config_route *route = &c->routes.at[index];
    uint32_t dialects = 0;
    int rc = check_pattern(r, route->mark, route->model);
    if (rc)
        return rc;
    for (size_t i = 0; i < index; i++)
        if (strcmp(c->routes.at[i].model, route->model) == 0)
            return config_wrong(r, route->mark,
                                "nothing reaches this route: \"%s\" has one in line %u",
                                route->model, c->routes.at[i].mark.line);
    if (!route->providers.count)
        return config_wrong(r, route->mark, "the route of \"%s\" has no \"providers\"",
                            route->model);
    if (route->providers.count + route->fallback.count > LIMIT_CANDIDATES)
        return config_wrong(r, route->mark, "a route has at most %d providers and fallbacks",
                            LIMIT_CANDIDATES);
    for (size_t i = 0; i < route->providers.count && !rc; i++)
        rc = check_target(r, c, route, i, &dialects);
    for (size_t i = 0; i < route->fallback.count && !rc; i++)
        rc = check_fallback(r, c, route, i, dialects);
    return rc;
}

static const struct config_pair *alias_named(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->aliases.count; i++)
        if (strcmp(c->aliases.at[i].name, name) == 0)
            return &c->aliases.at[i];
    return NULL;
}

/* Is there a route for this name, written or implied? */
static bool leads(const struct config *c, const char *model) {
    for (size_t i = 0; i < c->routes.count; i++)
        if (pattern_matches(c->routes.at[i].model, strlen(c->routes.at[i].model), model,
                            strlen(model)))
            return true;
    if (c->routes.count)
        return false;
    for (size_t i = 0; i < c->providers.count; i++)
        if (serves(&c->providers.at[i], model))
            return true;
    return c->providers.count == 0; /* `upstream`, here or on the command line, takes everything */
}

static int no_route(struct config_reading *r, const struct config *c, struct config_mark at,
                    const char *model) {
    const char *names[NEAR_NAMES + 1];
    size_t n = 0;
    for (size_t i = 0; i < c->routes.count; i++)
        names[n++] = c->routes.at[i].model;
    for (size_t i = 0; i < c->aliases.count; i++)
        names[n++] = c->aliases.at[i].name;
    names[n] = NULL;
    const char *near = nearest_name(model, names);
    if (near)
        return config_wrong(r, at, "no route leads to \"%s\"; did you mean \"%s\"?", model, near);
    return config_wrong(r, at, "no route leads to \"%s\"", model);
}

static int check_routes(struct config_reading *r, const struct config *c) {
    for (size_t i = 0; i < c->routes.count; i++) {
        int rc = check_route(r, c, i);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < c->aliases.count; i++) {
        const struct config_pair *a = &c->aliases.at[i];
        if (strchr(a->name, '*') || strchr(a->text, '*'))
            return config_wrong(r, a->mark, "an alias is one name for another, without stars");
        if (alias_named(c, a->text))
            return config_wrong(r, a->mark, "\"%s\" is an alias of an alias; name the model itself",
                                a->name);
        for (size_t k = 0; k < c->routes.count; k++)
            if (strcmp(c->routes.at[k].model, a->name) == 0)
                return config_wrong(r, c->routes.at[k].mark,
                                    "nothing reaches this route: \"%s\" is an alias in line %u",
                                    a->name, a->mark.line);
        if (!leads(c, a->text))
            return no_route(r, c, a->mark, a->text);
    }
    return 0;
}

/* ---- projects and keys ---- */

static int check_allowed(struct config_reading *r, const struct config *c,
                         const struct config_names *models) {
    for (size_t i = 0; i < models->count; i++) {
        const struct config_name *m = &models->at[i];
        int rc = check_pattern(r, m->mark, m->text);
        if (!rc && !strchr(m->text, '*') && !alias_named(c, m->text) && !leads(c, m->text))
            rc = no_route(r, c, m->mark, m->text);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_projects(struct config_reading *r, const struct config *c) {
    int rc = check_allowed(r, c, &c->keys.models);
    for (size_t i = 0; i < c->projects.count && !rc; i++) {
        const struct config_project *p = &c->projects.at[i];
        if (!plain_name(p->name))
            return bad_name(r, p->mark, "project", p->name);
        for (size_t k = 0; k < p->tags.count; k++) {
            if (!plain_name(p->tags.at[k].name))
                return bad_name(r, p->tags.at[k].mark, "tag", p->tags.at[k].name);
            if (strlen(p->tags.at[k].text) >= LIMIT_NAME ||
                strlen(p->tags.at[k].name) >= LIMIT_NAME)
                return config_wrong(r, p->tags.at[k].mark, "a tag is longer than %d bytes",
                                    LIMIT_NAME - 1);
        }
        rc = check_allowed(r, c, &p->models);
    }
    return rc;
}

/* ---- prices ---- */

static int check_prices(struct config_reading *r, const struct config *c) {
    size_t letters = strspn(c->prices.currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (letters != 3 || c->prices.currency[3])
        return config_wrong(r, c->prices.mark, "\"currency\" must be three letters, as in USD");
    const char *d = c->prices.as_of;
    if (d[0] &&
        (strlen(d) != 10 || strspn(d, "0123456789") != 4 || d[4] != '-' ||
         strspn(d + 5, "0123456789") != 2 || d[7] != '-' || strspn(d + 8, "0123456789") != 2))
        return config_wrong(r, c->prices.mark, "\"as_of\" must be a date, as in 2026-01-31");
    for (size_t i = 0; i < c->prices.models.count; i++) {
        int rc = check_pattern(r, c->prices.models.at[i].mark, c->prices.models.at[i].name);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- log ---- */

static int check_source(struct config_reading *r, const struct config_source *s,
                        struct config_mark at, const char *called) {
    static const char *const secret[] = {"authorization", "api-key",  "apikey", "cookie",
                                         "secret",        "password", "token"};
    if ((s->header[0] != 0) + (s->metadata[0] != 0) != 1)
        return config_wrong(r, at, "\"%s\" comes from one of \"header\" and \"metadata\"", called);
    if (s->metadata[0])
        return 0;
    if (strspn(s->header, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") <
        strlen(s->header))
        return config_wrong(r, at, "\"%s\" is no name for a header", s->header);
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++)
        if (strcasestr(s->header, secret[i]))
            return config_wrong(r, at, "the header \"%s\" may hold a secret and is never logged",
                                s->header);
    return 0;
}

static int check_log(struct config_reading *r, const struct config *c) {
    int rc = 0;
    if (c->log.session_id.mark.line)
        rc = check_source(r, &c->log.session_id, c->log.session_id.mark, "session_id");
    if (!rc && c->log.trace_id.mark.line)
        rc = check_source(r, &c->log.trace_id, c->log.trace_id.mark, "trace_id");
    for (size_t i = 0; i < c->log.tags.count && !rc; i++) {
        const struct config_tag *t = &c->log.tags.at[i];
        rc = plain_name(t->name) ? check_source(r, &t->source, t->mark, t->name)
                                 : bad_name(r, t->mark, "tag", t->name);
    }
    return rc;
}

/* ---- detect ---- */

static bool is_action(const char *word) {
    static const char *const words[] = {"fingerprint", "seal", "allow", "block", "mask"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static int check_actions(struct config_reading *r, const struct config *c,
                         const struct config_pairs *classes) {
    for (size_t i = 0; i < classes->count; i++) {
        const struct config_pair *p = &classes->at[i];
        if (!plain_name(p->name))
            return bad_name(r, p->mark, "class", p->name);
        if (!is_action(p->text))
            return config_wrong(
                r, p->mark, "\"%.60s\" must be fingerprint, seal, allow, block or mask", p->name);
        if (config_is_inspection(p->text) && !c->detect.enabled)
            return config_wrong(r, p->mark,
                                "\"%s\" with \"enabled: false\" would let everything through",
                                p->text);
    }
    return 0;
}

static int check_detect(struct config_reading *r, const struct config *c) {
    int rc = check_actions(r, c, &c->detect.classes);
    for (size_t i = 0; !rc && i < c->detect.projects.count; i++) {
        const struct config_detected *p = &c->detect.projects.at[i];
        rc = plain_name(p->name) ? check_actions(r, c, &p->classes)
                                 : bad_name(r, p->mark, "project", p->name);
    }
    for (size_t i = 0; !rc && i < c->detect.mute.count; i++)
        if (!plain_name(c->detect.mute.at[i].text))
            rc = bad_name(r, c->detect.mute.at[i].mark, "rule", c->detect.mute.at[i].text);
    return rc;
}

/* ---- reports ---- */

/* Languages are tags, "en, zh-Hans"; nothing may end its line, or begin another field. */
static bool languages_ok(const char *s) {
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-, ")] == 0;
}

static int check_uris(struct config_reading *r, const struct config *c) {
    const struct {
        const char *name, *text;
    } uris[] = {{"policy", c->reports.policy},
                {"acknowledgments", c->reports.acknowledgments},
                {"encryption", c->reports.encryption},
                {"canonical", c->reports.canonical}};
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++)
        if (uris[i].text[0] && !security_txt_uri(uris[i].text, strlen(uris[i].text)))
            return config_wrong(r, c->reports.mark, "\"%s\" must be a URL as https://example.org/...",
                                uris[i].name);
    for (size_t i = 0; i < c->reports.contact.count; i++) {
        const struct config_name *n = &c->reports.contact.at[i];
        if (!security_txt_uri(n->text, strlen(n->text)))
            return config_wrong(r, n->mark,
                                "\"%.60s\" is no contact; write it as mailto:security@example.org "
                                "or https://example.org/security",
                                n->text);
    }
    return 0;
}

/* What nobody may rely on is not served: this file, and with it the start, is refused. */
static int check_reports(struct config_reading *r, const struct config *c) {
    time_t ends;
    const char *expires = c->reports.expires;
    int rc = check_uris(r, c);
    if (rc)
        return rc;
    if (!languages_ok(c->reports.languages))
        return config_wrong(r, c->reports.mark, "\"languages\" must be as in: en, zh");
    if (expires[0] && !security_txt_time(expires, strlen(expires), &ends))
        return config_wrong(r, c->reports.mark,
                            "\"expires\" must be a time, as in 2027-01-31T00:00:00Z");
    if (expires[0] && c->reports.enabled && ends < time(NULL))
        return config_wrong(r, c->reports.mark,
                            "security.txt has expired (%.40s): say whether its contacts are right "
                            "still, and renew \"expires\", or leave it out to have it renewed",
                            expires);
    if (c->reports.file[0] && (c->reports.contact.count || expires[0]))
        return config_wrong(r, c->reports.mark,
                            "\"file\" has its own Contact and Expires; leave these out here");
    return 0;
}

int config_check(struct config_reading *r, const struct config *c) {
    int rc = check_providers(r, c);
    if (!rc)
        rc = check_routes(r, c);
    if (!rc)
        rc = check_projects(r, c);
    if (!rc)
        rc = check_prices(r, c);
    if (!rc)
        rc = check_log(r, c);
    if (!rc)
        rc = check_detect(r, c);
    if (!rc)
        rc = check_reports(r, c);
    return rc;
}
