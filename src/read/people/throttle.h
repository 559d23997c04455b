#ifndef PEOPLE_THROTTLE_H
#define PEOPLE_THROTTLE_H
/*
 * How often somebody may try to sign in: per name (known or not, so that nothing is learned), and all
 * names together. Times are monotonic ns, the caller's.
 *
 * Per name THROTTLE_FREE wrong attempts in a row are answered at once; then the name is locked out for
 * THROTTLE_FIRST_S, and after each further one twice as long, up to THROTTLE_MAX_S. A right one, or
 * THROTTLE_FORGET_S without an attempt, ends the count. While one attempt for a name is looked at no
 * other one is.
 *
 * All together: THROTTLE_BURST attempts at once, then THROTTLE_PER_S a second. Only wrong ones are
 * counted in the end: a right one gives its share back.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THROTTLE_FREE 5
#define THROTTLE_FIRST_S 30
#define THROTTLE_MAX_S 900
#define THROTTLE_FORGET_S 3600
#define THROTTLE_BURST 20
#define THROTTLE_PER_S 2
#define THROTTLE_NAMES 4096 /* places; names that share one share its count */

struct throttle;

int throttle_new(struct throttle **ret);
void throttle_free(struct throttle *t); /* NULL-safe */

/* A name's place, for the calls below. */
unsigned throttle_place(const struct throttle *t, const void *name, size_t len);

/* May it be tried now? 0, and the place is taken until throttle_end. ERR_AGAIN: no; *ret_wait_s tells
 * for how long (0: another one for this name is being looked at). */
int throttle_begin(struct throttle *t, unsigned place, uint64_t now_ns, unsigned *ret_wait_s);
/* It was not looked at after all: as if it had not begun. */
void throttle_cancel(struct throttle *t, unsigned place);
/* How it ended. Returns for how many seconds the name is locked out from now on, 0: it is not. */
unsigned throttle_end(struct throttle *t, unsigned place, uint64_t now_ns, bool right);

/*
 * What a restart must not undo, as a record (doc/people.md): u8 6 | 16 key of the places | u64 up to when the
 * common rate is used up | n x (u16 place | u16 wrong in a row | u64 last attempt | u64 locked out until), times in
 * us since 1970. Of more than fit those who are locked out longest. Known names and others look alike.
 */
#define THROTTLE_KEPT 90
#define THROTTLE_RECORD_MAX (1 + 16 + 8 + 20 * THROTTLE_KEPT)
/* Nothing that is worth keeping changed since the last throttle_save. */
bool throttle_saved(const struct throttle *t);
/* How long it is. */
size_t throttle_save(struct throttle *t, uint64_t now_ns, uint64_t now_us,
                     uint8_t out[THROTTLE_RECORD_MAX]);
bool throttle_is_record(const uint8_t *p, size_t len);
/* In place of what is known, unless that is more. Nobody is kept out longer than by an attempt made now. ERR_CORRUPT. */
int throttle_load(struct throttle *t, uint64_t now_ns, uint64_t now_us, const uint8_t *p, size_t len);

#endif
