/*
 * net.h: used by both ends of the benchmark, each a process with one thread and one epoll set.
 * Processor time is read from schedstat, in nanoseconds: utime and stime count in ticks of 10 ms,
 * and on kernels that sample at the tick they are wrong for programs that sleep between ticks.
 */
#include "net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void net_die(const char *fmt, ...) {
    int why = errno;
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    if (why)
        fprintf(stderr, ": %s", strerror(why));
    fputc('\n', stderr);
    exit(1);
}

uint64_t net_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NET_NS + (uint64_t)t.tv_nsec;
}

void net_need_fds(unsigned long need) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r))
        net_die("getrlimit");
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r))
        net_die("setrlimit");
    errno = 0;
    if (r.rlim_cur < need)
        net_die("needs %lu descriptors, only %lu are allowed (ulimit -n)", need,
                (unsigned long)r.rlim_cur);
}

void net_nodelay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int net_listen(const char *address, unsigned *ret_port) {
    char host[64];
    unsigned port;
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    int one = 1;
    errno = 0;
    if (sscanf(address, "%63[0-9.]:%5u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &a.sin_addr) != 1)
        net_die("%s is no IPv4 address with a port", address);
    a.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&a, &size))
        net_die("listening on %s", address);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

int net_connect(unsigned port) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        net_die("socket");
    net_nodelay(fd);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS)
        net_die("connecting to port %u", port);
    return fd;
}

int net_wait(int epfd, struct epoll_event *events, int max, uint64_t deadline) {
    struct timespec t, *limit = NULL;
    if (deadline != UINT64_MAX) {
        uint64_t now = net_now(), left = deadline > now ? deadline - now : 0;
        t = (struct timespec){.tv_sec = (time_t)(left / NET_NS), .tv_nsec = (long)(left % NET_NS)};
        limit = &t;
    }
    int n = epoll_pwait2(epfd, events, max, limit, NULL);
    if (n < 0 && errno != EINTR)
        net_die("epoll_pwait2");
    return n < 0 ? 0 : n;
}

uint64_t net_cpu_ns(int pid) {
    char path[128];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    if (!d)
        net_die("process %d is not there", pid);
    for (struct dirent *e; (e = readdir(d));) {
        unsigned long long ns = 0;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
        FILE *f = fopen(path, "re");
        if (!f)
            continue; /* a thread that ended meanwhile */
        if (fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        fclose(f);
    }
    closedir(d);
    errno = 0;
    if (sum == 0)
        net_die("process %d shows no processor time: is CONFIG_SCHED_INFO off?", pid);
    return sum;
}

uint64_t net_number(const char *flag, const char *text, uint64_t max) {
    char *end = NULL;
    errno = 0;
    unsigned long long n = text ? strtoull(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || errno || n > max) {
        errno = 0;
        net_die("%s takes a number up to %llu", flag, (unsigned long long)max);
    }
    return n;
}
