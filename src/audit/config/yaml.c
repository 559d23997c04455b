/*
 * YAML of a configuration, by libyaml, as ClickHouse reads it: a key is an element, a list is
 * several of them, a key with @ is an attribute. What an alias stands for is counted each time, so
 * a file that multiplies itself ends at the ceiling of nodes.
 */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "audit/config/tree.h"
#include "base/err.h"

struct reading {
    struct ctree *tree;
    yaml_document_t *doc;
    const char *file;
};

static bool take_map(struct reading *r, struct cnode *into, yaml_node_t *map, unsigned depth);

static const char *scalar(const yaml_node_t *n) {
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/* One value under a key; a list is one element for each of its items. */
static bool take_value(struct reading *r, struct cnode *into, const char *key, yaml_node_t *value,
                       unsigned depth) {
    /* empty lists of empty lists make no node, and take time all the same */
    if (!value || depth >= CTREE_DEPTH || ++r->tree->node_count > CTREE_NODES)
        return false;
    if (value->type == YAML_SEQUENCE_NODE) {
        bool ok = true;
        for (yaml_node_item_t *i = value->data.sequence.items.start;
             ok && i < value->data.sequence.items.top; i++)
            ok = take_value(r, into, key, yaml_document_get_node(r->doc, *i), depth + 1);
        return ok;
    }
    struct cnode *n = cnode_new(r->tree, key, r->file, (unsigned)value->start_mark.line + 1);
    if (!n)
        return false;
    cnode_append(into, n);
    if (value->type == YAML_MAPPING_NODE)
        return take_map(r, n, value, depth + 1);
    return cnode_set_text(n, scalar(value), value->data.scalar.length);
}

static bool take_map(struct reading *r, struct cnode *into, yaml_node_t *map, unsigned depth) {
    bool ok = depth < CTREE_DEPTH;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; ok && p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *value = yaml_document_get_node(r->doc, p->value);
        const char *key = scalar(yaml_document_get_node(r->doc, p->key));
        if (!key)
            return false;
        if (key[0] == '@')
            ok = cnode_attribute(into, key + 1, scalar(value) ? scalar(value) : "");
        else if (strcmp(key, "#text") == 0 && scalar(value))
            ok = cnode_set_text(into, scalar(value), value->data.scalar.length);
        else
            ok = take_value(r, into, key, value, depth);
    }
    return ok;
}

int ctree_read_yaml(struct ctree *t, const char *file, const char *text, size_t len,
                    struct cnode **ret, char why[static CTREE_WHY]) {
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (!yaml_parser_load(&parser, &doc)) {
        snprintf(why, CTREE_WHY, "line %zu: this is no YAML", parser.problem_mark.line + 1);
        yaml_parser_delete(&parser);
        return ERR_SYNTAX;
    }
    struct reading r = {.tree = t, .doc = &doc, .file = file};
    yaml_node_t *root = yaml_document_get_root_node(&doc);
    int rc = root && root->type == YAML_MAPPING_NODE ? 0 : ERR_SYNTAX;
    if (rc)
        snprintf(why, CTREE_WHY, "it has no settings");
    struct cnode *n = rc ? NULL : cnode_new(t, "clickhouse", file, 1);
    if (!rc && (!n || !take_map(&r, n, root, 0))) {
        snprintf(why, CTREE_WHY,
                 "more than %d settings, or deeper than %d, or a key that is no text", CTREE_NODES,
                 CTREE_DEPTH);
        cnode_free(n);
        rc = ERR_LIMIT;
    }
    if (!rc)
        *ret = n;
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return rc;
}
