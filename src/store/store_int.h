#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H
/* Inside src/store only. */
#include "store/chdb.h"
#include "store/guard.h"
#include "store/store.h"

#define STORE_SEALERS 16
#define STORE_SETTINGS_MAX 40

struct store {
    chdb_connection *conn;
    char dir[4096];
    /* Of each sealer the batch that this process inserted last (0: none), the newest first: the one
     * after it needs no counting. */
    struct {
        uint64_t sealer, batch;
    } last[STORE_SEALERS];
};

struct store_reader {
    chdb_connection *conn;
    struct guard_terms guard;
};

/* A connection with `settings` ("--name=value", borrowed) beside the common ones. */
int store_connect(const struct store *s, const char *const *settings, size_t n, chdb_connection **ret);
/* One statement without an answer that matters. */
int store_run(chdb_connection conn, const char *sql);

/* access.c: whether the engine filters every table of the log; ERR_DENIED when not. */
int access_check(chdb_connection conn);
/* views.c: the catalogue and the dashboard views, as this version has them. */
int views_make(struct store *s);

#endif
