/* The statement guard: what it lets pass is the same statement when it is read again, has no
 * comment and no second statement in it, and is no longer than it was. The text behind the first
 * zero byte is given as the engine's syntax tree. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct guard g, again;
    char why[64], *sql = malloc(size + 1); /* no byte behind it may be read */
    memcpy(sql, data, size);
    const char *zero = memchr(sql, 0, size);
    size_t len = zero ? (size_t)(zero - sql) : size;
    int rc = guard_check(&g, sql, len, why, sizeof why);
    if (rc == 0) {
        if (g.sql.len > len || g.select_at > g.sql.len)
            abort();
        if (guard_check(&again, (const char *)g.sql.p, g.sql.len, why, sizeof why) ||
            again.sql.len != g.sql.len || memcmp(again.sql.p, g.sql.p, g.sql.len) != 0 ||
            again.select_at != g.select_at || again.ctes != g.ctes)
            abort();
        guard_done(&again);
        if (zero)
            (void)guard_check_tree(&g, zero + 1, size - len - 1, why, sizeof why);
    } else if (rc != ERR_DENIED && rc != ERR_SYNTAX) {
        abort();
    }
    guard_done(&g);
    free(sql);
    return 0;
}
