/*
 * Nodes, and how one file's are merged over another's (tree.h). The rules are those of ClickHouse's
 * documentation ("Configuration files: merging"): elements of one name and the same attributes are
 * one; of several, the first of the new file meets the first of the old one, and what meets nothing
 * is added.
 */
#include "audit/config/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* ---- nodes ---- */

struct cnode *cnode_new(struct ctree *t, const char *name, const char *file, unsigned line) {
    struct cnode *n = t->node_count < CTREE_NODES ? calloc(1, sizeof *n) : NULL;
    if (!n)
        return NULL;
    n->name = strdup(name);
    n->text = strdup("");
    n->identity = strdup("");
    n->file = file;
    n->line = line;
    if (!n->name || !n->text || !n->identity) {
        cnode_free(n);
        return NULL;
    }
    t->node_count++;
    return n;
}

void cnode_free(struct cnode *n) {
    while (n) {
        struct cnode *next = n->next;
        cnode_free(n->first); /* no deeper than the readers let a file be */
        free(n->name);
        free(n->text);
        free(n->identity);
        free(n->incl);
        free(n);
        n = next;
    }
}

void cnode_append(struct cnode *parent, struct cnode *take) {
    take->next = NULL;
    if (parent->last)
        parent->last->next = take;
    else
        parent->first = take;
    parent->last = take;
}

/* The identity with one more line; lines are sorted, so the order in which attributes stand does
 * not matter. */
static bool add_identity(struct cnode *n, const char *name, const char *value) {
    char *line, *more;
    if (asprintf(&line, "%s=%s\n", name, value) < 0)
        return false;
    const char *at = n->identity;
    for (const char *end; *at && strncmp(at, line, strlen(line)) < 0; at = end + 1)
        if (!(end = strchr(at, '\n')))
            break;
    const int before = (int)(at - n->identity);
    const bool ok = asprintf(&more, "%.*s%s%s", before, n->identity, line, at) >= 0;
    free(line);
    if (ok) {
        free(n->identity);
        n->identity = more;
    }
    return ok;
}

bool cnode_attribute(struct cnode *n, const char *name, const char *value) {
    if (strcmp(name, "replace") == 0) {
        n->replace = true;
    } else if (strcmp(name, "remove") == 0) {
        n->remove = true;
    } else if (strcmp(name, "incl") == 0) {
        n->from_elsewhere = true;
        free(n->incl);
        n->incl = strdup(value);
        return n->incl != NULL;
    } else if (strcmp(name, "from_env") == 0 || strcmp(name, "from_zk") == 0) {
        n->from_elsewhere = true;
    } else {
        n->optional |= strcmp(name, "optional") == 0;
        return add_identity(n, name, value);
    }
    return true;
}

bool cnode_set_text(struct cnode *n, const char *text, size_t len) {
    while (len && strchr(" \t\r\n", *text)) {
        text++;
        len--;
    }
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    char *copy = strndup(text, len);
    if (!copy)
        return false;
    free(n->text);
    n->text = copy;
    return true;
}

/* ---- asking ---- */

const struct cnode *cnode_child(const struct cnode *from, const char *name,
                                const struct cnode *before) {
    const struct cnode *n = before ? before->next : from ? from->first : NULL;
    while (n && name && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

const struct cnode *cnode_at(const struct cnode *from, const char *path) {
    char name[128];
    while (from && *path) {
        size_t n = strcspn(path, "/");
        if (n >= sizeof name)
            return NULL;
        memcpy(name, path, n);
        name[n] = 0;
        from = cnode_child(from, name, NULL);
        path += n + (path[n] == '/');
    }
    return from;
}

const char *cnode_text(const struct cnode *n) {
    return n ? n->text : "";
}

/* ---- merging ---- */

static void unlink_child(struct cnode *parent, struct cnode *child) {
    struct cnode *before = NULL;
    for (struct cnode *n = parent->first; n != child; n = n->next)
        before = n;
    if (before)
        before->next = child->next;
    else
        parent->first = child->next;
    if (parent->last == child)
        parent->last = before;
    child->next = NULL;
}

/* The first of the same name and attributes that nothing has met yet. */
static struct cnode *same(struct cnode **left, size_t count, const struct cnode *as) {
    for (size_t i = 0; i < count; i++) {
        struct cnode *n = left[i];
        if (n && strcmp(n->name, as->name) == 0 && strcmp(n->identity, as->identity) == 0) {
            left[i] = NULL;
            return n;
        }
    }
    return NULL;
}

/* In what is new, attributes for merging have nothing to work on: what is to go is not there. */
static void prune(struct cnode *parent) {
    for (struct cnode *n = parent->first, *next; n; n = next) {
        next = n->next;
        n->replace = false;
        if (n->remove) {
            unlink_child(parent, n);
            cnode_free(n);
        } else {
            prune(n);
        }
    }
}

/* Takes `with` apart: what is in it becomes part of `into`, or is freed. */
static int merge(struct cnode *into, struct cnode *with) {
    size_t count = 0, i = 0;
    for (struct cnode *n = into->first; n; n = n->next)
        count++;
    struct cnode **left = calloc(count + 1, sizeof(struct cnode *)), *next;
    if (!left)
        return ERR_NOMEM;
    for (struct cnode *n = into->first; n; n = n->next)
        left[i++] = n;
    char *text = into->text; /* a new value, or none: the old one goes */
    into->text = with->text;
    with->text = text;
    into->file = with->file;
    into->line = with->line;
    if (*into->text || with->first || with->from_elsewhere) { /* else it has no value of its own */
        char *incl = into->incl;
        into->incl = with->incl;
        with->incl = incl;
        into->from_elsewhere = with->from_elsewhere;
    }
    int rc = 0;
    for (struct cnode *n = with->first; n && !rc; n = next) {
        struct cnode *old = same(left, count, n);
        next = n->next;
        unlink_child(with, n);
        if (!old && !n->remove) {
            prune(n);
            cnode_append(into, n);
            continue;
        }
        if (old && (n->remove || n->replace)) {
            unlink_child(into, old);
            cnode_free(old);
        }
        if (old && n->replace && !n->remove) {
            cnode_append(into, n);
            continue;
        }
        if (old && !n->remove)
            rc = merge(old, n);
        cnode_free(n);
    }
    free(left);
    return rc;
}

/* ---- substitutions ---- */

static struct cnode *clone(struct ctree *t, const struct cnode *of, unsigned depth) {
    struct cnode *n = depth < CTREE_DEPTH ? cnode_new(t, of->name, of->file, of->line) : NULL;
    if (!n)
        return NULL;
    n->replace = of->replace;
    n->optional = of->optional;
    n->from_elsewhere = of->from_elsewhere;
    bool ok = cnode_set_text(n, of->text, strlen(of->text));
    if (of->incl)
        ok = (n->incl = strdup(of->incl)) && ok;
    for (const struct cnode *c = of->first; ok && c; c = c->next) {
        struct cnode *child = clone(t, c, depth + 1);
        if (child)
            cnode_append(n, child);
        ok = child != NULL;
    }
    if (!ok) {
        cnode_free(n);
        return NULL;
    }
    return n;
}

static int append_children(struct ctree *t, struct cnode *into, const struct cnode *of) {
    for (const struct cnode *c = of->first; c; c = c->next) {
        struct cnode *copy = clone(t, c, 0);
        if (!copy)
            return ERR_LIMIT;
        cnode_append(into, copy);
    }
    return 0;
}

/* The value of an element is now what the named one has. What that takes from elsewhere itself
 * stays unknown. */
static int take_from(struct ctree *t, struct cnode *n, const struct cnode *what) {
    if (n->replace) {
        cnode_free(n->first);
        n->first = n->last = NULL;
    }
    free(n->incl);
    n->incl = NULL;
    n->from_elsewhere = what->from_elsewhere;
    n->file = what->file;
    n->line = what->line;
    if (*what->text && !cnode_set_text(n, what->text, strlen(what->text)))
        return ERR_NOMEM;
    return append_children(t, n, what);
}

static void drop(struct cnode *parent, struct cnode *n) {
    unlink_child(parent, n);
    cnode_free(n);
}

/* <include incl="NAME"/> becomes what is in NAME (at the end of its parent, where this comes to it
 * yet); any other element keeps its name. */
static int include_below(struct ctree *t, struct cnode *parent, const struct cnode *from,
                         unsigned depth) {
    int rc = depth < CTREE_DEPTH ? 0 : ERR_LIMIT;
    for (struct cnode *n = parent->first, *next; n && !rc; n = next) {
        const struct cnode *what = n->incl ? cnode_at(from, n->incl) : NULL;
        const bool in_place = what && strcmp(n->name, "include") == 0;
        if (in_place)
            rc = append_children(t, parent, what);
        else if (what)
            rc = take_from(t, n, what);
        next = n->next;
        if (in_place || (n->incl && n->optional))
            drop(parent, n);
        else if (!rc)
            rc = include_below(t, n, from, depth + 1);
    }
    return rc;
}

int ctree_include(struct ctree *t, const struct cnode *from) {
    return t->root ? include_below(t, t->root, from, 0) : 0;
}

/* ---- the tree ---- */

void ctree_init(struct ctree *t) {
    *t = (struct ctree){0};
}

void ctree_done(struct ctree *t) {
    cnode_free(t->root);
    for (size_t i = 0; i < t->file_count; i++)
        free(t->files[i]);
    ctree_init(t);
}

static bool ends_in(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static bool is_ours(const struct cnode *root) {
    return strcmp(root->name, "clickhouse") == 0 || strcmp(root->name, "yandex") == 0;
}

static bool same_root(const struct cnode *a, const struct cnode *b) {
    return strcmp(a->name, b->name) == 0 || (is_ours(a) && is_ours(b));
}

int ctree_add(struct ctree *t, const char *file, const char *text, size_t len,
              char why[static CTREE_WHY]) {
    struct cnode *read = NULL;
    why[0] = 0;
    if (t->file_count == CTREE_FILES || len > CTREE_FILE_MAX) {
        snprintf(why, CTREE_WHY, "more than %d files, or one of more than %u bytes", CTREE_FILES,
                 CTREE_FILE_MAX);
        return ERR_LIMIT;
    }
    char *name = strdup(file);
    if (!name)
        return ERR_NOMEM;
    t->files[t->file_count++] = name;
    int rc = ends_in(file, ".yaml") || ends_in(file, ".yml")
                 ? ctree_read_yaml(t, name, text, len, &read, why)
                 : ctree_read_xml(t, name, text, len, &read, why);
    if (!rc && !t->root) {
        t->root = read;
        return 0;
    }
    if (!rc && same_root(t->root, read)) {
        rc = merge(t->root, read);
    } else if (!rc && is_ours(t->root)) {
        snprintf(why, CTREE_WHY, "its root is <%.40s>, and must be <clickhouse>", read->name);
        rc = ERR_SYNTAX;
    }
    cnode_free(read);
    return rc;
}
