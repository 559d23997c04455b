/*
 * Statements that are no SELECT: SHOW, DESCRIBE, EXISTS. Those that a client's browsing has and the owner's
 * does not become SELECTs over the catalogue, which is all that they may tell of.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "store/catalogue.h"
#include "store/guard_int.h"
#include "store/store.h"

/* [database.]table, and nothing after it. */
static int check_one_table(const struct lexer *x, size_t i) {
    bool catalogue = false;
    if (guard_is_name(x, i) && guard_punct_is(x, i + 1, '.')) {
        const struct token *t = &x->tokens[i];
        catalogue = x->g->terms.client && t->len == strlen(CATALOGUE_DATABASE) &&
                    memcmp(guard_text(x, i), CATALOGUE_DATABASE, t->len) == 0;
        if (catalogue ||
            (t->len == strlen(STORE_DATABASE) && memcmp(guard_text(x, i), STORE_DATABASE, t->len) == 0))
            i += 2;
    }
    if (i + 1 == x->count && guard_is_name(x, i) &&
        (catalogue ? guard_catalogue_listed : guard_table_listed)(guard_text(x, i), x->tokens[i].len))
        return 0;
    x->g->exception = GUARD_UNKNOWN_TABLE;
    return guard_deny(x->why, x->why_size, GUARD_TABLES);
}

/* The statement becomes another one, of the same buffer. */
static int become(struct lexer *x, struct buf *sql) {
    struct guard *g = x->g;
    buf_wipe(&g->sql);
    g->sql = *sql;
    g->select = g->plain_select = true;
    g->select_at = 0;
    x->count = 0;
    return 0;
}

/* The name of a database as a client says it. */
static bool is_database(const struct lexer *x, size_t i) {
    static const char *const names[] = {STORE_DATABASE, "default", "system", CATALOGUE_DATABASE, NULL};
    for (const char *const *n = names; *n && guard_is_name(x, i); n++)
        if (x->tokens[i].len == strlen(*n) && memcmp(guard_text(x, i), *n, strlen(*n)) == 0)
            return true;
    return false;
}

/* SELECT name FROM catalogue.TABLE [WHERE database = 'D'] [AND name LIKE 'pattern'] ORDER BY name; token i is
 * what follows. */
static int list_names(struct lexer *x, const char *table, size_t database, size_t i) {
    struct buf sql;
    const bool not = guard_word_is(x, i, "NOT");
    const size_t like = i + not;
    const bool has = (guard_word_is(x, like, "LIKE") || guard_word_is(x, like, "ILIKE")) && like + 1 < x->count &&
                     x->tokens[like + 1].kind == TOKEN_STRING;
    if (i + (has ? 2u + not : 0) != x->count)
        return guard_deny(x->why, x->why_size, "of SHOW %s, only FROM and LIKE are allowed", table);
    buf_init(&sql, x->g->sql.max);
    int rc = buf_printf(&sql, "SELECT name FROM " CATALOGUE_DATABASE ".%s WHERE ", table);
    if (!rc && database)
        rc = buf_printf(&sql, "database = '%.*s' AND ", (int)x->tokens[database].len, guard_text(x, database));
    else if (!rc && strcmp(table, "tables") == 0)
        rc = buf_append_str(&sql, "database = '" STORE_DATABASE "' AND ");
    if (!rc && has)
        rc = buf_printf(&sql, "name %s%s '%.*s' AND ", not? "NOT " : "",
                        guard_word_is(x, like, "ILIKE") ? "ILIKE" : "LIKE", (int)x->tokens[like + 1].len,
                        guard_text(x, like + 1));
    if (!rc)
        rc = buf_append_str(&sql, "1 ORDER BY name");
    if (rc) {
        buf_wipe(&sql);
        return rc;
    }
    return become(x, &sql);
}

static int client_show(struct lexer *x, bool *ret_done) {
    *ret_done = true;
    if (guard_word_is(x, 1, "DATABASES") || guard_word_is(x, 1, "SCHEMAS"))
        return list_names(x, "databases", 0, 2);
    const size_t tables = guard_word_is(x, 1, "FULL") ? 2 : 1;
    if (guard_word_is(x, tables, "TABLES")) {
        const size_t from = tables + 1;
        const bool named = (guard_word_is(x, from, "FROM") || guard_word_is(x, from, "IN"));
        if (!named || is_database(x, from + 1))
            return list_names(x, "tables", named ? from + 1 : 0, named ? from + 2 : from);
        return guard_deny(x->why, x->why_size, "the databases are " STORE_DATABASE " and default");
    }
    *ret_done = false;
    return 0;
}

/* EXISTS [TABLE | VIEW | DATABASE] name: the lists know. */
static int exists(struct lexer *x) {
    struct buf sql;
    size_t i = 1;
    bool there;
    if (guard_word_is(x, 1, "DATABASE") && x->count == 3) {
        there = is_database(x, 2);
    } else {
        if (guard_word_is(x, i, "TABLE") || guard_word_is(x, i, "VIEW"))
            i++;
        if (!guard_is_name(x, i) || (x->count != i + 1 && !(x->count == i + 3 && guard_punct_is(x, i + 1, '.'))))
            return guard_deny(x->why, x->why_size, "EXISTS takes the name of a table");
        there = check_one_table(x, i) == 0;
    }
    x->g->exception = 0;
    x->why[0] = 0;
    buf_init(&sql, x->g->sql.max);
    int rc = buf_printf(&sql, "SELECT toUInt8(%d) AS result", there);
    return rc ? rc : become(x, &sql);
}

int guard_check_show(struct lexer *x, bool *ret_done) {
    int rc = 0;
    *ret_done = true;
    if (guard_word_is(x, 0, "DESCRIBE") || guard_word_is(x, 0, "DESC"))
        return check_one_table(x, guard_word_is(x, 1, "TABLE") ? 2 : 1);
    if (x->g->terms.client && guard_word_is(x, 0, "EXISTS"))
        return exists(x);
    *ret_done = false;
    if (!guard_word_is(x, 0, "SHOW"))
        return 0;
    if (x->g->terms.client)
        rc = client_show(x, ret_done);
    if (rc || *ret_done)
        return rc;
    *ret_done = true;
    if (guard_word_is(x, 1, "TABLES") && x->count == 2)
        return 0;
    if (guard_word_is(x, 1, "CREATE"))
        return check_one_table(x, guard_word_is(x, 2, "TABLE") || guard_word_is(x, 2, "VIEW") ? 3 : 2);
    if (guard_word_is(x, 1, "COLUMNS") && guard_word_is(x, 2, "FROM"))
        return check_one_table(x, 3);
    return guard_deny(x->why, x->why_size,
                      "of SHOW, only TABLES, CREATE TABLE t and COLUMNS FROM t are allowed");
}
