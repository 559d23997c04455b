/*
 * Everything of one person as JSON lines (doc/export.md): a line that says what this is, a line an
 * interaction in the message schema of OpenTelemetry's GenAI conventions, a line for each time that
 * somebody read any of it. The digest of all lines is what the vault signs.
 *
 * Content is opened conversation by conversation, as `safehouse show` does: each opening is in the
 * ledger before, and so is the export.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "llm/json.h"
#include "proc/cli/subject.h"
#include "read/query/history.h"
#include "read/query/otel.h"

#define ROWS_BYTES (1ull << 30)
#define LINE_BYTES (4ull * LIMIT_TURN_PLAIN)

struct export {
    struct subject_ask *ask;
    struct out *out;
    crypto_hash_sha256_state hash;
    struct buf line;
    struct history *history; /* of the conversation below */
    uint8_t conversation[UUID_BYTES];
    uint32_t count;
};

/* Between JSON's tokens only are there line ends. */
static int end_line(struct export *x) {
    struct buf *b = &x->line;
    for (size_t i = 0; i < b->len; i++)
        if (b->p[i] == '\n' || b->p[i] == '\r')
            b->p[i] = ' ';
    int rc = buf_append_u8(b, '\n');
    crypto_hash_sha256_update(&x->hash, b->p, b->len);
    if (!rc)
        rc = out_write(x->out, b->p, b->len);
    buf_clear(b);
    return rc;
}

static int put_string(struct buf *b, const char *name, const char *text, size_t len) {
    int rc = buf_printf(b, ",\"%s\":", name);
    return rc ? rc : jv_quote(b, text, len);
}

static int put_head(struct export *x, const struct subject_person *p) {
    char now[READ_TIME], id[UUID_TEXT + 1];
    struct buf *b = &x->line;
    subject_time(now, clock_wall_us());
    int rc = buf_printf(b, "{\"type\":\"export\",\"version\":1,\"time\":\"%s\"", now);
    if (!rc)
        rc = put_string(b, "name", p->name.name, strlen(p->name.name));
    if (!rc)
        rc = put_string(b, "project", p->name.project, strlen(p->name.project));
    if (!rc)
        rc = buf_append_str(b, ",\"schema\":\"OpenTelemetry GenAI semantic conventions 0.1.0\","
                               "\"subjects\":[");
    for (size_t at = 0; !rc && at < p->ids.len; at += INQUIRY_ID_ROW) {
        uuid_format(id, p->ids.p + at);
        rc = buf_printf(b, "%s\"%s\"", at ? "," : "", id);
    }
    if (!rc)
        rc = buf_append_str(b, "]}");
    return rc ? rc : end_line(x);
}

/* ---- interactions ---- */

static int put_member(struct buf *b, struct jv row, const char *column, const char *name) {
    const struct jv v = jv_get(row, column);
    if (jv_is_empty(v))
        return 0;
    int rc = buf_printf(b, ",\"%s\":", name);
    return rc ? rc : buf_append(b, v.p, v.len);
}

/* The history of the row's conversation; of the one before, if it is the same. */
static int load_history(struct export *x, struct jv row) {
    char text[UUID_TEXT + 1];
    uint8_t id[UUID_BYTES];
    if (!jv_text_fits(jv_get(row, "conversation"), text, sizeof text) ||
        !uuid_parse(id, text, UUID_TEXT))
        return ERR_CORRUPT;
    if (x->history && !memcmp(id, x->conversation, UUID_BYTES))
        return 0;
    history_free(x->history);
    x->history = NULL;
    memcpy(x->conversation, id, UUID_BYTES);
    return history_load(&x->history, x->ask->remote, id);
}

static int put_content(struct export *x, struct jv row) {
    char text[UUID_TEXT + 1];
    uint8_t id[UUID_BYTES];
    struct exchange e;
    size_t kept;
    int rc = load_history(x, row);
    if (rc == ERR_NOTFOUND) /* its content was let go of before its metadata */
        return buf_append_str(&x->line, ",\"safehouse.content\":\"gone\"");
    if (rc)
        return rc;
    if (!jv_text_fits(jv_get(row, "id"), text, sizeof text) || !uuid_parse(id, text, UUID_TEXT))
        return ERR_CORRUPT;
    const long at = history_find(x->history, id);
    if (at < 0)
        return buf_append_str(&x->line, ",\"safehouse.content\":\"gone\"");
    rc = history_exchange(x->history, (size_t)at, &e, &kept);
    if (rc)
        return rc;
    rc = otel_messages(&e, &x->line);
    exchange_done(&e);
    return rc;
}

static int put_interaction(struct export *x, struct jv row) {
    static const struct {
        const char *column, *name;
    } about[] = {{"id", "id"},           {"at", "time"},      {"subject", "subject"},
                 {"project", "project"}, {"key", "key"},      {"status", "status"},
                 {"outcome", "outcome"}, {"error", "error"},  {"session_id", "session_id"},
                 {"trace_id", "trace_id"}, {"tags", "tags"}},
      attributes[] = {{"provider", "gen_ai.provider.name"},
                      {"model_asked", "gen_ai.request.model"},
                      {"model", "gen_ai.response.model"},
                      {"conversation", "gen_ai.conversation.id"},
                      {"tokens_input", "gen_ai.usage.input_tokens"},
                      {"tokens_output", "gen_ai.usage.output_tokens"}};
    struct buf *b = &x->line;
    int rc = buf_append_str(b, "{\"type\":\"interaction\"");
    for (size_t i = 0; !rc && i < sizeof about / sizeof about[0]; i++)
        rc = put_member(b, row, about[i].column, about[i].name);
    if (!rc)
        rc = buf_append_str(b, ",\"attributes\":{\"gen_ai.operation.name\":\"chat\"");
    for (size_t i = 0; !rc && i < sizeof attributes / sizeof attributes[0]; i++)
        rc = put_member(b, row, attributes[i].column, attributes[i].name);
    if (!rc && jv_equals(jv_get(row, "stored"), "turn"))
        rc = put_content(x, row);
    else if (!rc)
        rc = put_member(b, row, "stored", "safehouse.content");
    if (!rc)
        rc = buf_append_str(b, "}}");
    x->count++;
    return rc ? rc : end_line(x);
}

#define COLUMNS                                                                                    \
    "id, conversation, formatDateTime(time, '%Y-%m-%dT%H:%i:%S.%fZ') AS at, subject, project, key,"  \
    " dialect, provider, model_asked, model, status, outcome, error, tokens_input, tokens_output,"   \
    " session_id, trace_id, tags, stored"

static int put_select(struct buf *sql, const struct subject_person *p, const char *table) {
    int rc = buf_append_str(sql, "SELECT " COLUMNS ", time FROM ");
    if (!rc)
        rc = buf_append_str(sql, table);
    if (!rc)
        rc = buf_append_str(sql, " WHERE subject IN (");
    if (!rc)
        rc = subject_id_list(p, sql);
    return rc ? rc : buf_append_str(sql, ")");
}

/* With what a hold kept from retention. */
static int put_statement(struct buf *sql, const struct subject_person *p) {
    int rc = buf_append_str(sql, "SELECT * EXCEPT (time) FROM (");
    if (!rc)
        rc = put_select(sql, p, "interactions");
    if (!rc)
        rc = buf_append_str(sql, " UNION DISTINCT ");
    if (!rc)
        rc = put_select(sql, p, "held_interactions");
    if (!rc)
        rc = buf_append_str(sql, ") ORDER BY conversation, time, id");
    return rc ? rc : buf_append_u8(sql, 0);
}

static int put_interactions(struct export *x, const struct subject_person *p) {
    struct buf sql, rows;
    buf_init(&sql, LIMIT_SQL);
    buf_init(&rows, ROWS_BYTES);
    int rc = put_statement(&sql, p);
    if (!rc)
        rc = remote_query_whole(x->ask->remote, "JSONEachRow", (const char *)sql.p, &rows);
    const uint8_t *at = rows.p, *end = rows.p + rows.len;
    while (!rc && at < end) {
        struct jv row;
        const uint8_t *eol = memchr(at, '\n', (size_t)(end - at));
        rc = jv_parse(&row, at, (size_t)((eol ? eol : end) - at)) ? ERR_CORRUPT : 0;
        if (!rc)
            rc = put_interaction(x, row);
        at = eol ? eol + 1 : end;
    }
    buf_wipe(&sql);
    buf_wipe(&rows);
    return rc;
}

/* ---- who read it ---- */

static int put_reading(void *arg, uint16_t msg, const uint8_t *p, size_t len) {
    struct export *x = arg;
    struct inquiry_reading r;
    char when[READ_TIME], id[UUID_TEXT + 1];
    int rc = msg == MSG_READING ? inquiry_reading_decode(&r, p, len) : ERR_DENIED;
    if (rc)
        return rc;
    subject_time(when, r.time_us);
    uuid_format(id, r.subject);
    rc = buf_printf(&x->line, "{\"type\":\"reading\",\"time\":\"%s\",\"what\":\"%s\",\"subject\":\"%s\","
                              "\"cells\":%u,\"ledger\":%llu,\"uid\":%u",
                    when, r.kind == 4 ? "exported" : "opened", id, r.cells,
                    (unsigned long long)r.index, r.uid);
    if (!rc)
        rc = put_string(&x->line, "person", r.person, r.person_len);
    if (!rc)
        rc = put_string(&x->line, "reason", r.reason, r.reason_len);
    if (!rc)
        rc = buf_append_u8(&x->line, '}');
    return rc ? rc : end_line(x);
}

static int put_readings(struct export *x, const struct subject_person *p) {
    struct buf q;
    uint8_t head[16] = {0};
    buf_init(&q, LIMIT_FRAME);
    put_u64(head + 8, UINT64_MAX);
    int rc = buf_append(&q, head, sizeof head);
    for (size_t at = 0; !rc && at < p->ids.len; at += INQUIRY_ID_ROW)
        rc = buf_append(&q, p->ids.p + at, UUID_BYTES);
    if (!rc)
        rc = remote_vault(x->ask->remote, MSG_READINGS, q.p, q.len, put_reading, x);
    buf_wipe(&q);
    return rc;
}

int subject_export(struct subject_ask *s, const struct subject_person *p, struct out *out,
                   uint8_t ret_sha256[32], uint32_t *ret_count) {
    struct export x = {.ask = s, .out = out};
    buf_init(&x.line, LINE_BYTES);
    crypto_hash_sha256_init(&x.hash);
    int rc = put_head(&x, p);
    if (!rc)
        rc = put_interactions(&x, p);
    if (!rc)
        rc = put_readings(&x, p);
    crypto_hash_sha256_final(&x.hash, ret_sha256);
    *ret_count = x.count;
    history_free(x.history);
    buf_wipe(&x.line);
    sodium_memzero(&x, sizeof x);
    return rc;
}
