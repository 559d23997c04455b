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

#define DOES(fn, fields) fn, fields, (enum ipc_command)0, false
#define RUNS(command, fields) NULL, fields, command, false
/* A part in braces is variable. */
static const struct route {
    const char *method, *path;
    api_fn *fn;                /* NULL: it is a command */
    const char *fields;        /* of the body, with a blank before and behind each; NULL: it has none */
    enum ipc_command command;
    bool alone;                /* without a caller: it is where one signs in */
} routes[] = {
    {"POST", "/api/v1/sessions", api_sign_in, " name password code token ", (enum ipc_command)0, true},
    {"DELETE", "/api/v1/sessions", DOES(api_sign_out, NULL)},
    {"GET", "/api/v1/whoami", DOES(api_whoami, NULL)},
    {"GET", "/api/v1/people", DOES(api_people, NULL)},
    {"POST", "/api/v1/people", DOES(api_person_add, " name password ")},
    {"DELETE", "/api/v1/people/{name}", DOES(api_person_remove, NULL)},
    {"POST", "/api/v1/people/{name}/grants", DOES(api_grant, " role projects cells_per_hour expires_us ")},
    {"DELETE", "/api/v1/people/{name}/grants/{number}", DOES(api_ungrant, NULL)},
    {"POST", "/api/v1/people/{name}/password", DOES(api_password, " new old code ")},
    {"POST", "/api/v1/people/{name}/tokens", DOES(api_token, " label expires_us ")},
    {"DELETE", "/api/v1/people/{name}/tokens/{label}", DOES(api_untoken, NULL)},
    {"GET", "/api/v1/approvals", DOES(api_approvals, NULL)},
    {"POST", "/api/v1/approvals/{digest}", DOES(api_approve, " approve ")},
    {"GET", "/api/v1/vault", DOES(api_status, NULL)},
    {"GET", "/api/v1/ledger/checkpoint", DOES(api_checkpoint, NULL)},
    {"GET", "/api/v1/keys", RUNS(COMMAND_KEYS, NULL)},
    {"POST", "/api/v1/keys", RUNS(COMMAND_KEY_CREATE, " project expires models limits ")},
    {"POST", "/api/v1/keys/{id}", RUNS(COMMAND_KEY_UPDATE, " expires models limits ")},
    {"DELETE", "/api/v1/keys/{id}", RUNS(COMMAND_KEY_REVOKE, NULL)},
    {"GET", "/api/v1/projects", RUNS(COMMAND_PROJECTS, NULL)},
    {"POST", "/api/v1/projects", RUNS(COMMAND_PROJECT_UPDATE, " project models limits ")},
    {"POST", "/api/v1/subjects/find", RUNS(COMMAND_SUBJECT_FIND, " name project key ")},
    {"POST", "/api/v1/subjects/export", RUNS(COMMAND_SUBJECT_EXPORT, " name project key reason ")},
    {"POST", "/api/v1/subjects/erase", RUNS(COMMAND_SUBJECT_ERASE, " name project key reason ")},
    {"POST", "/api/v1/subjects/hold", RUNS(COMMAND_SUBJECT_HOLD, " name project key reason ")},
    {"POST", "/api/v1/subjects/release", RUNS(COMMAND_SUBJECT_RELEASE, " name project key reason ")},
    {"POST", "/api/v1/reports/records", RUNS(COMMAND_REPORT_RECORDS, "")},
    {"POST", "/api/v1/reports/breach", RUNS(COMMAND_REPORT_BREACH, " since until quick ")},
    {"POST", "/api/v1/reports/subject", RUNS(COMMAND_REPORT_SUBJECT, " name project key ")},
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
        return send_error(connection, a->status == 415 ? 415 : rc == ERR_AGAIN ? 429 : (unsigned)err_http_status(rc), rc,
                          a->why[0] ? a->why : err_text(rc));
    if (a->response)
        return MHD_queue_response(connection, a->status, a->response);
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
    memset(a->at, 0, sizeof a->at);
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

static bool has_field(const char *fields, const char *name) {
    const size_t n = strlen(name);
    const char *at = fields;
    while (n && (at = strstr(at, name)) != NULL) {
        if (at > fields && at[-1] == ' ' && at[n] == ' ')
            return true;
        at++;
    }
    return false;
}

static int check_fields(struct api *a, const char *fields) {
    const char *name;
    json_t *value;
    json_object_foreach(a->body, name, value) {
        if (has_field(fields, name))
            continue;
        snprintf(a->why, sizeof a->why, "there is no field %.60s here, but:%s", name, *fields ? fields : " none");
        for (char *p = a->why; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                *p = '?';
        return ERR_SYNTAX;
    }
    return 0;
}

static int read_body(struct api *a, const struct api_request *q, const struct route *r) {
    const struct buf *b = &q->request->body;
    if (!b->len)
        return 0;
    if (!r->fields) {
        snprintf(a->why, sizeof a->why, "this takes no body: leave it out");
        return ERR_SYNTAX;
    }
    if (!q->request->json) {
        snprintf(a->why, sizeof a->why, "the body has to have Content-Type: application/json");
        a->status = 415;
        return ERR_SYNTAX;
    }
    a->body = json_loadb((const char *)b->p, b->len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(a->body))
        return check_fields(a, r->fields);
    snprintf(a->why, sizeof a->why, "the body has to be a JSON object");
    return ERR_SYNTAX;
}

static int run(struct api *a, const struct api_request *q, const struct route *r) {
    struct http_why why = {0};
    int rc = 0;
    if (http_request_foreign(q->request)) {
        snprintf(a->why, sizeof a->why, "not for pages of other sites");
        rc = ERR_DENIED;
    }
    if (!rc && !r->alone && (rc = caller_find(a->console, &q->request->who, &a->caller, &why)) != 0)
        snprintf(a->why, sizeof a->why, "%.1000s", why.text);
    if (!rc)
        rc = read_body(a, q, r);
    return rc ? rc : r->fn ? r->fn(a) : api_command(a, r->command);
}

enum MHD_Result api_answer(struct console *c, struct MHD_Connection *connection,
                           const struct api_request *q) {
    bool path;
    struct api *a = calloc(1, sizeof *a);
    if (!a)
        return MHD_NO;
    a->console = c;
    a->connection = connection;
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
    if (a->response)
        MHD_destroy_response(a->response);
    if (a->text)
        buf_wipe(a->text);
    free(a->text);
    sodium_memzero(a, sizeof *a);
    free(a);
    return result;
}
