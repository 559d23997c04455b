#ifndef WRITE_DETECT_DATABASE_H
#define WRITE_DETECT_DATABASE_H
/*
 * The built-in rules' first stage, compiled when the program is built and kept in it: compiling takes
 * ten times as long as all else that the detector does at its start. Of the program's own bytes, so it
 * is as trustworthy as the program; nothing is read from disk.
 *
 * There is one database for processors with AVX2 and one for all others. Where a program does not link
 * them (database.S), where the library is of another version or the rules are others than those they
 * were made of, database_builtin gives nothing, and the caller compiles.
 */
#include <hs/hs.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* NULL when there is none that fits. */
hs_database_t *database_builtin(void);

/* For the build (make/main.c): appends what database.S holds. `which`: 0 any processor, 1 AVX2. */
#define DATABASE_KINDS 2
int database_platform(hs_platform_info_t *ret, int which);
int database_pack(struct buf *out, const hs_database_t *db);

#endif
