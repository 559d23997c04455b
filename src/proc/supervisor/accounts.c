/*
 * What a status says of providers, limits and the configuration (supervisor_int.h). Of a provider's
 * key it names the place that it comes from, never the key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/control_db.h"
#include "control/snapshot.h"
#include "proc/supervisor/supervisor_int.h"

#define JSON_NUMBER(v) ((json_int_t)(v))

/* A text that may have come from outside: whatever is no printable ASCII becomes '?'. */
static json_t *plain(const char *text) {
    char out[CONFIG_PATH];
    size_t n = strnlen(text, sizeof out - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' ? text[i] : '?';
    return json_stringn(out, n);
}

/* ---- providers ---- */

static json_t *key_source(const struct config_key_source *k) {
    char text[CONFIG_PATH + 16];
    snprintf(text, sizeof text, "%s %s",
             k->env[0]    ? "env"
             : k->file[0] ? "file"
                          : "credential",
             k->env[0]    ? k->env
             : k->file[0] ? k->file
                          : k->credential);
    return plain(text);
}

static json_t *provider_key(const struct config_key_source *source, const struct health_view *view,
                            uint8_t number) {
    static const char *const words[] = {
        [HEALTH_KEY_UNUSED] = "unused",
        [HEALTH_KEY_OK] = "ok",
        [HEALTH_KEY_PARKED] = "parked",
        [HEALTH_KEY_OUT] = "out",
    };
    const char *state = number < HEALTH_KEYS ? words[view->keys[number].state] : "unused";
    return json_pack("{s:o, s:s, s:i, s:I}", "from", key_source(source), "state", state, "status",
                     number < HEALTH_KEYS ? view->keys[number].status : 0, "for_ms",
                     JSON_NUMBER(number < HEALTH_KEYS ? view->keys[number].for_ms : 0));
}

static json_t *provider(const struct supervisor *s, size_t i, uint64_t wall_us) {
    const struct config_provider *c = &s->settings->config->providers.at[i];
    const struct provider_place *place = &s->places[i];
    struct health_view view;
    json_t *keys = json_array();
    bool usable = c->keys.count == 0;
    if (!health_view(s->health, place->provider, wall_us, &view))
        view = (struct health_view){0};
    for (size_t k = 0; k < c->keys.count; k++) {
        usable = usable || view.keys[place->keys[k]].state == HEALTH_KEY_OK;
        json_array_append_new(keys, provider_key(&c->keys.at[k], &view, place->keys[k]));
    }
    const char *state = view.ejected_for_ms ? "ejected" : usable ? "ok" : "no key";
    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:o}", "name", c->name, "url",
                     plain(c->url), "state", state, "in_flight", JSON_NUMBER(view.in_flight),
                     "max_concurrency", JSON_NUMBER(c->max_concurrency), "failures",
                     JSON_NUMBER(view.failures), "ejected_for_ms", JSON_NUMBER(view.ejected_for_ms),
                     "keys", keys);
}

json_t *accounts_providers(const struct supervisor *s) {
    json_t *list = json_array();
    uint64_t wall_us = clock_wall_us();
    for (size_t i = 0; i < s->settings->config->providers.count; i++)
        json_array_append_new(list, provider(s, i, wall_us));
    return list;
}

/* ---- limits ---- */

json_t *accounts_limits_file(const struct supervisor *s) {
    const struct limits_opened *o = &s->limits_opened;
    return json_pack("{s:b, s:b, s:I, s:I, s:s?}", "created", (int)o->created, "set_aside",
                     (int)o->set_aside, "set_aside_ever", JSON_NUMBER(o->set_aside_ever), "dropped",
                     JSON_NUMBER(o->dropped), "trouble",
                     s->limits_trouble ? err_text(s->limits_trouble) : NULL);
}

/* Limits that are not set are left out. Money in billionths of the currency. */
static json_t *limits_object(struct limits_set set) {
    json_t *o = json_object();
    for (size_t i = 0; i < LIMITS_FIELDS; i++) {
        uint64_t v = *limits_field_of(&set, i);
        if (v)
            json_object_set_new(o, limits_fields[i].name, json_integer(JSON_NUMBER(v)));
    }
    return o;
}

struct usage_walk {
    const struct supervisor *s;
    accounts_fn *fn;
    void *arg;
    uint64_t wall_us;
    uint32_t *projects; /* entries that were told already */
    size_t project_count;
};

static json_t *usage_object(const struct usage_walk *w, const char *kind, const char *name,
                            const char *project, uint32_t entry, const struct limits_set *limits) {
    struct limits_usage u;
    limits_usage(w->s->limits, entry, w->wall_us, &u);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "kind", kind, "name",
        name, "project", project, "limits", limits_object(*limits), "used", "requests_per_minute",
        JSON_NUMBER(u.requests_minute), "tokens_per_minute", JSON_NUMBER(u.tokens_minute),
        "concurrency", JSON_NUMBER(u.concurrency), "budget_day", JSON_NUMBER(u.cost_day),
        "budget_month", JSON_NUMBER(u.cost_month), "tokens_day", JSON_NUMBER(u.tokens_day),
        "tokens_month", JSON_NUMBER(u.tokens_month), "reserved", JSON_NUMBER(u.cost_reserved));
}

static bool told(struct usage_walk *w, uint32_t entry) {
    for (size_t i = 0; i < w->project_count; i++)
        if (w->projects[i] == entry)
            return true;
    CHECK(w->project_count < LIMIT_PROJECTS);
    w->projects[w->project_count++] = entry;
    return false;
}

/* As the workers find it: a key that is not published yet has used nothing. */
static int tell(void *arg, const struct control_key *key) {
    struct usage_walk *w = arg;
    struct snapshot_key k;
    if (snapshot_find_key(w->s->snapshot, key->id, strlen(key->id), &k))
        return 0;
    int rc = w->fn(w->arg, usage_object(w, "key", k.id, k.project, k.entry, &k.limits));
    if (!rc && !told(w, k.project_entry))
        rc = w->fn(w->arg, usage_object(w, "project", k.project, k.project, k.project_entry,
                                        &k.project_limits));
    return rc;
}

int accounts_usage(const struct supervisor *s, accounts_fn *fn, void *arg) {
    struct usage_walk w = {.s = s, .fn = fn, .arg = arg, .wall_us = clock_wall_us()};
    char path[INSTALL_PATH];
    struct control_db *db = NULL;
    w.projects = calloc(LIMIT_PROJECTS, sizeof *w.projects);
    int rc = w.projects ? 0 : ERR_NOMEM;
    if (!rc)
        rc = install_path(s->spec->install, CONTROL_DB_PATH, path)
                 ? control_db_open(path, false, &db)
                 : ERR_LIMIT;
    if (!rc)
        rc = control_db_each_live_key(db, w.wall_us, tell, &w);
    control_db_close(db);
    free(w.projects);
    return rc;
}

/* ---- configuration ---- */

json_t *accounts_configuration(const struct supervisor *s) {
    const struct reload *r = &s->reload;
    char currency[SNAPSHOT_CURRENCY] = "";
    json_t *last = json_null();
    if (r->ended_us)
        last = json_pack("{s:b, s:I, s:o}", "ok", r->rc == 0, "at_us", JSON_NUMBER(r->ended_us),
                         "text", plain(r->text));
    if (snapshot_currency(s->snapshot, currency))
        currency[0] = 0;
    return json_pack("{s:o, s:I, s:I, s:I, s:s, s:o}", "file",
                     s->spec->source->file ? plain(s->spec->source->file) : json_null(), "read_us",
                     JSON_NUMBER(s->settings->read_us), "version",
                     JSON_NUMBER(snapshot_version(s->snapshot)), "routes",
                     JSON_NUMBER(s->settings->config->routes.count), "currency", currency,
                     "last_reload", last);
}
