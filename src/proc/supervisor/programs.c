/*
 * The programs of an installation and who may talk to whom (supervisor_int.h): started, connected,
 * heard, and started again when they die. Two tables say all of it: `rows` what a program is and is
 * given, `edges` which pairs get a socket between them.
 *
 *   UNUSED
 *   STARTING --MSG_READY, workers' reports--> RUNNING --death--> RESTARTING --pause--> STARTING
 *        \------------- death ----------------------------------/
 *   any --orderly stop--> STOPPED
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/supervisor/checks.h"
#include "proc/supervisor/supervisor_int.h"

#define QUICK_NS (500 * MS) /* a death before it ran for so long is one in a row */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 5000     /* of a program that does not get ready */
#define PAUSE_RAN_MAX_MS 1000 /* of one that did: what kills it comes from outside */
#define START_DEATHS_MAX 3    /* before everything ran once: then `up` gives up */

static const struct row {
    const char *name, *file;
    enum ipc_role role; /* 0: it has no control socket */
} rows[PROGRAMS] = {
    [PROGRAM_GATEWAY] = {"gateway", NULL, 0}, /* gateway.c */
    [PROGRAM_DEMO] = {"demo", "safehouse-demo-upstream", 0},
    [PROGRAM_FRONT] = {"front", NULL, 0}, /* front.c */
    [PROGRAM_CONSOLE] = {"console", "safehouse-console", IPC_CONSOLE},
    [PROGRAM_SEALER] = {"sealer", "safehouse-sealer", IPC_SEALER},
    [PROGRAM_STORE] = {"store", "safehouse-store", IPC_STORE},
    [PROGRAM_VAULT] = {"vault", "safehouse-vault", IPC_VAULT},
};

/* Every conversation between programs that there may be, beside the ring. */
static const struct edge {
    enum program_id a, b;
} edges[] = {
    {PROGRAM_SEALER, PROGRAM_VAULT},
    {PROGRAM_SEALER, PROGRAM_STORE},
    {PROGRAM_CONSOLE, PROGRAM_VAULT},
    {PROGRAM_CONSOLE, PROGRAM_STORE},
};

const char *program_name(enum program_id id) {
    return rows[id].name;
}

/* ---- messages ---- */

static void read_control(void *arg, uint32_t events);

static void watch(struct program *p) {
    uint32_t events = EPOLLIN | (peer_wants_write(p->control) ? EPOLLOUT : 0u);
    if (loop_watch(p->supervisor->loop, peer_fd(p->control), events, read_control, p))
        log_event("watch-failed", LOG_END);
}

static void drop_control(struct program *p) {
    if (!p->control)
        return;
    loop_forget(p->supervisor->loop, peer_fd(p->control));
    peer_free(p->control);
    p->control = NULL;
}

void program_send(struct program *p, enum ipc_msg msg, const void *payload, size_t len, int fd) {
    if (!p->control)
        return;
    if (peer_send(p->control, msg, payload, len, fd) == 0)
        watch(p);
}

void program_running(struct program *p, uint8_t landlock, uint8_t seccomp) {
    p->state = STATE_RUNNING;
    if (!p->ready_ns)
        p->ready_ns = clock_mono_ns();
    p->landlock = landlock;
    p->seccomp = seccomp;
    if (p->id == PROGRAM_VAULT)
        vault_running(p->supervisor);
}

static int handle(struct program *p, const struct frame *f) {
    if (f->msg == MSG_CHANNEL && f->fd >= 0) { /* of the console alone (ipc/msg.h) */
        clerks_take(p->supervisor, f->fd);
        return 0;
    }
    if (f->fd >= 0)
        close(f->fd);
    if (f->msg == MSG_READY && f->len == 4 && p->state == STATE_STARTING) {
        program_running(p, f->p[0], f->p[1]);
        return 0;
    }
    if (f->msg == MSG_ALARM)
        return alarms_frame(p->supervisor, f);
    if (f->msg == MSG_REPORTS_WAIT)
        return disclosure_frame(p->supervisor, f);
    if (f->msg == MSG_USAGE_IS)
        return control_usage(p->supervisor, f);
    return retention_frame(p->supervisor, f);
}

static void read_control(void *arg, uint32_t events) {
    struct program *p = arg;
    struct frame f;
    (void)events;
    int rc = peer_flush(p->control);
    if (rc == 0 || rc == ERR_AGAIN)
        while ((rc = peer_recv(p->control, &f)) == 0 && (rc = handle(p, &f)) == 0)
            ;
    if (rc == ERR_AGAIN) {
        watch(p);
        return;
    }
    if (rc != ERR_PEER)
        log_event("program-misbehaved", LOG_WORD("name", program_name(p->id)), LOG_ERR(rc),
                  LOG_END);
    drop_control(p);
    /* It is dying, or cannot be led any more. While stopping it may have hung up first. */
    if (!p->supervisor->stopping && p->pid)
        kill(p->pid, SIGKILL);
}

/* ---- edges ---- */

static void connect_edge(struct program *a, struct program *b) {
    int ends[2];
    if (!a->control || !b->control)
        return; /* whichever starts later does it */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends)) {
        log_event("connect-failed", LOG_ERR(err_from_errno(errno)), LOG_END);
        return;
    }
    const uint8_t role_a = (uint8_t)rows[a->id].role, role_b = (uint8_t)rows[b->id].role;
    program_send(a, MSG_PEER, &role_b, 1, ends[0]);
    program_send(b, MSG_PEER, &role_a, 1, ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void connect_edges(struct supervisor *s, enum program_id id) {
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        if (edges[i].a == id || edges[i].b == id)
            connect_edge(&s->programs[edges[i].a], &s->programs[edges[i].b]);
}

/* ---- start ---- */

/* A pipe with the command line's token in it. */
static int token_pipe(const struct supervisor *s) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    bool written = write(ends[1], s->token, sizeof s->token) == sizeof s->token;
    close(ends[1]);
    if (written)
        return ends[0];
    close(ends[0]);
    return -1;
}

/* The folders that hold copies of the vault's keys. `up` has checked that they fit. */
static void give_replicas(const struct config *c, struct spawn_gifts *g) {
    char all[SUPERVISOR_REPLICAS];
    size_t n = 0;
    for (size_t i = 0; i < c->vault.replica_count; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ":" : "", c->vault.replica[i]);
    if (n)
        spawn_give_env(g, "SH_REPLICAS=%s", all);
}

/* What this program, and no other, is given beside its control socket. */
static void give(const struct supervisor *s, enum program_id id, int token, struct spawn_gifts *g) {
    if (id == PROGRAM_SEALER) {
        spawn_give_fd(g, s->ring_fd, "SH_RING_FD");
        spawn_give_fd(g, s->wake_fd, "SH_WAKE_FD");
        spawn_give_fd(g, s->prefix_fd, "SH_PREFIX_FD");
        spawn_give_fd(g, s->policy_fd, "SH_DETECT_FD");
        spawn_give_fd(g, s->report_fds[1], "SH_REPORT_FD");
    } else if (id == PROGRAM_STORE || id == PROGRAM_VAULT) {
        spawn_give_fd(g, id == PROGRAM_STORE ? s->store_fd : s->vault_fd, "SH_LISTEN_FD");
        spawn_give_fd(g, token, "SH_TOKEN_FD");
        if (id == PROGRAM_VAULT) {
            give_replicas(s->settings->config, g);
            spawn_give_env(g, "SH_APPROVAL_ABOVE=%llu",
                           (unsigned long long)s->settings->config->vault.approval_above);
        }
    } else if (id == PROGRAM_CONSOLE) {
        spawn_give_fd(g, s->console_unix_fd, "SH_LISTEN_FD");
    } else if (id == PROGRAM_DEMO) {
        spawn_give_fd(g, s->demo_fd, "SH_LISTEN_FD");
    }
}

static int run(struct supervisor *s, struct program *p, int control, int token) {
    const struct install *in = s->spec->install;
    const struct row *row = &rows[p->id];
    char file[INSTALL_PATH + 64], dir[INSTALL_PATH];
    struct spawn_gifts g = {0};
    snprintf(file, sizeof file, "%s/%s", in->bin, row->file);
    if (!install_path(in, install_folder(p->id), dir))
        return why_say(s->why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    if (control >= 0)
        spawn_give_fd(&g, control, NULL);
    give(s, p->id, token, &g);
    spawn_give_env(&g, "SH_DIR=%s", dir);
    spawn_give_env(&g, "SH_OWNER_UID=%u", in->owner);
    spawn_give_env(&g, "TZ=UTC");
    spawn_give_env(&g, "GLIBC_TUNABLES=%s", TRACES_TUNABLES);
    if (s->settings->config->sandbox == CONFIG_LENIENT)
        spawn_give_env(&g, "SH_SANDBOX=best-effort");
    const char *const argv[] = {row->file, NULL};
    const struct spawn_spec spec = {.file = file,
                                    .argv = argv,
                                    .env = g.env,
                                    .dir = dir,
                                    .uid = in->uid[p->id],
                                    .fds = g.fds,
                                    .fd_count = g.fd_count,
                                    .death_signal = row->role ? 0 : SIGKILL};
    return spawn(&spec, &p->pid, s->why);
}

static int start_plain(struct supervisor *s, struct program *p) {
    int pair[2] = {-1, -1}, token = -1, rc = 0;
    bool control = rows[p->id].role != 0;
    if (control && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        rc = why_say(s->why, err_from_errno(errno), "no more sockets: %s", strerror(errno));
    if (!rc && control && (token = token_pipe(s)) < 0)
        rc = why_say(s->why, err_from_errno(errno), "no more pipes: %s", strerror(errno));
    if (!rc)
        rc = run(s, p, pair[1], token);
    if (pair[1] >= 0)
        close(pair[1]);
    if (token >= 0)
        close(token);
    if (!control)
        return rc;
    if (!rc) {
        rc = peer_new(pair[0], IPC_SUPERVISOR, rows[p->id].role, &p->control); /* takes it */
        if (rc)
            kill(p->pid, SIGKILL);
        else
            watch(p);
    } else if (pair[0] >= 0) {
        close(pair[0]);
    }
    return rc;
}

static int start(struct supervisor *s, struct program *p) {
    p->state = STATE_STARTING;
    p->landlock = p->seccomp = 0;
    int rc = p->id == PROGRAM_GATEWAY ? gateway_start(s, p)
             : p->id == PROGRAM_FRONT ? front_start(s, p)
                                      : start_plain(s, p);
    if (rc)
        return rc;
    if (p->id == PROGRAM_DEMO) /* it says nothing: it is sandboxed, or ends */
        program_running(p, (uint8_t)checks_landlock(), 1);
    if (p->id == PROGRAM_FRONT) /* nor does this one, and its socket listens already */
        program_running(p, (uint8_t)checks_landlock(), 0);
    connect_edges(s, p->id);
    return 0;
}

void programs_init(struct supervisor *s) {
    for (int i = 0; i < PROGRAMS; i++)
        s->programs[i] = (struct program){.supervisor = s, .id = (enum program_id)i};
}

int programs_start(struct supervisor *s) {
    for (int i = PROGRAMS - 1; i >= 0; i--) {
        if (i == PROGRAM_DEMO && !s->settings->upstream.demo)
            continue;
        if ((i == PROGRAM_FRONT || i == PROGRAM_CONSOLE) && !front_wanted(s))
            continue;
        int rc = i == PROGRAM_GATEWAY && own_nginx(s) ? own_start(s) : start(s, &s->programs[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- death ---- */

uint64_t programs_pause_ms(unsigned quick) {
    if (quick <= 1)
        return 0;
    unsigned doublings = quick - 2;
    uint64_t ms = doublings < 16 ? (uint64_t)PAUSE_MIN_MS << doublings : PAUSE_MAX_MS;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static void plan_restart(struct program *p, uint64_t now) {
    bool ran = p->ready_ns != 0;
    p->quick = !ran || now - p->ready_ns < QUICK_NS ? p->quick + 1 : 1;
    uint64_t ms = programs_pause_ms(p->quick);
    p->restart_ns = now + (ran && ms > PAUSE_RAN_MAX_MS ? PAUSE_RAN_MAX_MS : ms) * MS;
    p->ready_ns = 0;
    p->state = STATE_RESTARTING;
}

void programs_ended(struct supervisor *s, pid_t pid, int status) {
    uint64_t now = clock_mono_ns();
    struct program *p = NULL;
    for (int i = 0; i < PROGRAMS; i++)
        if (s->programs[i].pid == pid)
            p = &s->programs[i];
    if (!p && (alarms_ended(s, pid, status) || clerks_ended(s, pid)))
        return;
    if (!p) { /* of another generation of nginx, or a dead one's worker */
        gateway_reaped(s, pid);
        return;
    }
    p->pid = 0;
    drop_control(p);
    if (p->id == PROGRAM_GATEWAY)
        gateway_ended(s, pid, now);
    if (s->stopping) {
        p->state = STATE_STOPPED;
        return;
    }
    bool code = WIFEXITED(status);
    int number = code ? WEXITSTATUS(status) : WTERMSIG(status);
    log_event("program-ended", LOG_WORD("name", program_name(p->id)),
              LOG_U64(code ? "code" : "signal", (uint64_t)number), LOG_END);
    plan_restart(p, now);
    if (!s->announced && p->quick >= START_DEATHS_MAX)
        supervisor_stop(s, why_say(s->why, ERR_PEER,
                                   "the %s does not start (%s %d); its own words, "
                                   "if any, are above",
                                   program_name(p->id), code ? "exit code" : "signal", number));
}

void programs_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    for (int i = 0; i < PROGRAMS && !s->stopping; i++) {
        struct program *p = &s->programs[i];
        if (p->state != STATE_RESTARTING)
            continue;
        if (now < p->restart_ns) {
            supervisor_due(due, p->restart_ns);
            continue;
        }
        p->restarts++;
        if (start(s, p)) { /* no memory, no processes: the same as a quick death */
            fprintf(stderr, "safehouse: %s\n", s->why->text);
            plan_restart(p, now);
            supervisor_due(due, p->restart_ns);
        }
    }
}

bool programs_running(const struct supervisor *s) {
    for (int i = 0; i < PROGRAMS; i++)
        if (s->programs[i].state != STATE_RUNNING && s->programs[i].state != STATE_UNUSED)
            return false;
    return true;
}
