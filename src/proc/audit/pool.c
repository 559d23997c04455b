/*
 * The pool of safehouse-audit: hands pairs to workers and passes on what they say. At most
 * `per_host` workers are at one address at a time; a worker that dies or takes too long costs its
 * pair a verdict
 * ("unknown", and why) and is replaced.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/audit/audit.h"

#define NOTHING SIZE_MAX

struct worker {
    pid_t pid; /* 0: none */
    int fd;
    size_t pair; /* NOTHING: idle */
    uint64_t begun_ns;
    uint8_t *frame; /* AUDIT_FRAME_MAX + 4 */
    size_t have;
};

struct pool {
    const struct audit_job *job;
    struct worker workers[AUDIT_WORKERS_MAX];
    bool *begun; /* of each pair */
    size_t next; /* no pair before it is left */
    size_t done;
};

static int start(struct pool *pool, struct worker *w) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return err_from_errno(errno);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return ERR_NOMEM;
    }
    if (pid == 0) {
        close(ends[0]);
        for (unsigned i = 0; i < pool->job->workers; i++)
            if (pool->workers[i].pid)
                close(pool->workers[i].fd);
        audit_worker(pool->job, ends[1]);
    }
    close(ends[1]);
    w->pid = pid;
    w->fd = ends[0];
    w->pair = NOTHING;
    w->have = 0;
    return 0;
}

static bool say(json_t *take) {
    bool ok = take && json_dumpf(take, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF &&
              !fflush(stdout);
    json_decref(take);
    return ok;
}

static bool give_up(struct pool *pool, struct worker *w, const char *why) {
    bool ok = true;
    if (w->pair != NOTHING) {
        struct probe_result r = {
            .verdict = AUDIT_UNKNOWN, .grade = 'A', .service = "", .probe = ""};
        snprintf(r.reason, sizeof r.reason, "%s", why);
        ok = say(audit_result_json(&pool->job->pairs[w->pair], &r,
                                   (double)(clock_mono_ns() - w->begun_ns) / 1e9));
        pool->done++;
    }
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    close(w->fd);
    w->pid = 0;
    w->pair = NOTHING;
    return ok;
}

/* ---- handing out ---- */

static unsigned at_host(const struct pool *pool, const char *address) {
    unsigned n = 0;
    for (unsigned i = 0; i < pool->job->workers; i++) {
        const struct worker *w = &pool->workers[i];
        n +=
            w->pid && w->pair != NOTHING && strcmp(pool->job->pairs[w->pair].address, address) == 0;
    }
    return n;
}

static size_t next_pair(struct pool *pool) {
    const struct audit_job *job = pool->job;
    while (pool->next < job->count && pool->begun[pool->next])
        pool->next++;
    const char *full =
        NULL; /* an address with no place: pairs are sorted, so its others need no look */
    for (size_t i = pool->next; i < job->count; i++) {
        if (pool->begun[i] || (full && strcmp(full, job->pairs[i].address) == 0))
            continue;
        if (at_host(pool, job->pairs[i].address) < job->per_host)
            return i;
        full = job->pairs[i].address;
    }
    return NOTHING;
}

static int hand_out(struct pool *pool) {
    for (unsigned i = 0; i < pool->job->workers; i++) {
        struct worker *w = &pool->workers[i];
        size_t pair;
        if ((w->pid && w->pair != NOTHING) || (pair = next_pair(pool)) == NOTHING)
            continue;
        int rc = w->pid ? 0 : start(pool, w);
        if (rc)
            return rc;
        uint8_t index[4];
        put_u32(index, (uint32_t)pair);
        pool->begun[pair] = true;
        w->pair = pair;
        w->begun_ns = clock_mono_ns();
        if (write(w->fd, index, 4) != 4 && !give_up(pool, w, "the program that asks died"))
            return ERR_IO;
    }
    return 0;
}

/* ---- results ---- */

/* Passes on every whole frame; false when a frame is wrong or standard output is gone. */
static bool pass_on(struct pool *pool, struct worker *w) {
    while (w->have >= 4) {
        size_t len = get_u32(w->frame);
        if (len > AUDIT_FRAME_MAX)
            return false;
        if (w->have < 4 + len)
            return true;
        const char *text = (const char *)w->frame + 4;
        bool host = memmem(text, len < 32 ? len : 32, "\"host\"", 6) != NULL;
        if (fwrite(text, 1, len, stdout) != len || putchar('\n') == EOF || fflush(stdout))
            return false;
        w->have -= 4 + len;
        memmove(w->frame, w->frame + 4 + len, w->have);
        if (host) {
            pool->done++;
            w->pair = NOTHING;
        }
    }
    return true;
}

static int hear(struct pool *pool, struct worker *w) {
    ssize_t n = read(w->fd, w->frame + w->have, AUDIT_FRAME_MAX + 4 - w->have);
    if (n > 0) {
        w->have += (size_t)n;
        return pass_on(pool, w) ? 0 : ERR_IO;
    }
    return give_up(pool, w, "the program that asks died of the answer") ? 0 : ERR_IO;
}

static int turn(struct pool *pool) {
    struct pollfd fds[AUDIT_WORKERS_MAX];
    struct worker *of[AUDIT_WORKERS_MAX];
    nfds_t n = 0;
    for (unsigned i = 0; i < pool->job->workers; i++) {
        struct worker *w = &pool->workers[i];
        if (!w->pid || w->pair == NOTHING)
            continue;
        of[n] = w;
        fds[n++] = (struct pollfd){.fd = w->fd, .events = POLLIN};
    }
    if (poll(fds, n, 1000) < 0 && errno != EINTR)
        return err_from_errno(errno);
    int rc = 0;
    for (nfds_t i = 0; !rc && i < n; i++) {
        if (fds[i].revents)
            rc = hear(pool, of[i]);
        else if (clock_mono_ns() - of[i]->begun_ns > AUDIT_PAIR_MS * 1000000ull)
            rc = give_up(pool, of[i], "it took too long") ? 0 : ERR_IO;
    }
    return rc;
}

int audit_pool(const struct audit_job *job) {
    struct pool *pool = calloc(1, sizeof *pool);
    int rc = pool && (pool->begun = calloc(job->count, sizeof *pool->begun)) ? 0 : ERR_NOMEM;
    for (unsigned i = 0; !rc && i < job->workers; i++)
        rc = (pool->workers[i].frame = malloc(AUDIT_FRAME_MAX + 4)) ? 0 : ERR_NOMEM;
    if (!rc)
        pool->job = job;
    while (!rc && pool->done < job->count) {
        rc = hand_out(pool);
        if (!rc)
            rc = turn(pool);
    }
    for (unsigned i = 0; pool && i < AUDIT_WORKERS_MAX; i++) {
        struct worker *w = &pool->workers[i];
        if (w->pid) {
            close(w->fd); /* the worker reads the end and goes */
            waitpid(w->pid, NULL, 0);
        }
        free(w->frame);
    }
    free(pool ? pool->begun : NULL);
    free(pool);
    return rc;
}
