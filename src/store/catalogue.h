#ifndef STORE_CATALOGUE_H
#define STORE_CATALOGUE_H
/*
 * What a ClickHouse client may ask of `system`, as views in a database of their own: the log's tables and
 * views, their columns, functions, types, the names of settings. They tell nothing of paths, processes,
 * users, values in force, sizes, or databases that are not the log's; where a client asks for something
 * that there is none of (parts, clusters) they are empty.
 */
#define CATALOGUE_DATABASE "catalogue"

struct view {
    const char *name;
    const char *about;  /* for people; the view's comment */
    const char *select;
};

extern const struct view catalogue_views[];
extern const unsigned catalogue_views_n;

#endif
