#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H
/*
 * A request of ClickHouse's HTTP interface, from its parts: who asks, what, and how the answer is to
 * look. Pure: it knows neither sockets nor the vault.
 *
 *   http_request_init(&r);
 *   rc = http_request_url(&r, query, len, &why);            what follows the '?'
 *   rc = http_request_header(&r, name, value, &why);        each; those that it does not know it ignores
 *   (the body is decoded and appended to r.body)
 *   rc = http_request_finish(&r, &why);                     the statement as a whole, and its format
 *   http_request_done(&r);                                  in any case: wipes
 *
 * Texts in `why` name parameters and formats, never values of them or the statement.
 */
#include <stdbool.h>

#include "base/limits.h"
#include "read/http/coding.h"
#include "read/http/exception.h"
#include "read/http/params.h"
#include "read/http/settings.h"
#include "read/query/format.h"

#define HTTP_QUERY_ID_MAX 128
#define HTTP_SESSION_BYTES 32
#define HTTP_CODE_DIGITS 6

enum http_by { HTTP_BY_NOTHING, HTTP_BY_PASSWORD, HTTP_BY_MACHINE, HTTP_BY_SESSION };

/* Who says he is who. The struct is to lie in guarded memory or be wiped soon. */
struct http_who {
    enum http_by by;
    char user[LIMIT_NAME];              /* HTTP_BY_MACHINE: may be empty */
    char code[HTTP_CODE_DIGITS + 1];    /* of user "name+123456", or X-Safehouse-Code; may be empty */
    char password[LIMIT_PASSWORD + 1];
    size_t password_len;
    uint8_t token[HTTP_SESSION_BYTES];  /* of machine or session */
};


struct http_request {
    struct http_params params;
    struct http_who who;
    bool who_in_url, who_in_basic, who_in_headers;
    struct http_settings settings;
    struct buf body, sql;
    const char *database; /* borrowed from params or header copies; never NULL */
    size_t database_len;
    char format_asked[64], database_header[LIMIT_NAME];
    const char *format; /* after finish: the engine's spelling */
    enum format_family family;
    bool open;
    char reason[LIMIT_REASON + 1];
    char query_id[HTTP_QUERY_ID_MAX + 1];
    enum http_coding body_coding;
    bool framed_body, framed; /* decompress=1, compress=1 */
    bool accepts_gzip, accepts_zstd;
    bool multipart, json; /* the body, by its Content-Type */
    bool origin, fetched;  /* a browser's page asks: Origin, Sec-Fetch-Site; */
    bool foreign;          /* the page is another site's */
};

void http_request_init(struct http_request *r);
void http_request_done(struct http_request *r);
int http_request_url(struct http_request *r, const char *query, size_t len, struct http_why *why);
int http_request_header(struct http_request *r, const char *name, const char *value,
                        struct http_why *why);
int http_request_finish(struct http_request *r, struct http_why *why);
/* Is it asked by a page of another site, in a browser that may add credentials by itself? */
bool http_request_foreign(const struct http_request *r);
/* In which coding the answer is to be. */
enum http_coding http_request_coding(const struct http_request *r);

/* The i-th of the statement's parameters (param_NAME), from *at on; false: there are no more. */
bool http_request_parameter(const struct http_request *r, size_t *at, const char **name,
                            size_t *name_len, const char **value, size_t *value_len);

/* "Basic ..." or "Bearer ..."; `what` is left alone unless 0 or ERR_SYNTAX comes back. */
int http_parse_authorization(struct http_who *who, const char *value);
/* User and password as a ClickHouse client sends them: a machine token is a password that begins with
 * shm-, a code by time is appended to the name after a '+'. ERR_SYNTAX. */
int http_parse_user(struct http_who *who, const char *user, size_t user_len);
int http_parse_password(struct http_who *who, const char *password, size_t len);

#endif
