#ifndef GATEWAY_TERMINAL_H
#define GATEWAY_TERMINAL_H
/*
 * Where does a stream of server-sent events end for its reader? At the line `data: [DONE]`, which
 * may be split over buffers anywhere. Clients take whatever begins so for the end.
 *
 *   struct terminal t;
 *   terminal_init(&t);
 *   for each buffer: if ((end = terminal_feed(&t, p, n))) the answer ends at p + end
 *
 * Line ends LF, CR, CRLF. A line costs one memchr, not a look at each byte.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal {
    bool between; /* result: what came so far ends between two events */
    /* private */
    bool after_cr;
    uint8_t matched; /* characters of this line that are the terminal event's */
};

void terminal_init(struct terminal *t);
/* The number of bytes up to the end of `[DONE]`, if they have it; else 0. Not to be fed after that.
 */
size_t terminal_feed(struct terminal *t, const uint8_t *p, size_t n);
/* How many of the first bytes are line ends: all that belongs to the terminal event after its text.
 */
size_t terminal_rest(const uint8_t *p, size_t n);

#endif
