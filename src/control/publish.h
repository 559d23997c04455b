#ifndef CONTROL_PUBLISH_H
#define CONTROL_PUBLISH_H
/*
 * From configuration and control data to a new version of the snapshot: the one call by which the
 * supervisor puts either into force, at the start, after `safehouse key ...` (MSG_RELOAD) and on
 * SIGHUP. It gives every key and project its entry in the limits table, and every provider and
 * credential its number in the health table.
 *
 * At the start:
 *   snapshot_create, limits_open(D/control/usage.bin), health_create
 *   config_complete, config_credentials_load, control_publish
 *   to the gateway: SH_SNAPSHOT_FD = snapshot_reader_fd, SH_USAGE_FD and SH_LIVE_FD = limits_fds,
 *   SH_HEALTH_FD = health_fd
 * Once a second: limits_tick, health_reap. When keys changed: control_publish (an expired key needs
 * none, the gateway looks at the time). On SIGHUP: a new struct config, config_load,
 * config_complete, config_credentials_load(new, old credentials), health_restore_keys,
 * control_publish; if any fails, the old ones stay in force. nginx itself is reloaded only when its
 * own configuration differs (the providers' addresses, tls, workers, listen).
 *
 * What a limit is: the key's own word (control_db), else `keys` of the configuration; the project's
 * own word, else `projects` of the configuration. Both hold at once.
 */
#include "control/config.h"
#include "control/config_credentials.h"
#include "control/control_db.h"

struct control_publisher {
    int snapshot_fd;       /* of snapshot_create */
    struct limits *limits; /* of limits_open */
    struct health *health; /* of health_create */
    const uint8_t *mask_key; /* of the installation; NULL: nothing is masked */
};

/* c: after config_complete. ERR_FULL: a table has no room left; ERR_LIMIT: more than fits into a
 * snapshot; and the errors of control_db_each_live_key. The version before stays in force then. */
int control_publish(const struct control_publisher *p, const struct config *c,
                    const struct config_credentials *credentials, struct control_db *db,
                    uint64_t now_us);

#endif
