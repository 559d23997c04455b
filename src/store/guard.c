/*
 * The statement guard of guard.h: rules over the tokens. Runs in safehouse-store, on text from whoever may
 * ask. Everything is refused that is not known to be harmless; the engine's own access rules
 * (store/access.h), the connection's readonly=1 and the kernel's sandbox stand behind it.
 */
#include "store/guard.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/limits.h"
#include "store/catalogue.h"
#include "store/guard_int.h"
#include "store/store.h"

/* A name anywhere: a function is called by it, or handed to another one, as in arrayMap(f, x) or
 * APPLY f. No column of the log has such a name; an alias has to take another one. */
static int check_function(const struct lexer *x, size_t i) {
    if (!guard_function_denied(guard_text(x, i), x->tokens[i].len))
        return 0;
    return guard_deny(x->why, x->why_size, "the function %.*s is not allowed", (int)x->tokens[i].len,
                      guard_text(x, i));
}

/* The engine's own columns of a table. What they number is all rows, whoever's they are. */
static int check_virtual(const struct lexer *x, size_t i) {
    static const char *const prefixes[] = {"_part", "_block", "_disk", "_row_exists", "_sample", NULL};
    for (const char *const *p = prefixes; *p && x->g->terms.filtered; p++)
        if (x->tokens[i].len >= strlen(*p) && strncasecmp(guard_text(x, i), *p, strlen(*p)) == 0)
            return guard_deny(x->why, x->why_size, "the column %.*s tells of other projects' rows",
                              (int)x->tokens[i].len, guard_text(x, i));
    return 0;
}

/* catalogue.NAME: there is a table of settings. (Behind any other dot, as in `1. SETTINGS`, it is a clause.) */
static bool is_of_catalogue(const struct lexer *x, size_t i) {
    return x->g->terms.client && i >= 2 && guard_punct_is(x, i - 1, '.') &&
           guard_word_is(x, i - 2, CATALOGUE_DATABASE);
}

static int check_word(const struct lexer *x, size_t i) {
    static const char *const never[] = {"SETTINGS", "INTO", "OUTFILE", "INFILE", "PARALLEL", NULL};
    const struct token *t = &x->tokens[i];
    if (is_of_catalogue(x, i))
        return 0;
    if (t->kind == TOKEN_WORD && guard_in_list(guard_text(x, i), t->len, never))
        return guard_deny(x->why, x->why_size, "%.*s is not allowed in a statement", (int)t->len,
                          guard_text(x, i));
    if (guard_word_is(x, i, "FORMAT") && !guard_punct_is(x, i + 1, '('))
        return guard_deny(x->why, x->why_size,
                          "FORMAT is not part of the statement: name the format beside it");
    return 0;
}

static int check_token(struct lexer *x, size_t i) {
    static const char *const closed[] = {"system", "information_schema", "default",
                                         "_temporary_and_external_tables", NULL};
    struct guard *g = x->g;
    const struct token *t = &x->tokens[i];
    if (!guard_is_name(x, i))
        return 0;
    int rc = check_word(x, i);
    if (!rc && guard_punct_is(x, i + 1, '.') && guard_in_list(guard_text(x, i), t->len, closed))
        rc = guard_deny(x->why, x->why_size, "the database %.*s is not open to queries", (int)t->len,
                        guard_text(x, i));
    if (!rc)
        rc = check_function(x, i);
    if (!rc)
        rc = check_virtual(x, i);
    size_t open = guard_word_is(x, i + 2, "MATERIALIZED") ? i + 3 : i + 2;
    if (!rc && guard_word_is(x, i + 1, "AS") && guard_punct_is(x, open, '(')) {
        if (g->ctes == GUARD_CTES_MAX)
            return guard_deny(x->why, x->why_size, "more than %d WITH names", GUARD_CTES_MAX);
        g->cte[g->ctes++] = (struct guard_name){t->at, t->len};
    }
    return rc;
}

static int check_select(struct lexer *x, size_t i) {
    size_t first = i;
    while (guard_punct_is(x, first, '('))
        first++;
    if (!guard_word_is(x, first, "SELECT") && !guard_word_is(x, first, "WITH"))
        return guard_deny(x->why, x->why_size,
                          "only SELECT, WITH, EXPLAIN SELECT, DESCRIBE and SHOW are allowed");
    x->g->select = true;
    x->g->plain_select = i == 0;
    x->g->select_at = x->tokens[i].start;
    return 0;
}

static int check_kind(struct lexer *x) {
    static const char *const kinds[] = {"AST", "SYNTAX", "PLAN", "PIPELINE", "ESTIMATE", NULL};
    static const char *const counting[] = {"PIPELINE", "ESTIMATE", NULL};
    bool done;
    int rc = guard_check_show(x, &done);
    if (rc || done)
        return rc;
    size_t i = 0;
    if (guard_word_is(x, 0, "EXPLAIN")) {
        i = 1;
        if (guard_word_is(x, 1, "QUERY") && guard_word_is(x, 2, "TREE"))
            i = 3;
        else if (i < x->count && guard_in_list(guard_text(x, 1), x->tokens[1].len, kinds))
            i = 2;
        if (i == 2 && x->g->terms.filtered && guard_in_list(guard_text(x, 1), x->tokens[1].len, counting))
            return guard_deny(x->why, x->why_size, "EXPLAIN %.*s tells of other projects' rows",
                              (int)x->tokens[1].len, guard_text(x, 1));
    }
    return check_select(x, i);
}

int guard_check(struct guard *g, const struct guard_terms *terms, const char *sql, size_t len, char *why,
                size_t why_size) {
    *g = (struct guard){.terms = *terms};
    buf_init(&g->sql, 2 * LIMIT_SQL);
    struct lexer x = {.g = g, .in = sql, .len = len, .why = why, .why_size = why_size};
    int rc = len > LIMIT_SQL ? guard_deny(why, why_size, "the statement is too long") : 0;
    if (!rc)
        rc = guard_lex(&x);
    if (!rc && terms->client)
        rc = guard_take_tail(&x);
    if (!rc && x.count == 0)
        rc = guard_deny(why, why_size, "there is no statement");
    if (!rc)
        rc = check_kind(&x);
    for (size_t i = 0; !rc && i < x.count; i++)
        rc = check_token(&x, i);
    if (rc && !g->exception)
        g->exception = rc == ERR_SYNTAX ? GUARD_SYNTAX_ERROR : GUARD_ACCESS_DENIED;
    guard_lex_done(&x);
    return rc;
}

void guard_done(struct guard *g) {
    buf_wipe(&g->sql);
}
