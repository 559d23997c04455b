/*
 * Who a request is of (console.h): credentials become a session, and the vault says of that session who it
 * is and which projects it sees. It is asked at each request, so what it takes away is gone at the next one.
 */
#include <jansson.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proc/console/console.h"
#include "read/query/visible.h"

/* ---- what the vault says ---- */

static bool has_project(const struct caller *c, const char *name) {
    for (unsigned i = 0; i < c->projects; i++)
        if (!strcmp(c->project[i], name))
            return true;
    return false;
}

static int add_project(void *arg, const char *name) {
    struct caller *c = arg;
    if (strlen(name) >= LIMIT_NAME)
        return ERR_SYNTAX;
    c->all = c->all || !strcmp(name, "*");
    if (has_project(c, name))
        return 0;
    if (c->projects == CONSOLE_PROJECTS)
        return ERR_LIMIT;
    memcpy(c->project[c->projects++], name, strlen(name) + 1);
    return 0;
}

static int take_who(void *arg, const struct frame *f) {
    struct caller *c = arg;
    json_t *o = f->msg == MSG_STATUS_IS ? json_loadb((const char *)f->p, f->len, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(o, "name"));
    int rc = name && strlen(name) < LIMIT_NAME ? 0 : ERR_SYNTAX;
    if (!rc) {
        memcpy(c->name, name, strlen(name) + 1);
        rc = visible_projects(o, add_project, c, &c->reads);
    }
    json_decref(o);
    return rc;
}

void reply_vault(struct http_why *why, int rc, const char *text) {
    const char *said = text[0] ? text : err_text(rc);
    http_say(why, rc, http_code_of(rc), "%s", said);
    why->status = rc == ERR_UNAUTHENTICATED ? 0 /* ClickHouse's: 403 */
                  : rc == ERR_AGAIN         ? 429 /* throttled */
                                            : (unsigned)err_http_status(rc);
}

static int ask_who(struct console *c, struct caller *ret, struct http_why *why) {
    char text[ASK_TEXT];
    int rc = ret->vault ? 0 : edges_channel(c->edges, IPC_VAULT, &ret->vault);
    if (rc) {
        reply_vault(why, ERR_PEER, "the vault does not answer");
        return rc;
    }
    rc = ask(ret->vault, ret->session, MSG_WHO, NULL, 0, take_who, ret, text);
    if (rc)
        reply_vault(why, rc, text);
    return rc;
}

/* ---- finding ---- */

static int credentials_missing(struct http_why *why) {
    int rc = http_say(why, ERR_UNAUTHENTICATED, HTTP_REQUIRED_PASSWORD,
                      "sign in: as user a person's name, as password his password or a machine token");
    why->status = 401;
    return rc;
}

static int session_of(struct console *c, const struct http_who *who, struct caller *ret,
                      struct http_why *why) {
    char text[ASK_TEXT];
    if (who->by == HTTP_BY_SESSION) {
        memcpy(ret->session, who->token, sizeof ret->session);
        return 0;
    }
    if (who->by == HTTP_BY_NOTHING ||
        (who->by == HTTP_BY_PASSWORD && (!who->password_len || !who->user[0])))
        return credentials_missing(why);
    int rc = signed_in_session(c->signed_in, c->edges, who, ret->session, text);
    if (rc)
        reply_vault(why, rc, text);
    return rc;
}

int caller_find(struct console *c, const struct http_who *who, struct caller *ret, struct http_why *why) {
    *ret = (struct caller){.project = calloc(CONSOLE_PROJECTS, sizeof *ret->project)};
    if (!ret->project)
        return http_say(why, ERR_NOMEM, HTTP_MEMORY_LIMIT, "out of memory");
    int rc = session_of(c, who, ret, why);
    if (!rc)
        rc = ask_who(c, ret, why);
    /* A session that was kept may have ended in the meantime: once more, from the beginning. */
    if (rc == ERR_UNAUTHENTICATED && ret->vault && who->by != HTTP_BY_SESSION) {
        signed_in_forget(c->signed_in, ret->session);
        rc = session_of(c, who, ret, why);
        if (!rc)
            rc = ask_who(c, ret, why);
    }
    return rc;
}

void caller_done(struct caller *c) {
    peer_free(c->vault);
    free(c->project);
    sodium_memzero(c, sizeof *c);
}

/* ---- how many at once ---- */

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[LIMIT_NAME]; /* "": free */
    unsigned count;
} places[CONSOLE_REQUESTS];

bool caller_enter(const struct caller *c) {
    size_t at = CONSOLE_REQUESTS;
    pthread_mutex_lock(&places_lock);
    for (size_t i = 0; i < CONSOLE_REQUESTS; i++) {
        if (places[i].count && !strcmp(places[i].name, c->name)) {
            at = i;
            break;
        }
        if (!places[i].count && at == CONSOLE_REQUESTS)
            at = i;
    }
    const bool in = at < CONSOLE_REQUESTS && places[at].count < CONSOLE_REQUESTS_PERSON;
    if (in && !places[at].count++)
        memcpy(places[at].name, c->name, sizeof c->name);
    pthread_mutex_unlock(&places_lock);
    return in;
}

void caller_leave(const struct caller *c) {
    pthread_mutex_lock(&places_lock);
    for (size_t i = 0; i < CONSOLE_REQUESTS; i++)
        if (places[i].count && !strcmp(places[i].name, c->name)) {
            places[i].count--;
            break;
        }
    pthread_mutex_unlock(&places_lock);
}
