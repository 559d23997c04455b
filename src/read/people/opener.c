/* Who may open what, and how much of it (people.h). */
#include <string.h>

#include "base/err.h"
#include "read/people/people_int.h"

#define PROJECTS_BYTES (PEOPLE_GRANTS_EACH * (LIMIT_GRANT_PROJECTS + 1) + 1)
#define AHEAD_SHARE 16 /* of the quota is written down ahead */
#define AHEAD_MAX 64   /* cells, at most */

int people_opener(const struct people *p, const struct people_actor *a, uint64_t now_us,
                  struct people_opener *ret) {
    *ret = (struct people_opener){.id = a->id};
    buf_init(&ret->projects, PROJECTS_BYTES);
    if (a->id == PEOPLE_OWNER && people_one_person(p)) {
        ret->unlimited = true;
        ret->cells = UINT64_MAX;
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; !rc && i < PEOPLE_GRANTS_MAX; i++) {
        const struct grant *g = &p->grants[i];
        if (g->person != a->id || g->role != PEOPLE_READER || !grant_in_force(g, now_us))
            continue;
        if (ret->projects.len)
            rc = buf_append_u8(&ret->projects, ',');
        if (!rc)
            rc = buf_append_str(&ret->projects, g->projects);
        if (g->cells > ret->cells)
            ret->cells = g->cells;
    }
    if (!rc && !ret->projects.len)
        rc = ERR_DENIED;
    if (!rc)
        rc = buf_append_u8(&ret->projects, 0);
    if (rc)
        opener_done(ret);
    return rc;
}

void opener_done(struct people_opener *o) {
    buf_wipe(&o->projects);
}

bool opener_may(const struct people_opener *o, const char *project) {
    const size_t n = strlen(project);
    if (o->unlimited)
        return true;
    for (const char *at = o->projects.p ? (const char *)o->projects.p : ""; *at;) {
        const size_t len = strcspn(at, ",");
        if ((len == 1 && *at == '*') || (len == n && n && !memcmp(at, project, n)))
            return true;
        at += len + (at[len] == ',');
    }
    return false;
}

uint64_t people_left(struct people *p, const struct people_opener *o, uint64_t now_us) {
    struct person *x = people_person(p, o->id);
    const uint64_t used = x ? quota_used(&x->quota, now_us) : 0;
    return o->unlimited ? UINT64_MAX : !x || used >= o->cells ? 0 : o->cells - used;
}

uint64_t people_alone(struct people *p, uint32_t id, uint64_t now_us) {
    struct person *x = people_person(p, id);
    return x ? quota_used(&x->alone, now_us) : 0;
}

/*
 * What is opened is on disk before: a restart does not give anybody a new hour. So that not every
 * request writes, a few cells are written down ahead, which are lost at a restart; of what was opened
 * without approval since the last writing, no more than these are forgotten then.
 */
int people_charge(struct people *p, const struct people_opener *o, uint32_t cells, bool approved,
                  uint64_t now_us) {
    struct person *x = people_person(p, o->id);
    if (o->unlimited)
        return 0;
    if (!x || cells > people_left(p, o, now_us))
        return ERR_QUOTA;
    const struct quota before = x->quota, alone = x->alone;
    const uint32_t ahead = x->ahead;
    quota_add(&x->quota, now_us, cells);
    if (!approved)
        quota_add(&x->alone, now_us, cells);
    if (cells <= ahead) {
        x->ahead -= cells;
    } else {
        const uint64_t left = people_left(p, o, now_us), part = o->cells / AHEAD_SHARE,
                       share = part < AHEAD_MAX ? part : AHEAD_MAX;
        x->ahead = (uint32_t)(share < left ? share : left);
        int rc = people_put_person(p, x);
        if (rc) {
            x->quota = before;
            x->alone = alone;
            x->ahead = ahead;
            return rc;
        }
    }
    return 0;
}
