#ifndef IPC_CHILD_H
#define IPC_CHILD_H
/*
 * What a supervised program finds when it starts, and how it says what it wants.
 *
 * The supervisor passes everything by fixed descriptors and a few environment variables:
 *   fd 3            control socket to the supervisor (struct peer, IPC_SUPERVISOR)
 *   SH_LISTEN_FD    listening unix socket for the command line (store, vault)
 *   SH_RING_FD, SH_WAKE_FD      exchange ring and its eventfd (gateway, sealer)
 *   SH_SNAPSHOT_FD  control snapshot (gateway)
 *   SH_PREFIX_FD    prefix state's memory file (sealer)
 *   SH_DETECT_FD    the detector's rules and policy (sealer)
 *   SH_REPORT_FD    datagrams with reports from outside (gateway, sealer)
 *   SH_DIR          the program's own folder (spool, store, vault): the only one that it may write
 *   SH_OWNER_UID    the installation's owner
 *   SH_SANDBOX      "best-effort": start without Landlock where the kernel has none
 *   SH_REPLICAS     folders for copies of the keys, separated by colons (vault, which takes it itself)
 *   SH_APPROVAL_ABOVE  cells an hour that one person opens alone (vault, which takes it itself)
 *   SH_TOKEN_FD     a pipe with the 32 token bytes of the command line (store, vault)
 * Peers arrive as MSG_PEER frames with a descriptor, at the start and whenever the other end was
 * restarted; a program replaces the old connection then.
 */
#include "ipc/peer.h"

struct child {
    struct peer *supervisor;
    int listen_fd, ring_fd, wake_fd, prefix_fd, detect_fd, report_fd; /* -1 when not given */
    unsigned owner_uid;
    bool best_effort; /* for sandbox_spec */
    char dir[4096];
    uint8_t token[32];
};

/* Reads the above, takes the descriptors, closes every other above 2, clears the environment,
 * PR_SET_DUMPABLE=0, no_new_privs, no core files (RLIMIT_CORE 0). `self`: whose process this is. */
int child_start(enum ipc_role self, struct child *ret);

/*
 * The sandbox, after start-up work and before the first byte of a peer is read: Landlock (`write_dir`
 * and `write_dirs` read-write, `read_paths` read-only, both lists NULL-terminated; every TCP bind and
 * connect denied where the kernel can) and a seccomp list (default KILL_PROCESS) from the program's
 * table.
 * Fills landlock_abi and seccomp for MSG_READY. ERR_UNSUPPORTED when Landlock is missing and
 * best_effort is false.
 */
struct sandbox_spec {
    const char *write_dir;          /* NULL: none */
    const char *const *write_dirs;  /* more of them (the vault's replicas); NULL: none */
    const char *const *read_paths;  /* NULL: none */
    const char *const *exec_paths;  /* read and run; NULL: none */
    const int *syscalls;            /* allowed numbers, ended by -1, beside the common base list */
    const uint16_t *connect_ports;  /* TCP ports that may be connected to, ended by 0; NULL: none */
    bool best_effort;
};
struct sandbox_state {
    uint8_t landlock_abi, seccomp;
};
int sandbox_enter(const struct sandbox_spec *spec, struct sandbox_state *ret);
/* Landlock alone, for a program that is not ours: before it is executed. */
int sandbox_files(const struct sandbox_spec *spec, uint8_t *ret_abi);
/* Plaintext is to stay out of swap. Only without a limit: below one, later allocations would fail. */
int child_lock_memory(void);
int child_ready(struct child *c, const struct sandbox_state *s);

#endif
