#ifndef PROC_SUPERVISOR_SUPERVISOR_INT_H
#define PROC_SUPERVISOR_SUPERVISOR_INT_H
/*
 * The parts of the supervisor's one process; everything hangs on struct supervisor.
 *
 *   supervisor.c  life: start, signals, the tick, ready, the orderly stop
 *   shared.c      what the programs share: memory files, sockets
 *   tables.c      limits, health, metrics: what gateway workers count together
 *   programs.c    the table of programs and of allowed edges; start, messages, death, restart
 *   gateway.c     nginx: its generations, how they start and leave, how workers are seen
 *   front.c       the console's nginx
 *   clerks.c      a process for each command that comes through the console
 *   own.c         in its place, an nginx that someone else starts and attaches
 *   reload.c      the configuration anew, with a new generation of nginx where that is needed
 *   vault.c       gives the vault its passphrase, and hears whether that opened it
 *   disclosure.c  reports from outside: security.txt, and reminders of those that wait
 *   alarms.c      somebody opens a canary
 *   retention.c   months that are over go, once a day and when asked for
 *   publish.c     configuration and control.db -> snapshot
 *   control.c     clients of D/run/control.sock
 *   report.c      what a status says
 *   accounts.c    the same, of providers, limits and the configuration
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/health.h"
#include "control/limits.h"
#include "control/metrics.h"
#include "ipc/child.h"
#include "ipc/loop.h"
#include "proc/supervisor/policy.h"
#include "proc/supervisor/spawn.h"
#include "proc/supervisor/supervisor.h"

/* alarms.c */
struct alarms {
    uint64_t total, waiting, posted; /* waiting: for the webhook; posted: by the process that runs */
    /* the newest */
    uint64_t entry, time_us;
    uint32_t uid, cells;
    char person[LIMIT_NAME];
    pid_t pid; /* of the process that posts; 0 = none */
    unsigned failures; /* in a row */
    uint64_t next_ns, end_ns;
};

#define CLIENTS 32
#define CLERKS 8 /* at once */
#define MS 1000000ull /* in ns */

enum state {
    STATE_UNUSED, /* of the demo with a real upstream, of the gateway with one's own nginx */
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

/* CONFIGURE becomes CONFIGURED when the reading begins that the client will hear of. */
enum want {
    WANT_NOTHING,
    WANT_RELOAD,
    WANT_STATUS,
    WANT_CONFIGURE,
    WANT_CONFIGURED,
    WANT_RETENTION,
};

/* What nginx is given beside its configuration, in memory files of the gateway's own. */
struct tls_files {
    int certificate_fd, key_fd; /* -1 = no TLS */
};

/* One generation of nginx: a master and its workers. */
struct master {
    struct supervisor *supervisor;
    pid_t pid;                 /* leads their process group; 0 = none */
    int ready_fd;              /* workers report here; -1 when all of them are gone */
    unsigned workers, reports; /* meant to be; reported since the start */
    uint8_t landlock, seccomp; /* of the last report */
    int words_fd;              /* its standard error, of one that a reload started; else -1 */
    char words[256];           /* why it did not start, if it said so */
};

enum reload_step { RELOAD_IDLE, RELOAD_STARTING, RELOAD_PUBLISHING, RELOAD_LEAVING };

struct reload {
    uint32_t by;       /* the user who asked; LEDGER has it. UINT32_MAX: a signal */
    bool asked, fresh; /* fresh: with new workers, whether or not nginx needs them */
    bool parts;        /* one's own nginx must be reloaded, too */
    bool attach;       /* or attached anew */
    enum reload_step step;
    uint64_t end_ns;          /* of RELOAD_STARTING and RELOAD_LEAVING */
    struct settings settings; /* what is to be in force */
    struct tls_files tls;
    struct master master; /* pid 0: the one that runs will do */
    int snapshot_fd, snapshot_reader_fd; /* of the generation that starts; -1: the one in force */
    int policy_fd;
    char changed[SETTINGS_NAMES], kept[SETTINGS_NAMES];
    /* of the last one that ended */
    int rc;
    uint64_t ended_us; /* wall clock; 0 = there was none */
    char text[2048];
};

/* Numbers in the health table of the configuration's providers and keys. */
struct provider_place {
    uint16_t provider;
    uint8_t keys[LIMIT_PROVIDER_KEYS];
    bool out[LIMIT_PROVIDER_KEYS]; /* said so already */
};

struct client {
    struct supervisor *supervisor;
    struct peer *peer; /* NULL: a free place */
    bool known;        /* its token was right */
    unsigned uid;
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
    struct settings *settings; /* in force */
    struct loop *loop;
    int signal_fd, dir_fd, run_fd;
    /* shared.c */
    int ring_fd, wake_fd, prefix_fd, policy_fd, snapshot_fd, snapshot_reader_fd;
    int listen_fd, control_fd, store_fd, vault_fd, demo_fd;
    int console_fd;      /* the console's address, for its nginx; -1: there is no console */
    int console_unix_fd; /* D/run/console.sock, for the console */
    struct tls_files tls;
    size_t ring_bytes;
    unsigned regions;
    uint8_t token[32];
    /* programs.c */
    struct program programs[PROGRAMS];
    /* tables.c */
    struct limits *limits;
    struct limits_opened limits_opened;
    struct health *health;
    struct metrics *metrics;
    const struct snapshot *snapshot; /* as the workers see it */
    struct provider_place places[LIMIT_PROVIDERS];
    int limits_trouble; /* of the last tick */
    uint64_t tables_ns; /* the next tick */
    /* gateway.c */
    struct master master;              /* its pid is the program's */
    pid_t leaving[LIMIT_WORKER_SLOTS]; /* groups that end when their streams have; 0 = free */
    pid_t orphans;                     /* process group of a dead master's workers, 0 = none */
    uint64_t orphans_end_ns;
    /* own.c */
    int life_fds[2];       /* a pipe: workers refuse when nobody holds the end that reads */
    uint64_t usage_due_ns; /* while it stops: the sealer is asked again */
    struct reload reload;
    /* publish.c */
    bool publish;                          /* asked for */
    uint64_t published_ns, publish_due_ns; /* last one; next one without being asked */
    uint64_t keys;
    /* control.c */
    struct client clients[CLIENTS];
    struct usage usage;
    uint64_t usage_ns; /* when it came; 0 = never */
    struct retention *retention;
    /* disclosure.c */
    int report_fds[2];  /* a pair: gateway workers' end, the sealer's */
    uint32_t reports;   /* that wait for an answer */
    uint64_t report_us; /* when the oldest of them came */
    uint64_t remind_ns; /* the next reminder is not before */
    /* vault.c */
    enum vault_lock lock;
    bool passphrase_sent;
    struct peer *vault; /* the supervisor as a client of the vault, while it asks */
    uint64_t vault_end_ns;
    struct alarms alarms;
    pid_t clerks[CLERKS]; /* 0: a free place */
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
/* D/run/ready, when what it says has changed. */
int supervisor_write_ready(const struct supervisor *s);

/* ---- shared.c ---- */
int shared_make(struct supervisor *s);
/* An empty snapshot: the descriptor to publish by, and the one that workers get. */
int shared_make_snapshot(int *ret_fd, int *ret_reader_fd);
/* Copies of the files that the configuration names; -1, -1 when it names none. */
int shared_read_tls(const struct supervisor *s, const struct config *c, enum program_id whose,
                    struct tls_files *ret);
bool shared_same_tls(const struct tls_files *a, const struct tls_files *b);
void shared_close_tls(struct tls_files *t);
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
void gateway_init(struct supervisor *s);
int gateway_start(struct supervisor *s, struct program *p);
/* A new generation beside the one in force; reload_gateway_ready or _ended say how it went. */
int gateway_start_next(struct supervisor *s);
/* It takes the place of the one in force, which serves what is under way, and nothing new. */
void gateway_switch(struct supervisor *s);
/* It is not wanted after all. */
void gateway_drop_next(struct supervisor *s);
/* Would nginx's configuration be another one? ERR_* of making it. */
int gateway_differs(struct supervisor *s, const struct settings *next, const struct tls_files *tls,
                    bool *ret);
/* A child that is no program's ended. */
void gateway_reaped(struct supervisor *s, pid_t pid);
void gateway_ended(struct supervisor *s, pid_t master, uint64_t now);
void gateway_tick(struct supervisor *s, uint64_t now, uint64_t *due);
/* To every generation's master. */
void gateway_signal(const struct supervisor *s, int sig);
bool gateway_gone(const struct supervisor *s);
/* Workers that hold a region of the ring: of the generation in force, or (older) of all others.
 * Their pids, at most `max`, to `out`; returns how many there are. */
unsigned gateway_workers(const struct supervisor *s, bool older, pid_t *out, unsigned max);

/* What workers need for their work, whoever starts them. */
#define GATEWAY_FDS 10
struct gateway_fd {
    int fd;
    const char *variable;
};
/* `snapshot`: the file that these workers read. */
size_t gateway_shared(const struct supervisor *s, int snapshot, struct gateway_fd out[GATEWAY_FDS]);
/* Writes what one's own nginx includes: D/run/nginx-main.conf, -http.conf and -server.conf. */
int gateway_write_parts(struct supervisor *s);

/* Where nginx is; NULL: it is not installed. */
const char *gateway_nginx(void);
/* A file of a program's own folder, made anew. */
int gateway_write_file(const struct supervisor *s, const char *dir, const char *name,
                       const struct buf *text);

/* ---- front.c ---- */
bool front_wanted(const struct supervisor *s);
int front_start(struct supervisor *s, struct program *p);
/* The TLS files are others: it begins anew. Requests under way are cut. */
void front_renew(struct supervisor *s);

/* ---- clerks.c ---- */
/* A connection of the console's (taken): a command will come over it. */
void clerks_take(struct supervisor *s, int fd);
/* Was that a clerk? */
bool clerks_ended(struct supervisor *s, pid_t pid);

/* ---- own.c ---- */
bool own_nginx(const struct supervisor *s);
int own_start(struct supervisor *s);
/* gateway_shared, the end of the pipe that tells workers of the supervisor's life, and the policy. */
size_t own_descriptors(const struct supervisor *s, struct gateway_fd out[GATEWAY_FDS]);
/* From here on its workers refuse. Nothing if there is none. */
void own_release(struct supervisor *s);
/* Released, and has its last exchange been taken? */
bool own_gone(const struct supervisor *s);
void own_tick(struct supervisor *s, uint64_t now, uint64_t *due);

/* Does a worker that is to leave still take new connections? */
bool gateway_accepting(const struct supervisor *s);

/* ---- tables.c ---- */
int tables_make(struct supervisor *s);
/* Another snapshot file is in force. */
int tables_remap(struct supervisor *s);
void tables_tick(struct supervisor *s, uint64_t now, uint64_t *due);
/* After a publication: where its providers are in the health table. */
int tables_place(struct supervisor *s);
void tables_done(struct supervisor *s);

/* ---- reload.c ---- */
void reload_init(struct supervisor *s);
void reload_tick(struct supervisor *s, uint64_t now, uint64_t *due);
void reload_gateway_ready(struct supervisor *s);
void reload_gateway_ended(struct supervisor *s);
void reload_done(struct supervisor *s);

/* ---- vault.c ---- */
/* The vault is ready: gives it the passphrase, if there is one, and asks whether it is open. */
void vault_running(struct supervisor *s);
/* Tells it which configuration is in force, and who asked for that (UINT32_MAX: nobody). */
void vault_configuration(struct supervisor *s, uint32_t by);
void vault_tick(struct supervisor *s, uint64_t now, uint64_t *due);
void vault_done(struct supervisor *s);

/* ---- retention.c ---- */
struct retention;
int retention_new(struct retention **ret);
void retention_free(struct retention *r); /* NULL-safe */
/* Begins, or joins what is under way; control_retention tells how it went. `dry`: nothing is done. */
void retention_ask(struct supervisor *s, bool dry);
void retention_tick(struct supervisor *s, uint64_t now, uint64_t *due);
/* An answer of vault or store. ERR_DENIED: nobody asked; ERR_SYNTAX. */
int retention_frame(struct supervisor *s, const struct frame *f);

/* ---- disclosure.c ---- */
/* The pair through which reports come. */
int disclosure_make(struct supervisor *s);
/* security.txt, a line each, as the gateway serves it (gateway_conf.h). ERR_USAGE and why: nobody may
 * rely on it. */
int disclosure_text(const struct config *c, bool tls, struct buf *out, struct why *why);
/* REPORTS_WAIT. ERR_SYNTAX. */
int disclosure_frame(struct supervisor *s, const struct frame *f);
void disclosure_tick(struct supervisor *s, uint64_t now, uint64_t *due);

/* ---- alarms.c ---- */
/* ALARM. ERR_SYNTAX. */
int alarms_frame(struct supervisor *s, const struct frame *f);
/* Was that the process that posts? */
bool alarms_ended(struct supervisor *s, pid_t pid, int status);
void alarms_tick(struct supervisor *s, uint64_t now, uint64_t *due);
json_t *alarms_report(const struct supervisor *s);

/* ---- publish.c ---- */
/* These settings; the version before stays in force when it fails. Sleeps for what is left of the
 * snapshot's grace. */
int publish_settings(struct supervisor *s, const struct settings *settings);
/* The first version of a snapshot that nobody reads yet. */
int publish_first(struct supervisor *s, int snapshot_fd, const struct settings *settings);
/* Monotonic ns from which on that does not sleep. */
uint64_t publish_ready_ns(const struct supervisor *s);
void publish_tick(struct supervisor *s, uint64_t now, uint64_t *due);

/* ---- control.c ---- */
int control_start(struct supervisor *s);
void control_done(struct supervisor *s);
void control_tick(struct supervisor *s, uint64_t now, uint64_t *due);
void control_published(struct supervisor *s, int rc);
/* A reload begins, and ends. */
void control_configuring(struct supervisor *s);
void control_configured(struct supervisor *s, int rc, const char *text);
int control_usage(struct supervisor *s, const struct frame *f);
/* Retention: an object for whoever waits for it (taken), and its end. */
void control_retained(struct supervisor *s, json_t *o);
void control_retention(struct supervisor *s, int rc, const char *text);

/* ---- report.c ---- */
/* The object of MSG_STATUS_IS; NULL without memory. */
json_t *report(const struct supervisor *s);
/* Lines on standard output, when everything runs. */
void report_ready(const struct supervisor *s);

/* ---- accounts.c ---- */
json_t *accounts_providers(const struct supervisor *s);
json_t *accounts_limits_file(const struct supervisor *s);
json_t *accounts_configuration(const struct supervisor *s);
/* What each live key and its project used, one object a call; `fn` takes it. Nonzero ends it. */
typedef int accounts_fn(void *arg, json_t *o);
int accounts_usage(const struct supervisor *s, accounts_fn *fn, void *arg);

#endif
