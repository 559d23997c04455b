/*
 * The console's nginx in the supervisor (supervisor_int.h): a program like the others, but that nginx says
 * nothing when it is ready. Its listening socket is the supervisor's, so nobody is refused while it begins
 * anew. It holds the TLS key, the requests under way, and a way to the console's socket; no key of the
 * installation, no file but its own, and no other socket.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/traces.h"
#include "proc/supervisor/front_conf.h"
#include "proc/supervisor/supervisor_int.h"

bool front_wanted(const struct supervisor *s) {
    return s->spec->console != NULL;
}

static int run(struct supervisor *s, struct program *p, const struct tls_files *tls,
               struct spawn_gifts *g) {
    const struct install *in = s->spec->install;
    const char *nginx = gateway_nginx();
    char dir[INSTALL_PATH], prefix[INSTALL_PATH + 2], file[INSTALL_PATH + 16], listen[ADDRESS_TEXT];
    char certificate[SPAWN_FILE], key[SPAWN_FILE];
    struct buf text;
    if (!nginx)
        return why_say(s->why, ERR_NOTFOUND, "there is no nginx here; install it: apt-get install nginx");
    if (!install_path(in, install_folder(PROGRAM_FRONT), dir))
        return why_say(s->why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    address_format(s->spec->console, listen);
    spawn_give_fd(g, s->console_fd, NULL);
    spawn_give_env(g, "NGINX=%d;", g->fds[0].to);
    spawn_give_fd(g, s->run_fd, NULL);
    const int run_fd = g->fds[1].to;
    spawn_give_file(g, tls->certificate_fd, certificate);
    spawn_give_file(g, tls->key_fd, key);
    /* What passes through it may be opened content: freed memory is overwritten. */
    spawn_give_env(g, "GLIBC_TUNABLES=%s", TRACES_TUNABLES);
    const struct front_conf conf = {.dir = dir,
                                    .listen = listen,
                                    .certificate = certificate,
                                    .certificate_key = key,
                                    .run_fd = run_fd};
    buf_init(&text, FRONT_CONF_MAX);
    int rc = front_conf_write(&text, &conf);
    rc = rc ? why_say(s->why, rc, "the path %.1000s cannot be put into nginx's configuration: %s", dir,
                      err_text(rc))
            : gateway_write_file(s, dir, "nginx.conf", &text);
    buf_wipe(&text);
    if (rc)
        return rc;
    snprintf(prefix, sizeof prefix, "%s/", dir);
    snprintf(file, sizeof file, "%s/nginx.conf", dir);
    /* nginx, its libraries, what TLS reads, and its own folder; no TCP connection of its own making. The
     * certificate's memory files and the console's socket are no matter of paths. */
    static const char *const runs[] = {"/usr", "/lib", "/lib64", NULL};
    static const char *const reads[] = {"/etc/ld.so.cache", "/etc/ssl", "/etc/localtime", NULL};
    static const char *const writes[] = {"/dev/null", NULL};
    const struct sandbox_spec files = {.write_dir = dir,
                                       .write_dirs = writes,
                                       .read_paths = reads,
                                       .exec_paths = runs,
                                       .best_effort = s->settings->config->sandbox == CONFIG_LENIENT};
    const char *const argv[] = {"nginx", "-p", prefix, "-c", file, "-e", "stderr", NULL};
    const struct spawn_spec spec = {.file = nginx,
                                    .argv = argv,
                                    .env = g->env,
                                    .dir = dir,
                                    .uid = in->uid[PROGRAM_FRONT],
                                    .fds = g->fds,
                                    .fd_count = g->fd_count,
                                    .files = &files,
                                    .death_signal = SIGTERM};
    return spawn(&spec, &p->pid, s->why);
}

int front_start(struct supervisor *s, struct program *p) {
    struct tls_files tls = {-1, -1};
    struct spawn_gifts *g = calloc(1, sizeof *g);
    int rc = g ? shared_read_tls(s, s->settings->config, PROGRAM_FRONT, &tls)
               : why_say(s->why, ERR_NOMEM, "out of memory");
    if (!rc)
        rc = run(s, p, &tls, g);
    shared_close_tls(&tls);
    free(g);
    return rc;
}

void front_renew(struct supervisor *s) {
    if (s->programs[PROGRAM_FRONT].pid)
        kill(s->programs[PROGRAM_FRONT].pid, SIGTERM);
}
