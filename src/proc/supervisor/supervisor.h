#ifndef PROC_SUPERVISOR_SUPERVISOR_H
#define PROC_SUPERVISOR_SUPERVISOR_H
/*
 * `safehouse up` after everything was decided: makes what the programs share (ring, prefix state,
 * tables, snapshot, sockets), starts them, connects those that may talk, restarts those that die,
 * reads the configuration again when it is told to, answers on D/run/control.sock, and stops them
 * in order. It holds the shared memory's descriptors and never maps the ring; it parses no byte
 * that came over a network.
 */
#include "proc/supervisor/address.h"
#include "proc/supervisor/install.h"
#include "proc/supervisor/settings.h"

/* For the vault's next start: the passphrase into out (SUPERVISOR_PASSPHRASE bytes of room).
 * Nonzero: there is none, what was wrong has been said. Must not wait. */
#define SUPERVISOR_PASSPHRASE 1024
typedef int supervisor_passphrase_fn(void *arg, char *out, size_t *ret_len);

/* All of vault.replica with a colon between two, and a NUL. */
#define SUPERVISOR_REPLICAS 2048

struct supervisor_spec {
    const struct install *install; /* locked by the caller */
    const struct settings_source *source;
    struct settings *settings;            /* replaced at reloads; the caller's again at the end */
    const struct address *listen;         /* as bound */
    int listen_fd;                        /* taken */
    const struct address *console;        /* as bound; NULL: no console */
    int console_fd;                       /* taken; -1 */
    supervisor_passphrase_fn *passphrase; /* NULL: the vault starts locked */
    void *passphrase_arg;
};

/* Until a signal ends it. 0 after an orderly stop; else ERR_* and why, after what was started is
 * stopped again. */
int supervisor_run(const struct supervisor_spec *spec, struct why *why);

#endif
