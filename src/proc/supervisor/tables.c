/*
 * The tables in which gateway workers count together (supervisor_int.h), in the supervisor's part:
 * made once, looked after once a second. The limits file is on disk and outlives everything; health
 * and metrics are as old as the supervisor, so that neither a reload nor a death of nginx forgets
 * what was learnt of providers.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "control/snapshot.h"
#include "proc/supervisor/supervisor_int.h"

#define EVERY_NS (1000 * MS)

static int open_limits(struct supervisor *s) {
    char path[INSTALL_PATH];
    if (!install_path(s->spec->install, LIMITS_PATH, path))
        return why_say(s->why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    int rc = limits_open(path, clock_wall_us(), &s->limits, &s->limits_opened);
    if (rc)
        return why_say(s->why, rc, "cannot open %s: %s", path, err_text(rc));
    if (s->limits_opened.set_aside)
        log_event("limits-set-aside", LOG_U64("ever", s->limits_opened.set_aside_ever), LOG_END);
    return 0;
}

int tables_make(struct supervisor *s) {
    int rc = open_limits(s);
    if (rc)
        return rc;
    rc = health_create(&s->health);
    if (!rc)
        rc = metrics_create(&s->metrics);
    if (!rc)
        rc = snapshot_map(s->snapshot_reader_fd, &s->snapshot);
    return rc ? why_say(s->why, rc, "cannot make the shared memory: %s", err_text(rc)) : 0;
}

int tables_remap(struct supervisor *s) {
    const struct snapshot *next;
    int rc = snapshot_map(s->snapshot_reader_fd, &next);
    if (rc)
        return rc;
    snapshot_unmap(s->snapshot);
    s->snapshot = next;
    return 0;
}

void tables_done(struct supervisor *s) {
    limits_close(s->limits);
    health_close(s->health);
    metrics_close(s->metrics);
    s->limits = NULL;
    s->health = NULL;
    s->metrics = NULL;
}

/* Finds them: the publication has made them. */
int tables_place(struct supervisor *s) {
    const struct config *c = s->settings->config;
    int rc = 0;
    for (size_t i = 0; i < c->providers.count && !rc; i++) {
        struct provider_place *place = &s->places[i], was = *place;
        rc = health_provider(s->health, c->providers.at[i].name, &place->provider);
        for (size_t k = 0; k < c->providers.at[i].keys.count && !rc; k++) {
            rc = health_key(s->health, place->provider,
                            config_credential(s->settings->credentials, i, k), &place->keys[k]);
            place->out[k] =
                was.out[k] && was.provider == place->provider && was.keys[k] == place->keys[k];
        }
    }
    return rc;
}

/* Says once of each key that it went out, and of which provider: by their places in the
 * configuration, for a log has no names. */
static void watch_keys(struct supervisor *s, uint64_t wall_us) {
    const struct config *c = s->settings->config;
    struct health_view view;
    for (size_t i = 0; i < c->providers.count; i++) {
        struct provider_place *place = &s->places[i];
        if (!health_view(s->health, place->provider, wall_us, &view))
            continue;
        for (size_t k = 0; k < c->providers.at[i].keys.count; k++) {
            bool out = view.keys[place->keys[k]].state == HEALTH_KEY_OUT;
            if (out && !place->out[k])
                log_event("provider-key-out", LOG_U64("provider", i + 1), LOG_U64("key", k + 1),
                          LOG_U64("status", (uint64_t)view.keys[place->keys[k]].status), LOG_END);
            place->out[k] = out;
        }
    }
}

void tables_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    if (now >= s->tables_ns) {
        uint64_t wall_us = clock_wall_us();
        int rc = limits_tick(s->limits, wall_us);
        if (rc && !s->limits_trouble)
            log_event("limits-not-synced", LOG_ERR(rc), LOG_END);
        s->limits_trouble = rc;
        health_reap(s->health);
        metrics_reap(s->metrics);
        watch_keys(s, wall_us);
        s->tables_ns = now + EVERY_NS;
    }
    supervisor_due(due, s->tables_ns);
}
