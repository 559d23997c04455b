#ifndef HTTP_PARAMS_H
#define HTTP_PARAMS_H
/*
 * The parameters of a URL, decoded (application/x-www-form-urlencoded, as the WHATWG URL standard and
 * ClickHouse read it: '+' is a blank, %XX a byte). Values may hold any byte and are not terminated.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define HTTP_PARAMS_MAX 512
#define HTTP_URL_MAX (256u << 10)

struct http_param {
    size_t name, name_len, value, value_len; /* offsets into text */
};

struct http_params {
    struct buf text;
    size_t n;
    struct http_param at[HTTP_PARAMS_MAX];
};

/* What follows the '?'. ERR_SYNTAX: a '%' without two digits, or a byte 0 in a name; ERR_LIMIT.
 * http_params_done in any case. */
int http_params_parse(struct http_params *p, const char *query, size_t len);
void http_params_done(struct http_params *p); /* wipes: there may be a password in them */

static inline const char *http_param_name(const struct http_params *p, size_t i) {
    return (const char *)p->text.p + p->at[i].name;
}
static inline const char *http_param_value(const struct http_params *p, size_t i) {
    return (const char *)p->text.p + p->at[i].value;
}
/* The first of that name, or -1. */
long http_param_find(const struct http_params *p, const char *name);
bool http_param_is(const struct http_params *p, size_t i, const char *name);

#endif
