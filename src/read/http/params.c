/* Decoding of params.h. Pure; run by the console on bytes of the network. */
#include "read/http/params.h"

#include <string.h>

#include "base/err.h"

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                                 : -1;
}

static int decode(struct buf *out, const char *p, size_t len) {
    int rc = buf_reserve(out, len);
    for (size_t i = 0; !rc && i < len; i++) {
        int c = (unsigned char)p[i];
        if (c == '%') {
            const int high = i + 2 < len ? hex(p[i + 1]) : -1, low = i + 2 < len ? hex(p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_SYNTAX;
            c = high * 16 + low;
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        rc = buf_append_u8(out, (uint8_t)c);
    }
    return rc;
}

static int take(struct http_params *p, const char *part, size_t len) {
    const char *equals = memchr(part, '=', len);
    const size_t name_len = equals ? (size_t)(equals - part) : len;
    if (!len)
        return 0;
    if (p->n == HTTP_PARAMS_MAX)
        return ERR_LIMIT;
    struct http_param *at = &p->at[p->n];
    at->name = p->text.len;
    int rc = decode(&p->text, part, name_len);
    at->name_len = p->text.len - at->name;
    if (!rc && memchr(p->text.p + at->name, 0, at->name_len))
        return ERR_SYNTAX;
    at->value = p->text.len;
    if (!rc && equals)
        rc = decode(&p->text, equals + 1, len - name_len - 1);
    at->value_len = p->text.len - at->value;
    p->n += !rc;
    return rc;
}

int http_params_parse(struct http_params *p, const char *query, size_t len) {
    p->n = 0;
    buf_init(&p->text, HTTP_URL_MAX);
    if (len > HTTP_URL_MAX)
        return ERR_LIMIT;
    int rc = buf_reserve(&p->text, len + 1); /* never NULL, and it does not move */
    for (size_t at = 0; !rc && at < len;) {
        const char *end = memchr(query + at, '&', len - at);
        const size_t n = end ? (size_t)(end - query) - at : len - at;
        rc = take(p, query + at, n);
        at += n + 1;
    }
    return rc;
}

void http_params_done(struct http_params *p) {
    buf_wipe(&p->text);
    p->n = 0;
}

bool http_param_is(const struct http_params *p, size_t i, const char *name) {
    return strlen(name) == p->at[i].name_len && !memcmp(http_param_name(p, i), name, p->at[i].name_len);
}

long http_param_find(const struct http_params *p, const char *name) {
    for (size_t i = 0; i < p->n; i++)
        if (http_param_is(p, i, name))
            return (long)i;
    return -1;
}
