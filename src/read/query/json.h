#ifndef QUERY_JSON_H
#define QUERY_JSON_H
/*
 * JSON as slices of its own text. Turns hold what clients sent byte for byte, and showing them must
 * not change a byte (numbers, order, escapes), so values are never built: they are found and copied.
 *
 * json_parse checks a whole text once (RFC 8259, depth up to LIMIT_JSON_DEPTH); everything else works
 * on slices that came out of a checked text, and borrows from it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json {
    const char *p; /* no white space around; p NULL: absent */
    size_t len;
};

/* ERR_SYNTAX unless the text is exactly one value. */
int json_parse(struct json *ret, const void *text, size_t len);

/* Is it an object (kind '{'), an array ('['), a string ('"')? */
static inline bool json_is(struct json v, char kind) {
    return v.p && v.p[0] == kind;
}
/* Is it `true`? */
bool json_truth(struct json v);
/* null, "", [] */
bool json_is_empty(struct json v);

/* Walks an object or array: *pos is 0 at first; true while there is a next one. key is the member's
 * name with its quotes (absent for arrays). */
bool json_each(struct json container, size_t *pos, struct json *ret_key, struct json *ret_value);
/* The member of that name, the last if there are several; absent (p NULL) if none. */
struct json json_get(struct json object, const char *name);
/* The i-th element; absent if there are fewer. */
struct json json_at(struct json array, size_t i);
size_t json_count(struct json container);
/* Is this string (a key too) that text? Escapes are understood. */
bool json_equals(struct json string, const char *text);
/* A non-negative integer of up to 15 digits, or `otherwise`. */
uint64_t json_number(struct json v, uint64_t otherwise);
/* Appends the string's characters as UTF-8 (lone surrogates become U+FFFD). */
int json_text(struct json string, struct buf *out);
/* Appends bytes as a JSON string's inside: quotes, backslashes, control characters escaped. */
int json_escape(struct buf *out, const void *p, size_t len);

#endif
