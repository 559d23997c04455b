#ifndef LLM_REQSCAN_H
#define LLM_REQSCAN_H
/*
 * Checks a JSON request body (RFC 8259, strict) while it arrives, over buffers split anywhere, and
 * picks the two top-level members that routing needs. Nothing is allocated and nothing else is
 * kept.
 *
 *   struct reqscan s;
 *   reqscan_init(&s);
 *   for each buffer: if ((rc = reqscan_feed(&s, p, n))) refuse;
 *   if ((rc = reqscan_done(&s))) refuse;
 *
 * Strict means: one object and white space around it, no BOM, UTF-8 well formed (RFC 3629), no
 * control characters in strings, escapes as listed in section 7. A lone \u surrogate is allowed by
 * the grammar; it is decoded as U+FFFD. A member that occurs twice: the last one counts.
 *
 * The struct holds the model's name, hence a little of the request: wipe it with the rest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define REQSCAN_KEY 8 /* longer than every member name that is looked for */

struct reqscan {
    /* results, valid after reqscan_done returned 0 */
    bool stream;             /* "stream": true */
    bool has_model;          /* "model" is a string */
    bool model_cut;          /* it did not fit, or held U+0000 (which ends it) */
    char model[LIMIT_MODEL]; /* decoded, NUL-terminated, cut between characters */

    /* private */
    uint8_t state, depth, capture, member, literal, literal_at;
    bool in_name; /* the open string is a member's name */
    bool any;     /* the text may be any value */
    uint8_t utf8_left, utf8_min, utf8_max;
    uint8_t hex_left, key_len;
    uint8_t model_len;
    uint16_t hex, high; /* the \u in work; a high surrogate that waits for its low one */
    uint8_t key[REQSCAN_KEY];
    uint8_t is_object[(LIMIT_JSON_DEPTH + 7) / 8]; /* per open container: object or array */
};

void reqscan_init(struct reqscan *s);
/* The same, for any one value instead of an object. */
void reqscan_init_any(struct reqscan *s);
/* 0, ERR_SYNTAX, or ERR_LIMIT (nested deeper than LIMIT_JSON_DEPTH). An error is final. */
int reqscan_feed(struct reqscan *s, const uint8_t *p, size_t n);
/* ERR_SYNTAX unless what was fed is exactly one object. */
int reqscan_done(struct reqscan *s);

#endif
