/*
 * What the programs share, made once a life of the supervisor: memory files, sockets under D/run,
 * and, anew at a reload, copies of the TLS files. All descriptors are CLOEXEC; spawn() hands on
 * what a program is meant to have.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/supervisor/checks.h"
#include "proc/supervisor/supervisor_int.h"
#include "ring/ring.h"

#define PREFIX_BYTES (64 << 20) /* sparse: about half a million turns when full */
#define SOCKET_QUEUE 64
#define TLS_FILE_BYTES (1u << 20)

static const char *const socket_names[] = {"control.sock", "store.sock", "vault.sock", "console.sock"};

/* By the folder's descriptor, so that the path's length does not matter. */
static int listen_unix(const struct supervisor *s, const char *name, int *ret) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", s->run_fd, name);
    if (unlinkat(s->run_fd, name, 0) && errno != ENOENT)
        return err_from_errno(errno);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_from_errno(errno);
    mode_t before = umask(0177); /* 0600 from its first moment */
    int failed = bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, SOCKET_QUEUE);
    int error = errno;
    umask(before);
    if (failed) {
        close(fd);
        return err_from_errno(error);
    }
    *ret = fd;
    return 0;
}

static int make_sockets(struct supervisor *s) {
    int *const fds[] = {&s->control_fd, &s->store_fd, &s->vault_fd};
    for (size_t i = 0; i < 3; i++) {
        int rc = listen_unix(s, socket_names[i], fds[i]);
        if (rc)
            return why_say(s->why, rc, "cannot make %s/run/%s: %s", s->spec->install->dir,
                           socket_names[i], err_text(rc));
    }
    if (!front_wanted(s))
        return 0;
    const unsigned uid = s->spec->install->uid[PROGRAM_FRONT]; /* who connects to it */
    int rc = listen_unix(s, "console.sock", &s->console_unix_fd);
    if (!rc && uid != geteuid() && fchownat(s->run_fd, "console.sock", uid, uid, AT_SYMLINK_NOFOLLOW))
        rc = err_from_errno(errno);
    return rc ? why_say(s->why, rc, "cannot make %s/run/console.sock: %s", s->spec->install->dir,
                        err_text(rc))
              : 0;
}

static int make_prefix(struct supervisor *s) {
    s->prefix_fd = memfd_create("safehouse-prefix", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->prefix_fd < 0 || ftruncate(s->prefix_fd, PREFIX_BYTES) ||
        fcntl(s->prefix_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
        return err_from_errno(errno);
    return 0;
}

/* A memory file is 0777 at first: a program could open its read-only descriptor anew. */
int shared_make_snapshot(int *ret_fd, int *ret_reader_fd) {
    int rc = snapshot_create(ret_fd);
    if (!rc)
        rc = snapshot_reader_fd(*ret_fd, ret_reader_fd);
    if (!rc && fchmod(*ret_fd, 0600))
        rc = err_from_errno(errno);
    return rc;
}

static int make_memory(struct supervisor *s) {
    const struct config *c = s->settings->config;
    s->ring_bytes = checks_ring(c, checks_workers(c), checks_memory(), &s->regions);
    int rc = ring_create(s->ring_bytes, s->regions, &s->ring_fd);
    if (!rc)
        rc = make_prefix(s);
    if (!rc)
        rc = shared_make_snapshot(&s->snapshot_fd, &s->snapshot_reader_fd);
    if (!rc && (s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = err_from_errno(errno);
    if (!rc && (fchmod(s->ring_fd, 0600) || fchmod(s->prefix_fd, 0600)))
        rc = err_from_errno(errno);
    if (rc)
        return why_say(s->why, rc,
                       "cannot make the shared memory (a ring of %zu MiB in %u regions): "
                       "%s; gateway.ring_size and gateway.workers set its size",
                       s->ring_bytes >> 20, s->regions, err_text(rc));
    return 0;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void shared_close_tls(struct tls_files *t) {
    close_fd(&t->certificate_fd);
    close_fd(&t->key_fd);
}

/* The program's user cannot read root's key file, and must not get it on a disk: a memory file that
 * is its own carries it. */
static int copy_tls_file(const struct supervisor *s, const char *path, enum program_id whose, int *ret) {
    static uint8_t bytes[TLS_FILE_BYTES];
    unsigned uid = s->spec->install->uid[whose];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return why_say(s->why, err_from_errno(errno), "cannot read %.1000s: %s", path,
                       strerror(errno));
    ssize_t n = read(fd, bytes, sizeof bytes);
    int rc = n > 0 && n < (ssize_t)sizeof bytes ? 0 : ERR_IO;
    close(fd);
    *ret = rc ? -1 : memfd_create("safehouse-tls", MFD_CLOEXEC);
    if (!rc && (*ret < 0 || write(*ret, bytes, (size_t)n) != n || fchmod(*ret, 0400) ||
                (uid != geteuid() && fchown(*ret, uid, uid))))
        rc = err_from_errno(errno);
    sodium_memzero(bytes, sizeof bytes);
    return rc ? why_say(s->why, rc, "cannot take over %.1000s: %s", path, err_text(rc)) : 0;
}

int shared_read_tls(const struct supervisor *s, const struct config *c, enum program_id whose,
                    struct tls_files *ret) {
    *ret = (struct tls_files){-1, -1};
    if (!c->tls.certificate[0])
        return 0;
    int rc = copy_tls_file(s, c->tls.certificate, whose, &ret->certificate_fd);
    if (!rc)
        rc = copy_tls_file(s, c->tls.key, whose, &ret->key_fd);
    if (rc)
        shared_close_tls(ret);
    return rc;
}

static bool same_file(int a, int b) {
    static uint8_t of_a[TLS_FILE_BYTES], of_b[TLS_FILE_BYTES];
    if (a < 0 || b < 0)
        return a < 0 && b < 0;
    ssize_t n = pread(a, of_a, sizeof of_a, 0), m = pread(b, of_b, sizeof of_b, 0);
    bool same = n > 0 && n == m && sodium_memcmp(of_a, of_b, (size_t)n) == 0;
    sodium_memzero(of_a, sizeof of_a);
    sodium_memzero(of_b, sizeof of_b);
    return same;
}

bool shared_same_tls(const struct tls_files *a, const struct tls_files *b) {
    return same_file(a->certificate_fd, b->certificate_fd) && same_file(a->key_fd, b->key_fd);
}

int shared_make(struct supervisor *s) {
    int rc = install_read_token(s->spec->install, s->token);
    if (rc)
        return why_say(s->why, rc,
                       "cannot read %s/run/token: %s; restore it, or make one with: head "
                       "-c 32 /dev/urandom",
                       s->spec->install->dir, err_text(rc));
    rc = make_memory(s);
    if (!rc)
        rc = tables_make(s);
    if (!rc)
        rc = shared_read_tls(s, s->settings->config, PROGRAM_GATEWAY, &s->tls);
    if (!rc)
        rc = policy_make(s->settings->config, &s->policy_fd, s->why);
    if (!rc)
        rc = disclosure_make(s);
    return rc ? rc : make_sockets(s);
}

void shared_close_listen(struct supervisor *s) {
    close_fd(&s->listen_fd);
    close_fd(&s->demo_fd);
    close_fd(&s->console_fd);
}

void shared_done(struct supervisor *s) {
    int *const fds[] = {&s->ring_fd,  &s->wake_fd,  &s->prefix_fd,  &s->snapshot_fd,
                        &s->store_fd, &s->vault_fd, &s->control_fd, &s->snapshot_reader_fd,
                        &s->policy_fd, &s->console_unix_fd, &s->report_fds[0],
                        &s->report_fds[1]};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        close_fd(fds[i]);
    shared_close_tls(&s->tls);
    tables_done(s);
    shared_close_listen(s);
    for (size_t i = 0; i < sizeof socket_names / sizeof socket_names[0]; i++)
        unlinkat(s->run_fd, socket_names[i], 0);
    sodium_memzero(s->token, sizeof s->token);
}
