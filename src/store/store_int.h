#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H
/* Inside src/store only. */
#include "store/chdb.h"
#include "store/store.h"

#define STORE_SEALERS 16

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
};

#endif
