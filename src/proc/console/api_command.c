/*
 * What the command line does, by the JSON interface (api.h): the fields of a body become options of a
 * subcommand, which a clerk (proc/cli/clerk.c) runs in the caller's session; its output is the answer. Here is
 * only what the two have different names for.
 *
 * The output may hold a new key, shown once, or opened content: it is held no longer than it takes to
 * send it, and wiped.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/traces.h"
#include "proc/console/api.h"

#define PREFETCH (256u << 10) /* a longer answer begins before its end is known */
#define OUT_MAX (1u << 20)
#define BLOCK (128u << 10)
#define OPTIONS_MAX 16

/* ---- the request ---- */

enum kind { TEXT, FLAG, NAMES, LIMITS };

/* Fields, and the options that they are; doc/openapi.yaml says which command takes which. */
static const struct field {
    const char *name, *option;
    enum kind kind;
    size_t max;
} fields[] = {
    {"project", "project", TEXT, LIMIT_NAME - 1}, {"expires", "expires", TEXT, 32},
    {"models", "models", NAMES, 4096},            {"limits", NULL, LIMITS, 64},
    {"key", "?key", FLAG, 0},                     {"reason", "reason", TEXT, LIMIT_REASON},
    {"since", "since", TEXT, 32},                 {"until", "until", TEXT, 32},
    {"quick", "?quick", FLAG, 0},                 {"name", "=name", TEXT, LIMIT_SUBJECT_NAME}, /* the last one */
};

static const struct limit {
    const char *name, *option;
} limits[] = {
    {"requests_per_minute", "rpm"}, {"tokens_per_minute", "tpm"}, {"concurrency", "concurrency"},
    {"budget_day", "budget-day"},   {"budget_month", "budget-month"}, {"tokens_day", "tokens-day"},
    {"tokens_month", "tokens-month"},
};

/* In which form the output is the answer. */
enum form {
    OBJECT, /* a line: an object */
    LIST,   /* each line an element of {"NAME":[...]} */
    LINES,
};

static const struct shape {
    enum ipc_command command;
    enum form form;
    const char *list;
    unsigned status;
    const char *needs; /* a field without which there is nothing to do */
} shapes[] = {
    {COMMAND_KEYS, LIST, "keys", 200, NULL},
    {COMMAND_KEY_CREATE, OBJECT, NULL, 201, NULL},
    {COMMAND_KEY_UPDATE, OBJECT, NULL, 200, NULL},
    {COMMAND_KEY_REVOKE, OBJECT, NULL, 200, NULL},
    {COMMAND_PROJECTS, LIST, "projects", 200, NULL},
    {COMMAND_PROJECT_UPDATE, OBJECT, NULL, 200, "project"},
    {COMMAND_SUBJECT_FIND, LIST, "persons", 200, "name"},
    {COMMAND_SUBJECT_EXPORT, LINES, NULL, 200, "name"},
    {COMMAND_SUBJECT_ERASE, OBJECT, NULL, 200, "name"},
    {COMMAND_SUBJECT_HOLD, OBJECT, NULL, 200, "name"},
    {COMMAND_SUBJECT_RELEASE, OBJECT, NULL, 200, "name"},
    {COMMAND_REPORT_RECORDS, OBJECT, NULL, 200, NULL},
    {COMMAND_REPORT_BREACH, OBJECT, NULL, 200, "since"},
    {COMMAND_REPORT_SUBJECT, OBJECT, NULL, 200, "name"},
};

/* 32 session | u8 command | u8 n, n x (u8 n | n option | u16 n | n value) */
struct frame_out {
    struct buf b;
    unsigned options;
};

static int put_option(struct frame_out *f, const char *option, const char *value, size_t len) {
    uint8_t n[2];
    put_u16(n, (uint16_t)len);
    if (++f->options > OPTIONS_MAX)
        return ERR_LIMIT;
    int rc = buf_append_u8(&f->b, (uint8_t)strlen(option));
    if (!rc)
        rc = buf_append_str(&f->b, option);
    if (!rc)
        rc = buf_append(&f->b, n, sizeof n);
    return rc ? rc : buf_append(&f->b, value, len);
}

static int wrong(struct api *a, const char *name, const char *is) {
    snprintf(a->why, sizeof a->why, "%s has to be %s", name, is);
    return ERR_SYNTAX;
}

/* ["a", "b*"]; "default": as the configuration says. */
static int put_names(struct api *a, struct frame_out *f, const struct field *field, const json_t *v) {
    struct buf list;
    size_t i;
    const json_t *e;
    buf_init(&list, field->max);
    int rc = json_is_array(v) || (json_is_string(v) && !strcmp(json_string_value(v), "default")) ? 0 : ERR_SYNTAX;
    if (!rc && json_is_string(v))
        rc = buf_append_str(&list, "default");
    json_array_foreach(v, i, e) {
        const char *name = json_string_value(e);
        if (!rc)
            rc = name && *name && !strchr(name, ',') && strlen(name) == json_string_length(e) ? 0 : ERR_SYNTAX;
        if (!rc)
            rc = buf_printf(&list, "%s%s", i ? "," : "", name);
    }
    if (rc)
        rc = wrong(a, field->name, "a list of names, [\"*\"] for all, or \"default\"");
    else
        rc = put_option(f, field->option, (const char *)list.p, list.len);
    buf_wipe(&list);
    return rc;
}

static int put_limit(struct api *a, struct frame_out *f, const struct limit *l, const json_t *v) {
    char number[32];
    const char *text = json_is_null(v) ? "none" : json_string_value(v);
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        text = number;
    }
    if (!text || strlen(text) > 40 || (json_is_string(v) && strlen(text) != json_string_length(v)))
        return wrong(a, l->name, "a number, an amount as in \"12.50\", null for no limit, or \"default\"");
    return put_option(f, l->option, text, strlen(text));
}

static int put_limits(struct api *a, struct frame_out *f, const json_t *o) {
    const char *name;
    json_t *v;
    int rc = json_is_object(o) ? 0 : wrong(a, "limits", "an object");
    json_object_foreach((json_t *)(uintptr_t)o, name, v) {
        size_t i = 0;
        while (i < sizeof limits / sizeof limits[0] && strcmp(limits[i].name, name))
            i++;
        if (!rc && i == sizeof limits / sizeof limits[0]) {
            snprintf(a->why, sizeof a->why,
                     "limits has no such member; it may have requests_per_minute, tokens_per_minute, concurrency, "
                     "budget_day, budget_month, tokens_day and tokens_month");
            rc = ERR_SYNTAX;
        }
        if (!rc)
            rc = put_limit(a, f, &limits[i], v);
    }
    return rc;
}

static int put_field(struct api *a, struct frame_out *f, const struct field *field, const json_t *v) {
    const char *text;
    int rc;
    switch (field->kind) {
    case FLAG:
        return !json_is_boolean(v)  ? wrong(a, field->name, "true or false")
               : json_is_true(v) ? put_option(f, field->option, "", 0)
                                 : 0;
    case NAMES:
        return put_names(a, f, field, v);
    case LIMITS:
        return put_limits(a, f, v);
    case TEXT:
        break;
    }
    rc = api_string(a, field->name, field->max, false, &text);
    return rc ? rc : put_option(f, field->option, text, strlen(text));
}

static int put_fields(struct api *a, struct frame_out *f, const struct shape *shape) {
    int rc = shape->needs && !json_object_get(a->body, shape->needs)
                 ? wrong(a, shape->needs, "there: it says what this is about")
                 : 0;
    for (size_t i = 0; !rc && i < sizeof fields / sizeof fields[0]; i++) {
        const json_t *v = json_object_get(a->body, fields[i].name);
        if (v)
            rc = put_field(a, f, &fields[i], v);
    }
    if (!rc && a->at[0][0]) /* the id in the path */
        rc = put_option(f, "=name", a->at[0], strlen(a->at[0]));
    return rc;
}

static int send_command(struct api *a, const struct shape *shape, struct peer *clerk) {
    struct frame_out f = {0};
    buf_init(&f.b, LIMIT_COMMAND);
    int rc = buf_append(&f.b, a->caller.session, HTTP_SESSION_BYTES);
    if (!rc)
        rc = buf_append_u8(&f.b, (uint8_t)shape->command);
    if (!rc)
        rc = buf_append_u8(&f.b, 0);
    if (!rc)
        rc = put_fields(a, &f, shape);
    if (!rc) {
        f.b.p[HTTP_SESSION_BYTES + 1] = (uint8_t)f.options;
        rc = peer_send(clerk, MSG_COMMAND, f.b.p, f.b.len, -1);
    }
    if (!rc)
        rc = peer_flush_wait(clerk, CONSOLE_ANSWER_MS);
    buf_wipe(&f.b);
    return rc;
}

/* ---- the answer ---- */

struct output {
    const struct shape *shape;
    struct caller caller; /* its place alone */
    struct peer *clerk;
    int client_fd;
    struct buf out;
    size_t at;
    bool line, ended; /* line: one has ended, and another may follow */
    int rc;
    char why[ASK_TEXT];
};

static void output_free(void *arg) {
    struct output *o = arg;
    peer_free(o->clerk);
    buf_wipe(&o->out);
    caller_leave(&o->caller);
    sodium_memzero(o, sizeof *o);
    free(o);
    traces_wipe();
}

/* Lines of JSON have no line end in them. */
static int take(struct output *o, const uint8_t *p, size_t len) {
    int rc = 0;
    if (o->shape->form == LINES)
        return buf_append(&o->out, p, len);
    while (!rc && len) {
        const uint8_t *eol = memchr(p, '\n', len);
        const size_t n = eol ? (size_t)(eol - p) : len;
        if (n && o->line)
            rc = buf_append_u8(&o->out, o->shape->form == LIST ? ',' : '\n');
        if (n)
            o->line = false;
        if (!rc)
            rc = buf_append(&o->out, p, n);
        o->line = o->line || eol;
        p += n + (eol != NULL);
        len -= n + (eol != NULL);
    }
    return rc;
}

static void step(struct output *o) {
    struct frame f;
    bool left = false;
    int rc = ask_frame(o->clerk, o->client_fd, &f, &left);
    if (!rc && f.msg == MSG_OUTPUT)
        rc = take(o, f.p, f.len);
    else if (!rc) {
        rc = f.msg == MSG_END ? ask_end(&f, o->why) : ERR_DENIED;
        o->ended = true;
        if (!rc && o->shape->form == LIST)
            rc = buf_append_str(&o->out, "]}");
    }
    o->rc = rc;
    o->ended = o->ended || rc;
}

static ssize_t read_output(void *arg, uint64_t pos, char *p, size_t max) {
    struct output *o = arg;
    (void)pos;
    while (o->at == o->out.len && !o->ended) {
        buf_clear(&o->out);
        o->at = 0;
        step(o);
    }
    const size_t left = o->out.len - o->at, n = left < max ? left : max;
    if (!n) /* cut: no client takes it for whole */
        return o->rc ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    memcpy(p, o->out.p + o->at, n);
    o->at += n;
    return (ssize_t)n;
}

static int begin(struct api *a, struct output *o) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(a->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    o->client_fd = info ? info->connect_fd : -1;
    int rc = edges_channel(a->console->edges, IPC_SUPERVISOR, &o->clerk);
    if (!rc)
        rc = send_command(a, o->shape, o->clerk);
    if (!rc && o->shape->form == LIST)
        rc = buf_printf(&o->out, "{\"%s\":[", o->shape->list);
    while (!rc && !o->ended && o->out.len < PREFETCH) {
        step(o);
        rc = o->rc;
    }
    if (rc && o->why[0])
        memcpy(a->why, o->why, sizeof a->why);
    if (rc == ERR_PEER && !o->why[0]) {
        snprintf(a->why, sizeof a->why, "too many commands run at the moment, or this one ended early: try again");
        rc = ERR_AGAIN;
    }
    return rc;
}

static int respond(struct api *a, struct output *o) {
    const uint64_t size = o->ended ? o->out.len : MHD_SIZE_UNKNOWN;
    a->response = MHD_create_response_from_callback(size, BLOCK, read_output, o, output_free);
    if (!a->response) {
        output_free(o);
        return ERR_NOMEM;
    }
    a->status = o->shape->status;
    reply_headers(a->response, NULL);
    MHD_add_response_header(a->response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            o->shape->form == LINES ? "application/x-ndjson; charset=UTF-8"
                                                    : "application/json; charset=UTF-8");
    return 0;
}

int api_command(struct api *a, enum ipc_command command) {
    const struct shape *shape = shapes;
    while (shape->command != command)
        shape++;
    struct output *o = NULL;
    if (!caller_enter(&a->caller)) {
        snprintf(a->why, sizeof a->why, "%s runs %d statements already, which is as many as one may",
                 a->caller.name, CONSOLE_REQUESTS_PERSON);
        return ERR_AGAIN;
    }
    o = calloc(1, sizeof *o);
    if (!o) {
        caller_leave(&a->caller);
        return ERR_NOMEM;
    }
    o->shape = shape;
    memcpy(o->caller.name, a->caller.name, sizeof o->caller.name);
    buf_init(&o->out, OUT_MAX);
    int rc = begin(a, o);
    if (!rc)
        return respond(a, o);
    output_free(o);
    return rc;
}
