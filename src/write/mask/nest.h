#ifndef WRITE_MASK_NEST_H
#define WRITE_MASK_NEST_H
/*
 * How deep a byte of JSON's text lies in strings: 1 in a string, 2 in a string of JSON that is a
 * string's text (arguments of tools, answers that are JSON), and so on. As often must bytes be escaped
 * that are put there, or unescaped that are taken from there.
 *
 *   nest_begin(&n);                        right after a string's opening quote
 *   for each byte: nest_feed(&n, c)
 *   nest_depth(&n)                         of the byte that comes next; 0: the string has ended
 *
 * A string's text counts as JSON if it begins like an object or an array: `{"`, `["`, `[{`, `[1`. Prose
 * that holds JSON somewhere is prose, and what stands in it is as its reader sees it.
 */
#include <stdbool.h>
#include <stdint.h>

#define NEST_LEVELS 4 /* deeper ones count as text */

struct nest {
    struct nest_level {
        uint8_t state; /* private */
        uint8_t escape; /* 0: none; 1: after a backslash; 2 to 5: of \u, digits that came + 2 */
        uint16_t hex;
        bool inside; /* a string of this level is open */
    } level[NEST_LEVELS];
};

void nest_begin(struct nest *n);
void nest_feed(struct nest *n, uint8_t c);
/* In the middle of an escape it is the depth at which that escape is text. */
unsigned nest_depth(const struct nest *n);
/* The string's text is prose: whatever comes, but quotes and backslashes, changes nothing here. */
bool nest_is_prose(const struct nest *n);
/* Something stands at this place that was not fed, and is no JSON of its own. */
void nest_text(struct nest *n);

#endif
