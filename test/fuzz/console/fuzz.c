/* A request of ClickHouse's HTTP interface: lines of "URL parameters", headers "Name: value", an empty line
 * and the body. Whatever they are, what comes out keeps its ceilings, a name is a name, and what is refused
 * names a code. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/http/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct http_request *r) {
    const char *name, *value;
    size_t at = 0, name_len, value_len;
    for (const char *c = r->who.user; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_.@-", *c))
            abort();
    if (r->who.code[0] && strspn(r->who.code, "0123456789") != HTTP_CODE_DIGITS)
        abort();
    if (r->who.password_len > LIMIT_PASSWORD || r->sql.len > LIMIT_SQL || !r->format)
        abort();
    for (const char *c = r->query_id; *c; c++)
        if (*c <= ' ' || *c > '~')
            abort();
    while (http_request_parameter(r, &at, &name, &name_len, &value, &value_len))
        if (!name_len || memchr(name, 0, name_len))
            abort();
}

/* Takes the next line off; NULL: there is none. */
static char *line(char **text) {
    char *from = *text, *end = strchr(from, '\n');
    if (!end)
        return NULL;
    *end = 0;
    *text = end + 1;
    return from;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct http_request *r = malloc(sizeof *r);
    struct http_why why = {0};
    char *text = malloc(size + 1), *at = text, *l = NULL;
    memcpy(text, data, size);
    text[size] = 0;
    http_request_init(r);
    l = line(&at);
    int rc = l ? http_request_url(r, l, strlen(l), &why) : 0;
    while (!rc && (l = line(&at)) != NULL && *l) {
        char *colon = strstr(l, ": ");
        if (colon) {
            *colon = 0;
            rc = http_request_header(r, l, colon + 2, &why);
        }
    }
    const size_t left = size - (size_t)(at - text);
    if (!rc && http_decode(r->body_coding, at, left, &r->body))
        rc = http_say(&why, ERR_SYNTAX, HTTP_CANNOT_DECOMPRESS, "body");
    if (!rc)
        rc = http_request_finish(r, &why);
    if (!rc)
        check(r);
    else if (!why.code || !why.text[0])
        abort();
    struct buf out;
    buf_init(&out, 8192);
    if (rc && http_put_exception(&out, &why))
        abort();
    buf_wipe(&out);
    http_request_done(r);
    free(r);
    free(text);
    return 0;
}
