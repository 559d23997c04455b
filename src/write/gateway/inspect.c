/*
 * A body's secrets and personal data, before any provider sees it, for projects whose policy has
 * classes to block or to mask (doc/policy.md). Runs in gateway workers; every other request pays for one
 * flag of its key.
 *
 * The rules are compiled in the master, before it makes workers: these share the memory, and start as
 * fast as ever. What a scan needs beside them is a worker's own, made when it starts. A worker's policy
 * is that of its start. Where the control snapshot already says that a project is inspected, and the
 * worker knows of nothing to look for there, the request is refused: nothing goes on uninspected.
 */
#include <sodium.h>

#include "base/err.h"
#include "write/gateway/gateway.h"
#include "write/policy/policy.h"

#define SCAN_NS 1000000000ull            /* of processor time, and */
#define SCAN_NS_A_BYTE 60ull             /* this more for each: a second for 16 MiB */
#define FLAT_KEPT (1u << 20) /* bytes, for the next one */
#define BODY_MASKED (2 * (uint64_t)LIMIT_REQUEST_BODY)

static struct {
    struct policy *policy; /* NULL: nothing is inspected */
    struct detect *detect;
    struct detect_work *work; /* the worker's */
    struct buf flat;          /* the body that is inspected, if it came in several pieces */
} own;

/* ---- master and worker ---- */

static void drop(void) {
    detect_free(own.detect);
    policy_free(own.policy);
    own.detect = NULL;
    own.policy = NULL;
}

void gateway_inspect_prepare(ngx_cycle_t *cycle) {
    struct detect_options options = {0};
    char why[256] = "its policy cannot be read";
    int fd = gateway_env_fd("SH_DETECT_FD");
    drop(); /* of the configuration before; workers have their own copies */
    if (fd < 0)
        return;
    int rc = policy_new(&own.policy, fd, &options.mute, &options.rules, &options.rules_len);
    if (!rc && !policy_has(own.policy, NULL, ACTION_BLOCK) &&
        !policy_has(own.policy, NULL, ACTION_MASK)) {
        drop();
        return;
    }
    if (!rc)
        rc = detect_new(&own.detect, &options, why, sizeof why);
    if (!rc)
        return;
    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "safehouse: nothing can be inspected: %s", why);
    drop();
}

int gateway_inspect_init(void) {
    buf_init(&own.flat, LIMIT_REQUEST_BODY);
    return own.detect ? detect_work_new(&own.work, own.detect) : 0;
}

/* ---- refusals ---- */

static ngx_int_t fail(struct gateway_request *q) {
    return gateway_refuse(q, ERRORS_UNINSPECTED);
}

/* Names class and place, and no byte of the value. */
static ngx_int_t refuse(ngx_http_request_t *r, struct gateway_request *q, const ngx_str_t *body,
                        const struct detect_finding *f, const char *what) {
    const size_t room = DETECT_ID_MAX + MASK_WHERE + 128;
    char *where = ngx_pnalloc(r->pool, MASK_WHERE), *text = ngx_pnalloc(r->pool, room);
    if (!where || !text)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    where[0] = 0;
    if (q->scanned)
        mask_where(where, body->data, body->len, f->start);
    int n = snprintf(text, room, "Found: %s%s%s, at byte %zu of the body.%s",
                     detect_rule(own.detect, f->rule).class, where[0] ? " in " : "", where,
                     f->start, what);
    q->detail = (ngx_str_t){(size_t)n, (u_char *)text};
    q->param = where[0] ? where : NULL;
    return gateway_refuse(q, ERRORS_BLOCKED);
}

/* ---- masking ---- */

static enum action action_of(const struct gateway_request *q, struct detect_rule_info rule) {
    return policy_action(own.policy, q->key.project, rule.class, rule.family);
}

static bool is_masked(struct detect_rule_info rule, void *arg) {
    return action_of(arg, rule) == ACTION_MASK;
}

/* The members that are spliced later lie elsewhere now. The model's name stays as it was read. */
static int scan_again(struct gateway_request *q, const struct buf *body) {
    struct reqscan scan;
    reqscan_init(&scan);
    int rc = reqscan_feed(&scan, body->p, body->len);
    if (!rc)
        rc = reqscan_done(&scan);
    if (!rc) {
        memcpy(q->scan.value, scan.value, sizeof q->scan.value);
        q->scan.end = scan.end;
    }
    explicit_bzero(&scan, sizeof scan);
    return rc;
}

/* Providers get this one from now on; what the client sent is in the ring. */
static int replace_body(struct gateway_request *q, struct gateway_masked *m) {
    gateway_drop_body(q);
    if (!gateway_hold(q, m->body.cap + m->mask.plain.cap))
        return ERR_FULL;
    int rc = scan_again(q, &m->body);
    m->buf = (ngx_buf_t){.pos = m->body.p, .last = m->body.p + m->body.len, .memory = 1};
    m->buf.start = m->buf.pos;
    m->buf.end = m->buf.last;
    m->chain = (ngx_chain_t){.buf = &m->buf};
    q->body = &m->chain;
    q->taken = m->body.len;
    return rc;
}

/* A placeholder is a project's own: "tenant NUL project NUL" goes into it. */
static int make_mask(struct gateway_request *q, struct gateway_masked *m, const ngx_str_t *body,
                     const struct detect_findings *list) {
    uint8_t key[SNAPSHOT_MASK_KEY];
    char scope[2 * LIMIT_NAME];
    int n = snprintf(scope, sizeof scope, "%s%c%s", q->key.tenant, 0, q->key.project);
    const struct mask_wish wish = {.detect = own.detect,
                                   .list = list,
                                   .wanted = is_masked,
                                   .arg = q,
                                   .key = key,
                                   .scope = scope,
                                   .scope_len = (size_t)n + 1};
    int rc = snapshot_mask_key(gateway_worker.snapshot, key);
    if (!rc)
        rc = mask_body(&m->mask, &m->body, body->data, body->len, &wish);
    sodium_memzero(key, sizeof key);
    return rc ? rc : replace_body(q, m);
}

static ngx_int_t mask(ngx_http_request_t *r, struct gateway_request *q, const ngx_str_t *body,
                      const struct detect_findings *list, const struct detect_finding *first) {
    struct gateway_masked *m = ngx_pcalloc(r->pool, sizeof *m);
    if (!m)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    mask_init(&m->mask);
    buf_init(&m->body, BODY_MASKED);
    q->masked = m;
    int rc = make_mask(q, m, body, list);
    if (rc == ERR_UNSUPPORTED)
        return refuse(r, q, body, first, " What is to be masked reaches over its string's end.");
    return rc == ERR_FULL ? gateway_refuse(q, ERRORS_OVERLOADED) : rc ? fail(q) : NGX_OK;
}

/* ---- the body ---- */

/* In one piece: where it came in several, a copy in memory that is used again. It is there for this
 * one turn only, and has to fit beside the bodies that are held. */
static int flatten(const struct gateway_request *q, ngx_str_t *ret) {
    const ngx_chain_t *cl = q->body;
    int rc = 0;
    if (!cl->next) {
        *ret = (ngx_str_t){(size_t)(cl->buf->last - cl->buf->pos), cl->buf->pos};
        return 0;
    }
    if (!gateway_fits(q->taken))
        return ERR_FULL;
    rc = buf_reserve(&own.flat, q->taken);
    for (; cl && !rc; cl = cl->next)
        rc = buf_append(&own.flat, cl->buf->pos, (size_t)(cl->buf->last - cl->buf->pos));
    *ret = (ngx_str_t){own.flat.len, own.flat.p};
    return rc;
}

static void forget_flat(void) {
    if (own.flat.cap > FLAT_KEPT)
        buf_wipe(&own.flat);
    else
        buf_clear(&own.flat);
}

/* What a class asks for where there is no JSON: a value cannot be masked there. */
static const struct detect_finding *first_with(const struct gateway_request *q,
                                               const struct detect_findings *list,
                                               enum action action) {
    for (size_t i = 0; i < list->count; i++)
        if (action_of(q, detect_rule(own.detect, list->items[i].rule)) == action)
            return &list->items[i];
    return NULL;
}

static ngx_int_t judge(ngx_http_request_t *r, struct gateway_request *q, const ngx_str_t *body,
                       const struct detect_findings *list) {
    const struct detect_finding *blocked = first_with(q, list, ACTION_BLOCK);
    const struct detect_finding *masked = first_with(q, list, ACTION_MASK);
    if (blocked)
        return refuse(r, q, body, blocked, "");
    if (masked && !q->scanned)
        return refuse(r, q, body, masked, " In a body of this type nothing can be masked.");
    return masked ? mask(r, q, body, list, masked) : NGX_OK;
}

static ngx_int_t inspect(ngx_http_request_t *r, struct gateway_request *q, const ngx_str_t *body) {
    struct detect_findings list = {0};
    detect_work_time(own.work, SCAN_NS + SCAN_NS_A_BYTE * body->len);
    int rc = detect_scan(own.detect, own.work, body->data, body->len,
                         q->scanned ? DETECT_JSON : DETECT_TEXT, &list);
    ngx_int_t status = rc ? fail(q) : judge(r, q, body, &list);
    detect_findings_done(&list);
    return status;
}

ngx_int_t gateway_inspect(ngx_http_request_t *r, struct gateway_request *q) {
    ngx_str_t body;
    if (!q->body)
        return NGX_OK;
    if (!own.work || !(policy_has(own.policy, q->key.project, ACTION_BLOCK) ||
                       policy_has(own.policy, q->key.project, ACTION_MASK)))
        return fail(q);
    int rc = flatten(q, &body);
    ngx_int_t status = rc ? gateway_refuse(q, ERRORS_OVERLOADED) : inspect(r, q, &body);
    forget_flat();
    return status;
}
