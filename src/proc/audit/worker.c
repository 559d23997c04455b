/*
 * A worker of safehouse-audit: one process that speaks to one server at a time. It has no files and
 * no way out but TCP to the scope's ports, so a server that breaks a parser gains nothing with it.
 *
 * Frames to the parent: u32 length, then JSON. From the parent: u32, the index of the next pair.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <signal.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "ipc/child.h"
#include "proc/audit/audit.h"

#define MEMORY_MAX (1u << 30)

static const int syscalls[] = {SYS_socket,      SYS_connect,     SYS_setsockopt,
                               SYS_getsockname, SYS_getpeername, -1};

static bool send_json(int fd, json_t *take) {
    char *text = take ? json_dumps(take, JSON_COMPACT) : NULL;
    bool ok = false;
    if (text && strlen(text) <= AUDIT_FRAME_MAX) {
        uint8_t head[4];
        put_u32(head, (uint32_t)strlen(text));
        ok = write(fd, head, 4) == 4 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    }
    free(text);
    json_decref(take);
    return ok;
}

static void noted(void *arg, const struct conn_pair *pair, const char *probe, bool tls) {
    int fd = *(int *)arg;
    if (!send_json(fd, json_pack("{s:s, s:I, s:s, s:I, s:s, s:b}", "type", "connection", "ts",
                                 (json_int_t)(clock_wall_us() / 1000), "address", pair->address,
                                 "port", (json_int_t)pair->port, "probe", probe, "tls", tls)))
        _exit(1); /* what cannot be noted is not done */
}

/* Every port once, ended by 0; owned by the caller. */
static uint16_t *ports_of(const struct audit_job *job) {
    bool *seen = calloc(65536, sizeof *seen);
    uint16_t *ports = calloc(65537, sizeof *ports);
    size_t n = 0;
    for (size_t i = 0; seen && ports && i < job->count; i++) {
        if (!seen[job->pairs[i].port])
            ports[n++] = job->pairs[i].port;
        seen[job->pairs[i].port] = true;
    }
    free(seen);
    return ports;
}

static bool confine(const struct audit_job *job) {
    uint16_t *ports = ports_of(job);
    struct sandbox_state state;
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
    const struct sandbox_spec spec = {
        .syscalls = syscalls, .connect_ports = ports, .best_effort = true};
    bool ok = ports && !setrlimit(RLIMIT_AS, &memory) && !sandbox_enter(&spec, &state);
    free(ports);
    return ok;
}

void audit_worker(const struct audit_job *job, int fd) {
    struct conn_rules rules = job->rules;
    struct sampler sampler = {.wanted = job->sample};
    struct http_answer *answers = calloc(2, sizeof *answers);
    uint8_t index[4];
    rules.noted = noted;
    rules.arg = &fd;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!answers || !confine(job))
        _exit(1);
    while (read(fd, index, 4) == 4) {
        struct probe_result result;
        if (get_u32(index) >= job->count)
            _exit(1);
        struct probe p = {.rules = &rules,
                          .pair = job->pairs[get_u32(index)],
                          .sign_in = job->sign_in,
                          .sampler = &sampler,
                          .http = &answers[0],
                          .root = &answers[1],
                          .result = &result};
        uint64_t begun = clock_mono_ns();
        probe_target(&p);
        if (!send_json(
                fd, audit_result_json(&p.pair, &result, (double)(clock_mono_ns() - begun) / 1e9)))
            _exit(1);
    }
    sampler_done(&sampler);
    _exit(0);
}
