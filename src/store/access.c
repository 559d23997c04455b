/* The engine's users configuration of access.h, as XML in a memory file. */
#include "store/access.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "store/catalogue.h"
#include "store/store_int.h"

#define LIST "getSetting('" ACCESS_SETTING "')"
#define ALL LIST " = '\\t'"
#define OWN ALL " OR project IN splitByChar('\\n', " LIST ")"

static const char *const grants[] = {
    "GRANT ALL ON " STORE_DATABASE ".*",
    "GRANT ALL ON " CATALOGUE_DATABASE ".*",
    "GRANT SELECT ON system.*",
    "GRANT KILL QUERY, SHOW ROW POLICIES ON *.*",
    NULL,
};

static const struct {
    const char *table, *filter;
} policies[] = {
    {"data_keys", OWN}, {"turns", OWN},         {"interactions", OWN},      {"findings", OWN},
    {"leaves", ALL},    {"held_turns", OWN},    {"held_interactions", OWN}, {"held_findings", OWN},
};

static int write_users(struct buf *b) {
    int rc = buf_append_str(b, "<clickhouse><profiles><default></default></profiles><quotas><default></default>"
                               "</quotas><users><default><password></password><networks><ip>::/0</ip></networks>"
                               "<profile>default</profile><quota>default</quota><grants>");
    for (const char *const *g = grants; !rc && *g; g++)
        rc = buf_printf(b, "<query>%s</query>", *g);
    if (!rc)
        rc = buf_append_str(b, "</grants><databases><" STORE_DATABASE ">");
    for (size_t i = 0; !rc && i < sizeof policies / sizeof policies[0]; i++)
        rc = buf_printf(b, "<%s><filter>%s</filter></%s>", policies[i].table, policies[i].filter,
                        policies[i].table);
    if (!rc)
        rc = buf_append_str(b, "</" STORE_DATABASE "></databases></default></users></clickhouse>");
    return rc;
}

int access_users(int *ret_fd) {
    struct buf b;
    buf_init(&b, 65536);
    int rc = write_users(&b);
    int fd = rc ? -1 : memfd_create("users", MFD_CLOEXEC);
    if (!rc && (fd < 0 || write(fd, b.p, b.len) != (ssize_t)b.len))
        rc = ERR_IO;
    if (rc && fd >= 0)
        close(fd);
    buf_wipe(&b);
    if (!rc)
        *ret_fd = fd;
    return rc;
}

int access_check(chdb_connection conn) {
    static const char sql[] = "SELECT count() FROM system.row_policies WHERE database = '" STORE_DATABASE "'"
                              " AND notEmpty(select_filter) AND apply_to_list = ['default']";
    uint64_t n = 0;
    chdb_result *r = chdb_query_n(conn, sql, sizeof sql - 1, "RowBinary", 9);
    int rc = r && !chdb_result_error(r) && chdb_result_length(r) == sizeof n ? 0 : ERR_IO;
    if (!rc)
        memcpy(&n, chdb_result_buffer(r), sizeof n);
    chdb_destroy_query_result(r);
    return rc ? rc : n == sizeof policies / sizeof policies[0] ? 0 : ERR_DENIED;
}

bool access_project_valid(const char *name, size_t len) {
    if (len == 0 || len >= LIMIT_NAME)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return true;
}
