#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
/* Time. Wall time for records (µs since 1970 UTC), monotonic time for order and durations (ns). */
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}
static inline uint64_t clock_mono_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
/* Processor time of this thread: a busy machine does not make it pass. A system call. */
static inline uint64_t clock_thread_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define CLOCK_UTC 32 /* room for clock_utc */
/* "2026-01-31T23:59:59Z" (RFC 3339) of a wall time. */
static inline void clock_utc(char out[CLOCK_UTC], uint64_t us) {
    const time_t s = (time_t)(us / 1000000u);
    struct tm t;
    if (!gmtime_r(&s, &t) || !strftime(out, CLOCK_UTC, "%Y-%m-%dT%H:%M:%SZ", &t))
        out[0] = 0;
}
#endif
