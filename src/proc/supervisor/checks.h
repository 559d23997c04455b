#ifndef PROC_SUPERVISOR_CHECKS_H
#define PROC_SUPERVISOR_CHECKS_H
/*
 * What must be true of the machine and the configuration before `up` starts anything. Each refusal
 * names the setting that lifts it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config.h"
#include "proc/supervisor/address.h"

/* All of them, in order. ERR_DENIED and the sentence when one does not hold. */
/* `console`: where it listens, NULL: there is none. */
int checks_run(const struct config *c, const struct address *listen, const struct address *console,
               struct why *why);

/*
 * The first swap area of /proc/swaps' text that is neither zram nor on dm-crypt, into `name`; false
 * when there is none. `encrypted` tells whether a block device's path is one of dm-crypt.
 */
bool checks_bad_swap(const char *swaps, bool (*encrypted)(const char *path), char *name,
                     size_t size);
/* Absolute paths without colons, at most CHECKS_REPLICAS, that fit into `room` bytes with a colon
 * after each: they go to the vault as one list. */
#define CHECKS_REPLICAS 8
bool checks_replicas(const struct config *c, size_t room);
/* May this process and its children lock all their memory? */
bool checks_may_lock(void);
/* Landlock's version in this kernel; 0 = none. */
unsigned checks_landlock(void);

/* How many workers the gateway has. */
unsigned checks_workers(const struct config *c);
/*
 * The ring: two regions to spare, and for each worker four, so that a reload has room for the new
 * ones, for those that replace dead ones, and for two earlier generations whose streams go on;
 * fewer (at least two a worker) where a region would become too small for a body of the largest
 * size. Its size is as configured, else room for one such body and some more in each region, at
 * least 256 MiB, but not above half of `available` bytes of memory. Pages that are never written
 * cost nothing.
 */
size_t checks_ring(const struct config *c, unsigned workers, uint64_t available,
                   unsigned *ret_regions);
/* MemAvailable in bytes; 0 when the kernel does not say. */
uint64_t checks_memory(void);

#endif
