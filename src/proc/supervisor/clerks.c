/*
 * Commands that people give through the console (supervisor_int.h). For each, the console hands over a
 * connection, and a process of its own gets it: `safehouse clerk` (proc/cli/clerk.c), as the owner, who is
 * what the command line is. What comes over that connection the supervisor does not read; in whose name
 * and whether it is done is between clerk and vault.
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "proc/supervisor/supervisor_int.h"

static int start(struct supervisor *s, int fd, pid_t *ret) {
    const struct install *in = s->spec->install;
    const char *config = s->spec->source->file;
    char file[INSTALL_PATH + 64], real[PATH_MAX];
    struct spawn_gifts *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    snprintf(file, sizeof file, "%s/safehouse", in->bin);
    spawn_give_fd(g, fd, NULL);
    spawn_give_env(g, "TZ=UTC");
    if (config && realpath(config, real))
        spawn_give_env(g, "SH_CONFIG=%s", real);
    if (s->settings->config->sandbox == CONFIG_LENIENT)
        spawn_give_env(g, "SH_SANDBOX=best-effort");
    const char *const argv[] = {"safehouse", "clerk", NULL};
    const struct spawn_spec spec = {.file = file,
                                    .argv = argv,
                                    .env = g->env,
                                    .dir = in->dir,
                                    .uid = in->owner,
                                    .fds = g->fds,
                                    .fd_count = g->fd_count,
                                    .death_signal = SIGKILL};
    int rc = spawn(&spec, ret, s->why);
    free(g);
    return rc;
}

void clerks_take(struct supervisor *s, int fd) {
    int i = 0, rc = ERR_FULL;
    while (i < CLERKS && s->clerks[i])
        i++;
    if (i < CLERKS && !s->stopping)
        rc = start(s, fd, &s->clerks[i]);
    if (rc) /* the console sees the connection end */
        log_event("clerk-not-started", LOG_ERR(rc), LOG_END);
    close(fd);
}

bool clerks_ended(struct supervisor *s, pid_t pid) {
    for (int i = 0; i < CLERKS; i++)
        if (s->clerks[i] == pid) {
            s->clerks[i] = 0;
            return true;
        }
    return false;
}
