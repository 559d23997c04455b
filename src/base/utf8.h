#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is it well-formed UTF-8 (RFC 3629)? No surrogates, nothing overlong. */
bool utf8_valid(const void *p, size_t len);

#endif
