/*
 * What one person may open alone, and what a second one has to approve: at most `approval_above` cells
 * within an hour without anybody's approval. A request that would be more is known by the digest of who,
 * why and exactly which cells; it waits, and when it was approved it passes once.
 *
 * Many cells come in several requests (OPEN_GO), so a client says beforehand which ones there will be:
 * its plan. What was approved is the plan's set, and each of its cells can be opened once, by the session
 * that has it, for as long as the connection keeps it.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/vault/client.h"

struct plan {
    struct people_actor actor;
    uint32_t count;
    bool *used;           /* of each */
    uint8_t (*hashes)[32]; /* sorted */
};

void plan_free(struct plan *p) {
    if (!p)
        return;
    free(p->used);
    free(p->hashes);
    free(p);
}

static int compare(const void *x, const void *y) {
    return memcmp(x, y, 32);
}

/* The place of a cell that was not opened yet; of equal ones, any. -1: none. */
static long place_of(const struct plan *p, const uint8_t hash[32]) {
    const uint8_t(*at)[32] = bsearch(hash, p->hashes, p->count, 32, compare);
    if (!at)
        return -1;
    size_t i = (size_t)(at - (const uint8_t(*)[32])p->hashes);
    while (i > 0 && !memcmp(p->hashes[i - 1], hash, 32))
        i--;
    for (; i < p->count && !memcmp(p->hashes[i], hash, 32); i++)
        if (!p->used[i])
            return (long)i;
    return -1;
}

bool plan_covers(struct plan *p, const struct people_actor *a, const struct noted_cell *cells,
                 size_t count) {
    bool all = p->actor.id == a->id && !memcmp(p->actor.session, a->session, sizeof a->session);
    size_t n = 0;
    for (; all && n < count; n++) {
        const long at = place_of(p, cells[n].cell.hash);
        all = at >= 0;
        if (all)
            p->used[at] = true;
    }
    return all;
}

static void ask(struct vault *v, const struct people_actor *a, const struct client *c,
                const uint8_t digest[APPROVAL_DIGEST_BYTES], const char *query, size_t query_len,
                uint32_t cells) {
    struct approval *r = calloc(1, sizeof *r);
    if (!r)
        return;
    r->person = a->id;
    r->cells = cells;
    memcpy(r->digest, digest, sizeof r->digest);
    r->reason_len = c->reason_len;
    memcpy(r->reason, c->reason, c->reason_len);
    r->query_len = query_len;
    memcpy(r->query, query, query_len);
    approval_ask(people_approvals(v->people), r, clock_mono_ns());
    sodium_memzero(r, sizeof *r);
    free(r);
}

int plan_judge(struct vault *v, struct client *c, const struct people_actor *a,
               const struct people_opener *o, const char *query, size_t query_len,
               uint8_t (*hashes)[32], uint32_t cells, bool *ret_approved, char *text,
               size_t text_size) {
    uint8_t digest[APPROVAL_DIGEST_BYTES];
    char hex[2 * APPROVAL_DIGEST_BYTES + 1];
    struct approvals *all = people_approvals(v->people);
    const uint64_t now_us = clock_wall_us(), now_ns = clock_mono_ns();
    *ret_approved = false;
    if (o->unlimited)
        return 0;
    if (cells > people_left(v->people, o, now_us)) {
        snprintf(text, text_size, "%u cells are more than is left of this hour's %llu (%llu)", cells,
                 (unsigned long long)o->cells, (unsigned long long)people_left(v->people, o, now_us));
        return ERR_QUOTA;
    }
    if (cells + people_alone(v->people, a->id, now_us) <= v->approval_above)
        return 0;
    approval_digest(digest, a->id, c->reason, c->reason_len, query, query_len, hashes, cells);
    *ret_approved = approval_take(all, digest, a->id, now_ns) == 0;
    if (*ret_approved)
        return 0;
    if (!approval_find(all, digest, now_ns)) {
        int rc = note_approval(v, c, a, 1, digest);
        if (!rc)
            rc = note_sync(v);
        if (rc) {
            note_undo(v);
            return ERR_IO;
        }
        ask(v, a, c, digest, query, query_len, cells);
    }
    hex_encode(hex, digest, sizeof digest);
    snprintf(text, text_size,
             "approval needed: %s; another reader or an admin gives it with: safehouse approve", hex);
    return ERR_APPROVAL;
}

/* The approved set is kept on the connection. Takes the hashes. */
static int keep(struct client *c, const struct people_actor *a, uint8_t (*hashes)[32], uint32_t count) {
    struct plan *p = calloc(1, sizeof *p);
    bool *used = calloc(count, sizeof *used);
    if (!p || !used) {
        free(p);
        free(used);
        free(hashes);
        return ERR_NOMEM;
    }
    *p = (struct plan){.actor = *a, .count = count, .used = used, .hashes = hashes};
    qsort(hashes, count, 32, compare);
    plan_free(c->plan);
    c->plan = p;
    return 0;
}

int plan_take(struct vault *v, struct client *c, const struct frame *f) {
    struct people_plan plan;
    struct people_actor a;
    struct people_opener o;
    char text[256] = "";
    bool approved = false;
    if (people_parse_plan(&plan, f->p, f->len))
        return ERR_SYNTAX;
    int rc = c->reason_len ? client_needs(v, c, PEOPLE_BIT(PEOPLE_READER), &a) : ERR_USAGE;
    if (!rc)
        rc = people_opener(v->people, &a, clock_wall_us(), &o);
    if (rc)
        return client_end(c, rc, rc == ERR_USAGE ? "a reason is needed" : client_refusal(rc));
    uint8_t(*hashes)[32] = plan.cells ? malloc(32ull * plan.cells) : NULL;
    if (hashes)
        memcpy(hashes, plan.hashes, 32ull * plan.cells);
    else
        rc = plan.cells ? ERR_NOMEM : 0;
    if (!rc)
        rc = plan_judge(v, c, &a, &o, plan.query, plan.query_len, hashes, plan.cells, &approved, text,
                        sizeof text);
    opener_done(&o);
    if (!rc && approved)
        rc = keep(c, &a, hashes, plan.cells);
    else
        free(hashes);
    return rc ? client_end(c, rc, text[0] ? text : err_text(rc)) : client_end_rc(c, 0);
}
