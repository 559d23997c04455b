/*
 * safehouse-sealer: start, sandbox, loop, connections, and the round over the ring. Wiring only:
 * the parts are in sealer.h's list and in src/write.
 *
 * A round: collect closed exchanges, seal each into the spool's group, make the group durable, then
 * release their slots and let the prefix state learn of them: in this order, so that a sealer that
 * dies anywhere has lost nothing and sealed nothing twice (doc/spool.md). With work to do, rounds
 * are TICK_MS apart and share an fdatasync; without, the process sleeps until a worker wakes it.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/sealer/sealer.h"

#define TICK_MS 20
#define IDLE_MS 1000
#define ROUND_NS 50000000ull   /* of work before other events get their turn */
#define GROUP_BYTES (8u << 20) /* a group is synced before it grows larger */
#define DISK_RETRY_MS 100
#define STOP_NS 5000000000ull

/* Beside the base list: the spool's folder. */
static const int syscalls[] = {
    SYS_openat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_pwrite64,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_getdents64,
    SYS_sysinfo,   /* qsort asks how much memory there is */
    SYS_setitimer, /* the detector's time */
    -1,
};

/* ---- connections ---- */

static void read_peer(void *arg, uint32_t events);

static void watch(struct sealer *s, struct peer *p) {
    uint32_t events = EPOLLIN | (peer_wants_write(p) ? EPOLLOUT : 0u);
    if (loop_watch(s->loop, peer_fd(p), events, read_peer, s))
        log_event("watch-failed", LOG_END);
}

int sealer_send(struct sealer *s, struct peer *p, enum ipc_msg msg, const void *payload, size_t len,
                int fd) {
    int rc = peer_send(p, msg, payload, len, fd);
    if (peer_wants_write(p))
        watch(s, p);
    return rc;
}

static void drop_peer(struct sealer *s, enum ipc_role who) {
    struct peer **p = who == IPC_VAULT ? &s->vault : &s->store;
    if (!*p)
        return;
    loop_forget(s->loop, peer_fd(*p));
    peer_free(*p);
    *p = NULL;
    ship_messages_lost(s, who);
    if (who == IPC_VAULT)
        reports_lost(s);
}

static void take_peer(struct sealer *s, const struct frame *f) {
    enum ipc_role who = f->len == 1 ? f->p[0] : 0;
    if (who != IPC_VAULT && who != IPC_STORE) {
        close(f->fd);
        return;
    }
    drop_peer(s, who);
    struct peer **p = who == IPC_VAULT ? &s->vault : &s->store;
    if (peer_new(f->fd, IPC_SEALER, who, p)) {
        *p = NULL;
        log_event("peer-refused", LOG_U64("role", who), LOG_END);
        return;
    }
    watch(s, *p);
    s->again = true;
    if (who == IPC_VAULT) {
        uint8_t id[8];
        put_u64(id, s->id);
        sealer_send(s, s->vault, MSG_HELLO, id, sizeof id, -1);
        marks_connected(s);
    }
}

static int take_writer(struct sealer *s, const struct frame *f) {
    struct writer *w = &s->writer;
    if (f->len != 140)
        return ERR_SYNTAX;
    bool same = w->have && w->writer == get_u32(f->p) && w->pepper_number == get_u32(f->p + 4);
    findings_key(s->findings, get_u32(f->p + 104), f->p + 108);
    w->have = true;
    w->writer = get_u32(f->p);
    w->pepper_number = get_u32(f->p + 4);
    memcpy(w->pepper, f->p + 8, 32);
    memcpy(w->mac, f->p + 40, 32);
    memcpy(w->opening, f->p + 72, 32);
    if (!same) {
        subjects_reset(s->subjects);
        int rc = exchange_writer(s);
        if (rc)
            return rc;
    }
    subjects_connected(s);
    reports_turn(s);
    s->again = true;
    return 0;
}

static int from_vault(struct sealer *s, const struct frame *f) {
    switch (f->msg) {
    case MSG_WRITER:
        return take_writer(s, f);
    case MSG_SUBJECT_IS:
    case MSG_POOL_IS:
        return subjects_message(s, f);
    case MSG_FORGET:
        return subjects_forget(s, f);
    case MSG_BATCH_NOTED:
        if (f->len != 8)
            return ERR_SYNTAX;
        ship_noted(s, get_u64(f->p));
        return 0;
    case MSG_REPORT_NOTED:
        if (f->len != 8)
            return ERR_SYNTAX;
        reports_noted(s, f->p);
        return 0;
    default:
        return ERR_DENIED;
    }
}

static int from_store(struct sealer *s, const struct frame *f) {
    if (f->msg != MSG_INSERTED || f->len != 12)
        return ERR_SYNTAX;
    ship_inserted(s, get_u64(f->p), (int)get_u32(f->p + 8));
    return 0;
}

static void begin_stop(struct sealer *s) {
    if (!s->stopping)
        s->stop_ns = clock_mono_ns() + STOP_NS;
    s->stopping = s->again = true;
    s->marks.next_ns = 0; /* the last word of this sealer */
}

static void send_usage(struct sealer *s) {
    struct ring_usage u;
    uint8_t out[76];
    uint64_t batches = 0;
    ring_usage(s->ring, &u);
    for (const struct spool_batch *b = spool_batches(s->spool); b; b = b->next)
        batches++;
    const uint64_t values[] = {u.slots,    u.slots_used, u.bytes, u.bytes_used,
                               u.admitted, u.refused,    u.cut,   u.oldest_ready_ns,
                               batches};
    for (size_t i = 0; i < 9; i++)
        put_u64(out + 8 * i, values[i]);
    put_u32(out + 72, (uint32_t)s->disk);
    sealer_send(s, s->child.supervisor, MSG_USAGE_IS, out, sizeof out, -1);
}

static int from_supervisor(struct sealer *s, const struct frame *f) {
    if (f->msg == MSG_STOP)
        begin_stop(s);
    else if (f->msg == MSG_USAGE)
        send_usage(s);
    else if (f->msg == MSG_PEER && f->fd >= 0)
        take_peer(s, f);
    else if (f->fd >= 0)
        close(f->fd);
    return 0;
}

static void read_one(struct sealer *s, struct peer *p,
                     int (*handle)(struct sealer *, const struct frame *), enum ipc_role who) {
    struct frame f;
    int rc = peer_flush(p);
    if (rc == 0 || rc == ERR_AGAIN)
        while ((rc = peer_recv(p, &f)) == 0 && (rc = handle(s, &f)) == 0)
            ;
    if (rc == ERR_AGAIN) {
        watch(s, p);
        return;
    }
    if (who == IPC_SUPERVISOR) {
        loop_forget(s->loop, peer_fd(p));
        begin_stop(s); /* nobody would start another sealer: finish what is here */
        return;
    }
    if (rc != ERR_PEER)
        log_event("peer-dropped", LOG_U64("role", who), LOG_ERR(rc), LOG_END);
    drop_peer(s, who);
}

/* Which connection it was does not matter: each is asked, they are three. */
static void read_peer(void *arg, uint32_t events) {
    struct sealer *s = arg;
    (void)events;
    read_one(s, s->child.supervisor, from_supervisor, IPC_SUPERVISOR);
    if (s->vault)
        read_one(s, s->vault, from_vault, IPC_VAULT);
    if (s->store)
        read_one(s, s->store, from_store, IPC_STORE);
}

/* ---- the round ---- */

static void disk_state(struct sealer *s, int rc) {
    if (rc != s->disk)
        log_event(rc ? "spool-blocked" : "spool-free", LOG_ERR(rc ? rc : s->disk), LOG_END);
    s->disk = rc;
}

/* Makes the group durable, then lets go of its exchanges. */
static int finish_group(struct sealer *s) {
    int rc = spool_sync(s->spool);
    disk_state(s, rc);
    if (rc)
        return rc;
    for (size_t i = 0; i < s->done_count; i++) {
        marks_released(s, s->done[i]);
        ring_release(s->done[i]);
    }
    s->done_count = 0;
    prefix_commit(s->prefix);
    return 0;
}

static int end_batch(struct sealer *s) {
    int rc = finish_group(s);
    if (!rc) {
        rc = spool_end(s->spool);
        disk_state(s, rc);
        if (!rc)
            marks_send(s);
    }
    return rc;
}

static int one_slot(struct sealer *s, struct ring_slot *slot) {
    const struct ring_meta *m = ring_meta_of(slot);
    if (spool_knows(s->spool, m->epoch, m->sequence)) {
        marks_released(s, slot);
        ring_release(
            slot); /* durable, but the sealer before this one died before it could say so */
        return 0;
    }
    int rc = exchange_seal(s, slot);
    if (rc)
        return rc == ERR_AGAIN ? 0 : rc; /* of ERR_AGAIN the subject is asked for; others go on */
    s->done[s->done_count++] = slot;
    if (spool_due(s->spool, clock_mono_ns()))
        return end_batch(s);
    return spool_waiting(s->spool) > GROUP_BYTES ? finish_group(s) : 0;
}

/* Returns how many closed exchanges there were, or an error: then the next round is later. */
static int ring_round(struct sealer *s) {
    struct ring_slot *slots[SEALER_SLOTS];
    int rc = s->done_count || spool_waiting(s->spool) ? finish_group(s) : 0;
    if (rc || !s->writer.have)
        return rc;
    uint64_t end = clock_mono_ns() + ROUND_NS;
    size_t n = ring_collect(s->ring, slots, SEALER_SLOTS);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = one_slot(s, slots[i]);
        if (clock_mono_ns() > end) {
            s->again = true;
            break;
        }
    }
    int sync = finish_group(s);
    if (n)
        traces_wipe();
    return rc ? rc : sync ? sync : (int)n;
}

/* May the process end? Everything is out of the ring and with store and vault, or time is up. */
static bool stop_now(struct sealer *s, int found) {
    if (clock_mono_ns() > s->stop_ns)
        return true;
    return found == 0 && !reports_waiting(s) && ring_may_sleep(s->ring) && !spool_batches(s->spool) &&
           !spool_waiting(s->spool) && spool_due_ms(s->spool, clock_mono_ns()) < 0;
}

static int sooner(int a, int b) {
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Messages of vault and store end in a tick, too: rounds keep their distance all the same. */
static int tick(void *arg) {
    struct sealer *s = arg;
    uint64_t now = clock_mono_ns();
    if (s->again || now >= s->round_ns) {
        s->again = false;
        s->found = ring_round(s);
        s->round_ns = clock_mono_ns() + TICK_MS * 1000000ull;
    }
    if (spool_due(s->spool, clock_mono_ns()) || (s->stopping && s->found == 0))
        end_batch(s);
    if (!spool_waiting(s->spool) && spool_due_ms(s->spool, clock_mono_ns()) < 0)
        marks_send(s); /* no batch is open */
    int retry_ms = ship(s);
    if (s->stopping && stop_now(s, s->found))
        loop_stop(s->loop);
    if (s->again)
        return 0;
    if (s->found < 0 || s->disk)
        return DISK_RETRY_MS;
    if (s->stopping || s->found > 0 || !ring_may_sleep(s->ring))
        return TICK_MS;
    retry_ms = sooner(retry_ms, IDLE_MS);
    return sooner(retry_ms, spool_due_ms(s->spool, clock_mono_ns()));
}

static void woken(void *arg, uint32_t events) {
    struct sealer *s = arg;
    uint64_t count;
    (void)events;
    s->again = true;
    if (read(s->child.wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_event("wake-failed", LOG_END);
}

/* ---- start ---- */

/* Plaintext is to stay out of swap. Only without a limit: below one, later allocations would fail.
 */
static void lock_memory(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY &&
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        log_event("memory-not-locked", LOG_END);
}

static int begin(struct sealer *s) {
    struct sandbox_state sandbox;
    int rc = child_start(IPC_SEALER, &s->child);
    if (rc)
        return rc;
    lock_memory();
    randombytes_buf(&s->id, sizeof s->id);
    rc = s->child.ring_fd < 0 || s->child.wake_fd < 0 ? ERR_USAGE
                                                      : ring_map(s->child.ring_fd, &s->ring);
    if (!rc)
        rc = prefix_open(s->child.prefix_fd, &s->prefix);
    if (!rc)
        rc = loop_new(&s->loop);
    if (!rc)
        rc = subjects_new(&s->subjects);
    if (!rc)
        rc = sealing_new(&s->sealing);
    if (!rc)
        rc = exchange_init(&s->work);
    if (!rc)
        rc = findings_new(&s->findings, s->child.detect_fd);
    const struct sandbox_spec spec = {.write_dir = s->child.dir,
                                      .syscalls = syscalls,
                                      .best_effort = s->child.best_effort};
    if (!rc)
        rc = sandbox_enter(&spec, &sandbox);
    if (!rc)
        rc = spool_open(s->child.dir, s->id, &s->spool);
    if (!rc)
        rc = loop_watch(s->loop, s->child.wake_fd, EPOLLIN, woken, s);
    if (rc)
        return rc;
    if (spool_damaged(s->spool))
        log_event("spool-damaged", LOG_U64("files", spool_damaged(s->spool)), LOG_END);
    watch(s, s->child.supervisor);
    return child_ready(&s->child, &sandbox);
}

int main(void) {
    static struct sealer s;
    log_program("sealer");
    int rc = sodium_init() < 0 ? ERR_INTERNAL : begin(&s);
    if (!rc)
        rc = loop_run(s.loop, tick, &s, TICK_MS);
    if (rc) {
        log_event("ended", LOG_ERR(rc), LOG_END);
        return 4;
    }
    spool_close(s.spool);
    return 0;
}
