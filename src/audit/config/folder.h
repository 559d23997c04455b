#ifndef AUDIT_CONFIG_FOLDER_H
#define AUDIT_CONFIG_FOLDER_H
/*
 * Which files of a folder are ClickHouse's configuration, and in which order, by the names that
 * they have and that they name one another:
 *
 *   config.xml (or .yaml, .yml), then conf.d and config.d, each sorted by name
 *   the users' file: users_config or user_directories/users_xml/path of that, else users.xml
 * (.yaml, .yml); then conf.d and the folder of its own name with .d include_from of each: the file
 * of substitutions
 *
 * Whatever path a file is named by, it is looked for beside config.xml.
 */
#include "audit/config/judge.h"

struct config_file {
    const char *name; /* relative to the folder: "config.d/net.xml" */
    const char *path; /* for whoever reads the report */
    const char *bytes;
    size_t len;
    char why[CTREE_WHY]; /* set by config_read_all: why it could not be read; "": it could */
};

/* `files` sorted by name. What is read lies in *ret until config_read_done; the files' names and
 * paths must live as long. `substitutions`: the caller's, two trees to free after *ret. */
void config_read_all(struct config_read *ret, struct ctree substitutions[static 2],
                     struct config_file *files, size_t count);

#endif
