#ifndef STORE_GUARD_INT_H
#define STORE_GUARD_INT_H
/* The guard's parts: lexer, lists, rules over tokens, other statements than SELECT. */
#include "store/guard.h"

enum token_kind { TOKEN_WORD, TOKEN_QUOTED, TOKEN_STRING, TOKEN_PUNCT, TOKEN_PARAMETER };

/* Contents are offsets into g->sql, because the buffer moves while it grows. */
struct token {
    enum token_kind kind;
    size_t at, len; /* in the rewritten text, quotes left out */
    size_t start;   /* with quotes */
};

struct lexer {
    struct guard *g;
    const char *in;
    size_t len, i;
    struct token *tokens;
    size_t count, room;
    bool space; /* between the last token and the next */
    char *why;
    size_t why_size;
};

/* Says why in a sentence; gives ERR_DENIED. */
int guard_deny(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Reads the whole text into tokens. guard_lex_done after any result. */
int guard_lex(struct lexer *x);
void guard_lex_done(struct lexer *x);

const char *guard_text(const struct lexer *x, size_t i);
bool guard_word_is(const struct lexer *x, size_t i, const char *word); /* case does not matter */
bool guard_punct_is(const struct lexer *x, size_t i, char c);
bool guard_is_name(const struct lexer *x, size_t i); /* a word, or quoted */
bool guard_same(const char *p, size_t len, const char *word);
bool guard_in_list(const char *p, size_t len, const char *const *list);

#define GUARD_TABLES                                                                               \
    "the tables are data_keys, turns, interactions, findings, leaves and held_turns, "             \
    "held_interactions, held_findings, and the views dash_* of doc/dashboards.md"
/* Of the log; or of the catalogue. */
bool guard_table_listed(const char *name, size_t len);
bool guard_catalogue_listed(const char *name, size_t len);

/* guard_tail.c: takes FORMAT and SETTINGS off the statement's end. */
int guard_take_tail(struct lexer *x);
/* guard_show.c: *ret_done: it was SHOW, DESCRIBE or EXISTS, and has been judged. */
int guard_check_show(struct lexer *x, bool *ret_done);

#endif
