#include "base/err_sqlite.h"

#include <sqlite3.h>

#include "base/err.h"

int err_from_sqlite(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_AGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return ERR_IO;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    default:
        return ERR_INTERNAL;
    }
}
