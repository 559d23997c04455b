/*
 * The guard's second reading: the syntax tree that the engine's parser made, as EXPLAIN AST prints it. A
 * line is a node, "Kind name (alias ...) (children n)", indented by depth.
 */
#include <string.h>

#include "base/err.h"
#include "store/catalogue.h"
#include "store/guard_int.h"
#include "store/store.h"

static bool starts(const char *p, size_t len, const char *head) {
    size_t n = strlen(head);
    return len >= n && memcmp(p, head, n) == 0;
}

/* What follows the node's kind: up to " (alias ", " (children " or the end. */
static size_t node_name(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (starts(p + i, len - i, " (alias ") || starts(p + i, len - i, " (children "))
            return i;
    return len;
}

static int check_table(struct guard *g, const char *p, size_t len, char *why, size_t why_size) {
    const char *bare = p;
    size_t n = len;
    if (starts(p, len, STORE_DATABASE ".")) {
        bare += strlen(STORE_DATABASE ".");
        n -= strlen(STORE_DATABASE ".");
    }
    if (guard_table_listed(bare, n))
        return 0;
    const size_t catalogue = strlen(CATALOGUE_DATABASE ".");
    if (g->terms.client && starts(p, len, CATALOGUE_DATABASE ".") &&
        guard_catalogue_listed(p + catalogue, len - catalogue))
        return 0;
    for (unsigned i = 0; i < g->ctes; i++)
        if (g->cte[i].len == len && memcmp(g->sql.p + g->cte[i].at, p, len) == 0)
            return 0;
    g->exception = GUARD_UNKNOWN_TABLE;
    return guard_deny(why, why_size, "no table %.*s: " GUARD_TABLES, (int)(len > 100 ? 100 : len), p);
}

int guard_check_tree(struct guard *g, const char *tree, size_t len, char *why, size_t why_size) {
    bool in_table = false;
    g->exception = GUARD_ACCESS_DENIED;
    const char *end = tree + len;
    if (!starts(tree, len, "Select"))
        return guard_deny(why, why_size, "only SELECT is allowed");
    for (const char *p = tree; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *stop = eol ? eol : end;
        while (p < stop && *p == ' ')
            p++;
        size_t n = (size_t)(stop - p);
        bool function = starts(p, n, "Function "), identifier = starts(p, n, "Identifier ");
        size_t name = function ? 9 : 11;
        if (in_table && !starts(p, n, "TableIdentifier ") && !starts(p, n, "Subquery"))
            return function ? guard_deny(why, why_size, "the table function %.*s is not allowed",
                                   (int)node_name(p + 9, n - 9), p + 9)
                            : guard_deny(why, why_size, "only the log's tables can be read");
        in_table = starts(p, n, "TableExpression");
        int rc = 0;
        if (starts(p, n, "TableIdentifier "))
            rc = check_table(g, p + 16, node_name(p + 16, n - 16), why, why_size);
        else if (starts(p, n, "QueryParameter") || (starts(p, n, "Set") && node_name(p, n) == 3))
            rc = guard_deny(why, why_size, "the statement has what was not read in it");
        else if ((function || identifier) &&
                 guard_function_denied(p + name, node_name(p + name, n - name)))
            rc = guard_deny(why, why_size, "the function %.*s is not allowed",
                      (int)node_name(p + name, n - name), p + name);
        if (rc)
            return rc;
        p = stop + 1;
    }
    return 0;
}
