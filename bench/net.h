#ifndef BENCH_NET_H
#define BENCH_NET_H
/*
 * What both ends of the benchmark need of the system: monotonic time, descriptors, loopback
 * sockets, the processor time of other processes. Failures that a benchmark cannot go on after end
 * the program with a sentence (net_die).
 */
#include <stdint.h>
#include <sys/epoll.h>

#define NET_NS 1000000000ull

/* Prints "PROGRAM: sentence: errno's text" (the last part if errno is set) and exits with 1. */
_Noreturn void net_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

uint64_t net_now(void); /* ns, CLOCK_MONOTONIC */

/* Raises the limit of open descriptors to what is allowed, and ends the program below `need`. */
void net_need_fds(unsigned long need);

/* "127.0.0.1:0" -> a listening, non-blocking socket; *ret_port is the real port. */
int net_listen(const char *address, unsigned *ret_port);
/* A non-blocking socket on its way to 127.0.0.1:port, TCP_NODELAY set; writable once connected. */
int net_connect(unsigned port);
void net_nodelay(int fd);

/* epoll_wait until `deadline` (net_now's clock, UINT64_MAX = none). Returns the number of events.
 */
int net_wait(int epfd, struct epoll_event *events, int max, uint64_t deadline);

/* Processor time of all threads of a living process, ns; ends the program if it is not there. */
uint64_t net_cpu_ns(int pid);

/* Reads a decimal number of a command line, or ends the program. */
uint64_t net_number(const char *flag, const char *text, uint64_t max);

#endif
