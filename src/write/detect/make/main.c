/* The build runs it: main FOLDER writes FOLDER/detect-N.hsdb, the built-in rules compiled for each kind of
 * processor (write/detect/database.h). */
#include <stdio.h>

#include "base/err.h"
#include "write/detect/database.h"
#include "write/detect/detect.h"
#include "write/detect/detect_int.h"

static int make(const char *folder, int which) {
    hs_platform_info_t platform;
    hs_database_t *db = NULL;
    struct buf out;
    char why[256], path[4096];
    buf_init(&out, 64u << 20);
    int rc = database_platform(&platform, which);
    if (!rc)
        rc = detect_compile_builtin(&db, &platform, why, sizeof why);
    if (!rc)
        rc = database_pack(&out, db);
    snprintf(path, sizeof path, "%s/detect-%d.hsdb", folder, which);
    FILE *f = rc ? NULL : fopen(path, "w");
    if (f && fwrite(out.p, 1, out.len, f) != out.len)
        rc = ERR_IO;
    if (!f || fclose(f))
        rc = rc ? rc : ERR_IO;
    if (rc)
        fprintf(stderr, "%s: %s\n", path, rc == ERR_SYNTAX ? why : err_text(rc));
    hs_free_database(db);
    buf_wipe(&out);
    return rc;
}

int main(int argc, char **argv) {
    for (int which = 0; argc > 1 && which < DATABASE_KINDS; which++)
        if (make(argv[1], which))
            return 1;
    return argc > 1 ? 0 : 2;
}
