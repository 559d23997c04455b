/*
 * People and their sessions (people.h): tables in memory, each change of which is written to the store
 * first. Who is removed, or whose grants or password change, has a new epoch, and with it no session.
 *
 * Names, roles and projects are no secrets of this process and lie in ordinary memory; hashes of
 * passwords and TOTP secrets in guarded memory, with the person's row.
 */
#include "read/people/people.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/people/people_int.h"
#include "read/people/verbs.h"

static const char *const role_names[] = {NULL, PEOPLE_ROLE_NAMES};

const char *people_role_name(enum people_role r) {
    return r >= PEOPLE_ANALYST && r <= PEOPLE_ROLE_LAST ? role_names[r] : NULL;
}

int people_new(struct people **ret, const struct people_store *store) {
    struct people *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->store = *store;
    p->persons = sodium_malloc(PEOPLE_MAX * sizeof *p->persons);
    p->grants = calloc(PEOPLE_GRANTS_MAX, sizeof *p->grants);
    p->tokens = calloc(PEOPLE_TOKENS_MAX, sizeof *p->tokens);
    if (!p->persons || !p->grants || !p->tokens || sessions_new(&p->sessions) ||
        approvals_new(&p->approvals)) {
        people_free(p);
        return ERR_NOMEM;
    }
    sodium_memzero(p->persons, PEOPLE_MAX * sizeof *p->persons);
    p->persons[0] = (struct person){.used = true, .id = PEOPLE_OWNER, .name = PEOPLE_OWNER_NAME};
    people_new_password(&p->nobody);
    randombytes_buf(p->nobody.hash, sizeof p->nobody.hash);
    *ret = p;
    return 0;
}

void people_free(struct people *p) {
    if (!p)
        return;
    sodium_free(p->persons);
    free(p->grants);
    if (p->tokens)
        sodium_memzero(p->tokens, PEOPLE_TOKENS_MAX * sizeof *p->tokens);
    free(p->tokens);
    sessions_free(p->sessions);
    approvals_free(p->approvals);
    sodium_memzero(p, sizeof *p);
    free(p);
}

bool people_one_person(const struct people *p) {
    return !p->several;
}

int people_begin_mode(struct people *p) {
    return p->head_row ? ERR_EXISTS : people_put_head(p);
}

/* ---- names ---- */

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
           c == '@';
}

bool people_name_valid(const char *name) {
    const size_t n = strnlen(name, LIMIT_NAME);
    if (n == 0 || n == LIMIT_NAME || name[0] == '.' || name[0] == '-' || name[0] == '@')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_word(name[i]))
            return false;
    return true;
}

bool people_projects_valid(const char *projects) {
    size_t n = 0;
    if (!strcmp(projects, "*"))
        return true;
    for (const char *c = projects; *c; c++) {
        const bool letter = is_word(*c) || (*c >= 'A' && *c <= 'Z');
        if (*c == ',' ? n == 0 : (!letter || *c == '@' || ++n == LIMIT_NAME))
            return false;
        n = *c == ',' ? 0 : n;
    }
    return n > 0 && strlen(projects) <= LIMIT_GRANT_PROJECTS;
}

struct person *people_person(const struct people *p, uint32_t id) {
    for (size_t i = 0; i < PEOPLE_MAX; i++)
        if (p->persons[i].used && p->persons[i].id == id)
            return &p->persons[i];
    return NULL;
}

static struct person *by_name(const struct people *p, const char *name) {
    for (size_t i = 0; i < PEOPLE_MAX; i++)
        if (p->persons[i].used && !strcmp(p->persons[i].name, name))
            return &p->persons[i];
    return NULL;
}

int people_find(const struct people *p, const char *name, uint32_t *ret_id) {
    const struct person *x = by_name(p, name);
    if (!x)
        return ERR_NOTFOUND;
    *ret_id = x->id;
    return 0;
}

const char *people_name(const struct people *p, uint32_t id) {
    const struct person *x = people_person(p, id);
    return x ? x->name : "";
}

void people_changed(struct people *p, struct person *x) {
    x->epoch++;
    sessions_end_person(p->sessions, x->id);
    approvals_end_person(p->approvals, x->id);
}

/* ---- who asks ---- */

void people_owner(struct people_actor *ret) {
    *ret = (struct people_actor){.id = PEOPLE_OWNER};
}

int people_session(struct people *p, const uint8_t token[SESSION_TOKEN_BYTES], uint64_t now_ns,
                   struct people_actor *ret) {
    *ret = (struct people_actor){.id = PEOPLE_NOBODY};
    const struct session *s = session_find(p->sessions, token, now_ns);
    const struct person *x = s ? people_person(p, s->person) : NULL;
    if (!x || x->epoch != s->epoch)
        return ERR_UNAUTHENTICATED;
    ret->id = x->id;
    memcpy(ret->session, s->id, sizeof ret->session);
    return 0;
}

int people_still(struct people *p, const struct people_actor *a, uint64_t now_ns) {
    if (a->id == PEOPLE_OWNER && uuid_is_zero(a->session))
        return 0;
    const struct session *s = session_by_id(p->sessions, a->session, now_ns);
    const struct person *x = s && s->person == a->id ? people_person(p, a->id) : NULL;
    return x && x->epoch == s->epoch ? 0 : ERR_UNAUTHENTICATED;
}

bool grant_in_force(const struct grant *g, uint64_t now_us) {
    return g->used && !g->waits && (!g->expires_us || now_us < g->expires_us);
}

unsigned people_roles(const struct people *p, uint32_t id, uint64_t now_us) {
    unsigned roles = 0;
    if (id == PEOPLE_OWNER && people_one_person(p))
        return PEOPLE_BIT(PEOPLE_ROLE_LAST + 1) - PEOPLE_BIT(PEOPLE_ANALYST);
    if (id == PEOPLE_OWNER)
        roles = PEOPLE_BIT(PEOPLE_ADMIN);
    for (size_t i = 0; i < PEOPLE_GRANTS_MAX; i++)
        if (p->grants[i].person == id && grant_in_force(&p->grants[i], now_us))
            roles |= PEOPLE_BIT(p->grants[i].role);
    return roles;
}

int people_may_change(const struct people *p, const struct people_actor *a, uint64_t now_us) {
    return people_roles(p, a->id, now_us) & PEOPLE_BIT(PEOPLE_ADMIN) ? 0 : ERR_DENIED;
}

/* ---- signing in ---- */

void people_new_password(struct password *ret) {
    *ret = (struct password){.set = true, .ops = PASSWORD_OPS, .mem = PASSWORD_MEM};
    randombytes_buf(ret->salt, sizeof ret->salt);
}

void people_hashing(const struct people *p, const char *name, struct password *ret) {
    const struct person *x = by_name(p, name);
    *ret = x && x->password.set ? x->password : p->nobody;
    sodium_memzero(ret->hash, sizeof ret->hash);
}

int people_check(struct people *p, const char *name, const uint8_t hash[32], const char *code,
                 size_t code_len, uint64_t now_us, uint32_t *ret_id, bool *ret_totp) {
    struct person *x = by_name(p, name);
    const struct password *w = x && x->password.set ? &x->password : &p->nobody;
    bool right = sodium_memcmp(hash, w->hash, sizeof w->hash) == 0 && w != &p->nobody;
    *ret_totp = false;
    if (!right)
        return ERR_UNAUTHENTICATED;
    if (x->totp_state == TOTP_ON) {
        uint64_t last = x->totp_step;
        if (!totp_check(x->totp, now_us, code, code_len, &last))
            return ERR_UNAUTHENTICATED;
        const uint64_t before = x->totp_step;
        x->totp_step = last; /* on disk before it is good for anything: each code works once */
        int rc = people_put_person(p, x);
        if (rc) {
            x->totp_step = before;
            return rc;
        }
        *ret_totp = true;
    }
    *ret_id = x->id;
    return 0;
}

int people_check_token(const struct people *p, const uint8_t token[32], uint64_t now_us,
                       uint32_t *ret_id) {
    uint8_t hash[32];
    const struct token *found = NULL;
    crypto_generichash(hash, sizeof hash, token, 32, NULL, 0);
    for (size_t i = 0; i < PEOPLE_TOKENS_MAX; i++)
        if (sodium_memcmp(p->tokens[i].hash, hash, sizeof hash) == 0 && p->tokens[i].used)
            found = &p->tokens[i];
    if (!found || (found->expires_us && now_us >= found->expires_us))
        return ERR_UNAUTHENTICATED;
    *ret_id = found->person;
    return 0;
}

int people_sign_in(struct people *p, uint32_t id, uint64_t now_ns,
                   uint8_t ret_token[SESSION_TOKEN_BYTES], struct people_actor *ret) {
    const struct person *x = people_person(p, id);
    const struct session *s;
    CHECK(x);
    int rc = session_begin(p->sessions, id, x->epoch, now_ns, ret_token, &s);
    if (rc)
        return rc;
    ret->id = id;
    memcpy(ret->session, s->id, sizeof ret->session);
    return 0;
}

void people_sign_out(struct people *p, const struct people_actor *a) {
    const struct session *s = session_by_id(p->sessions, a->session, 0);
    if (s)
        session_end(p->sessions, s);
}

struct approvals *people_approvals(struct people *p) {
    return p->approvals;
}

/* ---- persons ---- */

int people_add(struct people *p, const struct people_actor *a, const char *name,
               const struct password *password, uint64_t now_us) {
    size_t i = 1;
    int rc = people_may_change(p, a, now_us);
    if (rc)
        return rc;
    if (!people_name_valid(name))
        return ERR_SYNTAX;
    if (by_name(p, name))
        return ERR_EXISTS;
    while (i < PEOPLE_MAX && p->persons[i].used)
        i++;
    if (i == PEOPLE_MAX)
        return ERR_LIMIT;
    struct person *x = &p->persons[i];
    sodium_memzero(x, sizeof *x);
    memcpy(x->name, name, strlen(name));
    x->id = PEOPLE_NOBODY; /* until its record has a number */
    x->epoch = 1;
    if (password) {
        x->password = *password;
        x->password.by_other = true;
    }
    rc = people_put_person(p, x);
    if (rc)
        sodium_memzero(x, sizeof *x);
    x->used = !rc;
    return rc;
}

static int drop_rows(struct people *p, struct person *x) {
    int rc = 0;
    for (size_t i = 0; !rc && i < PEOPLE_GRANTS_MAX; i++)
        if (p->grants[i].used && p->grants[i].person == x->id)
            rc = people_drop(p, p->grants[i].row);
    for (size_t i = 0; !rc && i < PEOPLE_TOKENS_MAX; i++)
        if (p->tokens[i].used && p->tokens[i].person == x->id)
            rc = people_drop(p, p->tokens[i].row);
    return rc ? rc : people_drop(p, x->row);
}

int people_remove(struct people *p, const struct people_actor *a, uint32_t id, uint64_t now_us) {
    struct person *x = people_person(p, id);
    int rc = people_may_change(p, a, now_us);
    if (!rc && !x)
        rc = ERR_NOTFOUND;
    if (!rc && id == PEOPLE_OWNER)
        rc = ERR_DENIED;
    if (!rc)
        rc = drop_rows(p, x);
    if (rc)
        return rc;
    people_changed(p, x);
    for (size_t i = 0; i < PEOPLE_GRANTS_MAX; i++)
        if (p->grants[i].person == id)
            p->grants[i].used = false;
    for (size_t i = 0; i < PEOPLE_TOKENS_MAX; i++)
        if (p->tokens[i].person == id)
            sodium_memzero(&p->tokens[i], sizeof p->tokens[i]);
    sodium_memzero(x, sizeof *x);
    return 0;
}

/* ---- how a person signs in ---- */

/* Its owner, or an admin? *ret_other: it is somebody else's. */
static int may_touch(const struct people *p, const struct people_actor *a, uint32_t id,
                     uint64_t now_us, struct person **ret, bool *ret_other) {
    *ret = people_person(p, id);
    *ret_other = a->id != id;
    if (!*ret)
        return ERR_NOTFOUND;
    if (id == PEOPLE_OWNER)
        return ERR_DENIED; /* known by his unix user, and by nothing else */
    return *ret_other ? people_may_change(p, a, now_us) : 0;
}

int people_set_password(struct people *p, const struct people_actor *a, uint32_t id, bool own,
                        const struct password *password, uint64_t now_us) {
    struct person *x;
    bool other;
    int rc = may_touch(p, a, id, now_us, &x, &other);
    if (!rc && !other && !own)
        rc = ERR_UNAUTHENTICATED; /* the old one is needed */
    if (!rc && other)
        rc = people_suspend(p, a, x, now_us);
    if (rc)
        return rc;
    const struct password before = x->password;
    x->password = *password;
    x->password.by_other = other;
    rc = people_put_person(p, x);
    if (rc)
        x->password = before;
    else
        people_changed(p, x);
    return rc;
}

static int set_totp(struct people *p, struct person *x, enum totp_state state,
                    const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step) {
    const struct person before = *x;
    x->totp_state = (uint8_t)state;
    memcpy(x->totp, secret, TOTP_SECRET_BYTES);
    x->totp_step = step;
    int rc = people_put_person(p, x);
    if (rc)
        *x = before;
    sodium_memzero((void *)(uintptr_t)&before, sizeof before);
    return rc;
}

/* Only for oneself: whoever makes it, knows it. */
int people_totp_make(struct people *p, const struct people_actor *a, uint32_t id, uint64_t now_us,
                     uint8_t ret_secret[20]) {
    struct person *x;
    bool other;
    int rc = may_touch(p, a, id, now_us, &x, &other);
    if (!rc && other)
        rc = ERR_DENIED;
    if (!rc && x->totp_state == TOTP_ON)
        rc = ERR_EXISTS;
    if (rc)
        return rc;
    randombytes_buf(ret_secret, TOTP_SECRET_BYTES);
    return set_totp(p, x, TOTP_MADE, ret_secret, 0);
}

int people_totp_confirm(struct people *p, const struct people_actor *a, uint32_t id,
                        const char *code, size_t len, uint64_t now_us) {
    struct person *x;
    bool other;
    uint64_t step = 0;
    int rc = may_touch(p, a, id, now_us, &x, &other);
    if (!rc && other)
        rc = ERR_DENIED;
    if (!rc && x->totp_state != TOTP_MADE)
        rc = ERR_NOTFOUND;
    if (!rc && !totp_check(x->totp, now_us, code, len, &step))
        rc = ERR_UNAUTHENTICATED;
    if (!rc)
        rc = set_totp(p, x, TOTP_ON, x->totp, step);
    if (!rc) /* somebody else's may rest on the password alone, which is no longer enough */
        sessions_end_others(p->sessions, id, a->session);
    return rc;
}

int people_totp_remove(struct people *p, const struct people_actor *a, uint32_t id, uint64_t now_us) {
    static const uint8_t none[TOTP_SECRET_BYTES];
    struct person *x;
    bool other;
    int rc = may_touch(p, a, id, now_us, &x, &other);
    if (!rc && other)
        rc = people_suspend(p, a, x, now_us);
    if (!rc)
        rc = set_totp(p, x, TOTP_NONE, none, 0);
    if (!rc)
        people_changed(p, x);
    return rc;
}

/* ---- machine tokens ---- */

static struct token *token_of(struct people *p, uint32_t person, const char *label) {
    for (size_t i = 0; i < PEOPLE_TOKENS_MAX; i++)
        if (p->tokens[i].used && p->tokens[i].person == person && !strcmp(p->tokens[i].label, label))
            return &p->tokens[i];
    return NULL;
}

static int token_place(struct people *p, uint32_t person, struct token **ret) {
    unsigned own = 0;
    *ret = NULL;
    for (size_t i = 0; i < PEOPLE_TOKENS_MAX; i++) {
        if (!p->tokens[i].used)
            *ret = &p->tokens[i];
        else
            own += p->tokens[i].person == person;
    }
    return *ret && own < PEOPLE_TOKENS_EACH ? 0 : ERR_LIMIT;
}

int people_token_make(struct people *p, const struct people_actor *a, uint32_t id, const char *label,
                      uint64_t expires_us, uint64_t now_us, uint8_t ret_token[32]) {
    struct person *x;
    struct token *t = NULL;
    bool other;
    int rc = may_touch(p, a, id, now_us, &x, &other);
    if (!rc && (!people_name_valid(label) || (expires_us && expires_us <= now_us)))
        rc = ERR_SYNTAX;
    if (!rc && token_of(p, id, label))
        rc = ERR_EXISTS;
    if (!rc)
        rc = token_place(p, id, &t);
    if (!rc && other)
        rc = people_suspend(p, a, x, now_us);
    if (rc)
        return rc;
    *t = (struct token){.person = id, .expires_us = expires_us, .created_us = now_us};
    memcpy(t->label, label, strlen(label));
    randombytes_buf(ret_token, 32);
    crypto_generichash(t->hash, sizeof t->hash, ret_token, 32, NULL, 0);
    rc = people_put_token(p, t);
    t->used = !rc;
    if (rc)
        sodium_memzero(t, sizeof *t);
    else if (other)
        people_changed(p, x);
    return rc;
}

int people_token_revoke(struct people *p, const struct people_actor *a, uint32_t id,
                        const char *label, uint64_t now_us) {
    struct person *x;
    bool other;
    int rc = may_touch(p, a, id, now_us, &x, &other);
    struct token *t = rc ? NULL : token_of(p, id, label);
    if (!rc && !t)
        rc = ERR_NOTFOUND;
    if (!rc)
        rc = people_drop(p, t->row);
    if (rc)
        return rc;
    sodium_memzero(t, sizeof *t);
    people_changed(p, x); /* whoever signed in with it is out; so are the person's other sessions */
    return 0;
}
