#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H
/* Inside src/store only. */
#include "store/chdb.h"
#include "store/store.h"

struct store {
    chdb_connection *conn;
    char dir[4096];
    /* The newest batch that this process inserted itself: what lies before it needs no counting. */
    uint64_t last_sealer, last_batch;
};

struct store_reader {
    chdb_connection *conn;
};

#endif
