/*
 * The plans that a worker has (plan.h): one place for each hash of a name, the last one there
 * stays, and one place for what is not remembered.
 *
 * The version is read first: a plan that was read while a later one was published may have parts of
 * both, and counts for the earlier one only, which is never asked for again.
 */
#include "write/gateway/plan.h"

#include <string.h>

#include "base/err.h"

#define PLACES 64u

static struct plan places[PLACES], passing;

/* By the name's length and its last letters, in which models differ most. */
static struct plan *place_of(uint32_t dialects, const char *name, size_t len) {
    uint64_t tail = 0;
    memcpy(&tail, len < sizeof tail ? name : name + len - sizeof tail,
           len < sizeof tail ? len : sizeof tail);
    uint64_t h = (tail ^ (uint64_t)len << 56 ^ dialects) * 0x9e3779b97f4a7c15ull;
    return &places[h >> 32 & (PLACES - 1)];
}

static bool is_of(const struct plan *p, uint64_t version, uint32_t dialects, const char *name,
                  size_t len) {
    return p->version == version && p->dialects == dialects && p->asked_len == len &&
           memcmp(p->asked, name, len) == 0;
}

static void add_target(const struct snapshot *s, const struct snapshot_route *r, uint32_t i,
                       struct plan_target *ret) {
    const char *sent = r->to[i].model;
    size_t len = strlen(sent), asked_len = strlen(r->model);
    ret->priced = snapshot_price(s, sent, len, &ret->price) == 0 ||
                  snapshot_price(s, r->model, asked_len, &ret->price) == 0;
    ret->known = snapshot_model_known(s, sent, len);
}

void plan_done(const struct plan *p) {
    if (p != &passing)
        return;
    explicit_bzero(passing.route.model, strlen(passing.route.model));
    for (uint32_t i = 0; i < passing.route.count; i++)
        explicit_bzero(passing.route.to[i].model, strlen(passing.route.to[i].model));
}

static int make(const struct snapshot *s, uint32_t dialects, const char *name, size_t len,
                const struct plan **ret) {
    uint64_t version = snapshot_version(s);
    bool known = snapshot_model_known(s, name, len);
    struct plan *p = known ? place_of(dialects, name, len) : &passing;
    p->version = 0;
    int rc = snapshot_route(s, name, len, dialects, &p->route);
    if (rc) {
        plan_done(p);
        return rc;
    }
    for (uint32_t i = 0; i < p->route.count; i++)
        add_target(s, &p->route, i, &p->target[i]);
    p->known = known;
    *ret = p;
    if (!known)
        return 0;
    p->dialects = dialects;
    p->asked_len = len;
    memcpy(p->asked, name, len);
    p->version = version;
    return 0;
}

int plan_find(const struct snapshot *s, uint32_t dialects, const char *name, size_t len,
              const struct plan **ret) {
    if (len == 0) {
        passing = (struct plan){0};
        *ret = &passing;
        return snapshot_speakers(s, dialects, &passing.route);
    }
    if (len >= LIMIT_MODEL)
        return ERR_NOTFOUND;
    const struct plan *p = place_of(dialects, name, len);
    if (!is_of(p, snapshot_version(s), dialects, name, len))
        return make(s, dialects, name, len, ret);
    *ret = p;
    return 0;
}
