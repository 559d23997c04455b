/* exception.h: two tables and a text. Pure. */
#include "read/http/exception.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const struct {
    uint32_t code;
    unsigned status;
    const char *name;
} codes[] = {
    {6, 400, "CANNOT_PARSE_TEXT"},
    {10, 404, "NOT_FOUND_COLUMN_IN_BLOCK"},
    {16, 500, "NO_SUCH_COLUMN_IN_TABLE"},
    {36, 400, "BAD_ARGUMENTS"},
    {38, 400, "CANNOT_PARSE_DATE"},
    {41, 400, "CANNOT_PARSE_DATETIME"},
    {42, 500, "NUMBER_OF_ARGUMENTS_DOESNT_MATCH"},
    {43, 500, "ILLEGAL_TYPE_OF_ARGUMENT"},
    {44, 400, "ILLEGAL_COLUMN"},
    {46, 404, "UNKNOWN_FUNCTION"},
    {47, 404, "UNKNOWN_IDENTIFIER"},
    {48, 501, "NOT_IMPLEMENTED"},
    {49, 500, "LOGICAL_ERROR"},
    {50, 404, "UNKNOWN_TYPE"},
    {53, 400, "TYPE_MISMATCH"},
    {60, 404, "UNKNOWN_TABLE"},
    {62, 400, "SYNTAX_ERROR"},
    {63, 404, "UNKNOWN_AGGREGATE_FUNCTION"},
    {70, 500, "CANNOT_CONVERT_TYPE"},
    {72, 400, "CANNOT_PARSE_NUMBER"},
    {73, 404, "UNKNOWN_FORMAT"},
    {81, 404, "UNKNOWN_DATABASE"},
    {115, 404, "UNKNOWN_SETTING"},
    {117, 400, "INCORRECT_DATA"},
    {153, 500, "ILLEGAL_DIVISION"},
    {158, 500, "TOO_MANY_ROWS"},
    {159, 408, "TIMEOUT_EXCEEDED"},
    {160, 500, "TOO_SLOW"},
    {162, 500, "TOO_DEEP_SUBQUERIES"},
    {164, 500, "READONLY"},
    {167, 400, "TOO_DEEP_AST"},
    {168, 400, "TOO_BIG_AST"},
    {184, 500, "ILLEGAL_AGGREGATION"},
    {194, 401, "REQUIRED_PASSWORD"},
    {201, 500, "QUOTA_EXCEEDED"},
    {202, 500, "TOO_MANY_SIMULTANEOUS_QUERIES"},
    {206, 500, "ALIAS_REQUIRED"},
    {207, 500, "AMBIGUOUS_IDENTIFIER"},
    {210, 500, "NETWORK_ERROR"},
    {215, 500, "NOT_AN_AGGREGATE"},
    {223, 413, "QUERY_IS_TOO_LARGE"},
    {241, 500, "MEMORY_LIMIT_EXCEEDED"},
    {271, 500, "CANNOT_DECOMPRESS"},
    {307, 500, "TOO_MANY_BYTES"},
    {352, 500, "AMBIGUOUS_COLUMN_NAME"},
    {386, 500, "NO_COMMON_TYPE"},
    {394, 500, "QUERY_WAS_CANCELLED"},
    {396, 500, "TOO_MANY_ROWS_OR_BYTES"},
    {407, 500, "DECIMAL_OVERFLOW"},
    {427, 400, "CANNOT_COMPILE_REGEXP"},
    {452, 500, "SETTING_CONSTRAINT_VIOLATION"},
    {456, 500, "UNKNOWN_QUERY_PARAMETER"},
    {457, 400, "BAD_QUERY_PARAMETER"},
    {497, 403, "ACCESS_DENIED"},
    {516, 403, "AUTHENTICATION_FAILED"},
};

const char *http_code_name(uint32_t code) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].name;
    return NULL;
}

unsigned http_code_status(uint32_t code) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].status;
    return 500;
}

uint32_t http_code_of(int rc) {
    switch (rc) {
    case ERR_SYNTAX:
        return HTTP_SYNTAX_ERROR;
    case ERR_USAGE:
        return HTTP_BAD_ARGUMENTS;
    case ERR_LIMIT:
        return HTTP_TOO_LARGE;
    case ERR_DENIED:
    case ERR_PROJECT:
    case ERR_APPROVAL:
        return HTTP_ACCESS_DENIED;
    case ERR_UNAUTHENTICATED:
        return HTTP_AUTHENTICATION_FAILED;
    case ERR_UNSUPPORTED:
        return HTTP_NOT_IMPLEMENTED;
    case ERR_QUOTA:
        return HTTP_QUOTA_EXCEEDED;
    case ERR_FULL:
    case ERR_AGAIN:
        return HTTP_TOO_MANY_QUERIES;
    case ERR_NOMEM:
        return HTTP_MEMORY_LIMIT;
    case ERR_PEER:
    case ERR_LOCKED:
        return HTTP_NETWORK_ERROR;
    default:
        return HTTP_LOGICAL_ERROR;
    }
}

int http_say(struct http_why *w, int rc, uint32_t code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->text, sizeof w->text, fmt, ap);
    va_end(ap);
    w->code = code;
    return rc;
}

/* The engine's own texts end with the name already. */
int http_put_exception(struct buf *out, const struct http_why *w) {
    const char *name = http_code_name(w->code);
    size_t n = strnlen(w->text, sizeof w->text);
    while (n && (w->text[n - 1] == '\n' || w->text[n - 1] == ' ' || w->text[n - 1] == '.'))
        n--;
    const bool named = n && w->text[n - 1] == ')' && (!name || memmem(w->text, n, name, strlen(name)));
    return buf_printf(out, "Code: %u. DB::Exception: %.*s%s%s%s\n", w->code, (int)n, w->text,
                      named ? "" : ". (", named ? "" : name ? name : "UNKNOWN_EXCEPTION",
                      named ? "" : ")");
}

int http_put_exception_inside(struct buf *out, const struct http_why *w, const char *tag) {
    int rc = buf_printf(out, "\r\n__exception__\r\n%s\r\n", tag);
    const size_t before = out->len;
    if (!rc)
        rc = http_put_exception(out, w);
    return rc ? rc : buf_printf(out, "%zu %s\r\n__exception__\r\n", out->len - before, tag);
}
