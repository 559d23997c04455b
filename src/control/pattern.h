#ifndef CONTROL_PATTERN_H
#define CONTROL_PATTERN_H
/*
 * Model patterns, as in routes, prices and lists of allowed models: a name, a beginning with a star
 * ("gpt-4o*"), or "*" for every model.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool pattern_is_prefix(const char *pattern, size_t len) {
    return len > 0 && pattern[len - 1] == '*';
}
static inline bool pattern_matches(const char *pattern, size_t pattern_len, const char *name,
                                   size_t len) {
    if (!pattern_is_prefix(pattern, pattern_len))
        return pattern_len == len && memcmp(pattern, name, len) == 0;
    return pattern_len - 1 <= len && memcmp(pattern, name, pattern_len - 1) == 0;
}

#endif
