#ifndef PROC_SUPERVISOR_SUPERVISOR_INT_H
#define PROC_SUPERVISOR_SUPERVISOR_INT_H
/*
 * The parts of the supervisor's one process; everything hangs on struct supervisor.
 *
 *   supervisor.c  life: start, signals, the tick, ready, the orderly stop
 *   shared.c      what the programs share: memory files, sockets
 *   programs.c    the table of programs and of allowed edges; start, messages, death, restart
 *   gateway.c     how nginx is started, and how its workers are seen
 *   vault.c       gives the vault its passphrase, and hears whether that opened it
 *   publish.c     control.db -> snapshot
 *   control.c     clients of D/run/control.sock
 *   report.c      what a status says
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/child.h"
#include "ipc/loop.h"
#include "proc/supervisor/spawn.h"
#include "proc/supervisor/supervisor.h"

#define CLIENTS 32
#define MS 1000000ull /* in ns */

enum state {
    STATE_UNUSED, /* of the demo, when there is a real upstream */
    STATE_STARTING,
    STATE_RUNNING,
    STATE_RESTARTING, /* it died; the next start is at restart_ns */
    STATE_STOPPED,
};

struct supervisor;

struct program {
    struct supervisor *supervisor;
    enum program_id id;
    enum state state;
    pid_t pid;            /* 0 = none */
    struct peer *control; /* NULL: it has none (gateway, demo), or is dead */
    uint64_t restart_ns;
    uint64_t ready_ns; /* since when it runs; 0 = not yet */
    unsigned quick;    /* deaths in a row that came soon */
    uint64_t restarts;
    uint8_t landlock, seccomp; /* of MSG_READY */
};

/* What the vault said of itself after it was given the passphrase. */
enum vault_lock { VAULT_ASKED, VAULT_UNLOCKED, VAULT_LOCKED, VAULT_WRONG_PASSPHRASE };

enum want { WANT_NOTHING, WANT_RELOAD, WANT_STATUS };

struct client {
    struct supervisor *supervisor;
    struct peer *peer; /* NULL: a free place */
    bool known;        /* its token was right */
    enum want want;
    uint64_t end_ns; /* it is answered, or gone, by then */
};

/* MSG_USAGE_IS */
struct usage {
    uint64_t slots, slots_used, bytes, bytes_used, admitted, refused, cut, oldest_ready_ns, batches;
    int32_t disk;
};

struct supervisor {
    const struct supervisor_spec *spec;
    struct loop *loop;
    int signal_fd, dir_fd, run_fd;
    /* shared.c */
    int ring_fd, wake_fd, prefix_fd, snapshot_fd, snapshot_reader_fd;
    int listen_fd, control_fd, store_fd, vault_fd, demo_fd;
    int certificate_fd, certificate_key_fd;
    size_t ring_bytes;
    unsigned workers, regions;
    uint8_t token[32];
    /* programs.c */
    struct program programs[PROGRAMS];
    /* gateway.c */
    int ready_fd;           /* workers report here */
    unsigned ready_workers; /* reports since the master's start */
    pid_t orphans;          /* process group of a dead master's workers, 0 = none */
    uint64_t orphans_end_ns;
    /* publish.c */
    bool publish;                          /* asked for */
    uint64_t published_ns, publish_due_ns; /* last one; next one without being asked */
    uint64_t keys;
    /* control.c */
    struct client clients[CLIENTS];
    struct usage usage;
    uint64_t usage_ns; /* when it came; 0 = never */
    /* vault.c */
    enum vault_lock lock;
    bool passphrase_sent;
    struct peer *vault; /* the supervisor as a client of the vault, while it asks */
    uint64_t vault_end_ns;
    /* life */
    bool announced;
    bool stopping;
    int stop_at;   /* enum program_id that is being stopped */
    int stop_step; /* 0 not asked yet, 1 asked, 2 told, 3 killed */
    uint64_t stop_ns;
    int failed; /* ERR_* that made it stop; 0 = a signal did */
    struct why *why;
};

/* Keeps the earlier one: `due` is the ns when the loop must look again. */
void supervisor_due(uint64_t *due, uint64_t at_ns);
/* Begins the orderly stop, because of a failure (why is set) or 0 = a signal. */
void supervisor_stop(struct supervisor *s, int failed);

/* ---- shared.c ---- */
int shared_make(struct supervisor *s);
void shared_done(struct supervisor *s);
/* At the stop: nobody is to wait in the queue of a gateway that ends. */
void shared_close_listen(struct supervisor *s);

/* ---- programs.c ---- */
const char *program_name(enum program_id id);
void programs_init(struct supervisor *s);
int programs_start(struct supervisor *s);
/* A child of this process ended. */
void programs_ended(struct supervisor *s, pid_t pid, int status);
/* Starts what is due. */
void programs_tick(struct supervisor *s, uint64_t now, uint64_t *due);
bool programs_running(const struct supervisor *s);
/* Sends to a program's control socket; a failure ends in its death. */
void program_send(struct program *p, enum ipc_msg msg, const void *payload, size_t len, int fd);
void program_running(struct program *p, uint8_t landlock, uint8_t seccomp);
/* How long a program that died waits: its `quick`-th death in a row that came soon. */
uint64_t programs_pause_ms(unsigned quick);

/* ---- gateway.c ---- */
int gateway_start(struct supervisor *s, struct program *p);
void gateway_ended(struct supervisor *s, pid_t master, uint64_t now);
void gateway_tick(struct supervisor *s, uint64_t now, uint64_t *due);
/* Pids of the workers that hold a region of the ring; returns how many. */
unsigned gateway_workers(const struct supervisor *s, pid_t *out, unsigned max);

/* ---- vault.c ---- */
/* The vault is ready: gives it the passphrase, if there is one, and asks whether it is open. */
void vault_running(struct supervisor *s);
void vault_tick(struct supervisor *s, uint64_t now, uint64_t *due);
void vault_done(struct supervisor *s);

/* ---- publish.c ---- */
int publish_now(struct supervisor *s);
void publish_tick(struct supervisor *s, uint64_t now, uint64_t *due);

/* ---- control.c ---- */
int control_start(struct supervisor *s);
void control_done(struct supervisor *s);
void control_tick(struct supervisor *s, uint64_t now, uint64_t *due);
void control_published(struct supervisor *s, int rc);
int control_usage(struct supervisor *s, const struct frame *f);

/* ---- report.c ---- */
/* The object of MSG_STATUS_IS; NULL without memory. */
json_t *report(const struct supervisor *s);
/* Lines on standard output, when everything runs. */
void report_ready(const struct supervisor *s);

#endif
