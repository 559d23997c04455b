#ifndef VERIFY_LINES_H
#define VERIFY_LINES_H
/*
 * Text of others, line by line: each ends with a newline, numbers are decimal without leading zeros,
 * bytes are lower-case hex. Borrows; nothing is copied.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    const char *p;
    size_t left;
};

/* The next line without its newline; false: there is none that is ended. */
bool lines_next(struct lines *l, const char **ret, size_t *ret_len);
/* Takes the word off the line's front. */
bool lines_strip(const char **p, size_t *len, const char *word);
/* The next line is `word`, and what follows is the rest; false: it is another. */
bool lines_after(struct lines *l, const char *word, const char **ret, size_t *ret_len);

/* The whole of p: at most 19 digits. */
bool lines_number(const char *p, size_t len, uint64_t *ret);
/* The whole of p: exactly `size` bytes. */
bool lines_hex(const char *p, size_t len, uint8_t *out, size_t size);

#endif
