/*
 * Session, trace and tags of an exchange, as far as the configuration lists them: from the
 * request's headers here; from members of `metadata` in the sealer, which reads the body anyway and
 * is told which (ring/labels.h). The project's fixed tags come along. Most installations list
 * nothing, and then this costs a comparison.
 */
#include "ring/labels.h"

#include "write/gateway/gateway.h"

/* What the configuration lists, read once for each version of it. */
static int read_log(struct gateway_worker *w) {
    uint64_t version = snapshot_version(w->snapshot);
    if (version == w->log_version)
        return 0;
    int rc = snapshot_log(w->snapshot, &w->log);
    if (!rc)
        rc = snapshot_currency(w->snapshot, w->currency);
    if (!rc)
        w->log_version = version;
    return rc;
}

static int append(struct gateway_request *q, const struct label *l) {
    uint8_t record[LABEL_MAX];
    size_t n = label_encode(record, l);
    return n ? ring_append(gateway_worker.region, q->slot, RING_LABELS, record, n) : 0;
}

struct search {
    const char *name;
    size_t len;
    ngx_str_t value;
};

static void look(ngx_http_request_t *r, ngx_table_elt_t *h, void *arg) {
    struct search *s = arg;
    (void)r;
    if (!s->value.len && h->key.len == s->len && memcmp(h->lowcase_key, s->name, s->len) == 0)
        s->value = h->value;
}

static bool is_text(const ngx_str_t *value) {
    for (size_t i = 0; i < value->len; i++)
        if (value->data[i] < ' ' || value->data[i] > '~')
            return false;
    return value->len <= LIMIT_LABEL;
}

static int take(ngx_http_request_t *r, struct gateway_request *q, enum label_kind kind,
                const struct snapshot_source *from) {
    struct label l = {.kind = kind, .name = from->name, .name_len = strlen(from->name)};
    if (from->from == SNAPSHOT_METADATA && q->scanned) {
        l.from = LABEL_MEMBER;
        l.text = from->key;
        l.text_len = strlen(from->key);
        return append(q, &l);
    }
    struct search s = {.name = from->key, .len = strlen(from->key)};
    if (from->from != SNAPSHOT_HEADER)
        return 0;
    gateway_each_header(r, &r->headers_in.headers, look, &s);
    if (!is_text(&s.value))
        return 0;
    l.text = (char *)s.value.data;
    l.text_len = s.value.len;
    return append(q, &l);
}

static int take_fixed(struct gateway_request *q) {
    static struct snapshot_source tags[LIMIT_TAGS]; /* one request at a time */
    uint32_t count = 0;
    int rc = 0;
    (void)snapshot_project_tags(gateway_worker.snapshot, &q->key, tags, &count);
    for (uint32_t i = 0; i < count && !rc; i++) {
        const struct label l = {.kind = LABEL_TAG,
                                .name = tags[i].name,
                                .name_len = strlen(tags[i].name),
                                .text = tags[i].key,
                                .text_len = strlen(tags[i].key)};
        rc = append(q, &l);
    }
    return rc;
}

int gateway_labels(ngx_http_request_t *r, struct gateway_request *q) {
    int rc = read_log(&gateway_worker);
    const struct snapshot_log *log = &gateway_worker.log;
    if (!rc && log->session_id.from != SNAPSHOT_NOWHERE)
        rc = take(r, q, LABEL_SESSION, &log->session_id);
    if (!rc && log->trace_id.from != SNAPSHOT_NOWHERE)
        rc = take(r, q, LABEL_TRACE, &log->trace_id);
    for (uint32_t i = 0; i < log->tag_count && !rc; i++)
        rc = take(r, q, LABEL_TAG, &log->tags[i]);
    return rc ? rc : take_fixed(q);
}
