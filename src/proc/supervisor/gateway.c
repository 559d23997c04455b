/*
 * The gateway's part of the supervisor: nginx with its configuration and its descriptors, the
 * workers' reports, and what is left of a master that was killed.
 *
 * Each program leads a process group of its own (spawn's setsid), nginx's workers are in the
 * master's. As the supervisor is the subreaper, workers of a dead master become its children, so
 * the group's number stays theirs until all of them are reaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
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
static int write_file(const struct supervisor *s, const char *dir, const struct buf *text) {
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = -1, rc = at < 0 ? err_from_errno(errno) : 0;
    if (!rc && unlinkat(at, "nginx.conf", 0) && errno != ENOENT)
        rc = err_from_errno(errno);
    if (!rc && (fd = openat(at, "nginx.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        rc = err_from_errno(errno);
    if (!rc && (write(fd, text->p, text->len) != (ssize_t)text->len || fchmod(fd, 0444)))
        rc = ERR_IO;
    if (fd >= 0)
        close(fd);
    if (at >= 0)
        close(at);
    return rc ? why_say(s->why, rc, "cannot write %s/nginx.conf: %s", dir, err_text(rc)) : 0;
}

static int write_conf(const struct supervisor *s, const struct gateway_conf *c, const char *dir) {
    struct buf text;
    buf_init(&text, GATEWAY_CONF_MAX);
    int rc = gateway_conf_write(&text, c);
    if (rc)
        why_say(s->why, rc,
                "the upstream %.200s or the path %s cannot be put into nginx's "
                "configuration: %s",
                c->upstream, dir, err_text(rc));
    else
        rc = write_file(s, dir, &text);
    buf_wipe(&text);
    return rc;
}

/* ---- start ---- */

static const char *find_nginx(void) {
    for (size_t i = 0; i < sizeof nginx_paths / sizeof nginx_paths[0]; i++)
        if (access(nginx_paths[i], X_OK) == 0)
            return nginx_paths[i];
    return NULL;
}

static void read_reports(void *arg, uint32_t events) {
    struct supervisor *s = arg;
    struct program *p = &s->programs[PROGRAM_GATEWAY];
    uint8_t report[2];
    (void)events;
    ssize_t n;
    while ((n = read(s->ready_fd, report, sizeof report)) == sizeof report) {
        s->ready_workers++;
        if (p->state == STATE_STARTING && s->ready_workers >= s->workers)
            program_running(p, report[0], report[1]);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_forget(s->loop, s->ready_fd); /* master and workers are gone */
    close(s->ready_fd);
    s->ready_fd = -1;
}

/* A new pipe for each master, so that no earlier one's workers count. */
static int make_ready_pipe(struct supervisor *s, int *ret_write) {
    int ends[2];
    if (s->ready_fd >= 0) {
        loop_forget(s->loop, s->ready_fd);
        close(s->ready_fd);
        s->ready_fd = -1;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return why_say(s->why, err_from_errno(errno), "no more pipes: %s", strerror(errno));
    s->ready_fd = ends[0];
    s->ready_workers = 0;
    *ret_write = ends[1];
    int rc = loop_watch(s->loop, s->ready_fd, EPOLLIN, read_reports, s);
    if (rc)
        close(ends[1]);
    return rc;
}

/* The path under which nginx reads a memory file that it was given as its next descriptor. */
static void give_file(struct spawn_gifts *g, int fd, char out[32]) {
    out[0] = 0;
    if (fd < 0)
        return;
    spawn_give_fd(g, fd, NULL);
    snprintf(out, 32, "/proc/self/fd/%d", g->fds[g->fd_count - 1].to);
}

static int run(struct supervisor *s, struct program *p, struct spawn_gifts *g, const char *dir,
               const struct gateway_conf *conf) {
    const char *nginx = find_nginx();
    char prefix[INSTALL_PATH + 2], file[INSTALL_PATH + 16];
    if (!nginx)
        return why_say(s->why, ERR_NOTFOUND,
                       "there is no nginx here; install it: apt-get install "
                       "nginx");
    int rc = write_conf(s, conf, dir);
    if (rc)
        return rc;
    if (gateway_conf_tls(conf))
        spawn_give_env(g, "GLIBC_TUNABLES=glibc.malloc.perturb=165");
    if (s->spec->config->sandbox == CONFIG_LENIENT)
        spawn_give_env(g, "SH_SANDBOX=best-effort");
    snprintf(prefix, sizeof prefix, "%s/", dir);
    snprintf(file, sizeof file, "%s/nginx.conf", dir);
    const char *const argv[] = {"nginx", "-p", prefix, "-c", file, "-e", "stderr", NULL};
    const struct spawn_spec spec = {.file = nginx,
                                    .argv = argv,
                                    .env = g->env,
                                    .dir = dir,
                                    .uid = s->spec->install->uid[PROGRAM_GATEWAY],
                                    .fds = g->fds,
                                    .fd_count = g->fd_count,
                                    .death_signal = SIGTERM};
    return spawn(&spec, &p->pid, s->why);
}

int gateway_start(struct supervisor *s, struct program *p) {
    const struct install *in = s->spec->install;
    char dir[INSTALL_PATH], module[INSTALL_PATH + 64], listen[ADDRESS_TEXT];
    char certificate[32], key[32];
    struct spawn_gifts g = {0};
    int report = -1;
    if (!install_path(in, install_folder(PROGRAM_GATEWAY), dir))
        return why_say(s->why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    snprintf(module, sizeof module, "%s/%s", in->bin, MODULE);
    address_format(s->spec->listen, listen);
    int rc = make_ready_pipe(s, &report);
    if (rc)
        return rc;
    spawn_give_fd(&g, s->listen_fd, NULL);
    spawn_give_env(&g, "NGINX=%d;", g.fds[0].to);
    spawn_give_fd(&g, s->ring_fd, "SH_RING_FD");
    spawn_give_fd(&g, s->wake_fd, "SH_WAKE_FD");
    spawn_give_fd(&g, s->snapshot_reader_fd, "SH_SNAPSHOT_FD");
    spawn_give_fd(&g, report, "SH_READY_FD");
    give_file(&g, s->certificate_fd, certificate);
    give_file(&g, s->certificate_key_fd, key);
    const struct gateway_conf conf = {.dir = dir,
                                      .module = module,
                                      .listen = listen,
                                      .upstream = s->spec->upstream->url,
                                      .certificate = certificate,
                                      .certificate_key = key,
                                      .max_body = s->spec->config->gateway.max_body,
                                      .workers = s->workers};
    rc = run(s, p, &g, dir, &conf);
    close(report);
    return rc;
}

/* ---- workers ---- */

unsigned gateway_workers(const struct supervisor *s, pid_t *out, unsigned max) {
    unsigned n = 0;
    for (unsigned i = 0; i < s->regions && n < max; i++) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)i, .l_len = 1};
        if (fcntl(s->ring_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
            out[n++] = lock.l_pid;
    }
    return n;
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
    s->orphans = kill(-master, SIGQUIT) == 0 ? master : 0;
    s->orphans_end_ns = now + ORPHANS_NS;
}

void gateway_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
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
