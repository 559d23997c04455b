#ifndef BASE_ERR_SQLITE_H
#define BASE_ERR_SQLITE_H
/* SQLite's result codes, extended ones too -> 0 or ERR_*; SQLITE_ROW and SQLITE_DONE are 0. */
int err_from_sqlite(int code);

#endif
