/*
 * Configuration and control.db -> snapshot: when somebody asks, at a reload, when a key expires,
 * and at least once a minute. The snapshot's grace between two versions is waited for in the loop's
 * time, so that publishing does not sleep; who asks meanwhile gets the same version.
 */
#include "control/publish.h"

#include <sodium.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/supervisor/supervisor_int.h"

#define EVERY_NS (60000 * MS)
#define AGAIN_NS (1000 * MS) /* after a failure */

/* Of the live keys: how many, and when the next one expires. */
struct survey {
    uint64_t keys, wall_us, now, due;
};

static int look_at_key(void *arg, const struct control_key *key) {
    struct survey *v = arg;
    uint64_t at = key->expires_us;
    v->keys++;
    if (at > v->wall_us && at - v->wall_us < EVERY_NS / 1000)
        supervisor_due(&v->due, v->now + (at - v->wall_us) * 1000);
    return 0;
}

uint64_t publish_ready_ns(const struct supervisor *s) {
    return s->published_ns + (SNAPSHOT_GRACE_MS + 1) * MS;
}

static int publish(struct supervisor *s, int snapshot_fd, const struct settings *settings,
                   struct survey *v) {
    uint8_t mask_key[SNAPSHOT_MASK_KEY];
    const bool masks = config_inspects(settings->config, NULL);
    const struct control_publisher to = {snapshot_fd, s->limits, s->health,
                                         masks ? mask_key : NULL};
    char path[INSTALL_PATH];
    struct control_db *db = NULL;
    int rc = install_path(s->spec->install, CONTROL_DB_PATH, path)
                 ? control_db_open(path, false, &db)
                 : ERR_LIMIT;
    if (!rc && masks)
        rc = install_mask_key(s->spec->install, mask_key);
    if (!rc)
        rc = control_publish(&to, settings->config, settings->credentials, db, v->wall_us);
    if (!rc)
        rc = control_db_each_live_key(db, v->wall_us, look_at_key, v);
    control_db_close(db);
    sodium_memzero(mask_key, sizeof mask_key);
    return rc;
}

int publish_settings(struct supervisor *s, const struct settings *settings) {
    struct survey v = {.wall_us = clock_wall_us(), .now = clock_mono_ns()};
    v.due = v.now + EVERY_NS;
    int rc = publish(s, s->snapshot_fd, settings, &v);
    if (rc) {
        log_event("publish-failed", LOG_ERR(rc), LOG_END);
        return rc;
    }
    s->keys = v.keys;
    s->publish = false;
    s->published_ns = clock_mono_ns();
    s->publish_due_ns = v.due;
    control_published(s, 0);
    return 0;
}

int publish_first(struct supervisor *s, int snapshot_fd, const struct settings *settings) {
    struct survey v = {.wall_us = clock_wall_us(), .now = clock_mono_ns()};
    return publish(s, snapshot_fd, settings, &v);
}

void publish_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    int rc = 0;
    if (now >= (s->publish ? publish_ready_ns(s) : s->publish_due_ns))
        rc = publish_settings(s, s->settings);
    if (rc) {
        s->publish = false;
        s->publish_due_ns = now + AGAIN_NS;
        control_published(s, rc);
    }
    supervisor_due(due, s->publish ? publish_ready_ns(s) : s->publish_due_ns);
}
