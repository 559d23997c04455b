#ifndef STORE_GUARD_H
#define STORE_GUARD_H
/*
 * What a person's statement may be: one SELECT (or WITH ... SELECT, EXPLAIN of one, SHOW TABLES,
 * SHOW CREATE TABLE, SHOW COLUMNS FROM, DESCRIBE) over the log's tables, with no table function, no
 * other database, no settings, no FORMAT, no INTO OUTFILE, and no function that reaches beyond the
 * rows. Pure: no engine here.
 *
 * Two readings have to agree. guard_check reads the text with a lexer of its own and writes it anew:
 * comments gone, space collapsed, so the engine sees only tokens that were judged, and whatever the
 * lexer does not know is refused. guard_check_tree reads the syntax tree that the engine's own parser
 * made of it (EXPLAIN AST) and judges every table in it.
 *
 * A ClickHouse client's statement (`client`) may end in FORMAT and SETTINGS, which are taken off, has
 * parameters {name:Type}, calls the log's database `default` as well, and asks `system` what there is: it
 * gets the catalogue (store/catalogue.h) under that name. SHOW DATABASES, SHOW TABLES FROM and EXISTS
 * become SELECTs over that.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define GUARD_CTES_MAX 64

/* ClickHouse's numbers of what is refused here. */
enum guard_exception {
    GUARD_UNKNOWN_TABLE = 60,
    GUARD_SYNTAX_ERROR = 62,
    GUARD_READONLY = 164,
    GUARD_ACCESS_DENIED = 497,
};

struct guard_terms {
    bool client;   /* of a ClickHouse client, as above */
    bool filtered; /* sees some projects' rows only: nothing that tells of the others' */
};

struct guard {
    struct guard_terms terms;
    struct buf sql;    /* the statement, written anew */
    bool select;       /* it is, or explains, a SELECT: its tree has to be checked */
    bool plain_select; /* it is one */
    size_t select_at;  /* where that SELECT begins in sql */
    uint32_t exception; /* why it was refused, enum guard_exception */
    char format[64];   /* of its FORMAT clause, as written; empty: none */
    uint32_t seconds;  /* of its SETTINGS; 0: none */
    uint64_t rows;
    unsigned ctes;     /* names of WITH ... AS ( */
    struct guard_name {
        size_t at, len; /* in sql, without quotes */
    } cte[GUARD_CTES_MAX];
};

/* 0, ERR_DENIED or ERR_SYNTAX with a sentence in `why`. guard_done after any result. */
int guard_check(struct guard *g, const struct guard_terms *terms, const char *sql, size_t len, char *why,
                size_t why_size);
/* The answer of EXPLAIN AST (one line a node, two... indented by depth). 0 or ERR_DENIED. */
int guard_check_tree(struct guard *g, const char *tree, size_t len, char *why, size_t why_size);
void guard_done(struct guard *g);

/* The format's name as the engine spells it, or NULL when it is not on the list. */
const char *guard_format(const char *name, size_t len);
/* For the statement text only; case does not matter. */
bool guard_function_denied(const char *name, size_t len);

#endif
