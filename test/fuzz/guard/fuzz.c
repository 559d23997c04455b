/* The statement guard, for the owner and for a client: what it lets pass is the same statement when it is
 * read again, has no comment and no second statement in it, and is not much longer than it was. The text
 * behind the first zero byte is given as the engine's syntax tree. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try(const struct guard_terms *terms, const char *sql, size_t len, const char *tree, size_t tree_len) {
    struct guard g, again;
    char why[64];
    int rc = guard_check(&g, terms, sql, len, why, sizeof why);
    if (rc == 0) {
        /* `default` and `system` become longer; SHOW and EXISTS become a SELECT. */
        if (g.sql.len > (terms->client ? 2 * len + 256 : len) || g.select_at > g.sql.len || g.exception)
            abort();
        if (guard_check(&again, terms, (const char *)g.sql.p, g.sql.len, why, sizeof why) ||
            again.sql.len != g.sql.len || memcmp(again.sql.p, g.sql.p, g.sql.len) != 0 ||
            again.select_at != g.select_at || again.ctes != g.ctes || again.format[0] || again.rows ||
            again.seconds)
            abort();
        guard_done(&again);
        if (tree)
            (void)guard_check_tree(&g, tree, tree_len, why, sizeof why);
    } else if ((rc != ERR_DENIED && rc != ERR_SYNTAX) || !g.exception) {
        abort();
    }
    guard_done(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct guard_terms owner = {0}, client = {.client = true}, person = {.client = true, .filtered = true};
    char *sql = malloc(size + 1); /* no byte behind it may be read */
    memcpy(sql, data, size);
    const char *zero = memchr(sql, 0, size), *tree = zero ? zero + 1 : NULL;
    const size_t len = zero ? (size_t)(zero - sql) : size, tree_len = zero ? size - len - 1 : 0;
    try(&owner, sql, len, tree, tree_len);
    try(&client, sql, len, tree, tree_len);
    try(&person, sql, len, tree, tree_len);
    free(sql);
    return 0;
}
