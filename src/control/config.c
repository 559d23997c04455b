/*
 * Reads the YAML configuration of config.h, in the command line's process, with libyaml, and
 * completes it. The fields are in config_fields.c, the walk in config_read.c, references in
 * config_check.c.
 */
#include "control/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/config_int.h"
#include "control/dialect.h"

#define CONFIG_FILE_BYTES (1u << 20)
#define UPSTREAM_NAME "upstream" /* of the one provider, when nobody named it */

/* Texts longer than it are cut on purpose: they were checked before. */
static void copy_text(char *out, size_t room, const char *text) {
    size_t n = strnlen(text, room - 1);
    memcpy(out, text, n);
    out[n] = 0;
}

/* ---- reading ---- */

static int no_yaml(struct config_reading *r, const yaml_parser_t *p) {
    struct config_mark at = {(uint32_t)p->problem_mark.line + 1,
                             (uint32_t)p->problem_mark.column + 1};
    return config_wrong(r, at, "%s", p->problem ? p->problem : "no YAML");
}

int config_parse(struct config *c, const char *name, const void *text, size_t len,
                 char why[CONFIG_WHY]) {
    yaml_parser_t parser;
    yaml_document_t document;
    struct config_reading r = {.name = name, .why = why, .document = &document};
    if (!yaml_parser_initialize(&parser)) {
        snprintf(why, CONFIG_WHY, "%s: out of memory", name);
        return ERR_NOMEM;
    }
    yaml_parser_set_input_string(&parser, text, len);
    int rc = 0;
    if (!yaml_parser_load(&parser, &document)) {
        rc = no_yaml(&r, &parser);
        goto out;
    }
    yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root) /* an empty file leaves everything at its default */
        rc = config_read_section(&r, root, &config_schema, NULL, c);
    yaml_document_delete(&document);
    if (!rc && root && !yaml_parser_load(&parser, &document))
        rc = no_yaml(&r, &parser);
    else if (!rc && root) {
        root = yaml_document_get_root_node(&document);
        if (root)
            rc = config_wrong(&r, config_mark_of(root),
                              "a second document begins here; one is enough");
        yaml_document_delete(&document);
    }
    if (!rc)
        rc = config_check(&r, c);
out:
    yaml_parser_delete(&parser);
    return rc;
}

int config_load(struct config *c, const char *path, char why[CONFIG_WHY]) {
    struct buf text;
    buf_init(&text, CONFIG_FILE_BYTES + 1);
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        rc = errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
        snprintf(why, CONFIG_WHY, "%s: %s", path, strerror(errno));
        return rc;
    }
    for (;;) {
        rc = buf_reserve(&text, 4096);
        if (rc == ERR_LIMIT && text.len <= CONFIG_FILE_BYTES)
            rc = buf_reserve(&text, CONFIG_FILE_BYTES + 1 - text.len);
        ssize_t n = rc ? 0 : read(fd, text.p + text.len, text.cap - text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = ERR_IO;
        if (rc || n == 0)
            break;
        text.len += (size_t)n;
    }
    close(fd);
    if (!rc && text.len > CONFIG_FILE_BYTES)
        rc = ERR_LIMIT;
    if (rc)
        snprintf(why, CONFIG_WHY, "%s: %s", path, err_text(rc));
    else
        rc = config_parse(c, path, text.p, text.len, why);
    buf_wipe(&text);
    return rc;
}

/* ---- completing ---- */

bool config_url_split(const char *url, bool *ret_tls, char host[SNAPSHOT_HOST],
                      char path[SNAPSHOT_PATH]) {
    bool tls = strncmp(url, "https://", 8) == 0;
    if (!tls && strncmp(url, "http://", 7) != 0)
        return false;
    const char *h = url + (tls ? 8 : 7), *standard = tls ? ":443" : ":80";
    size_t n = strcspn(h, "/"), path_len = strlen(h + n);
    const char *port = memchr(h, ']', n); /* of an IPv6 address the port comes behind */
    port = memchr(port ? port : h, ':', n - (size_t)(port ? port - h : 0));
    if (n == 0 || n >= SNAPSHOT_HOST || path_len >= SNAPSHOT_PATH || port == h)
        return false;
    if (strspn(h, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") < n ||
        strspn(h + n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~/") <
            path_len ||
        strstr(h + n, ".."))
        return false;
    if (port) {
        size_t port_len = n - (size_t)(port - h);
        if (port_len < 2 || port_len > 6 || strspn(port + 1, "0123456789") < port_len - 1)
            return false;
        if (port_len == strlen(standard) && memcmp(port, standard, port_len) == 0)
            n -= port_len;
    }
    while (path_len && h[strcspn(h, "/") + path_len - 1] == '/')
        path_len--;
    memcpy(path, h + strcspn(h, "/"), path_len);
    path[path_len] = 0;
    memcpy(host, h, n);
    host[n] = 0;
    *ret_tls = tls;
    return true;
}

static int add_name(struct config_names *names, const char *text) {
    void *item;
    int rc =
        config_array_add((struct config_array *)(void *)names, sizeof(struct config_name), &item);
    if (!rc)
        copy_text(((struct config_name *)item)->text, LIMIT_MODEL, text);
    return rc;
}

static int add_key(struct config_provider *p, const char *env, const char *file) {
    void *item;
    int rc = config_array_add((struct config_array *)(void *)&p->keys,
                              sizeof(struct config_key_source), &item);
    if (rc)
        return rc;
    struct config_key_source *k = item;
    copy_text(k->env, sizeof k->env, env);
    copy_text(k->file, sizeof k->file, file);
    return 0;
}

static int upstream_to_provider(struct config *c) {
    void *item;
    int rc = config_array_add((struct config_array *)(void *)&c->providers,
                              sizeof(struct config_provider), &item);
    if (rc)
        return rc;
    struct config_provider *p = item;
    config_provider_defaults(p);
    p->dialects = DIALECT_ALL; /* the client's path decides; what it does not know it will refuse */
    copy_text(p->name, sizeof p->name, c->upstream.name[0] ? c->upstream.name : UPSTREAM_NAME);
    copy_text(p->url, sizeof p->url, c->upstream.url);
    if (c->upstream.credential_env[0])
        rc = add_key(p, c->upstream.credential_env, "");
    else if (c->upstream.credential_file[0])
        rc = add_key(p, "", c->upstream.credential_file);
    for (size_t i = 0; i < c->upstream.model_count && !rc; i++)
        rc = add_name(&p->models, c->upstream.models[i]);
    memset(&c->upstream, 0, sizeof c->upstream);
    return rc;
}

static int add_target(struct config *c, const char *model, const char *provider) {
    struct config_route *r = NULL;
    void *item;
    int rc = 0;
    for (size_t i = 0; i < c->routes.count && !r; i++)
        if (strcmp(c->routes.at[i].model, model) == 0)
            r = &c->routes.at[i];
    if (!r) {
        rc = config_array_add((struct config_array *)(void *)&c->routes, sizeof *r, &item);
        if (rc)
            return rc;
        r = item;
        copy_text(r->model, sizeof r->model, model);
    }
    if (r->providers.count == LIMIT_CANDIDATES || c->routes.count > LIMIT_ROUTES)
        return ERR_LIMIT;
    rc = config_array_add((struct config_array *)(void *)&r->providers,
                          sizeof(struct config_target), &item);
    if (rc)
        return rc;
    struct config_target *t = item;
    copy_text(t->name, sizeof t->name, provider);
    t->weight = 1;
    return 0;
}

static int imply_routes(struct config *c, bool everything) {
    int rc = 0;
    for (size_t i = 0; i < c->providers.count && !rc; i++) {
        const struct config_provider *p = &c->providers.at[i];
        if (everything || !p->models.count)
            rc = add_target(c, "*", p->name);
        for (size_t k = 0; k < p->models.count && !everything && !rc; k++)
            rc = add_target(c, p->models.at[k].text, p->name);
    }
    return rc;
}

int config_complete(struct config *c, char why[CONFIG_WHY]) {
    bool brief = c->upstream.url[0] != 0;
    int rc = 0;
    if (brief && c->providers.count) {
        snprintf(why, CONFIG_WHY,
                 "\"upstream\" is short for one provider; with \"providers\" "
                 "leave it out");
        return ERR_USAGE;
    }
    if (brief)
        rc = upstream_to_provider(c);
    for (size_t i = 0; i < c->providers.count && !rc; i++) {
        char host[SNAPSHOT_HOST], path[SNAPSHOT_PATH];
        bool tls;
        if (config_url_split(c->providers.at[i].url, &tls, host, path))
            continue;
        snprintf(why, CONFIG_WHY,
                 "the URL of %s must be as https://host:port/path, with no user "
                 "and no query in it",
                 c->providers.at[i].name);
        return ERR_USAGE;
    }
    if (!rc && !c->routes.count)
        rc = imply_routes(c, brief);
    if (rc)
        snprintf(why, CONFIG_WHY, "completing the configuration: %s", err_text(rc));
    return rc;
}
