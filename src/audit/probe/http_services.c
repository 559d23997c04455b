/* Asks the tables of http_services.h: which service is it, and what does it answer strangers. */
#include "audit/probe/http_services.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llm/json.h"

/* One port's answers, and what a path that cannot exist gives, by GET and by POST. */
struct web {
    struct probe *p;
    struct http_answer *nowhere[2]; /* NULL: not asked yet */
};

/* ---- shapes ---- */

/* The member at a path with dots; whole is the value itself for "". */
static struct jv member_at(struct jv whole, const char *path) {
    char name[64];
    while (*path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof name)
            return (struct jv){0};
        memcpy(name, path, n);
        name[n] = 0;
        whole = jv_get(whole, name);
        path += n + (path[n] == '.');
    }
    return whole;
}

static bool has_value(struct jv v, const char *value) {
    return jv_is_string(v) ? jv_equals(v, value)
                           : v.len == strlen(value) && !memcmp(v.p, value, v.len);
}

/* An answer that was cut at the ceiling is no whole JSON: that the array begins has to do. */
static bool begins_array(const struct http_answer *a, const char *path) {
    char key[64];
    const char *dot = strrchr(path, '.');
    if (!*path)
        return a->body[0] == '[';
    snprintf(key, sizeof key, "\"%s\":[", dot ? dot + 1 : path);
    return a->body[0] == '{' && strstr(a->body, key);
}

/* "8.1.0" and nothing else; *ret_at, *ret_len: the numbers. */
static bool is_numbers(const struct http_answer *a, const char **ret_at, size_t *ret_len) {
    const char *at = a->body + strspn(a->body, " \"\r\n");
    *ret_at = at;
    *ret_len = strspn(at, "0123456789.");
    const char *rest = at + *ret_len;
    return *ret_len >= 3 && *ret_len <= 32 && memchr(at, '.', *ret_len) && at[0] != '.' &&
           !rest[strspn(rest, " \"\r\n")];
}

static bool matches(const struct http_answer *a, const struct http_want *w) {
    char value[128];
    const char *at;
    size_t n;
    struct jv whole, v;
    switch (w->shape) {
    case TEXT:
        return memmem(a->body, a->body_len, w->member, strlen(w->member)) != NULL;
    case HEADER:
        return http_header(a, w->member, value, sizeof value) &&
               (!w->value || strstr(value, w->value));
    case NUMBERS:
        return is_numbers(a, &at, &n);
    default:
        break;
    }
    if (a->truncated)
        return (w->shape == ARRAY || w->shape == ROWS) && begins_array(a, w->member);
    if (jv_parse(&whole, a->body, a->body_len))
        return false;
    v = member_at(whole, w->member);
    switch (w->shape) {
    case MEMBER:
        return v.p && !jv_is_null(v);
    case EQUALS:
        return v.p && has_value(v, w->value);
    case ARRAY:
        return jv_is_array(v);
    default:
        return jv_is_array(v) && jv_count(v) > 0;
    }
}

/* ---- asking ---- */

/* NULL: no answer. What GET / gives is known from the first look. */
static const struct http_answer *ask(struct probe *p, const struct http_mark *q) {
    if (!q->body && strcmp(q->path, "/") == 0)
        return p->root->status ? p->root : NULL;
    const struct http_request r = {
        .method = q->body ? "POST" : "GET", .path = q->path, .body = q->body};
    return probe_http(p, q->path, &r) ? p->http : NULL;
}

/* Keeps the evidence of the last answer, and that answer: this one is no evidence of anything. */
static const struct http_answer *ask_nowhere(struct web *w, const char *body) {
    struct probe *p = w->p;
    struct http_answer *last = p->http, **at = &w->nowhere[body != NULL];
    if (*at)
        return *at;
    struct probe_result *kept = malloc(sizeof *kept);
    char path[24];
    *at = calloc(1, sizeof **at);
    if (*at && kept) {
        uint64_t n;
        randombytes_buf(&n, sizeof n);
        snprintf(path, sizeof path, "/%016llx", (unsigned long long)n);
        const struct http_request r = {.method = body ? "POST" : "GET", .path = path, .body = body};
        *kept = *p->result;
        p->http = *at;
        probe_http(p, "nowhere", &r);
        p->http = last;
        *p->result = *kept;
    }
    free(kept);
    return *at;
}

/* Is a path that cannot exist answered in the same shape? Then the shape says nothing. */
static bool is_everywhere(struct web *w, const struct http_mark *q, int status) {
    if (strcmp(q->path, "/") == 0 || q->want.shape == HEADER)
        return false;
    const struct http_answer *a = ask_nowhere(w, q->body);
    return a && a->status == status && matches(a, &q->want);
}

static bool has_password_field(const struct http_answer *a) {
    return strcasestr(a->body, "type=\"password\"") || strcasestr(a->body, "type='password'") ||
           strcasestr(a->body, "type=password");
}

bool probe_http_refuses(const struct http_answer *a) {
    static const char *const doors[] = {"login", "signin", "sign_in", "sign-in", "auth", "sso"};
    char to[512];
    if (a->status == 401 || a->status == 403 || a->status == 407)
        return true;
    if (a->status == 200)
        return has_password_field(a);
    if (a->status >= 300 && a->status < 400 && http_header(a, "location", to, sizeof to))
        for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++)
            if (strcasestr(to, doors[i]))
                return true;
    return false;
}

static bool refuses(const struct http_service *s, const struct http_answer *a) {
    return probe_http_refuses(a) || (s->refusal && a->status == s->refused &&
                                     memmem(a->body, a->body_len, s->refusal, strlen(s->refusal)));
}

/* ---- a service ---- */

static void take_version(struct probe *p, const struct http_answer *a,
                         const struct http_want *want) {
    char value[64];
    const char *at;
    size_t n;
    struct jv whole;
    if (want->shape == HEADER && http_header(a, want->member, value, sizeof value))
        probe_version(p, value, strlen(value));
    if (want->shape == NUMBERS && is_numbers(a, &at, &n))
        probe_version(p, at, n);
    if (want->shape == MEMBER && !jv_parse(&whole, a->body, a->body_len)) {
        struct jv v = member_at(whole, want->member);
        if (jv_is_string(v) && jv_text_fits(v, value, sizeof value))
            probe_version(p, value, strlen(value));
    }
}

/* An answer that could not make the verdict worse is not asked for. */
static bool adds(const struct probe *p, const struct http_proof *q) {
    return p->result->verdict != AUDIT_OPEN || q->grade > p->result->grade;
}

static void prove(struct web *w, const struct http_service *s) {
    struct probe *p = w->p;
    bool refused = false, proved = false;
    const struct http_answer *a = NULL;
    const char *last = "";
    for (const struct http_proof *q = s->proofs; q < s->proofs + HTTP_PROOFS && q->ask.path; q++) {
        if (!adds(p, q))
            continue;
        if (strcmp(last, q->ask.path) != 0) /* else another reading of the same answer */
            a = ask(p, &q->ask);
        last = q->ask.path;
        if (!a)
            continue;
        if (a->status == 200 && matches(a, &q->ask.want) && !is_everywhere(w, &q->ask, 200)) {
            probe_say(p, q->verdict, q->grade, "%s", q->reason);
            proved = true;
        } else {
            refused |= refuses(s, a);
        }
    }
    if (refused && p->result->verdict != AUDIT_OPEN) {
        if (proved)
            probe_say(p, AUDIT_OPEN_LIMITED, 'C',
                      "some of it answers strangers, the rest asks for a credential");
        else
            probe_say(p, AUDIT_AUTH_REQUIRED, 'B', "it asks for a credential");
    } else if (!proved) {
        probe_say(p, AUDIT_UNKNOWN, 'C', "it is there, and answers the proof with something else");
    }
}

/* A page of which only the status is of use proves nothing: shapes count with success or a refusal.
 */
static bool recognise(struct web *w, const struct http_service *s) {
    for (const struct http_mark *q = s->fingerprints; q < s->fingerprints + HTTP_MARKS && q->path;
         q++) {
        const struct http_answer *a = ask(w->p, q);
        if (a && (a->status < 300 || a->status == 401 || a->status == 403) &&
            matches(a, &q->want) && !is_everywhere(w, q, a->status)) {
            if (!s->version.path)
                take_version(w->p, a, &s->version.want);
            return true;
        }
    }
    return false;
}

static bool usual(const struct http_service *s, uint16_t port) {
    for (size_t i = 0; i < HTTP_PORTS; i++)
        if (s->ports[i] == port)
            return true;
    return false;
}

static bool is_it(struct web *w, const struct http_service *s) {
    struct probe *p = w->p;
    if (!recognise(w, s))
        return false;
    p->result->service = s->name;
    const struct http_answer *a = s->version.path ? ask(p, &s->version) : NULL;
    if (a)
        take_version(p, a, &s->version.want);
    prove(w, s);
    return true;
}

bool probe_http_services(struct probe *p) {
    static const struct http_service *const tables[] = {http_databases, http_models,
                                                        http_operations, http_general};
    struct web w = {.p = p};
    bool found = false;
    for (int usual_ones = 1; !found && usual_ones >= 0; usual_ones--)
        for (size_t t = 0; !found && t < sizeof tables / sizeof tables[0]; t++)
            for (const struct http_service *s = tables[t]; !found && s->name; s++)
                found = usual(s, p->pair.port) == usual_ones && is_it(&w, s);
    free(w.nowhere[0]);
    free(w.nowhere[1]);
    return found;
}
