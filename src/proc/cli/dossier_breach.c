/*
 * `safehouse report breach`: what a notification of a breach needs, GDPR Article 33(3), as far as
 * the ledger and the log can say: what was opened in that time, by whom and why, of how many
 * persons; what else was done; what could be read without a key; whether log and ledger are what
 * they were.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/dossier.h"
#include "read/ledger/leaf.h"

#define PEOPLE_COUNTED 20000 /* pseudonyms that are asked about one by one */
#define ASKED 256            /* in one question to the vault */

static const char *text_of(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}
static bool is(const json_t *o, const char *name, const char *word) {
    return strcmp(text_of(o, name), word) == 0;
}
static void count(json_t *o, const char *name, json_int_t n) {
    json_object_set_new(o, name, json_integer(json_integer_value(json_object_get(o, name)) + n));
}

/* ---- of how many persons ---- */

/* Which of these were read: their ids become members of `seen`; *ret_told counts the entries. */
static int look_for(struct dossier *r, uint64_t since_us, uint64_t until_us, const uint8_t *ids,
                    size_t n, json_t *seen, size_t *ret_told) {
    size_t i;
    json_t *e, *list = dossier_readings(r, since_us, until_us, ids, n);
    if (!list)
        return ERR_PEER;
    json_array_foreach(list, i, e) {
        if (is(e, "kind", "opened")) {
            (*ret_told)++;
            json_object_set_new(seen, text_of(e, "subject"), json_true());
        }
    }
    json_decref(list);
    return 0;
}

/* An entry says whose content it was to who has the person's key, so each pseudonym is asked about.
 * -1: it could not be counted. */
static json_int_t count_people(struct dossier *r, uint64_t since_us, uint64_t until_us,
                               size_t *ret_told) {
    uint8_t ids[ASKED * UUID_BYTES];
    json_t *row, *seen = json_object(),
                 *rows = dossier_rows(
                     r, "SELECT DISTINCT subject FROM (SELECT subject FROM interactions UNION ALL"
                        " SELECT subject FROM turns UNION ALL SELECT subject FROM held_turns)");
    size_t i, n = 0;
    int rc = rows && json_array_size(rows) <= PEOPLE_COUNTED ? 0 : ERR_LIMIT;
    *ret_told = 0;
    json_array_foreach(rows, i, row) {
        const char *id = text_of(row, "subject");
        if (rc || strlen(id) != UUID_TEXT || !uuid_parse(ids + n * UUID_BYTES, id, UUID_TEXT))
            continue;
        if (++n == ASKED) {
            rc = look_for(r, since_us, until_us, ids, n, seen, ret_told);
            n = 0;
        }
    }
    if (!rc && n)
        rc = look_for(r, since_us, until_us, ids, n, seen, ret_told);
    const json_int_t people = rc ? -1 : (json_int_t)json_object_size(seen);
    json_decref(rows);
    json_decref(seen);
    return people;
}

/* ---- what was opened ---- */

/* One line for each (who, why). */
static json_t *by_reader(const json_t *opened) {
    json_t *list = json_array(), *e, *g;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)opened, i, e) {
        json_t *group = NULL;
        json_array_foreach(list, k, g) {
            if (!strcmp(text_of(g, "who"), text_of(e, "who")) &&
                !strcmp(text_of(g, "reason"), text_of(e, "reason")))
                group = g;
        }
        if (!group) {
            group = json_pack("{s:O, s:O, s:i, s:i, s:O}", "who", json_object_get(e, "who"),
                              "reason", json_object_get(e, "reason"), "times", 0, "cells", 0,
                              "first", json_object_get(e, "time"));
            json_array_append_new(list, group);
        }
        count(group, "times", 1);
        count(group, "cells", json_integer_value(json_object_get(e, "cells")));
        json_object_set(group, "last", json_object_get(e, "time"));
    }
    return list;
}

static void put_people(struct dossier *r, uint64_t since_us, uint64_t until_us, size_t entries,
                       json_t *o) {
    size_t told = 0;
    const json_int_t people = entries ? count_people(r, since_us, until_us, &told) : 0;
    if (people < 0) {
        dossier_gap(
            r, o, "of how many persons: each entry is one person's in one request, so %zu at most",
            entries);
        return;
    }
    json_object_set_new(o, "pseudonyms_whose_content_was_opened", json_integer(people));
    if (told < entries)
        json_object_set_new(o, "entries_of_persons_erased_since",
                            json_integer((json_int_t)(entries - told)));
}

static void put_opened(struct dossier *r, uint64_t since_us, uint64_t until_us, json_t *summary) {
    json_t *all = dossier_readings(r, since_us, until_us, NULL, 0), *o = json_object(), *e;
    json_t *opened = json_array(), *exported = json_array();
    json_int_t cells = 0;
    size_t i;
    if (!all)
        dossier_gap(r, r->o, "what was opened: %s; unlock the vault, or take a shorter time",
                    remote_why(r->remote));
    json_array_foreach(all, i, e) {
        json_array_append(is(e, "kind", "opened") ? opened : exported, e);
        cells += is(e, "kind", "opened") ? json_integer_value(json_object_get(e, "cells")) : 0;
    }
    if (all) {
        json_object_set_new(summary, "openings", json_integer((json_int_t)json_array_size(opened)));
        json_object_set_new(summary, "cells_opened", json_integer(cells));
        json_object_set_new(summary, "entries_of_exports",
                            json_integer((json_int_t)json_array_size(exported)));
        put_people(r, since_us, until_us, json_array_size(opened), summary);
    }
    json_object_set_new(o, "by_whom_and_why", by_reader(opened));
    json_object_set_new(o, "each", opened);
    json_object_set_new(r->o, "opened", o);
    json_object_set_new(r->o, "exports", exported);
    json_decref(all);
}

/* ---- what else was done ---- */

static void put_sign_ins(struct dossier *r, const json_t *events, json_t *summary) {
    json_t *list = json_array(),
           *o = json_pack("{s:i, s:i, s:i}", "signed_in", 0, "refused", 0, "locked_out", 0), *e;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)events, i, e) {
        if (!is(e, "kind", "sign-in"))
            continue;
        const char *name = is(e, "result", "signed in")    ? "signed_in"
                           : is(e, "result", "refused")    ? "refused"
                           : is(e, "result", "locked out") ? "locked_out"
                                                           : NULL;
        if (name)
            count(o, name, 1);
        if (name && strcmp(name, "signed_in") != 0)
            json_array_append(list, e);
    }
    json_object_set(summary, "lock_outs", json_object_get(o, "locked_out"));
    json_object_set_new(o, "anomalies", list);
    json_object_set_new(r->o, "sign_ins", o);
}

static void put_kind(struct dossier *r, const json_t *events, const char *member,
                     const char *const *kinds) {
    json_t *list = json_array(), *e;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)events, i, e) {
        for (size_t k = 0; kinds[k]; k++)
            if (is(e, "kind", kinds[k]))
                json_array_append(list, e);
    }
    json_object_set_new(r->o, member, list);
}

static void put_alarms(struct dossier *r, const json_t *events, json_t *summary) {
    json_t *list = json_array(), *e;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)events, i, e) {
        if (is(e, "kind", "canary") && is(e, "step", "opened"))
            json_array_append(list, e);
    }
    json_object_set_new(summary, "alarms_of_canaries",
                        json_integer((json_int_t)json_array_size(list)));
    json_object_set_new(r->o, "alarms_of_canaries", list);
}

static void put_events(struct dossier *r, uint64_t since_us, uint64_t until_us, json_t *summary) {
    static const char *const rights[] = {"grant", "approval", NULL},
                             *const gone[] = {"erased", "held", "released", "retention", NULL},
                             *const system[] = {"configuration", "key rotated", NULL},
                             *const asked[] = {"asked", NULL};
    const uint32_t kinds = DOSSIER_KIND(LEDGER_ASKED) | DOSSIER_KIND(LEDGER_ERASED) |
                           DOSSIER_KIND(LEDGER_HELD) | DOSSIER_KIND(LEDGER_RELEASED) |
                           DOSSIER_KIND(LEDGER_RETENTION) | DOSSIER_KIND(LEDGER_GRANT) |
                           DOSSIER_KIND(LEDGER_APPROVAL) | DOSSIER_KIND(LEDGER_KEY_ROTATED) |
                           DOSSIER_KIND(LEDGER_SIGN_IN) | DOSSIER_KIND(LEDGER_CONFIGURATION) |
                           DOSSIER_KIND(LEDGER_CANARY);
    json_t *events = dossier_events(r, since_us, until_us, kinds);
    if (!events) {
        dossier_gap(r, r->o, "sign-ins, grants, erasures and alarms: %s", remote_why(r->remote));
        return;
    }
    put_alarms(r, events, summary);
    put_sign_ins(r, events, summary);
    put_kind(r, events, "grants_and_approvals", rights);
    put_kind(r, events, "erased_held_and_let_go", gone);
    put_kind(r, events, "configuration_and_keys", system);
    put_kind(r, events, "fingerprints_asked_for", asked);
    json_decref(events);
}

/* ---- what could be read without a key ---- */

static void put_rows(struct dossier *r, json_t *o, const char *member, const char *sql) {
    json_t *v = dossier_row(r, sql);
    if (v)
        json_object_set_new(o, member, v);
    else
        dossier_gap(r, o, "%s: %s", member, remote_why(r->remote));
}

static void put_clear(struct dossier *r, uint64_t since_us, uint64_t until_us) {
    static const char columns[] =
        "SELECT count() AS n_interactions, uniqExact(subject) AS n_pseudonyms,"
        " uniqExact(project) AS n_projects, countIf(session_id != '') AS n_with_session_id,"
        " countIf(trace_id != '') AS n_with_trace_id, countIf(notEmpty(tags)) AS n_with_tags,"
        " countIf(findings > 0) AS n_with_something_found FROM interactions WHERE ";
    const long long since = (long long)since_us, until = (long long)until_us;
    char sql[1024];
    json_t *o = json_object();
    json_object_set_new(
        o, "note",
        json_string("Whoever reads the database without keys sees clear metadata of pseudonyms: "
                    "times, models, token "
                    "counts, sizes (doc/metadata.md). Content, names and secrets are sealed. "
                    "Whoever held the "
                    "running machine as root saw what passed through it in that time."));
    snprintf(sql, sizeof sql, "%stoUnixTimestamp64Micro(time) < %lld", columns, until);
    put_rows(r, o, "in_the_database_at_the_end", sql);
    snprintf(sql, sizeof sql,
             "%stoUnixTimestamp64Micro(time) >= %lld AND toUnixTimestamp64Micro(time) < %lld",
             columns, since, until);
    put_rows(r, o, "new_in_that_time", sql);
    snprintf(sql, sizeof sql,
             "SELECT class, count() AS n_interactions, uniqExact(subject) AS n_pseudonyms FROM "
             "findings WHERE"
             " toUnixTimestamp64Micro(time) < %lld GROUP BY class ORDER BY class",
             until);
    json_t *found = dossier_rows(r, sql);
    if (found)
        json_object_set_new(o, "known_to_be_in_content", found);
    json_object_set(o, "listens", json_object_get(json_object_get(r->status, "gateway"), "listen"));
    json_object_set(o, "vault_locked_now",
                    json_object_get(json_object_get(r->status, "vault"), "locked"));
    json_object_set_new(r->o, "readable_without_a_key", o);
}

int dossier_breach(struct dossier *r, uint64_t since_us, uint64_t until_us, bool rows) {
    char since[READ_TIME], until[READ_TIME];
    json_t *summary = json_object();
    subject_time(since, since_us);
    subject_time(until, until_us);
    json_object_set_new(r->o, "period", json_pack("{s:s, s:s}", "since", since, "until", until));
    json_object_set_new(r->o, "summary", summary);
    json_object_set_new(
        r->o, "controller",
        json_pack("{s:o, s:o, s:o}", "name", dossier_text(r->config->processing.controller),
                  "contact", dossier_text(r->config->processing.contact), "data_protection_officer",
                  dossier_text(r->config->processing.officer)));
    put_opened(r, since_us, until_us, summary);
    put_events(r, since_us, until_us, summary);
    json_t *verified = dossier_verify(r, rows);
    json_object_set(summary, "log_and_ledger", json_object_get(verified, "result"));
    json_object_set_new(r->o, "verified", verified);
    put_clear(r, since_us, until_us);
    json_object_set_new(summary, "entries_that_a_witness_cosigned", dossier_witness(r));
    return CLI_GO;
}
