/*
 * `safehouse report subject`: what is kept of one person, GDPR Article 15(1), without the content
 * itself, which is what `safehouse subject export` writes. Nothing is opened, so nothing is noted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/dossier.h"

/* The rows of these ids; `sql` up to its WHERE, `rest` after the list. */
static json_t *rows_of(struct dossier *r, const struct subject_person *p, const char *sql,
                       const char *rest) {
    struct buf b;
    json_t *rows = NULL;
    buf_init(&b, LIMIT_SQL);
    int rc = buf_printf(&b, "%s WHERE subject IN (", sql);
    if (!rc)
        rc = subject_id_list(p, &b);
    if (!rc)
        rc = buf_printf(&b, ")%s", rest);
    if (!rc)
        rc = buf_append_u8(&b, 0);
    if (!rc)
        rows = dossier_rows(r, (const char *)b.p);
    buf_wipe(&b);
    return rows;
}

static void put(struct dossier *r, json_t *o, const char *member, json_t *rows) {
    if (rows)
        json_object_set_new(o, member, rows);
    else
        dossier_gap(r, o, "%s: %s", member, remote_why(r->remote));
}

static void put_counts(struct dossier *r, const struct subject_person *p, json_t *o) {
    json_t *kept = json_object();
    put(r, kept, "exchanges",
        rows_of(r, p,
                "SELECT project, count() AS n_exchanges, min(time) AS first, max(time) AS last,"
                " sum(tokens_input) AS n_tokens_in, sum(tokens_output) AS n_tokens_out,"
                " countIf(stored = 'turn') AS n_with_content FROM interactions",
                " GROUP BY project ORDER BY project"));
    put(r, kept, "recipients",
        rows_of(r, p, "SELECT provider, model, count() AS n_exchanges FROM interactions",
                " AND provider != '' GROUP BY provider, model ORDER BY provider, model"));
    put(r, kept, "found_in_content",
        rows_of(r, p, "SELECT class, place, sum(count) AS n_times FROM findings",
                " GROUP BY class, place ORDER BY class, place"));
    put(r, kept, "labels_of_applications",
        rows_of(r, p,
                "SELECT countIf(session_id != '') AS n_session_ids, countIf(trace_id != '') AS "
                "n_trace_ids,"
                " countIf(notEmpty(tags)) AS n_tagged FROM interactions",
                ""));
    put(r, kept, "kept_beyond_retention",
        rows_of(r, p, "SELECT count() AS n_exchanges FROM held_interactions", ""));
    json_object_set_new(o, "kept", kept);
}

static json_t *readings(struct dossier *r, const struct subject_person *p) {
    const size_t n = p->ids.len / INQUIRY_ID_ROW;
    uint8_t *ids = malloc(UUID_BYTES * (n ? n : 1));
    for (size_t i = 0; ids && i < n; i++)
        memcpy(ids + UUID_BYTES * i, p->ids.p + INQUIRY_ID_ROW * i, UUID_BYTES);
    json_t *list = ids ? dossier_readings(r, 0, UINT64_MAX, ids, n) : NULL;
    free(ids);
    return list;
}

static json_t *describe(struct dossier *r, const struct subject_person *p) {
    char since[READ_TIME];
    subject_time(since, p->held_since_us);
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:o, s:o}", "name", p->name.name, "project", p->name.project, "kind",
        p->name.kind == SUBJECT_KEY ? "API key" : "person", "pseudonyms", subject_ids(p, "pseudonym", "since"), "hold",
        p->held_since_us ? json_pack("{s:s, s:s}", "since", since, "reason", p->reason)
                         : json_string("not held"));
    put_counts(r, p, o);
    put(r, o, "who_read_it", readings(r, p));
    return o;
}

static void put_frame(struct dossier *r) {
    static const char *const categories[] = {
        "prompts, answers and tool calls, sealed to this person's key",
        "the name that requests carry, sealed",
        "time, model, provider, token counts, cost, durations, outcome of each exchange, under the "
        "pseudonym",
        "kinds of secrets and personal data that were found in content, without the value",
    };
    const struct config *c = r->config;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof categories / sizeof categories[0]; i++)
        json_array_append_new(list, json_string(categories[i]));
    json_object_set_new(r->o, "controller",
                        json_pack("{s:o, s:o}", "name", dossier_text(c->processing.controller),
                                  "contact", dossier_text(c->processing.contact)));
    json_object_set_new(r->o, "purposes", dossier_names(&c->processing.purposes));
    json_object_set_new(r->o, "legal_bases", dossier_names(&c->processing.legal_bases));
    json_object_set_new(r->o, "categories_of_data", list);
    json_object_set_new(r->o, "time_limits", dossier_limits(r));
    json_object_set_new(r->o, "source",
                        json_string("the requests that applications send on this person's behalf"));
    json_object_set_new(
        r->o, "rights",
        json_string("the content: safehouse subject export; erasure: safehouse subject erase"));
}

int dossier_subject(struct dossier *r, struct subject_ask *ask) {
    struct subject_answer *a = calloc(1, sizeof *a);
    ask->remote = r->remote;
    int rc = a ? subject_ask(ask, INQUIRY_FIND, a) : ERR_NOMEM, code = CLI_GO;
    if (rc == ERR_NOTFOUND)
        code = cli_fail_as(rc, CLI_INCOMPLETE, NULL, "nobody has this name");
    else if (rc)
        code = read_fail(r->remote, r->dir, rc);
    read_harden(); /* names */
    json_t *people = json_array();
    for (size_t i = 0; code == CLI_GO && i < a->count; i++)
        json_array_append_new(people, describe(r, &a->at[i]));
    subject_answer_free(a);
    if (code == CLI_GO)
        put_frame(r);
    /* A section for each, not a table. */
    for (size_t i = 0; i < json_array_size(people); i++) {
        char name[32];
        snprintf(name, sizeof name, json_array_size(people) > 1 ? "person_%zu" : "person", i + 1);
        json_object_set(r->o, name, json_array_get(people, i));
    }
    json_decref(people);
    return code;
}
