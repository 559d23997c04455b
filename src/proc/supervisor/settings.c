/*
 * Reads what is to be in force (settings.h), in the process of `safehouse up`: before it is the
 * supervisor, and as the supervisor at each reload.
 */
#include "proc/supervisor/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "proc/supervisor/address.h"

#define DESCRIPTION_BYTES (8u << 20)

void settings_init(struct settings *s) {
    *s = (struct settings){.demo_fd = -1};
}

void settings_done(struct settings *s) {
    config_free(s->config);
    config_credentials_free(s->credentials);
    if (s->demo_fd >= 0)
        close(s->demo_fd);
    settings_init(s);
}

/* ---- reading ---- */

int settings_load(const struct settings_source *source, struct settings *ret, struct why *why) {
    char text[CONFIG_WHY] = "";
    settings_init(ret);
    ret->read_us = clock_wall_us();
    ret->config = config_new();
    if (!ret->config)
        return why_say(why, ERR_NOMEM, "out of memory");
    int rc = source->file ? config_load(ret->config, source->file, text) : 0;
    return rc ? why_say(why, rc, "%s", text) : 0;
}

static int make_demo(struct settings *s, struct why *why) {
    struct address a;
    char text[ADDRESS_TEXT];
    CHECK(address_parse("127.0.0.1:0", &a));
    int rc = address_listen(&a, &s->demo_fd, why);
    if (rc)
        return rc;
    address_format(&a, text);
    snprintf(s->upstream.url, sizeof s->upstream.url, "http://%s", text);
    return 0;
}

/* One provider, chosen as upstream.h says, where the configuration names none. */
static int choose(const struct settings_source *source, const struct settings *before,
                  struct settings *ret, struct why *why) {
    const struct upstream_wish wish = {.config = ret->config,
                                       .url = source->upstream,
                                       .key_env = source->key_env,
                                       .reload = before ? &before->found : NULL,
                                       .own_port = source->own_port,
                                       .prober_uid = source->prober_uid};
    int rc = upstream_choose(&wish, &ret->upstream, why);
    if (!rc && ret->upstream.demo && !before)
        rc = make_demo(ret, why);
    if (!rc)
        upstream_apply(&ret->upstream, ret->config);
    return rc;
}

int settings_complete(const struct settings_source *source, const struct settings *before,
                      struct settings *ret, struct why *why) {
    char text[CONFIG_WHY] = "";
    bool choice = ret->config->providers.count == 0;
    if (!choice && source->upstream)
        return why_say(why, ERR_USAGE,
                       "the configuration has providers; leave --upstream out, or them");
    int rc = choice ? choose(source, before, ret, why) : 0;
    if (rc)
        return rc;
    rc = config_complete(ret->config, text);
    if (!rc && choice)
        upstream_apply_dialects(&ret->upstream, ret->config);
    if (!rc)
        rc = config_credentials_load(ret->config, before ? before->credentials : NULL,
                                     &ret->credentials, text);
    if (rc)
        return why_say(why, rc == ERR_SYNTAX || rc == ERR_IO ? ERR_USAGE : rc, "%s", text);
    if (before)
        ret->found = before->found;
    else if (ret->upstream.automatic)
        ret->found = ret->upstream;
    if (choice && !before)
        upstream_forget_env();
    return 0;
}

static bool reads_env(const struct settings *s, const char *env) {
    for (size_t i = 0; i < s->config->providers.count; i++)
        for (size_t k = 0; k < s->config->providers.at[i].keys.count; k++)
            if (strcmp(s->config->providers.at[i].keys.at[k].env, env) == 0)
                return true;
    return false;
}

void settings_give_up(struct settings *s, const struct settings *now) {
    size_t count = s->credentials ? s->config->providers.count : 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < s->config->providers.at[i].keys.count; k++) {
            const char *env = s->config->providers.at[i].keys.at[k].env;
            if (env[0] && !reads_env(now, env)) /* without memory the next reading says so */
                setenv(env, config_credential(s->credentials, i, k), 1);
        }
    }
    settings_done(s);
}

/* ---- comparing ---- */

static void add_part(char out[SETTINGS_NAMES], const char *name, size_t len) {
    size_t used = strlen(out);
    snprintf(out + used, SETTINGS_NAMES - used, "%s%.*s", used ? ", " : "", (int)len, name);
}

void settings_add_name(char list[SETTINGS_NAMES], const char *name) {
    add_part(list, name, strlen(name));
}

void settings_keep(const struct settings_source *source, const struct settings *now,
                   struct settings *next, char out[SETTINGS_NAMES]) {
    const struct config *a = now->config;
    struct config *b = next->config;
#define KEEP(field, name)                                                                          \
    if (memcmp(&b->field, &a->field, sizeof b->field) != 0) {                                      \
        memcpy(&b->field, &a->field, sizeof b->field);                                             \
        settings_add_name(out, name);                                                              \
    }
    out[0] = 0;
    if (source->listen) /* the command line's word holds, whatever the file says */
        memcpy(b->listen, a->listen, sizeof b->listen);
    if (source->console)
        memcpy(b->console, a->console, sizeof b->console);
    KEEP(listen, "listen")
    KEEP(console, "console")
    KEEP(sandbox, "sandbox")
    KEEP(unencrypted_swap, "unencrypted_swap")
    KEEP(gateway.ring_size, "gateway.ring_size")
    KEEP(gateway.nginx, "gateway.nginx")
    KEEP(vault, "vault")
#undef KEEP
}

/* Of a description in YAML: the line after the part that begins at p. */
static const char *part_end(const char *p, const char *end) {
    while (p < end) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        p = line ? line + 1 : end;
        if (p < end && *p != ' ' && *p != '-' && *p != '#')
            break;
    }
    return p;
}

/* The part of this name, with its length; NULL: it has none. */
static const char *part_of(const struct buf *text, const char *name, size_t name_len, size_t *len) {
    const char *p = (const char *)text->p, *end = p + text->len;
    while (p < end) {
        const char *next = part_end(p, end);
        if ((size_t)(next - p) > name_len && memcmp(p, name, name_len) == 0) {
            *len = (size_t)(next - p);
            return p;
        }
        p = next;
    }
    return NULL;
}

/* Names the parts of a that b has not, or (differing) has in other words. */
static void compare(const struct buf *a, const struct buf *b, bool differing,
                    char out[SETTINGS_NAMES]) {
    const char *p = (const char *)a->p, *end = p + a->len;
    while (p < end) {
        const char *next = part_end(p, end), *colon = memchr(p, ':', (size_t)(next - p));
        size_t len = (size_t)(next - p), name_len = colon ? (size_t)(colon - p) + 1 : 0, other_len;
        const char *other = name_len ? part_of(b, p, name_len, &other_len) : p;
        bool same = other == p || (other && other_len == len && memcmp(other, p, len) == 0);
        if (!other || (differing && !same))
            add_part(out, p, name_len - 1);
        p = next;
    }
}

/* Where the same keys are named: do they have other values? */
static bool other_credentials(const struct settings *a, const struct settings *b) {
    const struct config *c = a->config;
    for (size_t i = 0; i < c->providers.count && i < b->config->providers.count; i++) {
        const struct config_provider *p = &c->providers.at[i], *q = &b->config->providers.at[i];
        for (size_t k = 0; k < p->keys.count && k < q->keys.count; k++)
            if (strcmp(p->name, q->name) == 0 &&
                memcmp(p->keys.at[k].env, q->keys.at[k].env, sizeof p->keys.at[k].env) == 0 &&
                strcmp(config_credential(a->credentials, i, k),
                       config_credential(b->credentials, i, k)) != 0)
                return true;
    }
    return false;
}

int settings_compare(const struct settings *now, const struct settings *next,
                     char out[SETTINGS_NAMES]) {
    struct buf a, b;
    out[0] = 0;
    buf_init(&a, DESCRIPTION_BYTES);
    buf_init(&b, DESCRIPTION_BYTES);
    int rc = config_describe(now->config, &a);
    if (!rc)
        rc = config_describe(next->config, &b);
    if (!rc) {
        compare(&a, &b, true, out);
        compare(&b, &a, false, out);
        if (other_credentials(now, next))
            settings_add_name(out, "keys of providers");
    }
    buf_wipe(&a);
    buf_wipe(&b);
    return rc;
}
