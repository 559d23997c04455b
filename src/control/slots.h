#ifndef CONTROL_SLOTS_H
#define CONTROL_SLOTS_H
/*
 * Worker slots of a shared memory file: each gateway worker owns one number for its life, by a
 * POSIX record lock on the byte of that number, so that the kernel gives it up when the worker
 * dies, however it dies. What a worker counts for itself (requests in flight) lies in cells that
 * only the owner of the slot writes; when a slot changes hands its cells are cleared, so a killed
 * worker leaks nothing.
 *
 * A record lock is lost when its process closes any descriptor of the file: a worker keeps the one
 * that it was given, and never closes it.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct slots {             /* in the shared file; all zero to begin with */
    _Atomic uint32_t high; /* slots 0..high-1 were ever claimed */
    _Atomic uint8_t taken[LIMIT_WORKER_SLOTS];
};

/* Clears the cells of one slot. Called with the slot's lock held. */
typedef void slots_clear_fn(void *arg, uint32_t slot);

/* ---- gateway worker, once, before its sandbox ---- */
/* ERR_FULL when every slot is owned. */
int slots_claim(int fd, struct slots *s, slots_clear_fn *clear, void *arg, uint32_t *ret_slot);
/* ---- supervisor ---- */
/* Clears the slots whose owner is dead; returns how many. Not from a process that owns a slot. */
unsigned slots_reap(int fd, struct slots *s, slots_clear_fn *clear, void *arg);

#endif
