/*
 * The guard's lexer: reads a statement and writes it anew, token by token. What it does not know it
 * refuses, so that the engine's lexer cannot see anything else in what is left.
 *
 * For a client two names of databases are replaced on the way: `default` is the log's, and `system` the
 * catalogue's; a name is one of a database where a dot follows it and none stands before it.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/catalogue.h"
#include "store/guard_int.h"
#include "store/store.h"

int guard_deny(char *why, size_t size, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, size, fmt, ap);
    va_end(ap);
    return ERR_DENIED;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

const char *guard_text(const struct lexer *x, size_t i) {
    return (const char *)x->g->sql.p + x->tokens[i].at;
}

bool guard_word_is(const struct lexer *x, size_t i, const char *word) {
    return i < x->count && x->tokens[i].kind == TOKEN_WORD &&
           guard_same(guard_text(x, i), x->tokens[i].len, word);
}

bool guard_punct_is(const struct lexer *x, size_t i, char c) {
    return i < x->count && x->tokens[i].kind == TOKEN_PUNCT && guard_text(x, i)[0] == c;
}

bool guard_is_name(const struct lexer *x, size_t i) {
    return i < x->count && (x->tokens[i].kind == TOKEN_WORD || x->tokens[i].kind == TOKEN_QUOTED);
}

/* The last token was a database's name, of which a client has another idea. */
static int map_database(struct lexer *x) {
    struct token *t = &x->tokens[x->count - 1];
    const char *name = guard_text(x, x->count - 1), *real = NULL;
    if (t->len == 7 && memcmp(name, "default", 7) == 0)
        real = STORE_DATABASE;
    else if (t->len == 6 && memcmp(name, "system", 6) == 0)
        real = CATALOGUE_DATABASE;
    if (!real || guard_punct_is(x, x->count - 2, '.'))
        return 0;
    x->g->sql.len = t->start;
    *t = (struct token){.kind = TOKEN_WORD, .start = t->start, .at = t->start, .len = strlen(real)};
    return buf_append_str(&x->g->sql, real);
}

static int room_for_one(struct lexer *x) {
    if (x->count < x->room)
        return 0;
    size_t room = x->room ? x->room * 2 : 256;
    struct token *t = realloc(x->tokens, room * sizeof *t);
    if (!t)
        return ERR_NOMEM;
    x->tokens = t;
    x->room = room;
    return 0;
}

static int emit(struct lexer *x, enum token_kind kind, size_t start, size_t len, size_t quote) {
    int rc = room_for_one(x);
    if (!rc && x->g->terms.client && kind == TOKEN_PUNCT && x->in[start] == '.' &&
        guard_is_name(x, x->count - 1))
        rc = map_database(x);
    if (!rc && x->space && x->count)
        rc = buf_append_u8(&x->g->sql, ' ');
    if (rc)
        return rc;
    x->space = false;
    size_t at = x->g->sql.len;
    x->tokens[x->count++] =
        (struct token){.kind = kind, .start = at, .at = at + quote, .len = len - 2 * quote};
    x->i = start + len;
    return buf_append(&x->g->sql, x->in + start, len);
}

/* A string or a quoted name: a backslash takes the next byte with it, a doubled quote is two. */
static int quoted(struct lexer *x) {
    char q = x->in[x->i];
    size_t end = x->i + 1;
    bool plain = true;
    while (end < x->len && x->in[end] != q) {
        if (x->in[end] == '\\') {
            plain = false;
            end++;
        } else if ((unsigned char)x->in[end] < 0x20 || x->in[end] == 0x7f) {
            plain = false;
        }
        end++;
    }
    if (end >= x->len) {
        snprintf(x->why, x->why_size, "a quote is not closed");
        return ERR_SYNTAX;
    }
    /* A name with line breaks or escapes could look like something else in the syntax tree. */
    if (q != '\'' && !plain)
        return guard_deny(x->why, x->why_size, "a quoted name may hold printable characters only");
    return emit(x, q == '\'' ? TOKEN_STRING : TOKEN_QUOTED, x->i, end + 1 - x->i, 1);
}

static int comment(struct lexer *x) {
    const char *p = x->in + x->i;
    size_t left = x->len - x->i;
    const char *end = p[0] == '-' ? memchr(p, '\n', left) : memmem(p + 2, left - 2, "*/", 2);
    if (p[0] == '/' && !end) {
        snprintf(x->why, x->why_size, "a comment is not closed");
        return ERR_SYNTAX;
    }
    x->i = !end ? x->len : (size_t)(end - x->in) + (p[0] == '-' ? 1 : 2);
    x->space = true;
    return 0;
}

static size_t skip_word(const struct lexer *x, size_t i) {
    while (i < x->len && is_word(x->in[i]))
        i++;
    return i;
}

static size_t skip_space(const struct lexer *x, size_t i) {
    while (i < x->len && is_space(x->in[i]))
        i++;
    return i;
}

/* displayName(), which ClickHouse's Go client begins with, would be the host's name: a client gets the store's. */
static size_t display_name(const struct lexer *x, size_t end) {
    static const char name[] = "displayName";
    const size_t open = skip_space(x, end), close = open < x->len ? skip_space(x, open + 1) : open;
    return x->g->terms.client && end - x->i == sizeof name - 1 && !memcmp(x->in + x->i, name, sizeof name - 1) &&
                   close < x->len && x->in[open] == '(' && x->in[close] == ')'
               ? close + 1
               : 0;
}

static int word(struct lexer *x) {
    static const char instead[] = "'" STORE_DATABASE "'";
    const size_t end = skip_word(x, x->i), name_end = display_name(x, end);
    if (!name_end)
        return emit(x, TOKEN_WORD, x->i, end - x->i, 0);
    const char *in = x->in;
    const size_t at = x->i;
    x->in = instead;
    x->i = 0;
    int rc = emit(x, TOKEN_STRING, 0, sizeof instead - 1, 1);
    x->in = in;
    x->i = rc ? at : name_end;
    return rc;
}

/* {name:Type}. The engine takes the text between colon and brace for a type's name, whatever it is; a type
 * has words, brackets, and strings in it. With the type Identifier the value would be a name. */
static int parameter(struct lexer *x) {
    const size_t name = skip_space(x, x->i + 1), colon = skip_space(x, skip_word(x, name));
    if (!x->g->terms.client)
        return guard_deny(x->why, x->why_size, "query parameters are not supported");
    if (colon == name || colon >= x->len || x->in[colon] != ':')
        return guard_deny(x->why, x->why_size, "a parameter is {name:Type}");
    size_t end = colon + 1;
    while (end < x->len && x->in[end] != '}') {
        const size_t next = skip_word(x, end);
        if (next > end && guard_same(x->in + end, next - end, "Identifier"))
            return guard_deny(x->why, x->why_size, "a parameter cannot be an identifier");
        if (next == end && x->in[end] == '\'') {
            for (end++; end < x->len && (is_word(x->in[end]) || strchr("/+-_. ", x->in[end])); end++)
                ;
            if (end >= x->len || x->in[end] != '\'')
                return guard_deny(x->why, x->why_size, "a parameter's type has a string that is not plain");
        } else if (next == end && (!x->in[end] || !strchr("(), =-", x->in[end]))) {
            return guard_deny(x->why, x->why_size, "a parameter's type cannot have that in it");
        }
        end = next > end ? next : end + 1;
    }
    if (end >= x->len || end == colon + 1) {
        snprintf(x->why, x->why_size, "a parameter is {name:Type}");
        return ERR_SYNTAX;
    }
    return emit(x, TOKEN_PARAMETER, x->i, end + 1 - x->i, 0);
}

static int next(struct lexer *x) {
    char c = x->in[x->i];
    char after = x->i + 1 < x->len ? x->in[x->i + 1] : 0;
    if (is_space(c)) {
        x->space = true;
        x->i++;
        return 0;
    }
    if ((c == '-' && after == '-') || (c == '/' && after == '*'))
        return comment(x);
    if (c == '\'' || c == '"' || c == '`')
        return quoted(x);
    if (is_word(c))
        return word(x);
    if (c == ';') {
        for (x->i++; x->i < x->len; x->i++)
            if (!isspace((unsigned char)x->in[x->i]) && x->in[x->i] != ';')
                return guard_deny(x->why, x->why_size, "one statement at a time");
        return 0;
    }
    if (c && strchr("()[],.+-*/%=<>!:?|^&~", c))
        return emit(x, TOKEN_PUNCT, x->i, 1, 0);
    if (c == '{' || c == '}')
        return parameter(x);
    if (c >= 0x21 && c < 0x7f)
        return guard_deny(x->why, x->why_size, "the character %c is not allowed outside quotes", c);
    return guard_deny(x->why, x->why_size, "the byte 0x%02x is not allowed outside quotes",
                      (unsigned)(unsigned char)c);
}

int guard_lex(struct lexer *x) {
    int rc = 0;
    while (!rc && x->i < x->len)
        rc = next(x);
    return rc;
}

void guard_lex_done(struct lexer *x) {
    free(x->tokens);
}
