/* People by the JSON interface (api.h): MSG_PERSON, whose verbs doc/people.md describes. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/console/api.h"
#include "read/people/verbs.h"

/* The verb, and the name in the path. */
static int begin(struct api *a, struct api_frame *f, enum people_verb verb) {
    f->len = 0;
    if (strlen(a->at[0]) >= LIMIT_NAME)
        return ERR_NOTFOUND;
    api_put_u8(f, (uint8_t)verb);
    api_put_s8(f, a->at[0]);
    return 0;
}

int api_people(struct api *a) {
    struct api_frame f = {.len = 0};
    json_t *all = json_array();
    a->out = json_pack("{s:o}", "people", all);
    api_put_u8(&f, PEOPLE_VERB_LIST);
    return a->out ? api_ask(a, MSG_PERSON, &f, api_objects, all) : ERR_NOMEM;
}

int api_person_add(struct api *a) {
    struct api_frame f = {.len = 0};
    const char *name, *password;
    int rc = api_string(a, "name", LIMIT_NAME - 1, false, &name);
    if (!rc)
        rc = api_string(a, "password", LIMIT_PASSWORD, true, &password);
    if (rc)
        return rc;
    api_put_u8(&f, PEOPLE_VERB_ADD);
    api_put_s8(&f, name);
    api_put_s16(&f, password);
    a->status = 201;
    a->out = json_pack("{s:s}", "name", name);
    return api_ask(a, MSG_PERSON, &f, NULL, NULL);
}

int api_person_remove(struct api *a) {
    struct api_frame f;
    int rc = begin(a, &f, PEOPLE_VERB_REMOVE);
    return rc ? rc : api_ask(a, MSG_PERSON, &f, NULL, NULL);
}

/* ---- grants ---- */

#define CELLS_DEFAULT 10000 /* an hour, as the command line has it */
#define CELLS_MAX 1000000000

static int role(struct api *a, uint8_t *ret) {
    static const char *const names[] = {PEOPLE_ROLE_NAMES};
    const char *text;
    int rc = api_string(a, "role", LIMIT_NAME - 1, false, &text);
    for (uint8_t i = 0; !rc && i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(text, names[i])) {
            *ret = (uint8_t)(i + 1);
            return 0;
        }
    if (!rc)
        snprintf(a->why, sizeof a->why, "role is one of analyst, reader, admin, eraser, auditor");
    return ERR_SYNTAX;
}

/* A list of names, joined by commas; not given: all. */
static int projects(struct api *a, char out[LIMIT_GRANT_PROJECTS + 1]) {
    const json_t *list = json_object_get(a->body, "projects"), *p;
    size_t i, n = 0;
    strcpy(out, "*");
    if (!list)
        return 0;
    json_array_foreach(list, i, p) {
        const char *name = json_string_value(p);
        const size_t len = name ? strlen(name) : 0;
        if (!len || len >= LIMIT_NAME || strchr(name, ',') || n + len + 2 > LIMIT_GRANT_PROJECTS)
            break;
        n += (size_t)snprintf(out + n, LIMIT_GRANT_PROJECTS + 1 - n, "%s%s", i ? "," : "", name);
    }
    if (n && i == json_array_size(list))
        return 0;
    snprintf(a->why, sizeof a->why, "projects is a list of names");
    return ERR_SYNTAX;
}

int api_grant(struct api *a) {
    struct api_frame f;
    uint8_t r = 0;
    uint64_t cells, expires;
    char list[LIMIT_GRANT_PROJECTS + 1];
    int rc = role(a, &r);
    if (!rc)
        rc = api_number(a, "cells_per_hour", CELLS_MAX, &cells);
    if (!rc)
        rc = api_number(a, "expires_us", INT64_MAX, &expires);
    if (!rc)
        rc = projects(a, list);
    if (!rc)
        rc = begin(a, &f, PEOPLE_VERB_GRANT);
    if (rc)
        return rc;
    if (r == 2 && !cells)
        cells = CELLS_DEFAULT;
    api_put_u8(&f, r);
    api_put_u32(&f, (uint32_t)cells);
    api_put_u64(&f, expires);
    api_put_s16(&f, list);
    rc = api_ask(a, MSG_PERSON, &f, NULL, NULL);
    if (rc && rc != ERR_APPROVAL)
        return rc;
    a->status = rc ? 202 : 201; /* it waits for a second admin, and the text has the digest */
    a->out = json_pack("{s:b, s:s}", "waits", rc != 0, "message", a->why);
    return a->out ? 0 : ERR_NOMEM;
}

int api_ungrant(struct api *a) {
    struct api_frame f;
    char *end;
    const unsigned long number = strtoul(a->at[1], &end, 10);
    int rc = *end || number > UINT32_MAX ? ERR_NOTFOUND : begin(a, &f, PEOPLE_VERB_UNGRANT);
    if (rc)
        return rc;
    api_put_u8(&f, 0);
    api_put_u32(&f, (uint32_t)number);
    return api_ask(a, MSG_PERSON, &f, NULL, NULL);
}

/* ---- secrets ---- */

int api_password(struct api *a) {
    struct api_frame f;
    const char *next, *old, *code;
    int rc = api_string(a, "new", LIMIT_PASSWORD, false, &next);
    if (!rc)
        rc = api_string(a, "old", LIMIT_PASSWORD, true, &old);
    if (!rc)
        rc = api_string(a, "code", LIMIT_NAME - 1, true, &code);
    if (!rc)
        rc = begin(a, &f, PEOPLE_VERB_PASSWORD);
    if (rc)
        return rc;
    api_put_s16(&f, next);
    api_put_s16(&f, old);
    api_put_s8(&f, code);
    return api_ask(a, MSG_PERSON, &f, NULL, NULL);
}

static int take_token(void *arg, const struct frame *f) {
    json_t **out = arg;
    char text[4 + B64URL_LEN(HTTP_SESSION_BYTES) + 1] = "shm-";
    if (f->msg != MSG_HANDED || f->len != HTTP_SESSION_BYTES)
        return ERR_SYNTAX;
    b64url_encode(text + 4, f->p, HTTP_SESSION_BYTES);
    *out = json_pack("{s:s}", "token", text);
    sodium_memzero(text, sizeof text);
    return *out ? 0 : ERR_NOMEM;
}

int api_token(struct api *a) {
    struct api_frame f;
    const char *label;
    uint64_t expires;
    int rc = api_string(a, "label", LIMIT_NAME - 1, false, &label);
    if (!rc)
        rc = api_number(a, "expires_us", INT64_MAX, &expires);
    if (!rc)
        rc = begin(a, &f, PEOPLE_VERB_TOKEN);
    if (rc)
        return rc;
    api_put_s8(&f, label);
    api_put_u64(&f, expires);
    a->status = 201;
    return api_ask(a, MSG_PERSON, &f, take_token, &a->out);
}

int api_untoken(struct api *a) {
    struct api_frame f;
    int rc = strlen(a->at[1]) >= LIMIT_NAME ? ERR_NOTFOUND : begin(a, &f, PEOPLE_VERB_UNTOKEN);
    if (rc)
        return rc;
    api_put_s8(&f, a->at[1]);
    return api_ask(a, MSG_PERSON, &f, NULL, NULL);
}
