/*
 * Passwords' hashes, made by a process of their own: Argon2id takes a tenth of a second, and in that
 * time the sealer wants answers. The helper is forked before the vault has read anything, holds a
 * socket to it and nothing else, and sits in a sandbox without files. It gets a password and a salt,
 * and gives a hash; which hash is right it does not know.
 *
 * It cannot be started again, since the vault may not fork: without it nobody signs in with a
 * password, and everything else goes on.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/vault.h"

#define NICENESS 10 /* whoever logs is first */

struct job {
    uint64_t id, ops, mem;
    uint32_t len;
    uint8_t salt[16], password[LIMIT_PASSWORD];
};

struct done {
    uint64_t id;
    int32_t rc;
    uint8_t hash[32];
};

/* ---- the helper ---- */

static void work(int fd) {
    struct job *j = sodium_malloc(sizeof *j);
    struct done d;
    for (;;) {
        ssize_t n = j ? read(fd, j, sizeof *j) : -1;
        if (n < 0 && j && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof *j || j->len > sizeof j->password)
            _exit(0); /* the vault is gone */
        d = (struct done){.id = j->id};
        d.rc = crypto_pwhash(d.hash, sizeof d.hash, (const char *)j->password, j->len, j->salt, j->ops,
                             (size_t)j->mem, crypto_pwhash_ALG_ARGON2ID13)
                   ? ERR_NOMEM
                   : 0;
        sodium_memzero(j, sizeof *j);
        if (write(fd, &d, sizeof d) != (ssize_t)sizeof d)
            _exit(0);
        sodium_memzero(&d, sizeof d);
        traces_wipe();
    }
}

static void become_helper(struct vault *v, int fd, pid_t parent) {
    static const int syscalls[] = {-1};
    const struct sandbox_spec spec = {.syscalls = syscalls, .best_effort = v->child.best_effort};
    struct sandbox_state state;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(4);
    peer_free(v->child.supervisor);
    close(v->child.listen_fd);
    sodium_memzero(&v->child, sizeof v->child);
    if (setpriority(PRIO_PROCESS, 0, NICENESS))
        log_event("helper-not-nice", LOG_END);
    if (child_lock_memory())
        log_event("memory-not-locked", LOG_END);
    if (sandbox_enter(&spec, &state))
        _exit(4);
    work(fd);
}

/* ---- the vault's side ---- */

int helper_start(struct vault *v) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return err_from_errno(errno);
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_helper(v, ends[1], parent);
    }
    close(ends[1]);
    v->helper_fd = ends[0];
    if (pid > 0)
        return 0;
    const int rc = err_from_errno(errno);
    close(ends[0]);
    v->helper_fd = -1;
    return rc;
}

static void lost(struct vault *v) {
    loop_forget(v->loop, v->helper_fd);
    close(v->helper_fd);
    v->helper_fd = -1;
    log_event("helper-lost", LOG_END);
}

static void woken(void *arg, uint32_t events) {
    (void)arg; /* the tick after it looks */
    (void)events;
}

int helper_watch(struct vault *v) {
    return loop_watch(v->loop, v->helper_fd, EPOLLIN, woken, v);
}

int helper_hash(struct vault *v, struct client *c, const struct password *with,
                const uint8_t *password, size_t len, helper_fn *done) {
    struct hashing *free_one = NULL;
    if (v->helper_fd < 0)
        return ERR_PEER;
    for (size_t i = 0; i < VAULT_HASHINGS_MAX; i++)
        if (!v->hashings[i].id)
            free_one = &v->hashings[i];
    if (!free_one)
        return ERR_FULL;
    if (len > LIMIT_PASSWORD || with->ops > PASSWORD_OPS_MAX || with->mem > PASSWORD_MEM_MAX)
        return ERR_LIMIT;
    struct job *j = sodium_malloc(sizeof *j);
    if (!j)
        return ERR_NOMEM;
    sodium_memzero(j, sizeof *j);
    j->id = ++v->last_hashing;
    j->ops = with->ops;
    j->mem = with->mem;
    j->len = (uint32_t)len;
    memcpy(j->salt, with->salt, sizeof j->salt);
    memcpy(j->password, password, len);
    const bool sent = send(v->helper_fd, j, sizeof *j, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof *j;
    if (sent)
        *free_one = (struct hashing){.id = j->id, .client = c, .done = done};
    sodium_free(j);
    return sent ? 0 : ERR_FULL;
}

void helper_forget(struct vault *v, const struct client *c) {
    for (size_t i = 0; i < VAULT_HASHINGS_MAX; i++)
        if (v->hashings[i].id && v->hashings[i].client == c)
            v->hashings[i].client = NULL;
}

static void take(struct vault *v, const struct done *d) {
    for (size_t i = 0; i < VAULT_HASHINGS_MAX; i++) {
        const struct hashing h = v->hashings[i];
        if (!h.id || (d && h.id != d->id))
            continue;
        v->hashings[i] = (struct hashing){0};
        if (h.client)
            h.done(v, h.client, d ? d->rc : ERR_PEER, d ? d->hash : NULL);
    }
}

void helper_turn(struct vault *v) {
    struct done d;
    if (v->helper_fd < 0)
        return;
    ssize_t n;
    while ((n = recv(v->helper_fd, &d, sizeof d, MSG_DONTWAIT)) == (ssize_t)sizeof d)
        take(v, &d);
    sodium_memzero(&d, sizeof d);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    lost(v);
    take(v, NULL); /* whoever waits is told */
}
