#ifndef AUDIT_CONFIG_TREE_H
#define AUDIT_CONFIG_TREE_H
/*
 * ClickHouse's configuration as one tree, read from its files without a server: XML or YAML, each
 * file merged over those before it as ClickHouse does (attributes replace and remove), every node
 * with the file and line that it comes from.
 *
 *   struct ctree t;
 *   ctree_init(&t);
 *   rc = ctree_add(&t, "config.d/x.xml", text, len, why);   for each file, in ClickHouse's order
 *   const struct cnode *n = cnode_at(t.root, "logger/level");
 *   ctree_done(&t);
 *
 * Files are anyone's: no entity is expanded, no other file read, and there are ceilings for bytes,
 * depth and nodes. Of the substitutions from elsewhere, incl is made from a file that is there;
 * from_env and from_zk are seen and not made.
 */
#include <stdbool.h>
#include <stddef.h>

#define CTREE_FILE_MAX (1u << 20) /* bytes of one file */
#define CTREE_FILES 256
#define CTREE_DEPTH 64
#define CTREE_NODES 100000 /* of all files */
#define CTREE_WHY 256

struct cnode {
    char *name, *text; /* text: of the node itself, trimmed; "" for none */
    char *identity;    /* attributes that tell it from others of its name */
    char *incl; /* the name in the file of substitutions that its value is taken from; NULL: none */
    bool replace, remove, optional;
    bool from_elsewhere; /* its value is not known here */
    const char *file;    /* borrowed from the tree */
    unsigned line;
    struct cnode *first, *last, *next;
};

struct ctree {
    struct cnode *root; /* NULL: nothing was read */
    char *files[CTREE_FILES];
    size_t file_count, node_count;
};

void ctree_init(struct ctree *t);
void ctree_done(struct ctree *t);
/* ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM, and why; then the tree is as it was before. The name says which
 * form it has: .yaml and .yml, and XML otherwise. A file must have the
 * tree's root (clickhouse and yandex are one): with another the server does not start. */
int ctree_add(struct ctree *t, const char *file, const char *text, size_t len,
              char why[static CTREE_WHY]);

/* Puts in what elements with incl="NAME" are to be: what NAME has in `from`, the root of the file
 * of substitutions (NULL: there is none). What is not there stays from_elsewhere, or goes if it is
 * optional. ERR_LIMIT, ERR_NOMEM. */
int ctree_include(struct ctree *t, const struct cnode *from);

/* The first node at a path of names; NULL: there is none. `from` may be NULL. */
const struct cnode *cnode_at(const struct cnode *from, const char *path);
/* The first child of that name (NULL: any) after `before` (NULL: from the beginning). */
const struct cnode *cnode_child(const struct cnode *from, const char *name,
                                const struct cnode *before);
/* Its text; "" for NULL. */
const char *cnode_text(const struct cnode *n);

/* ---- for the readers: xml.c, yaml.c ---- */
/* A node in the tree's count; name and text are copied. NULL: a ceiling, or no memory. */
struct cnode *cnode_new(struct ctree *t, const char *name, const char *file, unsigned line);
void cnode_append(struct cnode *parent, struct cnode *take);
/* An attribute of ClickHouse's own (replace, remove, incl, ...), or one of the identity. False: no
 * memory. */
bool cnode_attribute(struct cnode *n, const char *name, const char *value);
bool cnode_set_text(struct cnode *n, const char *text, size_t len);
void cnode_free(struct cnode *n); /* NULL-safe; with all below */
int ctree_read_xml(struct ctree *t, const char *file, const char *text, size_t len,
                   struct cnode **ret, char why[static CTREE_WHY]);
int ctree_read_yaml(struct ctree *t, const char *file, const char *text, size_t len,
                    struct cnode **ret, char why[static CTREE_WHY]);

#endif
