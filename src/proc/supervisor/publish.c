/*
 * control.db -> snapshot: when somebody asks, when a key expires, and at least once a minute. The
 * snapshot's grace between two versions is waited for here, in the loop's time, so that publishing
 * never sleeps; who asks meanwhile gets the same version.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "control/control_db.h"
#include "proc/supervisor/supervisor_int.h"

#define EVERY_NS (60000 * MS)
#define AGAIN_NS (1000 * MS) /* after a failure */

/* Monotonic ns of the next expiry, not later than EVERY_NS from now. */
static uint64_t next_due(const struct snapshot_key *keys, uint32_t count, uint64_t wall_us,
                         uint64_t now) {
    uint64_t due = now + EVERY_NS;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = keys[i].expires_us;
        if (at > wall_us && at - wall_us < EVERY_NS / 1000)
            supervisor_due(&due, now + (at - wall_us) * 1000);
    }
    return due;
}

int publish_now(struct supervisor *s) {
    const struct upstream *u = s->spec->upstream;
    char path[INSTALL_PATH];
    struct control_db *db = NULL;
    struct snapshot_data data = {0};
    uint32_t count = 0;
    struct snapshot_key *keys = NULL;
    uint64_t wall_us = clock_wall_us();
    int rc = install_path(s->spec->install, CONTROL_DB_PATH, path)
                 ? control_db_open(path, false, &db)
                 : ERR_LIMIT;
    if (!rc)
        rc = control_db_live_keys(db, wall_us, &keys, &count);
    control_db_close(db);
    if (!rc) {
        data.keys = keys;
        data.key_count = count;
        memcpy(data.provider.name, u->name, sizeof data.provider.name);
        memcpy(data.provider.credential, u->credential, sizeof data.provider.credential);
        rc = snapshot_publish(s->snapshot_fd, &data);
        explicit_bzero(&data, sizeof data);
    }
    uint64_t now = clock_mono_ns();
    s->publish = false;
    s->published_ns = now;
    s->publish_due_ns = rc ? now + AGAIN_NS : next_due(keys, count, wall_us, now);
    s->keys = rc ? s->keys : count;
    if (rc)
        log_event("publish-failed", LOG_ERR(rc), LOG_END);
    free(keys);
    return rc;
}

void publish_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    uint64_t ready = s->published_ns + (SNAPSHOT_GRACE_MS + 1) * MS;
    uint64_t at = s->publish ? ready : s->publish_due_ns;
    if (now >= at) {
        bool asked = s->publish;
        int rc = publish_now(s);
        if (asked)
            control_published(s, rc);
        at = s->publish_due_ns;
    }
    supervisor_due(due, at);
}
