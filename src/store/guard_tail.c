/*
 * The end of a client's statement: FORMAT and SETTINGS, in any order, as ClickHouse takes them. They are
 * taken off: the format is the store's to give, and of settings two limits count, some are ignored because
 * they change nothing that is returned, and the rest is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/guard_int.h"

static const char *const ignored[] = {
    "log_queries",   "max_block_size",           "max_memory_usage", "max_threads",
    "use_query_cache", "use_uncompressed_cache", NULL,
};

/* Up to the value's end: a word, a string, or a number with a fraction. */
static size_t value_end(const struct lexer *x, size_t i) {
    if (i >= x->count || (x->tokens[i].kind != TOKEN_WORD && x->tokens[i].kind != TOKEN_STRING))
        return i;
    if (guard_punct_is(x, i + 1, '.') && i + 2 < x->count && x->tokens[i + 2].kind == TOKEN_WORD)
        return i + 3;
    return i + 1;
}

/* name = value, ...: the token behind them, or i when it is none. */
static size_t settings_end(const struct lexer *x, size_t i) {
    const size_t from = i;
    for (;;) {
        const size_t value = i + 2, end = value_end(x, value);
        if (!guard_is_name(x, i) || !guard_punct_is(x, i + 1, '=') || end == value)
            return from;
        if (!guard_punct_is(x, end, ','))
            return end;
        i = end + 1;
    }
}

/* Where the clauses that begin at token i end; i when nothing there is one. */
static size_t clauses_end(const struct lexer *x, size_t i) {
    for (;;) {
        size_t end = i;
        if (guard_word_is(x, i, "FORMAT") && i + 1 < x->count && x->tokens[i + 1].kind == TOKEN_WORD)
            end = i + 2;
        else if (guard_word_is(x, i, "SETTINGS") && settings_end(x, i + 1) > i + 1)
            end = settings_end(x, i + 1);
        if (end == i)
            return i;
        i = end;
    }
}

static int take_setting(struct lexer *x, size_t i) {
    char text[24];
    const struct token *name = &x->tokens[i], *value = &x->tokens[i + 2];
    const bool seconds = guard_same(guard_text(x, i), name->len, "max_execution_time");
    if (guard_in_list(guard_text(x, i), name->len, ignored))
        return 0;
    if (!seconds && !guard_same(guard_text(x, i), name->len, "max_result_rows")) {
        x->g->exception = GUARD_READONLY;
        return guard_deny(x->why, x->why_size, "the setting %.*s cannot be changed here",
                          (int)(name->len < 64 ? name->len : 64), guard_text(x, i));
    }
    snprintf(text, sizeof text, "%.*s", (int)(value->len < 23 ? value->len : 23), guard_text(x, i + 2));
    char *end;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end || end == text) {
        snprintf(x->why, x->why_size, "the value of %.*s is not a number", (int)name->len, guard_text(x, i));
        return ERR_SYNTAX;
    }
    if (seconds)
        x->g->seconds = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    else
        x->g->rows = v;
    return 0;
}

static int take_clauses(struct lexer *x, size_t i) {
    int rc = 0;
    while (!rc && i < x->count) {
        if (guard_word_is(x, i, "FORMAT")) {
            snprintf(x->g->format, sizeof x->g->format, "%.*s",
                     (int)(x->tokens[i + 1].len < 63 ? x->tokens[i + 1].len : 63), guard_text(x, i + 1));
            i += 2;
            continue;
        }
        do {
            rc = take_setting(x, i + 1);
            i = value_end(x, i + 3);
        } while (!rc && guard_punct_is(x, i, ','));
    }
    return rc;
}

int guard_take_tail(struct lexer *x) {
    int depth = 0;
    for (size_t i = 1; i < x->count; i++) {
        if (guard_punct_is(x, i, '(') || guard_punct_is(x, i, '['))
            depth++;
        else if (guard_punct_is(x, i, ')') || guard_punct_is(x, i, ']'))
            depth--;
        if (depth || clauses_end(x, i) != x->count || clauses_end(x, i) == i)
            continue;
        int rc = take_clauses(x, i);
        if (rc)
            return rc;
        x->count = i;
        x->g->sql.len = x->tokens[i].start;
        if (x->g->sql.p[x->g->sql.len - 1] == ' ')
            x->g->sql.len--;
        return 0;
    }
    return 0;
}
