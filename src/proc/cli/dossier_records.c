/*
 * `safehouse report records`: the record of processing activities, GDPR Article 30(1). What the
 * controller has to state is taken from `processing` of the configuration; the rest is what is so:
 * counted, asked of the programs, checked.
 */
#include <stdio.h>
#include <string.h>

#include "proc/cli/ledger_cli.h"
#include "proc/cli/dossier.h"
#include "read/ledger/leaf.h"

static void put_controller(struct dossier *r) {
    const struct config *c = r->config;
    json_object_set_new(r->o, "controller",
                        json_pack("{s:o, s:o, s:o, s:o}", "name",
                                  dossier_text(c->processing.controller), "contact",
                                  dossier_text(c->processing.contact), "representative",
                                  dossier_text(c->processing.representative),
                                  "data_protection_officer", dossier_text(c->processing.officer)));
    json_object_set_new(r->o, "purposes", dossier_names(&c->processing.purposes));
    json_object_set_new(r->o, "legal_bases", dossier_names(&c->processing.legal_bases));
}

static void put_people(struct dossier *r) {
    json_t *o =
        json_pack("{s:o}", "stated", dossier_names(&r->config->processing.categories_people));
    json_object_set_new(r->o, "persons", o);
    json_object_set_new(
        o, "note",
        json_string(
            "Those whose requests applications send, each known by a random pseudonym; and the "
            "people who sign in here."));
    json_t *row = dossier_row(
        r, "SELECT uniqExact(subject) AS n_pseudonyms, uniqExact(project) AS n_projects,"
           " uniqExact(key) AS n_api_keys, count() AS n_interactions FROM interactions");
    if (row)
        json_object_update(o, row);
    else
        dossier_gap(r, o, "how many there are: %s", remote_why(r->remote));
    json_decref(row);
}

/* ---- categories of data ---- */

static void add(json_t *list, const char *data, const char *form, const char *from) {
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s}", "data", data, "form", form, "from", from));
}

static const char *source(const struct config_source *s) {
    return *s->header ? s->header : s->metadata;
}

static void put_labels(const struct config *c, json_t *list) {
    if (*source(&c->log.session_id))
        add(list, "session ids", "clear", source(&c->log.session_id));
    if (*source(&c->log.trace_id))
        add(list, "trace ids", "clear", source(&c->log.trace_id));
    for (size_t i = 0; i < c->log.tags.count; i++)
        add(list, c->log.tags.at[i].name, "clear (tag)", source(&c->log.tags.at[i].source));
}

static void put_data(struct dossier *r) {
    const struct config *c = r->config;
    json_t *list = json_array(),
           *o = json_pack("{s:o}", "stated", dossier_names(&c->processing.categories_data));
    add(list, "prompts, answers, tool calls, parameters", "sealed for each person",
        "requests and answers");
    add(list, "names of users in requests", "sealed; in the log a random pseudonym",
        "user, user_id, metadata.user_id");
    add(list, "time, model, tokens, cost, durations, outcome", "clear, by pseudonym",
        "each request");
    add(list, "project, API key's id", "clear", "each request");
    add(list, "kinds of secrets and personal data found",
        c->detect.enabled ? "clear, without the value" : "not looked for", "the detector");
    add(list, "who read what, when and why", "sealed to the audit key", "the vault's ledger");
    put_labels(c, list);
    json_object_set_new(o, "kept", list);
    json_object_set_new(r->o, "data", o);
    json_t *rows = dossier_rows(
        r, "SELECT class, count() AS n_interactions, uniqExact(subject) AS n_pseudonyms"
           " FROM findings GROUP BY class ORDER BY class");
    if (rows)
        json_object_set_new(o, "found_in_content", rows);
    else
        dossier_gap(r, o, "what was found in content: %s", remote_why(r->remote));
}

/* ---- measures ---- */

static bool all_confined(const json_t *status) {
    const json_t *p;
    size_t i;
    bool all = true;
    json_array_foreach(json_object_get(status, "programs"), i, p) {
        const char *name = json_string_value(json_object_get(p, "name"));
        if (name &&
            strcmp(name, "gateway") != 0) /* its master is not, and its workers are said apart */
            all = all && json_is_true(json_object_get(p, "seccomp")) &&
                  json_integer_value(json_object_get(p, "landlock")) > 0;
    }
    return all;
}

static bool workers_confined(const json_t *status) {
    const json_t *w, *list = json_object_get(json_object_get(status, "gateway"), "workers");
    size_t i;
    bool all = json_array_size(list) > 0;
    json_array_foreach(list, i, w) all =
        all && json_integer_value(json_object_get(w, "seccomp")) == 2;
    return all;
}

/* The actions that the configuration gives its classes, and how many classes have each. */
static json_t *actions(const struct config_pairs *classes) {
    json_t *o = json_object();
    for (size_t i = 0; i < classes->count; i++) {
        const char *action = classes->at[i].text;
        json_object_set_new(o, action,
                            json_integer(json_integer_value(json_object_get(o, action)) + 1));
    }
    return o;
}

static json_t *replicas(const json_t *vault) {
    const json_t *list = json_object_get(vault, "replicas"), *state;
    size_t i, current = 0;
    char text[64];
    json_array_foreach(list, i, state) current +=
        json_is_string(state) && strcmp(json_string_value(state), "current") == 0;
    snprintf(text, sizeof text, "%zu, of which %zu are current", json_array_size(list), current);
    return json_string(text);
}

static json_t *measures(struct dossier *r) {
    const json_t *s = r->status, *vault = json_object_get(s, "vault"),
                 *gateway = json_object_get(s, "gateway");
    const char *users = json_string_value(json_object_get(s, "users"));
    json_t *o = json_object();
    json_object_set_new(o, "content_sealed_for_each_person", json_true());
    json_object_set_new(o, "programs_sandboxed", json_boolean(all_confined(s)));
    json_object_set_new(o, "gateway_workers_sandboxed", json_boolean(workers_confined(s)));
    json_object_set(o, "sandbox", json_object_get(s, "sandbox"));
    json_object_set_new(o, "a_user_for_each_program",
                        json_boolean(users && strcmp(users, "separate") == 0));
    json_object_set(o, "memory_locked", json_object_get(s, "memory_locked"));
    json_object_set_new(o, "tls_here", json_boolean(json_is_true(json_object_get(gateway, "tls"))));
    json_object_set_new(o, "tls_in_front", json_boolean(r->config->behind_tls_proxy));
    json_object_set(o, "listens", json_object_get(gateway, "listen"));
    json_object_set(o, "vault_locked", json_object_get(vault, "locked"));
    json_object_set_new(o, "replicas_of_the_keys", replicas(vault));
    json_object_set(o, "ledger", json_object_get(vault, "ledger"));
    json_object_set_new(o, "cells_an_hour_without_a_second_person",
                        json_integer((json_int_t)r->config->vault.approval_above));
    json_object_set_new(o, "secrets_and_personal_data_looked_for",
                        json_boolean(r->config->detect.enabled));
    json_object_set_new(o, "actions_by_class", actions(&r->config->detect.classes));
    json_object_set_new(o, "entries_that_a_witness_cosigned", dossier_witness(r));
    json_object_set_new(o, "ledger_verified", dossier_verify(r, false));
    return o;
}

/* ---- time limits ---- */

static void put_limits(struct dossier *r) {
    json_t *o = dossier_limits(r);
    json_object_set_new(
        o, "note",
        json_string("Whole months go after their last day is that long ago; of persons who are "
                    "held they are "
                    "kept. A person is erased at any time, at once, by destroying the keys."));
    json_object_set_new(r->o, "time_limits", o);
    json_t *row =
        dossier_row(r, "SELECT uniqExact(subject) AS n_held_pseudonyms FROM held_interactions");
    if (row)
        json_object_set(o, "pseudonyms_with_rows_held_beyond",
                        json_object_get(row, "held_pseudonyms"));
    else
        dossier_gap(r, o, "rows that are held: %s", remote_why(r->remote));
    json_decref(row);
    json_t *gone = dossier_events(r, 0, UINT64_MAX, DOSSIER_KIND(LEDGER_RETENTION)),
           *erased = dossier_events(r, 0, UINT64_MAX, DOSSIER_KIND(LEDGER_ERASED));
    if (gone && erased) {
        json_object_set_new(o, "months_let_go", json_integer((json_int_t)json_array_size(gone)));
        json_object_set_new(o, "persons_erased", json_integer((json_int_t)json_array_size(erased)));
    } else {
        dossier_gap(r, o, "what went and who was erased: %s", remote_why(r->remote));
    }
    json_decref(gone);
    json_decref(erased);
}

int dossier_records(struct dossier *r) {
    const struct config *c = r->config;
    put_controller(r);
    put_people(r);
    put_data(r);
    json_object_set_new(r->o, "recipients",
                        json_pack("{s:o, s:o}", "stated", dossier_names(&c->processing.recipients),
                                  "providers", dossier_recipients(r, "")));
    json_object_set_new(
        r->o, "transfers_to_third_countries",
        json_pack(
            "{s:o, s:s}", "stated", dossier_text(c->processing.transfers), "note",
            "Prompts go to the providers' hosts above; where these stand is for the controller to "
            "state."));
    put_limits(r);
    json_object_set_new(r->o, "measures",
                        json_pack("{s:o, s:o}", "stated", dossier_names(&c->processing.measures),
                                  "in_force", measures(r)));
    return CLI_GO;
}
