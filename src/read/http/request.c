/*
 * request.h: parsing of what a client sends. Run by the console on bytes of the network; passwords are in
 * r->who, in the URL's copy (wiped with it) and nowhere else.
 */
#include "read/http/request.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/err.h"

#define MACHINE_PREFIX "shm-"
#define BODY_MAX (2u << 20) /* after decompression */

void http_request_init(struct http_request *r) {
    memset(r, 0, sizeof *r);
    r->database = "";
    buf_init(&r->params.text, HTTP_URL_MAX);
    buf_init(&r->body, BODY_MAX);
    buf_init(&r->sql, BODY_MAX + HTTP_URL_MAX + 1);
}

void http_request_done(struct http_request *r) {
    http_params_done(&r->params);
    buf_wipe(&r->body);
    buf_wipe(&r->sql);
    sodium_memzero(r, sizeof *r);
}

/* ---- who ---- */

static bool name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '@' || c == '-';
}

int http_parse_user(struct http_who *who, const char *user, size_t user_len) {
    const char *plus = memchr(user, '+', user_len);
    const size_t n = plus ? (size_t)(plus - user) : user_len;
    const size_t digits = plus ? user_len - n - 1 : 0;
    if (n >= sizeof who->user || (plus && digits != HTTP_CODE_DIGITS))
        return ERR_SYNTAX;
    for (size_t i = 0; i < n; i++)
        if (!name_char(user[i]))
            return ERR_SYNTAX;
    for (size_t i = 0; i < digits; i++)
        if (plus[1 + i] < '0' || plus[1 + i] > '9')
            return ERR_SYNTAX;
    memcpy(who->user, user, n);
    who->user[n] = 0;
    if (plus) {
        memcpy(who->code, plus + 1, digits);
        who->code[digits] = 0;
    }
    return 0;
}

int http_parse_password(struct http_who *who, const char *password, size_t len) {
    const size_t prefix = sizeof MACHINE_PREFIX - 1;
    if (len > LIMIT_PASSWORD)
        return ERR_SYNTAX;
    if (len == prefix + B64URL_LEN(HTTP_SESSION_BYTES) && !memcmp(password, MACHINE_PREFIX, prefix) &&
        b64url_decode(who->token, password + prefix, len - prefix) == HTTP_SESSION_BYTES) {
        who->by = HTTP_BY_MACHINE;
        return 0;
    }
    memcpy(who->password, password, len);
    who->password_len = len;
    who->by = HTTP_BY_PASSWORD;
    return 0;
}

static int parse_basic(struct http_who *who, const char *text) {
    char plain[LIMIT_NAME + 16 + LIMIT_PASSWORD + 8];
    const size_t len = strlen(text);
    if (len / 4 * 3 > sizeof plain)
        return ERR_SYNTAX;
    long n = b64_decode((uint8_t *)plain, text, len);
    const char *colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
    int rc = colon ? 0 : ERR_SYNTAX;
    if (!rc)
        rc = http_parse_user(who, plain, (size_t)(colon - plain));
    if (!rc)
        rc = http_parse_password(who, colon + 1, (size_t)n - (size_t)(colon - plain) - 1);
    sodium_memzero(plain, sizeof plain);
    return rc;
}

int http_parse_authorization(struct http_who *who, const char *value) {
    if (!strncasecmp(value, "Basic ", 6))
        return parse_basic(who, value + 6 + strspn(value + 6, " "));
    if (strncasecmp(value, "Bearer ", 7))
        return ERR_SYNTAX;
    const char *text = value + 7 + strspn(value + 7, " ");
    const size_t len = strlen(text);
    if (!strncmp(text, MACHINE_PREFIX, sizeof MACHINE_PREFIX - 1))
        return http_parse_password(who, text, len) || who->by != HTTP_BY_MACHINE ? ERR_SYNTAX : 0;
    if (len != B64URL_LEN(HTTP_SESSION_BYTES) ||
        b64url_decode(who->token, text, len) != HTTP_SESSION_BYTES)
        return ERR_SYNTAX;
    who->by = HTTP_BY_SESSION;
    return 0;
}

static int bad_credential(struct http_why *why) {
    return http_say(why, ERR_UNAUTHENTICATED, HTTP_AUTHENTICATION_FAILED,
                    "what names the user cannot be read: a person's name (with +CODE behind it if codes are "
                    "in force) and password, or a machine token as the password");
}

/* ---- the URL ---- */

/* A parameter of the interface itself: 1, and *rc; 0: it is something else. */
static int own_parameter(struct http_request *r, size_t i, struct http_why *why, int *rc) {
    static const char *const ignored[] = {"session_id",  "session_timeout", "session_check", "quota_key",
                                          "stacktrace",  "close_session",   NULL};
    const struct http_params *p = &r->params;
    const char *v = http_param_value(p, i);
    const size_t n = p->at[i].value_len;
    *rc = 0;
    for (const char *const *name = ignored; *name; name++)
        if (http_param_is(p, i, *name))
            return 1;
    if (http_param_is(p, i, "query") ||
        (p->at[i].name_len > 6 && !memcmp(http_param_name(p, i), "param_", 6)))
        return 1; /* taken later */
    if (http_param_is(p, i, "user")) {
        r->who_in_url = true;
        *rc = http_parse_user(&r->who, v, n) ? bad_credential(why) : 0;
    } else if (http_param_is(p, i, "password")) {
        r->who_in_url = true;
        *rc = http_parse_password(&r->who, v, n) ? bad_credential(why) : 0;
    } else if (http_param_is(p, i, "database")) {
        r->database = v;
        r->database_len = n;
    } else if (http_param_is(p, i, "default_format")) {
        snprintf(r->format_asked, sizeof r->format_asked, "%.*s", (int)(n < 63 ? n : 63), v);
    } else if (http_param_is(p, i, "query_id")) {
        snprintf(r->query_id, sizeof r->query_id, "%.*s", (int)(n < HTTP_QUERY_ID_MAX ? n : HTTP_QUERY_ID_MAX), v);
        for (char *c = r->query_id; *c; c++)
            if ((unsigned char)*c <= ' ' || (unsigned char)*c > '~')
                *c = '_'; /* it goes into a header */
    } else if (http_param_is(p, i, "compress")) {
        r->framed = n == 1 && *v == '1';
    } else if (http_param_is(p, i, "decompress")) {
        r->framed_body = n == 1 && *v == '1';
    } else if (http_param_is(p, i, "open")) {
        r->open = n == 1 && *v == '1';
    } else if (http_param_is(p, i, "reason")) {
        if (n > LIMIT_REASON)
            *rc = http_say(why, ERR_LIMIT, HTTP_BAD_ARGUMENTS, "the reason is longer than %d bytes",
                           LIMIT_REASON);
        else
            snprintf(r->reason, sizeof r->reason, "%.*s", (int)n, v);
    } else if (http_param_is(p, i, "role")) {
        *rc = http_say(why, ERR_DENIED, HTTP_READONLY,
                       "roles are chosen by grants, not by a request; leave role out");
    } else {
        return 0;
    }
    return 1;
}

int http_request_url(struct http_request *r, const char *query, size_t len, struct http_why *why) {
    int rc = http_params_parse(&r->params, query, len);
    if (rc)
        return http_say(why, rc, rc == ERR_LIMIT ? HTTP_QUERY_TOO_LARGE : HTTP_BAD_ARGUMENTS,
                        rc == ERR_LIMIT ? "too many parameters, or too long ones"
                                        : "the URL's parameters cannot be read");
    for (size_t i = 0; !rc && i < r->params.n; i++)
        if (!own_parameter(r, i, why, &rc))
            rc = http_setting(&r->settings, http_param_name(&r->params, i), r->params.at[i].name_len,
                              http_param_value(&r->params, i), r->params.at[i].value_len, why);
    return rc;
}

/* ---- headers ---- */

static bool has_token(const char *list, const char *token) {
    const size_t n = strlen(token);
    for (const char *p = list; *p;) {
        p += strspn(p, " ,\t");
        const size_t item = strcspn(p, ","), name = strcspn(p, " ,;\t");
        const char *q = memmem(p, item, "q=0", 3);
        if (name == n && !strncasecmp(p, token, n))
            return !q || (q[3] == '.' && strspn(q + 4, "0") != strspn(q + 4, "0123456789"));
        p += item;
    }
    return false;
}

static int content_encoding(struct http_request *r, const char *value, struct http_why *why) {
    static const struct {
        const char *name;
        enum http_coding coding;
    } known[] = {{"identity", HTTP_IDENTITY}, {"", HTTP_IDENTITY},      {"gzip", HTTP_GZIP},
                 {"x-gzip", HTTP_GZIP},       {"deflate", HTTP_DEFLATE}, {"zstd", HTTP_ZSTD}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcasecmp(value, known[i].name)) {
            r->body_coding = known[i].coding;
            return 0;
        }
    return http_say(why, ERR_UNSUPPORTED, HTTP_NOT_IMPLEMENTED,
                    "Content-Encoding may be gzip, deflate or zstd here");
}

int http_request_header(struct http_request *r, const char *name, const char *value,
                        struct http_why *why) {
    if (!strcasecmp(name, "Authorization")) {
        r->who_in_basic = true;
        return http_parse_authorization(&r->who, value) ? bad_credential(why) : 0;
    }
    if (!strcasecmp(name, "X-ClickHouse-User")) {
        r->who_in_headers = true;
        return http_parse_user(&r->who, value, strlen(value)) ? bad_credential(why) : 0;
    }
    if (!strcasecmp(name, "X-ClickHouse-Key")) {
        r->who_in_headers = true;
        return http_parse_password(&r->who, value, strlen(value)) ? bad_credential(why) : 0;
    }
    if (!strcasecmp(name, "X-Safehouse-Code")) {
        if (strlen(value) != HTTP_CODE_DIGITS || strspn(value, "0123456789") != HTTP_CODE_DIGITS)
            return bad_credential(why);
        memcpy(r->who.code, value, HTTP_CODE_DIGITS + 1);
    } else if (!strcasecmp(name, "X-ClickHouse-Database")) {
        snprintf(r->database_header, sizeof r->database_header, "%s", value);
    } else if (!strcasecmp(name, "X-ClickHouse-Format") && !r->format_asked[0]) {
        snprintf(r->format_asked, sizeof r->format_asked, "%s", value);
    } else if (!strcasecmp(name, "X-Safehouse-Reason") && !r->reason[0]) {
        snprintf(r->reason, sizeof r->reason, "%s", value);
    } else if (!strcasecmp(name, "Content-Encoding")) {
        return content_encoding(r, value, why);
    } else if (!strcasecmp(name, "Accept-Encoding")) {
        r->accepts_gzip = has_token(value, "gzip");
        r->accepts_zstd = has_token(value, "zstd");
    } else if (!strcasecmp(name, "Content-Type")) {
        r->multipart = !strncasecmp(value, "multipart/", 10);
        r->json = !strncasecmp(value, "application/json", 16) && strchr("; \t", value[16]);
    } else if (!strcasecmp(name, "Origin")) {
        r->origin = true;
    } else if (!strcasecmp(name, "Sec-Fetch-Site")) {
        r->fetched = true;
        r->foreign = strcmp(value, "same-origin") && strcmp(value, "none");
    }
    return 0;
}

/* https://www.w3.org/TR/fetch-metadata/; browsers without that say the Origin of what is not a plain GET. */
bool http_request_foreign(const struct http_request *r) {
    return r->fetched ? r->foreign : r->origin;
}

enum http_coding http_request_coding(const struct http_request *r) {
    return r->framed                ? HTTP_FRAMED
           : !r->settings.compression ? HTTP_IDENTITY
           : r->accepts_zstd       ? HTTP_ZSTD
           : r->accepts_gzip       ? HTTP_GZIP
                                   : HTTP_IDENTITY;
}

/* ---- the whole ---- */

/* The statement: `query` of the URL, and the body behind it on a line of its own. */
static int compose(struct http_request *r) {
    const long q = http_param_find(&r->params, "query");
    const size_t n = q < 0 ? 0 : r->params.at[q].value_len;
    int rc = n ? buf_append(&r->sql, http_param_value(&r->params, (size_t)q), n) : 0;
    if (!rc && n && r->body.len)
        rc = buf_append_u8(&r->sql, '\n');
    if (!rc && r->body.len)
        rc = buf_append(&r->sql, r->body.p, r->body.len);
    return rc;
}

static int choose_format(struct http_request *r, struct http_why *why) {
    size_t len = r->sql.len, name_len = 0;
    const char *clause = r->sql.len ? format_split((const char *)r->sql.p, &len, &name_len) : NULL;
    const char *name = clause ? clause : r->format_asked[0] ? r->format_asked : "TabSeparated";
    if (!clause)
        name_len = strlen(name);
    r->format = format_find(name, name_len, &r->family);
    if (!r->format)
        return http_say(why, ERR_SYNTAX, HTTP_UNKNOWN_FORMAT, "Unknown format %.*s here",
                        (int)(name_len < 40 ? name_len : 40), name);
    r->sql.len = len;
    return 0;
}

int http_request_finish(struct http_request *r, struct http_why *why) {
    if (r->multipart)
        return http_say(why, ERR_UNSUPPORTED, HTTP_NOT_IMPLEMENTED,
                        "multipart bodies are not supported: give parameters in the URL as param_NAME");
    /* As in ClickHouse: one way of saying who it is. */
    if (r->who_in_url + r->who_in_basic + r->who_in_headers > 1)
        return http_say(why, ERR_UNAUTHENTICATED, HTTP_AUTHENTICATION_FAILED,
                        "the user is named in more than one way: use one of Authorization, X-ClickHouse-User "
                        "with X-ClickHouse-Key, and user with password in the URL");
    if (!r->database_len && r->database_header[0]) {
        r->database = r->database_header;
        r->database_len = strlen(r->database_header);
    }
    int rc = compose(r);
    if (rc || r->sql.len > LIMIT_SQL)
        return http_say(why, ERR_LIMIT, HTTP_QUERY_TOO_LARGE, "the statement is longer than %u bytes",
                        LIMIT_SQL);
    return choose_format(r, why);
}

bool http_request_parameter(const struct http_request *r, size_t *at, const char **name,
                            size_t *name_len, const char **value, size_t *value_len) {
    for (; *at < r->params.n; (*at)++) {
        const struct http_param *p = &r->params.at[*at];
        if (p->name_len <= 6 || memcmp(http_param_name(&r->params, *at), "param_", 6))
            continue;
        *name = http_param_name(&r->params, *at) + 6;
        *name_len = p->name_len - 6;
        *value = http_param_value(&r->params, *at);
        *value_len = p->value_len;
        (*at)++;
        return true;
    }
    return false;
}
