#ifndef BASE_TRACES_H
#define BASE_TRACES_H
/*
 * What working on plaintext leaves behind: copies on the stack of functions that returned (hash
 * states, decoded pieces), and the last bytes that memcpy moved, in vector registers. Both would
 * stay there while a program sleeps, and be in a core.
 */

/* Overwrites the unused stack below the caller (512 KiB) and the vector registers. */
void traces_wipe(void);

#endif
