/*
 * Reads the YAML configuration of config.h, in the command line's process, with libyaml.
 *
 * The fields are one table: path, kind, place in struct config, bounds. The document's tree is walked
 * along the table, so nothing that the table does not name is accepted, and the depth of the walk is
 * the table's, whatever the document's aliases say.
 */
#include "control/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/err.h"
#include "control/nearest.h"

#define CONFIG_FILE_BYTES (1u << 20)

enum kind { KIND_SECTION, KIND_TEXT, KIND_FLAG, KIND_NUMBER, KIND_SIZE, KIND_RULE, KIND_LIST };

struct field {
    const char *section; /* "" = top level */
    const char *name;
    enum kind kind;
    size_t offset;
    size_t room;         /* text, list entry: bytes with NUL */
    size_t count_offset; /* list */
    uint64_t min, max;   /* numbers and sizes */
    const char *words[2]; /* rule: strict, lenient */
};

#define AT(member) offsetof(struct config, member)
#define ROOM(member) sizeof(((struct config *)0)->member)
#define TEXT(section, name, member) {section, name, KIND_TEXT, AT(member), ROOM(member), 0, 0, 0, {0}}
#define LIST(section, name, member, count)                                                         \
    {section, name, KIND_LIST, AT(member), ROOM(member[0]), AT(count), 0, 0, {0}}
#define SECTION(name) {"", name, KIND_SECTION, 0, 0, 0, 0, 0, {0}}

static const struct field fields[] = {
    TEXT("", "listen", listen),
    TEXT("", "console", console),
    {"", "behind_tls_proxy", KIND_FLAG, AT(behind_tls_proxy), 0, 0, 0, 0, {0}},
    {"", "sandbox", KIND_RULE, AT(sandbox), 0, 0, 0, 0, {"required", "best-effort"}},
    {"", "unencrypted_swap", KIND_RULE, AT(unencrypted_swap), 0, 0, 0, 0, {"refuse", "accept"}},
    SECTION("upstream"),
    TEXT("upstream", "url", upstream.url),
    TEXT("upstream", "name", upstream.name),
    TEXT("upstream", "credential_env", upstream.credential_env),
    TEXT("upstream", "credential_file", upstream.credential_file),
    LIST("upstream", "models", upstream.models, upstream.model_count),
    SECTION("tls"),
    TEXT("tls", "certificate", tls.certificate),
    TEXT("tls", "key", tls.key),
    SECTION("gateway"),
    {"gateway", "workers", KIND_NUMBER, AT(gateway.workers), 0, 0, 1, 64, {0}},
    {"gateway", "max_body", KIND_SIZE, AT(gateway.max_body), 0, 0, 1024, LIMIT_REQUEST_BODY, {0}},
    {"gateway", "ring_size", KIND_SIZE, AT(gateway.ring_size), 0, 0, 16u << 20, 1ull << 36, {0}},
    SECTION("vault"),
    LIST("vault", "replica", vault.replica, vault.replica_count),
};
#define FIELDS (sizeof fields / sizeof fields[0])

struct reading {
    struct config *config;
    const char *name;
    char *why;
    yaml_document_t *document;
};

struct config *config_new(void) {
    struct config *c = calloc(1, sizeof *c);
    if (c)
        c->gateway.max_body = LIMIT_REQUEST_BODY;
    return c;
}

void config_free(struct config *c) {
    free(c);
}

__attribute__((format(printf, 3, 4))) static int wrong(struct reading *r, yaml_mark_t mark,
                                                      const char *fmt, ...) {
    int n = snprintf(r->why, CONFIG_WHY, "%s:%zu:%zu: ", r->name, mark.line + 1, mark.column + 1);
    if (n > 0 && n < CONFIG_WHY) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(r->why + n, (size_t)(CONFIG_WHY - n), fmt, ap);
        va_end(ap);
    }
    return ERR_SYNTAX;
}

static const char *scalar(const yaml_node_t *n) {
    return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static int unknown(struct reading *r, const yaml_node_t *key, const char *section) {
    const char *names[FIELDS + 1];
    size_t n = 0;
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].section, section) == 0)
            names[n++] = fields[i].name;
    names[n] = NULL;
    const char *near = nearest_name(scalar(key), names);
    const char *dot = section[0] ? "." : "";
    if (near)
        return wrong(r, key->start_mark, "there is no field \"%s%s%.60s\"; did you mean \"%s\"?",
                     section, dot, scalar(key), near);
    char all[256] = "";
    for (size_t i = 0, len = 0; i < n && len < sizeof all; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", names[i]);
    return wrong(r, key->start_mark, "there is no field \"%s%s%.60s\"; the fields here are %s",
                 section, dot, scalar(key), all);
}

/* A text that fits, with nothing in it that could end a line elsewhere. */
static int take_text(struct reading *r, const yaml_node_t *value, const char *name, char *out,
                     size_t room) {
    const char *s = scalar(value);
    if (!s || value->data.scalar.length == 0)
        return wrong(r, value->start_mark, "\"%s\" must be a text", name);
    if (value->data.scalar.length >= room)
        return wrong(r, value->start_mark, "\"%s\" is longer than %zu bytes", name, room - 1);
    for (size_t i = 0; i < value->data.scalar.length; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return wrong(r, value->start_mark, "\"%s\" has a control character in it", name);
    memcpy(out, s, value->data.scalar.length + 1);
    return 0;
}

/* "33554432", and for sizes also "32MiB", "32M". */
static int take_number(struct reading *r, const yaml_node_t *value, const struct field *f,
                       uint64_t *ret) {
    const char *s = scalar(value);
    char *end = NULL;
    errno = 0;
    unsigned long long v = s && s[0] >= '0' && s[0] <= '9' ? strtoull(s, &end, 10) : 0;
    if (!end || errno)
        return wrong(r, value->start_mark, "\"%s\" must be a number", f->name);
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    size_t i = 0, known = f->kind == KIND_SIZE ? sizeof units / sizeof units[0] : 1;
    while (i < known && strcmp(end, units[i].name) != 0)
        i++;
    if (i == known)
        return wrong(r, value->start_mark, "\"%s\" must be a number%s", f->name,
                     f->kind == KIND_SIZE ? " of bytes, KiB, MiB or GiB" : "");
    if (v > UINT64_MAX >> units[i].shift || v << units[i].shift < f->min ||
        v << units[i].shift > f->max)
        return wrong(r, value->start_mark, "\"%s\" must be between %llu and %llu", f->name,
                     (unsigned long long)f->min, (unsigned long long)f->max);
    *ret = v << units[i].shift;
    return 0;
}

static int take_list(struct reading *r, yaml_node_t *value, const struct field *f) {
    char *base = (char *)r->config + f->offset;
    size_t *count = (size_t *)(void *)((char *)r->config + f->count_offset);
    if (value->type != YAML_SEQUENCE_NODE)
        return wrong(r, value->start_mark, "\"%s\" must be a list: [one, two]", f->name);
    *count = 0;
    for (yaml_node_item_t *i = value->data.sequence.items.start;
         i < value->data.sequence.items.top; i++) {
        yaml_node_t *entry = yaml_document_get_node(r->document, *i);
        if (*count == CONFIG_LIST)
            return wrong(r, entry->start_mark, "\"%s\" has more than %d entries", f->name,
                         CONFIG_LIST);
        int rc = take_text(r, entry, f->name, base + *count * f->room, f->room);
        if (rc)
            return rc;
        (*count)++;
    }
    return 0;
}

static int take_word(struct reading *r, const yaml_node_t *value, const struct field *f,
                     const char *zero, const char *one, bool *ret) {
    const char *s = scalar(value);
    if (!s || (strcmp(s, zero) != 0 && strcmp(s, one) != 0))
        return wrong(r, value->start_mark, "\"%s\" must be %s or %s", f->name, zero, one);
    *ret = strcmp(s, one) == 0;
    return 0;
}

static int take_section(struct reading *r, yaml_node_t *map, const char *section);

static int take_value(struct reading *r, yaml_node_t *value, const struct field *f) {
    char *place = (char *)r->config + f->offset;
    bool word = false;
    int rc = ERR_INTERNAL;
    switch (f->kind) {
    case KIND_SECTION:
        return take_section(r, value, f->name);
    case KIND_TEXT:
        return take_text(r, value, f->name, place, f->room);
    case KIND_LIST:
        return take_list(r, value, f);
    case KIND_NUMBER:
    case KIND_SIZE:
        return take_number(r, value, f, (uint64_t *)(void *)place);
    case KIND_FLAG:
        rc = take_word(r, value, f, "false", "true", &word);
        if (!rc)
            *(bool *)place = word;
        return rc;
    case KIND_RULE:
        rc = take_word(r, value, f, f->words[0], f->words[1], &word);
        if (!rc)
            *(enum config_rule *)(void *)place = word ? CONFIG_LENIENT : CONFIG_STRICT;
        return rc;
    }
    return rc;
}

static int take_section(struct reading *r, yaml_node_t *map, const char *section) {
    bool seen[FIELDS] = {false};
    if (map->type != YAML_MAPPING_NODE)
        return wrong(r, map->start_mark, "%s%s%s must have fields, as in \"name: value\"",
                     section[0] ? "\"" : "", section[0] ? section : "the file",
                     section[0] ? "\"" : "");
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_document_get_node(r->document, p->key);
        yaml_node_t *value = yaml_document_get_node(r->document, p->value);
        if (!scalar(key))
            return wrong(r, key->start_mark, "a field's name must be a plain word");
        size_t i = 0;
        while (i < FIELDS && (strcmp(fields[i].section, section) != 0 ||
                              strcmp(fields[i].name, scalar(key)) != 0))
            i++;
        if (i == FIELDS)
            return unknown(r, key, section);
        if (seen[i])
            return wrong(r, key->start_mark, "\"%s\" stands here for the second time",
                         fields[i].name);
        seen[i] = true;
        int rc = take_value(r, value, &fields[i]);
        if (rc)
            return rc;
    }
    return 0;
}

int config_parse(struct config *c, const char *name, const void *text, size_t len,
                 char why[CONFIG_WHY]) {
    yaml_parser_t parser;
    yaml_document_t document;
    struct reading r = {.config = c, .name = name, .why = why, .document = &document};
    if (!yaml_parser_initialize(&parser)) {
        snprintf(why, CONFIG_WHY, "%s: out of memory", name);
        return ERR_NOMEM;
    }
    yaml_parser_set_input_string(&parser, text, len);
    int rc = 0;
    if (!yaml_parser_load(&parser, &document)) {
        rc = wrong(&r, parser.problem_mark, "%s", parser.problem ? parser.problem : "no YAML");
        goto out;
    }
    yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root) /* an empty file leaves everything at its default */
        rc = take_section(&r, root, "");
    yaml_document_delete(&document);
    if (!rc && root && !yaml_parser_load(&parser, &document))
        rc = wrong(&r, parser.problem_mark, "%s", parser.problem ? parser.problem : "no YAML");
    else if (!rc && root) {
        root = yaml_document_get_root_node(&document);
        if (root)
            rc = wrong(&r, root->start_mark, "a second document begins here; one is enough");
        yaml_document_delete(&document);
    }
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
