#ifndef HTTP_EXCEPTION_H
#define HTTP_EXCEPTION_H
/*
 * ClickHouse's exceptions as its HTTP interface gives them: numbers, names and HTTP statuses are those of
 * src/Common/ErrorCodes.cpp and src/Server/HTTP/exceptionCodeToHTTPStatus.cpp in ClickHouse's sources. What
 * has no counterpart there takes the nearest number and an HTTP status of its own.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum http_code {
    HTTP_BAD_ARGUMENTS = 36,
    HTTP_NOT_IMPLEMENTED = 48,
    HTTP_SYNTAX_ERROR = 62,
    HTTP_UNKNOWN_FORMAT = 73,
    HTTP_UNKNOWN_DATABASE = 81,
    HTTP_UNKNOWN_SETTING = 115,
    HTTP_TIMEOUT_EXCEEDED = 159,
    HTTP_READONLY = 164,
    HTTP_REQUIRED_PASSWORD = 194,
    HTTP_QUOTA_EXCEEDED = 201,
    HTTP_TOO_MANY_QUERIES = 202,
    HTTP_NETWORK_ERROR = 210,
    HTTP_MEMORY_LIMIT = 241,
    HTTP_TOO_LARGE = 307, /* TOO_MANY_BYTES */
    HTTP_QUERY_TOO_LARGE = 223,
    HTTP_QUERY_WAS_CANCELLED = 394,
    HTTP_TOO_MANY_ROWS = 396,
    HTTP_ACCESS_DENIED = 497,
    HTTP_AUTHENTICATION_FAILED = 516,
    HTTP_CANNOT_DECOMPRESS = 271,
    HTTP_LOGICAL_ERROR = 49,
};

/* What is wrong, for the client: a text without any content of the log. */
struct http_why {
    uint32_t code; /* ClickHouse's; 0: nothing */
    unsigned status; /* 0: as ClickHouse has it for the code */
    char text[1600];
};
/* Fills it; returns the ERR_* given. */
int http_say(struct http_why *w, int rc, uint32_t code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* "SYNTAX_ERROR"; NULL: not one of the table's. */
const char *http_code_name(uint32_t code);
unsigned http_code_status(uint32_t code);
/* The nearest of ClickHouse's for one of ours. */
uint32_t http_code_of(int rc);

/* "Code: 62. DB::Exception: TEXT. (SYNTAX_ERROR)\n" */
int http_put_exception(struct buf *out, const struct http_why *w);
/* The same in the middle of an answer, as ClickHouse ends it from 25.11 on: after it the connection closes
 * without the end of its body. `tag`: of the header X-ClickHouse-Exception-Tag. */
#define HTTP_TAG_CHARS 16
int http_put_exception_inside(struct buf *out, const struct http_why *w, const char *tag);

#endif
