/*
 * Grants (people.h): given by an admin, and those that open doors (reader, admin, eraser) confirmed by
 * a second one. Alone an admin may give them in one-person mode, and the role of admin while he is the
 * only one: without that there would never be a second.
 */
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "read/people/people_int.h"

static bool needs_two(uint8_t role) {
    return role == PEOPLE_READER || role == PEOPLE_ADMIN || role == PEOPLE_ERASER;
}

static bool is_admin(const struct people *p, uint32_t id, uint64_t now_us) {
    return people_roles(p, id, now_us) & PEOPLE_BIT(PEOPLE_ADMIN);
}

static bool is_only_admin(const struct people *p, uint32_t id, uint64_t now_us) {
    for (size_t i = 0; i < PEOPLE_MAX; i++)
        if (p->persons[i].used && p->persons[i].id != id && is_admin(p, p->persons[i].id, now_us))
            return false;
    return true;
}

static bool has_to_wait(const struct people *p, uint32_t by, uint8_t role, uint64_t now_us) {
    if (!needs_two(role) || people_one_person(p))
        return false;
    return role != PEOPLE_ADMIN || !is_only_admin(p, by, now_us);
}

/* One-person mode ends with the first reader or admin who is not the owner. Writes. */
static int end_mode(struct people *p, const struct grant *g) {
    if (p->several || g->waits || g->person == PEOPLE_OWNER ||
        (g->role != PEOPLE_READER && g->role != PEOPLE_ADMIN))
        return 0;
    p->several = true;
    int rc = people_put_head(p);
    p->several = !rc;
    return rc;
}

static int grant_place(struct people *p, uint32_t person, struct grant **ret) {
    unsigned own = 0;
    *ret = NULL;
    for (size_t i = 0; i < PEOPLE_GRANTS_MAX; i++) {
        if (!p->grants[i].used)
            *ret = &p->grants[i];
        else
            own += p->grants[i].person == person;
    }
    return *ret && own < PEOPLE_GRANTS_EACH ? 0 : ERR_LIMIT;
}

static int check_terms(const struct people_grant *g, uint64_t now_us) {
    if (!people_role_name(g->role) || !people_projects_valid(g->projects) ||
        (g->expires_us && g->expires_us <= now_us) || (g->role == PEOPLE_READER && !g->cells) ||
        g->cells > INT32_MAX)
        return ERR_SYNTAX;
    return 0;
}

/* The owner has a record when there is something to say of him. */
static int need_record(struct people *p, struct person *x) {
    return x->row ? 0 : people_put_person(p, x);
}

int people_grant(struct people *p, const struct people_actor *a, uint32_t id,
                 const struct people_grant *g, uint64_t now_us, bool *ret_waits,
                 uint8_t ret_digest[APPROVAL_DIGEST_BYTES]) {
    struct person *x = people_person(p, id);
    struct grant *new = NULL;
    int rc = people_may_change(p, a, now_us);
    if (!rc && !x)
        rc = ERR_NOTFOUND;
    if (!rc)
        rc = check_terms(g, now_us);
    if (!rc)
        rc = grant_place(p, id, &new);
    if (!rc)
        rc = need_record(p, x);
    if (rc)
        return rc;
    *new = (struct grant){.person = id,
                          .by = a->id,
                          .role = g->role,
                          .cells = g->role == PEOPLE_READER ? g->cells : 0,
                          .expires_us = g->expires_us,
                          .since_us = now_us,
                          .waits = has_to_wait(p, a->id, g->role, now_us)};
    memcpy(new->projects, g->projects, strlen(g->projects));
    rc = people_put_grant(p, new);
    if (!rc)
        rc = end_mode(p, new);
    if (rc)
        return rc;
    new->used = true;
    *ret_waits = new->waits;
    grant_digest(new, ret_digest);
    if (!new->waits)
        people_changed(p, x);
    return 0;
}

int people_ungrant(struct people *p, const struct people_actor *a, uint32_t id, uint8_t role,
                   uint32_t number, uint64_t now_us) {
    struct person *x = people_person(p, id);
    unsigned ended = 0;
    int rc = people_may_change(p, a, now_us);
    if (!rc && !x)
        rc = ERR_NOTFOUND;
    for (size_t i = 0; !rc && i < PEOPLE_GRANTS_MAX; i++) {
        struct grant *g = &p->grants[i];
        if (!g->used || g->person != id || (role ? g->role != role : g->row != number))
            continue;
        rc = people_drop(p, g->row);
        g->used = rc != 0;
        ended += !rc;
    }
    if (ended)
        people_changed(p, x);
    return rc ? rc : ended ? 0 : ERR_NOTFOUND;
}

/* ---- confirmation ---- */

void grant_digest(const struct grant *g, uint8_t out[APPROVAL_DIGEST_BYTES]) {
    static const char label[] = "safehouse grant request 1";
    uint8_t r[4 + PEOPLE_RECORD_MAX];
    crypto_generichash_state h;
    memcpy(r, &g->row, 4);
    const size_t n = people_encode_grant(g, r + 4);
    crypto_generichash_init(&h, NULL, 0, APPROVAL_DIGEST_BYTES);
    crypto_generichash_update(&h, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&h, r, 4 + n);
    crypto_generichash_final(&h, out, APPROVAL_DIGEST_BYTES);
}

static bool still_waits(const struct grant *g, uint64_t now_us) {
    return g->used && g->waits && now_us - g->since_us < WAITING_US &&
           (!g->expires_us || now_us < g->expires_us);
}

static struct grant *find_waiting(const struct people *p, const uint8_t digest[32], uint64_t now_us) {
    uint8_t d[APPROVAL_DIGEST_BYTES];
    for (size_t i = 0; i < PEOPLE_GRANTS_MAX; i++) {
        if (!still_waits(&p->grants[i], now_us))
            continue;
        grant_digest(&p->grants[i], d);
        if (sodium_memcmp(d, digest, sizeof d) == 0)
            return &p->grants[i];
    }
    return NULL;
}

const struct grant *people_waiting(const struct people *p, const uint8_t digest[32], uint64_t now_us) {
    return find_waiting(p, digest, now_us);
}

bool people_next_waiting(const struct people *p, size_t *at, uint64_t now_us,
                         const struct grant **ret) {
    while (*at < PEOPLE_GRANTS_MAX) {
        *ret = &p->grants[(*at)++];
        if (still_waits(*ret, now_us))
            return true;
    }
    return false;
}

int people_confirm(struct people *p, const struct people_actor *a, const uint8_t digest[32],
                   bool yes, uint64_t now_us, struct people_confirmed *ret) {
    struct grant *g = find_waiting(p, digest, now_us);
    if (!g)
        return ERR_NOTFOUND;
    if (!is_admin(p, a->id, now_us) || (yes && g->by == a->id))
        return ERR_DENIED;
    if (ret) {
        *ret = (struct people_confirmed){.person = g->person, .cells = g->cells, .role = g->role};
        memcpy(ret->projects, g->projects, sizeof ret->projects);
    }
    struct person *x = people_person(p, g->person);
    if (!yes) {
        int rc = people_drop(p, g->row);
        g->used = rc != 0;
        return rc;
    }
    g->waits = false;
    int rc = people_put_grant(p, g);
    if (!rc)
        rc = end_mode(p, g);
    g->waits = rc != 0;
    if (!rc)
        people_changed(p, x);
    return rc;
}

int people_suspend(struct people *p, const struct people_actor *a, struct person *x, uint64_t now_us) {
    int rc = 0;
    if (people_one_person(p))
        return 0;
    for (size_t i = 0; !rc && i < PEOPLE_GRANTS_MAX; i++) {
        struct grant *g = &p->grants[i];
        if (!g->used || g->person != x->id || !needs_two(g->role))
            continue;
        g->waits = true;
        g->by = a->id;
        g->since_us = now_us;
        rc = people_put_grant(p, g);
    }
    return rc;
}
