/* A clock that is behind: preloaded (LD_PRELOAD) it sets wall time back by PAST_SECONDS of the
 * environment, for whatever the program loads; monotonic time goes on as it is. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long behind;

static __attribute__((constructor)) void begin(void) {
    const char *text = getenv("PAST_SECONDS");
    behind = text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    const int rc = (int)syscall(SYS_clock_gettime, clock, t);
    if (!rc && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec -= behind;
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void)zone;
    const int rc = clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return rc;
}

time_t time(time_t *ret) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
