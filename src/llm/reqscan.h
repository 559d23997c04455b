#ifndef LLM_REQSCAN_H
#define LLM_REQSCAN_H
/*
 * Checks a JSON request body (RFC 8259, strict) while it arrives, over buffers split anywhere, and
 * notes the few members that routing, limits and splicing need: their values, and where they stand.
 * Nothing is allocated and nothing else is kept.
 *
 *   struct reqscan s;
 *   reqscan_init(&s);
 *   for each buffer: if ((rc = reqscan_feed(&s, p, n))) refuse;
 *   if ((rc = reqscan_done(&s)) || s.repeated) refuse;
 *
 * Strict means: one object and white space around it, no BOM, UTF-8 well formed (RFC 3629), no
 * control characters in strings, escapes as listed in section 7. A lone \u surrogate is allowed by
 * the grammar; it is decoded as U+FFFD. Of a noted member that occurs twice the last one counts,
 * but a provider may take the first: what was allowed would not be what is used, so refuse it.
 *
 * The struct holds the model's name, hence a little of the request: wipe it with the rest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

/* The noted members: of the object, and of objects in it. */
enum reqscan_member {
    REQSCAN_MODEL,
    REQSCAN_STREAM,
    REQSCAN_STREAM_OPTIONS,
    REQSCAN_USER,
    REQSCAN_USER_ID,
    REQSCAN_SAFETY_IDENTIFIER,
    REQSCAN_METADATA,
    REQSCAN_MAX_TOKENS,
    REQSCAN_MAX_COMPLETION_TOKENS,
    REQSCAN_MAX_OUTPUT_TOKENS,
    REQSCAN_N,
    REQSCAN_INCLUDE_USAGE,    /* stream_options.include_usage */
    REQSCAN_METADATA_USER_ID, /* metadata.user_id */
    REQSCAN_MEMBERS
};

enum reqscan_kind {
    REQSCAN_ABSENT,
    REQSCAN_STRING,
    REQSCAN_NUMBER,
    REQSCAN_OBJECT,
    REQSCAN_ARRAY,
    REQSCAN_TRUE,
    REQSCAN_FALSE,
    REQSCAN_NULL
};

#define REQSCAN_NO_NUMBER UINT32_MAX /* not a whole number from 0 on, or that large */

struct reqscan_value {
    uint32_t at, len; /* in the body; quotes and brackets included */
    uint32_t number;  /* of a REQSCAN_NUMBER */
    uint8_t kind;     /* enum reqscan_kind */
};

#define REQSCAN_KEY 24 /* longer than every name that is looked for */

struct reqscan {
    /* results, valid after reqscan_done returned 0 */
    bool stream;             /* "stream": true */
    bool has_model;          /* "model" is a string */
    bool model_cut;          /* it did not fit, or held U+0000 (which ends it) */
    bool repeated;           /* a noted member occurs twice */
    bool options_filled;     /* stream_options is an object with members */
    char model[LIMIT_MODEL]; /* decoded, NUL-terminated, cut between characters */
    struct reqscan_value value[REQSCAN_MEMBERS];
    uint32_t end; /* where the object's closing bracket is */

    /* private */
    uint8_t state, depth, capture, literal, literal_at;
    uint8_t member, inner; /* whose value is open, of the object and of an object within */
    uint8_t inside;        /* the noted object that is open */
    bool in_name;          /* the open string is a member's name */
    bool any;              /* the text may be any value */
    uint8_t utf8_left, utf8_min, utf8_max;
    uint8_t hex_left, key_len;
    uint8_t model_len;
    uint16_t hex, high; /* the \u in work; a high surrogate that waits for its low one */
    uint32_t base, at;  /* of this buffer, of the byte in work */
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
