/* Routes and errors of the JSON interface (api.h). */
#include "proc/console/api.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define JSON_TYPE "application/json; charset=UTF-8"

/* A part in braces is variable. */
static const struct route {
    const char *method, *path;
    api_fn *fn;
    bool alone; /* without a caller: it is where one signs in */
} routes[] = {
    {"POST", "/api/v1/sessions", api_sign_in, true},
    {"DELETE", "/api/v1/sessions", api_sign_out, false},
    {"GET", "/api/v1/whoami", api_whoami, false},
    {"GET", "/api/v1/people", api_people, false},
    {"POST", "/api/v1/people", api_person_add, false},
    {"DELETE", "/api/v1/people/{name}", api_person_remove, false},
    {"POST", "/api/v1/people/{name}/grants", api_grant, false},
    {"DELETE", "/api/v1/people/{name}/grants/{number}", api_ungrant, false},
    {"POST", "/api/v1/people/{name}/password", api_password, false},
    {"POST", "/api/v1/people/{name}/tokens", api_token, false},
    {"DELETE", "/api/v1/people/{name}/tokens/{label}", api_untoken, false},
    {"GET", "/api/v1/approvals", api_approvals, false},
    {"POST", "/api/v1/approvals/{digest}", api_approve, false},
    {"GET", "/api/v1/vault", api_status, false},
    {"GET", "/api/v1/ledger/checkpoint", api_checkpoint, false},
};
#define ROUTES (sizeof routes / sizeof routes[0])

/* ---- arguments ---- */

int api_string(struct api *a, const char *name, size_t max, bool optional, const char **ret) {
    const json_t *v = json_object_get(a->body, name);
    *ret = "";
    if (!v && optional)
        return 0;
    if (!json_is_string(v) || json_string_length(v) > max ||
        strlen(json_string_value(v)) != json_string_length(v)) {
        snprintf(a->why, sizeof a->why, "%s has to be a text of at most %zu bytes", name, max);
        return ERR_SYNTAX;
    }
    *ret = json_string_value(v);
    return 0;
}

int api_number(struct api *a, const char *name, uint64_t max, uint64_t *ret) {
    const json_t *v = json_object_get(a->body, name);
    *ret = 0;
    if (!v)
        return 0;
    const json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || (uint64_t)n > max) {
        snprintf(a->why, sizeof a->why, "%s has to be a number up to %llu", name, (unsigned long long)max);
        return ERR_SYNTAX;
    }
    *ret = (uint64_t)n;
    return 0;
}

/* ---- questions ---- */

static uint8_t *room(struct api_frame *f, size_t n) {
    CHECK(n <= sizeof f->p - f->len);
    f->len += n;
    return f->p + f->len - n;
}

void api_put_u8(struct api_frame *f, uint8_t v) {
    *room(f, 1) = v;
}

void api_put_u32(struct api_frame *f, uint32_t v) {
    put_u32(room(f, 4), v);
}

void api_put_u64(struct api_frame *f, uint64_t v) {
    put_u64(room(f, 8), v);
}

void api_put_s8(struct api_frame *f, const char *s) {
    const size_t n = strlen(s);
    CHECK(n < LIMIT_NAME);
    api_put_u8(f, (uint8_t)n);
    memcpy(room(f, n), s, n);
}

void api_put_s16(struct api_frame *f, const char *s) {
    const size_t n = strlen(s);
    put_u16(room(f, 2), (uint16_t)n);
    memcpy(room(f, n), s, n);
}

int api_ask(struct api *a, enum ipc_msg msg, struct api_frame *f, ask_fn *each, void *arg) {
    int rc = ask(a->caller.vault, a->caller.session, msg, f ? f->p : NULL, f ? f->len : 0, each, arg, a->why);
    if (f)
        sodium_memzero(f, sizeof *f);
    return rc;
}

int api_objects(void *array, const struct frame *f) {
    json_t *o = f->msg == MSG_STATUS_IS ? json_loadb((const char *)f->p, f->len, 0, NULL) : NULL;
    return o && !json_array_append_new(array, o) ? 0 : ERR_SYNTAX;
}

/* ---- answers ---- */

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status, json_t *o) {
    char *text = json_dumps(o, JSON_COMPACT);
    enum MHD_Result result = text ? reply_text(connection, status, JSON_TYPE, text, strlen(text)) : MHD_NO;
    if (text)
        sodium_memzero(text, strlen(text)); /* there may be a token in it */
    free(text);
    json_decref(o);
    return result;
}

/* {"error":{"code":"denied","message":"..."}} */
static enum MHD_Result send_error(struct MHD_Connection *connection, unsigned status, int rc,
                                  const char *message) {
    char code[32];
    const char *name = err_name(rc) + 4; /* behind ERR_ */
    size_t n = 0;
    for (; name[n] && n < sizeof code - 1; n++)
        code[n] = (char)tolower((unsigned char)name[n]);
    code[n] = 0;
    return send_json(connection, status,
                     json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", message));
}

static enum MHD_Result answer(struct api *a, struct MHD_Connection *connection, int rc) {
    if (rc)
        return send_error(connection, rc == ERR_AGAIN ? 429 : (unsigned)err_http_status(rc), rc,
                          a->why[0] ? a->why : err_text(rc));
    if (a->text)
        return reply_text(connection, 200, "text/plain; charset=UTF-8", a->text->p, a->text->len);
    if (!a->out)
        return reply_text(connection, 204, JSON_TYPE, "", 0);
    return send_json(connection, a->status ? a->status : 200, json_incref(a->out));
}

/* ---- routing ---- */

/* Does the path fit, and what stands in its variable parts? */
static bool fits(const char *pattern, const char *path, struct api *a) {
    size_t n = 0;
    while (*pattern && *path) {
        if (*pattern == '{') {
            const size_t len = strcspn(path, "/");
            if (!len || len >= sizeof a->at[0] || n == API_PARAMETERS)
                return false;
            memcpy(a->at[n], path, len);
            a->at[n++][len] = 0;
            path += len;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*pattern && !*path;
}

static const struct route *find(const struct api_request *q, struct api *a, bool *ret_path) {
    *ret_path = false;
    for (size_t i = 0; i < ROUTES; i++) {
        if (!fits(routes[i].path, q->path, a))
            continue;
        *ret_path = true;
        if (!strcmp(routes[i].method, q->method))
            return &routes[i];
    }
    return NULL;
}

static int read_body(struct api *a, const struct api_request *q) {
    const struct buf *b = &q->request->body;
    if (!b->len)
        return 0;
    a->body = json_loadb((const char *)b->p, b->len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(a->body))
        return 0;
    snprintf(a->why, sizeof a->why, "the body has to be a JSON object");
    return ERR_SYNTAX;
}

static int run(struct api *a, const struct api_request *q, const struct route *r) {
    struct http_why why = {0};
    int rc = read_body(a, q);
    if (!rc && !r->alone && (rc = caller_find(a->console, &q->request->who, &a->caller, &why)) != 0)
        snprintf(a->why, sizeof a->why, "%.1000s", why.text);
    return rc ? rc : r->fn(a);
}

enum MHD_Result api_answer(struct console *c, struct MHD_Connection *connection,
                           const struct api_request *q) {
    bool path;
    struct api *a = calloc(1, sizeof *a);
    if (!a)
        return MHD_NO;
    a->console = c;
    const struct route *r = find(q, a, &path);
    enum MHD_Result result;
    if (q->rc)
        result = send_error(connection, (unsigned)err_http_status(q->rc), q->rc, q->why->text);
    else if (!r)
        result = send_error(connection, path ? 405 : 404, path ? ERR_USAGE : ERR_NOTFOUND,
                            path ? "not with this method" : "there is no such thing; doc/openapi.yaml lists them");
    else
        result = answer(a, connection, run(a, q, r));
    caller_done(&a->caller);
    json_decref(a->body);
    json_decref(a->out);
    if (a->text)
        buf_wipe(a->text);
    free(a->text);
    sodium_memzero(a, sizeof *a);
    free(a);
    return result;
}
