/*
 * The list of models where several providers stand behind the gateway: none of them knows the
 * others' models, so it is the configuration's, of what this key may use in this dialect. With one
 * provider its own list passes, which is the better one.
 */
#include "base/buf.h"
#include "control/snapshot.h"
#include "llm/json.h"
#include "write/gateway/gateway.h"

#define NAMES_MAX (256u << 10) /* of routes and aliases */
#define LIST_MAX (2u << 20)

static bool may_see(const struct gateway_request *q, uint32_t dialects, const char *name) {
    static struct snapshot_route route; /* one request at a time */
    const struct snapshot *s = gateway_worker.snapshot;
    size_t len = strlen(name);
    return snapshot_may_use(s, &q->key, name, len) == 0 &&
           snapshot_route(s, name, len, dialects, &route) == 0;
}

static int add(struct buf *out, bool anthropic, bool first, const char *name) {
    int rc = buf_append_str(out, first ? "{\"id\":" : ",{\"id\":");
    if (!rc)
        rc = jv_quote(out, name, strlen(name));
    if (rc || !anthropic)
        return rc ? rc
                  : buf_append_str(out, ",\"object\":\"model\",\"created\":0,"
                                        "\"owned_by\":\"safehouse\"}");
    rc = buf_append_str(out, ",\"type\":\"model\",\"display_name\":");
    if (!rc)
        rc = jv_quote(out, name, strlen(name));
    return rc ? rc : buf_append_str(out, ",\"created_at\":\"1970-01-01T00:00:00Z\"}");
}

static int make_list(const struct gateway_request *q, uint32_t dialects, const char *names,
                     size_t len, struct buf *out) {
    bool anthropic = q->endpoint.row->dialect->family == FAMILY_ANTHROPIC, first = true;
    int rc = buf_append_str(out, anthropic ? "{\"data\":[" : "{\"object\":\"list\",\"data\":[");
    for (size_t at = 0; at < len && !rc; at += strlen(names + at) + 1) {
        if (!may_see(q, dialects, names + at))
            continue;
        rc = add(out, anthropic, first, names + at);
        first = false;
    }
    return rc ? rc : buf_append_str(out, anthropic ? "],\"has_more\":false}" : "]}");
}

static void free_text(void *data) {
    buf_wipe(data);
}

static struct buf *new_text(ngx_http_request_t *r, size_t max) {
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(r->pool, sizeof(struct buf));
    if (!c)
        return NULL;
    buf_init(c->data, max);
    c->handler = free_text;
    return c->data;
}

ngx_int_t gateway_list_models(ngx_http_request_t *r, struct gateway_request *q, uint32_t dialects) {
    struct buf *names = new_text(r, NAMES_MAX), *list = new_text(r, LIST_MAX);
    size_t len = 0;
    if (!names || !list || buf_reserve(names, NAMES_MAX) ||
        snapshot_list_models(gateway_worker.snapshot, (char *)names->p, NAMES_MAX, &len) ||
        make_list(q, dialects, (char *)names->p, len, list))
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return gateway_answer(r, NGX_HTTP_OK, GATEWAY_TEXT("application/json"),
                          (ngx_str_t){list->len, list->p});
}
