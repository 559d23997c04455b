/*
 * The supervisor's life (supervisor.h), in the process of `safehouse up`.
 *
 *   make what is shared -> start the programs -> all run: D/run/ready
 *   -> a signal, or a program that does not start: the orderly stop
 *
 * The stop goes down enum program_id: the gateway ends its requests, the sealer hands what it has
 * to vault and store, then those two end. Each has a deadline; a second signal kills all at once.
 */
#include "proc/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/supervisor/supervisor_int.h"

#define LOOK_NS (60000 * MS) /* the longest sleep */
#define QUIT_NS (12000 * MS) /* for a program to end when asked; of the gateway: its streams */
#define TERM_NS (3000 * MS)  /* and when told */

void supervisor_due(uint64_t *due, uint64_t at_ns) {
    if (at_ns < *due)
        *due = at_ns;
}

/* ---- ready ---- */

int supervisor_write_ready(const struct supervisor *s) {
    char listen[ADDRESS_TEXT], gateway[ADDRESS_TEXT + 16], console[ADDRESS_TEXT + 16] = "null";
    address_format(s->spec->listen, listen);
    snprintf(gateway, sizeof gateway, "\"%s://%s\"", s->tls.certificate_fd >= 0 ? "https" : "http",
             listen);
    unlinkat(s->run_fd, "ready.new", 0);
    int fd = openat(s->run_fd, "ready.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_from_errno(errno);
    if (s->spec->console) {
        address_format(s->spec->console, listen);
        snprintf(console, sizeof console, "\"%s://%s\"", s->tls.certificate_fd >= 0 ? "https" : "http",
                 listen);
    }
    int n = dprintf(fd, "{\"gateway\":%s,\"console\":%s,\"pid\":%d}\n",
                    own_nginx(s) ? "null,\"waits_for\":\"safehouse attach\"" : gateway, console,
                    (int)getpid());
    close(fd);
    if (n < 0 || renameat(s->run_fd, "ready.new", s->run_fd, "ready"))
        return err_from_errno(errno);
    return 0;
}

static void announce(struct supervisor *s) {
    if (s->announced || s->stopping || s->lock == VAULT_ASKED || !programs_running(s))
        return;
    s->announced = true;
    report_ready(s);
    int rc = supervisor_write_ready(s);
    if (rc)
        supervisor_stop(s, why_say(s->why, rc, "cannot write %s/run/ready: %s",
                                   s->spec->install->dir, err_text(rc)));
}

/* ---- stop ---- */

void supervisor_stop(struct supervisor *s, int failed) {
    if (s->stopping)
        return;
    s->stopping = true;
    s->failed = failed;
    unlinkat(s->run_fd, "ready", 0);
    shared_close_listen(s);
    own_release(s);
    reload_done(s);
    vault_done(s);
}

/* Killing takes whole groups: nginx's workers, too. */
static void tell(const struct supervisor *s, const struct program *p, int sig) {
    if (p->id == PROGRAM_GATEWAY)
        gateway_signal(s, sig);
    else if (p->pid)
        kill(sig == SIGKILL ? -p->pid : p->pid, sig);
}

/* The next, harder way to end the program that stop_at names. */
static void push(struct supervisor *s, struct program *p, uint64_t now) {
    bool gateway = p->id == PROGRAM_GATEWAY;
    s->stop_ns = now + (s->stop_step ? TERM_NS : QUIT_NS);
    switch (s->stop_step++) {
    case 0:
        if (p->control)
            program_send(p, MSG_STOP, NULL, 0, -1);
        else
            tell(s, p, gateway ? SIGQUIT : SIGTERM);
        return;
    case 1:
        log_event("stop-late", LOG_WORD("name", program_name(p->id)), LOG_END);
        tell(s, p, SIGTERM);
        return;
    default:
        tell(s, p, SIGKILL);
    }
}

static bool gone(const struct supervisor *s, int id) {
    return id == PROGRAM_GATEWAY ? gateway_gone(s) && own_gone(s) : s->programs[id].pid == 0;
}

static void stop_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    if (!s->stopping)
        return;
    while (s->stop_at < PROGRAMS && gone(s, s->stop_at)) {
        s->stop_at++;
        s->stop_step = 0;
    }
    if (s->stop_at == PROGRAMS) {
        loop_stop(s->loop);
        return;
    }
    if (s->stop_step == 0 || now >= s->stop_ns)
        push(s, &s->programs[s->stop_at], now);
    supervisor_due(due, s->stop_ns);
}

static void kill_all(const struct supervisor *s) {
    for (int i = 0; i < PROGRAMS; i++)
        tell(s, &s->programs[i], SIGKILL);
    if (s->orphans)
        kill(-s->orphans, SIGKILL);
}

/* ---- the loop ---- */

static int tick(void *arg) {
    struct supervisor *s = arg;
    uint64_t now = clock_mono_ns(), due = now + LOOK_NS;
    programs_tick(s, now, &due);
    gateway_tick(s, now, &due);
    own_tick(s, now, &due);
    vault_tick(s, now, &due);
    reload_tick(s, now, &due);
    publish_tick(s, now, &due);
    tables_tick(s, now, &due);
    control_tick(s, now, &due);
    retention_tick(s, now, &due);
    disclosure_tick(s, now, &due);
    alarms_tick(s, now, &due);
    announce(s);
    stop_tick(s, now, &due);
    now = clock_mono_ns();
    return due <= now ? 0 : (int)((due - now) / MS) + 1;
}

static void reap(struct supervisor *s) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        programs_ended(s, pid, status);
}

static void on_signal(void *arg, uint32_t events) {
    struct supervisor *s = arg;
    struct signalfd_siginfo info;
    (void)events;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else if (info.ssi_signo == SIGHUP)
            s->reload.asked = true; /* a closed terminal says the same, and does no harm */
        else if (s->stopping)
            kill_all(s);
        else
            supervisor_stop(s, 0);
    }
}

static int watch_signals(struct supervisor *s) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    signal(SIGHUP, SIG_DFL); /* nohup's ignoring would keep it from us */
    if (sigprocmask(SIG_BLOCK, &set, NULL) ||
        (s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return why_say(s->why, err_from_errno(errno), "cannot watch signals: %s", strerror(errno));
    return loop_watch(s->loop, s->signal_fd, EPOLLIN, on_signal, s);
}

/* ---- start and end ---- */

static int open_folders(struct supervisor *s) {
    const char *dir = s->spec->install->dir;
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->run_fd = s->dir_fd < 0 ? -1 : openat(s->dir_fd, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->run_fd < 0)
        return why_say(s->why, err_from_errno(errno), "cannot enter %s/run: %s", dir,
                       strerror(errno));
    unlinkat(s->run_fd, "ready", 0); /* of one that was killed */
    return 0;
}

/* Provider's key and token are in this process: no core, no tracing by the same user. The programs
 * inherit what they may lock; where that cannot be raised, `up` and `status` say so. */
static int harden(struct supervisor *s) {
    const struct rlimit none = {0, 0}, endless = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &endless);
    if (prctl(PR_SET_DUMPABLE, 0) || setrlimit(RLIMIT_CORE, &none) ||
        prctl(PR_SET_CHILD_SUBREAPER, 1))
        return why_say(s->why, err_from_errno(errno), "cannot harden the process: %s",
                       strerror(errno));
    return 0;
}

static int begin(struct supervisor *s) {
    int rc = harden(s);
    if (!rc)
        rc = open_folders(s);
    if (!rc)
        rc = loop_new(&s->loop);
    if (!rc)
        rc = watch_signals(s);
    if (!rc)
        rc = shared_make(s);
    if (!rc && (rc = publish_settings(s, s->settings)) != 0)
        why_say(s->why, rc, "cannot publish the configuration with %s/control/control.db: %s",
                s->spec->install->dir, err_text(rc));
    if (!rc && (rc = tables_place(s)) != 0)
        why_say(s->why, rc, "cannot watch the providers: %s", err_text(rc));
    if (!rc && (rc = retention_new(&s->retention)) != 0)
        why_say(s->why, rc, "out of memory");
    if (!rc)
        rc = control_start(s);
    return rc ? rc : programs_start(s);
}

static void end(struct supervisor *s) {
    kill_all(s); /* nobody, after an orderly stop */
    for (int i = 0; i < PROGRAMS; i++)
        if (s->programs[i].pid)
            waitpid(s->programs[i].pid, NULL, 0);
    vault_done(s);
    control_done(s);
    retention_free(s->retention);
    for (int i = 0; i < PROGRAMS; i++)
        peer_free(s->programs[i].control);
    unlinkat(s->run_fd, "ready", 0);
    own_release(s);
    shared_done(s);
    loop_free(s->loop);
    const int fds[] = {s->signal_fd, s->run_fd, s->dir_fd, s->master.ready_fd, s->master.words_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

int supervisor_run(const struct supervisor_spec *spec, struct why *why) {
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s)
        return why_say(why, ERR_NOMEM, "out of memory");
    int *const fds[] = {&s->signal_fd,
                        &s->dir_fd,
                        &s->run_fd,
                        &s->ring_fd,
                        &s->wake_fd,
                        &s->prefix_fd,
                        &s->policy_fd,
                        &s->snapshot_fd,
                        &s->store_fd,
                        &s->vault_fd,
                        &s->control_fd,
                        &s->snapshot_reader_fd,
                        &s->demo_fd,
                        &s->console_fd,
                        &s->console_unix_fd,
                        &s->life_fds[0],
                        &s->life_fds[1],
                        &s->report_fds[0],
                        &s->report_fds[1],
                        &s->tls.certificate_fd,
                        &s->tls.key_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        *fds[i] = -1;
    s->spec = spec;
    s->why = why;
    s->settings = spec->settings;
    s->listen_fd = spec->listen_fd;
    s->console_fd = spec->console_fd;
    s->demo_fd = spec->settings->demo_fd;
    spec->settings->demo_fd = -1;
    programs_init(s);
    gateway_init(s);
    reload_init(s);
    log_program("supervisor");
    int rc = begin(s);
    if (!rc)
        rc = loop_run(s->loop, tick, s, 0);
    if (!rc)
        rc = s->failed;
    end(s);
    sodium_memzero(s, sizeof *s);
    free(s);
    return rc;
}
