#ifndef BASE_TRACES_H
#define BASE_TRACES_H
/*
 * What working on plaintext leaves behind: copies on the stack of functions that returned (hash
 * states, decoded pieces), and the last bytes that memcpy moved, in vector registers. Both would
 * stay there while a program sleeps, and be in a core.
 */

/* Overwrites the unused stack below the caller (512 KiB) and the vector registers. */
void traces_wipe(void);

/*
 * GLIBC_TUNABLES of a program that holds what must not stay: free() overwrites everything but the last 8
 * bytes, whoever calls it. M_PERTURB alone (mallopt, or `perturb`) is not enough: what goes to a thread's
 * cache, which small pieces do first, is not overwritten, and only the environment turns that off.
 */
#define TRACES_TUNABLES "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"

#endif
