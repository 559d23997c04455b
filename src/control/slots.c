/*
 * Worker slots of slots.h. `taken` only spares the supervisor a system call for each slot; the lock
 * is what counts. A process that dies between locking and `taken` leaves cells that were cleared.
 */
#include "control/slots.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"

/* Nonzero errno of the kernel means that somebody else holds it. */
static bool lock(int fd, uint32_t slot, short type) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)slot, .l_len = 1};
    return fcntl(fd, F_SETLK, &l) == 0;
}

int slots_claim(int fd, struct slots *s, slots_clear_fn *clear, void *arg, uint32_t *ret_slot) {
    uint32_t slot = 0;
    while (slot < LIMIT_WORKER_SLOTS && !lock(fd, slot, F_WRLCK))
        slot++;
    if (slot == LIMIT_WORKER_SLOTS)
        return ERR_FULL;
    clear(arg, slot);
    atomic_store(&s->taken[slot], 1);
    uint32_t high = atomic_load(&s->high);
    while (high <= slot && !atomic_compare_exchange_weak(&s->high, &high, slot + 1))
        ;
    *ret_slot = slot;
    return 0;
}

unsigned slots_reap(int fd, struct slots *s, slots_clear_fn *clear, void *arg) {
    unsigned reaped = 0;
    for (uint32_t slot = 0; slot < LIMIT_WORKER_SLOTS; slot++) {
        if (!atomic_load(&s->taken[slot]) || !lock(fd, slot, F_WRLCK))
            continue;
        clear(arg, slot);
        atomic_store(&s->taken[slot], 0);
        lock(fd, slot, F_UNLCK);
        reaped++;
    }
    return reaped;
}
