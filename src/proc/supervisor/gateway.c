/*
 * The gateway's part of the supervisor: nginx with its configuration and its descriptors, the
 * workers' reports, and what is left of a master that was killed.
 *
 * Where nginx's own configuration changes, a reload does not send HUP: it starts a second master on
 * the same listening socket. If that one's workers report that they serve, the first one is told to
 * quit, and goes when its last stream has ended; if they do not, it goes, and the first one has not
 * noticed. So no failure of a new configuration can reach what is being served: a worker that does
 * not start ends its own master, and after HUP that would be the one that all streams hang on. And
 * what a master keeps for life (environment, certificates' files) is new, too.
 *
 * Each program leads a process group of its own (spawn's setsid), nginx's workers are in the
 * master's. As the supervisor is the subreaper, workers of a dead master become its children, so
 * the group's number stays theirs until all of them are reaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/security_txt.h"
#include "base/traces.h"
#include "proc/supervisor/checks.h"
#include "proc/supervisor/gateway_conf.h"
#include "proc/supervisor/supervisor_int.h"

#define MODULE "ngx_http_safehouse_module.so"
#define ORPHANS_NS (10000 * MS) /* for the streams of a dead master's workers to end */

static const char *const nginx_paths[] = {
    "/usr/sbin/nginx",
    "/usr/local/sbin/nginx",
    "/usr/local/nginx/sbin/nginx",
    "/usr/bin/nginx",
};

/* ---- the configuration ---- */

/* The folder is the gateway's own: nothing that lies in it is followed or written into. */
int gateway_write_file(const struct supervisor *s, const char *dir, const char *name,
                       const struct buf *text) {
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = -1, rc = at < 0 ? err_from_errno(errno) : 0;
    if (!rc && unlinkat(at, name, 0) && errno != ENOENT)
        rc = err_from_errno(errno);
    if (!rc && (fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        rc = err_from_errno(errno);
    if (!rc && (write(fd, text->p, text->len) != (ssize_t)text->len || fchmod(fd, 0444)))
        rc = ERR_IO;
    if (fd >= 0)
        close(fd);
    if (at >= 0)
        close(at);
    return rc ? why_say(s->why, rc, "cannot write %s/%s: %s", dir, name, err_text(rc)) : 0;
}

/* What a master is given, and so what its configuration says: texts that the struct points to. */
struct making {
    char dir[INSTALL_PATH], module[INSTALL_PATH + 64], listen[ADDRESS_TEXT];
    char certificate[SPAWN_FILE], key[SPAWN_FILE];
    char hosts[LIMIT_PROVIDERS][SNAPSHOT_HOST], paths[LIMIT_PROVIDERS][SNAPSHOT_PATH];
    struct gateway_provider providers[LIMIT_PROVIDERS];
    struct spawn_gifts gifts;
    struct gateway_conf conf;
    struct buf security_txt;
};

static void making_free(struct making *m) {
    if (m)
        buf_wipe(&m->security_txt);
    free(m);
}

static int list_providers(struct making *m, const struct config *c) {
    if (c->providers.count > LIMIT_PROVIDERS)
        return ERR_LIMIT;
    for (size_t i = 0; i < c->providers.count; i++) {
        const struct config_provider *p = &c->providers.at[i];
        struct gateway_provider *g = &m->providers[i];
        if (!config_url_split(p->url, &g->tls, m->hosts[i], m->paths[i]))
            return ERR_USAGE;
        g->name = p->name;
        g->host = m->hosts[i];
        g->path = m->paths[i];
        g->connect_ms = (uint32_t)p->timeouts.connect_ms;
        g->first_byte_ms = (uint32_t)p->timeouts.first_byte_ms;
        g->idle_ms = (uint32_t)p->timeouts.idle_ms;
    }
    return 0;
}

size_t gateway_shared(const struct supervisor *s, int snapshot, struct gateway_fd out[GATEWAY_FDS]) {
    int usage_fd, live_fd;
    limits_fds(s->limits, &usage_fd, &live_fd);
    const struct gateway_fd all[] = {
        {s->ring_fd, "SH_RING_FD"},
        {s->wake_fd, "SH_WAKE_FD"},
        {snapshot, "SH_SNAPSHOT_FD"},
        {usage_fd, "SH_USAGE_FD"},
        {live_fd, "SH_LIVE_FD"},
        {health_fd(s->health), "SH_HEALTH_FD"},
        {metrics_fd(s->metrics), "SH_METRICS_FD"},
        {s->report_fds[0], "SH_REPORT_FD"},
    };
    _Static_assert(sizeof all + 2 * sizeof all[0] <= GATEWAY_FDS * sizeof all[0], "room for two more");
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof all[0];
}

/* `report`: the workers' end of the pipe, any descriptor when only the text is wanted; `policy`: what
 * they look for before they forward. */
static int make(struct supervisor *s, const struct settings *settings, const struct tls_files *tls,
                int policy, int snapshot, int report, struct making *m) {
    const struct install *in = s->spec->install;
    struct spawn_gifts *g = &m->gifts;
    struct gateway_fd shared[GATEWAY_FDS];
    size_t count = gateway_shared(s, snapshot, shared);
    if (!install_path(in, install_folder(PROGRAM_GATEWAY), m->dir))
        return why_say(s->why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    snprintf(m->module, sizeof m->module, "%s/%s", in->bin, MODULE);
    address_format(s->spec->listen, m->listen);
    if (s->listen_fd >= 0) { /* one's own nginx has its own */
        spawn_give_fd(g, s->listen_fd, NULL);
        spawn_give_env(g, "NGINX=%d;", g->fds[0].to);
    }
    for (size_t i = 0; i < count; i++)
        spawn_give_fd(g, shared[i].fd, shared[i].variable);
    spawn_give_fd(g, report, "SH_READY_FD");
    spawn_give_fd(g, policy, "SH_DETECT_FD");
    spawn_give_file(g, tls->certificate_fd, m->certificate);
    spawn_give_file(g, tls->key_fd, m->key);
    int rc = list_providers(m, settings->config);
    if (rc)
        return why_say(s->why, rc, "the providers do not fit into nginx's configuration");
    buf_init(&m->security_txt, SECURITY_TXT_MAX);
    rc = disclosure_text(settings->config, tls->certificate_fd >= 0, &m->security_txt, s->why);
    if (rc)
        return rc;
    m->conf = (struct gateway_conf){.dir = m->dir,
                                    .module = m->module,
                                    .listen = m->listen,
                                    .certificate = m->certificate,
                                    .certificate_key = m->key,
                                    .max_body = settings->config->gateway.max_body,
                                    .body_memory = settings->config->gateway.body_memory,
                                    .workers = checks_workers(settings->config),
                                    .best_effort = settings->config->sandbox == CONFIG_LENIENT,
                                    .providers = m->providers,
                                    .provider_count = settings->config->providers.count,
                                    .reports = settings->config->reports.enabled,
                                    .security_txt = &m->security_txt};
    return 0;
}

static int write_text(struct supervisor *s, const struct making *m, struct buf *text) {
    int rc = gateway_conf_write(text, &m->conf);
    return rc ? why_say(s->why, rc,
                        "a provider or the path %s cannot be put into nginx's configuration: %s",
                        m->dir, err_text(rc))
              : 0;
}

int gateway_differs(struct supervisor *s, const struct settings *next, const struct tls_files *tls,
                    bool *ret) {
    struct making *m[2] = {calloc(1, sizeof *m[0]), calloc(1, sizeof *m[1])};
    struct buf text[2];
    int rc = m[0] && m[1] ? 0 : why_say(s->why, ERR_NOMEM, "out of memory");
    for (int i = 0; i < 2; i++) {
        buf_init(&text[i], GATEWAY_CONF_MAX);
        if (!rc)
            rc = make(s, i ? next : s->settings, i ? tls : &s->tls, s->policy_fd, s->snapshot_reader_fd, s->wake_fd, m[i]);
        if (!rc)
            rc = write_text(s, m[i], &text[i]);
    }
    if (!rc)
        *ret = text[0].len != text[1].len || memcmp(text[0].p, text[1].p, text[0].len) != 0 ||
               !shared_same_tls(tls, &s->tls);
    for (int i = 0; i < 2; i++) {
        buf_wipe(&text[i]);
        making_free(m[i]);
    }
    return rc;
}

int gateway_write_parts(struct supervisor *s) {
    static const char *const names[] = {[GATEWAY_PART_MAIN] = "nginx-main.conf",
                                        [GATEWAY_PART_HTTP] = "nginx-http.conf",
                                        [GATEWAY_PART_SERVER] = "nginx-server.conf"};
    struct making *m = calloc(1, sizeof *m);
    char dir[INSTALL_PATH];
    int rc = m ? make(s, s->settings, &s->tls, s->policy_fd, s->snapshot_reader_fd, s->wake_fd, m)
               : why_say(s->why, ERR_NOMEM, "out of memory");
    if (!rc && !install_path(s->spec->install, "run", dir))
        rc = why_say(s->why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    for (enum gateway_part i = 0; i < sizeof names / sizeof names[0] && !rc; i++) {
        struct buf text;
        buf_init(&text, GATEWAY_CONF_MAX);
        rc = gateway_conf_part(&text, &m->conf, i);
        rc = rc ? why_say(s->why, rc, "a provider cannot be put into nginx's configuration: %s",
                          err_text(rc))
                : gateway_write_file(s, dir, names[i], &text);
        buf_wipe(&text);
    }
    making_free(m);
    return rc;
}

/* ---- the workers' reports ---- */

static void close_reports(struct master *m) {
    if (m->ready_fd < 0)
        return;
    loop_forget(m->supervisor->loop, m->ready_fd);
    close(m->ready_fd);
    m->ready_fd = -1;
}

static void read_reports(void *arg, uint32_t events) {
    struct master *m = arg;
    struct supervisor *s = m->supervisor;
    struct program *p = &s->programs[PROGRAM_GATEWAY];
    uint8_t report[2];
    (void)events;
    ssize_t n;
    while ((n = read(m->ready_fd, report, sizeof report)) == sizeof report) {
        m->landlock = report[0];
        m->seccomp = report[1];
        if (++m->reports != m->workers)
            continue;
        if (m == &s->master && p->state == STATE_STARTING)
            program_running(p, m->landlock, m->seccomp);
        else if (m == &s->reload.master)
            reload_gateway_ready(s);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close_reports(m); /* master and workers are gone */
}

/* A new pipe for each master, so that no earlier one's workers count. */
static int make_ready_pipe(struct supervisor *s, struct master *m, int *ret_write) {
    int ends[2];
    close_reports(m);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return why_say(s->why, err_from_errno(errno), "no more pipes: %s", strerror(errno));
    m->ready_fd = ends[0];
    m->reports = 0;
    int rc = loop_watch(s->loop, m->ready_fd, EPOLLIN, read_reports, m);
    if (rc) {
        close(ends[1]);
        return why_say(s->why, rc, "cannot watch the gateway: %s", err_text(rc));
    }
    *ret_write = ends[1];
    return 0;
}

/* ---- a new generation's standard error ---- */

static void close_words(struct master *m) {
    if (m->words_fd < 0)
        return;
    loop_forget(m->supervisor->loop, m->words_fd);
    close(m->words_fd);
    m->words_fd = -1;
}

/* Of "DATE [emerg] PID: what is wrong in FILE:LINE" the middle: the file is ours, not the reader's.
 */
static void keep_words(struct master *m, const char *text) {
    const char *from = strstr(text, "[emerg]");
    from = from ? strstr(from, ": ") : NULL;
    if (!from)
        return;
    from += 2;
    size_t n = strcspn(from, "\n");
    const char *file = memmem(from, n, " in /", 5);
    if (file)
        n = (size_t)(file - from);
    snprintf(m->words, sizeof m->words, "%.*s", (int)n, from);
}

static void read_words(void *arg, uint32_t events) {
    struct master *m = arg;
    char text[4096];
    ssize_t n;
    (void)events;
    while ((n = read(m->words_fd, text, sizeof text - 1)) > 0) {
        text[n] = 0;
        keep_words(m, text);
        if (write(STDERR_FILENO, text, (size_t)n) < 0)
            break; /* nowhere left to say it */
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close_words(m);
}

static int make_words_pipe(struct supervisor *s, struct master *m, int *ret_write) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return why_say(s->why, err_from_errno(errno), "no more pipes: %s", strerror(errno));
    m->words_fd = ends[0];
    m->words[0] = 0;
    *ret_write = ends[1];
    int rc = fcntl(m->words_fd, F_SETFL, O_NONBLOCK) /* this end alone */
                 ? err_from_errno(errno)
                 : loop_watch(s->loop, m->words_fd, EPOLLIN, read_words, m);
    return rc ? why_say(s->why, rc, "cannot watch the gateway: %s", err_text(rc)) : 0;
}

/* ---- start ---- */

const char *gateway_nginx(void) {
    for (size_t i = 0; i < sizeof nginx_paths / sizeof nginx_paths[0]; i++)
        if (access(nginx_paths[i], X_OK) == 0)
            return nginx_paths[i];
    return NULL;
}

static int run(struct supervisor *s, struct making *m, struct master *master) {
    const char *nginx = gateway_nginx();
    char prefix[INSTALL_PATH + 2], file[INSTALL_PATH + 16];
    struct spawn_gifts *g = &m->gifts;
    struct buf text;
    if (!nginx)
        return why_say(s->why, ERR_NOTFOUND,
                       "there is no nginx here; install it: apt-get install "
                       "nginx");
    buf_init(&text, GATEWAY_CONF_MAX);
    int rc = write_text(s, m, &text);
    if (!rc)
        rc = gateway_write_file(s, m->dir, "nginx.conf", &text);
    buf_wipe(&text);
    if (rc)
        return rc;
    if (gateway_conf_tls(&m->conf))
        spawn_give_env(g, "GLIBC_TUNABLES=%s", TRACES_TUNABLES);
    if (s->settings->config->sandbox == CONFIG_LENIENT)
        spawn_give_env(g, "SH_SANDBOX=best-effort");
    snprintf(prefix, sizeof prefix, "%s/", m->dir);
    snprintf(file, sizeof file, "%s/nginx.conf", m->dir);
    const char *const argv[] = {"nginx", "-p", prefix, "-c", file, "-e", "stderr", NULL};
    const struct spawn_spec spec = {.file = nginx,
                                    .argv = argv,
                                    .env = g->env,
                                    .dir = m->dir,
                                    .uid = s->spec->install->uid[PROGRAM_GATEWAY],
                                    .fds = g->fds,
                                    .fd_count = g->fd_count,
                                    .death_signal = SIGTERM};
    return spawn(&spec, &master->pid, s->why);
}

/* `words`: for its standard error; -1: the supervisor's own. */
static int start(struct supervisor *s, struct master *master, const struct settings *settings,
                 const struct tls_files *tls, int policy, int snapshot, int words) {
    struct making *m = calloc(1, sizeof *m);
    int report = -1;
    int rc = m ? make_ready_pipe(s, master, &report) : why_say(s->why, ERR_NOMEM, "out of memory");
    if (!rc)
        rc = make(s, settings, tls, policy, snapshot, report, m);
    if (!rc) {
        if (words >= 0)
            m->gifts.fds[m->gifts.fd_count++] = (struct spawn_fd){words, STDERR_FILENO};
        master->workers = m->conf.workers;
        rc = run(s, m, master);
    }
    if (report >= 0)
        close(report);
    making_free(m);
    return rc;
}

void gateway_init(struct supervisor *s) {
    s->master = s->reload.master = (struct master){.supervisor = s, .ready_fd = -1, .words_fd = -1};
}

int gateway_start(struct supervisor *s, struct program *p) {
    close_words(&s->master);
    int rc = start(s, &s->master, s->settings, &s->tls, s->policy_fd, s->snapshot_reader_fd, -1);
    p->pid = s->master.pid;
    return rc;
}

/* ---- generations ---- */

/* Regions that must be free for a new generation: its own, and, unless the ring is a small one, as
 * many again for those that replace it if its master dies while its workers still hold theirs. */
static unsigned regions_needed(const struct supervisor *s, unsigned workers) {
    return s->regions >= 3 * workers ? 2 * workers : workers;
}

int gateway_start_next(struct supervisor *s) {
    struct reload *r = &s->reload;
    unsigned workers = checks_workers(r->settings.config);
    unsigned now = gateway_workers(s, false, NULL, 0), older = gateway_workers(s, true, NULL, 0);
    unsigned needed = regions_needed(s, workers);
    if (s->regions < now + needed)
        return why_say(
            s->why, ERR_LIMIT,
            "gateway.workers: %u of them do not fit into a ring that was made for fewer; "
            "restart safehouse up",
            workers);
    if (s->regions < now + older + needed)
        return why_say(s->why, ERR_FULL,
                       "earlier workers still serve long streams, and there is no room for new "
                       "ones beside them (%u of %u regions of the ring are in use, %u are needed); "
                       "try again when some of these streams have ended",
                       now + older, s->regions, needed);
    int words = -1, rc = make_words_pipe(s, &r->master, &words);
    if (!rc)
        rc = start(s, &r->master, &r->settings, &r->tls, r->policy_fd, r->snapshot_reader_fd, words);
    if (words >= 0)
        close(words);
    return rc;
}

static void leave(struct supervisor *s, pid_t master) {
    size_t i = 0;
    kill(master, SIGQUIT);
    while (i < LIMIT_WORKER_SLOTS && s->leaving[i])
        i++;
    CHECK(i < LIMIT_WORKER_SLOTS); /* as long as it is there, each holds a region at least */
    s->leaving[i] = master;
}

void gateway_switch(struct supervisor *s) {
    struct program *p = &s->programs[PROGRAM_GATEWAY];
    if (p->pid)
        leave(s, p->pid);
    close_reports(&s->master);
    close_words(&s->master);
    s->master = s->reload.master;
    s->reload.master = (struct master){.supervisor = s, .ready_fd = -1, .words_fd = -1};
    p->pid = s->master.pid;
    p->ready_ns = 0;
    int rc = loop_watch(s->loop, s->master.ready_fd, EPOLLIN, read_reports, &s->master);
    if (!rc && s->master.words_fd >= 0)
        rc = loop_watch(s->loop, s->master.words_fd, EPOLLIN, read_words, &s->master);
    if (rc)
        log_event("watch-failed", LOG_ERR(rc), LOG_END);
    program_running(p, s->master.landlock, s->master.seccomp);
}

void gateway_drop_next(struct supervisor *s) {
    struct master *m = &s->reload.master;
    if (m->pid)
        kill(-m->pid, SIGKILL);
    m->pid = 0;
    close_reports(m);
    close_words(m);
}

void gateway_reaped(struct supervisor *s, pid_t pid) {
    if (s->reload.master.pid != pid)
        return;
    s->reload.master.pid = 0;
    if (s->reload.master.words_fd >= 0)
        read_words(&s->reload.master, 0);
    reload_gateway_ended(s);
}

void gateway_signal(const struct supervisor *s, int sig) {
    const pid_t now = s->programs[PROGRAM_GATEWAY].pid, next = s->reload.master.pid;
    int group = sig == SIGKILL ? -1 : 1; /* workers do not outlive a killed master */
    if (now)
        kill(group * now, sig);
    if (next)
        kill(group * next, sig);
    for (size_t i = 0; i < LIMIT_WORKER_SLOTS; i++)
        if (s->leaving[i])
            kill(-s->leaving[i], sig); /* its master may be dead already */
}

bool gateway_gone(const struct supervisor *s) {
    for (size_t i = 0; i < LIMIT_WORKER_SLOTS; i++)
        if (s->leaving[i])
            return false;
    return s->programs[PROGRAM_GATEWAY].pid == 0 && s->reload.master.pid == 0;
}

/* ---- workers ---- */

unsigned gateway_workers(const struct supervisor *s, bool older, pid_t *out, unsigned max) {
    unsigned n = 0;
    for (unsigned i = 0; i < s->regions; i++) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)i, .l_len = 1};
        if (fcntl(s->ring_fd, F_GETLK, &lock) || lock.l_type == F_UNLCK)
            continue;
        bool current = own_nginx(s) || (s->master.pid && getpgid(lock.l_pid) == s->master.pid);
        if (current == older)
            continue;
        if (n < max)
            out[n] = lock.l_pid;
        n++;
    }
    return n;
}

/* nginx says in a worker's title that it has closed its sockets, or is about to. */
static bool takes_new(pid_t worker) {
    char path[64], title[256];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)worker);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, title, sizeof title);
    if (fd >= 0)
        close(fd);
    return n > 0 && !memmem(title, (size_t)n, "shutting down", strlen("shutting down"));
}

bool gateway_accepting(const struct supervisor *s) {
    pid_t pids[LIMIT_WORKER_SLOTS];
    unsigned n = gateway_workers(s, true, pids, LIMIT_WORKER_SLOTS);
    for (unsigned i = 0; i < n && i < LIMIT_WORKER_SLOTS; i++)
        if (takes_new(pids[i]))
            return true;
    return false;
}

static void kill_orphans(struct supervisor *s) {
    if (s->orphans && kill(-s->orphans, SIGKILL) && errno != ESRCH)
        log_event("kill-failed", LOG_END);
}

/*
 * The master died, however it did: its workers would go on for ever with nobody to lead them. They
 * finish what is under way, and take nothing new. Those of a master before it have had their time.
 */
void gateway_ended(struct supervisor *s, pid_t master, uint64_t now) {
    kill_orphans(s);
    s->master.pid = 0;
    s->orphans = kill(-master, SIGQUIT) == 0 ? master : 0;
    s->orphans_end_ns = now + ORPHANS_NS;
}

void gateway_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    for (size_t i = 0; i < LIMIT_WORKER_SLOTS; i++)
        if (s->leaving[i] && kill(-s->leaving[i], 0) && errno == ESRCH)
            s->leaving[i] = 0;
    if (!s->orphans)
        return;
    if (kill(-s->orphans, 0) && errno == ESRCH) {
        s->orphans = 0;
        return;
    }
    if (now >= s->orphans_end_ns) {
        kill_orphans(s);
        s->orphans_end_ns = now + 100 * MS; /* until they are reaped */
    }
    supervisor_due(due, s->orphans_end_ns);
}
