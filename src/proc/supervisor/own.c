/*
 * An nginx that someone else starts (gateway.nginx: own), in place of gateway.c's masters. The
 * supervisor writes what it includes, and gives whoever attaches it (control.c) the descriptors of
 * what the programs share. It is not led from here: its master restarts its workers, and its owner
 * reloads and stops it.
 *
 * So it may outlive the supervisor, with a ring that nobody reads. Therefore the pipe: its workers
 * hold the end that writes, only the supervisor has the one that reads. When that is gone, however
 * the supervisor ended, workers take no more requests until they are attached anew. In an orderly
 * stop the sealer stays until what they had begun is in the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/supervisor/supervisor_int.h"

#define USAGE_NS (100 * MS)
#define LATE 2 /* stop_step after the first deadline */

bool own_nginx(const struct supervisor *s) {
    return s->settings->config->gateway.nginx == CONFIG_LENIENT;
}

int own_start(struct supervisor *s) {
    if (pipe2(s->life_fds, O_CLOEXEC | O_NONBLOCK))
        return why_say(s->why, err_from_errno(errno), "no more pipes: %s", strerror(errno));
    return gateway_write_parts(s);
}

size_t own_descriptors(const struct supervisor *s, struct gateway_fd out[GATEWAY_FDS]) {
    size_t n = gateway_shared(s, s->snapshot_reader_fd, out);
    out[n++] = (struct gateway_fd){s->life_fds[1], "SH_LIFE_FD"};
    out[n++] = (struct gateway_fd){s->policy_fd, "SH_DETECT_FD"};
    return n;
}

void own_release(struct supervisor *s) {
    for (int i = 0; i < 2; i++) {
        if (s->life_fds[i] >= 0)
            close(s->life_fds[i]);
        s->life_fds[i] = -1;
    }
    s->usage_ns = 0; /* what it says from now on counts */
}

bool own_gone(const struct supervisor *s) {
    return !own_nginx(s) || s->stop_step >= LATE ||
           s->programs[PROGRAM_SEALER].state != STATE_RUNNING ||
           gateway_workers(s, false, NULL, 0) == 0 || (s->usage_ns && !s->usage.slots_used);
}

void own_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    if (!s->stopping || s->stop_at != PROGRAM_GATEWAY || !own_nginx(s))
        return;
    if (now >= s->usage_due_ns) {
        program_send(&s->programs[PROGRAM_SEALER], MSG_USAGE, NULL, 0, -1);
        s->usage_due_ns = now + USAGE_NS;
    }
    supervisor_due(due, s->usage_due_ns);
}
