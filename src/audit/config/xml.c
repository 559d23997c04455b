/*
 * XML of a configuration, by libxml2. What a hostile file could want of the parser is off: no
 * network, no other file (whoever asks for one gets nothing), no document type at all, so no entity
 * of its own, and libxml2's own ceilings of depth and names stand.
 */
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

#include "audit/config/tree.h"
#include "base/err.h"

static xmlParserInputPtr no_file(const char *url, const char *id, xmlParserCtxtPtr context) {
    (void)url, (void)id, (void)context;
    return NULL;
}

static bool take_attributes(struct cnode *n, const xmlNode *x) {
    bool ok = true;
    for (const xmlAttr *a = x->properties; a && ok; a = a->next) {
        const char *value =
            a->children && a->children->content ? (const char *)a->children->content : "";
        ok = cnode_attribute(n, (const char *)a->name, value);
    }
    return ok;
}

static bool take_text(struct cnode *n, const xmlNode *x) {
    char text[4096];
    size_t len = 0;
    for (const xmlNode *c = x->children; c; c = c->next) {
        if ((c->type != XML_TEXT_NODE && c->type != XML_CDATA_SECTION_NODE) || !c->content)
            continue;
        size_t more = strlen((const char *)c->content);
        if (more > sizeof text - len)
            more = sizeof text - len; /* no value that is looked at is as long */
        memcpy(text + len, c->content, more);
        len += more;
    }
    return cnode_set_text(n, text, len);
}

static struct cnode *take(struct ctree *t, const char *file, const xmlNode *x, unsigned depth) {
    long line = xmlGetLineNo(x);
    struct cnode *n = depth < CTREE_DEPTH
                          ? cnode_new(t, (const char *)x->name, file, line > 0 ? (unsigned)line : 1)
                          : NULL;
    if (!n || !take_attributes(n, x) || !take_text(n, x)) {
        cnode_free(n);
        return NULL;
    }
    for (const xmlNode *c = x->children; c; c = c->next) {
        if (c->type != XML_ELEMENT_NODE)
            continue;
        struct cnode *child = take(t, file, c, depth + 1);
        if (!child) {
            cnode_free(n);
            return NULL;
        }
        cnode_append(n, child);
    }
    return n;
}

int ctree_read_xml(struct ctree *t, const char *file, const char *text, size_t len,
                   struct cnode **ret, char why[static CTREE_WHY]) {
    xmlSetExternalEntityLoader(no_file);
    xmlDoc *doc = xmlReadMemory(text, (int)len, NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                    XML_PARSE_BIG_LINES);
    if (!doc) {
        const xmlError *e = xmlGetLastError();
        snprintf(why, CTREE_WHY, "line %d: this is no well-formed XML", e ? e->line : 1);
        return ERR_SYNTAX;
    }
    int rc = 0;
    if (doc->intSubset || doc->extSubset) {
        snprintf(why, CTREE_WHY, "it has a document type (DOCTYPE), which is not read");
        rc = ERR_SYNTAX;
    } else if (!(*ret = take(t, file, xmlDocGetRootElement(doc), 0))) {
        snprintf(why, CTREE_WHY, "more than %d elements, or deeper than %d", CTREE_NODES,
                 CTREE_DEPTH);
        rc = ERR_LIMIT;
    }
    xmlFreeDoc(doc);
    return rc;
}
