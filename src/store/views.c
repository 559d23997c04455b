/*
 * Makes the views of catalogue.h and dash.h, and makes those anew that an older version made. What a view
 * was made from is told by the end of its comment, a hash of its text and the engine's version, so that a
 * start that has nothing to do asks one question and writes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/dash.h"
#include "store/store_int.h"

/* FNV-1a, 64 bits: it tells versions apart, no more. */
static uint64_t mix(uint64_t h, const char *text) {
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
    return h;
}

static int make_view(struct store *s, const char *database, const struct view *v, const char *there,
                     size_t there_len) {
    struct buf sql;
    char mark[64];
    const uint64_t h = mix(mix(mix(0xcbf29ce484222325ull, v->select), v->about), chdb_version());
    /* As the list below has it. */
    int n = snprintf(mark, sizeof mark, "%s.%s #%016" PRIx64 "\n", database, v->name, h);
    if (memmem(there, there_len, mark, (size_t)n))
        return 0;
    buf_init(&sql, 16384);
    int rc = buf_printf(&sql, "CREATE OR REPLACE VIEW %s.%s AS %s COMMENT '", database, v->name, v->select);
    for (const char *p = v->about; !rc && *p; p++)
        rc = *p == '\'' ? buf_append_str(&sql, "\\'") : buf_append(&sql, p, 1);
    if (!rc)
        rc = buf_printf(&sql, " #%016" PRIx64 "'", h);
    if (!rc)
        rc = buf_append(&sql, "", 1);
    if (!rc)
        rc = store_run(*s->conn, (const char *)sql.p);
    buf_wipe(&sql);
    return rc;
}

int views_make(struct store *s) {
    static const char list[] =
        "SELECT concat(database, '.', name, ' #', splitByString(' #', comment)[-1]) FROM system.tables"
        " WHERE database IN ('" STORE_DATABASE "', '" CATALOGUE_DATABASE "') AND engine = 'View'";
    int rc = store_run(*s->conn, "CREATE DATABASE IF NOT EXISTS " CATALOGUE_DATABASE " ENGINE = Atomic");
    if (rc)
        return rc;
    chdb_result *r = chdb_query_n(*s->conn, list, strlen(list), "TabSeparated", 12);
    rc = r && !chdb_result_error(r) ? 0 : ERR_IO;
    const char *there = rc || !chdb_result_length(r) ? "" : chdb_result_buffer(r);
    const size_t len = rc ? 0 : chdb_result_length(r);
    for (unsigned i = 0; !rc && i < catalogue_views_n; i++)
        rc = make_view(s, CATALOGUE_DATABASE, &catalogue_views[i], there, len);
    for (unsigned i = 0; !rc && i < dash_views_n; i++)
        rc = make_view(s, STORE_DATABASE, &dash_views[i], there, len);
    chdb_destroy_query_result(r);
    return rc;
}
