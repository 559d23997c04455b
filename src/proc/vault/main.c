/*
 * safehouse-vault: start, sandbox, loop, supervisor, the end. Wiring only: the parts are in
 * vault.h's list and in src/read.
 *
 * `safehouse-vault --init DIR MIB` makes a new vault in DIR from the passphrase on standard input,
 * and ends. Started by the supervisor it serves, locked until somebody brings the passphrase: keys
 * that are new and batches are written down in both states, plaintext leaves only in the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/vault.h"
#include "read/people/totp.h"

#define PASSPHRASE_MAX 1024

/* Beside the base list: SQLite's and the ledger's files. */
static const int syscalls[] = {
    SYS_openat,  SYS_pread64,  SYS_pwrite64,   SYS_fsync,     SYS_fdatasync,  SYS_ftruncate,
    SYS_unlink,  SYS_unlinkat, SYS_access,     SYS_faccessat, SYS_faccessat2, SYS_stat,
    SYS_lstat,   SYS_readlink, SYS_readlinkat, SYS_getcwd,    SYS_fchmod,     SYS_fchown,
    SYS_link,    SYS_linkat,   SYS_rename,     SYS_renameat,  SYS_renameat2, /* generations */
    SYS_sysinfo, /* qsort asks how much memory there is */
    -1,
};

/* ---- --init ---- */

static int read_passphrase(uint8_t *out, size_t *ret_len) {
    size_t n = 0;
    for (;;) {
        ssize_t got = read(STDIN_FILENO, out + n, PASSPHRASE_MAX + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_from_errno(errno);
        n += (size_t)got;
        if (n > PASSPHRASE_MAX)
            return ERR_LIMIT;
        if (got == 0)
            break;
    }
    *ret_len = n;
    return n ? 0 : ERR_USAGE;
}

static int init(const char *dir, const char *memory_mib) {
    size_t len = 0;
    uint8_t *passphrase = sodium_malloc(PASSPHRASE_MAX + 1);
    int rc = passphrase ? read_passphrase(passphrase, &len) : ERR_NOMEM;
    umask(077);
    if (!rc && mkdir(dir, 0700) && errno != EEXIST)
        rc = err_from_errno(errno);
    /* The ledger first: a folder with a ledger and no keys is no vault, the other way round it
     * would be one that lost its ledger. */
    if (!rc)
        rc = ledger_create(dir);
    if (!rc)
        rc = keys_create(dir, passphrase, len, (unsigned)strtoul(memory_mib, NULL, 10));
    sodium_free(passphrase);
    if (rc)
        log_event("init-failed", LOG_ERR(rc), LOG_END);
    return rc == ERR_EXISTS || rc == ERR_USAGE || rc == ERR_LIMIT ? 2 : rc ? 4 : 0;
}

/* ---- supervisor ---- */

static void woken(void *arg, uint32_t events) {
    (void)arg; /* the tick after it looks at everybody */
    (void)events;
}

void vault_watch(struct vault *v, struct peer *p, bool reads) {
    uint32_t events = (reads ? EPOLLIN : 0u) | (peer_wants_write(p) ? EPOLLOUT : 0u);
    if (!events) /* or a hang-up would wake us again and again */
        loop_forget(v->loop, peer_fd(p));
    else if (loop_watch(v->loop, peer_fd(p), events, woken, v))
        log_event("watch-failed", LOG_END);
}

static void from_supervisor(struct vault *v, const struct frame *f) {
    if (f->msg == MSG_STOP) {
        v->stop = true;
    } else if (f->msg == MSG_PASSPHRASE) {
        state_unlock(v, f->p, f->len);
        /* The frame lies in the peer's buffer, which is ours until the next call. */
        sodium_memzero((void *)(uintptr_t)f->p, f->len);
    } else if (f->msg == MSG_HOLDS || f->msg == MSG_RETENTION) {
        v->stop = retain_frame(v, f) != 0;
    } else if (f->msg == MSG_CONFIGURATION && f->len == 36) {
        note_configuration(v, f->p, get_u32(f->p + 32));
    } else if (f->msg == MSG_PEER && f->len == 1 && f->p[0] == IPC_SEALER && f->fd >= 0) {
        sealer_take(v, f->fd);
    } else if (f->msg == MSG_PEER && f->len == 1 && f->p[0] == IPC_CONSOLE && f->fd >= 0) {
        clients_console(v, f->fd);
    } else if (f->fd >= 0) {
        close(f->fd);
    }
}

static void supervisor_turn(struct vault *v) {
    struct frame f;
    int rc = 0;
    while (!v->stop && (rc = peer_recv(v->child.supervisor, &f)) == 0)
        from_supervisor(v, &f);
    if (rc && rc != ERR_AGAIN)
        v->stop = true; /* without a supervisor nobody would start a second one after this */
}

static int sooner(int a, int b) {
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static int tick(void *arg) {
    struct vault *v = arg;
    supervisor_turn(v);
    if (!v->stop)
        helper_turn(v);
    int ms = v->stop ? -1 : sealer_turn(v);
    if (!v->stop) {
        clients_console_turn(v);
        ms = sooner(ms, clients_turn(v));
        ms = sooner(ms, state_turn(v));
        ms = sooner(ms, erase_turn(v));
        ms = sooner(ms, renew_turn(v));
        ms = sooner(ms, checkpoint_turn(v));
    }
    fresh_turn(v);
    if (!v->stale)
        ms = sooner(ms, keys_replica_step(v->keys, clock_mono_ns()));
    if (v->stop)
        loop_stop(v->loop);
    return ms;
}

/* ---- start ---- */

/* SH_REPLICAS, cut at its colons. */
struct replicas {
    char *text;
    const char *dirs[KEYS_REPLICAS_MAX + 1];
    size_t count;
};

static int take_replicas(struct replicas *r) {
    const char *text = getenv("SH_REPLICAS");
    char *save = NULL;
    if (!text || !*text)
        return 0;
    r->text = strdup(text);
    if (!r->text)
        return ERR_NOMEM;
    for (char *d = strtok_r(r->text, ":", &save); d; d = strtok_r(NULL, ":", &save)) {
        if (r->count == KEYS_REPLICAS_MAX)
            return ERR_LIMIT;
        r->dirs[r->count++] = d;
    }
    return 0;
}

/* SH_APPROVAL_ABOVE: how many cells one person may open in an hour alone. */
static uint64_t take_approval_above(void) {
    const char *text = getenv("SH_APPROVAL_ABOVE");
    char *end = NULL;
    const unsigned long long n = text && *text ? strtoull(text, &end, 10) : VAULT_APPROVAL_ABOVE;
    return end && *end ? VAULT_APPROVAL_ABOVE : n;
}

/* A replica that is not there does not keep the vault from starting: it will be "missing". */
static int enter_sandbox(struct vault *v, const struct replicas *r) {
    const char *there[KEYS_REPLICAS_MAX + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (access(r->dirs[i], W_OK | X_OK) == 0)
            there[n++] = r->dirs[i];
    const struct sandbox_spec spec = {.write_dir = v->child.dir,
                                      .write_dirs = there,
                                      .syscalls = syscalls,
                                      .best_effort = v->child.best_effort};
    return sandbox_enter(&spec, &v->sandbox);
}

/* A ledger that is damaged keeps openings and batches from being noted, not subjects from being
 * made: logging goes on, the spool keeps the batches, and a person has to look. */
static void open_ledger(struct vault *v) {
    uint64_t cut = 0;
    uint8_t audit_public[KEYS_PUBLIC_BYTES];
    keys_audit_public(v->keys, audit_public);
    int rc = ledger_open(v->child.dir, audit_public, &v->ledger, &cut);
    if (rc) {
        v->ledger = NULL;
        log_event("ledger-damaged", LOG_ERR(rc), LOG_END);
    } else if (cut) {
        log_event("ledger-tail-cut", LOG_U64("bytes", cut), LOG_END);
    }
}

static int open_keys(struct vault *v, const struct replicas *r) {
    int rc = keys_open(v->child.dir, &v->keys);
    for (size_t i = 0; !rc && i < r->count; i++)
        rc = keys_replica_add(v->keys, r->dirs[i]);
    return rc;
}

static int begin(struct vault *v) {
    struct replicas replicas = {0};
    char byte;
    umask(077);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a failed write like others */
    const uint64_t approval_above = take_approval_above();
    int rc = take_replicas(&replicas);
    if (!rc)
        rc = child_start(IPC_VAULT, &v->child);
    if (rc)
        return rc;
    rc = helper_start(v);
    if (!rc)
        rc = totp_start();
    if (!rc)
        rc = throttle_new(&v->throttle);
    if (rc)
        return rc;
    v->approval_above = approval_above;
    if (child_lock_memory())
        log_event("memory-not-locked", LOG_END);
    sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0); /* each page is freed by itself */
    sqlite3_randomness(1, &byte); /* reads /dev/urandom, once */
    rc = enter_sandbox(v, &replicas);
    if (!rc)
        rc = loop_new(&v->loop);
    if (!rc)
        rc = open_keys(v, &replicas);
    free(replicas.text);
    if (rc)
        return rc;
    open_ledger(v);
    sealer_init(v);
    rc = erase_init(v);
    if (rc)
        return rc;
    keys_replica_check_first(v->keys);
    fresh_look(v);
    rc = clients_start(v);
    if (!rc)
        rc = helper_watch(v);
    if (rc)
        return rc;
    vault_watch(v, v->child.supervisor, true);
    rc = child_ready(&v->child, &v->sandbox);
    if (!rc)
        inbox_tell(v);
    return rc;
}

static int serve(void) {
    static struct vault v;
    int rc = begin(&v);
    if (!rc)
        rc = loop_run(v.loop, tick, &v, 0);
    if (rc) {
        log_event("ended", LOG_ERR(rc), LOG_END);
        return 4;
    }
    clients_stop(&v);
    sealer_drop(&v);
    sodium_free(v.erasing);
    buf_wipe(&v.forget);
    people_free(v.people);
    canaries_forget(&v);
    throttle_free(v.throttle);
    ledger_close(v.ledger);
    keys_close(v.keys);
    return 0;
}

int main(int argc, char **argv) {
    log_program("vault");
    if (sodium_init() < 0)
        return 4;
    if (argc == 4 && !strcmp(argv[1], "--init"))
        return init(argv[2], argv[3]);
    return argc == 1 ? serve() : 2;
}
