/* Signing in and out, who one is, approvals, the vault's state, the ledger's checkpoint (api.h). */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/console/api.h"

/* ---- sessions ---- */

/* 32 session | u64 idle us | u64 ends | s8 name | checkpoint */
static int take_session(void *arg, const struct frame *f) {
    json_t **out = arg;
    char token[B64URL_LEN(HTTP_SESSION_BYTES) + 1] = "";
    const size_t head = HTTP_SESSION_BYTES + 16;
    if (f->msg != MSG_SIGNED_IN || f->len < head + 1 || f->len - head - 1 < f->p[head])
        return ERR_SYNTAX;
    const size_t name = f->p[head], rest = f->len - head - 1 - name;
    b64url_encode(token, f->p, HTTP_SESSION_BYTES);
    *out = json_pack("{s:s, s:s%, s:I, s:I, s:s%}", "session", token, "name", f->p + head + 1, name,
                     "idle_limit_s", (json_int_t)(get_u64(f->p + HTTP_SESSION_BYTES) / 1000000), "ends_us",
                     (json_int_t)get_u64(f->p + HTTP_SESSION_BYTES + 8), "checkpoint",
                     f->p + head + 1 + name, rest);
    sodium_memzero(token, sizeof token);
    return *out ? 0 : ERR_NOMEM;
}

/* u8 1 | s8 name | s16 password | s8 code, or u8 2 | 32 machine token */
static int put_credentials(struct api *a, struct api_frame *f) {
    const char *name, *password, *code, *token;
    struct http_who who = {0};
    int rc = api_string(a, "token", 64, true, &token);
    if (!rc && *token) {
        rc = http_parse_password(&who, token, strlen(token)) || who.by != HTTP_BY_MACHINE ? ERR_UNAUTHENTICATED : 0;
        api_put_u8(f, 2);
        for (size_t i = 0; i < sizeof who.token; i++)
            api_put_u8(f, who.token[i]);
        sodium_memzero(&who, sizeof who);
        return rc;
    }
    if (!rc)
        rc = api_string(a, "name", LIMIT_NAME - 1, false, &name);
    if (!rc)
        rc = api_string(a, "password", LIMIT_PASSWORD, false, &password);
    if (!rc)
        rc = api_string(a, "code", LIMIT_NAME - 1, true, &code);
    if (rc)
        return rc;
    api_put_u8(f, 1);
    api_put_s8(f, name);
    api_put_s16(f, password);
    api_put_s8(f, code);
    return 0;
}

int api_sign_in(struct api *a) {
    struct api_frame f = {.len = 0};
    struct peer *vault = NULL;
    int rc = put_credentials(a, &f);
    if (!rc)
        rc = edges_channel(a->console->edges, IPC_VAULT, &vault);
    if (!rc)
        rc = ask(vault, NULL, MSG_SIGN_IN, f.p, f.len, take_session, &a->out, a->why);
    sodium_memzero(&f, sizeof f);
    peer_free(vault);
    a->status = 201;
    return rc;
}

int api_sign_out(struct api *a) {
    int rc = api_ask(a, MSG_SIGN_OUT, NULL, NULL, NULL);
    signed_in_forget(a->console->signed_in, a->caller.session);
    return rc;
}

/* The one object of an answer. */
static int one_object(struct api *a, enum ipc_msg msg) {
    json_t *all = json_array();
    int rc = all ? api_ask(a, msg, NULL, api_objects, all) : ERR_NOMEM;
    if (!rc)
        a->out = json_incref(json_array_get(all, 0));
    json_decref(all);
    return !rc && !a->out ? ERR_PEER : rc;
}

int api_whoami(struct api *a) {
    return one_object(a, MSG_WHO);
}

int api_status(struct api *a) {
    return one_object(a, MSG_STATUS);
}

/* ---- approvals ---- */

int api_approvals(struct api *a) {
    json_t *all = json_array();
    a->out = json_pack("{s:o}", "approvals", all);
    return a->out ? api_ask(a, MSG_PENDING, NULL, api_objects, all) : ERR_NOMEM;
}

/* u8 1 yes, 0 no | 32 digest */
int api_approve(struct api *a) {
    struct api_frame f = {.len = 0};
    uint8_t digest[32];
    const json_t *yes = json_object_get(a->body, "approve");
    if (!json_is_boolean(yes) || !hex_decode(digest, sizeof digest, a->at[0], strlen(a->at[0]))) {
        snprintf(a->why, sizeof a->why, "a digest of 64 digits in the path and \"approve\": true or false");
        return ERR_SYNTAX;
    }
    api_put_u8(&f, json_is_true(yes));
    for (size_t i = 0; i < sizeof digest; i++)
        api_put_u8(&f, digest[i]);
    return api_ask(a, MSG_APPROVE, &f, NULL, NULL);
}

/* ---- the ledger ---- */

/* u64 bytes of the log | the newest checkpoint; the log's descriptor is of no use here. */
static int take_checkpoint(void *arg, const struct frame *f) {
    if (f->fd >= 0)
        close(f->fd);
    return f->msg == MSG_LEDGER_IS && f->len > 8 ? buf_append(arg, f->p + 8, f->len - 8) : ERR_SYNTAX;
}

int api_checkpoint(struct api *a) {
    a->text = calloc(1, sizeof *a->text);
    if (!a->text)
        return ERR_NOMEM;
    buf_init(a->text, 8192);
    return api_ask(a, MSG_LEDGER, NULL, take_checkpoint, a->text);
}
