/*
 * Walks a YAML document along the tables of config_fields.c, so nothing that a table does not name
 * is accepted, and the depth of the walk is the tables', whatever the document's aliases say.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "control/config_int.h"
#include "control/nearest.h"

#define FIELDS_MAX 32 /* of one table */

static int unknown(struct config_reading *r, const yaml_node_t *key,
                   const struct config_schema *schema) {
    const char *names[FIELDS_MAX + 1], *dot = schema->where[0] ? "." : "";
    for (size_t i = 0; i < schema->count; i++)
        names[i] = schema->fields[i].name;
    names[schema->count] = NULL;
    const char *near = nearest_name(config_scalar(key), names);
    if (near)
        return config_wrong(r, config_mark_of(key),
                            "there is no field \"%s%s%.60s\"; did you mean \"%s\"?", schema->where,
                            dot, config_scalar(key), near);
    char all[256] = "";
    for (size_t i = 0, len = 0; i < schema->count && len < sizeof all; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", names[i]);
    return config_wrong(r, config_mark_of(key),
                        "there is no field \"%s%s%.60s\"; the fields here are %s", schema->where,
                        dot, config_scalar(key), all);
}

static int too_many(struct config_reading *r, const yaml_node_t *at, const struct config_field *f) {
    return config_wrong(r, config_mark_of(at), "\"%s\" has more than %zu entries", f->name,
                        f->kind == CONFIG_TEXTS ? (size_t)CONFIG_LIST : f->room);
}

/* One entry of a list, at place `index`. */
typedef int entry_fn(struct config_reading *r, yaml_node_t *entry, const struct config_field *f,
                     void *base, size_t index);

static int each_entry(struct config_reading *r, yaml_node_t *value, const struct config_field *f,
                      void *base, entry_fn *fn) {
    size_t index = 0;
    if (value->type != YAML_SEQUENCE_NODE)
        return config_wrong(r, config_mark_of(value), "\"%s\" must be a list: %s", f->name,
                            f->kind == CONFIG_ITEMS ? "- name: value" : "[one, two]");
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top;
         i++, index++) {
        yaml_node_t *entry = yaml_document_get_node(r->document, *i);
        if (index == (f->kind == CONFIG_TEXTS ? (size_t)CONFIG_LIST : f->room))
            return too_many(r, entry, f);
        int rc = fn(r, entry, f, base, index);
        if (rc)
            return rc;
    }
    return 0;
}

static int take_fixed_text(struct config_reading *r, yaml_node_t *entry,
                           const struct config_field *f, void *base, size_t index) {
    int rc =
        config_take_text(r, entry, f->name, (char *)base + f->offset + index * f->room, f->room);
    if (!rc)
        *(size_t *)(void *)((char *)base + f->count_offset) = index + 1;
    return rc;
}

static int add(struct config_reading *r, struct config_array *a, size_t bytes, void **ret) {
    int rc = config_array_add(a, bytes, ret);
    if (rc)
        snprintf(r->why, CONFIG_WHY, "%s: %s", r->name, err_text(rc));
    return rc;
}

static int take_name(struct config_reading *r, yaml_node_t *entry, const struct config_field *f,
                     void *base, size_t index) {
    struct config_name *n;
    void *item;
    (void)index;
    int rc = add(r, (struct config_array *)(void *)((char *)base + f->offset), sizeof *n, &item);
    if (rc)
        return rc;
    n = item;
    n->mark = config_mark_of(entry);
    return config_take_text(r, entry, f->name, n->text, sizeof n->text);
}

static int add_item(struct config_reading *r, const struct config_field *f, void *base,
                    const yaml_node_t *at, char **ret) {
    void *item;
    int rc =
        add(r, (struct config_array *)(void *)((char *)base + f->offset), f->sub->bytes, &item);
    if (rc)
        return rc;
    if (f->sub->defaults)
        f->sub->defaults(item);
    *(struct config_mark *)(void *)((char *)item + f->sub->mark_offset) = config_mark_of(at);
    *ret = item;
    return 0;
}

static int take_item(struct config_reading *r, yaml_node_t *entry, const struct config_field *f,
                     void *base, size_t index) {
    char *item;
    (void)index;
    int rc = add_item(r, f, base, entry, &item);
    return rc ? rc : config_read_section(r, entry, f->sub, f->name, item);
}

/* ---- maps by name ---- */

static int must_be_map(struct config_reading *r, const yaml_node_t *map, const char *called) {
    if (map->type == YAML_MAPPING_NODE)
        return 0;
    const char *quote = called ? "\"" : "";
    return config_wrong(r, config_mark_of(map), "%s%s%s must have fields, as in \"name: value\"",
                        quote, called ? called : "the file", quote);
}

static int twice(struct config_reading *r, const yaml_node_t *key) {
    return config_wrong(r, config_mark_of(key), "\"%.60s\" stands here for the second time",
                        config_scalar(key));
}

static int take_pair(struct config_reading *r, const struct config_field *f, void *base,
                     const yaml_node_t *key, const yaml_node_t *value) {
    struct config_pairs *pairs = (struct config_pairs *)(void *)((char *)base + f->offset);
    struct config_pair *p;
    void *item;
    for (size_t i = 0; i < pairs->count; i++)
        if (config_scalar(key) && strcmp(pairs->at[i].name, config_scalar(key)) == 0)
            return twice(r, key);
    int rc = add(r, (struct config_array *)(void *)pairs, sizeof *p, &item);
    if (rc)
        return rc;
    p = item;
    p->mark = config_mark_of(key);
    rc = config_take_text(r, key, f->name, p->name, sizeof p->name);
    return rc ? rc : config_take_text(r, value, p->name, p->text, sizeof p->text);
}

static int take_named(struct config_reading *r, const struct config_field *f, void *base,
                      const yaml_node_t *key, yaml_node_t *value) {
    struct config_array *a = (struct config_array *)(void *)((char *)base + f->offset);
    char *item;
    for (size_t i = 0; i < a->count; i++)
        if (config_scalar(key) &&
            strcmp((char *)a->at + i * f->sub->bytes, config_scalar(key)) == 0)
            return twice(r, key);
    int rc = add_item(r, f, base, key, &item);
    if (!rc)
        rc = config_take_text(r, key, f->name, item, f->sub->name_room);
    return rc ? rc : config_read_section(r, value, f->sub, item, item);
}

static int take_map(struct config_reading *r, yaml_node_t *map, const struct config_field *f,
                    void *base) {
    size_t count = 0;
    int rc = must_be_map(r, map, f->name);
    for (yaml_node_pair_t *p = rc ? NULL : map->data.mapping.pairs.start;
         !rc && p < map->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_document_get_node(r->document, p->key);
        yaml_node_t *value = yaml_document_get_node(r->document, p->value);
        if (count++ == f->room)
            return too_many(r, key, f);
        rc = f->kind == CONFIG_MAP ? take_named(r, f, base, key, value)
                                   : take_pair(r, f, base, key, value);
    }
    return rc;
}

/* ---- fields ---- */

static int take_value(struct config_reading *r, yaml_node_t *value, const struct config_field *f,
                      void *base) {
    char *place = (char *)base + f->offset;
    bool word = false;
    int rc = ERR_INTERNAL;
    switch (f->kind) {
    case CONFIG_SECTION:
        if (f->sub->mark_offset)
            *(struct config_mark *)(void *)(place + f->sub->mark_offset) = config_mark_of(value);
        return config_read_section(r, value, f->sub, f->name, place);
    case CONFIG_TEXT:
        return config_take_text(r, value, f->name, place, f->room);
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_MONEY:
        return config_take_number(r, value, f, (uint64_t *)(void *)place);
    case CONFIG_DIALECTS:
        return config_take_dialects(r, value, f->name, (uint32_t *)(void *)place);
    case CONFIG_TEXTS:
        *(size_t *)(void *)((char *)base + f->count_offset) = 0;
        return each_entry(r, value, f, base, take_fixed_text);
    case CONFIG_NAMES:
        return each_entry(r, value, f, base, take_name);
    case CONFIG_ITEMS:
        return each_entry(r, value, f, base, take_item);
    case CONFIG_PAIRS:
    case CONFIG_MAP:
        return take_map(r, value, f, base);
    case CONFIG_FLAG:
        rc = config_take_word(r, value, f->name, "false", "true", &word);
        if (!rc)
            *(bool *)place = word;
        return rc;
    case CONFIG_RULE:
        rc = config_take_word(r, value, f->name, f->words[0], f->words[1], &word);
        if (!rc)
            *(enum config_rule *)(void *)place = word ? CONFIG_LENIENT : CONFIG_STRICT;
        return rc;
    }
    return rc;
}

int config_read_section(struct config_reading *r, yaml_node_t *map,
                        const struct config_schema *schema, const char *called, void *base) {
    bool seen[FIELDS_MAX] = {false};
    CHECK(schema->count <= FIELDS_MAX);
    int rc = must_be_map(r, map, called);
    for (yaml_node_pair_t *p = rc ? NULL : map->data.mapping.pairs.start;
         !rc && p < map->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_document_get_node(r->document, p->key);
        yaml_node_t *value = yaml_document_get_node(r->document, p->value);
        const char *name = config_scalar(key);
        if (!name)
            return config_wrong(r, config_mark_of(key), "a field's name must be a plain word");
        size_t i = 0;
        while (i < schema->count && strcmp(schema->fields[i].name, name) != 0)
            i++;
        if (i == schema->count)
            return unknown(r, key, schema);
        if (seen[i])
            return twice(r, key);
        seen[i] = true;
        rc = take_value(r, value, &schema->fields[i], base);
    }
    return rc;
}
