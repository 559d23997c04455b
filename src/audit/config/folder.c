/* The files of a configuration (folder.h). */
#include "audit/config/folder.h"

#include <stdio.h>
#include <string.h>

struct folder {
    struct config_file *files;
    size_t count;
};

static struct config_file *named(const struct folder *f, const char *name) {
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->files[i].name, name) == 0)
            return &f->files[i];
    return NULL;
}

/* The first that is there of a name with each ending. */
static struct config_file *with_ending(const struct folder *f, const char *stem) {
    static const char *const ends[] = {".xml", ".yaml", ".yml"};
    char name[64];
    struct config_file *found = NULL;
    for (size_t i = 0; !found && i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", stem, ends[i]);
        found = named(f, name);
    }
    return found;
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void add(struct ctree *t, struct config_file *file) {
    if (ctree_add(t, file->path, file->bytes, file->len, file->why) && !file->why[0])
        snprintf(file->why, sizeof file->why, "out of memory");
}

static void add_folder(struct ctree *t, const struct folder *f, const char *name, size_t len) {
    for (size_t i = 0; i < f->count; i++)
        if (strncmp(f->files[i].name, name, len) == 0 && f->files[i].name[len] == '/')
            add(t, &f->files[i]);
}

/* A file, and the two folders whose files go over it, in the order of their paths. */
static void read_one(struct ctree *t, const struct folder *f, struct config_file *file) {
    static const char common[] = "conf.d";
    char own[256];
    const char *dot = strrchr(file->name, '.');
    const int n =
        snprintf(own, sizeof own, "%.*s.d", (int)(dot ? dot - file->name : 0), file->name);
    const bool first = strcmp(common, own) < 0;
    add(t, file);
    if (first)
        add_folder(t, f, common, sizeof common - 1);
    if (n > 0 && n < (int)sizeof own && strcmp(common, own) != 0)
        add_folder(t, f, own, (size_t)n);
    if (!first)
        add_folder(t, f, common, sizeof common - 1);
}

/* NULL, or the name of a file that is not there. */
static const char *substitute(struct ctree *t, struct ctree *substitutions,
                              const struct folder *f) {
    const struct cnode *from = cnode_at(t->root, "include_from");
    const char *name = base_of(cnode_text(from));
    struct config_file *file = *name ? named(f, name) : NULL;
    if (file)
        add(substitutions, file);
    if (ctree_include(t, substitutions->root) && file && !file->why[0])
        snprintf(file->why, sizeof file->why,
                 "what is included is more than %d elements, or deeper than %d", CTREE_NODES,
                 CTREE_DEPTH);
    return *name && !file ? name : NULL;
}

void config_read_all(struct config_read *ret, struct ctree substitutions[static 2],
                     struct config_file *files, size_t count) {
    const struct folder f = {files, count};
    struct config_file *server = with_ending(&f, "config"), *users = NULL;
    *ret = (struct config_read){0};
    ctree_init(&ret->server);
    ctree_init(&ret->users);
    ctree_init(&substitutions[0]);
    ctree_init(&substitutions[1]);
    if (server) {
        read_one(&ret->server, &f, server);
        ret->no_substitutions = substitute(&ret->server, &substitutions[0], &f);
    }
    const struct cnode *at = cnode_at(ret->server.root, "user_directories/users_xml/path");
    const char *name = base_of(cnode_text(at ? at : cnode_at(ret->server.root, "users_config")));
    users = *name ? named(&f, name) : with_ending(&f, "users");
    if (*name && !users) {
        ret->no_users = name;
        users = with_ending(&f, "users"); /* better than nothing, and said */
    }
    if (users) {
        read_one(&ret->users, &f, users);
        const char *missing = substitute(&ret->users, &substitutions[1], &f);
        ret->no_substitutions = ret->no_substitutions ? ret->no_substitutions : missing;
    }
}
