/* The checks of checks.h, in the supervisor before it has any state. */
#include "proc/supervisor/checks.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/supervisor/supervisor.h"

#define SWAPS_BYTES 65536
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_VERSION 1u
#define WORKERS_MAX 64
#define STREAMS_OPEN 10000u      /* that are to find room, over all workers, */
#define STREAM_BYTES (24u << 10) /* each: a request, and what an admission promises an answer */
#define REGION_SPARE (8u << 20)  /* beside one body: an answer, and other exchanges */

/* ---- swap ---- */

/* /proc/swaps escapes blanks in names as \040 and the like. */
static void unescape(char *s) {
    char *out = s;
    while (*s) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = 0;
}

bool checks_bad_swap(const char *swaps, bool (*encrypted)(const char *path), char *name,
                     size_t size) {
    const char *line = strchr(swaps, '\n'); /* the first is the heading */
    while (line && *++line) {
        char path[1024], type[32];
        if (sscanf(line, "%1023s %31s", path, type) == 2) {
            unescape(path);
            /* A file's blocks are where its file system is: not looked into, so not safe. */
            bool device = strcmp(type, "partition") == 0;
            bool safe = device && (strncmp(path, "/dev/zram", 9) == 0 || encrypted(path));
            if (!safe) {
                snprintf(name, size, "%s", path);
                return true;
            }
        }
        line = strchr(line, '\n');
    }
    return false;
}

/* The kernel names the maker of a device-mapper device in its uuid: "CRYPT-LUKS2-...". */
static bool is_dm_crypt(const char *path) {
    struct stat st;
    char uuid_path[96], uuid[8] = "";
    if (stat(path, &st) || !S_ISBLK(st.st_mode))
        return false;
    snprintf(uuid_path, sizeof uuid_path, "/sys/dev/block/%u:%u/dm/uuid", major(st.st_rdev),
             minor(st.st_rdev));
    FILE *f = fopen(uuid_path, "re");
    bool crypt = f && fgets(uuid, sizeof uuid, f) && strncmp(uuid, "CRYPT-", 6) == 0;
    if (f)
        fclose(f);
    return crypt;
}

static int check_swap(const struct config *c, struct why *why) {
    char swaps[SWAPS_BYTES], name[256];
    FILE *f = fopen("/proc/swaps", "re");
    if (!f) /* a kernel without swap has no such file */
        return 0;
    size_t n = fread(swaps, 1, sizeof swaps - 1, f);
    fclose(f);
    swaps[n] = 0;
    if (c->unencrypted_swap == CONFIG_LENIENT ||
        !checks_bad_swap(swaps, is_dm_crypt, name, sizeof name))
        return 0;
    return why_say(why, ERR_DENIED,
                   "there is unencrypted swap (%s), where plaintext could end up on "
                   "the disk; turn it off (swapoff -a), put it on dm-crypt or zram, "
                   "or set unencrypted_swap: accept",
                   name);
}

bool checks_may_lock(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

/* ---- Landlock ---- */

unsigned checks_landlock(void) {
    long v = syscall(LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_VERSION);
    return v > 0 ? (unsigned)v : 0;
}

static int check_sandbox(const struct config *c, struct why *why) {
    if (c->sandbox == CONFIG_LENIENT || checks_landlock() > 0)
        return 0;
    return why_say(why, ERR_DENIED,
                   "this kernel has no Landlock, which keeps the programs from files "
                   "that are not theirs; boot with lsm=landlock,... or set "
                   "sandbox: best-effort");
}

/* ---- TLS ---- */

static int check_listen(const struct config *c, const struct address *listen, struct why *why) {
    char text[ADDRESS_TEXT];
    if (!c->tls.certificate[0] != !c->tls.key[0])
        return why_say(why, ERR_USAGE, "tls needs both, certificate and key; set tls.%s",
                       c->tls.key[0] ? "certificate" : "key");
    if (c->gateway.nginx == CONFIG_LENIENT && c->tls.certificate[0])
        return why_say(why, ERR_USAGE,
                       "with gateway.nginx: own, that nginx has the certificate; leave tls out");
    if (c->gateway.nginx == CONFIG_LENIENT || address_is_loopback(listen) ||
        c->tls.certificate[0] || c->behind_tls_proxy)
        return 0;
    address_format(listen, text);
    return why_say(why, ERR_DENIED,
                   "%s can be reached from outside, and keys and prompts would go in "
                   "clear; set tls.certificate and tls.key, or listen on 127.0.0.1, "
                   "or, behind a proxy that does TLS, set behind_tls_proxy: true",
                   text);
}

/* ---- replicas ---- */

bool checks_replicas(const struct config *c, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < c->vault.replica_count; i++) {
        const char *dir = c->vault.replica[i];
        if (dir[0] != '/' || strchr(dir, ':'))
            return false;
        used += strlen(dir) + 1;
    }
    return c->vault.replica_count <= CHECKS_REPLICAS && used <= room;
}

static int check_replicas(const struct config *c, struct why *why) {
    if (checks_replicas(c, SUPERVISOR_REPLICAS))
        return 0;
    return why_say(why, ERR_USAGE,
                   "vault.replica must be at most %d absolute paths without colons, "
                   "together at most %d characters",
                   CHECKS_REPLICAS, SUPERVISOR_REPLICAS - 1);
}

static int check_console(const struct config *c, const struct address *console, struct why *why) {
    char text[ADDRESS_TEXT];
    if (!console || address_is_loopback(console) || c->tls.certificate[0] || c->behind_tls_proxy)
        return 0;
    address_format(console, text);
    return why_say(why, ERR_DENIED,
                   "the console at %s can be reached from outside, and passwords and what is read would "
                   "go in clear; set tls.certificate and tls.key, or console: 127.0.0.1:8090, or, behind "
                   "a proxy that does TLS, set behind_tls_proxy: true",
                   text);
}

int checks_run(const struct config *c, const struct address *listen, const struct address *console,
               struct why *why) {
    int rc = check_listen(c, listen, why);
    if (!rc)
        rc = check_console(c, console, why);
    if (!rc)
        rc = check_replicas(c, why);
    if (!rc)
        rc = check_swap(c, why);
    if (!rc)
        rc = check_sandbox(c, why);
    return rc;
}

/* ---- sizes ---- */

unsigned checks_workers(const struct config *c) {
    cpu_set_t set;
    if (c->gateway.workers)
        return (unsigned)c->gateway.workers;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

uint64_t checks_memory(void) {
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

static unsigned at_most(uint64_t n, unsigned ceiling) {
    return n < ceiling ? (unsigned)n : ceiling;
}

size_t checks_ring(const struct config *c, unsigned workers, uint64_t available,
                   unsigned *ret_regions) {
    const uint64_t mib = 1u << 20, region = c->gateway.max_body + REGION_SPARE;
    unsigned most = at_most(workers * 4 + 2, LIMIT_WORKER_SLOTS); /* each worker has a slot, too */
    unsigned least = at_most(workers * 2 + 2, LIMIT_WORKER_SLOTS);
    uint64_t bytes = c->gateway.ring_size;
    if (!bytes) {
        /* Generous: pages exist only where something was written, and the kernel gives no worker just
         * its part of the connections. */
        uint64_t part = workers > 1 ? STREAMS_OPEN / workers * 2 : STREAMS_OPEN;
        uint64_t streams = part * STREAM_BYTES;
        bytes = most * (region > streams ? region : streams);
        if (available && bytes > available / 2)
            bytes = available / 2;
        bytes = bytes / mib * mib;
    }
    *ret_regions = at_most(bytes / region, most);
    if (*ret_regions < least)
        *ret_regions = least;
    return (size_t)bytes;
}
