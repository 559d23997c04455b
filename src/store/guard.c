/*
 * The statement guard of guard.h: lexer, rules over the tokens, rules over the engine's syntax tree.
 * Runs in safehouse-store, on text from whoever may ask. Everything is refused that is not known to
 * be harmless; the kernel's sandbox and the connection's readonly=1 stand behind it.
 *
 * Token contents are offsets into g->sql, because the buffer moves while it grows.
 */
#include "store/guard.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/limits.h"
#include "store/formats.h"
#include "store/store.h"

enum token_kind { TOKEN_WORD, TOKEN_QUOTED, TOKEN_STRING, TOKEN_PUNCT };

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

__attribute__((format(printf, 3, 4))) static int deny(char *why, size_t size, const char *fmt,
                                                      ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, size, fmt, ap);
    va_end(ap);
    return ERR_DENIED;
}

/* --- words --- */

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool same(const char *p, size_t len, const char *word) {
    return strlen(word) == len && strncasecmp(p, word, len) == 0;
}

static bool in_list(const char *p, size_t len, const char *const *list) {
    for (; *list; list++)
        if (same(p, len, *list))
            return true;
    return false;
}

static bool listed_table(const char *p, size_t len) {
    static const char *const held[] = {"held_turns", "held_interactions", "held_findings"};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        if (strlen(held[i]) == len && memcmp(p, held[i], len) == 0)
            return true;
    for (int t = ROWS_DATA_KEYS; t <= (int)STORE_LEAVES; t++) {
        const char *name = store_table_name((enum rows_table)t);
        if (strlen(name) == len && memcmp(p, name, len) == 0)
            return true;
    }
    return false;
}

/* Functions that reach files, the network, dictionaries, models, settings or the machine; that wait;
 * that write to a log; or that look into tables by name. A name ending in * is a prefix. */
static const char *const denied_functions[] = {
    "__*",                  "addressTo*",           "ai*",                  "authenticatedUser",
    "authUser",             "buildId",              "catboost*",            "chdb",
    "connection*",          "currentProfiles",      "currentRoles",         "defaultProfiles",
    "defaultRoles",         "demangle",             "dict*",                "displayName",
    "embed*",               "enabled*",             "eval*",                "executable*",
    "file",                 "filesystem*",          "formatRow*",           "fqdn",
    "fullHostName",         "fuzz*",                "generateSerialID",     "getClient*",
    "getMacro",             "getMax*",              "getMergeTree*",        "getOSKernelVersion",
    "getServer*",           "getSetting*",          "globalVariable",       "hasColumnInTable",
    "hasThreadFuzzer",      "hostname",             "joinGet*",             "lemmatize",
    "llm*",                 "logTrace",             "naiveBayes*",          "region*",
    "remote*",              "reverseDNS*",          "s3*",                  "serverUUID",
    "showCertificate",      "sleep*",               "stem",                 "structureTo*",
    "synonyms",             "tcpPort",              "tid",                  "transaction*",
    "uptime",               "url",                  "zookeeper*",           NULL,
};

bool guard_function_denied(const char *name, size_t len) {
    for (const char *const *d = denied_functions; *d; d++) {
        size_t n = strlen(*d);
        if ((*d)[n - 1] == '*' ? len >= n - 1 && strncasecmp(name, *d, n - 1) == 0
                               : same(name, len, *d))
            return true;
    }
    return false;
}

const char *guard_format(const char *name, size_t len) {
    static const char *const names[] = {
#define FORMAT_NAME_(n, family) n,
        FORMATS(FORMAT_NAME_)
#undef FORMAT_NAME_
        NULL,
    };
    for (const char *const *f = names; *f; f++)
        if (same(name, len, *f))
            return *f;
    return NULL;
}

/* --- lexer --- */

static int emit(struct lexer *x, enum token_kind kind, size_t start, size_t len, size_t quote) {
    if (x->count == x->room) {
        size_t room = x->room ? x->room * 2 : 256;
        struct token *t = realloc(x->tokens, room * sizeof *t);
        if (!t)
            return ERR_NOMEM;
        x->tokens = t;
        x->room = room;
    }
    if (x->space && x->count) {
        int rc = buf_append_u8(&x->g->sql, ' ');
        if (rc)
            return rc;
    }
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
        return deny(x->why, x->why_size, "a quoted name may hold printable characters only");
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

static int next(struct lexer *x) {
    char c = x->in[x->i];
    char after = x->i + 1 < x->len ? x->in[x->i + 1] : 0;
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
        x->space = true;
        x->i++;
        return 0;
    }
    if ((c == '-' && after == '-') || (c == '/' && after == '*'))
        return comment(x);
    if (c == '\'' || c == '"' || c == '`')
        return quoted(x);
    if (is_word(c)) {
        size_t end = x->i;
        while (end < x->len && is_word(x->in[end]))
            end++;
        return emit(x, TOKEN_WORD, x->i, end - x->i, 0);
    }
    if (c == ';') {
        for (x->i++; x->i < x->len; x->i++)
            if (!isspace((unsigned char)x->in[x->i]) && x->in[x->i] != ';')
                return deny(x->why, x->why_size, "one statement at a time");
        return 0;
    }
    if (c && strchr("()[],.+-*/%=<>!:?|^&~", c))
        return emit(x, TOKEN_PUNCT, x->i, 1, 0);
    if (c == '{' || c == '}')
        return deny(x->why, x->why_size, "query parameters are not supported");
    if (c >= 0x21 && c < 0x7f)
        return deny(x->why, x->why_size, "the character %c is not allowed outside quotes", c);
    return deny(x->why, x->why_size, "the byte 0x%02x is not allowed outside quotes",
                (unsigned)(unsigned char)c);
}

/* --- rules over the tokens --- */

static const char *text(const struct lexer *x, size_t i) {
    return (const char *)x->g->sql.p + x->tokens[i].at;
}

static bool word_is(const struct lexer *x, size_t i, const char *word) {
    return i < x->count && x->tokens[i].kind == TOKEN_WORD &&
           same(text(x, i), x->tokens[i].len, word);
}

static bool punct_is(const struct lexer *x, size_t i, char c) {
    return i < x->count && x->tokens[i].kind == TOKEN_PUNCT && text(x, i)[0] == c;
}

static bool is_name(const struct lexer *x, size_t i) {
    return i < x->count && (x->tokens[i].kind == TOKEN_WORD || x->tokens[i].kind == TOKEN_QUOTED);
}

/* A name anywhere: a function is called by it, or handed to another one, as in arrayMap(f, x) or
 * APPLY f. No column of the log has such a name; an alias has to take another one. */
static int check_function(const struct lexer *x, size_t i) {
    if (!guard_function_denied(text(x, i), x->tokens[i].len))
        return 0;
    return deny(x->why, x->why_size, "the function %.*s is not allowed", (int)x->tokens[i].len,
                text(x, i));
}

static int check_word(const struct lexer *x, size_t i) {
    static const char *const never[] = {"SETTINGS", "INTO", "OUTFILE", "INFILE", "PARALLEL", NULL};
    const struct token *t = &x->tokens[i];
    if (t->kind == TOKEN_WORD && in_list(text(x, i), t->len, never))
        return deny(x->why, x->why_size, "%.*s is not allowed in a statement", (int)t->len,
                    text(x, i));
    if (word_is(x, i, "FORMAT") && !punct_is(x, i + 1, '('))
        return deny(x->why, x->why_size,
                    "FORMAT is not part of the statement: name the format beside it");
    return 0;
}

static int check_token(struct lexer *x, size_t i) {
    static const char *const closed[] = {"system", "information_schema", "default",
                                         "_temporary_and_external_tables", NULL};
    struct guard *g = x->g;
    const struct token *t = &x->tokens[i];
    if (!is_name(x, i))
        return 0;
    int rc = check_word(x, i);
    if (!rc && punct_is(x, i + 1, '.') && in_list(text(x, i), t->len, closed))
        rc = deny(x->why, x->why_size, "the database %.*s is not open to queries", (int)t->len,
                  text(x, i));
    if (!rc)
        rc = check_function(x, i);
    size_t open = word_is(x, i + 2, "MATERIALIZED") ? i + 3 : i + 2;
    if (!rc && word_is(x, i + 1, "AS") && punct_is(x, open, '(')) {
        if (g->ctes == GUARD_CTES_MAX)
            return deny(x->why, x->why_size, "more than %d WITH names", GUARD_CTES_MAX);
        g->cte[g->ctes++] = (struct guard_name){t->at, t->len};
    }
    return rc;
}

/* [safehouse.]table, and nothing after it. */
static int check_one_table(const struct lexer *x, size_t i) {
    if (word_is(x, i, STORE_DATABASE) && punct_is(x, i + 1, '.'))
        i += 2;
    if (i + 1 == x->count && is_name(x, i) && listed_table(text(x, i), x->tokens[i].len))
        return 0;
    return deny(x->why, x->why_size, "the tables are data_keys, turns, interactions, findings, leaves and held_turns, held_interactions, held_findings");
}

static int check_select(struct lexer *x, size_t i) {
    size_t first = i;
    while (punct_is(x, first, '('))
        first++;
    if (!word_is(x, first, "SELECT") && !word_is(x, first, "WITH"))
        return deny(x->why, x->why_size,
                    "only SELECT, WITH, EXPLAIN SELECT, DESCRIBE and SHOW are allowed");
    x->g->select = true;
    x->g->plain_select = i == 0;
    x->g->select_at = x->tokens[i].start;
    return 0;
}

static int check_kind(struct lexer *x) {
    static const char *const kinds[] = {"AST", "SYNTAX", "PLAN", "PIPELINE", "ESTIMATE", NULL};
    if (word_is(x, 0, "SHOW")) {
        if (word_is(x, 1, "TABLES") && x->count == 2)
            return 0;
        if (word_is(x, 1, "CREATE"))
            return check_one_table(x, word_is(x, 2, "TABLE") ? 3 : 2);
        if (word_is(x, 1, "COLUMNS") && word_is(x, 2, "FROM"))
            return check_one_table(x, 3);
        return deny(x->why, x->why_size,
                    "of SHOW, only TABLES, CREATE TABLE t and COLUMNS FROM t are allowed");
    }
    if (word_is(x, 0, "DESCRIBE") || word_is(x, 0, "DESC"))
        return check_one_table(x, word_is(x, 1, "TABLE") ? 2 : 1);
    size_t i = 0;
    if (word_is(x, 0, "EXPLAIN")) {
        i = 1;
        if (word_is(x, 1, "QUERY") && word_is(x, 2, "TREE"))
            i = 3;
        else if (i < x->count && in_list(text(x, 1), x->tokens[1].len, kinds))
            i = 2;
    }
    return check_select(x, i);
}

int guard_check(struct guard *g, const char *sql, size_t len, char *why, size_t why_size) {
    *g = (struct guard){0};
    buf_init(&g->sql, 2 * LIMIT_SQL);
    struct lexer x = {.g = g, .in = sql, .len = len, .why = why, .why_size = why_size};
    int rc = len > LIMIT_SQL ? deny(why, why_size, "the statement is too long") : 0;
    while (!rc && x.i < x.len)
        rc = next(&x);
    if (!rc && x.count == 0)
        rc = deny(why, why_size, "there is no statement");
    if (!rc)
        rc = check_kind(&x);
    for (size_t i = 0; !rc && i < x.count; i++)
        rc = check_token(&x, i);
    free(x.tokens);
    return rc;
}

void guard_done(struct guard *g) {
    buf_wipe(&g->sql);
}

/* --- the syntax tree --- */

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

static int check_table(const struct guard *g, const char *p, size_t len, char *why,
                       size_t why_size) {
    const char *bare = p;
    size_t n = len;
    if (starts(p, len, STORE_DATABASE ".")) {
        bare += strlen(STORE_DATABASE ".");
        n -= strlen(STORE_DATABASE ".");
    }
    if (listed_table(bare, n))
        return 0;
    for (unsigned i = 0; i < g->ctes; i++)
        if (g->cte[i].len == len && memcmp(g->sql.p + g->cte[i].at, p, len) == 0)
            return 0;
    return deny(why, why_size, "no table %.*s: the tables are data_keys, turns, interactions, findings, leaves and held_turns, held_interactions, held_findings",
                (int)(len > 100 ? 100 : len), p);
}

int guard_check_tree(const struct guard *g, const char *tree, size_t len, char *why,
                     size_t why_size) {
    bool in_table = false;
    const char *end = tree + len;
    if (!starts(tree, len, "Select"))
        return deny(why, why_size, "only SELECT is allowed");
    for (const char *p = tree; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *stop = eol ? eol : end;
        while (p < stop && *p == ' ')
            p++;
        size_t n = (size_t)(stop - p);
        bool function = starts(p, n, "Function "), identifier = starts(p, n, "Identifier ");
        size_t name = function ? 9 : 11;
        if (in_table && !starts(p, n, "TableIdentifier ") && !starts(p, n, "Subquery"))
            return function ? deny(why, why_size, "the table function %.*s is not allowed",
                                   (int)node_name(p + 9, n - 9), p + 9)
                            : deny(why, why_size, "only the log's tables can be read");
        in_table = starts(p, n, "TableExpression");
        int rc = 0;
        if (starts(p, n, "TableIdentifier "))
            rc = check_table(g, p + 16, node_name(p + 16, n - 16), why, why_size);
        else if (starts(p, n, "QueryParameter"))
            rc = deny(why, why_size, "query parameters are not supported");
        else if ((function || identifier) &&
                 guard_function_denied(p + name, node_name(p + name, n - name)))
            rc = deny(why, why_size, "the function %.*s is not allowed",
                      (int)node_name(p + name, n - name), p + name);
        if (rc)
            return rc;
        p = stop + 1;
    }
    return 0;
}
