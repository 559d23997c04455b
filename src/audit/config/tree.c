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

bool cnode_attribute(struct cnode *n, const char *name, const char *value) {
    char *more;
    if (strcmp(name, "replace") == 0) {
        n->replace = true;
    } else if (strcmp(name, "remove") == 0) {
        n->remove = true;
    } else if (strcmp(name, "incl") == 0 || strcmp(name, "from_env") == 0 ||
               strcmp(name, "from_zk") == 0) {
        n->from_elsewhere = true;
    } else if (strcmp(name, "optional") != 0 && strcmp(name, "hide_in_preprocessed") != 0) {
        if (asprintf(&more, "%s%s=%s\n", n->identity, name, value) < 0)
            return false;
        free(n->identity);
        n->identity = more;
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
    into->from_elsewhere = with->from_elsewhere;
    int rc = 0;
    for (struct cnode *n = with->first; n && !rc; n = next) {
        struct cnode *old = same(left, count, n);
        next = n->next;
        unlink_child(with, n);
        if (!old && !n->remove) {
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
    if (!rc)
        rc = merge(t->root, read);
    cnode_free(read);
    return rc;
}
