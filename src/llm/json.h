#ifndef LLM_JSON_H
#define LLM_JSON_H
/*
 * JSON as slices of its own text: values are found and copied, never built, so that what a client
 * sent is stored and shown byte for byte (numbers, order, escapes). For the sealer and the reading side.
 *
 * jv_parse checks a whole text once (RFC 8259, depth up to LIMIT_JSON_DEPTH). The other functions
 * take slices that came out of a checked text and borrow from it; on other bytes they give
 * nonsense, but never read outside of the slice.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct jv {
    const uint8_t *p; /* no white space around; NULL: absent */
    size_t len;
};

/* ERR_SYNTAX unless the text is exactly one value with white space around; ERR_LIMIT: too deep. */
int jv_parse(struct jv *ret, const void *text, size_t len);

static inline bool jv_is_object(struct jv v) {
    return v.len && v.p[0] == '{';
}
static inline bool jv_is_array(struct jv v) {
    return v.len && v.p[0] == '[';
}
static inline bool jv_is_string(struct jv v) {
    return v.len > 1 && v.p[0] == '"';
}
bool jv_is_null(struct jv v);
bool jv_is_true(struct jv v);
/* absent, null, "", [] */
bool jv_is_empty(struct jv v);

/* Walks an object or array: *pos is 0 at first; true while there is a next one. ret_key is the
 * member's name with its quotes (absent in arrays); NULL: not wanted. */
bool jv_each(struct jv container, size_t *pos, struct jv *ret_key, struct jv *ret_value);
/* The member of that name, the last if there are several; absent if none or no object. */
struct jv jv_get(struct jv object, const char *name);
/* The same in an object within: jv_get2(v, "function", "name"). */
struct jv jv_get2(struct jv object, const char *outer, const char *name);
/* The i-th element; absent if there are fewer. */
struct jv jv_at(struct jv array, size_t i);
size_t jv_count(struct jv container);
/* Are the string's characters that text? */
bool jv_equals(struct jv string, const char *text);
/* Have two strings the same characters? */
bool jv_same(struct jv a, struct jv b);
/* A non-negative integer below 2^32, or `otherwise`. */
uint32_t jv_u32(struct jv v, uint32_t otherwise);

/* Appends the string's characters as UTF-8; a lone surrogate becomes U+FFFD. */
int jv_text(struct jv string, struct buf *out);
/* The same into an array, NUL-terminated; false (and "") if it does not fit or has U+0000. */
bool jv_text_fits(struct jv string, char *out, size_t size);
/* Appends bytes (UTF-8) as the inside of a JSON string; as one with its quotes. */
int jv_escape(struct buf *out, const void *p, size_t len);
int jv_quote(struct buf *out, const void *p, size_t len);

/*
 * The canonical form, piece by piece, for keyed digests: two values have the same one exactly if
 * they are equal as JSON data, however escaped, spaced or ordered their text is. Members are sorted
 * by name, strings decoded (lone surrogates kept apart, as WTF-8 does), numbers are their own text.
 * It is no JSON: bytes that occur in no UTF-8 frame the parts.
 */
typedef void jv_sink(void *arg, const void *p, size_t len);
int jv_canonical(struct jv v, jv_sink *sink, void *arg);

#endif
